"""Hostile inputs end in a sentence: the first of those that `make fuzz` tries."""

import random

import pytest
from fuzz_drive import Outcome, call, run, wrong
from fuzz_main import MAKERS

FEW = 24


def test_a_few_hostile_inputs_of_every_kind_are_answered():
    assert misbehaved(first=0) == []


@pytest.mark.slow
def test_more_hostile_inputs_of_every_kind_are_answered():
    assert misbehaved(first=FEW) == []


def misbehaved(*, first):
    """Return what is wrong with the answers to some inputs, of all kinds in turn."""
    tried, failures = run(MAKERS, seed=1, seconds=3600, most=FEW, first=first)
    assert tried.total() == FEW
    assert tried.keys() == MAKERS.keys()
    return [(failure.room, failure.number, failure.arguments, failure.reason) for failure in failures]


def test_the_same_seed_makes_the_same_input(tmp_path):
    for room, maker in MAKERS.items():
        made = []
        for again in ("1", "2"):
            folder = tmp_path / room / again
            folder.mkdir(parents=True)
            arguments = maker(random.Random(5), folder)
            made.append((arguments, {path.name: path.read_bytes() for path in folder.rglob("*.toml")}))
        assert made[0] == made[1], room


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(None, "", "ValueError: x", 0, 0), "traceback"), (Outcome(3, "", "", 0, 0), "exit code"),
        (Outcome(0, "", "", 11, 0), " s"), (Outcome(0, "", "", 0, 3 << 30), "GB"), (Outcome(0, "\x1b", "", 0, 0),
        "control"),
        (Outcome(2, "", "", 0, 0), "without a word"), (Outcome(1, "", "error: x", 0, 0), None),
    ],
)  # fmt: skip
def test_what_no_call_may_do_is_seen(outcome, reason):
    found = wrong(["fit"], outcome)
    assert (found is None) if reason is None else (reason in found)
    assert "no JSON" in wrong(["fit", "--json"], Outcome(0, "{} {}", "", 0, 0))


def test_an_exception_is_seen_as_a_traceback(tmp_path, monkeypatch):
    from isoloss import cli

    monkeypatch.setattr(cli, "run", lambda arguments: 1 / 0)
    assert "ZeroDivisionError" in wrong([], call([], tmp_path))
