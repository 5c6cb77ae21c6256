"""One run on many processes: a trunk trained as in `worker`, its weights, its batches and its checkpoints in shards.

Losses are those of one process to rounding: sums are taken in another order.

Legend: B windows, T positions of a window.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from isoloss.corpus.corpus import Corpus
from isoloss.models import empty
from isoloss.models.llama import Llama
from isoloss.models.sharded import ShardedModel
from isoloss.runs.archive import Archive
from isoloss.runs.documents import DocumentLosses
from isoloss.runs.record import Loss, Status
from isoloss.runs.spec import Optimiser, RunSpec
from isoloss.training import sharded_checkpoint
from isoloss.training.checkpoint import Checkpoints, UnusableCheckpoint
from isoloss.training.data import HeldoutWindows, TrainingWindows
from isoloss.training.evaluate import by_document
from isoloss.training.events import Advanced, Report
from isoloss.training.job import TrunkJob, check_equal_parts
from isoloss.training.loop import Snapshot, Trainer
from isoloss.training.optimise import MOMENTS, Place, State, by_name, decay_of, places
from isoloss.training.ranks import Ranks
from isoloss.training.recording import Recorder
from isoloss.training.worker import TrunkWork


def run_sharded_trunk(
    job: TrunkJob, archive: Archive, ranks: Ranks, *, report: Report, stop: Callable[[], bool],
    checkpoint_seconds: float,
) -> None:  # fmt: skip
    """Train the runs of `job` that have no record, together with every other process that calls this.

    `report` and `stop` count on rank 0 alone. Raises InputError where a batch does not fall into equal parts; other
    errors are not recorded here, since a process that fails alone must end for the others to end.
    """
    pending = [spec for spec in job.specs if not ranks.agree(archive.has(spec.fingerprint))]
    if not pending:
        return
    check_equal_parts(pending, processes=ranks.size)
    corpus = Corpus.open(archive.corpus_folder(pending[0].corpus))
    work = ShardedWork(
        job, archive, corpus, ranks, report=report if ranks.first else lambda event: None, stop=stop,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip
    work.train(pending)
    work.progress.ended()
    work.checkpoints.remove()


class ShardedWork(TrunkWork):
    """One trunk being trained by many processes."""

    def __init__(
        self, job: TrunkJob, archive: Archive, corpus: Corpus, ranks: Ranks, *, report: Report,
        stop: Callable[[], bool], checkpoint_seconds: float,
    ) -> None:  # fmt: skip
        self.ranks = ranks
        super().__init__(
            job, archive, corpus, report=report, stop=lambda: ranks.agree(stop()), checkpoint_seconds=checkpoint_seconds
        )

    def make_trainer(self, spec: RunSpec, corpus: Corpus) -> Trainer:
        """Return what takes the steps, this process's windows of each."""
        return ShardedTrainer(spec, RankWindows(corpus, spec, self.ranks), self.ranks)

    def make_recorder(self, corpus: Corpus) -> Recorder:
        """Return what writes the records, on rank 0."""
        return ShardedRecorder(self.trainer, self.archive, corpus, self.report, ranks=self.ranks)

    def make_checkpoints(self, folder: Path, every_seconds: float) -> Checkpoints:
        """Return what keeps the state, every process's share."""
        return ShardedCheckpoints(folder, every_seconds=every_seconds, ranks=self.ranks)

    def note_begun(self, pending: list[RunSpec]) -> None:  # type: ignore[override]
        """Write down which runs are to come, on rank 0."""
        if self.ranks.first:
            super().note_begun(pending)

    def report_progress(self, event: Advanced) -> None:
        """Tell who started this, on rank 0."""
        if self.ranks.first:
            super().report_progress(event)


class RankWindows(TrainingWindows):
    """The training windows of one process: its part of every batch."""

    def __init__(self, corpus: Corpus, spec: RunSpec, ranks: Ranks) -> None:
        super().__init__(corpus, spec)
        self.ranks, self.share = ranks, self.per_batch // ranks.size

    def batch(self, step: int) -> Tensor:
        """Return this process's windows of 0-based `step`: (B / processes, T)."""
        return self.some(step * self.per_batch + self.ranks.rank * self.share, self.share)


class ShardedTrainer(Trainer):
    """A model in training on many processes."""

    def __init__(self, spec: RunSpec, data: RankWindows, ranks: Ranks) -> None:
        self.ranks, self.spec = ranks, spec
        super().__init__(spec, data)

    def prepare(self, spec: RunSpec) -> None:
        """Spread the model over the processes, and make the optimiser of what is here."""
        where = places(self.model)
        self.sharded = ShardedModel(self.model, self.ranks.mesh, spec.numerics)
        self.optimiser = ShardedAdamW(self.sharded, spec.optimiser, where)
        self.summed_nats = self._summed
        self.mean_gradient = self.by_autograd

    def whole_model(self) -> Llama:
        """Return a copy of the model with all its weights, on the CPU of every process, which all must ask for it."""
        whole = empty(self.spec.model, self.spec.numerics.model_copy(update={"device": "cpu"}))
        named = self.sharded.named_weights()
        with torch.no_grad():
            for name, weight in whole.named_parameters():
                shard = named[name]
                weight.copy_(shard.full_tensor() if isinstance(shard, DTensor) else shard)
        return whole

    def _summed(self, tokens_BT: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
        """Return objective and loss; FSDP means gradients over processes, and a sum is wanted."""
        objective, nats = self.sharded(tokens_BT, z_loss)
        return objective * self.ranks.size, nats

    def accumulate_gradients(self) -> float:
        """Add up the gradient of the next batch over passes and processes, and return its mean loss."""
        here = super().accumulate_gradients()
        return float(self.ranks.summed(torch.tensor(here)))

    def score(self, heldout: HeldoutWindows) -> DocumentLosses:
        """Return the loss of every held-out document; the processes score windows in turn, as many passes each."""
        per_pass, size = self.windows_at_once, self.ranks.size
        nats = np.zeros(len(heldout))
        for first in range(0, math.ceil(len(heldout) / size), per_pass):
            index = (first + np.arange(per_pass)) * size + self.ranks.rank
            real = index < len(heldout)
            with torch.no_grad(), self.arithmetic.autocast():
                # A pass takes every process: what lies beyond the end is computed and not counted.
                tokens_BT = heldout.at(np.minimum(index, len(heldout) - 1)).to(self.arithmetic.device)
                nats[index[real]] = self.sharded(tokens_BT, None).sum(dim=1).cpu().numpy()[real]
        # Without a way back the last weights stay gathered, and the next pass would take them for the present ones.
        self.sharded.reshard()
        return by_document(self.ranks.summed(torch.from_numpy(nats)).numpy(), heldout)


class ShardedAdamW:
    """AdamW over the shards that lie here. Its state is by name: `weight.NAME`, `exp_avg.NAME`, …, and `step`."""

    def __init__(self, model: ShardedModel, optimiser: Optimiser, where: Mapping[str, Place]) -> None:
        self.weights = model.named_weights()
        self.where, self.clip_norm = where, optimiser.clip_norm
        matrices, gains = ([w for w in self.weights.values() if (w.ndim > 1) is wanted] for wanted in (True, False))
        groups = [{"params": matrices, "weight_decay": decay_of(optimiser)}, {"params": gains, "weight_decay": 0.0}]
        betas = optimiser.beta1, optimiser.beta2
        self.adamw = torch.optim.AdamW(groups, lr=optimiser.peak_lr, betas=betas, eps=optimiser.eps, fused=False)
        for weight in self.weights.values():
            moments = {moment: torch.zeros_like(weight) for moment in MOMENTS}
            self.adamw.state[weight] = {"step": torch.zeros(()), **moments}

    def zero_gradients(self) -> None:
        """Forget the gradients."""
        self.adamw.zero_grad()

    def step(self, *, learning_rate: float) -> float:
        """Clip by the norm over all processes, take one step, and return the norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.clip_norm)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def state(self) -> State:
        """Return copies of the shards of weights and moments."""
        return {name: tensor.detach().clone() for name, tensor in self._live().items()}

    def restore(self, state: State) -> None:
        """Go back to a `state`, of shards, or whole as one process wrote it."""
        if "matrices" in state:
            state = by_name(state, self.where)
        with torch.no_grad():
            for name, tensor in self._live().items():
                given = state[name]
                if isinstance(tensor, DTensor) and not isinstance(given, DTensor):
                    given = distribute_tensor(given.to(tensor.device), tensor.device_mesh, tensor.placements)
                tensor.copy_(given)
            for weight in self.weights.values():
                self.adamw.state[weight]["step"].copy_(state["step"])

    def _live(self) -> State:
        live: State = {}
        for name, weight in self.weights.items():
            memory = self.adamw.state[weight]
            live["step"] = memory["step"]
            live[f"weight.{name}"] = weight
            live.update({f"{moment}.{name}": memory[moment] for moment in MOMENTS})
        return live


class ShardedCheckpoints(Checkpoints):
    """Checkpoints that every process writes its share of; when one is due, and whether one is sound, all agree."""

    def __init__(self, folder: Path, *, every_seconds: float, ranks: Ranks) -> None:
        super().__init__(folder, every_seconds=every_seconds)
        self.ranks = ranks

    def due(self) -> bool:
        """Whether rank 0 says that the time between two checkpoints has passed."""
        return self.ranks.agree(super().due())

    def write(self, which: str, identity: str, snapshot: Snapshot) -> None:
        """Write every process's shards."""
        sharded_checkpoint.save(self.folder, which, snapshot, identity=identity, ranks=self.ranks)

    def load(self, which: str, identity: str) -> Snapshot | None:
        """Return the snapshot, where every process finds it sound. Raises UnusableCheckpoint on all of them alike."""
        found, trouble = None, ""
        try:
            found = super().load(which, identity)
        except UnusableCheckpoint as error:
            trouble = str(error)
        troubles = [text for text in self.ranks.gathered(trouble) if text]
        if troubles:
            raise UnusableCheckpoint(troubles[0])
        return found if self.ranks.everybody(found is not None) else None

    def note_reached(self, step: int, train_seconds: float) -> None:
        """Write down how far training has come, on rank 0."""
        if self.ranks.first:
            super().note_reached(step, train_seconds)

    def remove(self) -> None:
        """Remove what is needed only to go on, on rank 0, when nobody reads it any more."""
        self.ranks.everybody(True)
        if self.ranks.first:
            super().remove()


class ShardedRecorder(Recorder):
    """Writes on rank 0; the others help to bring the weights together, and write nothing."""

    def __init__(self, trainer: Trainer, archive: Archive, corpus: Corpus, report: Report, *, ranks: Ranks) -> None:
        super().__init__(trainer, archive, corpus, report)
        self.ranks = ranks

    def keep_weights(self, spec: RunSpec) -> None:
        """Write the whole weights, on rank 0."""
        if self.ranks.first:
            super().keep_weights(spec)
        else:
            self.trainer.whole_model()

    def write(
        self, spec: RunSpec, status: Status, *, flags: tuple[str, ...] = (), loss: Loss | None = None,
        losses: DocumentLosses | None = None, error: str | None = None,
    ) -> None:  # fmt: skip
        """Write a record, on rank 0."""
        if self.ranks.first:
            super().write(spec, status, flags=flags, loss=loss, losses=losses, error=error)
