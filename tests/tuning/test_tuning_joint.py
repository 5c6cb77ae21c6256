"""Sweeps of anybody's: other horizons at every size, and the best rate and batch of all of them together."""

import csv

import numpy as np
import pytest

from isoloss.core.errors import BadTable, InputError
from isoloss.tuning.joint import fit_sweep
from isoloss.tuning.reading import read_sweep
from isoloss.tuning.sweep import SweptRun
from isoloss.tuning.tuning import fit_tuning

# Seventeen cells of seven sizes, as the largest public sweep has them (Li et al. 2025, arXiv:2503.04715): no two sizes
# share their horizons.
CELLS = (
    (6e7, 1.1e9), (6e7, 4.7e9), (6e7, 1.4e10), (1.2e8, 2e9), (1.2e8, 9e9), (2.1e8, 4e9), (2.1e8, 1.1e10), (2.1e8, 2e10),
    (2.7e8, 8e9), (2.7e8, 5e10), (4.3e8, 8e9), (4.3e8, 5e10), (5.4e8, 6e9), (5.4e8, 2.1e10), (1.07e9, 1.2e10),
    (1.07e9, 2e10), (1.07e9, 5.7e10),
)  # fmt: skip
BATCHES = 2048.0 * 2.0 ** np.arange(4, 11)
RATES = 1e-4 * 2.0 ** np.arange(-2, 9)
# ln of the best rate: level at the middle, exponents of N, D and batch; of the best batch: level, exponent of D.
RATE = (np.log(1.8e-3), -0.7, 0.25, 0.35)
BATCH = (np.log(4e5), 0.0, 0.55)
MIDDLE = (2.5e8, 1e10, 4e5)


def best_batch(params: float, tokens: float) -> float:
    return float(np.exp(BATCH[0] + BATCH[1] * np.log(params / MIDDLE[0]) + BATCH[2] * np.log(tokens / MIDDLE[1])))


def best_rate(params: float, tokens: float, batch: float) -> float:
    steps = (np.log(value / middle) for value, middle in zip((params, tokens, batch), MIDDLE, strict=True))
    return float(np.exp(RATE[0] + sum(power * step for power, step in zip(RATE[1:], steps, strict=True))))


def swept(*, noise: float = 0.0, size_noise: float = 0.0, seed: int = 0, cells=CELLS) -> list[SweptRun]:
    """Return a full grid of rates × batches in every cell; `size_noise` moves all best rates of a size (ln)."""
    generator = np.random.default_rng(seed)
    own = {size: generator.normal(0, size_noise) if size_noise else 0.0 for size in sorted({n for n, _ in cells})}
    runs = []
    for params, tokens in cells:
        for batch in BATCHES:
            for rate in RATES:
                off = np.log(rate / best_rate(params, tokens, batch)) - own[params]
                log_loss = 1.0 - 0.07 * np.log(params / 1e8) - 0.06 * np.log(tokens / 1e9) + 0.02 * off**2
                log_loss += 0.01 * np.log(batch / best_batch(params, tokens)) ** 2 + generator.normal(0, noise)
                lost = rate > 12 * best_rate(params, tokens, batch)
                loss = None if lost else float(np.exp(log_loss))
                runs.append(SweptRun(params=int(params), tokens=int(tokens), seed=0, peak_lr=float(rate),
                                     batch_tokens=int(batch), loss_nats=loss))  # fmt: skip
    return runs


def test_the_planted_laws_come_back_where_horizons_differ_at_every_size():
    """Without noise a quadratic in logarithms is met by its parabolas: the laws are exact."""
    runs = swept()
    assert fit_tuning("x", runs, seed=0).rate is None, "what is made for two horizons says nothing here"
    found = fit_sweep(runs)
    assert found.rate is not None
    assert found.batch is not None
    assert [one.value for one in found.rate.exponents.values()] == pytest.approx(RATE[1:], abs=1e-6)
    assert [one.value for one in found.batch.exponents.values()] == pytest.approx(BATCH[1:], abs=1e-6)
    point = {"params": 1e9, "tokens": 2e10}
    batch = best_batch(**point)
    assert found.batch.predict(**point).value == pytest.approx(batch, rel=1e-6)
    recipe = found.recipe(**point)
    assert recipe["peak_lr"].value == pytest.approx(best_rate(**point, batch=batch), rel=1e-6)


def test_cells_have_their_optimum_and_the_basin_of_one_percent():
    found = fit_sweep(swept())
    inside = [cell for cell in found.cells if cell.rate_edge is None and cell.batch_edge is None]
    assert len(found.cells) == len(CELLS)
    assert len(inside) > 10
    for cell in inside:
        batch = best_batch(cell.params, cell.tokens)
        assert cell.batch_tokens == pytest.approx(batch, rel=1e-6)
        assert cell.peak_lr == pytest.approx(best_rate(cell.params, cell.tokens, batch), rel=1e-6)
        low, high = cell.rate_within
        assert np.log(high / low) == pytest.approx(2 * np.sqrt(0.01 / 0.02), rel=1e-6)  # .02 off² = .01
        low, high = cell.batch_within
        assert np.log(high / low) > 2 * np.sqrt(0.01 / 0.012)


@pytest.mark.parametrize(("noise", "size_noise"), [(0.002, 0.0), (0.002, 0.15)])
def test_intervals_hold_the_truth(noise, size_noise):
    """95 % intervals over 60 sweeps; fewer than 85 % of them in 60 comes by chance once in a thousand."""
    held = np.zeros(3)
    for seed in range(60):
        found = fit_sweep(swept(noise=noise, size_noise=size_noise, seed=seed), seed=seed)
        held += [
            one.low <= truth <= one.high for one, truth in zip(found.rate.exponents.values(), RATE[1:], strict=True)
        ]
    assert (held / 60 >= 0.85).all(), held / 60


def test_edges_are_flagged_and_fitted_to_nothing():
    cut = [run for run in swept() if run.peak_lr <= 4e-4]  # the best rates of small models lie beyond
    found = fit_sweep(cut)
    small = [cell for cell in found.cells if cell.params == 60_000_000]
    assert {cell.rate_edge for cell in small} == {"highest"}
    assert all(cell.rate_within is None for cell in small)
    assert "edge" in " ".join(found.sentences())
    assert found.rate is None or found.rate.sizes < 7


def test_sizes_and_tokens_that_move_together_have_no_law():
    chinchilla = tuple((size, 20 * size) for size in (6e7, 1.2e8, 2.4e8, 4.8e8, 9.6e8))
    found = fit_sweep(swept(cells=chinchilla))
    assert found.rate is None
    assert "move together" in found.reasons[0]
    two = fit_sweep(swept(cells=CELLS[:5]))
    assert two.rate is None, "two sizes leave nothing to judge their difference by"
    with pytest.raises(InputError):
        two.recipe(params=1e8, tokens=1e9)


def test_one_size_still_has_its_law_of_tokens():
    found = fit_sweep(swept(cells=tuple((2.1e8, d) for d in (2e9, 5e9, 1.2e10, 3e10))))
    assert list(found.rate.exponents) == ["tokens", "batch_tokens"]
    assert found.rate.exponents["tokens"].value == pytest.approx(RATE[2], abs=1e-6)


def test_seeds_of_one_setting_count_as_one():
    runs = swept(noise=0.001, seed=1) + swept(noise=0.001, seed=2)
    assert len(fit_sweep(runs).cells) == len(CELLS)
    assert fit_sweep(runs).rate.scatter < fit_sweep(swept(noise=0.001, seed=1)).rate.scatter


def test_a_foreign_table_is_read(tmp_path):
    """Batches in sequences, tokens that whole steps move by a little, diverged runs left empty or written out."""
    path = tmp_path / "sweep.csv"
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["N_m", "D", "lr", "bs", "final"])
        for run in swept():
            lost = generator.choice(["", "NaN", "inf"])
            tokens = run.tokens * (1 + 0.01 * generator.random())
            table.writerow([run.params / 1e6, tokens, run.peak_lr, run.batch_tokens // 2048, run.loss_nats or lost])
    names = {"params": "N_m * 1e6", "tokens": "D", "rate": "lr", "batch_tokens": "bs * 2048", "loss": "final"}
    (runs,) = read_sweep(path, **names).values()
    assert len({(run.params, run.tokens) for run in runs}) == len(CELLS)
    assert sum(run.loss_nats is None for run in runs) == sum(run.loss_nats is None for run in swept())
    found = fit_sweep(runs)
    assert [one.value for one in found.rate.exponents.values()] == pytest.approx(RATE[1:], abs=0.02)
    path.write_text(path.read_text().replace(",lr,", ",rate,"))
    with pytest.raises(BadTable, match="lr"):
        read_sweep(path, **names)
