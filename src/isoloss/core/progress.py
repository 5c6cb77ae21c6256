"""Work is visible: progress with time left on a terminal, silence in a pipe, and a log in every case."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from isoloss.core.files import storage_errors

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Task(Protocol):
    """One piece of work with a known total."""

    def advance(self, amount: float, *, detail: str | None = None) -> None:
        """Say that `amount` more of the total is done; `detail` replaces the text beside the bar."""


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


class Quiet:
    """Progress for pipes and libraries: nothing on the terminal, lines in `log` where one is given."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log

    def note(self, text: str) -> None:
        """Add the line to the log."""
        self.log_line(text)

    def log_line(self, text: str) -> None:
        """Add the line to the log."""
        if self.log is None:
            return
        with storage_errors(self.log):
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

    @contextmanager
    def task(self, title: str, *, total: float) -> Iterator[Task]:
        """Log the start and the end."""
        del total
        started = time.monotonic()
        self.note(f"{title}: started")
        yield _NoTask()
        self.note(f"{title}: done in {time.monotonic() - started:.1f} s")


QUIET = Quiet()


class _Bar:
    def __init__(self, bars: "Bars", bar: "TaskID") -> None:
        self.bars = bars
        self.bar = bar

    def advance(self, amount: float, *, detail: str | None = None) -> None:
        self.bars.advance(self.bar, amount)
        if detail is not None:
            self.bars.update(self.bar, detail=detail)


class Live(Quiet):
    """Progress for people: bars with time left on `console`, and the log."""

    def __init__(self, console: "Console", log: Path | None = None) -> None:
        super().__init__(log)
        self.console = console

    def note(self, text: str) -> None:
        """Print the line above the bar, and log it."""
        super().note(text)
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def task(self, title: str, *, total: float) -> Iterator[Task]:
        """Show a bar with the share done, time spent and time left."""
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("[dim]{task.fields[detail]}"),
        )  # fmt: skip
        started = time.monotonic()
        super().note(f"{title}: started")
        with Bars(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(title, total=total, detail="")
            yield _Bar(bars, bar)
        super().note(f"{title}: done in {time.monotonic() - started:.1f} s")
