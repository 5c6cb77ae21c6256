"""Train one trunk with its branches: what is missing in the archive, and nothing twice.

A trunk trains at the stable rate. Where a run leaves it, the state is set aside, the run cools down on the data that
come next, is scored and recorded, and the trunk goes on from the state set aside. Under `cosine` a run is all branch,
under `constant` a branch has no steps.

Checkpoints follow the clock and change no number: the steps after one are the same to the last bit.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from isoloss.core.errors import IsolossError
from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.record import RunRecord
from isoloss.runs.rules import branch_step
from isoloss.runs.spec import RunSpec
from isoloss.runs.underway import note_job, note_progress
from isoloss.training.checkpoint import Checkpoints, UnusableCheckpoint
from isoloss.training.curve import heldout_marks
from isoloss.training.data import HeldoutWindows, TrainingWindows
from isoloss.training.events import Advanced, JobProgress, Note, Report
from isoloss.training.job import CHECKPOINT_SECONDS, Stopped, TrunkJob, check_enough_windows
from isoloss.training.loop import Diverged, Snapshot, Trainer
from isoloss.training.recording import Recorder


def run_trunk(
    job: TrunkJob,
    archive: Archive,
    *,
    report: Report = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> list[RunRecord]:
    """Train the runs of `job` that the archive lacks, from the last checkpoint, and return the records of all of them.

    A run that breaks down is recorded as diverged; an error within training records the rest of the job as failed, with
    the reason. Raises Stopped when `stop` says so, between two steps; BadCorpus where the corpus is too small; and
    StorageError where the archive cannot be written.
    """
    pending = [spec for spec in job.specs if not archive.has(spec.fingerprint)]
    if pending:
        corpus = Corpus.open(archive.corpus_folder(pending[0].corpus))
        check_enough_windows(pending, corpus)
        work = TrunkWork(job, archive, corpus, report=report, stop=stop, checkpoint_seconds=checkpoint_seconds)
        try:
            work.train(pending)
        except (IsolossError, Stopped, MemoryError):
            raise
        except Exception as error:  # whatever torch may throw ends this trunk, not the study
            work.write_failures(pending, error)
        work.progress.ended()
        work.checkpoints.remove()
    return [record for spec in job.specs if (record := archive.read(spec.fingerprint)) is not None]


class TrunkWork:
    """One trunk being trained in this process. Processes that train one together make their parts in other ways."""

    def __init__(
        self, job: TrunkJob, archive: Archive, corpus: Corpus, *, report: Report, stop: Callable[[], bool],
        checkpoint_seconds: float,
    ) -> None:  # fmt: skip
        first = job.specs[0]
        self.job, self.archive, self.report, self.stop = job, archive, report, stop
        self.trainer = self.make_trainer(first, corpus)
        self.heldout = HeldoutWindows(corpus, context=first.model.context)
        self.heldout_steps = heldout_marks(
            steps=branch_step(job.specs[-1]), batch_tokens=first.batch_tokens,
            heldout_tokens=len(self.heldout) * first.model.context,
        )  # fmt: skip
        self.recorder = self.make_recorder(corpus)
        self.checkpoints = self.make_checkpoints(archive.checkpoint_folder(job.trunk), checkpoint_seconds)
        self.progress = JobProgress(job, self.report_progress)
        self.stepped = False

    def make_trainer(self, spec: RunSpec, corpus: Corpus) -> Trainer:
        """Return what takes the steps."""
        return Trainer(spec, TrainingWindows(corpus, spec))

    def make_recorder(self, corpus: Corpus) -> Recorder:
        """Return what writes the records."""
        return Recorder(self.trainer, self.archive, corpus, self.report)

    def make_checkpoints(self, folder: Path, every_seconds: float) -> Checkpoints:
        """Return what keeps the state."""
        return Checkpoints(folder, every_seconds=every_seconds)

    def note_begun(self, pending: Sequence[RunSpec]) -> None:
        """Write down which runs are to come, for whoever looks into the archive."""
        note_job(self.checkpoints.folder, pending)

    def train(self, pending: Sequence[RunSpec]) -> None:
        """Train and record every pending run, in the order in which they leave the trunk."""
        self.note_begun(pending)
        self.progress.count_finished(spec for spec in self.job.specs if spec not in pending)
        self._resume(branch_step(pending[0]))
        for done, spec in enumerate(pending):
            try:
                self._trunk_to(branch_step(spec), spec)
            except Diverged as error:
                for lost in pending[done:]:
                    self.recorder.diverged(lost, error)
                return
            self._branch(spec)
            self.progress.count_finished([spec])

    def write_failures(self, pending: Sequence[RunSpec], error: Exception) -> None:
        """Record the runs that have no record yet as failed."""
        for spec in pending:
            if not self.archive.has(spec.fingerprint):
                self.recorder.failed(spec, error)

    def _resume(self, first_branch: int) -> None:
        """Go to the trunk's last checkpoint, unless a pending run leaves the trunk before it."""
        saved = self._load("trunk", self.job.trunk)
        if saved is not None and saved.step <= first_branch:
            self.trainer.restore(saved)
            self._note(f"the trunk continues from step {saved.step}")

    def _trunk_to(self, step: int, spec: RunSpec) -> None:
        while self.trainer.step < step:
            self._stop_here_if_asked(lambda: self._save_trunk(self.trainer.snapshot()))
            self._advance(spec)
            if self.trainer.step in self.heldout_steps:
                self.trainer.heldout_nats[self.trainer.step] = self._score().mean().value
            if self.checkpoints.due():
                self._save_trunk(self.trainer.snapshot())

    def _branch(self, spec: RunSpec) -> None:
        """Train a run from its branch to its end, record it, and put the trunk back where it was."""
        left_at = self.trainer.snapshot()
        try:
            self._branch_steps(spec, left_at)
            losses = self._score()
            self.trainer.check_final(losses.mean().value)
        except Diverged as error:
            self.recorder.diverged(spec, error)
        else:
            self.recorder.finished(spec, losses)
        self.trainer.restore(left_at)
        self._note_reached()

    def _branch_steps(self, spec: RunSpec, left_at: Snapshot) -> None:
        saved = self._load("branch", spec.fingerprint)
        if saved is not None:
            self.trainer.restore(saved)
            self._note(f"a branch continues from step {saved.step}")
        while self.trainer.step < spec.steps:
            self._stop_here_if_asked(lambda: self._save_branch(spec, left_at))
            self._advance(spec)
            if self.checkpoints.due():
                self._save_branch(spec, left_at)

    def _advance(self, spec: RunSpec) -> None:
        if not self.stepped:
            self.stepped = True
            self._note_repeated()
        self.trainer.advance(spec)
        self._note_reached()
        self.progress.step(step=self.trainer.step, loss_nats=self.trainer.step_losses[-1])

    def _note_repeated(self) -> None:
        """Say what a process that was killed had trained beyond the state from which this one goes on."""
        before = self.checkpoints.last_reached()
        if before is not None and before.step > self.trainer.step:
            seconds = before.train_seconds - self.trainer.train_seconds
            self._note(
                f"{before.step - self.trainer.step} steps ({seconds:.3f} s) are trained again: the last process ended "
                f"without a checkpoint, which was due every {before.interval:.3f} s"
            )

    def _note_reached(self) -> None:
        self.checkpoints.note_reached(self.trainer.step, self.trainer.train_seconds)

    def _load(self, which: str, identity: str) -> Snapshot | None:
        try:
            return self.checkpoints.load(which, identity)
        except UnusableCheckpoint as error:
            self._note(f"checkpoint ignored: {error}; training continues from before it")
            return None

    def _save_trunk(self, snapshot: Snapshot) -> None:
        self.checkpoints.save("trunk", self.job.trunk, snapshot)

    def _save_branch(self, spec: RunSpec, left_at: Snapshot) -> None:
        """Save the branch, and where the trunk stood when it left: without that, the trunk would be trained again."""
        self._save_trunk(left_at)
        self.checkpoints.save("branch", spec.fingerprint, self.trainer.snapshot())

    def _stop_here_if_asked(self, save: Callable[[], None]) -> None:
        if self.stop():
            save()
            raise Stopped(f"trunk {self.job.trunk} at step {self.trainer.step}")

    def _score(self) -> DocumentLosses:
        with self.trainer.clock.timing("heldout"):
            return self.trainer.score(self.heldout)

    def report_progress(self, event: Advanced) -> None:
        """Tell who started this, and whoever looks into the archive."""
        note_progress(self.checkpoints.folder, event)
        self.report(event)

    def _note(self, text: str) -> None:
        self.report(Note(trunk=self.job.trunk, text=text))
