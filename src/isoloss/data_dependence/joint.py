"""All corpora's laws fitted at once: every coefficient a function of a measure, corpora scattered around it.

    η_jk = x_jᵀγ_k + u_jk,    u_jk ~ N(0, τ_k²),    ln L_ji = ln L̂(N, D; η_j) + noise of variance σ²

η are the coefficients of `isoloss.data_dependence.coefficients` on their scale. A corpus whose runs say little of a
coefficient takes it from the others: τ, estimated, says how much. The fit alternates between the corpora's coefficients
given γ and τ, and γ and τ given the law linearised there (Lindstrom & Bates 1990), τ by restricted likelihood (Harville
1977). Residuals beyond 1.345 σ count by Huber's loss, σ by his second proposal (Huber 1964): shrinkage weighs runs
against corpora, so it needs the size of the noise, which a δ far below it does not tell.

Everything is an array over jobs: resamples, folds without a corpus (weight 0) and the fit itself are one call.
Legend: B jobs, J corpora, n rows, q functions' parameters.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from isoloss.core.machine import cores
from isoloss.data_dependence.coefficients import COEFFICIENTS, Floats, Scale
from isoloss.runs.observations import Observations

HUBER = 1.345  # 95 % efficient under normal noise
# E min(z², 1.345²) of a standard normal z: what makes σ the standard deviation of normal noise.
CLIPPED_VARIANCE = 0.710
MOST_STEPS = 400  # the gzip paper's runs, which follow no law, take over 100; simulated ones 5 to 20
TOLERANCE = 1e-3  # of a coefficient's own uncertainty: no step of the last round was larger
JOBS_AT_ONCE = 32
# Scatter of corpora is looked for between these, in units of η (nats, or natural logarithms).
LEAST_SCATTER, MOST_SCATTER = 2e-3, 5.0
FIRST_SCATTER = 0.3
LEAST_DAMPING, MOST_DAMPING = 1e-12, 1e6
# η is looked for between these: coefficients (nats at the middle of the runs, exponents) of e⁻²⁵ to e⁴. A corpus whose
# runs say nothing of a coefficient, or has none, follows a function that may lead anywhere.
LOWEST, HIGHEST = -25.0, 4.0
FIRST_SHARE, SETTLING = 1.0, 20.0
# A step of ln τ² counts as this many times itself in units of a coefficient's uncertainty.
SCATTER_MATTERS = 0.05


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
        ends = np.cumsum(np.bincount(place, minlength=len(names)))
        starts = [0, *ends[:-1].tolist()]
        return cls(
            corpora=tuple(names),
            index=index,
            x=(log_n - origin[0])[index],
            z=(log_d - origin[1])[index],
            y=np.log(observations.loss_nats)[index],
            slices=tuple(slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)),
            origin=origin,
        )

    @property
    def corpus_of(self) -> NDArray[np.int64]:
        """The number of each row's corpus."""
        return np.repeat(np.arange(len(self.slices)), [part.stop - part.start for part in self.slices])


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """What the coefficients follow: `columns` (J, 5, q) so that η_j = columns_j γ; `scale` of each coefficient."""

    columns: Floats
    scale: Scale


@dataclass(frozen=True, kw_only=True, eq=False)
class JointFits:
    """Where every job ended.

    `gamma` (B, q); `eta` (B, J, 5) the corpora's coefficients, for one without rows what γ says of it; `scatter`
    (B, 5) is τ and `noise` (B,) σ. `pull` (B, J, q, 5) is dγ/dη_j, how far a corpus's own deviation moves γ.
    """

    gamma: Floats
    eta: Floats
    scatter: Floats
    noise: Floats
    pull: Floats
    converged: NDArray[np.bool_]


def fit_jointly(
    rows: Rows,
    design: Design,
    start: Floats,
    *,
    targets: Floats | None = None,
    weights: Floats | None = None,
    scatter: Floats | None = None,
    tolerance: float = TOLERANCE,
) -> JointFits:
    """Return the joint fit of every job, from η = `start` (J, 5) and τ = `scatter` (5,).

    `targets` (B or 1, n) are ln losses and `weights` (B or 1, n) row weights, in the order of `rows`; the rows' own and
    ones without them.
    """
    T = rows.y[None] if targets is None else targets
    W = np.ones((1, len(rows.y))) if weights is None else weights
    jobs = max(len(T), len(W))
    first = np.full(5, FIRST_SCATTER) if scatter is None else scatter

    def part(index: NDArray[np.int64]) -> JointFits:
        own_targets = T[index] if len(T) > 1 else np.broadcast_to(T, (len(index), T.shape[1]))
        own_weights = W[index] if len(W) > 1 else np.broadcast_to(W, (len(index), W.shape[1]))
        return _Search(rows, design, start, own_targets, own_weights, first).run(tolerance)

    parts = np.array_split(np.arange(jobs), max(1, -(-jobs // JOBS_AT_ONCE)))
    workers = min(cores(), len(parts))
    if workers == 1:
        found = [part(index) for index in parts]
    else:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(part, parts))
    return JointFits(
        **{each.name: np.concatenate([getattr(one, each.name) for one in found]) for each in fields(JointFits)}
    )


class _Search:
    """The search of some jobs at once; jobs that have ended are left alone."""

    def __init__(
        self, rows: Rows, design: Design, start: Floats, targets: Floats, weights: Floats, scatter: Floats
    ) -> None:
        jobs, J = len(targets), len(rows.slices)
        self.rows, self.design, self.targets, self.weights = rows, design, targets, weights
        self.eta = np.tile(start, (jobs, 1, 1))
        self.variance = np.tile(scatter**2, (jobs, 1))
        self.damping = np.full((jobs, J), 1e-3)
        self.weight_sum = weights.sum(axis=1)
        self.fitted = np.zeros(jobs)  # degrees of freedom that corpora's coefficients take up
        residuals, _ = self._linearised(self.eta)
        self.noise = 1.4826 * np.median(np.abs(residuals), axis=1) + 1e-9
        self.gamma = np.zeros((jobs, design.columns.shape[2]))
        self.pull = np.zeros((jobs, J, design.columns.shape[2], 5))
        self.rounds = 0
        self.converged = np.zeros(jobs, dtype=bool)

    def run(self, tolerance: float) -> JointFits:
        live = np.arange(len(self.targets))
        for _ in range(MOST_STEPS):
            moved = self._round(live)
            self.converged[live[moved < tolerance]] = True
            live = live[moved >= tolerance]
            if not len(live):
                break
        return JointFits(
            gamma=self.gamma, eta=self.eta, scatter=np.sqrt(self.variance), noise=self.noise, pull=self.pull,
            converged=self.converged,
        )  # fmt: skip

    def _round(self, live: NDArray[np.int64]) -> Floats:
        """Improve the live jobs once and return how far each moved, in units of its own uncertainty."""
        self.rounds += 1
        eta = self.eta[live]
        residuals, jacobian = self._linearised(eta, live)
        information, score = self._information(live, residuals, jacobian)
        inner = _mixed_model(self.design.columns, eta, information, score, self.variance[live], self._share())
        before = self.variance[live]
        self.variance[live] = inner.variance
        self.gamma[live], self.pull[live] = inner.gamma, inner.pull
        step, cost = self._propose(live, eta, information, score, inner)
        damping = self.damping[live]
        better = step[1] <= cost * (1 + 1e-12)
        self.eta[live] = np.where(better[..., None], step[0], eta)
        self.damping[live] = np.clip(damping * np.where(better, 0.1, 10.0), LEAST_DAMPING, MOST_DAMPING)
        self.fitted[live] = inner.fitted
        # A damped step is short although the way may be long.
        wanted = np.abs(step[0] - eta) / np.sqrt(inner.uncertainty) * (1 + damping[..., None])
        drift = np.abs(np.log(inner.variance / before)).max(axis=1) * SCATTER_MATTERS
        return np.asarray(np.maximum(wanted.max(axis=(1, 2)), drift))

    def _share(self) -> float:
        """Return how far τ² follows: less and less, for near zero its rule and the new linearisation swing for ever."""
        return FIRST_SHARE * SETTLING / (SETTLING + self.rounds)

    def _linearised(self, eta: Floats, live: NDArray[np.int64] | None = None) -> tuple[Floats, Floats]:
        """Return residuals (B, n) and derivatives of ln L̂ by η (B, 5, n)."""
        theta = self.design.scale.coefficients(eta)
        predicted, jacobian = log_loss(theta, self.rows)
        corpus = self.rows.corpus_of
        jacobian *= np.moveaxis(self.design.scale.slopes(eta, theta), 2, 1)[:, :, corpus]
        return (self.targets if live is None else self.targets[live]) - predicted, jacobian

    def _information(self, live: NDArray[np.int64], residuals: Floats, jacobian: Floats) -> tuple[Floats, Floats]:
        """Return J Ω Jᵀ / σ² (B, J, 5, 5) and J Ω r / σ² (B, J, 5) of every corpus; σ anew."""
        weights = self.weights[live]
        for _ in range(3):
            clipped = np.minimum(np.abs(residuals), HUBER * self.noise[live][:, None])
            freedom = np.maximum(self.weight_sum[live] - self.fitted[live], 1.0)
            self.noise[live] = np.sqrt((weights * clipped**2).sum(axis=1) / (CLIPPED_VARIANCE * freedom)) + 1e-9
        noise = self.noise[live][:, None]
        robust = weights * np.minimum(1.0, HUBER * noise / np.maximum(np.abs(residuals), 1e-300)) / noise**2
        weighted = jacobian * robust[:, None]
        information = np.stack(
            [weighted[:, :, part] @ np.swapaxes(jacobian[:, :, part], 1, 2) for part in self.rows.slices], axis=1
        )
        score = np.stack(
            [(weighted[:, :, part] @ residuals[:, part, None])[..., 0] for part in self.rows.slices], axis=1
        )
        return information, score

    def _propose(
        self, live: NDArray[np.int64], eta: Floats, information: Floats, score: Floats, inner: "_Inner"
    ) -> tuple[tuple[Floats, Floats], Floats]:
        """Return a damped step of every corpus towards what γ and τ make of it, its cost, and the cost before."""
        precision = 1 / inner.variance
        damped = information.copy()
        diagonal = np.arange(5)
        damped[..., diagonal, diagonal] += precision[:, None]
        damped[..., diagonal, diagonal] *= 1 + self.damping[live][..., None]
        towards = score - precision[:, None] * (eta - inner.mean)
        trial = np.clip(eta + np.linalg.solve(damped, towards[..., None])[..., 0], LOWEST, HIGHEST)
        costs = [self._cost(live, each, inner) for each in (eta, trial)]
        return (trial, costs[1]), costs[0]

    def _cost(self, live: NDArray[np.int64], eta: Floats, inner: "_Inner") -> Floats:
        """Return Σ Huber(r/σ) + (η − mean)²/2τ² of every corpus (B, J)."""
        predicted, _ = log_loss(self.design.scale.coefficients(eta), self.rows, jacobian=False)
        size = np.abs(self.targets[live] - predicted) / self.noise[live][:, None]
        weights = self.weights[live]
        # A step may lead where a row's loss is infinite: it is refused, unless the row counts for nothing.
        rho = np.where(size <= HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER))
        rho = np.multiply(rho, weights, out=np.zeros_like(rho), where=weights > 0)
        of_rows = np.add.reduceat(rho, [part.start for part in self.rows.slices], axis=1)
        return np.asarray(of_rows + 0.5 * ((eta - inner.mean) ** 2 / inner.variance[:, None]).sum(axis=2))


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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inner:
    """The linear mixed model at a point: see `_mixed_model`."""

    gamma: Floats
    pull: Floats
    mean: Floats
    eta: Floats
    uncertainty: Floats
    variance: Floats
    fitted: Floats


SCATTER_ROUNDS = 2
LONGEST_SCATTER_STEP = 2.0  # of ln τ²
# Added to γ's normal matrix, whose entries are 1/τ² and so .04 or more: a fold may lack the corpora to know a slope.
SINGULAR = 1e-9
# Added to Fisher's information about ln τ²: of the degrees of freedom that bear on it, and at all.
SCORING_DAMPING, LEAST_INFORMATION = 0.1, 0.02


def _mixed_model(
    columns: Floats, eta: Floats, information: Floats, score: Floats, variance: Floats, share: float
) -> _Inner:
    """Return γ, the corpora's coefficients given it, and τ², for the law linearised at `eta`.

    τ² goes `share` of the way, in the logarithm, to where a few rounds of Fisher's scoring lead.

    With I the information and T = diag τ²: weights of the corpora (I⁻¹ + T)⁻¹ = T⁻¹ (I + T⁻¹)⁻¹ I.
    """
    own = (information @ eta[..., None])[..., 0] + score  # I times the corpus's own optimum of the linearised law
    rows, q = np.swapaxes(columns, 1, 2), columns.shape[2]
    first = variance
    for _ in range(SCATTER_ROUNDS):
        precision = 1 / variance[:, None, :]
        inverse = np.linalg.inv(information + precision[..., None] * np.eye(5))
        weight = precision[..., None] * (inverse @ information)
        crossed = rows @ weight
        normal = np.linalg.inv((crossed @ columns).sum(axis=1) + SINGULAR * np.eye(q))
        weighed = precision * (inverse @ own[..., None])[..., 0]
        gamma = (normal @ (rows @ weighed[..., None]).sum(axis=1))[..., 0]
        mean = (columns @ gamma[:, None, :, None])[..., 0]
        best = (inverse @ (own + precision * mean)[..., None])[..., 0]
        # What is uncertain of u_j: its own runs, and γ.
        through = (inverse * precision[:, :, None, :]) @ columns
        spread = np.diagonal(inverse, axis1=2, axis2=3) + ((through @ normal[:, None]) * through).sum(axis=3)
        freedom = np.maximum((1 - spread * precision).sum(axis=1), 0.0)
        gradient = 0.5 * (((best - mean) ** 2 * precision).sum(axis=1) - freedom)
        variance = variance * np.exp(_scoring_step(gradient, weight, variance, freedom))
        variance = np.clip(variance, LEAST_SCATTER**2, MOST_SCATTER**2)
    variance = first ** (1 - share) * variance**share
    return _Inner(
        gamma=gamma,
        pull=normal[:, None] @ crossed,
        mean=mean,
        eta=best,
        uncertainty=np.maximum(spread, 1e-16),
        variance=variance,
        fitted=(inverse * np.swapaxes(information, 2, 3)).sum(axis=(1, 2, 3)),
    )


def _scoring_step(gradient: Floats, weight: Floats, variance: Floats, freedom: Floats) -> Floats:
    """Return the step of ln τ² (B, 5) that restricted likelihood asks for, by its gradient and expected information.

    The information is Σ_j (τ_k W_j,kl τ_l)²/2 with W_j = (I_j⁻¹ + T)⁻¹ (Harville 1977, eq. 6.1, without what γ takes).
    """
    scatter = np.sqrt(variance)
    scaled = weight * scatter[:, None, :, None] * scatter[:, None, None, :]
    known = 0.5 * (scaled**2).sum(axis=1)
    diagonal = np.arange(known.shape[1])
    known[:, diagonal, diagonal] += SCORING_DAMPING * freedom + LEAST_INFORMATION
    step = np.linalg.solve(known, gradient[..., None])[..., 0]
    return np.clip(step, -LONGEST_SCATTER_STEP, LONGEST_SCATTER_STEP)


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
