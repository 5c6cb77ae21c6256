"""The command line as a user has it: a process, its streams, its exit code."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest


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
def isoloss(tmp_path):
    """Run `isoloss` with arguments in an empty folder."""

    def call(*arguments, timeout=240, cwd=tmp_path, **options):
        done = subprocess.run(
            [sys.executable, "-m", "isoloss.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            check=False,
            **options,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call
