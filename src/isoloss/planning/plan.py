"""A plan: what to train on a corpus for a budget, how sure that is, and why.

The decision is one point (N, D). Its intervals say where the decision would lie under each draw of the law; the loss is
of the planned point itself, under each draw. So is the regret: the loss of 20 tokens a parameter on the same budget
less that of the plan, negative under the draws by which the plan is the worse of the two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.fitting.domain import LawWarning, extrapolation_warnings
from isoloss.fitting.fitted import FittedLaw
from isoloss.laws.law import Floats
from isoloss.planning.anchors import Anchor
from isoloss.planning.conversion import Converted, Shapes, converted
from isoloss.planning.facts import CorpusFacts
from isoloss.planning.laws import REPEATABLE, PlanLaw, with_repetition
from isoloss.planning.recipe import Recipe, recipe_for
from isoloss.planning.shipped import shipped_law
from isoloss.planning.splits import Question, Splits, split
from isoloss.runs.ladders import ladder
from isoloss.runs.shapes import Counts, ParamsConvention, count
from isoloss.runs.spec import ModelSpec

AnyLaw = FittedLaw | FittedDataDependent

FARTHEST = 100.0  # times the law's largest budget: beyond it a plan is refused unless it is insisted on
FAR = 10.0  # from here on an insisted plan needs a second form of the law
OTHER_FORM = "kaplan"  # has no floor, where Chinchilla's form has one: they part as far as two forms in use do
RULE_OF_THUMB = 20.0  # tokens a parameter (Hoffmann et al. 2022)


@dataclass(frozen=True, kw_only=True)
class Making:
    """What turns N and D into a run: a shape's context and ties, a recipe (by size if None), a device's real FLOP/s.

    `params_convention` is how N is to be told beside the law's own way.
    """

    context: int | None = None
    tied: bool = False
    recipe: Recipe | None = None
    throughput: float | None = None
    params_convention: ParamsConvention | None = None

    def __post_init__(self) -> None:
        if self.throughput is not None and not (np.isfinite(self.throughput) and self.throughput > 0):
            raise InputError(
                f"a device of {self.throughput:g} FLOP/s", place="--throughput", fix="give FLOP/s above zero, as 2e14"
            )


MAKING = Making()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train. Every number is an Estimate; `shape` is a real model near the planned size, `counts` its weights.

    `loss` is the law's at the planned point, `run_loss` that of a single run there, luck included. `regret` is what 20
    tokens a parameter would cost in loss on the same FLOPs; `epochs` how often the corpus is read; `forms` what each
    law or anchor that was asked says of ln(D*/N*); `extrapolation` the factor beyond the largest fitted budget;
    `converted` N, the FLOPs and ln(D/N) by another convention, where one was asked for.
    """

    corpus: str
    params: Estimate
    tokens: Estimate
    flops: Estimate
    log_ratio: Estimate
    loss: Estimate | None = None
    run_loss: Estimate | None = None
    regret: Estimate | None = None
    epochs: Estimate | None = None
    batch_tokens: Estimate | None = None
    peak_lr: Estimate | None = None
    device_hours: Estimate | None = None
    shape: ModelSpec | None = None
    counts: Counts | None = None
    converted: Converted | None = None
    params_convention: str
    data_unit: str
    extrapolation: float
    forms: Mapping[str, Estimate]
    reason: str
    warnings: tuple[LawWarning, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss plan --json`."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {name: value.to_json() if isinstance(value, Estimate) else value for name, value in content.items()}
        return plain | {
            "shape": self.shape.model_dump() if self.shape else None,
            "counts": self.counts.model_dump() if self.counts else None,
            "converted": self.converted.to_json() if self.converted else None,
            "forms": {name: estimate.to_json() for name, estimate in self.forms.items()},
            "warnings": [warning.to_json() for warning in self.warnings],
        }


def plan(
    laws: AnyLaw | Sequence[AnyLaw] | None = None,
    *,
    corpus: CorpusFacts,
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    target_loss: float | None = None,
    making: Making = MAKING,
    extrapolate: bool = False,
    repeat: bool = True,
) -> Plan:
    """Return what to train on `corpus`: for a budget, a size, a length or a loss (`isoloss.planning.splits`).

    A law fitted to the corpus's own runs is taken as it is, a data-dependent one at the corpus's measure. The first
    of several `laws` decides; the others, further forms fitted to the same runs, widen its intervals where
    `extrapolate` carries it beyond the fitted budgets (a data-dependent law given alone brings a second form by
    itself). Without any the law that comes with isoloss is taken. FLOPs are 6 · params · tokens by the law's own
    convention. `repeat` plans with the law of repeated data where the corpus has fewer tokens than wanted. Raises
    InputError for laws of other runs or conventions side by side, and for a budget over 100 times the law's largest
    unless `extrapolate`, Unidentified where the law has no answer.
    """
    question = Question(flops=flops, params=params, tokens=tokens, target_loss=target_loss)
    laws = shipped_law() if laws is None else laws
    asked = [laws] if isinstance(laws, FittedLaw | FittedDataDependent) else list(laws)
    forms = [plan_law(one, corpus) for one in asked]
    _refuse_mixed(forms)
    if extrapolate and len(forms) == 1 and isinstance(asked[0], FittedDataDependent):
        forms.append(forms[0].in_form(OTHER_FORM))  # its runs are of many corpora: no other form is fitted to them
    if flops is not None:
        _refuse_far(forms, flops / forms[0].domain.flops_high, extrapolate)
    law, decided, said_of_repeats = _decide(forms[0], question, corpus, repeat=repeat)
    extrapolation = max(1.0, float(decided.flops[0]) / law.domain.flops_high)
    _refuse_far(forms, extrapolation, extrapolate)
    size, length = float(decided.params[0]), float(decided.tokens[0])
    said, unsaid = _forms(forms, question)
    drafted = Plan(
        corpus=corpus.name,
        **_sizes(decided),
        loss=_estimate(law.loss(law.constant(size), law.constant(length))),
        run_loss=law.run_loss(size, length),
        regret=_regret(law, decided),
        params_convention=law.params_convention,
        data_unit=law.data_unit,
        extrapolation=extrapolation,
        forms=said,
        reason=f"{law.definition.formula}, {_whose(asked[0], corpus)}",
        warnings=(*extrapolation_warnings(law.domain, float(decided.flops[0])), *_outside(asked[0], corpus),
                  *_without_interval(asked),
                  *said_of_repeats, *unsaid),
    )  # fmt: skip
    if extrapolate and extrapolation > 1:
        drafted = _widened(drafted)
    return _made(drafted, corpus, making)


def plan_law(law: AnyLaw, corpus: CorpusFacts) -> PlanLaw:
    """Return a law as it is for `corpus`: its own, or the data-dependent one at its measure."""
    return PlanLaw.of_fit(law) if isinstance(law, FittedLaw) else PlanLaw.at_measure(law, corpus)


def plan_from_anchor(
    law: PlanLaw,
    reference: PlanLaw,
    anchor: Anchor,
    *,
    flops: float,
    corpus: CorpusFacts,
    making: Making = MAKING,
    seed: int = 0,
) -> Plan:
    """Return a published frontier's split of a budget, shifted as `law` is from the law of a `reference` corpus.

    The shift is the difference of their ln(D*/N*), draw by draw, in the middle of the budgets that both were fitted
    on; that it holds at every scale is an assumption, and said. No loss is predicted: the anchor's is of other text.
    """
    Question(flops=flops)
    low = max(law.domain.flops_low, reference.domain.flops_low)
    high = min(law.domain.flops_high, reference.domain.flops_high)
    budget = float(np.sqrt(low * high))
    count_laws = min(len(law.values), len(reference.values))
    with np.errstate(invalid="ignore"):  # a draw without a best split has no shift
        shift = law.log_ratio(budget)[:count_laws] - reference.log_ratio(budget)[:count_laws]
    if not np.isfinite(shift[0]):
        raise Unidentified(
            f"{law.corpus} or {reference.corpus} has no best split at {budget:.2g} FLOPs: there is no shift",
            fix="fit the law to a wider grid",
        )
    generator = stream(seed, "anchor", anchor.name)
    published = np.concatenate([[anchor.log_ratio(flops)], anchor.log_ratio_draws(flops, count_laws - 1, generator)])
    log_sizes = 0.5 * (np.log(flops / 6) - published - shift)
    with np.errstate(over="ignore", under="ignore"):
        sizes, lengths = np.exp(log_sizes), np.exp(np.log(flops / 6) - log_sizes)
    decided = Splits(params=sizes, tokens=lengths, flops=np.full(len(sizes), flops))
    drafted = Plan(
        corpus=corpus.name,
        **_sizes(decided),
        params_convention=anchor.params_convention,
        data_unit="tokens",
        extrapolation=anchor.extrapolation(flops),
        forms={anchor.name: _estimate(published), "shift": _estimate(shift)},
        reason=f"the frontier of {anchor.source}, shifted by the {shift[0]:+.2f} in ln(D*/N*) by which {corpus.name} "
        f"lies from {reference.corpus} at {budget:.1e} FLOPs",
        warnings=(_assumed_shift(anchor, flops / high), *_unrepeated(decided, corpus, "tokens")),
    )
    return _made(drafted, corpus, making)


def _decide(
    law: PlanLaw, question: Question, corpus: CorpusFacts, *, repeat: bool
) -> tuple[PlanLaw, Splits, tuple[LawWarning, ...]]:
    """Return the law to plan with, its split, and what is to be said of repeated data."""
    endless = split(law, question)
    unique = corpus.unique_tokens
    if unique is None or endless.tokens[0] <= unique:
        return law, endless, ()
    if not repeat or law.form not in REPEATABLE:
        return law, endless, _unrepeated(endless, corpus, law.data_unit)
    repeated = with_repetition(law, unique_tokens=unique)
    message = (
        f"{corpus.name} has {unique:.3g} unique {law.data_unit}; unlimited text would ask for {endless.tokens[0]:.3g}. "
        "Planned with what repeats are worth by Muennighoff et al. 2023, arXiv:2305.16264."
    )
    return repeated, split(repeated, question), (LawWarning(code="repeated_data", message=message),)


def _unrepeated(decided: Splits, corpus: CorpusFacts, unit: str) -> tuple[LawWarning, ...]:
    if corpus.unique_tokens is None or decided.tokens[0] <= corpus.unique_tokens:
        return ()
    times = decided.tokens[0] / corpus.unique_tokens
    message = (
        f"the plan reads the {corpus.unique_tokens:.3g} {unit} of {corpus.name} {times:.1f} times and takes every pass "
        "for new text: past four passes repeats are worth less and less. Find more text, or plan by Chinchilla's form."
    )
    return (LawWarning(code="tokens_repeat", message=message),)


def _whose(law: AnyLaw, corpus: CorpusFacts) -> str:
    if isinstance(law, FittedLaw):
        return f"fitted to {law.rows_used} runs of {law.group}"
    value = corpus.measures[law.measure].value
    return (
        f"its coefficients functions of {law.measure} fitted to {law.rows_used} runs of {len(law.corpora)} corpora, "
        f"taken at {corpus.name}'s {value:.3g}"
    )


def _outside(law: AnyLaw, corpus: CorpusFacts) -> tuple[LawWarning, ...]:
    """Return the warning that a corpus's measure lies outside those that a data-dependent law was fitted on."""
    if isinstance(law, FittedLaw):
        return ()
    value, known = corpus.measures[law.measure].value, sorted(law.complexity.values())
    if known[0] <= value <= known[-1]:
        return ()
    message = (
        f"{corpus.name}'s {law.measure} is {value:.3g}; the law was fitted on corpora of {known[0]:.3g} to "
        f"{known[-1]:.3g}: its functions are lines drawn on. Train a pilot on the corpus itself: --pilot 10min."
    )
    return (LawWarning(code="outside_measure", message=message),)


def _without_interval(laws: Sequence[AnyLaw]) -> tuple[LawWarning, ...]:
    """Return the reason why a data-dependent law gives the plan no interval."""
    reasons = [law.no_interval for law in laws if isinstance(law, FittedDataDependent) and law.no_interval]
    return tuple(LawWarning(code="no_interval", message=reason) for reason in reasons)


def _forms(forms: Sequence[PlanLaw], question: Question) -> tuple[dict[str, Estimate], tuple[LawWarning, ...]]:
    """Return what each form says of ln(D*/N*), and which of them say nothing."""
    said: dict[str, Estimate] = {}
    unsaid = []
    for form in forms:
        try:
            said[form.form] = _estimate(split(form, question).log_ratio)
        except Unidentified as error:
            unsaid.append(LawWarning(code="form_unidentified", message=error.reason))
    return said, tuple(unsaid)


def _refuse_mixed(forms: Sequence[PlanLaw]) -> None:
    """Raise InputError for laws that are not forms of one law: of other runs or units, or one form twice."""
    first = forms[0]
    for at, other in enumerate(forms[1:], start=1):
        for name, what in (
            ("params_convention", "count parameters"), ("data_unit", "count data"), ("identity", "fitted runs"),
        ):  # fmt: skip
            found, expected = getattr(other, name), getattr(first, name)
            if found != expected:
                raise InputError(
                    f"law {at + 1} ({other.form}) is not another form of the first ({first.form}): {what}: found "
                    f"{found}, expected {expected}",
                    place="--law", fix="name forms fitted to the same table with the same options",
                )  # fmt: skip
        if other.form in [form.form for form in forms[:at]]:
            raise InputError(
                f"two laws have the form {other.form}",
                place="--law",
                fix="name each form once, as chinchilla and kaplan",
            )


def _refuse_far(forms: Sequence[PlanLaw], extrapolation: float, extrapolate: bool) -> None:
    if extrapolation > FARTHEST and not extrapolate:
        raise InputError(
            f"the budget is {extrapolation:,.0f} times the largest that the law was fitted on "
            f"({forms[0].domain.flops_high:.2e} FLOPs)",
            place="--flops",
            fix="--anchor porian puts the corpus's shift onto a published frontier; or train larger runs and fit "
            "again; or insist with --extrapolate, which widens the intervals by the spread between forms of the law",
        )
    if extrapolation > FAR and extrapolate and len(forms) < 2:
        raise InputError(
            "--extrapolate widens the intervals by the spread between forms of the law, and one form was given",
            place="--law",
            fix="fit another form to the same runs (isoloss fit … --law farseer --out other.json) and name both files",
        )


def _widened(drafted: Plan) -> Plan:
    """Return the plan with intervals that hold those of every form, at the same budget."""
    low = min(form.value if form.low is None else form.low for form in drafted.forms.values())
    high = max(form.value if form.high is None else form.high for form in drafted.forms.values())
    middle = drafted.log_ratio

    def shifted(estimate: Estimate, sign: float) -> Estimate:
        ends = sorted(estimate.value * np.exp(0.5 * sign * (edge - middle.value)) for edge in (low, high))
        return replace(estimate, low=float(ends[0]), high=float(ends[1]))

    return replace(
        drafted, log_ratio=replace(middle, low=low, high=high), params=shifted(drafted.params, -1),
        tokens=shifted(drafted.tokens, 1),
        reason=f"{drafted.reason}; intervals span {', '.join(drafted.forms)}",
    )  # fmt: skip


def _regret(law: PlanLaw, decided: Splits) -> Estimate:
    """Return the loss of 20 tokens a parameter on the plan's FLOPs, less the plan's."""

    def losses(params: float, tokens: float) -> Floats:
        return law.loss(law.constant(params), law.constant(tokens))

    thumb = float(np.sqrt(decided.flops[0] / (6 * RULE_OF_THUMB)))
    return _estimate(
        losses(thumb, RULE_OF_THUMB * thumb * law.data_per_token)
        - losses(float(decided.params[0]), float(decided.tokens[0]))
    )


def _sizes(decided: Splits) -> dict[str, Any]:
    """Return the estimates of a split. Raises Unidentified where its draws leave it without bounds."""
    columns = {"params": decided.params, "tokens": decided.tokens, "flops": decided.flops}
    found = {name: _estimate(values) for name, values in columns.items()}
    for name, estimate in found.items():
        if estimate.low is not None and not (estimate.low > 0 and np.isfinite(estimate.high or 0.0)):
            raise Unidentified(
                f"the law's draws leave {name} without bounds: {estimate.value:.3g} [{estimate.low:.3g}, "
                f"{estimate.high:.3g}]",
                fix="fit the law to a wider grid or to more corpora, or train a pilot on this one: --pilot 10min",
            )
    return found | {"log_ratio": _estimate(decided.log_ratio)}


def _estimate(values: Floats) -> Estimate:
    """Return the first value with the interval of the others."""
    return Estimate.from_draws(values[1:], value=float(values[0]))


def _assumed_shift(anchor: Anchor, factor: float) -> LawWarning:
    return LawWarning(
        code="anchored",
        message=f"the corpus's shift was measured at budgets {factor:.2g} times smaller and is taken to hold: nothing "
        f"here tests that. The level is {anchor.data}'s. To test it, fit runs nearer to the budget.",
    )  # fmt: skip


def _made(drafted: Plan, corpus: CorpusFacts, making: Making) -> Plan:
    """Return the plan with a real shape, batch, rate, passes and device-hours."""
    recipe = making.recipe or recipe_for(drafted.params.value)
    unique, speed = corpus.unique_tokens, making.throughput
    context = making.context or recipe.context
    shape, no_shape = _shape(drafted, corpus, context=context, tied=making.tied)
    tokens = drafted.tokens.value
    told = _converted(drafted, corpus, making, context=context)
    return replace(
        drafted,
        converted=told,
        shape=shape,
        counts=count(shape) if shape else None,
        batch_tokens=_mapped(drafted.params, lambda n: float(recipe.batch_for(n, tokens, context=context))),
        peak_lr=_mapped(drafted.params, lambda n: recipe.peak_lr.at(n, tokens)),
        epochs=_mapped(drafted.tokens, lambda d: d / unique) if unique else None,
        device_hours=_mapped(drafted.flops, lambda c: c / speed / 3600) if speed else None,
        reason=f"{drafted.reason}{_as_converted(drafted, told)}; batch and rate: {recipe.source}",
        warnings=(*drafted.warnings, *no_shape, *_recipe_warnings(recipe, drafted.params.value)),
    )


def _converted(drafted: Plan, corpus: CorpusFacts, making: Making, *, context: int) -> Converted | None:
    """Return the plan's numbers by the convention that was asked for, if one was."""
    if making.params_convention is None:
        return None
    shapes = Shapes(
        params_convention=drafted.params_convention, vocab_size=corpus.vocab_size, context=context, tied=making.tied
    )
    return converted(
        making.params_convention, params=drafted.params, flops=drafted.flops, log_ratio=drafted.log_ratio, shapes=shapes
    )


def _as_converted(drafted: Plan, told: Converted | None) -> str:
    if told is None:
        return ""
    return (
        f"; {told.params_convention} is {told.params.value / drafted.params.value:.4g} times "
        f"{drafted.params_convention}, by the counts of a real shape of that size"
    )


def _shape(
    drafted: Plan, corpus: CorpusFacts, *, context: int, tied: bool
) -> tuple[ModelSpec | None, tuple[LawWarning, ...]]:
    """Return a real shape of the planned size, or why there is none."""
    if corpus.vocab_size is None:
        return None, (_no_shape("the vocabulary is not known: name the tokenizer"),)
    if drafted.params_convention not in get_args(ParamsConvention):
        return None, (_no_shape("the law does not say how it counts parameters: fit it with --params-convention"),)
    try:
        sizes: Any = {"convention": drafted.params_convention}
        return ladder([drafted.params.value], vocab_size=corpus.vocab_size, context=context, tied=tied, **sizes)[0], ()
    except InputError as error:
        return None, (_no_shape(error.reason),)


def _no_shape(why: str) -> LawWarning:
    return LawWarning(code="no_shape", message=f"no shape: {why}")


def _recipe_warnings(recipe: Recipe, params: float) -> tuple[LawWarning, ...]:
    if recipe.covers(params):
        return ()
    low, high = recipe.params
    return (LawWarning(
        code="recipe_extrapolated",
        message=f"the rules of batch and rate ({recipe.source}) were measured at {low:.2g} to {high:.2g} parameters: "
        "sweep the rate around this one before a long run.",
    ),)  # fmt: skip


def _mapped(estimate: Estimate, rule: Callable[[float], float]) -> Estimate:
    """Return a monotone function of an estimate, its interval's ends mapped too."""
    if estimate.low is None or estimate.high is None:
        return replace(estimate, value=rule(estimate.value))
    low, high = sorted((rule(estimate.low), rule(estimate.high)))
    return replace(estimate, value=rule(estimate.value), low=low, high=high)
