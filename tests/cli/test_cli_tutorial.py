"""The tutorial is followed to the letter: files are written, commands run, and what it shows is what they print."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sampling import WHOLE

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-study.md"
FENCE = re.compile(r'^```(console|\w+ title="(?P<file>[^"]+)")\n(?P<body>.*?)^```$', re.MULTILINE | re.DOTALL)
TRAINED = (
    "run",
    "runs",
    "plan",
    "next",
)  # verbs whose numbers come from trained models: machines differ in last digits
NUMBER = re.compile(r"[-+−]?(\d[\d,]*)?\.?\d+(e[-+]?\d+)?")


@dataclass(frozen=True)
class Step:
    """A file to write, or a command and what the page shows of its output."""

    file: str = ""
    content: str = ""
    command: str = ""
    shown: str = ""


def steps():
    for fence in FENCE.finditer(PAGE.read_text(encoding="utf-8")):
        if fence["file"]:
            yield Step(file=fence["file"], content=fence["body"])
            continue
        for part in re.split(r"^\$ ", fence["body"], flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Step(command=command, shown=shown)


@pytest.fixture
def environment(tmp_path):
    """A shell's, in which `isoloss` is this checkout."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "isoloss"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m isoloss "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"}


def words(text, *, masked):
    """Return the text with its white space folded and, where `masked`, every number as #."""
    return " ".join((NUMBER.sub("#", text) if masked else text).split())


def assert_shown(step, printed):
    """What stands between the ellipses of `shown` is in `printed`, in that order."""
    masked = step.command.split()[1] in TRAINED
    output, at = words(printed, masked=masked), 0
    for piece in step.shown.split("…"):
        wanted = words(piece, masked=masked)
        found = output.find(wanted, at)
        assert found >= 0, f"{step.command}\nshown:   {wanted}\nprinted: {output[at:]}"
        at = found + len(wanted)


def shorten(study):
    """Let a study train a third of its tokens, as sampled tests do."""
    text = study.read_text(encoding="utf-8")
    for longer, shorter in (
        ("flops = [3e9, 2.4e10]", "flops = [1e9, 8e9]"),
        ("least_tokens = 2e4", "least_tokens = 1e4"),
    ):
        assert longer in text
        text = text.replace(longer, shorter)
    study.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_the_tutorial_can_be_followed_as_it_stands(tmp_path, environment):
    folder = tmp_path
    for step in steps():
        if step.file:
            (folder / step.file).write_text(step.content, encoding="utf-8")
        elif step.command.startswith("cd "):
            folder /= step.command.removeprefix("cd ")
        else:
            if step.command == "isoloss run first.toml" and not WHOLE:
                shorten(folder / "first.toml")
            ran = subprocess.run(["bash", "-c", step.command], cwd=folder, env=environment, capture_output=True,
                                 encoding="utf-8")  # fmt: skip
            assert ran.returncode == 0, f"{step.command}\n{ran.stderr}"
            if step.shown:
                assert_shown(step, ran.stdout)
    assert (folder / "results" / "first" / "report" / "report.html").exists()
    assert '[[run]]\ncorpus = "python"' in (folder / "more.toml").read_text(encoding="utf-8")


def test_the_tutorial_shows_every_verb_that_it_promises():
    verbs = [step.command.split()[1] for step in steps() if step.command.startswith("isoloss ")]
    assert verbs == ["measure", "new", "check", "run", "runs", "fit", "plan", "next"]
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text(encoding="utf-8"))
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
