"""Train what an archive lacks, with progress: the one place where a study meets an executor."""

from collections import Counter
from collections.abc import Sequence

from isoloss.core.progress import Progress, Task
from isoloss.execution import Executor
from isoloss.runs.archive import Archive
from isoloss.runs.damage import mend
from isoloss.runs.spec import RunSpec
from isoloss.study.plan import seconds_per_token
from isoloss.training.events import Advanced, Note, RunEnded
from isoloss.training.job import TrunkJob, trunk_jobs


def train_missing(specs: Sequence[RunSpec], archive: Archive, *, executor: Executor, progress: Progress) -> None:
    """Train every run that `archive` has no usable record of; the others are not touched.

    What is damaged in the archive is named, and repaired or trained again.
    """
    for damage in mend(archive, [spec.fingerprint for spec in specs]):
        progress.note(str(damage))
    missing = [spec for spec in specs if not archive.has(spec.fingerprint)]
    if len(missing) < len(specs):
        progress.note(f"{len(specs) - len(missing)} of {len(specs)} runs are in the archive already")
    if not missing:
        return
    jobs = trunk_jobs(missing)
    costs = {job.trunk: seconds_per_token(job) for job in jobs}
    with progress.task("training", total=sum(job.tokens * costs[job.trunk] for job in jobs)) as task:
        watch = _Watch(jobs, costs, task, progress, runs=len(missing))
        for _ in executor.run(jobs, archive, on_event=watch.hear):
            pass


class _Watch:
    """Turns events of workers into progress: work is weighed by what a token of each size costs."""

    def __init__(
        self, jobs: Sequence[TrunkJob], costs: dict[str, float], task: Task, progress: Progress, *, runs: int
    ) -> None:
        self.costs, self.task, self.progress, self.runs = costs, task, progress, runs
        self.tokens = dict.fromkeys((job.trunk for job in jobs), 0)
        self.speeds: dict[str, float] = {}
        self.ended: Counter[str] = Counter()

    def hear(self, event: Advanced | RunEnded | Note) -> None:
        """Show one event."""
        match event:
            case Advanced():
                done = max(event.tokens, self.tokens[event.trunk])
                self.speeds[event.trunk] = event.tokens_per_second
                self._advance((done - self.tokens[event.trunk]) * self.costs[event.trunk])
                self.tokens[event.trunk] = done
                if done >= event.total_tokens:
                    self.speeds.pop(event.trunk)
            case RunEnded():
                self.ended[event.status] += 1
                self.progress.log_line(f"run {event.run}: {event.status}")
                self._advance(0)
            case Note():
                self.progress.note(f"{event.trunk}: {event.text}")

    def _advance(self, amount: float) -> None:
        ended = ", ".join(f"{count} {status}" for status, count in self.ended.items()) or "0 finished"
        speed = sum(self.speeds.values())
        self.task.advance(amount, detail=f"{ended} of {self.runs} runs, {speed:,.0f} tokens/s")
