"""A study really trained by `isoloss run` with its options: event files, and the grid again at other rates."""

from pathlib import Path

import pytest

from isoloss.runs.archive import Archive

STUDY = """
schema = 1
name = "tiny"
seed = 3

[[corpus]]
name = "language"
source = "pcfg"
tokens = 60_000
heldout_tokens = 4_096
grammar = { family = "random", nonterminals = 4, terminals = 10, max_rules = 8, max_rhs = 5, seed = 2 }

[complexity]
measures = ["gzip"]
sequence_tokens = 64

[grid]
params = [5e3, 8e3, 1.4e4]
tokens = [8e3, 1.6e4, 3.2e4]
context = 64

[training]
batch_tokens = 512
warmup_tokens = 2048
peak_lr = { at_params = 1e4, value = 1e-2 }
rate_arms = [0.5, 2]

[fit]
laws = ["chinchilla"]
bootstrap = 0
"""


@pytest.mark.slow
def test_event_files_hold_the_curves_and_the_page_says_how_the_answer_moves_with_the_rate(isoloss, tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tiny.toml").write_text(STUDY)
    output = isoloss("run", "tiny.toml", "--out", "out", "--tensorboard", "--json")
    assert output.code == 0, output.err
    assert output.json["runs"]["finished"] == 27

    _curves_are_read_by_tensorboard(tmp_path / "out")
    _rates_were_trained(tmp_path / "out")

    variants = {variant["rate_factor"]: variant for variant in output.json["rate_arms"]}
    own = output.json["laws"][0]["exponent_a"]["value"]
    assert set(variants) == {0.5, 2.0}
    cells = _variant_row(Path(output.json["report"]).with_suffix(".md").read_text())
    exponents = [variants[0.5]["exponent_a"]["value"], own, variants[2.0]["exponent_a"]["value"]]
    assert [float(cell.split()[0]) for cell in cells[1:4]] == pytest.approx(exponents, abs=0.005)  # two decimals
    moved = sorted((exponents[0] - own, exponents[2] - own))
    assert [float(x) for x in cells[7].replace("−", "-").split(",")] == pytest.approx(moved, abs=0.005)


def _variant_row(page):
    """Return the cells of the only corpus in the table of rates."""
    lines = page.splitlines()
    (header,) = (number for number, line in enumerate(lines) if "rate × 0.5" in line and line.startswith("|"))
    return [cell.strip() for cell in lines[header + 2].strip("|").split("|")]


def _curves_are_read_by_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    archive, found = Archive(folder), set()
    for run in (folder / "tensorboard" / "runs").iterdir():
        record = archive.read("run1-" + run.name.rpartition("run1-")[2])
        curve = archive.read_columns("curves", record.fingerprint)
        events = EventAccumulator(str(run)).Reload()
        scalars = events.Scalars("loss/train")
        assert [point.step for point in scalars] == curve["tokens"].tolist()
        assert [point.value for point in scalars] == pytest.approx(curve["train_nats"].tolist(), rel=1e-6)  # float32
        assert events.Scalars("loss/heldout")[-1].value == pytest.approx(record.loss.nats, rel=1e-6)
        found.add(record.fingerprint)
    assert found == {record.fingerprint for record in archive.records()}


def _rates_were_trained(folder):
    rates = {}
    for record in Archive(folder).records():
        rates.setdefault(record.counts.params("with_head"), set()).add(record.spec.optimiser.peak_lr)
    for peak in rates.values():
        low, own, high = sorted(peak)
        assert (low / own, high / own) == (pytest.approx(0.5), pytest.approx(2))


@pytest.mark.parametrize(
    ("study", "option", "why"),
    [
        ("grid", ("--address", "auto"), "the executor is local"),
        ("grid", ("--executor", "ray", "--launch", "--nnodes 2"), "the executor is ray"),
        ("evaluate", ("--tensorboard",), "trains nothing"),
        ("evaluate", ("--executor", "ray"), "trains nothing"),
        ("evaluate", ("--until", "fit"), "trains nothing"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(isoloss, tmp_path, study, option, why):
    text = STUDY if study == "grid" else STUDY.partition("[grid]")[0] + '[evaluate]\nmodels = ["folder"]\n'
    (tmp_path / "tiny.toml").write_text(text)
    output = isoloss("run", "tiny.toml", *option)
    assert output.code == 2
    assert why in output.err
    assert next(name for name in reversed(option) if name.startswith("--") and " " not in name) in output.err
