"""Records of a trunk's runs, whatever became of them."""

import shutil
import time
import traceback
from pathlib import Path

from isoloss.core.errors import BelowFloor
from isoloss.corpus.corpus import Corpus
from isoloss.models.folder import write_folder
from isoloss.runs.archive import Archive
from isoloss.runs.documents import NO_DOCUMENTS, DocumentLosses
from isoloss.runs.flags import flags_of, loss_of
from isoloss.runs.record import Loss, RunRecord, Status
from isoloss.runs.shapes import count
from isoloss.runs.spec import RunSpec
from isoloss.training.curve import curve_columns
from isoloss.training.events import Report, RunEnded
from isoloss.training.loop import Diverged, Trainer
from isoloss.training.provenance import provenance


class Recorder:
    """Writes the records of the runs a trainer trains. A run's wall seconds are those since the record before it."""

    def __init__(self, trainer: Trainer, archive: Archive, corpus: Corpus, report: Report) -> None:
        self.trainer, self.archive, self.corpus, self.report = trainer, archive, corpus, report
        self.last = time.perf_counter()

    def finished(self, spec: RunSpec, losses: DocumentLosses) -> None:
        """Record a run that came to its end. Raises BelowFloor, the run recorded as failed, for an impossible loss."""
        floor_nats = self.corpus.document_floor
        try:
            loss = loss_of(losses, floor_nats=floor_nats)
        except BelowFloor as error:
            self.failed(spec, error)
            raise BelowFloor(error.message, place=f"run {spec.fingerprint}", fix=error.fix) from error
        flags = flags_of(
            losses, unigram_nats=self.corpus.unigram_nats, floor_nats=floor_nats, spec=spec,
            step_losses=self.trainer.step_losses,
        )  # fmt: skip
        if self.archive.keeps_weights:
            self.keep_weights(spec)
        self.write(spec, "finished", flags=flags, loss=loss, losses=losses)

    def keep_weights(self, spec: RunSpec) -> None:
        """Write the weights as they are next to the record that is to come."""
        folder = self.archive.weights_folder(spec.fingerprint)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it wrote the record
        write_folder(self.trainer.whole_model(), folder)

    def diverged(self, spec: RunSpec, error: Diverged) -> None:
        """Record a run that broke down."""
        self.write(spec, "diverged", flags=("diverged",), error=str(error))

    def failed(self, spec: RunSpec, error: Exception) -> None:
        """Record a run that ended in an error, with where it arose."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        self.write(spec, "failed", error=f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})")

    def write(
        self, spec: RunSpec, status: Status, *, flags: tuple[str, ...] = (), loss: Loss | None = None,
        losses: DocumentLosses | None = None, error: str | None = None,
    ) -> None:  # fmt: skip
        """Write a record, its curve and its documents, and tell of it."""
        now = time.perf_counter()
        elapsed, self.last = now - self.last, now
        record = RunRecord(
            fingerprint=spec.fingerprint, trunk=spec.trunk, spec=spec, counts=count(spec.model), status=status,
            flags=flags, loss=loss, wall_seconds=elapsed, train_seconds=self.trainer.train_seconds,
            timing=self.trainer.clock.lap(), provenance=provenance(), error=error,
        )  # fmt: skip
        heldout_nats = dict(self.trainer.heldout_nats)
        if loss is not None:
            heldout_nats[self.trainer.step] = loss.nats
        self.archive.write(
            record, curve=curve_columns(spec, self.trainer.step_losses, heldout_nats),
            documents=losses.columns() if losses else NO_DOCUMENTS,
        )  # fmt: skip
        self.report(RunEnded(trunk=spec.trunk, run=spec.fingerprint, status=status))
