"""Methods against tables: every method on the same ones, as many at a time as there are cores."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from isoloss.arena.floorbench import floorbench
from isoloss.arena.referee import Limits, run_method
from isoloss.arena.scores import Entry, score
from isoloss.arena.tasks import Task, bundled, held_out, simulated
from isoloss.core.errors import InputError
from isoloss.core.machine import over_cores
from isoloss.runs.observations import Observations

REPEATS = 4


def all_tasks(*, repeats: int, seed: int, published: Iterable[tuple[str, Observations]] = ()) -> tuple[Task, ...]:
    """Return the tables of all tracks. `published` are named tables, as of `isoloss.published.studies.runs_of`."""
    return (
        *floorbench(seed=seed), *simulated(repeats=repeats, seed=seed), *held_out(bundled(), "runs", seed=seed),
        *held_out(published, "published", seed=seed),
    )  # fmt: skip


def compete(sources: Sequence[Path], tasks: Sequence[Task], *, limits: Limits) -> Iterator[Entry]:
    """Yield the scores of every method, named by its file and in this order, each in one thread of its own process.

    Raises InputError for two files of one name: their rows could not be distinguished.
    """
    names = [source.stem for source in sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two methods called {twice[0]!r}", fix="give one of the files another name")
    found = over_cores(partial(run_method, tasks=tasks, limits=limits), sources)
    for source, answers in zip(sources, found, strict=True):
        yield score(source.stem, tasks, answers)
