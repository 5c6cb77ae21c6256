"""Splits of a budget under a law and under each of its draws: the four questions that a plan can be asked.

    a budget                 the split of least loss
    a budget and N (or D)    the other one, from C = 6 N D
    N (or D) alone           the budget whose best split has that N (or D)
    a loss alone             the cheapest budget whose best split reaches it
    a loss and N (or D)      the other one

Every answer is an array whose first element is of the law itself and whose others are of its draws; a draw under which
the question has no answer has NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from isoloss.core.errors import InputError, NotApplicable, Unidentified
from isoloss.laws.fitted import FittedLaw
from isoloss.laws.law import Floats

# Budgets and sizes are searched over all that is ever trained, and far beyond: e^0 to e^90 (1e39).
LOG_LEAST, LOG_MOST = 0.0, 90.0
HALVINGS = 60  # of that range, down to 1e-16


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
                raise InputError(f"{name} is {value:g}", place=_option(name), fix="give a finite number above zero")
        names = frozenset(self.given())
        if names not in _ANSWERS:
            known = "; ".join(" and ".join(_option(name) for name in sorted(each)) for each in _ANSWERS)
            found = " and ".join(_option(name) for name in sorted(names)) or "nothing"
            raise InputError(
                f"found {found}, which does not pose one question", place="plan", fix=f"give one of: {known}"
            )

    def given(self) -> dict[str, float]:
        """Return what is given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """The answer under the law (first) and under each draw. `given` are the columns held while N and D traded."""

    params: Floats
    tokens: Floats
    loss: Floats
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def flops(self) -> Floats:
        """C = 6 N D."""
        return 6 * self.params * self.tokens


def split(law: FittedLaw, question: Question, **given: float) -> Splits:
    """Return the split that answers `question` under `law`; `given` are the law's other columns (unique_tokens).

    Raises Unidentified where the law itself has no answer: no interior optimum, or a loss that it never reaches;
    NotApplicable for a law that does not split compute.
    """
    surface = Surface(law, **given)
    asked = question.given()
    params, tokens = _ANSWERS[frozenset(asked)](surface, **asked)
    if not (np.isfinite(params[0]) and np.isfinite(tokens[0])):
        raise Unidentified(
            f"under the {law.law} law of {law.group!r} {_what(question)} has no answer",
            fix="fit the law to a wider grid"
            + (", or ask for a higher loss" if question.target_loss is not None else ""),
        )
    return Splits(params=params, tokens=tokens, loss=surface.loss(params, tokens), given=given)


def _what(question: Question) -> str:
    if question.target_loss is not None:
        return f"a loss of {question.target_loss:g} nats"
    return "the best split"


class Surface:
    """A law and its draws as one array of laws, the law first; `given` are columns beside N and D."""

    def __init__(self, law: FittedLaw, **given: float) -> None:
        self.definition = law.definition
        if not self.definition.has_frontier():
            raise NotApplicable(
                f"{law.law} does not split compute into parameters and tokens",
                fix="plan with a law of both, as chinchilla",
            )
        self.values = np.vstack([law.values, law.draws])
        self.given = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}

    def constant(self, value: float) -> Floats:
        """Return one value for every law."""
        return np.full(len(self.values), value)

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return L of every law at its own point."""
        columns = self.definition.complete({"params": params, "tokens": tokens, **self.given})
        return np.asarray(self.definition.loss(self.values, **columns))

    def best_params(self, log_flops: Floats) -> Floats:
        """Return ln N of the best split of every law at its own budget."""
        return np.asarray(self.definition.log_optimum(self.values, log_flops=log_flops, **self.given))

    def best_loss(self, log_flops: Floats) -> Floats:
        """Return the loss of that split."""
        log_params = self.best_params(log_flops)
        return self.loss(np.exp(log_params), np.exp(log_flops - np.log(6) - log_params))

    def solve(self, rising: Callable[[Floats], Floats]) -> Floats:
        """Return where a rising function of a logarithm (one value a law) crosses zero; NaN where it does not."""
        low, high = (np.full(len(self.values), edge) for edge in (LOG_LEAST, LOG_MOST))
        crosses = (rising(low) <= 0) & (rising(high) >= 0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = rising(middle) < 0
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(crosses, (low + high) / 2, np.nan)


Pair = tuple[Floats, Floats]


def _best(surface: Surface, log_flops: Floats) -> Pair:
    log_params = surface.best_params(log_flops)
    return np.exp(log_params), np.exp(log_flops - np.log(6) - log_params)


def _of_budget(surface: Surface, *, flops: float) -> Pair:
    return _best(surface, surface.constant(float(np.log(flops))))


def _budget_and_params(surface: Surface, *, flops: float, params: float) -> Pair:
    return surface.constant(params), surface.constant(flops / (6 * params))


def _budget_and_tokens(surface: Surface, *, flops: float, tokens: float) -> Pair:
    return surface.constant(flops / (6 * tokens)), surface.constant(tokens)


def _of_params(surface: Surface, *, params: float) -> Pair:
    return _best(surface, surface.solve(lambda log_flops: surface.best_params(log_flops) - np.log(params)))


def _of_tokens(surface: Surface, *, tokens: float) -> Pair:
    wanted = np.log(6 * tokens)
    return _best(surface, surface.solve(lambda log_flops: log_flops - surface.best_params(log_flops) - wanted))


def _of_loss(surface: Surface, *, target_loss: float) -> Pair:
    return _best(surface, surface.solve(lambda log_flops: target_loss - surface.best_loss(log_flops)))


def _loss_and_params(surface: Surface, *, target_loss: float, params: float) -> Pair:
    fixed = surface.constant(params)
    return fixed, np.exp(surface.solve(lambda log_tokens: target_loss - surface.loss(fixed, np.exp(log_tokens))))


def _loss_and_tokens(surface: Surface, *, target_loss: float, tokens: float) -> Pair:
    fixed = surface.constant(tokens)
    return np.exp(surface.solve(lambda log_params: target_loss - surface.loss(np.exp(log_params), fixed))), fixed


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
