"""Texts left out in turn: how far off their balance and their losses are, predicted by each measure."""

from collections.abc import Mapping, Sequence

import numpy as np

from answer.between import mean_between
from answer.estimates import Balance
from answer.readings import Floats
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.meta import meta_regression
from isoloss.fitting.fitted import FittedLaw
from isoloss.optima.best_size import BestSize

ONE, ONE_LAW = "one number for all", "one law for all"
RESAMPLES = 10_000


def balance_errors(balances: Sequence[Balance], columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the error of θ of every text left out: by one number for all, and by the line of each measure."""
    theta = np.array([one.theta.value for one in balances])
    variances = np.array([one.sd**2 for one in balances])
    errors: dict[str, list[float]] = {ONE: []}
    usable = {name: values for name, values in columns.items() if np.isfinite(values).all()}
    for out in range(len(theta)):
        kept = np.arange(len(theta)) != out
        errors[ONE].append(mean_between(theta[kept], variances[kept]).value - theta[out])
        for name, values in usable.items():
            line = meta_regression(theta[kept], variances[kept], values[kept], np.zeros(int(kept.sum())))
            errors.setdefault(name, []).append(line.at(values[out]) - theta[out])
    return {name: np.array(own) for name, own in errors.items()}


def root_mean_square(errors: Floats) -> float:
    """Return the root mean square of errors."""
    return float(np.sqrt(np.mean(np.square(errors))))


def difference(errors: Floats, others: Floats) -> Estimate:
    """Return the root mean square of errors less that of others on the same texts.

    Its interval comes from drawing texts anew.
    """
    drawn = stream(0, "texts left out").integers(len(errors), size=(RESAMPLES, len(errors)))
    squares = [np.sqrt(np.mean(np.square(one)[drawn], axis=1)) for one in (errors, others)]
    return Estimate.from_draws(squares[0] - squares[1], value=root_mean_square(errors) - root_mean_square(others))


def loss_errors(
    balances: Sequence[Balance], columns: Mapping[str, Floats], laws: Mapping[str, FittedLaw]
) -> dict[str, Floats]:
    """Return the error of ln L of every text left out at its own best splits, root mean square over the budgets.

    The laws of the other texts say what each of them loses at these N and D. What the left-out text loses there is read
    off a line through those on each measure; one law for all is their mean.
    """
    kept = [one for one in balances if one.corpus in laws]
    usable = {
        name: values[[one.corpus in laws for one in balances]]
        for name, values in columns.items()
        if np.isfinite(values).all()
    }
    errors: dict[str, list[float]] = {name: [] for name in (ONE_LAW, *usable)}
    for out, one in enumerate(kept):
        params, tokens, own = np.log([_best(point) for point in one.split.budgets]).T
        others = np.arange(len(kept)) != out
        losses = np.log([
            laws[kept[j].corpus].predict(params=np.exp(params), tokens=np.exp(tokens)) for j in np.flatnonzero(others)
        ])  # fmt: skip
        errors[ONE_LAW].append(root_mean_square(losses.mean(axis=0) - own))
        for name, values in usable.items():
            slope, level = np.polyfit(values[others], losses, 1)
            errors[name].append(root_mean_square(level + slope * values[out] - own))
    return {name: np.array(found) for name, found in errors.items()}


def _best(point: BestSize) -> tuple[float, float, float]:
    """Return N*, D* and the loss of a budget that has them."""
    assert point.params is not None
    assert point.tokens is not None
    assert point.loss is not None
    return point.params.value, point.tokens.value, point.loss.value
