"""A flag is earned by a run that really is so, and not by its neighbour: runs are trained here, on a known chain."""

from pathlib import Path

import numpy as np
import pytest

from isoloss.core.errors import BelowFloor
from isoloss.runs.archive import Archive
from isoloss.runs.documents import DocumentLosses, mean_by_document
from isoloss.runs.flags import flags_of, require_above_floor, saturated_by_neighbours, still_falling
from isoloss.runs.spec import ModelSpec, Optimiser, RunSpec, Schedule


def documents(nats, tokens=31):
    return DocumentLosses(
        document=np.arange(len(nats)), tokens=np.full(len(nats), tokens), nats=np.asarray(nats, dtype=float)
    )


def trained(archive, *, steps, **corpus):
    """Runs of two widths and some lengths on a chain: the corpus, flags and losses by (width, steps)."""
    pytest.importorskip("torch")
    from isoloss.training.job import trunk_jobs
    from isoloss.training.worker import run_trunk
    from tiny_training import tiny_spec, write_corpus

    chain = write_corpus(archive, **corpus)
    specs = {(width, n): tiny_spec(n, width=width) for width in (16, 32) for n in steps}
    for job in trunk_jobs(list(specs.values())):
        run_trunk(job, archive)
    flags = {at: archive.read(spec.fingerprint).flags for at, spec in specs.items()}
    tables = {at: archive.read_columns("documents", spec.fingerprint) for at, spec in specs.items()}
    return chain, flags, {at: DocumentLosses(**table) for at, table in tables.items()}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """From hardly begun to at the floor, on a chain that has much to teach."""
    return trained(Archive(tmp_path_factory.mktemp("archive")), steps=(2, 60, 400, 1600), windows=6400, heldout=100)


def test_a_run_that_has_hardly_begun_is_unconverged_and_a_longer_one_is_not(grid):
    _, flags, _ = grid
    assert flags[16, 2] == ("unconverged",)
    assert flags[16, 60] == ()


def test_a_run_at_the_floor_is_saturated_and_a_shorter_one_is_not(grid):
    corpus, flags, losses = grid
    assert flags[32, 1600] == ("saturated",)
    assert losses[32, 1600].mean().value < 1.01 * corpus.document_floor.mean()
    assert flags[32, 60] == ()


def test_without_a_floor_neighbours_show(grid, tmp_path):
    _, _, losses = grid
    assert not saturated_by_neighbours(losses[16, 60], larger_model=losses[32, 60], more_tokens=losses[16, 400]), (
        "more tokens still help"
    )
    # Of a chain that is almost fair there is little to learn, and that is soon learnt.
    _, _, dull = trained(Archive(tmp_path), steps=(400, 800), windows=3300, heldout=60, sharpness=0.3)
    assert saturated_by_neighbours(dull[16, 400], larger_model=dull[32, 400], more_tokens=dull[16, 800])


def test_neighbours_must_both_stand_still():
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, size=200)
    run = documents(base)
    # Documents differ by .3; paired differences by .01 only, so .01 lower is 14 standard errors.
    same, lower = (documents(base + shift + 0.01 * rng.standard_normal(200)) for shift in (0.0, -0.01))
    assert saturated_by_neighbours(run, larger_model=same, more_tokens=same)
    assert not saturated_by_neighbours(run, larger_model=lower, more_tokens=same)
    assert not saturated_by_neighbours(run, larger_model=same, more_tokens=lower)
    with pytest.raises(ValueError, match="different documents"):
        saturated_by_neighbours(run, larger_model=documents(base[:-1]), more_tokens=same)


def test_margins_are_two_standard_errors_and_two_or_one_percent():
    spread = np.linspace(-1, 1, 101)  # mean 0, standard error .058
    quiet = np.zeros(101)
    # Two standard errors are .117 of a unigram entropy of 3, more than 2 % of it.
    assert flags_of(documents(3.0 - 0.11 + spread), unigram_nats=3.0) == ("unconverged",)
    assert flags_of(documents(3.0 - 0.13 + spread), unigram_nats=3.0) == ()
    assert flags_of(documents(3.0 - 0.05 + quiet), unigram_nats=3.0) == ("unconverged",)
    assert flags_of(documents(3.0 - 0.07 + quiet), unigram_nats=3.0) == ()
    floor = 1.0 + spread  # however documents differ, the excess over their own floor is what counts
    assert flags_of(documents(floor + 0.009), unigram_nats=3.0, floor_nats=floor) == ("saturated",)
    assert flags_of(documents(floor + 0.011), unigram_nats=3.0, floor_nats=floor) == ()


def run_of(steps, kind="constant", warmup=0):
    return RunSpec(
        corpus="corpus1-x", model=ModelSpec(width=8, depth=1, heads=1, ffn=16, vocab_size=16, context=8),
        train_tokens=32 * steps, batch_tokens=32, optimiser=Optimiser(peak_lr=1e-2),
        schedule=Schedule(kind=kind, warmup_tokens=32 * warmup),
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "warmup"), [("constant", 0), ("wsd", 0), ("wsd", 40), ("cosine", 20)])
def test_a_power_law_is_flagged_where_it_is_steeper_than_one_over_the_root_of_the_data(kind, warmup):
    """In rate-weighted tokens, up to the end of full rates; whatever annealing does after that."""
    from isoloss.runs.rules import lr_fraction

    spec = run_of(800, kind, warmup)
    passed = np.cumsum([lr_fraction(spec, step) for step in range(800)])
    noise = 0.02 * np.random.default_rng(0).standard_normal(800)
    # A gain of half a nat while the rate falls is the schedule's, not a slope.
    annealed = np.where(np.arange(800) > 700, -0.5, 0.0) * (kind != "constant")
    for exponent, limit, falling in ((0.3, 1.0, False), (0.45, 0.0, False), (0.55, 0.0, True), (0.9, 0.0, True)):
        losses = limit + 3.0 * (passed / passed[-1]) ** -exponent + noise + annealed
        assert still_falling(spec, losses.tolist()) == falling, exponent
        assert still_falling(spec, (losses + 2.0).tolist(), floor_nats=2.0) == falling, "above a floor of 2"
        assert not still_falling(spec, (losses + 20.0).tolist()), "of 23 nats that is little"


def test_few_or_noisy_steps_prove_no_fall():
    assert not still_falling(run_of(1), [5.0])
    assert not still_falling(run_of(6), [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    steep = 3.0 * (np.arange(1, 101) / 100) ** -0.6
    assert still_falling(run_of(100), steep.tolist())
    # Two standard errors are 1.6 nats, as much as the fall: chance makes it up once in twenty times.
    noise = 2.0 * np.random.default_rng(0).standard_normal((100, 100))
    assert sum(still_falling(run_of(100), (steep + one).tolist()) for one in noise) <= 12


def test_the_gzip_papers_curves_fall_into_those_that_were_still_falling_and_those_that_had_come_down():
    """Its runs on the easiest grammar, whose unigram entropy lies near .6: 8.8M and 275M parameters at 5M tokens."""
    import pyarrow.parquet as pq

    path = Path(__file__).parents[2].parent / "shared" / "data" / "gzip2024" / "gzip_pcfg_train_curves.parquet"
    if not path.exists():
        pytest.skip("the gzip paper's curves are not here")
    table = pq.read_table(path)
    run, losses = table["run"].to_numpy(), table["train_loss"].to_numpy()
    curves = {number: losses[run == number].tolist() for number in (16, 19)}
    assert curves[16][-1] > 2.0
    assert still_falling(run_of(len(curves[16])), curves[16])
    assert curves[19][-1] < 0.61
    assert not still_falling(run_of(len(curves[19])), curves[19])


def test_the_standard_error_over_documents_covers():
    """Means of correlated tokens in unequal documents fall within 1.96 standard errors in 95 % of draws."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(1000):
        tokens = rng.integers(20, 200, size=80)
        values = 2.0 + 0.5 * rng.standard_normal(80)
        mean = mean_by_document(values, tokens)
        hits += abs(mean.value - 2.0) < 1.96 * mean.stderr
    # A little under .95, as of any t with 80 degrees; 1,000 draws know the share to .7 %.
    assert hits / 1000 == pytest.approx(0.945, abs=0.02)


def test_one_document_shows_no_spread():
    with pytest.raises(ValueError, match="needs two"):
        mean_by_document(np.array([1.0]), np.array([5]))


def test_chance_may_lie_below_the_floor_and_an_impossible_loss_may_not():
    floor, rng = np.full(400, 1.0), np.random.default_rng(0)
    for shift, impossible in ((0.0, False), (-0.04, False), (-0.06, True), (-0.5, True)):
        # Paired differences of deviation .2 on 400 documents: a standard error of .01, so that .05 is the limit.
        noise = rng.standard_normal(400)
        losses = documents(1.0 + shift + 0.2 * (noise - noise.mean()) / noise.std())
        if impossible:
            with pytest.raises(BelowFloor, match="below the lowest possible"):
                require_above_floor(losses.excess(floor))
        else:
            require_above_floor(losses.excess(floor))
    require_above_floor(documents(np.full(400, -5e-5)).excess(np.zeros(400)))  # round-off of a loss of zero
