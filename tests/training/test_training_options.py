"""What a study may ask of the loop beyond its default: decay without the rate, micro-batches, recomputation, z-loss."""

import numpy as np
import pytest
import torch

from isoloss.corpus.corpus import Corpus
from isoloss.runs.archive import Archive
from isoloss.runs.spec import ModelSpec, Numerics, Optimiser
from isoloss.training.data import TrainingWindows
from isoloss.training.job import TrunkJob
from isoloss.training.loop import Trainer
from isoloss.training.worker import run_trunk
from tiny_training import CONTEXT, tiny_spec, write_corpus


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(Archive(tmp_path))


def trained(corpus: Corpus, spec, steps=6):
    trainer = Trainer(spec, TrainingWindows(corpus, spec))
    for _ in range(steps):
        trainer.advance(spec)
    return trainer


def changed(spec, **fields):
    return type(spec)(**(spec.model_dump() | {name: value.model_dump() for name, value in fields.items()}))


def decays(spec, corpus):
    """Return by what factor decay alone shrinks a weight in the first step: gradients of zero change nothing else."""
    trainer = Trainer(spec, TrainingWindows(corpus, spec))
    before = trainer.optimiser.matrices.detach().clone()
    for vector in (trainer.optimiser.matrices, trainer.optimiser.gains):
        vector.grad.zero_()
    trainer.optimiser.step(learning_rate=spec.optimiser.peak_lr / 2)
    held = before != 0
    return (trainer.optimiser.matrices.detach()[held] / before[held]).median().item()


def test_independent_decay_follows_the_schedule_and_not_the_rate(corpus):
    for peak_lr in (1e-2, 1e-3):
        for independent, expected in ((False, 1 - 0.1 * peak_lr / 2), (True, 1 - 0.1 / 2)):
            optimiser = Optimiser(peak_lr=peak_lr, weight_decay=0.1, independent_decay=independent)
            factor = decays(changed(tiny_spec(), optimiser=optimiser), corpus)
            assert factor == pytest.approx(expected, abs=1e-6)  # a rounding of float32 at 1


@pytest.mark.parametrize(
    "numerics",
    [
        Numerics(micro_batch_tokens=CONTEXT),
        Numerics(micro_batch_tokens=2 * CONTEXT, threads=2),
        Numerics(recompute=True),
    ],
    ids=["a window at a time", "two windows, two threads", "recomputed"],
)
@pytest.mark.parametrize("family", ["llama", "openlm"])
def test_how_a_batch_passes_through_changes_no_loss(corpus, numerics, family):
    spec = tiny_spec()
    spec = changed(spec, model=ModelSpec(**(spec.model.model_dump() | {"family": family})))
    whole, parts = trained(corpus, spec), trained(corpus, changed(spec, numerics=numerics))
    np.testing.assert_allclose(parts.step_losses, whole.step_losses, atol=2e-5)  # float32 sums in another order


def test_the_penalty_is_minimised_and_not_reported(corpus):
    plain = tiny_spec(40)
    heavy = changed(plain, optimiser=Optimiser(peak_lr=1e-2, z_loss=0.1))
    without, under = trained(corpus, plain, steps=40), trained(corpus, heavy, steps=40)
    assert under.step_losses[0] == without.step_losses[0]
    assert without.step_losses != under.step_losses

    def log_z(trainer):
        with torch.no_grad():
            return trainer.model.logits(trainer.data.batch(0)).logsumexp(dim=-1).square().mean().item()

    assert log_z(under) < log_z(without) / 2


def test_a_record_says_where_its_time_went(tmp_path):
    archive = Archive(tmp_path)
    write_corpus(archive)
    specs = [tiny_spec(steps) for steps in (20, 60)]
    first, second = run_trunk(TrunkJob(tuple(specs)), archive)
    # 16 steps of trunk and 4 of cooldown; then 32 more steps of trunk and 12 of cooldown.
    assert (first.timing.steps, second.timing.steps) == (20, 44)
    for record in (first, second):
        parts = record.timing
        spent = parts.data_seconds + parts.pass_seconds + parts.update_seconds + parts.heldout_seconds
        assert 0 < parts.batch_seconds < record.wall_seconds
        assert 0 < spent <= record.wall_seconds
    assert archive.table()["pass_seconds"].to_pylist()[0] > 0


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_a_compiled_model_is_that_of_autograd_to_the_last_bit(corpus, tied, dtype):
    spec = tiny_spec()
    model = ModelSpec(**(spec.model.model_dump() | {"tied": tied}))
    penalised = Optimiser(peak_lr=1e-2, z_loss=0.01)
    trainer = trained(corpus, changed(spec, model=model, numerics=Numerics(dtype=dtype), optimiser=penalised), steps=2)
    loss = trainer.accumulate_gradients()  # the gradients of another batch are there already
    found = [weight.grad.clone() for weight in trainer.model.parameters()]
    trainer.optimiser.zero_gradients()
    objective, nats = trainer.model(trainer.data.batch(2), 0.01)
    (objective / trainer.scored).backward()
    assert all(torch.equal(one, weight.grad) for one, weight in zip(found, trainer.model.parameters(), strict=True))
    assert loss == pytest.approx(nats.item() / trainer.scored, rel=1e-6)  # autograd's loss is one float32
