"""The command line as a user has it: its streams and its exit code."""

import json
from dataclasses import dataclass

import pytest

from isoloss import cli


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one JSON object on standard output."""
        return json.loads(self.out)


@pytest.fixture
def isoloss(tmp_path, monkeypatch, capsys):
    """Run `isoloss` with arguments in an empty folder; an unexpected exception fails the test with its traceback."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Outcome(code, told.out, told.err)

    return call
