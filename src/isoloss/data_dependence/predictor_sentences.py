"""A comparison of predictors in plain English: the answer, the balance, and what the design could have shown."""

from typing import TYPE_CHECKING

from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import percent

if TYPE_CHECKING:
    from isoloss.data_dependence.predictor_comparison import Errors, PredictorComparison, PredictorResult

ALMOST_ALL = 0.95  # of the folds: fewer that converge are reported


def sentences(found: "PredictorComparison") -> tuple[str, ...]:
    """Return the answer on losses, the one on the balance where there is one, and the limits."""
    parts = [_answer(found)]
    if found.measures[0].balance is not None:
        parts.append(_balance(found))
    return (*parts, _limits(found) + _convergence(found))


def _answer(found: "PredictorComparison") -> str:
    winner = found.winner
    best = min(found.measures, key=lambda c: c.loss.heldout) if winner is None else winner
    if winner is None:
        head = f"{_subject(found)}: {_nothing(found)} to predict the losses of a source that was left out"
        middle = f"the best, {best.measure}, misses them by {percent(best.loss.heldout)}"
        if len(found.measures) == 1:
            middle = f"it misses them by {percent(best.loss.heldout)}"
    else:
        head = f"{_subject(found)}: {winner.measure} predicts the losses of a source that was left out"
        middle = f"it misses them by {percent(best.loss.heldout)}"
    return (
        f"{head}: {middle}, one law for all by {percent(best.loss.pooled)} (difference "
        f"{_points(best.loss.difference)}; {_tests(best.loss, len(found.measures))}), and one law moved by the "
        f"cheapest run of the left-out corpus by {percent(best.loss.proxy)}."
        f"{_others(found, winner)}{_doubt(best.loss)}"
    )


def _doubt(errors: "Errors") -> str:
    """Return why a small p is not enough, where it is not."""
    if errors.shown or errors.p_adjusted >= 1 - LEVEL:
        return ""
    return (
        " p is small because permuted measures do even worse. The measure may still be no better than one law for all."
    )


def _subject(found: "PredictorComparison") -> str:
    kind = f"{found.kind} " if found.kind else ""
    corpora = sum(len(own) for own in found.sources.values())
    sources = f"{len(found.sources)} {kind}sources"
    corpora_too = f" ({corpora} corpora)" if corpora > len(found.sources) else ""
    names = ", ".join(c.measure for c in found.measures)
    if len(found.measures) == 1:
        return f"Among {sources}{corpora_too}, by {names}"
    return f"Among {sources}{corpora_too} and {len(found.measures)} measures ({names})"


def _nothing(found: "PredictorComparison") -> str:
    return "it is not shown" if len(found.measures) == 1 else "no measure is shown"


def _others(found: "PredictorComparison", winner: "PredictorResult | None") -> str:
    """Return what else is shown, and whether the winner is distinguished from it."""
    others = [c for c in found.measures if c.loss.shown and winner is not None and c.measure != winner.measure]
    if winner is None or not others:
        return ""
    highs = {c.measure: winner.loss.against[c.measure].high for c in others}
    worse = [measure for measure, high in highs.items() if high is not None and high < 0]
    rest = [c.measure for c in others if c.measure not in worse]
    parts = []
    if worse:
        parts.append(f"{' and '.join(worse)} also {_predict(worse)}, but worse than {winner.measure}")
    if rest:
        parts.append(f"{' and '.join(rest)} also {_predict(rest)}, and {winner.measure} is not shown to be better")
    return f" {'; '.join(parts)}."


def _predict(names: list[str]) -> str:
    return "predicts" if len(names) == 1 else "predict"


def _balance(found: "PredictorComparison") -> str:
    winner = found.balance_winner
    judged = [(c, c.balance) for c in found.measures if c.balance is not None]
    best, errors = min(judged, key=lambda pair: pair[1].heldout)
    if winner is not None and winner.balance is not None:
        best, errors = winner, winner.balance
        head = f"{winner.measure} predicts ln(D*/N*) at {found.budget:.2g} FLOPs too"
    else:
        head = f"No measure is shown to predict ln(D*/N*) at {found.budget:.2g} FLOPs"
        if len(found.measures) == 1:
            head = f"{best.measure} is not shown to predict ln(D*/N*) at {found.budget:.2g} FLOPs"
    named = "" if winner is not None or len(found.measures) == 1 else f"{best.measure} "
    return (
        f"{head}: {named}off by {errors.heldout:.2g}, one law for all by {errors.pooled:.2g}, with the cheapest run by "
        f"{errors.proxy:.2g} ({_tests(errors, len(found.measures))})."
    )


def _limits(found: "PredictorComparison") -> str:
    errors, sources = found.measures[0].loss, len(found.sources)
    kind = f"{found.kind} " if found.kind else ""
    if errors.smallest_p_value >= 1 - LEVEL:
        return (
            f"With {sources} {kind}sources p cannot fall below {errors.smallest_p_value:.2g}, whatever the runs. So no "
            "difference can be shown at 5 %. That takes at least 4 sources of a kind; with 6 to 8 it becomes likely."
        )
    needed = (
        ""
        if errors.needed is None
        else f" The permutation test here requires an error at least {percent(-errors.needed)} below that of one law."
    )
    return (
        f"With {sources} {kind}sources and {_count(len(found.measures))}, a measure is found in four of five studies "
        f"if it explains at least {percent(found.smallest_explained, 2)} of the differences between sources.{needed}"
    )


def _convergence(found: "PredictorComparison") -> str:
    if found.folds_converged > ALMOST_ALL:
        return ""
    return (
        f" {percent(1 - found.folds_converged, 2)} of the laws behind this did not converge. Look at each corpus's own "
        "law first, and leave out unconverged and saturated runs."
    )


def _count(measures: int) -> str:
    return "one measure" if measures == 1 else f"{measures} measures"


def _points(difference: Estimate) -> str:
    value = _signed(difference.value)
    if difference.low is None or difference.high is None:
        return f"{value} points"
    return f"{value} points [{_signed(difference.low)}, {_signed(difference.high)}]"


def _signed(share: float) -> str:
    """Return a share in percentage points: tenths below ten, whole ones above."""
    points = 100 * share
    return f"{points:+.{1 if abs(points) < 10 else 0}f}".replace("-", "−")


def _tests(errors: "Errors", measures: int) -> str:
    corrected = f", {errors.p_adjusted:.2g} corrected for {measures} measures" if measures > 1 else ""
    return f"p = {errors.p_value:.2g}{corrected}"
