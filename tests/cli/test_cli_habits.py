"""Habits that people expect of a command line: quiet when asked, a sign of life in a pipe, completion, headings."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from typer.main import get_command

from isoloss import cli
from isoloss.cli import output
from isoloss.cli.panels import VERBS

SOURCE = Path(cli.__file__).parents[1]
LONGEST = 60  # seconds after which a thread that has not spoken never will


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


class Heard(io.StringIO):
    """A pipe that tells when something was written."""

    def __init__(self):
        super().__init__()
        self.event = Event()

    def write(self, text):
        written = super().write(text)
        self.event.set()
        return written


def test_every_verb_takes_quiet_and_json():
    for name, command in commands(get_command(cli.registered())):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--quiet", "-q", "--json"} <= options, name


def test_every_verb_stands_under_a_heading():
    assert set(get_command(cli.registered()).commands) == set(VERBS)


def test_quiet_leaves_the_result_and_nothing_else(isoloss):
    described = isoloss("new", "mine", "--quiet")
    assert (described.code, described.err) == (0, "")
    assert "mine.toml" in described.out
    assert output.asked_quiet
    assert type(output.open_progress(as_json=False)).__name__ == "Quiet"
    isoloss("new", "other")
    assert not output.asked_quiet  # of the command that runs, not of those that follow


def test_long_work_in_a_pipe_gives_a_sign_and_short_work_does_not(monkeypatch):
    pipe = Heard()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(output, "asked_quiet", False)
    with output.first_sign("fit", silent=False, after=0):
        assert pipe.event.wait(LONGEST)
    assert "isoloss fit" in pipe.getvalue()
    short = Heard()
    monkeypatch.setattr(sys, "stderr", short)
    with output.first_sign("fit", silent=False, after=LONGEST):
        pass
    with output.first_sign("fit", silent=True, after=0):
        pass
    assert short.getvalue() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_verbs(shell):
    typed = {"COMP_WORDS": "isoloss pl", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "isoloss pl",
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
    asked = {**os.environ, **typed, "_ISOLOSS_COMPLETE": f"complete_{shell}"}
    described = subprocess.run([sys.executable, "-m", "isoloss"], env=asked, capture_output=True, text=True)
    assert "plan" in described.stdout, described.stderr


def test_no_message_sends_a_reader_to_a_page_that_a_wheel_does_not_carry():
    found = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        owners = (ast.Module, ast.ClassDef, ast.FunctionDef)
        nodes = [node for node in ast.walk(tree) if isinstance(node, owners) and node.body]
        # A docstring is for readers of the code, but those of verbs are their help.
        described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        if path.parent.name == "cli":
            described -= {
                id(n.body[0].value) for n in nodes if isinstance(n, ast.FunctionDef) and isinstance(n.body[0], ast.Expr)
            }
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        found += [f"{path.name}:{n.lineno}" for n in texts if "docs/" in n.value and id(n) not in described]
    assert found == []
    templates = [path for path in SOURCE.rglob("*.toml") if "docs/" in path.read_text(encoding="utf-8")]
    assert templates == []
