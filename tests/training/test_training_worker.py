"""A trunk gives every one of its runs what that run alone would get, to the last bit, however it is interrupted."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadCorpus, BelowFloor
from isoloss.corpus.corpus import Corpus
from isoloss.corpus.store import write_record
from isoloss.runs.archive import Archive
from isoloss.runs.rules import branch_step
from isoloss.runs.spec import Numerics
from isoloss.training import checkpoint, loop
from isoloss.training.data import TrainingWindows
from isoloss.training.job import Stopped, TrunkJob, trunk_jobs
from isoloss.training.worker import run_trunk
from sampling import long
from tiny_training import CONTEXT, VOCAB, tiny_spec, write_corpus

# What a worker tells of work that a kill made it repeat.
REPEATED = re.compile(r"(\d+) steps \([\d.]+ s\) are trained again")


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "archive")
    write_corpus(archive)
    return archive


@pytest.fixture
def new_archive(tmp_path_factory):
    def make():
        archive = Archive(tmp_path_factory.mktemp("archive"))
        write_corpus(archive)
        return archive

    return make


def train(specs, archive, **more):
    (job,) = trunk_jobs(specs)
    return {record.spec: record for record in run_trunk(job, archive, **more)}


def summary(archive, specs):
    """Everything about the runs that must not depend on how they came about."""
    found = []
    for spec in specs:
        record = archive.read(spec.fingerprint)
        curve, documents = (archive.read_columns(kind, spec.fingerprint) for kind in ("curves", "documents"))
        found.append((record.status, record.loss, record.flags, record.error, curve, documents))
    return found


@pytest.mark.parametrize(
    "schedule", [{"kind": "wsd"}, {"kind": "constant"}, {"kind": "wsd", "decay_exponent": 0.5, "decay_tokens": 100}]
)
def test_a_branch_of_a_trunk_is_the_run_by_itself(new_archive, schedule):
    specs = [tiny_spec(steps, schedule=schedule) for steps in (3, 8, 20, 40)]
    together, alone = new_archive(), new_archive()
    train(specs, together)
    for spec in reversed(specs):
        train([spec], alone)
    for one, other in zip(summary(together, specs), summary(alone, specs), strict=True):
        assert one[:4] == other[:4]
        # Where the trunk's held-out loss is taken along depends on the trunk's length, the rest of the curve does not.
        np.testing.assert_equal(one[4]["train_nats"], other[4]["train_nats"])
        np.testing.assert_equal(one[5], other[5])


def test_runs_of_one_seed_read_the_same_windows_in_the_same_order_whatever_their_size(archive):
    corpus = Corpus.open(archive.corpus_folder("corpus1-chain"))
    small, large, other = (TrainingWindows(corpus, tiny_spec(**s)) for s in ({}, {"width": 32}, {"seed": 1}))
    np.testing.assert_equal(small.batch(7).numpy(), large.batch(7).numpy())
    assert not np.array_equal(small.batch(7).numpy(), other.batch(7).numpy())
    assert sorted(small.order) == list(range(400))  # one epoch: every window once


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.sampled_from(["wsd", "cosine"]))
def test_kills_repeat_at_most_what_followed_the_last_checkpoint(new_archive, monkeypatch, kills, kind):
    specs = [tiny_spec(steps, kind=kind) for steps in ((4, 12, 24) if kind == "wsd" else (24,))]
    undisturbed, disturbed = new_archive(), new_archive()
    train(specs, undisturbed)
    advance, taken, lives = loop.Trainer.advance, [0], iter(kills)
    until = [next(lives)]

    def mortal(trainer, spec):
        if until[0] == 0:
            until[0] = next(lives, -1)
            raise Killed
        advance(trainer, spec)
        taken[0] += 1
        until[0] -= 1

    monkeypatch.setattr(loop.Trainer, "advance", mortal)
    monkeypatch.setattr(checkpoint, "WRITING_SHARE", math.inf)
    deaths = 0
    while True:
        try:
            train(specs, disturbed, checkpoint_seconds=0.0)  # a checkpoint a step: a kill may cost one step
            break
        except Killed:
            deaths += 1
    monkeypatch.undo()
    assert taken[0] <= trunk_jobs(specs)[0].tokens // specs[0].batch_tokens + deaths
    np.testing.assert_equal(summary(disturbed, specs), summary(undisturbed, specs))
    assert not disturbed.checkpoint_folder(specs[0].trunk).exists()


def test_what_a_kill_costs_is_reported_to_the_step(archive, monkeypatch):
    specs = [tiny_spec(steps) for steps in (10, 30)]
    advance, taken, output = loop.Trainer.advance, [], []

    def mortal(trainer, spec):
        if len(taken) == 17:
            raise Killed
        advance(trainer, spec)
        taken.append(1)

    monkeypatch.setattr(loop.Trainer, "advance", mortal)
    with pytest.raises(Killed):
        train(specs, archive, checkpoint_seconds=3600.0)
    monkeypatch.undo()
    train(specs, archive, checkpoint_seconds=3600.0, report=output.append)
    repeated = [int(found[1]) for event in output if event.kind == "note" and (found := REPEATED.search(event.text))]
    # The first run's record kept its branch; the trunk had no checkpoint and had come this far.
    assert repeated == [17 - (specs[0].steps - branch_step(specs[0]))]


def test_a_kill_costs_what_was_trained_since_the_last_checkpoint(archive, monkeypatch):
    """By a clock on which every step takes a second: checkpoints are due after 3 and 6, the kill comes after 8."""
    specs, now, output = [tiny_spec(30)], [0.0], []
    advance = loop.Trainer.advance

    def mortal(trainer, spec):
        if now[0] == 8.0:
            raise Killed
        advance(trainer, spec)
        now[0] += 1.0

    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(loop.Trainer, "advance", mortal)
    with pytest.raises(Killed):
        train(specs, archive, checkpoint_seconds=3.0)
    monkeypatch.undo()
    train(specs, archive, checkpoint_seconds=3600.0, report=output.append)
    assert [int(found[1]) for event in output if event.kind == "note" and (found := REPEATED.search(event.text))] == [2]


def test_stopping_saves_the_very_step(new_archive, monkeypatch):
    specs = [tiny_spec(steps) for steps in (10, 30)]
    undisturbed, stopped = new_archive(), new_archive()
    train(specs, undisturbed)
    advance, taken = loop.Trainer.advance, []
    monkeypatch.setattr(loop.Trainer, "advance", lambda trainer, spec: (advance(trainer, spec), taken.append(1)))
    for moment in (3, 9, 15, 31):
        with pytest.raises(Stopped):
            train(specs, stopped, stop=lambda moment=moment: len(taken) == moment)
    train(specs, stopped)
    assert len(taken) == trunk_jobs(specs)[0].tokens // specs[0].batch_tokens
    np.testing.assert_equal(summary(stopped, specs), summary(undisturbed, specs))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_ignored_with_a_note(new_archive, damage):
    spec = tiny_spec(30)
    undisturbed, damaged = new_archive(), new_archive()
    train([spec], undisturbed)
    seen = []
    with pytest.raises(Stopped):
        train([spec], damaged, stop=lambda: len(seen) == 5 or seen.append(1))
    path = damaged.checkpoint_folder(spec.trunk) / "trunk.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "cut": content[: len(content) // 3], "empty": b""}[damage])
    notes = []
    train([spec], damaged, report=lambda event: notes.append(event.text) if event.kind == "note" else None)
    assert "checkpoint ignored" in notes[0]
    np.testing.assert_equal(summary(damaged, [spec]), summary(undisturbed, [spec]))


def test_a_run_that_joins_later_starts_before_the_checkpoint_it_has_missed(new_archive):
    early, late = tiny_spec(5), tiny_spec(40)
    undisturbed, grown = new_archive(), new_archive()
    train([early, late], undisturbed)
    seen = []
    with pytest.raises(Stopped):
        train([late], grown, stop=lambda: len(seen) == 20 or seen.append(1))
    train([early, late], grown)
    np.testing.assert_equal(
        [s[:4] for s in summary(grown, [early, late])], [s[:4] for s in summary(undisturbed, [early, late])]
    )


def test_finished_runs_are_left_alone(archive):
    specs = [tiny_spec(steps) for steps in (4, 8)]
    train(specs[:1], archive)
    path = archive.folder / "runs" / f"{specs[0].fingerprint}.json"
    stamp = path.stat().st_mtime_ns
    records = train(specs, archive)
    assert path.stat().st_mtime_ns == stamp
    assert [records[spec].status for spec in specs] == ["finished", "finished"]


def test_a_rate_beyond_reason_diverges_and_takes_the_later_runs_with_it(archive):
    specs = [tiny_spec(steps, peak_lr=3.0, schedule={"warmup_tokens": 0}) for steps in (2, 60, 80)]
    healthy = tiny_spec(60, peak_lr=1e-2)
    records = train(specs, archive)
    assert [records[spec].status for spec in specs[1:]] == ["diverged", "diverged"]
    for spec in specs[1:]:
        record = records[spec]
        assert record.flags == ("diverged",)
        assert record.loss is None
        assert "at the" in record.error
        assert len(archive.read_columns("curves", spec.fingerprint)["train_nats"]) > 0
    assert train([healthy], archive)[healthy].status == "finished"


def test_a_number_that_is_none_diverges(archive, monkeypatch):
    spec = tiny_spec(10)
    step = loop.FlatAdamW.step
    monkeypatch.setattr(loop.FlatAdamW, "step", lambda self, learning_rate: step(self, learning_rate=math.nan))
    record = train([spec], archive)[spec]
    assert record.status == "diverged"
    assert record.error == "loss nan, gradient norm nan at step 2"


def test_an_error_in_training_fails_the_trunk_with_its_reason_and_is_tried_again(archive, monkeypatch):
    specs = [tiny_spec(steps) for steps in (4, 20)]
    advance = loop.Trainer.advance

    def broken(trainer, spec):
        if trainer.step == 10:
            raise RuntimeError("no memory for 7 bytes")
        advance(trainer, spec)

    monkeypatch.setattr(loop.Trainer, "advance", broken)
    records = train(specs, archive)
    assert records[specs[0]].status == "finished"
    assert records[specs[1]].status == "failed"
    assert "RuntimeError: no memory for 7 bytes (test_training_worker.py:" in records[specs[1]].error
    monkeypatch.undo()
    assert train(specs, archive)[specs[1]].status == "finished"


def test_a_corpus_too_small_is_refused_before_training(archive):
    with pytest.raises(BadCorpus, match=r"12,800 training tokens .* needs 12,928"):
        train([tiny_spec(101)], archive)
    write_corpus(archive, name="lonely", heldout=1)
    with pytest.raises(BadCorpus, match="two are needed"):
        train([tiny_spec(4, corpus="corpus1-lonely")], archive)


def test_a_record_shows_what_it_needs_to(archive):
    spec = tiny_spec(40)
    record = train([spec], archive)[spec]
    curve, documents = (archive.read_columns(kind, spec.fingerprint) for kind in ("curves", "documents"))
    assert curve["step"][-1] == 40
    assert curve["tokens"][-1] == spec.train_tokens
    assert curve["heldout_nats"][-1] == record.loss.nats
    assert curve["train_nats"][0] == pytest.approx(math.log(VOCAB), abs=0.5)
    assert record.loss.documents == 40 == len(documents["nats"])
    assert record.loss.tokens == 40 * (CONTEXT - 1) == documents["tokens"].sum()
    assert record.loss.nats == pytest.approx(documents["nats"].mean(), abs=1e-12)  # documents of equal length
    # Of equal documents the standard error is that of a plain mean.
    assert record.loss.stderr == pytest.approx(documents["nats"].std(ddof=1) / math.sqrt(40), rel=1e-9)
    assert record.provenance["torch"]
    assert record.train_seconds > 0


def test_jobs_order_their_runs_by_branch_and_count_shared_steps_once():
    specs = [tiny_spec(steps) for steps in (40, 10, 20)]
    (job,) = trunk_jobs(specs)
    assert [branch_step(spec) for spec in job.specs] == [8, 16, 32]
    assert job.tokens == (32 + 2 + 4 + 8) * 4 * CONTEXT
    larger = tiny_spec(10, width=64)
    assert [j.specs[0].model.width for j in trunk_jobs([*specs, larger])] == [64, 8]
    assert TrunkJob((larger,)).flops > job.flops


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of parts of torch
# Other sums in other orders over 40 steps: 1e-8 seen in float32, 1e-4 in bfloat16, which has three digits.
@pytest.mark.parametrize(
    ("numerics", "tolerance"),
    [
        (Numerics(threads=2), 1e-5),
        pytest.param(Numerics(dtype="bfloat16"), 2e-3, marks=long),
        pytest.param(Numerics(compile=True), 1e-5, marks=long),
    ],
    ids=["threads", "bfloat16", "compiler"],
)
def test_two_threads_and_bfloat16_and_torchs_compiler_train_to_the_same_loss(archive, numerics, tolerance):
    plain, other = tiny_spec(40), tiny_spec(40, numerics=numerics)
    losses = {spec: train([spec], archive)[spec].loss.nats for spec in (plain, other)}
    assert losses[other] == pytest.approx(losses[plain], abs=tolerance)


def test_the_excess_is_paired_with_the_floor_of_the_same_documents(archive):
    spec = tiny_spec(20)
    record = train([spec], archive)[spec]
    documents, floor = archive.read_columns("documents", spec.fingerprint), np.load(floor_file(archive, spec))
    differences = documents["nats"] - floor[documents["document"]]
    assert record.loss.excess_nats == pytest.approx(differences.mean())
    assert record.loss.excess_stderr == pytest.approx(differences.std(ddof=1) / np.sqrt(len(differences)))
    assert record.loss.excess_stderr < record.loss.stderr  # what is hard for the floor is hard for the model
    output = archive.query("SELECT loss_nats, excess_nats, excess_stderr FROM runs").to_pylist()
    assert output == [
        {
            "loss_nats": record.loss.nats,
            "excess_nats": record.loss.excess_nats,
            "excess_stderr": record.loss.excess_stderr,
        }
    ]


def test_a_loss_below_the_best_possible_is_an_error_of_the_laboratory(archive):
    spec = tiny_spec(20)
    corpus, path = Corpus.open(archive.corpus_folder(spec.corpus)), floor_file(archive, spec)
    np.save(path, np.load(path) + 3)
    write_record(corpus, path.parent)  # an error of ours, not damage
    with pytest.raises(BelowFloor, match="nats per token below the lowest possible") as caught:
        train([spec], archive)
    assert caught.value.exit_code == 1
    assert spec.fingerprint in caught.value.place
    assert archive.read(spec.fingerprint).status == "failed"


def floor_file(archive, spec):
    return archive.corpus_folder(spec.corpus) / "floor.npy"
