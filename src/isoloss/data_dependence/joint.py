"""All corpora's laws fitted at once: every coefficient a function of a measure, corpora scattered around it.

    η_jk = x_jᵀγ_k + u_jk,    u_jk ~ N(0, τ_k²),    ln L_ji = ln L̂(N, D; η_j) + noise of variance σ²

η are the coefficients of `isoloss.data_dependence.coefficients` on their scale. A corpus whose runs say little of a
coefficient takes it from the others: τ, estimated, says how much. τ and σ minimise one objective, the restricted
likelihood by Laplace's approximation, with the corpora's coefficients and γ at their best for each. Large residuals
count by a smooth form of Huber's loss (docs/decisions/20-joint-convergence.md).

Everything is an array over jobs: resamples, folds without a corpus (weight 0) and the fit itself are one call.
Legend: B jobs, J corpora, n rows, q functions' parameters.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.machine import over_cores
from isoloss.data_dependence import _joint_kernels, _joint_outer_kernels
from isoloss.data_dependence.coefficients import BEND, COEFFICIENTS, Floats, Scale
from isoloss.runs.observations import Observations

# An optimum is where the next step promises less than this of the objective, a logarithm of likelihood: τ and σ are
# then within √(2e-8) = 1.4e-4 of their own standard error, and what they decide moves by less.
TOLERANCE = 1e-8
# And where that step moves no run's ln L by more than this of the noise, and no corpus's ln(D*/N*) by more than this.
STILL = 1e-3
# Two ends whose objectives differ by less are distinguished by rounding alone.
TIE = 1e-6
MOST_VALUES = 400  # of the objective in one search
JOBS_AT_ONCE = 32
# Every job is searched from the scatter given, and from corpora that are alike and corpora of all sorts: of 1,000
# resamples of the law in the package a sixth has several optima, and 99.8 % end at the lowest that five starts found.
FIRST_SCATTER, STARTS = 0.3, (0.05, 2.0)
# What nobody's runs say: each ln τ is drawn towards that of FIRST_SCATTER by at most half the weight of a corpus, and γ
# towards the law of all rows together, lines flat, with this standard deviation (nats, or natural logarithms).
SCATTER_PULL, WIDE = 0.5, 3.0
PINNED = 1e8  # times what corpora scatter by: so sure is the mean where it is given


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The rows of a table, corpus by corpus: `x`, `z` centred ln N, ln D; `y` ln L; corpus j's are `slices[j]`.

    `index` says which row of the table each one is; `origin` is (mean ln N, mean ln D).
    """

    corpora: tuple[str, ...]
    index: NDArray[np.int64]
    x: Floats
    z: Floats
    y: Floats
    slices: tuple[slice, ...]
    origin: Floats

    @classmethod
    def of(cls, observations: Observations) -> "Rows":
        """Return the rows of a table in the order of its corpora."""
        names = observations.corpora
        place = np.array([names.index(name) for name in observations.corpus.tolist()])
        index = np.argsort(place, kind="stable")
        log_n, log_d = np.log(observations.params), np.log(observations.tokens)
        origin = np.array([log_n.mean(), log_d.mean()])
        return cls(
            corpora=tuple(names),
            index=index,
            x=(log_n - origin[0])[index],
            z=(log_d - origin[1])[index],
            y=np.log(observations.loss_nats)[index],
            slices=_slices(place, len(names)),
            origin=origin,
        )

    def taken(self, which: NDArray[np.int64]) -> "Rows":
        """Return the rows at the places `which`, in their order; every corpus keeps one at least."""
        slices = _slices(self.corpus_of[which], len(self.slices))
        return replace(self, index=self.index[which], x=self.x[which], z=self.z[which], y=self.y[which], slices=slices)

    @property
    def corpus_of(self) -> NDArray[np.int64]:
        """The number of each row's corpus."""
        return np.repeat(np.arange(len(self.slices)), [part.stop - part.start for part in self.slices])


def _slices(corpus_of: NDArray[np.int64], corpora: int) -> tuple[slice, ...]:
    """Return where each corpus's rows stand when they follow one another."""
    ends = np.cumsum(np.bincount(corpus_of, minlength=corpora)).tolist()
    return tuple(slice(start, end) for start, end in pairwise([0, *ends]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """What the coefficients follow: `columns` (J, 5, q) so that η_j = columns_j γ; `scale` of each coefficient."""

    columns: Floats
    scale: Scale


@dataclass(frozen=True, kw_only=True, eq=False)
class JointFits:
    """Where every job ended.

    `gamma` (B, q); `eta` (B, J, 5) the corpora's coefficients, for one without rows what γ says of it; `scatter`
    (B, 5) is τ and `noise` (B,) σ. `objective` (B,) is minus the logarithm of the restricted likelihood there, and
    `converged` (B,) says whether it is one optimum.
    """

    gamma: Floats
    eta: Floats
    scatter: Floats
    noise: Floats
    objective: Floats
    converged: NDArray[np.bool_]


def fit_jointly(
    rows: Rows,
    design: Design,
    pooled: Floats,
    *,
    start: Floats | None = None,
    targets: Floats | None = None,
    weights: Floats | None = None,
    scatter: Floats | None = None,
) -> JointFits:
    """Return the joint fit of every job. `pooled` (5,) is η of the law of all rows together.

    The search starts at η = `start` (J, 5) and τ = `scatter` (5,), by default at `pooled`. `targets` (B or 1, n) are ln
    losses and `weights` (B or 1, n) row weights, in the order of `rows`; the rows' own and ones without them.
    """
    n = len(rows.y)
    T = rows.y[None] if targets is None else targets
    W = np.ones((1, n)) if weights is None else weights
    jobs = max(len(T), len(W))
    T, W = np.broadcast_to(T, (jobs, n)), np.broadcast_to(W, (jobs, n))
    search = _Search.of(rows, design, pooled, start, scatter)

    def part(index: NDArray[np.int64]) -> list[_End]:
        return [search.lowest(T[job], W[job]) for job in index]

    parts = np.array_split(np.arange(jobs), max(1, -(-jobs // JOBS_AT_ONCE)))
    found = over_cores(part, parts) if len(parts) > 1 else map(part, parts)
    return _together(search, [end for each in found for end in each])


@dataclass(frozen=True, kw_only=True, eq=False)
class _End:
    """Where one search ended: F, η (J, 5), γ (q,), ln τ and ln σ (6,), and whether it is an optimum."""

    objective: float
    point: Any
    outer: Floats
    optimum: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """What all jobs have in common: the kernels' job, first η (J, 5) and the scatter (starts, 5) to start from."""

    shared: _joint_kernels.Job
    eta: Floats
    scatters: Floats

    @classmethod
    def of(cls, rows: Rows, design: Design, pooled: Floats, start: Floats | None, scatter: Floats | None) -> "_Search":
        q = design.columns.shape[2]
        size = (design.columns**2).sum(axis=1).mean(axis=0)  # a line is as uncertain at the corpora as an intercept
        shared = _joint_kernels.Job(
            x=rows.x, z=rows.z, y=rows.y, weight=np.ones(len(rows.y)),
            ends=np.array([0, *(part.stop for part in rows.slices)]),
            columns=np.ascontiguousarray(design.columns), logarithmic=design.scale.logarithmic, bend=BEND,
            centre=np.concatenate([pooled, np.zeros(q - 5)]), precision=size / WIDE**2,
            middle=float(np.log(FIRST_SCATTER)), pull=SCATTER_PULL,
        )  # fmt: skip
        first = np.full(5, FIRST_SCATTER) if scatter is None else scatter
        return cls(
            shared=shared,
            eta=np.tile(pooled, (len(rows.slices), 1)) if start is None else start,
            scatters=np.stack([first, *(np.full(5, each) for each in STARTS)]),
        )

    def lowest(self, targets: Floats, weights: Floats) -> _End:
        """Return the lowest of the ends from all starts; no optimum where another that differs is as low."""
        # Arrays that may be written, although nobody does: kernels are compiled once more for those that may not.
        own = [np.require(each, requirements=["C", "W"]) for each in (targets, weights)]
        job = self.shared._replace(y=own[0], weight=own[1])
        ends = [self._end(job, scatter) for scatter in self.scatters]
        best = min(ends, key=lambda end: end.objective)
        rivals = [end for end in ends if end.objective < best.objective + TIE]
        alike = all(_alike(job, best.point, each.point, best.outer) for each in rivals)
        return replace(best, optimum=best.optimum and alike)

    def _end(self, job: _joint_kernels.Job, scatter: Floats) -> _End:
        point = _point(job, self.eta)
        size = 1.4826 * np.median(np.abs(point.residual[job.weight > 0])) + 1e-9
        outer = np.log([*scatter, size])
        objective, promise, before = _search(job, outer, point, MOST_VALUES)
        optimum = promise < TOLERANCE and _alike(job, before, point, outer)
        return _End(objective=objective, point=point, outer=outer, optimum=optimum)


def _point(job: _joint_kernels.Job, eta: Floats) -> _joint_kernels.Point:
    """Return the point η = `eta` (J, 5) with γ at its centre."""
    point = _joint_kernels.point_of(len(eta), len(job.centre), len(job.y))
    point.eta[:], point.gamma[:] = eta, job.centre
    _joint_kernels.evaluate(job, point)
    return point


def _search(
    job: _joint_kernels.Job, outer: Floats, point: _joint_kernels.Point, most: int
) -> tuple[float, float, _joint_kernels.Point]:
    """Search from ln τ, ln σ = `outer` (6,) and `point`, which both move, with `most` values of the objective.

    One value moves the point alone, to its best for these τ and σ. Return the objective, what the last step promised
    and the point before it.
    """
    J, q, n = len(point.eta), len(job.centre), len(job.y)
    trial, before = (_joint_kernels.point_of(J, q, n) for _ in range(2))
    objective, promise = _joint_outer_kernels.minimise_outer(
        job, outer, TOLERANCE, most, point, trial, before, _joint_kernels.arrow_of(J, q), _joint_kernels.room_of(n),
        _joint_outer_kernels.table_of(q), _joint_outer_kernels.slope_of(), _joint_outer_kernels.slope_of(),
    )  # fmt: skip
    return objective, promise, before


def _alike(job: _joint_kernels.Job, one: _joint_kernels.Point, other: _joint_kernels.Point, outer: Floats) -> bool:
    """Return whether two ends predict the same: every run that counts, and every corpus's ln(D*/N*)."""
    of_rows = np.abs(one.residual - other.residual)[job.weight > 0].max() / np.exp(outer[-1])
    of_splits = np.abs(_middle_balance(one.theta) - _middle_balance(other.theta)).max()
    return bool(max(of_rows, of_splits) < STILL)


def _middle_balance(theta: Floats) -> Floats:
    """ln(D*/N*) at the budget of N₀ and D₀, less ln(D₀/N₀): −2 ln(α A₀ / β B₀)/(α + β) (Hoffmann et al. 2022)."""
    _, A0, B0, alpha, beta = theta.T
    return np.asarray(-2 * (np.log(alpha * A0) - np.log(beta * B0)) / (alpha + beta))


def _together(search: _Search, ends: list[_End]) -> JointFits:
    eta, gamma, outer = (
        np.stack(each) for each in zip(*((e.point.eta, e.point.gamma, e.outer) for e in ends), strict=True)
    )
    return JointFits(
        gamma=gamma, eta=eta, scatter=np.exp(outer[:, :5]), noise=np.exp(outer[:, 5]),
        objective=np.array([end.objective for end in ends]), converged=np.array([end.optimum for end in ends]),
    )  # fmt: skip


def pull_of(rows: Rows, design: Design, fits: JointFits) -> Floats:
    """Return dγ/dη_j (B, J, q, 5): how far a corpus's own deviation moves γ, every row counting once.

    (Σ X_jᵀ V_j⁻¹ X_j)⁻¹ X_jᵀ V_j⁻¹, V_j = I_j⁻¹ + T the variance of what the corpus's own runs say of η_j.
    """
    theta = design.scale.coefficients(fits.eta)
    _, jacobian = log_loss(theta, rows)
    jacobian *= np.moveaxis(design.scale.slopes(fits.eta, theta), 2, 1)[:, :, rows.corpus_of]
    jacobian /= fits.noise[:, None, None] / np.sqrt(_joint_kernels.EFFICIENCY)
    parts = [jacobian[:, :, part] for part in rows.slices]
    information = np.stack([part @ np.swapaxes(part, 1, 2) for part in parts], axis=1)
    precision = (1 / fits.scatter**2)[:, None, :, None]
    weight = precision * (np.linalg.inv(information + precision * np.eye(5)) @ information)
    crossed = np.swapaxes(design.columns, 1, 2) @ weight
    return np.asarray(np.linalg.inv((crossed @ design.columns).sum(axis=1))[:, None] @ crossed)


def most_likely(rows: Rows, scale: Scale, mean: Floats, *, scatter: Floats, noise: Floats) -> Floats:
    """Return η (J, 5) of every corpus by its own rows, where such corpora scatter by `scatter` around `mean`.

    These are (J, 5) too; `noise` (J,) is of each corpus's rows.
    """
    found = np.empty_like(mean)
    for j, part in enumerate(rows.slices):
        n = part.stop - part.start
        job = _joint_kernels.Job(
            x=rows.x[part], z=rows.z[part], y=rows.y[part], weight=np.ones(n), ends=np.array([0, n]),
            columns=np.eye(5)[None], logarithmic=scale.logarithmic, bend=BEND, centre=mean[j],
            precision=PINNED / scatter[j] ** 2, middle=0.0, pull=0.0,
        )  # fmt: skip
        point = _point(job, mean[j : j + 1])
        _search(job, np.log([*scatter[j], noise[j]]), point, 1)
        found[j] = point.eta[0]
    return found


def log_loss(theta: Floats, rows: Rows, *, jacobian: bool = True) -> tuple[Floats, Floats]:
    """Return ln L̂ (B, n) of coefficients (B, J, 5), each row by its corpus's, and its derivatives by them (B, 5, n)."""
    E, A0, B0, alpha, beta = np.moveaxis(theta[:, rows.corpus_of], -1, 0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        of_size, of_data = np.exp(-alpha * rows.x), np.exp(-beta * rows.z)
        loss = E + A0 * of_size + B0 * of_data
        if not jacobian:
            return np.log(loss), np.empty(0)
        parts = [np.ones_like(loss), of_size, of_data, -A0 * of_size * rows.x, -B0 * of_data * rows.z]
        return np.log(loss), np.stack([part / loss for part in parts], axis=1)


def design_of(forms_follow: NDArray[np.bool_], scale: Scale, measure: Floats) -> Design:
    """Return the design in which the coefficients marked in `forms_follow` (5,) are lines in `measure` (J,).

    γ is one intercept a coefficient, then one slope for each that follows, in the order of the coefficients.
    """
    J, slopes = len(measure), int(forms_follow.sum())
    columns = np.zeros((J, len(COEFFICIENTS), len(COEFFICIENTS) + slopes))
    columns[:, np.arange(5), np.arange(5)] = 1
    for place, k in enumerate(np.flatnonzero(forms_follow)):
        columns[:, k, 5 + place] = measure
    return Design(columns=columns, scale=scale)
