"""What programs read: every verb's `--json`, from a small study to a plan, holds what its schema promises."""

import json

import jsonschema
import numpy as np
import pytest
from typer.main import get_command

from isoloss import cli
from isoloss.cli.schema import schemas

STUDY = """
schema = 1
name = "tiny"
seed = 3

[[corpus]]
name = "language"
source = "pcfg"
tokens = 40_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["gzip"]
sequence_tokens = 64

[grid]
params = [4e3, 6e3, 9e3]
tokens = [8e3, 1.6e4, 3.2e4]
context = 64

[training]
batch_tokens = 512
peak_lr = { at_params = 1e4, value = 1e-2 }
keep_weights = true

[fit]
laws = ["chinchilla"]
bootstrap = 20
"""
GRAMMAR = ["--nonterminals", 4, "--terminals", 10, "--max-rules", 8, "--max-rhs", 5]


def verbs():
    """Every verb there is, as its schema is called."""
    for name, verb in get_command(cli.registered()).commands.items():
        yield from (f"{name}_{below}" for below in verb.commands) if hasattr(verb, "commands") else [name]


def table(path):
    """A grid of runs with noise, and a budget of every size."""
    generator = np.random.default_rng(0)
    lines = ["n,d,loss,g,gzip"]
    for corpus, gzip in (("a", 0.2), ("b", 0.3), ("c", 0.4)):
        for n in (1e6, 3e6, 1e7, 3e7, 1e8):
            for budget in (3e15, 1e16, 3e16, 1e17, 3e17):
                loss = 1 + gzip + 400 * n**-0.34 + 500 * (budget / 6 / n) ** -0.3
                lines.append(f"{n},{budget / 6 / n},{loss * np.exp(generator.normal(0, 0.002))},{corpus},{gzip}")
    path.write_text("\n".join(lines) + "\n")


def test_every_verb_has_a_schema_and_no_schema_is_without_a_verb():
    assert sorted(schemas()) == sorted(verbs())
    for text in schemas().values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.slow
def test_from_a_study_to_a_plan_every_output_is_what_its_schema_says(isoloss, tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    table(tmp_path / "runs.csv")
    (tmp_path / "text.txt").write_text(" ".join(str(i * i % 9973) for i in range(20_000)))
    seen = set()

    def call(*arguments):
        output = isoloss(*arguments, "--json")
        assert output.code in (0, 1), output.out
        seen.add(output.verb)
        assert output.json.get("error") is None
        return output.json

    call("new", "fresh")
    call("check", "tiny.toml")
    call("run", "tiny.toml")
    call("report", "results/tiny")
    (first, *_) = call("runs", "results/tiny")["runs"]
    call("next", "tiny.toml", "--flops", "1e9")
    call("export", "results/tiny", first["run"], "--out", "model")
    call("count", "gzip-4M")
    (corpus,) = (tmp_path / "results" / "tiny" / "corpora").iterdir()
    call("push", corpus, "--out", "given")
    call("measure", "text.txt", "--measure", "gzip,unigram", "--placebo", "--samples", 50)
    columns = ["--params", "n", "--tokens", "d", "--group", "g"]
    call("fit", "runs.csv", *columns, "--loss", "loss", "--complexity", "gzip", "--bootstrap", 20, "--out", "law.json",
         "--frontier", "1e17", "--predict", "1e8,1e9", "--profile", "alpha", "--backtest", "flops")  # fmt: skip
    call("isoflop", "runs.csv", *columns, "--loss", "loss", "--noise", 0.002, "--draws", 20)
    call("import", "runs.csv", *columns, "--loss", "loss")
    call("plan", "text.txt", "--flops", "1e11")
    call("grammar", "describe", *GRAMMAR, "--floor")
    call("grammar", "sample", *GRAMMAR, "--tokens", 20_000, "--out", "drawn")
    call("grammar", "search", "--gzip", 0.35, "--tolerance", 0.05)
    call("grammar", "score", "model", *GRAMMAR, "--grammar-seed", 2, "--documents", 4, "--context", 64)
    call("explore", "law.1.json", "--out", "page.html")
    call("schema")
    # The study that is shipped; published data, which are not; and two verbs that files of their own call.
    assert seen == set(verbs()) - {"demo", "reproduce", "arena", "tune"}
