"""The command line as a user has it: its streams and its exit code."""

import json
from dataclasses import dataclass
from functools import cache

import jsonschema
import pytest

from isoloss import cli
from isoloss.cli.schema import schemas


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str
    verb: str

    @property
    def json(self):
        """The one JSON object on standard output, which holds what the verb's schema requires."""
        found = json.loads(self.out)
        schema(self.verb).validate(found)
        return found


@cache
def schema(verb):
    # A word that is no verb ends in an error, which is the same for all.
    known = schemas()
    return jsonschema.Draft202012Validator(json.loads(known.get(verb, known["new"])))


def verb_of(arguments):
    """The verb as its schema is called: fit, grammar_search."""
    verb, *others = [argument for argument in arguments if not argument.startswith("-")]
    return f"grammar_{others[0]}" if verb == "grammar" else verb


@pytest.fixture
def isoloss(tmp_path, monkeypatch, capsys):
    """Run `isoloss` with arguments in an empty folder; an unexpected exception fails the test with its traceback."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        typed = [str(argument) for argument in arguments]
        code = cli.run(typed)
        output = capsys.readouterr()
        return Outcome(code, output.out, output.err, verb_of([*typed, "none"]))

    return call
