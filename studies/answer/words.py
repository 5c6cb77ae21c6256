"""How the answer's page and figures write numbers."""

import math
from functools import partial

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import fixed, in_brackets, si


def value(estimate: Estimate | None, decimals: int = 2) -> str:
    """Return an estimate with its interval in brackets."""
    return "–" if estimate is None else in_brackets(estimate, partial(fixed, decimals=decimals))


def factor(estimate: Estimate) -> str:
    """Return exp of an estimate, whole numbers above ten."""
    first, *rest = [f"{end:.0f}" if end >= 10 else f"{end:.2f}" for end in map(math.exp, ends_of(estimate))]
    return f"{first} [{'–'.join(rest)}]" if rest else first


def with_ends(estimate: Estimate) -> str:
    """Return an estimate of a ratio, two digits, with its interval."""
    first, *rest = [si(end, 2) for end in ends_of(estimate)]
    return f"{first} [{'–'.join(rest)}]" if rest else first


def begun(text: str) -> str:
    """Return a text with a capital letter."""
    return text[:1].upper() + text[1:]


def percent(estimate: Estimate, step: float) -> str:
    """Return the change in per cent that a slope of a logarithm gives for a step of the measure."""
    first, *rest = [fixed(100 * math.expm1(step * end), 1) for end in ends_of(estimate)]
    return f"{first} % [{' to '.join(rest)}]" if rest else f"{first} %"


def measured_number(number: float | None) -> str:
    """Return a number of nats or a ratio, a dash where there is none."""
    return "–" if number is None else f"{number:.3f}"


def off(error: float) -> str:
    """Return an error of a logarithm as a percentage of what it is the logarithm of."""
    return f"{100 * math.expm1(error):.0f} %"


def per_decade(slope: Estimate) -> str:
    """Return the factor that a slope on ln C gives for ten times the compute."""
    first, *rest = [f"{10**end:.2f}" for end in ends_of(slope)]
    return f"{first} [{'–'.join(rest)}]" if rest else first


def ends_of(estimate: Estimate) -> list[float]:
    """Return the value of an estimate and, where it has them, the ends of its interval."""
    return [end for end in (estimate.value, estimate.low, estimate.high) if end is not None]


def spread(estimate: Estimate) -> float:
    """Return the factor between the ends of an interval."""
    _, low, high = ends_of(estimate)
    return high / low


def probability(p: float) -> str:
    """Return a p-value."""
    return f"p = {p:.2g}" if p >= 1e-3 else "p < 0.001"
