"""Numbers as people read them: 94k parameters, 1.5 × 10¹² FLOPs, 0.35 [0.33, 0.37]."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from isoloss.core.estimate import Estimate

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
MISSING = "–"


def si(value: float, digits: int = 3, *, trim: bool = True) -> str:
    """Return 94000 as `94k`, 1.5e6 as `1.5M`, 2e9 as `2B` (the field's billion)."""
    if abs(value) >= 1e15:
        return power_of_ten(value)
    for scale, suffix in _SUFFIXES:
        if abs(value) >= 0.9995 * scale:
            return f"{plain(value / scale, digits, trim=trim)}{suffix}"
    return plain(value, digits, trim=trim)


def plain(value: float, digits: int = 3, *, trim: bool = True) -> str:
    """Return `value` to `digits` significant digits, with a power of ten only outside 1e-4 to 1e6.

    `trim` drops the zeros of round numbers (a tick), which a column of numbers keeps.
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return power_of_ten(value, digits)
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:.{decimals}f}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def power_of_ten(value: float, digits: int = 2) -> str:
    """Return 1e12 as `10¹²` and 1.5e12 as `1.5×10¹²`."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    head = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if head in ("1", "-1"):
        return ("−" if head == "-1" else "") + power
    return f"{head.replace('-', '−')}×{power}"


def flops_text(value: float) -> str:
    """Return a budget of FLOPs to three digits: `6×10¹⁷`, `1.52×10²¹`."""
    return power_of_ten(value, 3)


def fixed(value: float, decimals: int) -> str:
    """Return `value` with `decimals` decimals and a true minus sign."""
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def decimals_for(estimate: Estimate) -> int:
    """Return the decimals worth printing: two significant digits of the interval's width, but two to four decimals."""
    if not estimate.width or not math.isfinite(estimate.width):
        return 3
    return min(4, max(2, 1 - math.floor(math.log10(estimate.width))))


Writer = Callable[[float], str]
Style = Literal["fixed", "si", "plain"]

_STYLES: dict[Style, Callable[[Estimate], Writer]] = {
    "fixed": lambda estimate: partial(fixed, decimals=decimals_for(estimate)),
    "si": lambda _: partial(si, trim=False),
    "plain": lambda _: partial(plain, trim=False),
}


def value_and_interval(estimate: Estimate | None, *, style: Style = "fixed") -> tuple[str, str]:
    """Return an estimate as two texts: the value, and its interval or nothing.

    `style` is `fixed` (decimals by the interval's width), `si` (for counts) or `plain` (significant digits).
    """
    if estimate is None or not math.isfinite(estimate.value):
        return MISSING, ""
    write = _STYLES[style](estimate)
    if estimate.low is None or estimate.high is None:
        return write(estimate.value), ""
    return write(estimate.value), f"[{write(estimate.low)}, {write(estimate.high)}]"


def counted(number: float) -> str:
    """Return a count as `8,310`, and as `1.5M` from a million on."""
    return f"{number:,.0f}" if number < 1e6 else si(number)


def significant(value: float, digits: int) -> str:
    """Return `value` to `digits` significant digits, as in plain text."""
    return f"{value:.{digits}g}"


def percent(share: float, digits: int = 3, *, signed: bool = False) -> str:
    """Return a share to `digits` significant digits as `2.5 %`, or as `+2.5 %`."""
    sign = "+" if signed and share > 0 else ""
    points = 100 * share
    # From half below a power of ten on, `digits` digits would be written with an exponent.
    return f"{sign}{significant(points, digits) if abs(points) < 10**digits - 0.5 else f'{points:,.0f}'} %"


def in_brackets(estimate: Estimate, write: Writer, *, gap: str = " ", to: str = ", ") -> str:
    """Return an estimate as `0.35 [0.33, 0.37]`, or its value alone where it has no interval."""
    if estimate.low is None or estimate.high is None:
        return write(estimate.value)
    return f"{write(estimate.value)}{gap}[{write(estimate.low)}{to}{write(estimate.high)}]"


def rounded(estimate: Estimate, digits: int) -> str:
    """Return an estimate with its interval to `digits` significant digits: `0.35 [0.33, 0.37]`."""
    return in_brackets(estimate, partial(significant, digits=digits))


def duration(seconds: float) -> str:
    """Return `43 s`, `5 min 12 s`, `3 h 20 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted_corpora(count: int) -> str:
    """Return how many corpora there are, in words: `1 corpus`, `3 corpora`."""
    return f"{count} {'corpus' if count == 1 else 'corpora'}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def some(items: Iterable[object], *, most: int = 5) -> str:
    """Return the first of some names or numbers for a message, and how many more there are."""
    words = [*map(str, items)]
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def grouped(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each of (name, sentence)'s sentences once, with the names that it is said of as `listed` writes them."""
    names: dict[str, list[str]] = {}
    for name, sentence in said:
        names.setdefault(sentence, []).append(name)
    return {sentence: listed(of) for sentence, of in names.items()}
