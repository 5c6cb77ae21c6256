"""What comes from outside is bounded: refused within moments, in a sentence, with exit code 2."""

import json
import os
import signal
import subprocess
import sys

import pytest

TABLE = "params,tokens,loss\n" + "".join(
    f"{10 ** (6 + i % 4)},{10 ** (7 + i % 5)},{2 + 1 / (1 + i)}\n" for i in range(20)
)
COLUMNS = ["--params", "params", "--tokens", "tokens", "--loss", "loss"]
GRAMMAR = {"family": '"random"', "nonterminals": 3, "terminals": 20, "max_rules": 2, "max_rhs": 2, "seed": 1}


def study(*, grammar=None, seed="1", tokens="[5e4, 1e5]", context="64", rate="5e-3", schema="1", more=""):
    rules = ", ".join(f"{key} = {value}" for key, value in (GRAMMAR | (grammar or {})).items())
    return (
        f'schema = {schema}\nname = "x"\nseed = {seed}\n[[corpus]]\nname = "a"\nsource = "pcfg"\ntokens = 1000000\n'
        f"grammar = {{ {rules} }}\n[grid]\nparams = [1e4, 3e4]\ntokens = {tokens}\ncontext = {context}\n[training]\n"
        f"batch_tokens = 1024\npeak_lr = {rate}\n[complexity]\nsequence_tokens = 64\n{more}"
    )


def test_the_study_that_the_others_are_changes_of_is_valid(tmp_path, isoloss):
    (tmp_path / "study.toml").write_text(study())
    assert isoloss("check", str(tmp_path / "study.toml")).code == 0


@pytest.mark.parametrize(
    "text",
    [
        study(grammar={"terminals": 10**8}),
        study(grammar={"nonterminals": 10**9}),
        study(grammar={"max_rules": 10**9}),
        study(grammar={"max_rhs": 10**9}),
        study(grammar={"nonterminals": 1000, "terminals": 100_000}),
        study(more="[fit]\nbootstrap = 1_000_000_000_000\n"),
        study(rate="1e300"),
        study(seed="9" * 100_000),
        study(context="'64'"),
        study(tokens="[true]"),
        study(schema="true"),
        "a = " + "[" * 100_000,
        "a" + ".a" * 100_000 + " = 1",
        study(grammar={"seed": 10**30}),
        study(context=str(10**9)),
        study(rate="{ at_params = 1e-320, value = 1, exponent = 2 }"),
        study(tokens="[1e300]"),
    ],
    ids=[
        "terminals",
        "nonterminals",
        "rules",
        "lengths",
        "cells",
        "draws",
        "rate",
        "digits",
        "text",
        "truth",
        "schema",
        "deep",
        "key",
        "whole",
        "context",
        "rule",
        "tokens",
    ],
)
def test_studies_beyond_bounds_or_of_the_wrong_kind_are_refused(tmp_path, isoloss, text):
    (tmp_path / "study.toml").write_text(text)
    done = isoloss("check", str(tmp_path / "study.toml"))
    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.jsonl", b"[" * 100_000 + b"\n"),
        ("loss.csv", TABLE.encode() + b"1e6,1e7,1e-320\n"),
        ("size.csv", TABLE.encode() + b"1e-320,1e7,2\n"),
        ("wide.csv", ",".join(f"c{i}" for i in range(100_000)).encode() + b"\n"),
    ],
)
def test_tables_beyond_bounds_are_refused(tmp_path, isoloss, name, content):
    (tmp_path / name).write_bytes(content)
    done = isoloss("fit", str(tmp_path / name), *COLUMNS)
    assert done.code == 2
    assert name in done.err


def test_a_group_that_is_no_utf8_is_refused_with_its_column(tmp_path, isoloss):
    rows = [line.encode() + b",a\xe9\n" for line in TABLE.splitlines()[1:]]
    (tmp_path / "runs.csv").write_bytes(b"params,tokens,loss,g\n" + b"".join(rows))
    done = isoloss("fit", str(tmp_path / "runs.csv"), *COLUMNS, "--group", "g")
    assert done.code == 2
    assert "column g" in done.err


def test_a_chain_of_thousands_of_rules_is_refused(tmp_path, isoloss):
    rules = "".join(f"A{i} -> 'a' A{i + 1} [1.0]\n" for i in range(3000)) + "A3000 -> 'b' [1.0]\n"
    (tmp_path / "chain.pcfg").write_text(rules)
    assert isoloss("grammar", "describe", "--family", "explicit", "--file", str(tmp_path / "chain.pcfg")).code == 2


@pytest.mark.parametrize("call", [["check"], ["plan", __file__, "--flops", "1e12", "--law"], ["fit"]])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, isoloss, call):
    os.mkfifo(tmp_path / "pipe.csv")
    done = isoloss(*call, str(tmp_path / "pipe.csv"), *(COLUMNS if call == ["fit"] else []))
    assert done.code == 2
    assert "pipe" in done.err


def test_many_sizes_close_together_are_many_sizes(tmp_path, isoloss):
    sizes = [1e6 * 1.003**i for i in range(1500)]
    runs = [(n, 1e9 * 1.7 ** (i % 9)) for i, n in enumerate(sizes)]
    rows = "".join(f"{n:.8g},{d:.8g},{1.8 + 480 / n**0.35 + 2100 / d**0.37:.9f}\n" for n, d in runs)
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n" + rows)
    found = isoloss("fit", str(tmp_path / "runs.csv"), *COLUMNS, "--json").json["fits"][0]
    assert "narrow_grid" not in [warning["code"] for warning in found["warnings"]]


def test_a_full_device_is_said_without_a_traceback(tmp_path):
    (tmp_path / "runs.csv").write_text(TABLE)
    command = [sys.executable, "-m", "isoloss", "fit", str(tmp_path / "runs.csv"), *COLUMNS]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_while_modules_load_ends_the_process(number, code):
    # The signal comes as the first module of a verb is imported: main has begun, nothing runs yet.
    script = (
        "import os, sys, signal\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'isoloss.cli.fit': os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['isoloss', '--version']\n"
        "from isoloss.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_python_m_isoloss_is_the_command():
    done = subprocess.run([sys.executable, "-m", "isoloss", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("isoloss ")


def test_json_errors_stay_json_for_what_is_refused(tmp_path, isoloss):
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    assert json.loads(isoloss("check", str(tmp_path / "deep.toml"), "--json").out)["error"]["kind"]


@pytest.mark.parametrize(
    "asked", [("fit", "--bootstrap"), ("isoflop", "--draws"), ("explore", "--bootstrap"), ("measure", "--samples")]
)
def test_no_interval_has_a_billion_draws(tmp_path, isoloss, asked):
    verb, option = asked
    (tmp_path / "runs.csv").write_text("params,tokens,loss_nats\n1e7,1e9,3\n")
    output = isoloss(verb, str(tmp_path / "runs.csv"), option, "1000000000000")
    assert output.code == 2
    assert "1000000" in output.err


@pytest.mark.parametrize(
    "options",
    [["--tolerance", "nan"], ["--tolerance", "-1"], ["--noise", "-1"], ["--noise", "inf"], ["--budgets", "1e300"]],
)
def test_options_of_isoflop_that_are_no_numbers_of_theirs_are_refused(tmp_path, isoloss, options):
    (tmp_path / "runs.csv").write_text(TABLE)
    done = isoloss("isoflop", "runs.csv", *COLUMNS, *options)
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("options", [["--predict", "1e300,1e300"], ["--fix", "E=1e308"], ["--frontier", "1e-300"]])
def test_numbers_beyond_those_of_any_run_are_refused(tmp_path, isoloss, options):
    (tmp_path / "runs.csv").write_text(TABLE)
    assert isoloss("fit", "runs.csv", *COLUMNS, *options).code == 2


def test_a_law_without_noise_is_fitted_without_a_word_of_numpy(tmp_path, isoloss):
    runs = [(10 ** (6 + i % 4), 10 ** (8 + i % 6)) for i in range(24)]
    rows = "".join(f"{n},{d},{1.8 + 480 / n**0.35 + 2100 / d**0.37:.6f}\n" for n, d in runs)
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n" + rows)
    done = isoloss("fit", "runs.csv", *COLUMNS, "--bootstrap", "3")  # warnings are errors in tests
    assert done.code == 0


def test_a_study_that_begins_with_a_byte_order_mark_is_read(tmp_path, isoloss):
    (tmp_path / "study.toml").write_text("\ufeff" + study(), encoding="utf-8")
    assert isoloss("check", str(tmp_path / "study.toml")).code == 0


@pytest.mark.parametrize("step", ['"x"', "null", "1e400", "[1]", "[" * 100_000])
def test_a_trainers_state_with_another_step_is_read_or_refused(tmp_path, isoloss, step):
    folder = tmp_path / "run" / "checkpoint-1"
    folder.mkdir(parents=True)
    state = '{"log_history": [{"step": 4, "eval_loss": 3.0}], "global_step": ' + step + "}"
    (folder / "trainer_state.json").write_text(state)
    done = isoloss("import", "run", "--params", "5e7", "--batch-tokens", "10", "--json")
    assert done.code == (2 if step[1:2] == "[" else 0)
    assert done.code == 2 or done.json["runs"][0]["tokens"] == 40


@pytest.mark.parametrize("shape", [{"hidden_size": "a"}, {}, {"hidden_size": [1]}])
def test_a_shape_that_is_none_is_said_in_a_line(tmp_path, isoloss, shape):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trainer_state.json").write_text('{"log_history": [{"step": 4, "eval_loss": 3.0}]}')
    wrong = {"model_type": "llama", "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
             "vocab_size": 8, "max_position_embeddings": 8, **shape}  # fmt: skip
    (tmp_path / "run" / "config.json").write_text(json.dumps(wrong))
    done = isoloss("import", "run", "--batch-tokens", "10")
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert "pydantic" not in done.err


@pytest.mark.parametrize("name", ["runs.csv", "run/trainer_state.json"])
def test_a_pipe_among_logs_is_refused_and_not_waited_for(tmp_path, isoloss, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    done = isoloss("import", name.partition("/")[0], "--params", "5e7", "--tokens", "1e9")
    assert done.code == 2
    assert "pipe" in done.err
