"""Methods against tables: every method on the same ones, one after another."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from isoloss.arena.floorbench import floorbench
from isoloss.arena.referee import Limits, run_method
from isoloss.arena.scores import Entry, score
from isoloss.arena.tasks import Task, real, simulated
from isoloss.core.errors import InputError

REPEATS = 4


def all_tasks(*, repeats: int, seed: int) -> tuple[Task, ...]:
    """Return the tables of all tracks."""
    return (*floorbench(seed=seed), *simulated(repeats=repeats, seed=seed), *real(seed=seed))


def compete(sources: Sequence[Path], tasks: Sequence[Task], *, limits: Limits | None = None) -> Iterator[Entry]:
    """Yield the scores of every method, named by its file, as soon as it is done.

    Raises InputError for two files of one name: their rows could not be distinguished.
    """
    names = [source.stem for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two methods called {twice[0]!r}", fix="give one of the files another name")
    for source in sources:
        yield score(source.stem, tasks, run_method(source, tasks, limits=limits))
