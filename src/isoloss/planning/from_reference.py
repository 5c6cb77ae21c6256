"""A published frontier, moved by how a corpus differs from a reference one, in the units of the frontier.

A frontier counts tokens of its own tokenizer. A corpus that a law knows as bytes is counted anew: by a tokenizer that
is named, or by a ratio of bytes to tokens that is stated.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Floats
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.laws import PlanLaw
from isoloss.planning.passes import GOOD_AS_NEW, refuse_too_many_passes, repeat_warning
from isoloss.planning.plan_result import MAKING, WIDEST, Making, Plan, finished, sizes, span, with_interval
from isoloss.planning.reference_frontiers import ReferenceFrontier
from isoloss.planning.splits import LOG_LEAST, LOG_MOST, Question, Splits

UNIT = "tokens"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shift:
    """ln(D*/N*) of the corpus less the reference's (1 + draws,), at the budget where both laws know it."""

    values: Floats
    at: float
    flops_high: float
    corpus: str
    reference: str

    @property
    def estimate(self) -> Estimate:
        return with_interval(self.values)

    @property
    def may_be_none(self) -> bool:
        """Whether the interval holds zero."""
        return bool(self.estimate.holds(0))


def plan_from_reference(
    law: PlanLaw,
    reference: PlanLaw,
    frontier: ReferenceFrontier,
    *,
    flops: float,
    corpus: CorpusStatistics,
    making: Making = MAKING,
    seed: int = 0,
    repeat: bool = True,
) -> Plan:
    """Return a published frontier's split of a budget, shifted as `law` is from the law of a `reference` corpus.

    The shift is the difference of their ln(D*/N*), draw by draw, in the middle of the budgets that both were fitted
    on; that it holds at every scale is an assumption, and said. Where the shift may be none and leaves D/N unknown
    within a factor of 200, the plan is the published frontier itself. No loss is predicted: the frontier's is of other
    text. `corpus` counts tokens of a tokenizer like the frontier's (`CorpusStatistics.in_tokens`);
    without `unique_tokens` nothing is said of passes. Raises InputError for a corpus that would be read more than 36
    times, unless `repeat` is false, Unidentified where either law has no best split.
    """
    Question(flops=flops)
    shift = _shift(law, reference)
    generator = stream(seed, "anchor", frontier.name)
    drawn = frontier.log_ratio_draws(flops, len(shift.values) - 1, generator)
    published = np.concatenate([[frontier.log_ratio(flops)], drawn])
    moved = with_interval(published + shift.values)
    useless = span(moved) >= WIDEST and shift.may_be_none
    decided = _split(flops, published if useless else published + shift.values)
    if repeat:
        bears = _budget_of(frontier, 0.0 if useless else float(shift.values[0]), GOOD_AS_NEW, corpus)
        refuse_too_many_passes(float(decided.tokens[0]), corpus, UNIT, bears=bears)
    counted = replace(corpus, vocab_size=corpus.vocab_size or frontier.vocab_size)
    drafted = Plan(
        corpus=corpus.name,
        **sizes(decided),
        params_convention=frontier.params_convention,
        data_unit=UNIT,
        data_of=f"subword tokens, vocabulary {counted.vocab_size:,}",
        extrapolation=frontier.extrapolation(flops),
        forms={frontier.name: with_interval(published), "shift": shift.estimate},
        reason=_reason(frontier, shift, useless=useless),
        warnings=(
            *(_indistinguishable(frontier, shift, moved, flops) if useless else ()),
            *repeat_warning(float(decided.tokens[0]), corpus, UNIT),
            *_uncounted(corpus),
            _assumed_shift(frontier, flops / shift.flops_high),
        ),
    )
    return finished(drafted, counted, making)


def _shift(law: PlanLaw, reference: PlanLaw) -> _Shift:
    lows, highs = zip(*(one.base.domain.span("flops") for one in (law, reference)), strict=True)
    high = min(highs)
    budget = float(np.sqrt(max(lows) * high))
    count = 1 + min(len(law.base.draws), len(reference.base.draws))
    with np.errstate(invalid="ignore"):  # a draw without a best split has no shift
        shift = law.log_ratio(budget)[:count] - reference.log_ratio(budget)[:count]
    if not np.isfinite(shift[0]):
        raise Unidentified(
            f"{law.base.group} or {reference.base.group} has no best split at {budget:.2g} FLOPs, so there is no shift",
            fix="fit the law to a wider grid",
        )
    return _Shift(values=shift, at=budget, flops_high=high, corpus=law.base.group, reference=reference.base.group)


def _split(flops: float, log_ratios: Floats) -> Splits:
    log_sizes = 0.5 * (np.log(flops / 6) - log_ratios)
    with np.errstate(over="ignore", under="ignore"):
        params, tokens = np.exp(log_sizes), np.exp(np.log(flops / 6) - log_sizes)
    return Splits(params=params, tokens=tokens, flops=np.full(len(params), flops))


def _budget_of(frontier: ReferenceFrontier, shift: float, passes: float, corpus: CorpusStatistics) -> float | None:
    """Return the budget whose split reads the corpus so many times; None where its tokens are not known at all."""
    unique = corpus.unique_tokens or corpus.most_tokens
    if unique is None:
        return None
    from scipy.optimize import brentq

    wanted = math.log(passes * unique)

    def excess(log_flops: float) -> float:
        return 0.5 * (log_flops - math.log(6) + frontier.log_ratio(math.exp(log_flops)) + shift) - wanted

    if not excess(LOG_LEAST) < 0 < excess(LOG_MOST):
        return None
    return math.exp(brentq(excess, LOG_LEAST, LOG_MOST))


def _reason(frontier: ReferenceFrontier, shift: _Shift, *, useless: bool) -> str:
    found = shift.estimate
    ends = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    moved = f"{shift.values[0]:+.2f}{ends} in ln(D*/N*) by which {shift.corpus} lies from {shift.reference} at "
    verb = "not shifted, because the shift may be zero, by the " if useless else "shifted by the "
    return f"the frontier of {frontier.source}, {verb}{moved}{shift.at:.1e} FLOPs"


def _indistinguishable(
    frontier: ReferenceFrontier, shift: _Shift, moved: Estimate, flops: float
) -> tuple[LawWarning, ...]:
    return (LawWarning(
        code="indistinguishable",
        message=f"{shift.corpus} is indistinguishable from the published frontier: use its "
        f"{math.exp(frontier.log_ratio(flops)):.0f} tokens per parameter. The law's shift may be zero. With it, "
        f"tokens per parameter would be known only to a factor of {span(moved):,.0f}.",
    ),)  # fmt: skip


def _uncounted(corpus: CorpusStatistics) -> Iterator[LawWarning]:
    if corpus.unique_tokens is None:
        yield LawWarning(
            code="tokens_uncounted",
            message=f"the frontier counts subword tokens, and it is not known how many {corpus.name} has. Name a "
            "tokenizer (--tokenizer tokenizer.json) or give bytes per token (--bytes-per-token 4.2) to see how "
            "often the corpus is repeated.",
        )


def _assumed_shift(frontier: ReferenceFrontier, factor: float) -> LawWarning:
    return LawWarning(
        code="anchored",
        message=f"the shift was measured at budgets {factor:.2g} times smaller, in the law's own unit of data. That "
        f"it also applies here is an untested assumption. The level comes from {frontier.data}. To test it, fit "
        "runs closer to the budget.",
    )
