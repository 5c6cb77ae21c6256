"""Many processes that share a model train to the losses of one, and either goes on where the other stopped."""

import pytest

from isoloss.core.errors import InputError
from isoloss.corpus.corpus import Corpus
from isoloss.execution import Where
from isoloss.execution.torchrun import TorchrunExecutor
from isoloss.models.folder import read_folder
from isoloss.runs.archive import Archive
from isoloss.runs.spec import ModelSpec
from isoloss.training import checkpoint
from isoloss.training.data import HeldoutWindows
from isoloss.training.evaluate import heldout_losses
from isoloss.training.job import Stopped, trunk_jobs
from isoloss.training.numerics import Arithmetic
from isoloss.training.worker import run_trunk
from sampling import long
from tiny_training import tiny_spec, write_corpus

pytestmark = pytest.mark.slow

# Sums over processes are taken in another order; 2e-8 seen after 30 steps.
TOLERANCE = 1e-4


@pytest.fixture
def new_archive(tmp_path_factory):
    def make():
        archive = Archive(tmp_path_factory.mktemp("archive"))
        write_corpus(archive)
        return archive

    return make


def openlm(steps):
    spec = tiny_spec(steps, width=16, depth=2, seed=1)
    model = ModelSpec(**{**spec.model.model_dump(), "family": "openlm", "qk_norm": True})
    return spec.model_copy(update={"model": model})


def losses(archive):
    return {record.fingerprint: (record.status, record.loss and record.loss.nats) for record in archive.records()}


def assert_equal_to_rounding(found, expected):
    assert set(found) == set(expected)
    for run, (status, nats) in expected.items():
        assert found[run] == (status, pytest.approx(nats, abs=TOLERANCE))


def stopped_after(archive, job, steps):
    seen = []
    with pytest.raises(Stopped):
        run_trunk(job, archive, stop=lambda: len(seen) == steps or seen.append(1))


def test_two_processes_train_to_the_losses_of_one_and_take_over_from_it(new_archive):
    specs = [tiny_spec(steps, width=16, depth=2) for steps in (10, 30)]
    jobs = trunk_jobs([*specs, openlm(12)])
    alone, together = new_archive(), new_archive()
    for job in jobs:
        run_trunk(job, alone)
    (job,) = (job for job in jobs if len(job.specs) == 2)
    stopped_after(together, job, 5)  # by one process
    events = []
    records = list(TorchrunExecutor(Where(workers=2)).run(jobs, together, on_event=events.append))
    assert len(records) == 3
    assert any("continues from step 5" in event.text for event in events if event.kind == "note")
    assert_equal_to_rounding(losses(together), losses(alone))
    assert not list((together.folder / "checkpoints").iterdir())
    curves = [archive.read_columns("curves", specs[1].fingerprint)["train_nats"] for archive in (alone, together)]
    assert curves[1] == pytest.approx(curves[0], abs=TOLERANCE)


def test_one_process_goes_on_where_two_stopped_and_a_damaged_shard_is_named(new_archive):
    job = trunk_jobs([tiny_spec(steps, width=16, depth=2) for steps in (4, 90)])[0]
    alone, together = new_archive(), new_archive()
    run_trunk(job, alone)
    running = TorchrunExecutor(Where(workers=2)).run([job], together)
    next(running)  # the first run's record is there
    running.close()
    (manifest,) = together.checkpoint_folder(job.trunk).glob("trunk.*/manifest.json")
    shards = list(manifest.parent.glob("*.safetensors"))
    assert len(shards) == 2
    kept = checkpoint.Checkpoints(together.checkpoint_folder(job.trunk), every_seconds=1.0)
    assert kept.load("trunk", job.trunk).step == int(manifest.parent.suffix[1:])

    whole = shards[0].read_bytes()
    shards[0].write_bytes(bytes([*whole[:-1], whole[-1] ^ 1]))
    with pytest.raises(checkpoint.UnusableCheckpoint, match=f"{shards[0].name}: its checksum"):
        kept.load("trunk", job.trunk)
    shards[0].write_bytes(whole)

    notes = []
    run_trunk(job, together, report=lambda event: notes.append(event.text) if event.kind == "note" else None)
    assert "the trunk continues from step" in notes[0]
    assert_equal_to_rounding(losses(together), losses(alone))


def test_a_batch_that_does_not_fall_into_equal_parts_is_refused(new_archive):
    archive = new_archive()
    with pytest.raises(InputError, match="4 windows does not fall into 3 equal parts"):
        list(TorchrunExecutor(Where(workers=3)).run(trunk_jobs([tiny_spec(4)]), archive))


@long
def test_weights_kept_by_two_processes_have_the_loss_that_was_recorded(new_archive):
    archive = new_archive()
    archive.keep_weights()
    jobs = trunk_jobs([tiny_spec(20, width=16, depth=2), openlm(12)])
    records = list(TorchrunExecutor(Where(workers=2)).run(jobs, archive))
    assert {record.status for record in records} == {"finished"}
    for record in records:
        model = read_folder(archive.weights_folder(record.fingerprint))
        heldout = HeldoutWindows(Corpus.open(archive.corpus_folder(record.spec.corpus)), context=32)
        losses = heldout_losses(model, heldout, Arithmetic(record.spec.numerics))
        assert losses.mean().value == pytest.approx(record.loss.nats, abs=TOLERANCE)
