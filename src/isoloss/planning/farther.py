"""Plans beyond the budgets of their law: which forms may speak, how far their intervals reach, what is no plan at all.

Where the runs are at hand, forms are tested on them (`isoloss.planning.beyond`). Of laws alone the intervals hold what
every form says, and grow with distance as such forms erred on published tables.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.numbers import listed, percent
from isoloss.fitting.domain import LawWarning
from isoloss.planning.beyond import AT_ONCE, GRID, LOSS_FACTOR, Beyond, fault_of
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.laws import PlanLaw
from isoloss.planning.plan_result import Plan, with_interval

TYPICAL_GROWTH = 0.014
"""Error of ln L a unit of .5 + ln(distance), as forms make it on published tables (docs/results/beyond.md)."""
LEAST_RATIO, MOST_RATIO = 0.1, 1e5
"""Tokens a parameter. No law of any corpus here or in print has its best split outside."""


def sound_forms(
    forms: Sequence[PlanLaw], flops: float | None, corpus: CorpusStatistics
) -> tuple[list[PlanLaw], tuple[LawWarning, ...]]:
    """Return the forms that hold from the runs to the budget, and a warning that names each other one.

    Without a budget they are taken at their own runs. Raises Unidentified where none holds.
    """
    sound, warnings = [], []
    for form in forms:
        fault = _fault(form, flops, corpus)
        if fault is None:
            sound.append(form)
        else:
            warnings.append(LawWarning(code="form_left_out", message=f"{form.form} is left out: {fault}."))
    if not sound:
        raise Unidentified(
            "no law is usable at this budget: " + " ".join(warning.message for warning in warnings),
            fix="fit other laws to the runs, or use a published frontier: --anchor porian",
        )
    return sound, tuple(warnings)


def _fault(form: PlanLaw, flops: float | None, corpus: CorpusStatistics) -> str | None:
    domain = form.base.domain
    grown = 1.0 if flops is None else float(np.sqrt(max(1.0, flops / domain.flops_high)))
    spans = domain.span("params"), domain.span("tokens")
    params, tokens = (np.geomspace(low, high * grown, GRID) for low, high in spans)
    return fault_of(form.base.definition, form.base.values, params, tokens, _ceiling(corpus))


def _ceiling(corpus: CorpusStatistics) -> float:
    return np.inf if corpus.vocab_size is None else float(np.log(corpus.vocab_size))


def widened(drafted: Plan, forms: Sequence[PlanLaw], corpus: CorpusStatistics) -> Plan:
    """Return the plan with intervals of the split and of the loss that hold those of every form, at the same budget."""
    low = min(form.value if form.low is None else form.low for form in drafted.forms.values())
    high = max(form.value if form.high is None else form.high for form in drafted.forms.values())
    middle = drafted.log_ratio

    def shifted(estimate: Estimate, sign: float) -> Estimate:
        ends = sorted(estimate.value * np.exp(0.5 * sign * (edge - middle.value)) for edge in (low, high))
        return replace(estimate, low=float(ends[0]), high=float(ends[1]))

    size, length = drafted.params.value, drafted.tokens.value
    said = [with_interval(form.loss(form.constant(size), form.constant(length))) for form in forms]
    return replace(
        drafted, log_ratio=replace(middle, low=low, high=high), params=shifted(drafted.params, -1),
        tokens=shifted(drafted.tokens, 1), loss=_holding(drafted.loss, said, drafted.extrapolation, corpus),
        run_loss=_holding(drafted.run_loss, said, drafted.extrapolation, corpus),
        reason=f"{drafted.reason}; intervals cover the predictions of {listed(list(drafted.forms))}",
    )  # fmt: skip


def _holding(
    own: Estimate | None, said: Sequence[Estimate], distance: float, corpus: CorpusStatistics
) -> Estimate | None:
    """Return an interval of loss that holds what every form says and how forms err so far away, at most ln V."""
    if own is None:
        return None
    ends = [end for each in (own, *said) for end in (each.low, each.high, each.value) if end is not None]
    growth = float(np.exp(LOSS_FACTOR * TYPICAL_GROWTH * (AT_ONCE + np.log(distance))))
    ceiling = _ceiling(corpus)
    return replace(own, low=min(ends) / growth, high=min(max(ends) * growth, ceiling))


def as_seen(drafted: Plan, seen: Beyond) -> Plan:
    """Return the plan with split and loss as the forms say that the runs themselves have tested."""
    (split,) = seen.splits
    return replace(
        drafted, params=split.params, tokens=split.tokens, log_ratio=split.tokens_per_param.logarithm(),
        loss=split.loss, run_loss=split.loss,
        warnings=(*drafted.warnings, *_left_out(seen)), regret=None, reason=_weighted(seen),
    )  # fmt: skip


def loss_as_seen(drafted: Plan, seen: Beyond) -> Plan:
    """Return the plan with the loss of its one run as the forms say that the runs themselves have tested."""
    (run,) = seen.runs
    return replace(
        drafted, loss=run.loss, run_loss=run.loss, warnings=(*drafted.warnings, *_left_out(seen)), regret=None,
        reason=f"{drafted.reason}; the loss is that of {_weighted(seen)}",
    )  # fmt: skip


def _left_out(seen: Beyond) -> tuple[LawWarning, ...]:
    return tuple(
        LawWarning(code="form_left_out", message=f"{name} is left out: {reason}.")
        for name, reason in seen.left_out.items()
    )


def _weighted(seen: Beyond) -> str:
    heavy = ", ".join(f"{one.name} {percent(one.weight, 2)}" for one in seen.forms if one.weight >= 0.01)
    return f"several laws, weighted by how well each predicts the largest budgets from smaller ones ({heavy})"


def refuse_absurd(drafted: Plan, corpus: CorpusStatistics, *, split_asked: bool) -> None:
    """Raise Unidentified for a split or a loss that no training run has: a law that says so says nothing.

    `split_asked`: neither N nor D was given, so that both are the law's.
    """
    ratio = drafted.tokens_per_param.value / drafted.data_per_token
    fix = "fit the law to a wider grid, or use a published frontier: --anchor porian"
    if split_asked and not LEAST_RATIO <= ratio <= MOST_RATIO:
        raise Unidentified(
            f"the law's best split has {ratio:.3g} tokens per parameter, which is not a usable plan", fix=fix
        )
    if drafted.loss is not None and drafted.loss.value > _ceiling(corpus):
        raise Unidentified(
            f"the law predicts {drafted.loss.value:.3g} nats, more than a uniform guess over {corpus.vocab_size:,} "
            "tokens "
            f"({_ceiling(corpus):.3g})",
            fix=f"{fix}; or name the law's tokenizer with --tokenizer, if it differs",
        )


def within_uniform(drafted: Plan, corpus: CorpusStatistics) -> Plan:
    """Return the plan with intervals of loss that end at ln V: a uniform guess over the vocabulary loses no more."""
    ceiling = _ceiling(corpus)

    def cut(loss: Estimate | None) -> Estimate | None:
        return loss and replace(loss.mapped(lambda end: min(end, ceiling)), value=loss.value)

    return replace(drafted, loss=cut(drafted.loss), run_loss=cut(drafted.run_loss))
