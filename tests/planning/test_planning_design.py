"""Runs to train next: what optimal design knows, and what it saves in simulation."""

import numpy as np
import pytest

from isoloss.fitting.fitting import fit
from isoloss.planning.design import Bill, Candidate, Noise, next_runs
from isoloss.runs.observations import Observations, observations

TRUTH = {"E": 1.0, "A": 20.0, "B": 60.0, "alpha": 0.35, "beta": 0.4}
NOISE = Noise(point_sd=0.004, trunk_sd=0.0)
AT = 1e14


def simulate(points: list[tuple[float, float]], seed: int) -> Observations:
    params, tokens = np.array(points).T
    loss = TRUTH["E"] + TRUTH["A"] * params ** -TRUTH["alpha"] + TRUTH["B"] * tokens ** -TRUTH["beta"]
    noisy = loss * np.exp(np.random.default_rng(seed).normal(0, NOISE.point_sd, len(points)))
    return observations(params=params, tokens=tokens, loss_nats=noisy)


def grid(n: int, *, sizes=(1e5, 1e7), tokens=(1e6, 1e8)) -> list[tuple[float, float]]:
    return [(float(N), float(D)) for N in np.geomspace(*sizes, n) for D in np.geomspace(*tokens, n)]


def cost(points: list[tuple[float, float]]) -> float:
    return sum(6 * N * D for N, D in points)


def width(points: list[tuple[float, float]], seed: int) -> float:
    return fit(simulate(points, seed), bootstrap=300, seed=seed).log_ratio(AT).width or np.inf


def test_runs_of_a_trunk_pay_their_shared_tokens_once():
    runs = [Candidate(params=10, tokens=D, trunk=t) for D, t in ((100, "a"), (200, "a"), (100, "b"))]
    bill = Bill(runs, 0.2)
    assert bill.marginal_flops() == pytest.approx([6000, 12000, 6000])
    bill.add(1)
    assert bill.marginal_flops() == pytest.approx([60 * 20, 60 * 40, 6000])
    alone = Bill(runs, None)
    alone.add(1)
    assert alone.marginal_flops()[0] == 6000


def test_half_the_compute_of_a_uniform_grid_reaches_the_same_width():
    pilot = grid(4, sizes=(1e5, 1e6), tokens=(1e6, 1e7))
    options = [Candidate(params=N, tokens=D, trunk=f"{N}{D}") for N, D in grid(7)]
    saved = []
    for seed in range(3):
        uniform = pilot + grid(5)
        wanted = width(uniform, seed)
        trained, spent = list(pilot), 0.0
        while width(trained, seed) > wanted and spent < cost(grid(5)):
            law = fit(simulate(trained, seed), bootstrap=300, seed=seed)
            found = next_runs(law, law.log_ratio_draws(AT), options, flops=cost(grid(5)) / 20, noise=NOISE)
            trained += [(options[i].params, options[i].tokens) for i in found.chosen]
            spent += found.flops
        saved.append(spent / cost(grid(5)))
    assert np.mean(saved) < 0.5, saved
