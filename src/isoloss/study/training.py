"""Train what an archive lacks, with progress: the one place where a study meets an executor."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from isoloss.core.numbers import percent
from isoloss.core.progress import Progress, Task
from isoloss.execution import Executor
from isoloss.runs.archive import Archive
from isoloss.runs.damage import mend
from isoloss.runs.shapes import count
from isoloss.runs.spec import RunSpec
from isoloss.study.run_plan import arithmetic_warnings, seconds_per_token
from isoloss.training.events import Advanced, Note, RunEnded
from isoloss.training.job import TrunkJob, trunk_jobs

if TYPE_CHECKING:
    from isoloss.study.board import Board


def train_missing(
    specs: Sequence[RunSpec], archive: Archive, *, executor: Executor, progress: Progress,
    names: Mapping[str, str] | None = None, board: "Board | None" = None,
) -> None:  # fmt: skip
    """Train every run that `archive` has no usable record of; the others are not touched.

    What is damaged in the archive is named, and repaired or trained again. `names` are of corpora by fingerprint;
    `board` takes the curves along as TensorBoard reads them.
    """
    for damage in mend(archive, [spec.fingerprint for spec in specs]):
        progress.note(str(damage))
    missing = [spec for spec in specs if not archive.has(spec.fingerprint)]
    if len(missing) < len(specs):
        progress.note(f"{len(specs) - len(missing)} of {len(specs)} runs are in the archive already")
    if not missing:
        return
    for warning in arithmetic_warnings(missing[0].numerics):
        progress.note(warning)
    jobs = trunk_jobs(missing)
    costs = {job.trunk: seconds_per_token(job) for job in jobs}
    with progress.task("training", total=sum(job.tokens * costs[job.trunk] for job in jobs)) as task:
        watch = _Watch(jobs, costs, task, progress, runs=len(missing), names=names or {})
        hearers = [watch.hear, *([board.hear] if board else [])]

        def tell(event: Advanced | RunEnded | Note) -> None:
            for hear in hearers:
                hear(event)

        with board or nullcontext():
            for _ in executor.run(jobs, archive, on_event=tell):
                pass


class _Watch:
    """Turns events of workers into progress: work is weighed by what a token of each size costs."""

    def __init__(
        self, jobs: Sequence[TrunkJob], costs: dict[str, float], task: Task, progress: Progress, *, runs: int,
        names: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.costs, self.task, self.progress, self.runs = costs, task, progress, runs
        self.tokens = dict.fromkeys((job.trunk for job in jobs), 0)
        self.titles = {job.trunk: _title(job.specs[0], names) for job in jobs}
        self.lengths = {spec.fingerprint: spec.train_tokens for job in jobs for spec in job.specs}
        self.running: dict[str, Advanced] = {}
        self.ended: Counter[str] = Counter()
        self.noted: dict[str, str] = {}

    def hear(self, event: Advanced | RunEnded | Note) -> None:
        """Show one event."""
        match event:
            case Advanced():
                done = max(event.tokens, self.tokens[event.trunk])
                self.running[event.trunk] = event
                self._advance((done - self.tokens[event.trunk]) * self.costs[event.trunk])
                self.tokens[event.trunk] = done
                if done >= event.total_tokens:
                    self.running.pop(event.trunk)
                self.task.show([_row(self.titles[trunk], last) for trunk, last in self.running.items()])
            case RunEnded():
                self.ended[event.status] += 1
                self.progress.note(f"{self.titles[event.trunk]}, {self.lengths[event.run]:,} tokens: {event.status}")
                self.progress.log_line(f"run {event.run}: {event.status}")
                self._advance(0)
            case Note() if self.noted.get(event.trunk) != event.text:  # a trunk that waits says so again and again
                self.noted[event.trunk] = event.text
                self.progress.note(f"{self.titles[event.trunk]}: {event.text}")
                self.progress.log_line(f"trunk {event.trunk}: {event.text}")

    def _advance(self, amount: float) -> None:
        ended = ", ".join(f"{count} {status}" for status, count in self.ended.items()) or "0 finished"
        speed = sum(event.tokens_per_second for event in self.running.values())
        self.task.advance(amount, detail=f"{ended} of {self.runs} runs, {speed:,.0f} tokens/s")


def _title(spec: RunSpec, names: Mapping[str, str]) -> str:
    """Return what people call a trunk: corpus and size."""
    return f"{names.get(spec.corpus, spec.corpus)}, {count(spec.model).params():,} parameters"


def _row(title: str, event: Advanced) -> dict[str, str]:
    left = (event.total_tokens - event.tokens) / event.tokens_per_second if event.tokens_per_second else None
    return {
        "trunk": title,
        "done": percent(round(event.tokens / event.total_tokens, 2)),
        "loss, nats": "–" if event.loss_nats is None else f"{event.loss_nats:.3f}",
        "tokens/s": f"{event.tokens_per_second:,.0f}",
        "left": "–" if left is None else str(timedelta(seconds=round(left))),
    }
