"""What others wrote is shown and never obeyed, is checked before it is believed, and is named where it is wrong."""

import json
import shutil

import pytest

from isoloss.core.errors import did_you_mean
from isoloss.core.shown import shown, shown_lines
from isoloss.report.page import markdown_text
from isoloss.runs.archive import Archive
from isoloss.runs.record import Loss, RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec

ROWS = [(10 ** (6 + i % 4), 10 ** (8 + i % 5)) for i in range(20)]
EVIL = "a\x1b[31m\nb\u202e"


def written(path, *, group="a"):
    """Write a table that Chinchilla's law describes, every row of one group."""
    rows = [
        json.dumps({"params": n, "tokens": d, "loss": 1.8 + 480 / n**0.35 + 2100 / d**0.37, "g": group})
        for n, d in ROWS
    ]
    path.write_text("\n".join(rows))


@pytest.fixture
def law(tmp_path, isoloss):
    """A fitted law as a file."""
    written(tmp_path / "runs.jsonl")
    assert isoloss("fit", "runs.jsonl", "--loss", "loss", "--bootstrap", "5", "--out", "law.json").code == 0
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("the law of loss\n" * 800)
    return tmp_path / "law.json"


@pytest.fixture
def results(tmp_path):
    """A results folder with eight runs, records alone."""
    archive = Archive(tmp_path / "results")
    for width in (8, 16, 24, 32):
        for tokens in (320, 640):
            run = RunSpec(
                corpus="text1-x", model=ModelSpec(width=width, depth=1, heads=1, ffn=16, vocab_size=16, context=8),
                train_tokens=tokens, batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
            )  # fmt: skip
            nats = 2 + 3 / width + 90 / tokens
            record = RunRecord(
                fingerprint=run.fingerprint, trunk=run.trunk, spec=run, counts=count(run.model), status="finished",
                loss=Loss(nats=nats, stderr=0.1, tokens=100, documents=4), wall_seconds=1.0,
            )  # fmt: skip
            archive.write(
                record, curve={}, documents={"document": [0, 1], "tokens": [8, 8], "nats": [nats, nats + 0.1]}
            )
    return archive.folder


def is_plain(text):
    return text == shown_lines(text)


def test_control_characters_and_halves_of_characters_are_written_out_in_one_line():
    assert shown("a\x1b[31m\nb\r\t\x9b\u202e\u2028\ud800é€🙂") == "a\\x1b[31m\\nb\\r\\t\\x9b\\u202e\\u2028\\ud800é€🙂"
    assert shown_lines("a\nb\x07") == "a\nb\\x07"
    assert markdown_text("a | b\x1b[31m\nc") == r"a \| b\\x1b\[31m c"


@pytest.mark.parametrize("call", [["fit"], ["fit", "--complexity", "params"], ["isoflop", "--draws", "5"], ["import"]])
def test_a_group_cannot_give_orders_to_a_terminal_or_split_a_row(tmp_path, isoloss, call):
    written(tmp_path / "runs.jsonl", group=EVIL)
    output = isoloss(call[0], "runs.jsonl", "--loss", "loss", "--group", "g", *call[1:])
    assert is_plain(output.out + output.err)
    if call == ["fit"]:
        assert shown(EVIL) in output.out
    listed = isoloss("runs", "results/imported") if call == ["import"] else output
    assert is_plain(listed.out)
    assert not [line for line in listed.out.splitlines() if line.startswith(("b\\u202e", "b\u202e"))]


def test_what_a_query_gives_stays_in_its_row(isoloss, results):
    output = isoloss("runs", "results", "--sql", "SELECT 'a' || chr(10) || chr(27) || '[2J' AS \"x\ny\"")
    assert is_plain(output.out)
    assert len(output.out.splitlines()) == 3
    as_json = isoloss("runs", "results", "--json", "--sql", "SELECT chr(155) || 'x' AS x")
    assert "\x9b" not in as_json.out
    assert as_json.json["runs"] == [{"x": "\x9bx"}]


def test_the_name_of_a_file_is_shown_in_errors(tmp_path, isoloss):
    output = isoloss("check", f"{EVIL}.toml")
    assert output.code == 2
    assert is_plain(output.err)
    assert len(output.err.splitlines()) == 2
    assert is_plain(isoloss("fit", "no\udcffsuch.csv").err)
    assert isoloss("fit", "x" * 5000).code == 1


def test_no_more_than_twenty_known_names_are_listed_the_nearest_first():
    output = did_you_mean("column_777", [f"column_{i}" for i in range(1000)])
    assert "did you mean 'column_777'?" in output
    listed = output.partition("known: ")[2].partition(" and ")[0].split(", ")
    assert len(listed) == 20
    assert listed[0] == "column_777"
    assert "980 more" in output


def test_a_copied_and_a_renamed_record_are_named_and_not_fitted(isoloss, results):
    runs = sorted((results / "runs").iterdir())
    shutil.copy(runs[0], results / "runs" / "copy.json")
    runs[1].rename(runs[1].with_name("run1-00000000000000000000.json"))
    output = isoloss("runs", "results", "--json").json
    assert len(output["runs"]) == len(runs) - 1
    assert all(any(name in line for line in output["passed_over"]) for name in ("copy.json", "run1-000"))
    assert "copy.json" in isoloss("runs", "results").err
    fitted = isoloss("fit", "results", "--law", "offset_params", "--json").json
    assert fitted["fits"][0]["rows_used"] == len(runs) - 1
    assert len(fitted["passed_over"]) == 2


def test_a_record_under_the_name_of_another_run_is_damage(results):
    first, second, *_ = sorted((results / "runs").iterdir())
    shutil.copy(first, second)
    with pytest.raises(Exception, match=f"holds the record of {first.stem}"):
        Archive(results).read(second.stem)


def test_the_advice_on_a_broken_archive_of_imported_runs_works(isoloss, tmp_path):
    written(tmp_path / "runs.jsonl")
    assert isoloss("import", "runs.jsonl", "--loss", "loss", "--out", "own").code == 0
    (tmp_path / "own" / "archive.json").write_text("[]")
    assert "delete this file" in isoloss("runs", "own").err
    (tmp_path / "own" / "archive.json").unlink()
    assert len(isoloss("runs", "own", "--json").json["runs"]) == len(ROWS)


def test_the_advice_on_a_broken_archive_works(isoloss, results):
    (results / "archive.json").write_text("{")
    output = isoloss("runs", "results")
    assert output.code == 1
    assert "delete this file" in output.err
    (results / "archive.json").unlink()
    assert Archive(results).folder == results
    assert len(isoloss("runs", "results", "--json").json["runs"]) == 8


@pytest.mark.parametrize("verb", [["runs"], ["report"], ["fit"]])
def test_no_advice_names_an_option_that_the_verb_lacks(isoloss, results, verb):
    shutil.rmtree(results / "runs")
    (results / "runs").write_text("no folder")
    output = isoloss(*verb, "results")
    assert output.code in (1, 2)
    assert "--out" not in output.err.replace("isoloss run STUDY --out DIR", "")


@pytest.mark.parametrize(
    "change",
    [
        {"params": {}}, {"params": {"E": {"value": "x"}}}, {"law": "kaplan"}, {"law": []}, {"group": 5}, {"domain": {}},
        {"seed": True}, {"warnings": [{}]}, {"rmse": None}, {"bytes_per_token": 0}, {"objective": "x"}, {"fixed": "E"},
        {"params": {name: {"value": -1e300} for name in ("E", "A", "B", "alpha", "beta")}}, {"starts": 10**400},
    ],
)  # fmt: skip
def test_a_law_that_is_none_is_refused(isoloss, law, change):
    law.write_text(json.dumps(json.loads(law.read_text()) | change))
    output = isoloss("plan", "text", "--law", "law.json", "--flops", "1e12")
    assert output.code == 2
    assert "law.json" in output.err


def test_draws_that_are_text_missing_or_no_numbers_are_refused(isoloss, law):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = law.with_name("law.draws.parquet")
    draws = pq.read_table(path)
    for column in (pa.array(["x"] * 5), pa.array([float("nan")] * 5), pa.array([[1.0]] * 5)):
        pq.write_table(draws.set_column(0, "E", column), path)
        assert isoloss("plan", "text", "--law", "law.json", "--flops", "1e12").code == 2
    pq.write_table(draws.drop_columns(["E"]), path)
    assert isoloss("plan", "text", "--law", "law.json", "--flops", "1e12").code == 2


def test_imported_runs_without_names_are_damage(isoloss, results):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (results / "imported").mkdir()
    pq.write_table(pa.table({"x": [1]}), results / "imported" / "import1-x.parquet")
    output = isoloss("runs", "results")
    assert output.code == 1
    assert "import1-x.parquet" in output.err


def test_a_surrogate_and_a_nested_column_as_group_are_refused(tmp_path, isoloss):
    import pyarrow as pa
    import pyarrow.parquet as pq

    written(tmp_path / "runs.jsonl", group="\ud800x")
    assert isoloss("fit", "runs.jsonl", "--loss", "loss", "--group", "g").code == 2
    base = {"params": [float(n) for n, _ in ROWS], "tokens": [float(d) for _, d in ROWS], "loss": [2.0] * len(ROWS)}
    for column in ([[1]] * 20, [{"a": 1}] * 20, [b"\xe9"] * 20):
        pq.write_table(pa.table({**base, "g": column}), tmp_path / "runs.parquet")
        output = isoloss("fit", "runs.parquet", "--loss", "loss", "--group", "g")
        assert output.code == 2
        assert "column g" in output.err


def test_a_condition_is_no_program(tmp_path, isoloss):
    written(tmp_path / "runs.jsonl")
    for where in ("true; SELECT 1 AS a", "true UNION ALL BY NAME SELECT 1 AS x", "(((", "\udcff"):
        assert isoloss("fit", "runs.jsonl", "--loss", "loss", "--where", where).code == 2


@pytest.mark.parametrize(
    "rules",
    ["S -> 'a' [1e999999999]", f"S -> 'a' [{'9' * 6000}/{'9' * 6000}]",
     f"S -> {'S ' * 5000}[0.1] | 'a' [0.9]"],
)  # fmt: skip
def test_grammars_whose_numbers_or_rules_have_no_end_are_refused(tmp_path, isoloss, rules):
    (tmp_path / "g.pcfg").write_text(rules)
    assert isoloss("grammar", "describe", "--family", "explicit", "--file", "g.pcfg").code == 2


@pytest.mark.parametrize(
    "options",
    [
        ["hierarchical", "--depth", "16", "--vocabulary", "2", "--synonyms", "2", "--branching", "16"],
        ["hierarchical", "--depth", "2", "--vocabulary", "500", "--synonyms", "99999", "--branching", "2"],
        ["zipf", "--nonterminals", "1000", "--terminals", "10", "--max-rules", "1000", "--max-rhs", "1000"],
    ],
)
def test_families_beyond_bounds_are_refused(isoloss, options):
    assert isoloss("grammar", "describe", "--family", *options).code == 2
