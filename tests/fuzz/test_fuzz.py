"""Hostile inputs end in a sentence: a few of every kind, and where time is plenty a tenth of what `make fuzz` tries."""

import random

import pytest
from fuzz_drive import Outcome, call, run, wrong
from fuzz_main import MAKERS

FEW, TENTH = 8, 200


@pytest.mark.parametrize("room", MAKERS)
def test_a_few_hostile_inputs_of_every_kind_are_answered(room):
    _, failures = run({room: MAKERS[room]}, seed=2, seconds=600, most=FEW, every_apart=FEW)
    assert [(failure.number, failure.arguments, failure.reason) for failure in failures] == []


@pytest.mark.slow
def test_a_tenth_of_the_hostile_inputs_is_answered():
    tried, failures = run(MAKERS, seed=3, seconds=3600, most=TENTH)
    assert tried.total() == TENTH
    assert [(failure.room, failure.number, failure.arguments, failure.reason) for failure in failures] == []


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
