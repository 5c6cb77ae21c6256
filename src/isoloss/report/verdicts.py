"""The answer: a verdict on the balance as a headline, and as the line that a figure draws."""

import numpy as np

from isoloss.core.estimate import LEVEL
from isoloss.data_dependence.balance import STEP, BalanceVerdict, measure_in_words
from isoloss.report.blocks import Answer
from isoloss.report.figures.balance import KIND_TITLE, Line

LINE_POINTS = 41


NOT_JUDGED = Answer(
    kind="none",
    label="No answer yet",
    words="Whether best tokens per parameter follow the text was not judged.",
    sentence="That takes at least three corpora of one kind, each with a law.",
    limits="",
)


def kind_of(verdict: BalanceVerdict) -> str:
    """Return the kind of the verdict's corpora as the report names kinds: `text` or `generated`."""
    return "generated" if verdict.kind == "generated" else "text"


def answer(verdict: BalanceVerdict) -> Answer:
    """Return a verdict in the words of the page's head."""
    kind = kind_of(verdict)
    sentence, limits = verdict.sentences()
    return Answer(kind=kind, label=KIND_TITLE[kind], words=_words(verdict), sentence=sentence, limits=limits)


def _words(verdict: BalanceVerdict) -> str:
    measure = measure_in_words(verdict.measure)
    match verdict.verdict:
        case "moves":
            more = "more" if verdict.slope is not None and verdict.slope.value > 0 else "fewer"
            return f"The higher the {measure}, the {more} tokens per parameter are best."
        case "differs":
            return f"Best tokens per parameter differ, but it is not shown that they follow the {measure}."
        case "not_identified":
            return f"It is not shown that best tokens per parameter follow the {measure}."
        case "not_enough_corpora":
            return "Too few corpora to judge."


def balance_line(verdict: BalanceVerdict) -> Line:
    """Return the verdict's regression over its corpora with the pointwise interval of the mean.

    Corpora weigh by the inverse of run noise, the measure's noise along the slope and the scatter between corpora, as
    in `isoloss.data_dependence.meta`; at the weighted centre, slope and level are independent.
    """
    from scipy.special import stdtrit

    assert verdict.slope is not None, "a verdict that the balance moves has a slope"
    slope = verdict.slope.value / STEP
    half_slope = (verdict.slope.width or 0.0) / STEP / 2
    x = np.array([corpus.complexity.value for corpus in verdict.corpora])
    y = np.array([corpus.log_ratio.value for corpus in verdict.corpora])
    noise = np.array([c.log_ratio.variance + slope**2 * c.complexity.variance for c in verdict.corpora])
    weights = 1 / (noise + (verdict.scatter or 0.0) ** 2)
    centre, level = (float(np.average(column, weights=weights)) for column in (x, y))
    half_level = float(stdtrit(len(x) - 2, (1 + LEVEL) / 2)) / np.sqrt(weights.sum())
    along = np.linspace(x.min(), x.max(), LINE_POINTS)
    value = level + slope * (along - centre)
    half = np.sqrt(half_level**2 + (half_slope * (along - centre)) ** 2)
    return Line(complexity=along, value=value, low=value - half, high=value + half)
