"""Errors that say what was found, what was expected and what to do.

Two families reach the command line: `InputError` (the call or its input is wrong, exit 2) and `WorkError` (the work
itself failed, exit 1). Everything else is a defect of ours and keeps its traceback.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import TypeVar

T = TypeVar("T")

MOST_NAMES = 20  # known ones that an error lists
MOST_LETTERS = 80  # of a name in a list
MOST_COMPARED = 2_000  # names that are searched for the nearest: comparing takes a tenth of a millisecond each


class IsolossError(Exception):
    """An error for people: `message` says what was found and expected, `place` where, `fix` what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, place: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.fix = fix

    @property
    def kind(self) -> str:
        """The class name, as printed under `error.kind` by `--json`."""
        return type(self).__name__

    @property
    def reason(self) -> str:
        """What was found and what to do about it, in one line."""
        return f"{self.message}; {self.fix}" if self.fix else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only fields must survive the trip between processes.
        return (_rebuild, (type(self), self.message, self.place, self.fix))

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        remedy = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{where}{self.message}{remedy}"


def _rebuild(cls: type[IsolossError], message: str, place: str | None, fix: str | None) -> IsolossError:
    return cls(message, place=place, fix=fix)


class InputError(IsolossError):
    """The call or its input is wrong; nothing was done. Exit code 2."""

    exit_code = 2


class UnknownName(InputError):
    """A name nobody registered; the message lists the known ones and the nearest."""


class BadStudy(InputError):
    """A study file that cannot be read as one."""


class BadModel(InputError):
    """A folder that holds no model that can be read."""


class BadCorpus(InputError):
    """A source that cannot become a corpus."""


class BadTable(InputError):
    """A table of runs that cannot be fitted."""


class BadGrammar(InputError):
    """A grammar that cannot be built, read or sampled."""


class NewerArchive(InputError):
    """A file written by a newer version of isoloss than this one."""


class WorkError(IsolossError):
    """The work was rightly asked for and failed. Exit code 1."""

    exit_code = 1


class StorageError(WorkError):
    """The disk is full, or a folder may not be written."""


class DamagedArchive(WorkError):
    """A file of the archive is not what was written there."""


class Unidentified(WorkError):
    """The runs do not determine the quantity that was asked for."""


class NotApplicable(Unidentified):
    """The law says nothing about the quantity that was asked for, whatever the runs."""


class NothingFound(WorkError):
    """A search ended without what was wanted; the message names the closest."""


class BelowFloor(WorkError):
    """A loss better than the best possible one: an error of the laboratory."""


def identified(ask: Callable[[], T]) -> T | None:
    """Return what `ask` returns, None where the runs do not determine it."""
    try:
        return ask()
    except Unidentified:
        return None


class Interrupted(WorkError):
    """Somebody stopped the work."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, in letters of whatever case, or None where nothing is close."""
    by_letters = {each.casefold().strip(): each for each in reversed(list(known)[:MOST_COMPARED])}
    close = get_close_matches(name[:MOST_LETTERS].casefold().strip(), list(by_letters), n=1, cutoff=0.5)
    return by_letters[close[0]] if close else None


def guess_of(name: str, known: Iterable[str]) -> str:
    """Return the question whether the closest known name is meant, nothing where none is close."""
    close = nearest(name, known)
    return f"did you mean {close!r}? " if close else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the fix line for an unknown name: the nearest known one first, then all of them.

    Of more than a reader looks through, the nearest few stand for all.
    """
    names = sorted(each for each in known if each.strip())
    guess = guess_of(name, names)
    if len(names) <= MOST_NAMES:
        return f"{guess}known: {', '.join(_short(each) for each in names) if names else 'none'}"
    listed = nearest_few(name, names)
    return f"{guess}known: {', '.join(map(_short, listed))} and {len(names) - len(listed):,} more"


def require_known(name: str, known: Iterable[str], *, what: str, place: str | None = None) -> None:
    """Raise InputError for a name that is not among the known ones: an unknown `what`."""
    known = list(known)
    if name not in known:
        raise InputError(f"unknown {what} {name!r}", place=place, fix=did_you_mean(name, known))


def require_columns(names: Iterable[str], known: Iterable[str], *, place: str | None = None) -> None:
    """Raise BadTable for the first of the names that is no known column."""
    known = list(known)
    for name in names:
        if name not in known:
            raise BadTable(f"no column {name!r}", place=place, fix=did_you_mean(name, known))


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[:MOST_LETTERS]}…"


def nearest_few(name: str, names: Sequence[str]) -> list[str]:
    """Return the names that are most like one, the likest first: by letters, or by a word that both hold."""
    name = name[:MOST_LETTERS]
    words = set(_words(name))

    def likeness(other: str) -> float:
        shared = len(words & set(_words(other)))
        return shared + SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return sorted(names[:MOST_COMPARED], key=lambda other: (-likeness(other), other))[:MOST_NAMES]


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
