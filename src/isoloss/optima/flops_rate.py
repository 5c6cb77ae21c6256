"""FLOPs per token as a curve in ln N: by 6 N where C = 6 N D, else by what the sizes of a table have of their own.

6 N plus an offset, attention or embeddings bends one way in logarithms, and so does a mixture of experts: sizes like
that are interpolated. Where shapes differ from size to size the rates go up and down around such a curve: one model
family's best size should not follow each size's shape, so those are smoothed by a quadratic.
"""

from collections.abc import Callable

import numpy as np

from isoloss.laws.law import Floats
from isoloss.runs.observations import SAME_FLOPS, Observations
from isoloss.runs.sizes import distinct_sizes

SMOOTH_ENOUGH = 1e-3  # of ln(C/D): a quadratic that misses the sizes by less is not replaced
SAME_SLOPE = 0.01  # of d ln(C/D) / d ln N, by which rounded token counts may turn a slope back

Rate = Callable[[Floats], Floats]
"""ln(C/D) at ln N."""


def flops_per_token(table: Observations) -> Rate:
    """Return ln(C/D) as a function of ln N, by the sizes' own means; exactly that of 6 N where C is 6 N D.

    It is a quadratic in ln N next to 6 N. Where that misses the sizes although their rates bend one way only, it is
    their monotone interpolation (PCHIP, Fritsch & Butland 1984), straight on beyond the sizes.
    """
    sizes, member = distinct_sizes(table.params)
    own = np.log(table.flops) - np.log(table.tokens)
    rates = np.array([own[member == place].mean() for place in range(len(sizes))])
    log_n = np.log(sizes)
    middle = log_n.mean()
    line = np.polynomial.Polynomial.fit(log_n - middle, rates - log_n, min(2, len(sizes) - 1))

    def smooth(at: Floats) -> Floats:
        """Return the quadratic."""
        return np.asarray(at + line(at - middle))

    missed = float(np.sqrt(np.mean((smooth(log_n) - rates) ** 2)))
    return _interpolated(log_n, rates) if missed > SMOOTH_ENOUGH and _bends_one_way(log_n, rates) else smooth


def own_flops_per_token(table: Observations) -> Rate | None:
    """Return the curve where the table's FLOPs are no constant multiple of params · tokens; None where they are."""
    ratios = table.flops_ratios
    if ratios is None or not len(ratios) or ratios.max() <= SAME_FLOPS * ratios.min():
        return None
    return flops_per_token(table)


def _bends_one_way(log_n: Floats, rates: Floats) -> bool:
    """Whether the rates never fall and their slopes from size to size only rise, or only fall."""
    slopes = np.diff(rates) / np.diff(log_n)
    bends = np.diff(slopes)
    return bool((slopes >= 0).all() and ((bends >= -SAME_SLOPE).all() or (bends <= SAME_SLOPE).all()))


def _interpolated(log_n: Floats, rates: Floats) -> Rate:
    # SciPy's interpolation loads where it is used: tables of 6 N D do not need it.
    from scipy.interpolate import PchipInterpolator

    between = PchipInterpolator(log_n, rates)
    slopes = np.diff(rates) / np.diff(log_n)

    def rate(at: Floats) -> Floats:
        """Return the interpolation between the sizes, and the line through the last two beyond them."""
        held = np.clip(at, log_n[0], log_n[-1])
        return np.asarray(between(held) + np.where(at < held, slopes[0], slopes[-1]) * (at - held))

    return rate
