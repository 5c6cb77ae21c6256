"""Bad input: a sentence with place and remedy, exit 2, nothing written."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from isoloss.runs.archive import Archive
from isoloss.runs.record import Loss, RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec

RUNS = "params,tokens,loss\n" + "".join(
    f"{10 ** (6 + i % 4)},{10 ** (7 + i % 5)},{2 + 1 / (1 + i)}\n" for i in range(20)
)
ONE_SIZE = "params,tokens,loss\n" + "".join(f"1e6,{i}e7,{3 - i / 20}\n" for i in range(1, 20))
COLUMNS = ["--loss", "loss"]


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        (["--backtest-above", "1e15"], "--backtest-above", "--backtest flops"),
        (["--floor-use", "score"], "--floor-use", "--floor"),
        (["--beyond"], "--beyond", "--predict"),
        (["--beyond", "--law", "kaplan_flops", "--predict", "1e21"], "--beyond", "params"),
        (["--beyond", "--law", "kaplan_params", "--predict", "1e9"], "--beyond", "tokens"),
    ],
)
def test_options_that_would_count_for_nothing_are_refused(tmp_path, isoloss, options, place, said):
    (tmp_path / "runs.csv").write_text(RUNS)
    done = isoloss("fit", "runs.csv", *COLUMNS, "--bootstrap", "0", *options, "--json")
    assert done.code == 2
    assert done.json["error"]["place"] == place
    assert said in done.json["error"]["message"] + done.json["error"]["fix"]


@pytest.mark.parametrize("option", ["--stderr", "--source"])
def test_a_column_that_nothing_reads_is_said(tmp_path, isoloss, option):
    (tmp_path / "runs.csv").write_text(RUNS)
    done = isoloss("fit", "runs.csv", *COLUMNS, "--bootstrap", "0", option, "params")
    assert (done.code, option in done.err) == (0, True)


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("none.csv", None, [], "no such file"),
        ("empty.csv", "", [], "empty"),
        ("header.csv", "params,tokens,loss\n", [], "no rows"),
        ("runs.csv", RUNS, ["--params", "parms"], "did you mean 'params'"),
        ("nan.csv", RUNS + "1e6,nan,2\n", [], "row 21"),
        ("negative.csv", RUNS + "1e6,-5,2\n", [], "row 21"),
        ("zero.csv", RUNS + "0,5,2\n", [], "row 21"),
        ("text.csv", RUNS + "a,b,c\n", [], "row 21"),
        ("few.csv", "params,tokens,loss\n1,2,3\n", [], "rows"),
        ("same.csv", "params,tokens,loss\n" + "1e6,1e7,3\n" * 20, [], "distinct"),
        ("one_size.csv", ONE_SIZE, [], "same parameters"),
        ("one_size.csv", ONE_SIZE, [], "--law offset_tokens"),
        ("law.csv", RUNS, ["--law", "chinchila"], "did you mean 'chinchilla'"),
        ("objective.csv", RUNS, ["--objective", "hubber"], "huber"),
        ("starts.csv", RUNS, ["--starts", "hofmann"], "hoffmann"),
        ("binary.csv", bytes(range(256)) * 20, [], "cannot be read"),
        ("where.csv", RUNS, ["--where", "prams > 1"], "columns of runs"),
        ("where.csv", RUNS, ["--where", 'params = "code"'], "single quotes: 'code'"),
        ("where.csv", RUNS, ["--where", 'params = "code"'], "--where"),
        ("corpora.csv", RUNS, ["--bootstrap", "0", "--backtest", "corpus"], "--group"),
        ("page.csv", RUNS, ["--law", "kaplan_params", "--page", "page.html"], "--page"),
        ("kind.xlsx", "x", [], "unknown kind"),
        ("huge.csv", "params,tokens,loss\n" + "".join(f"1e{300 + i},1e2{i},2.{i}\n" for i in range(8)), [], "row 1"),
        ("mixed.csv", "a;b\n1,2;3\n4;5\n", [], "no column 'loss'"),
        ("thousands.csv", "params,tokens,loss\n5,1.000,3\n6,400,2.9\n", [], "thousands or decimals"),
        ("ragged.csv", RUNS + "1,2\n", [], "Expected 3 columns"),
        ("delta.csv", RUNS, ["--delta", "inf"], "above zero"),
        ("law.csv", RUNS, ["--law", "data_dependent"], "--complexity"),
        ("law.csv", RUNS, ["--law", "json:loads"], "not a law"),
        ("damaged.parquet", b"PAR1" + bytes(500) + b"PAR1", [], "cannot be read as parquet"),
    ],
)  # fmt: skip
def test_fit_says_what_is_wrong_with_a_table(isoloss, tmp_path, name, content, options, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    output = isoloss("fit", path, *COLUMNS, *options)
    assert (output.code, output.out) == (2, "")
    assert said in output.err
    assert "fix: " in output.err
    as_json = isoloss("fit", path, *COLUMNS, *options, "--json")
    assert as_json.code == 2
    assert set(as_json.json["error"]) == {"kind", "message", "place", "fix"}


@pytest.mark.parametrize(
    "arguments",
    [["fitt"], ["fit"], ["--nonsense"], ["measure", "nothing*"], ["check", "none.toml"], ["report", "nowhere"],
     ["runs", "nowhere"], ["import", "nowhere.csv"], ["grammar", "describe", "--nonterminals", "many"], ["new", "a/b"]],
)  # fmt: skip
def test_a_wrong_call_is_reported_and_exits_2(isoloss, arguments, tmp_path):
    output = isoloss(*arguments)
    assert output.code == 2
    assert "error: " in output.err
    output = isoloss(*arguments, "--json")
    assert output.code == 2
    assert output.json["error"]["message"]
    assert not list(tmp_path.iterdir())


def test_an_unknown_verb_is_answered_with_the_nearest(isoloss):
    output = isoloss("fitt").err
    assert output.lower().count("did you mean") == 1
    assert "did you mean 'fit'?" in output
    assert "did you mean 'search'?" in isoloss("grammar", "serch").err
    assert "isoloss fit --help" in isoloss("fit", "--parms", "n").err
    assert "isoloss grammar search --help" in isoloss("grammar", "search", "--gzip", "easy").err


def test_text_that_cannot_be_measured(isoloss, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"abc\0" * 999)
    (tmp_path / "latin.txt").write_bytes("caf\xe9 ".encode("latin-1") * 999)
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "fine.txt").write_text("hello " * 999)
    for name in ("empty.txt", "binary.txt", "latin.txt", "short.txt", "nothing-*.txt"):
        output = isoloss("measure", name)
        assert output.code == 2, name
        assert name.split("*")[0] in output.err
    output = isoloss("measure", "fine.txt", "--measure", "gzp")
    assert output.code == 2
    assert "did you mean 'gzip'" in output.err


def test_help_teaches_every_verb(isoloss):
    top = isoloss("--help")
    assert top.code == 0
    for verb in (
        "demo",
        "new",
        "check",
        "run",
        "measure",
        "fit",
        "report",
        "runs",
        "import",
        "grammar",
        "export",
        "count",
    ):
        assert verb in top.out
        assert "--json" in isoloss(*(["grammar", "describe"] if verb == "grammar" else [verb]), "--help").out


def test_new_writes_a_study_that_loads(isoloss, tmp_path):
    from isoloss.study.spec import Study

    made = isoloss("new", "mine", "--json")
    assert json.loads(made.out)["study"] == "mine.toml"
    assert Study.load(tmp_path / "mine.toml").name == "mine"
    assert isoloss("new", "other.toml", "--json").json["study"] == "other.toml"
    assert Study.load(tmp_path / "other.toml").name == "other"
    assert isoloss("new", ".toml").code == 2
    assert isoloss("new", "mine").code == 2


def test_what_a_condition_may_name_is_the_tables_own(isoloss, tmp_path):
    (tmp_path / "runs.csv").write_text(RUNS)
    output = isoloss("fit", "runs.csv", *COLUMNS, "--where", "nope > 1")
    assert "columns of runs: params, tokens, loss\n" in output.err


def test_a_grammar_option_of_zero_is_reported_as_zero(isoloss):
    output = isoloss("grammar", "describe", "--nonterminals", 0, "--terminals", 3, "--max-rules", 2, "--max-rhs", 2)
    assert output.code == 2
    assert "greater than 0" in output.err


def test_imported_runs_are_listed_and_fitted(isoloss, tmp_path):
    (tmp_path / "runs.csv").write_text(RUNS)
    output = isoloss("import", "runs.csv", "--loss", "loss", "--corpus", "web", "--out", "out", "--json")
    assert output.code == 0
    assert len(output.json["runs"]) == 20
    assert {run["corpus"] for run in output.json["runs"]} == {"web"}
    shown = isoloss("import", "runs.csv", "--loss", "loss", "--out", "out").out
    assert "20 runs" in shown, "of this import"
    assert "40 runs" in shown, "of the folder"
    again = isoloss("import", "runs.csv", "--loss", "loss", "--out", "out", "--unit", "bits", "--json").json
    assert (len(again["runs"]), again["replaced"], again["known"], again["runs_in_folder"]) == (20, 20, 0, 40)
    assert isoloss("fit", "out", "--where", "corpus = 'web'", "--json").json["fits"][0]["rows_used"] == 20
    assert isoloss("runs", "out", "--sql", "SELECT count(*) AS n FROM runs", "--json").json["runs"] == [{"n": 40}]
    assert "nearest" not in isoloss("import", "runs.csv", "--convention", "totl").err
    assert "did you mean 'total'" in isoloss("import", "runs.csv", "--convention", "totl").err


@pytest.fixture
def archive_of_two(tmp_path):
    """A results folder with two runs, records alone."""
    archive = Archive(tmp_path / "results")
    for tokens in (320, 640):
        run = RunSpec(
            corpus="text1-x", model=ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8),
            train_tokens=tokens, batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
        )  # fmt: skip
        record = RunRecord(
            fingerprint=run.fingerprint, trunk=run.trunk, spec=run, counts=count(run.model), status="finished",
            loss=Loss(nats=2.0, stderr=0.1, tokens=100, documents=4), wall_seconds=1.0,
        )  # fmt: skip
        archive.write(record, curve={}, documents={})
    return archive


def test_a_pipe_gets_the_table_of_runs_whole(isoloss, archive_of_two):
    output = isoloss("runs", "results")
    for record in archive_of_two.records():
        assert record.fingerprint in output.out
    assert "…" not in output.out


@pytest.mark.parametrize(
    ("sql", "said"),
    [("SELEC 1", "syntax error"), ("SELECT * FROM rnus", "rnus"), ("SELECT 1 AS a, 2 AS a", "two columns"),
     ("SELECT * FROM read_csv('/etc/passwd')", "disabled"), ("SELECT nope FROM runs", "columns of runs")],
)  # fmt: skip
def test_a_wrong_query_is_reported(isoloss, archive_of_two, sql, said):
    output = isoloss("runs", "results", "--sql", sql)
    assert output.code == 2
    assert said in output.err


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may read everything")
def test_what_may_not_be_read_ends_in_exit_1_and_is_not_taken_for_empty(archive_of_two, tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "runs.csv").write_text(RUNS)
    closed = [tmp_path / "closed", archive_of_two.folder / "runs"]
    for folder in closed:
        folder.chmod(0)
    powers = "-dac_override,-dac_read_search"
    mortal = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"] if os.geteuid() == 0 else []
    try:
        for verb in (["fit", "closed/runs.csv"], ["runs", "results"], ["fit", "results"]):
            command = [*mortal, sys.executable, "-m", "isoloss", *verb, "--json"]
            output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert output.returncode == 1, output.stdout + output.stderr
            assert "Traceback" not in output.stderr
            assert "no permission" in json.loads(output.stdout)["error"]["message"]
    finally:
        for folder in closed:
            folder.chmod(0o755)
