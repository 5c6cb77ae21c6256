"""Work is visible: progress with time left on a terminal, silence in a pipe, and a log in every case."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from isoloss.core.files import storage_errors
from isoloss.core.numbers import percent
from isoloss.core.shown import shown

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Task(Protocol):
    """One piece of work with a known total."""

    def advance(self, amount: float, *, detail: str | None = None) -> None:
        """Say that `amount` more of the total is done; `detail` replaces the text next to the bar."""

    def show(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Show what is being worked on: a row each, its columns by name. Later rows replace these."""


class Progress(Protocol):
    """Where work reports to."""

    def note(self, text: str) -> None:
        """Tell one line: what starts, what ended, what went wrong."""

    def log_line(self, text: str) -> None:
        """Add a line to the log alone."""

    def task(self, title: str, *, total: float) -> AbstractContextManager[Task]:
        """Show work of `total` units while the block runs."""


class _NoTask:
    def advance(self, amount: float, *, detail: str | None = None) -> None:
        del amount, detail

    def show(self, rows: Sequence[Mapping[str, str]]) -> None:
        del rows


class Quiet:
    """Progress for pipes and libraries: nothing on the terminal, lines in `log` where one is given."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log

    def note(self, text: str) -> None:
        """Add the line to the log."""
        self.log_line(text)

    def log_line(self, text: str) -> None:
        """Add the line to the log, whatever stands in it as one."""
        if self.log is None:
            return
        with storage_errors(self.log):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {shown(text)}\n")

    @contextmanager
    def logged(self, title: str) -> Iterator[None]:
        """Log the start and the end of the block."""
        started = time.monotonic()
        self.log_line(f"{title}: started")
        yield
        self.log_line(f"{title}: done in {time.monotonic() - started:.1f} s")

    @contextmanager
    def task(self, title: str, *, total: float) -> Iterator[Task]:
        """Log the start and the end."""
        del total
        with self.logged(title):
            yield _NoTask()


QUIET = Quiet()


# A line so often where nobody watches a bar move.
PLAIN_SECONDS = 30.0


class Lines(Quiet):
    """Progress for pipes that somebody reads: notes and now and then how far it is, a line each on `target`."""

    def __init__(self, target: TextIO, log: Path | None = None) -> None:
        super().__init__(log)
        self.target = target

    def note(self, text: str) -> None:
        """Write the line, and log it."""
        super().note(text)
        print(shown(text), file=self.target, flush=True)

    @contextmanager
    def task(self, title: str, *, total: float) -> Iterator[Task]:
        """Log the start and the end, and tell in between."""
        with self.logged(title):
            yield _PlainTask(self, title, total)


class _PlainTask(_NoTask):
    def __init__(self, progress: Lines, title: str, total: float) -> None:
        self.progress, self.title, self.total = progress, title, total
        self.done, self.detail, self.reported = 0.0, "", time.monotonic()

    def advance(self, amount: float, *, detail: str | None = None) -> None:
        self.done += amount
        self.detail = self.detail if detail is None else detail
        if time.monotonic() - self.reported >= PLAIN_SECONDS:
            self.reported = time.monotonic()
            share = self.done / self.total if self.total else 1.0
            print(
                shown(f"{self.title}: {percent(round(share, 2))}, {self.detail}"), file=self.progress.target, flush=True
            )


class _Bar:
    def __init__(self, bars: "Bars", bar: "TaskID") -> None:
        self.bars = bars
        self.bar = bar
        self.rows: Sequence[Mapping[str, str]] = ()

    def show(self, rows: Sequence[Mapping[str, str]]) -> None:
        self.rows = list(rows)

    def __rich__(self) -> "Group":
        """Return the bar, and below it what is being worked on."""
        from rich import box
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        if not self.rows:
            return Group(self.bars)
        table = Table(*self.rows[0], box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in self.rows:
            table.add_row(*(escape(shown(cell)) for cell in row.values()))
        return Group(self.bars, table)

    def advance(self, amount: float, *, detail: str | None = None) -> None:
        self.bars.advance(self.bar, amount)
        if detail is not None:
            self.bars.update(self.bar, detail=shown(detail))


class Live(Quiet):
    """Progress for people: bars with time left on `console`, and the log."""

    def __init__(self, console: "Console", log: Path | None = None) -> None:
        super().__init__(log)
        self.console = console

    def note(self, text: str) -> None:
        """Print the line above the bar, and log it."""
        super().note(text)
        self.console.print(shown(text), highlight=False, markup=False)

    @contextmanager
    def task(self, title: str, *, total: float) -> Iterator[Task]:
        """Show a bar with the share done, time spent and time left."""
        from rich.live import Live as Lines
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
        )  # fmt: skip
        bars = Bars(*columns, console=self.console)
        bar = _Bar(bars, bars.add_task(shown(title), total=total, detail=""))
        with self.logged(title), Lines(bar, console=self.console, transient=True, refresh_per_second=4):
            yield bar
