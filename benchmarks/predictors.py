"""The joint data-dependent fit and the comparison of predictors: seconds, and how they grow.

    python benchmarks/predictors.py

Six corpora of 90 rows (9 training curves of 10 points), 1,000 resamples of whole curves: every resample is a joint fit
of all 540 rows with corpus effects and their variances. There is no peer that fits this; next to it stands scipy's
least squares on the same problem with the variances given, one refit timed and scaled, so an easier task.
"""

import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import least_squares

from isoloss.core.rng import stream
from isoloss.data_dependence.coefficients import COEFFICIENTS, Scale, checked_forms, to_coefficients, to_values
from isoloss.data_dependence.data_dependent import fit_joint
from isoloss.data_dependence.joint import Rows, design_of, fit_jointly, log_loss
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.fitting.fitting import fit
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import Observations, observations

FORMS = checked_forms({"E": "linear", "A0": "log_linear", "B0": "log_linear"})
LIMIT_SECONDS = 20.0
MEASURES = 5


def table(corpora: int, *, sizes: int = 9, tokens: int = 10) -> Observations:
    """Return a grid a corpus; E, A0 and B0 follow the first of five measures, corpora scatter by 5 %."""
    generator = stream(0, "contest benchmark", corpora)
    params, data = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, sizes), np.geomspace(1e8, 1e11, tokens)))
    origin, n = np.array([np.log(params).mean(), np.log(data).mean()]), len(params)
    measures = generator.uniform(0.1, 0.7, (MEASURES, corpora))
    losses = []
    for h in measures[0]:
        eta = np.array([1.1 + h, np.log(0.6) - 2 * (h - 0.4), np.log(0.5) + 2 * (h - 0.4), np.log(0.34), np.log(0.36)])
        eta += 0.05 * generator.standard_normal(5)
        law = to_values(np.array([eta[0], *np.exp(eta[1:])]), origin)
        losses.append(Chinchilla.loss(law, params=params, tokens=data) * np.exp(0.004 * generator.standard_normal(n)))
    return observations(
        params=np.tile(params, corpora), tokens=np.tile(data, corpora), loss_nats=np.concatenate(losses),
        corpus=np.repeat([f"c{j}" for j in range(corpora)], n),
        trunk=[f"c{j} {size:g}" for j in range(corpora) for size in params],
        complexity={f"m{i}": np.repeat(column, n) for i, column in enumerate(measures)},
    )  # fmt: skip


class Clock:
    """Seconds on the wall and of all cores' work since it was made: on a busy machine the second tells more."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def time_joint(rows: Observations, draws: int) -> tuple[float, float]:
    """Return wall and core seconds of the joint fit with `draws` resamples."""
    values = {name: float(rows.where(corpus=name).measure("m0")[0]) for name in rows.corpora}
    clock = Clock()
    fit_joint(rows, values, "m0", FORMS, bootstrap=draws)
    return clock.read()


def time_scipy(observed: Observations) -> float:
    """Return core seconds of one refit by scipy's least squares from the joint optimum, variances given."""
    rows, scale = Rows.of(observed), Scale.of(FORMS)
    measure = np.array([observed.where(corpus=name).measure("m0")[0] for name in rows.corpora])
    design = design_of(np.array([FORMS[name] != "shared" for name in COEFFICIENTS]), scale, measure - measure.mean())
    pooled = scale.eta(to_coefficients(fit(observed).values, rows.origin))
    point = fit_jointly(rows, design, pooled)
    counts = stream(0, "scipy resample").multinomial(9, np.full(9, 1 / 9), size=len(measure))
    weights = np.sqrt(np.repeat(counts.ravel(), len(rows.y) // counts.size))
    q, J = design.columns.shape[2], len(measure)

    def residuals(x):
        gamma, effects = x[:q], x[q:].reshape(J, 5)
        eta = design.columns @ gamma + effects
        predicted, _ = log_loss(scale.coefficients(eta)[None], rows, jacobian=False)
        return np.concatenate(
            [weights * (rows.y - predicted[0]) / point.noise[0], (effects / point.scatter[0]).ravel()]
        )

    x = np.concatenate([point.gamma[0], (point.eta[0] - design.columns @ point.gamma[0]).ravel()])
    clock = Clock()
    least_squares(residuals, x, method="trf")
    return clock.read()[1]


def main() -> None:
    six = table(6)
    time_joint(six, 2)
    print("joint fit, 6 corpora × 90 rows")
    for draws in (250, 500, 1000):
        wall, cpu = time_joint(six, draws)
        print(
            f"  {draws:5d} resamples {wall:7.2f} s, {cpu:.2f} core-seconds   {draws / wall:6.0f} refits/s", flush=True
        )
    peer = 1000 * time_scipy(six)
    print(f"  scipy least squares, variances given, scaled to 1000 refits: {peer:.0f} core-seconds, {peer / cpu:.0f}×")
    print(f"  limit {LIMIT_SECONDS:.0f} s: {wall / LIMIT_SECONDS:.2f} of it")
    print("growth in corpora, 250 resamples")
    for corpora in (6, 12, 24):
        wall, cpu = time_joint(table(corpora), 250)
        print(f"  {corpora:3d} corpora {wall:7.2f} s, {cpu:.2f} core-seconds", flush=True)
    print(f"comparison of {MEASURES} measures, 30 rows a corpus, all permutations up to 1000")
    compare_predictors(table(4, sizes=5, tokens=6), ["m0"], rounds=2)
    for corpora in (4, 6, 8, 12):
        rows = table(corpora, sizes=5, tokens=6)
        clock = Clock()
        comparison = compare_predictors(rows, list(rows.complexity))
        wall, cpu = clock.read()
        print(f"  {corpora:3d} sources, {comparison.permutations:4d} permutations {wall:7.2f} s, {cpu:.2f} core-s",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
