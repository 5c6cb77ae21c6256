"""Intermediate checkpoints that a table lists as if each were a run of its own.

Checkpoints of one curve share its noise, so the losses of a size then lie above or below those of its neighbours
together. Two things show it where no column names the curves: rows evenly spaced in tokens, as nobody plans runs; and
effects of the sizes, by an F ratio, that neither a smooth surface nor any law with independent rows explains.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isoloss.fitting.domain import LawWarning
from isoloss.fitting.engine import find_optimum, linearise, pose, starting_points
from isoloss.fitting.noise import orthonormal, without
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.runs.observations import Observations

FEWEST_CHECKPOINTS = 6  # rows of one size, evenly spaced in tokens: nobody plans runs so
EVEN = 0.03  # of their spacing
SAME_SIZE = 1e-6
MOST_OF = 0.5  # of the rows
FEWEST_OF_SIZE = 4  # rows of a size whose effect is tested
FEWEST_TESTED = 4  # sizes: a quadratic takes up the effects of three
FEWEST_LEFT = 5  # degrees of freedom of the noise of rows
MOST_ROWS, MOST_TESTED = 5_000, 200
# Of each of the two F ratios. Both must be that large, and a third order counts as noise: of tables of independent rows
# on laws that are known here, 0 to 5 % are taken for curves (docs/decisions/23-optima.md).
CHANCE = 0.1
# Of the first ratio alone: below this, rows may be curves. Their noise is then estimated as that of curves, which finds
# little that is shared where they are none.
MAY_BE = 0.3
LEAST_RATIO = 0.25  # of the curves' variance over that of rows: less hardly widens an interval
LEAST_NOISE = 2e-4  # of ln L: losses are written to three or four digits
# Third-order coefficient of ln L in ln N that counts as noise: what a smooth surface may have, and what a law may lack.
# From so many sizes on the surface's is left free.
SURFACE_SD, LAW_SD = 1e-3, 5e-4
SIZES_OF_CUBIC = 7
RIVALS = ("chinchilla", "coupled", "ceiling")  # laws that may explain what looks like an effect of the sizes
SEEN = 1e-3  # of a column's length: what is left of it next to the others counts above this


def checkpoints_as_runs(observations: Observations, law: type[Law]) -> Iterator[LawWarning]:
    """Warn where most rows of a corpus look like checkpoints of curves, and none names its curve."""
    if len(observations.corpora) == 1 and (found := unnamed_curves(observations)) is not None:
        yield found


def unnamed_curves(observations: Observations) -> LawWarning | None:
    """Return the warning that most rows of one corpus look like checkpoints of curves that none names, or None."""
    found = _curves(observations, surely=True)
    return None if found is None else found.warning(observations)


def with_curves(observations: Observations) -> Observations:
    """Return the rows of one corpus with a trunk a size where they may well be checkpoints that no column names."""
    return observations if _curves(observations, surely=False) is None else _a_trunk_a_size(observations)


def as_if_curves(observations: Observations) -> Observations:
    """Return the rows of one corpus with a trunk a size where sizes have enough rows to be unnamed curves."""
    if not _names_no_curve(observations):
        return observations
    may_be = _enough(_single(_sizes(observations), observations.tokens), observations)
    return _a_trunk_a_size(observations) if may_be else observations


def _a_trunk_a_size(observations: Observations) -> Observations:
    member = _same_size(observations.params)
    return replace(observations, trunk=np.char.add("size ", member.astype(np.str_)))


def _names_no_curve(observations: Observations) -> bool:
    return observations.has("params", "tokens") and len(np.unique(observations.trunk)) == len(observations)


def _enough(sizes: list[NDArray[np.int64]], observations: Observations) -> bool:
    return sum(map(len, sizes)) > MOST_OF * len(observations)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Curves:
    """The rows of every size that look like one curve, and what shows it."""

    sizes: list[NDArray[np.int64]]
    evenly: bool

    def warning(self, observations: Observations) -> LawWarning:
        """Return what is to be said of them."""
        rows = np.concatenate(self.sizes)
        of = f"{len(rows)} of {len(observations)} rows"
        if self.evenly:
            seen = f"{of} are evenly spaced in tokens at {len(self.sizes)} sizes."
        else:
            seen = f"{of} share noise with the rows of their size, at {len(self.sizes)} sizes."
        return LawWarning(
            code="checkpoints_as_runs",
            message=f"{seen} They look like checkpoints of training curves, not like finished runs. Checkpoints of one "
            "curve share noise, which makes intervals of a fit too narrow; a learning rate that had not decayed makes "
            "losses too high. Best sizes, and tests of whether a law fits, take each size as one curve. Name the curve "
            "(--trunk), or keep only the last row of each.",
            rows=tuple(np.sort(observations.rows[rows]).tolist()),
        )


def _curves(observations: Observations, *, surely: bool) -> _Curves | None:
    """Return the sizes that look like curves, None where most rows do not, or where rows name their curves."""
    if not _names_no_curve(observations):
        return None
    rows_of = _sizes(observations)
    even = [rows for rows in rows_of if _evenly_spaced(observations.tokens[rows])]
    if _enough(even, observations):
        return _Curves(sizes=even, evenly=True)
    single = _single(rows_of, observations.tokens)
    if not _enough(single, observations) or observations.extra:
        return None
    shared = _share_noise(observations.select(np.concatenate(single)), surely=surely)
    return _Curves(sizes=single, evenly=False) if shared else None


def _same_size(params: Floats) -> NDArray[np.int64]:
    """Return which size each row has (n,), by exactly equal parameters."""
    order = np.argsort(params, kind="stable")
    member = np.empty(len(params), dtype=np.int64)
    member[order] = np.cumsum(np.diff(np.log(params[order]), prepend=np.log(params[order[:1]])) > SAME_SIZE)
    return member


def _sizes(observations: Observations) -> list[NDArray[np.int64]]:
    """Return the rows of every size that has enough of them to be a curve."""
    member = _same_size(observations.params)
    order, counts = np.argsort(member, kind="stable"), np.bincount(member)
    ends = np.cumsum(counts)
    return [order[ends[size] - counts[size] : ends[size]] for size in np.flatnonzero(counts >= FEWEST_OF_SIZE)]


def _single(sizes: list[NDArray[np.int64]], tokens: Floats) -> list[NDArray[np.int64]]:
    """Return the sizes that have no token count twice: the others are no one curve."""
    return [rows for rows in sizes if len(np.unique(tokens[rows])) == len(rows)]


def _evenly_spaced(tokens: Floats) -> bool:
    """Whether most steps between distinct token counts are one and the same."""
    steps = np.diff(np.unique(tokens))
    if len(steps) + 1 < FEWEST_CHECKPOINTS:
        return False
    return bool((np.abs(steps / np.median(steps) - 1) <= EVEN).mean() > MOST_OF)


def _share_noise(table: Observations, *, surely: bool) -> bool:
    """Whether sizes have effects of their own next to a smooth surface, and for sure next to every law too."""
    if len(table) > MOST_ROWS or not FEWEST_TESTED <= len(np.unique(_same_size(table.params))) <= MOST_TESTED:
        return False
    chance, ratio = _effects(table, np.log(table.loss_nats), _smooth(table), cubic_sd=SURFACE_SD)
    if not surely:
        return chance < MAY_BE
    return chance < CHANCE and ratio > LEAST_RATIO and all(_next_to(table, law) for law in RIVALS)


def _smooth(table: Observations) -> Floats:
    """Return a quadratic in ln N whose terms go with tokens as they like: the columns of a smooth surface (n, p)."""
    x, z = _centred(table.params), _centred(table.tokens)
    cubic = [x**3] if len(np.unique(_same_size(table.params))) >= SIZES_OF_CUBIC else []
    return np.column_stack(
        [np.ones_like(x), x, x**2, *cubic, z, z**2, z**3, z**4, x * z, x * z**2, x * z**3, x**2 * z, x**2 * z**2]
    )


def _next_to(table: Observations, form: str) -> bool:
    """Whether sizes have effects next to a law at its best fit."""
    problem = pose(table, law=open_law(form), objective="gaussian")
    residuals, jacobian = linearise(problem, find_optimum(problem, starting_points(problem, "auto")).free)
    return _effects(table, residuals, jacobian, cubic_sd=LAW_SD)[0] < CHANCE


def _effects(table: Observations, y: Floats, columns: Floats, *, cubic_sd: float) -> tuple[float, float]:
    """Return how often independent rows show effects of sizes as large as y (n,) next to columns (n, p), by an F ratio.

    The second number is the variance of the effects over that of rows. A third order in ln N, its coefficient of
    standard deviation `cubic_sd`, counts as noise.
    """
    from scipy.special import fdtrc

    member = _same_size(table.params)
    dummies = np.equal.outer(member, np.arange(member.max() + 1)).astype(np.float64)
    base = orthonormal(columns / np.linalg.norm(columns, axis=0), least=SEEN**2)
    effects = orthonormal(without(base, dummies), least=SEEN)
    freedom, left = effects.shape[1], len(y) - base.shape[1] - effects.shape[1]
    if not freedom or left < FEWEST_LEFT:
        return 1.0, 0.0
    seen = effects.T @ y
    variance = max(float(np.sum(without(effects, without(base, y)) ** 2)) / left, LEAST_NOISE**2)
    cubic = cubic_sd * effects.T @ _centred(table.params) ** 3
    known = np.linalg.inv(variance * np.eye(freedom) + np.outer(cubic, cubic))
    ratio = float(seen @ known @ seen) / freedom
    # E ratio = 1 + t · trace / freedom for curves of variance t.
    shared = (ratio - 1) * freedom / float(np.sum(known * (effects.T @ dummies @ dummies.T @ effects)))
    return float(fdtrc(freedom, left, ratio)), shared / variance


def _centred(values: Floats) -> Floats:
    return np.asarray(np.log(values) - np.log(values).mean())
