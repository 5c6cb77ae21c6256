"""Splits of a budget under a law and under each of its draws: the four questions that a plan can be asked.

    a budget                 the split of least loss
    a budget and N (or D)    the other one, from C = 6 N D
    N (or D) alone           the budget whose best split has that N (or D)
    a loss alone             the cheapest budget whose best split reaches it
    a loss and N (or D)      the other one

Every answer is an array whose first element is of the law itself and whose others are of its draws; a draw under which
the question has no answer has NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isoloss.core.bisection import bisected
from isoloss.core.errors import InputError, Unidentified
from isoloss.laws.law import Floats
from isoloss.laws.repeated import Repeated
from isoloss.planning.laws import PlanLaw
from isoloss.runs.observations import of_group

# Budgets and sizes are searched over all that is ever trained, and far beyond: e^0 to e^90 (1e39).
LOG_LEAST, LOG_MOST = 0.0, 90.0
GRID, HALVINGS = 46, 50  # first in steps of 2, then down to 1e-15
UNLIMITED = 1e30  # parameters or tokens


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is given: `flops`, `params`, `tokens`, `target_loss`; a combination of the module's list."""

    flops: float | None = None
    params: float | None = None
    tokens: float | None = None
    target_loss: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if not (np.isfinite(value) and value > 0):
                raise InputError(
                    f"{value:g} is not above zero", place=_option(name), fix="give a finite number above zero"
                )
        names = frozenset(self.given())
        if names not in _ANSWERS:
            known = "; ".join(" and ".join(_option(name) for name in sorted(each)) for each in _ANSWERS)
            found = " and ".join(_option(name) for name in sorted(names)) or "nothing"
            raise InputError(f"found {found}, which is not one question", place="plan", fix=f"give one of: {known}")

    def given(self) -> dict[str, float]:
        """Return what is given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """The answer under the law (first) and under each draw: parameters, tokens, and the FLOPs they take."""

    params: Floats
    tokens: Floats
    flops: Floats

    @property
    def log_ratio(self) -> Floats:
        """ln(D/N); infinite under a draw whose size or length is too small for a number."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.tokens) - np.log(self.params))


def split(law: PlanLaw, question: Question) -> Splits:
    """Return the split that answers `question` under `law`.

    Raises Unidentified where the law itself has no answer: no interior optimum, or a loss that it never reaches.
    """
    asked = question.given()
    with np.errstate(over="ignore", invalid="ignore"):  # a draw without an answer has NaN, and keeps it
        params, tokens = _ANSWERS[frozenset(asked)](law, **asked)
        flops = 6 * params * tokens / law.base.data_per_flop()
    if not (np.isfinite(params[0]) and np.isfinite(tokens[0])):
        raise Unidentified(
            f"the {law.form} law{of_group(law.base.group)} {_cannot(question)}",
            fix=_way_out(law, question),
        )
    return Splits(params=params, tokens=tokens, flops=flops)


def _way_out(law: PlanLaw, question: Question) -> str:
    if question.target_loss is not None:
        params, tokens = question.params or UNLIMITED, question.tokens or UNLIMITED
        least = float(law.loss(law.constant(params), law.constant(tokens))[0])
        of = " and ".join(
            f"unlimited {name}" if value == UNLIMITED else f"{value:.3g} {name}"
            for name, value in (("parameters", params), ("tokens", tokens))
        )
        return f"its lowest loss, with {of}, is {least:.4g}: give a higher target"
    if law.form == Repeated.name:
        return (
            f"its {law.given['unique_tokens']:,.0f} tokens would be repeated so often that more compute does not "
            "help: find more text, lower the budget, or count every pass as new text (--no-repeat)"
        )
    return "fit the law to a wider grid"


def _cannot(question: Question) -> str:
    if question.target_loss is not None:
        return f"cannot reach a loss of {question.target_loss:g} nats"
    return "has no best split"


def _solved(law: PlanLaw, rising: Callable[[Floats], Floats]) -> Floats:
    """Return where a rising function of a logarithm (one value a draw) crosses zero; NaN where it does not.

    A law may have no best split at the ends of what is searched: the crossing is first looked for on a grid.
    """
    grid = np.linspace(LOG_LEAST, LOG_MOST, GRID)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = np.stack([rising(law.constant(point)) for point in grid])
        rises = (values[:-1] <= 0) & (values[1:] >= 0)
        first = rises.argmax(axis=0)
        found = bisected(lambda at: rising(at) < 0, grid[first], grid[first + 1], halvings=HALVINGS)
    return np.where(rises.any(axis=0), found, np.nan)


Pair = tuple[Floats, Floats]


def _best(law: PlanLaw, log_flops: Floats) -> Pair:
    log_params = law.best_params(log_flops)
    return np.exp(log_params), np.exp(law.log_tokens(log_flops, log_params))


def _of_budget(law: PlanLaw, *, flops: float) -> Pair:
    return _best(law, law.constant(float(np.log(flops))))


def _budget_and_params(law: PlanLaw, *, flops: float, params: float) -> Pair:
    return law.constant(params), law.constant(flops * law.base.data_per_flop() / (6 * params))


def _budget_and_tokens(law: PlanLaw, *, flops: float, tokens: float) -> Pair:
    return law.constant(flops * law.base.data_per_flop() / (6 * tokens)), law.constant(tokens)


def _of_params(law: PlanLaw, *, params: float) -> Pair:
    log_params = float(np.log(params))
    return _best(law, _solved(law, lambda log_flops: law.best_params(log_flops) - log_params))


def _of_tokens(law: PlanLaw, *, tokens: float) -> Pair:
    log_tokens = float(np.log(tokens))
    return _best(law, _solved(law, lambda budget: law.log_tokens(budget, law.best_params(budget)) - log_tokens))


def _of_loss(law: PlanLaw, *, target_loss: float) -> Pair:
    return _best(law, _solved(law, lambda log_flops: target_loss - law.loss(*_best(law, log_flops))))


def _loss_and_params(law: PlanLaw, *, target_loss: float, params: float) -> Pair:
    fixed = law.constant(params)
    return fixed, np.exp(_solved(law, lambda log_tokens: target_loss - law.loss(fixed, np.exp(log_tokens))))


def _loss_and_tokens(law: PlanLaw, *, target_loss: float, tokens: float) -> Pair:
    fixed = law.constant(tokens)
    return np.exp(_solved(law, lambda log_params: target_loss - law.loss(np.exp(log_params), fixed))), fixed


_ANSWERS: dict[frozenset[str], Callable[..., Pair]] = {
    frozenset({"flops"}): _of_budget,
    frozenset({"flops", "params"}): _budget_and_params,
    frozenset({"flops", "tokens"}): _budget_and_tokens,
    frozenset({"params"}): _of_params,
    frozenset({"tokens"}): _of_tokens,
    frozenset({"target_loss"}): _of_loss,
    frozenset({"target_loss", "params"}): _loss_and_params,
    frozenset({"target_loss", "tokens"}): _loss_and_tokens,
}
