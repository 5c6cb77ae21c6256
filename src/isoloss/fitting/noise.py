"""The noise of runs around a law: what rows of one training curve share, and what each point has for itself.

ln L = ln L̂ + trunk effect + point noise, both normal. Rows of one trunk share data order and initialisation, so
their errors move together; with one trunk a size, a trunk effect looks just like a wiggle of A/N^α. Restricted
likelihood (Patterson & Thompson 1971) separates the two and pays for the fitted parameters. With four to six trunks
it leaves one to three degrees of freedom for the trunks' variance: its maximum is then often zero, and intervals from
it hold the truth 80 % of the time instead of 95. So the variances are drawn from their posterior, and intervals widen
as Student's t does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoloss.laws.law import Floats

# Shares of the variance that may belong to the trunks: 80 cells of equal width.
CELLS = 80
# More trunks than these are taken one by one, in time that grows with the rows: five fitted directions of 400 then
# move the variances by about 1 %, a seventh of what 400 trunks know of them.
MANY_TRUNKS = 400
# Prior density of the share s: 2 (1 − s). On grids of 4 and 6 trunks × 5 points of one corpus intervals then hold the
# truth 90–100 % of the time without trunk effects and where they are half the point noise, 89–95 % where they equal it,
# and 78–95 % at twice it; six corpora together bring the last to 89–95 % (docs/results/coverage.md). A uniform prior
# (uniform shrinkage, Daniels 1999) gives 91–95 % at twice, and 99–100 % with intervals twice too wide where trunk
# effects are small.
PRIOR_EXPONENT = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class TrunkNoise:
    """Posterior of the point variance and the trunk variance, on a grid of the trunks' share.

    `ratios` are trunk variance / point variance, `point_variances` the restricted estimate given each ratio,
    `posterior` the probability of each; `evidence` is the log density of each by these rows alone, for other corpora
    whose runs were trained alike; `freedom` are residual degrees of freedom. A row's own variance is the point
    variance times the square of its `row_scale`.
    """

    ratios: Floats
    point_variances: Floats
    posterior: Floats
    evidence: Floats
    freedom: int
    trunk_of: NDArray[np.int64]
    row_scale: Floats

    @property
    def point_sd(self) -> float:
        """The point noise at the posterior median of the trunks' share, in ln L."""
        return float(np.sqrt(self.point_variances[self._middle]))

    @property
    def trunk_sd(self) -> float:
        """The trunk effect at the posterior median of the trunks' share, in ln L."""
        return float(np.sqrt(self.ratios[self._middle] * self.point_variances[self._middle]))

    def draw_deviations(self, generator: np.random.Generator, draws: int) -> Floats:
        """Return standard deviations of point noise and of trunk effects (draws, 2), drawn from the posterior."""
        cell = generator.choice(len(self.ratios), size=draws, p=self.posterior)
        variance = self.point_variances[cell] * self.freedom / generator.chisquare(self.freedom, size=draws)
        return np.sqrt(np.column_stack([variance, variance * self.ratios[cell]]))

    def median_deviations(self, draws: int) -> Floats:
        """Return `point_sd` and `trunk_sd` as often as there are draws, (draws, 2)."""
        return np.tile([self.point_sd, self.trunk_sd], (draws, 1))

    def draw_noise(self, generator: np.random.Generator, deviations: Floats) -> Floats:
        """Return noise of the rows (draws, n) by its deviations (draws, 2)."""
        point_sd, trunk_sd = deviations.T
        points = generator.standard_normal((len(point_sd), len(self.trunk_of))) * self.row_scale
        trunks = generator.standard_normal((len(trunk_sd), self.trunk_of.max() + 1))[:, self.trunk_of]
        return np.asarray(point_sd[:, None] * points + trunk_sd[:, None] * trunks)

    @property
    def _middle(self) -> int:
        return int(np.searchsorted(np.cumsum(self.posterior), 0.5))


def trunk_noise(
    residuals: Floats,
    jacobian: Floats,
    trunks: NDArray[np.str_],
    weights: Floats,
    *,
    others: Floats | None = None,
    prior_exponent: float = PRIOR_EXPONENT,
) -> TrunkNoise:
    """Return the noise around a law from its residuals (n,) and its Jacobian (n, parameters that moved).

    The trunks' share s of the variance has prior density ∝ (1 − s)^`prior_exponent`. `others` is the sum of the
    `evidence` of other corpora on it, (cells,), where there are any. Row variances are point variance / weight + trunk
    variance. In the directions that the fitted parameters leave free, the trunks' covariance has as many eigenvalues as
    there are trunks; the remaining directions hold point noise alone.
    """
    _, trunk_of = np.unique(trunks, return_inverse=True)
    scale = np.sqrt(weights)
    fitted = orthonormal(jacobian * scale[:, None])
    left = without(fitted, residuals * scale)
    freedom = len(residuals) - fitted.shape[1]
    # Where every row is a trunk of its own, trunk effects are point noise by another name.
    alone = trunk_of.max() + 1 == len(residuals)
    spectrum, squares = (np.empty(0), np.empty(0)) if alone else _between_trunks(fitted, left, trunk_of, scale)
    shares = np.zeros(1) if alone else np.arange(CELLS) / CELLS
    ratios = shares / (1 - shares)
    inflation = 1 + ratios[:, None] * spectrum
    total = max(float(left @ left - squares.sum()), 0.0) + (squares / inflation).sum(axis=1)
    variances = np.maximum(total / freedom, np.finfo(float).tiny)
    evidence = -0.5 * (freedom * np.log(variances) + np.log(inflation).sum(axis=1))
    density = evidence + prior_exponent * np.log1p(-shares)
    if others is not None and not alone:
        density = density + others
    posterior = np.exp(density - density.max())
    return TrunkNoise(
        ratios=ratios,
        point_variances=variances,
        posterior=posterior / posterior.sum(),
        evidence=evidence - evidence.max(),
        freedom=freedom,
        trunk_of=trunk_of.astype(np.int64),
        row_scale=1 / scale,
    )


def _between_trunks(fitted: Floats, left: Floats, trunk_of: NDArray[np.int64], scale: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues of the trunks' covariance outside the fitted directions, and the residuals' squares there.

    With many trunks the few fitted directions change next to nothing: each trunk is an eigenvector of its own then.
    """
    trunks = trunk_of.max() + 1
    if trunks > MANY_TRUNKS:
        spectrum = np.asarray(np.bincount(trunk_of, weights=scale**2), dtype=np.float64)
        return spectrum, np.bincount(trunk_of, weights=scale * left) ** 2 / spectrum
    members = without(fitted, np.equal.outer(trunk_of, np.arange(trunks)) * scale[:, None])
    spectrum, vectors = np.linalg.eigh(members.T @ members)
    seen = spectrum > 1e-9 * spectrum.max()
    return spectrum[seen], (vectors[:, seen].T @ (members.T @ left)) ** 2 / spectrum[seen]


def of_others(evidence: Sequence[Floats | None]) -> list[Floats | None]:
    """Return, for each of several corpora trained alike, the sum of the others' evidence; None where none has any."""
    rests = [[one for j, one in enumerate(evidence) if j != i and one is not None] for i in range(len(evidence))]
    return [np.sum(rest, axis=0) if rest else None for rest in rests]


def orthonormal(columns: Floats, *, least: float = 0.0) -> Floats:
    """Return an orthonormal basis (n, rank) of the space of `columns` (n, p); directions below `least` are none."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > max(least, sizes.max(initial=0) * 1e-10)])


def without(basis: Floats, values: Floats) -> Floats:
    """Return `values` less their projection on `basis`."""
    return np.asarray(values - basis @ (basis.T @ values))
