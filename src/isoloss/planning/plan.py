"""A plan: what to train on a corpus for a budget, how sure that is, and why.

The decision is one point (N, D). Its intervals say where the decision would lie under each draw of the law; the loss is
of the planned point itself, under each draw. So is the regret: the loss of 20 tokens a parameter on the same budget
less that of the plan, negative under the draws by which the plan is the worse of the two.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from isoloss.core.errors import InputError, Unidentified, identified
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.fitting.domain import LawWarning, extrapolation_warnings
from isoloss.fitting.estimated import EstimatedLaw
from isoloss.fitting.table_checks import OF_FLOPS, table_warnings
from isoloss.laws.law import Floats
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.optima.flops_rate import flops_per_token
from isoloss.planning.beyond import look_beyond
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.farther import as_seen, loss_as_seen, refuse_absurd, sound_forms, widened, within_uniform
from isoloss.planning.laws import REPEATABLE, PlanLaw, with_repetition
from isoloss.planning.passes import GOOD_AS_NEW, MOST_PASSES, refuse_too_many_passes, repeat_warning
from isoloss.planning.plan_result import MAKING, RULE_OF_THUMB, Making, Plan, finished, sizes, with_interval
from isoloss.planning.shipped import shipped_law
from isoloss.planning.splits import Question, Splits, split
from isoloss.runs.observations import Observations

AnyLaw = EstimatedLaw | FittedDataDependent

FARTHEST = 100.0  # times the law's largest budget: beyond it a plan is refused unless it is insisted on
FAR = 10.0  # from here on an insisted plan needs a second form of the law
OTHER_FORM = "kaplan"  # has no floor, where Chinchilla's form has one: they part as far as two forms in use do
STEPS = 50  # to the size of a budget at the rule of thumb's ratio


def plan(
    laws: AnyLaw | Sequence[AnyLaw] | None = None,
    *,
    corpus: CorpusStatistics | None = None,
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    target_loss: float | None = None,
    making: Making = MAKING,
    extrapolate: bool = False,
    repeat: bool = True,
    runs: Observations | None = None,
) -> Plan:
    """Return what to train on `corpus`: for a budget, a size, a length or a loss (`isoloss.planning.splits`).

    A law fitted to the corpus's own runs is taken as it is, and needs no `corpus`: nothing is said of repetition then.
    A data-dependent one is taken at the corpus's measure. The first of several `laws` decides; the others, further
    forms fitted to the same runs, widen its intervals where `extrapolate` carries it beyond the fitted budgets (a
    data-dependent law given alone brings a second form by itself). Without any the bundled law is taken. FLOPs are
    6 · params · tokens by the law's own convention. With `runs`, those that the laws were fitted to, a budget inside
    them is split as several forms see it (`isoloss.optima.best_size`), an extrapolated one by forms that those runs
    have tested (`isoloss.planning.beyond`),
    if no text repeats. `repeat` plans with the law of repeated data where the corpus has fewer tokens than wanted.
    Raises InputError for laws of other runs or conventions side by side, for a budget over 100 times the law's largest
    unless `extrapolate`, and for a corpus that would be read more than 36 times unless `repeat` is false; Unidentified
    where the law has no answer, or one that no run could have.
    """
    question = Question(flops=flops, params=params, tokens=tokens, target_loss=target_loss)
    laws = shipped_law() if laws is None else laws
    asked = [laws] if isinstance(laws, EstimatedLaw | FittedDataDependent) else list(laws)
    corpus = corpus or statistics_of_law(asked[0])
    forms = [plan_law(one, corpus) for one in asked]
    _refuse_mixed(forms)
    if forms[0].base.data_unit == "bytes":
        corpus = corpus.in_bytes(forms[0].base.bytes_per_token)  # what repeats are counted in
    if extrapolate and len(forms) == 1 and isinstance(asked[0], FittedDataDependent):
        forms.append(forms[0].in_form(OTHER_FORM))  # its runs are of many corpora: no other form is fitted to them
    if flops is not None:
        _refuse_far(forms, flops / forms[0].base.domain.flops_high, extrapolate)
    unsound: tuple[LawWarning, ...] = ()
    if extrapolate:
        forms, unsound = sound_forms(forms, flops, corpus)
    seen = _seen_inside(question, runs)
    deciding = forms[0] if seen is None else forms[0].splitting_as(seen)
    law, decided, said_of_repeats = _decide(deciding, question, corpus, repeat=repeat)
    if repeat:
        _refuse_too_many_passes(forms[0], decided, corpus)
    extrapolation = max(1.0, float(decided.flops[0]) / law.base.domain.flops_high)
    _refuse_far(forms, extrapolation, extrapolate)
    size, length = float(decided.params[0]), float(decided.tokens[0])
    at_best = seen if law is deciding else None  # repeated text has another best size than the runs show
    loss, run_loss = _losses(law, size, length, seen=at_best)
    said, unsaid = _forms(forms, question)
    drafted = Plan(
        corpus=corpus.name,
        **sizes(decided),
        loss=loss,
        run_loss=run_loss,
        regret=_regret(law, decided, None if at_best is None else runs),
        params_convention=law.base.params_convention,
        data_unit=law.base.data_unit,
        data_per_token=law.base.data_per_token,
        extrapolation=extrapolation,
        forms=said,
        reason=f"{law.base.definition.formula}, {_whose(asked[0], corpus)}{_split_by(deciding)}",
        warnings=(*extrapolation_warnings(law.base.domain, float(decided.flops[0])), *_outside(asked[0], corpus),
                  *_without_interval(asked), *_of_table(runs, forms[0], by_own_flops=seen is not None),
                  *said_of_repeats, *unsaid, *unsound),
    )  # fmt: skip
    if extrapolate and extrapolation > 1:
        if runs is None or law is not forms[0]:
            drafted = widened(drafted, forms, corpus)
        elif flops is not None and params is None and tokens is None:
            drafted = as_seen(drafted, look_beyond(runs, flops=[flops]))
        else:
            drafted = loss_as_seen(widened(drafted, forms, corpus), look_beyond(runs, runs=[(size, length)]))
    refuse_absurd(drafted, corpus, split_asked=params is None and tokens is None)
    return finished(within_uniform(drafted, corpus), corpus, making)


def _seen_inside(question: Question, runs: Observations | None) -> BestSize | None:
    """Return the best size that several forms see at the budget, where it is asked for and inside the runs."""
    if runs is None or set(question.given()) != {"flops"} or question.flops is None:
        return None
    (best, *_) = best_sizes(runs, budgets=[question.flops])
    return best if best.inside else None


def _losses(law: PlanLaw, params: float, tokens: float, *, seen: BestSize | None) -> tuple[Estimate, Estimate]:
    """Return the loss at the planned point and that of one run there: by the law, or as several forms see it."""
    one = law.run_loss(params, tokens)
    if seen is None or seen.loss is None:
        return with_interval(law.loss(law.constant(params), law.constant(tokens))), one
    return seen.loss, seen.loss if one.low is None else _with_noise(seen.loss, law.base.noise)


def _with_noise(loss: Estimate, noise: Floats) -> Estimate:
    """Return a loss's interval with the noise of one run in it; `noise` (draws, 2) as `EstimatedLaw` has it."""
    half = float(ndtri((1 + LEVEL) / 2) * np.sqrt(np.median(noise**2, axis=0).sum()))

    def further(end: float | None) -> float | None:
        if end is None:
            return None
        reach = float(np.log(end / loss.value))
        return loss.value * float(np.exp(np.copysign(np.hypot(reach, half), reach)))

    return replace(loss, low=further(loss.low), high=further(loss.high))


def _of_table(runs: Observations | None, law: PlanLaw, *, by_own_flops: bool) -> tuple[LawWarning, ...]:
    """Return what the table of runs alone gives reason to warn of."""
    found = () if runs is None else table_warnings(runs, law=law.base.definition)
    return tuple(one for one in found if not (by_own_flops and one.code in OF_FLOPS))


def plan_law(law: AnyLaw, corpus: CorpusStatistics) -> PlanLaw:
    """Return a law as it is for `corpus`: its own, or the data-dependent one at its measure."""
    return PlanLaw.of_fit(law) if isinstance(law, EstimatedLaw) else PlanLaw.at_measure(law, corpus)


def statistics_of_law(law: AnyLaw) -> CorpusStatistics:
    """Return the corpus of a law's own runs, of which nothing but its name is known.

    Raises InputError for a data-dependent law, which has a best split for every measure.
    """
    if isinstance(law, FittedDataDependent):
        raise InputError(
            f"the law depends on {law.measure}, and no corpus was given to measure", place="plan",
            fix="name the text to train on: isoloss plan CORPUS …, or plan(law, corpus=open_corpus(…))",
        )  # fmt: skip
    return CorpusStatistics(name=law.group)


def _decide(
    law: PlanLaw, question: Question, corpus: CorpusStatistics, *, repeat: bool
) -> tuple[PlanLaw, Splits, tuple[LawWarning, ...]]:
    """Return the law to plan with, its split, and what is to be said of repeated data."""
    endless = split(law, question)
    unique = corpus.unique_tokens
    if unique is None or endless.tokens[0] <= unique:
        return law, endless, ()
    if not repeat or law.form not in REPEATABLE:
        return law, endless, repeat_warning(float(endless.tokens[0]), corpus, law.base.data_unit)
    repeated = with_repetition(law, unique_tokens=unique)
    message = (
        f"{corpus.name} has {unique:.3g} unique {law.base.data_unit}; the plan without repeats would need "
        f"{endless.tokens[0]:.3g}, or {endless.tokens[0] / GOOD_AS_NEW:.2g} with four passes, which are nearly as "
        "good. This plan discounts repeats by Muennighoff et al. 2023, arXiv:2305.16264."
    )
    return repeated, split(repeated, question), (LawWarning(code="repeated_data", message=message),)


def _refuse_too_many_passes(law: PlanLaw, decided: Splits, corpus: CorpusStatistics) -> None:
    """Raise InputError where the corpus would be read too often, with the budget that it can bear."""
    if corpus.unique_tokens is None or decided.tokens[0] <= MOST_PASSES * corpus.unique_tokens:
        return
    unique = corpus.unique_tokens
    bears = identified(lambda: float(split(law, Question(tokens=GOOD_AS_NEW * unique)).flops[0]))
    refuse_too_many_passes(float(decided.tokens[0]), corpus, law.base.data_unit, bears=bears)


def _whose(law: AnyLaw, corpus: CorpusStatistics) -> str:
    if isinstance(law, EstimatedLaw):
        return f"fitted to {law.whose}"
    value = corpus.measures[law.measure].value
    return (
        f"its coefficients functions of {law.measure} fitted to {law.rows_used} runs of {len(law.corpora)} corpora, "
        f"taken at {corpus.name}'s {value:.3g}"
    )


def _split_by(law: PlanLaw) -> str:
    """Return where the split comes from, if not from the law's own formula."""
    return "" if law.pooled is None else f"; the split is {law.pooled.origin}"


def _outside(law: AnyLaw, corpus: CorpusStatistics) -> tuple[LawWarning, ...]:
    """Return the warning that a corpus's measure lies outside those that a data-dependent law was fitted on."""
    if isinstance(law, EstimatedLaw):
        return ()
    value, known = corpus.measures[law.measure].value, sorted(law.complexity.values())
    if known[0] <= value <= known[-1]:
        return ()
    message = (
        f"{corpus.name}'s {law.measure} is {value:.3g}; the law was fitted on corpora of {known[0]:.3g} to "
        f"{known[-1]:.3g}: this is an extrapolation. Train a pilot on the corpus itself: --pilot 10min."
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
            said[form.form] = with_interval(split(form, question).log_ratio)
        except Unidentified as error:
            unsaid.append(LawWarning(code="form_unidentified", message=error.reason))
    return said, tuple(unsaid)


def _refuse_mixed(forms: Sequence[PlanLaw]) -> None:
    """Raise InputError for laws that are not forms of one law: of other runs or units, or one form twice."""
    first = forms[0]
    for at, other in enumerate(forms[1:], start=1):
        for name, what in (
            ("params_convention", "count parameters"), ("data_unit", "count data"), ("observations", "fitted runs"),
        ):  # fmt: skip
            found, expected = getattr(other.base, name), getattr(first.base, name)
            if found != expected:
                raise InputError(
                    f"law {at + 1} ({other.form}) cannot be combined with the first ({first.form}): {what}: found "
                    f"{found}, expected {expected}",
                    place="--law", fix="name laws fitted to the same table with the same options",
                )  # fmt: skip
        if other.form in [form.form for form in forms[:at]]:
            raise InputError(
                f"the law {other.form} was given twice",
                place="--law",
                fix="name each law once, such as chinchilla and kaplan",
            )


def _refuse_far(forms: Sequence[PlanLaw], extrapolation: float, extrapolate: bool) -> None:
    if extrapolation > FARTHEST and not extrapolate:
        raise InputError(
            f"the budget is {extrapolation:,.0f} times the largest that the law was fitted on "
            f"({forms[0].base.domain.flops_high:.2e} FLOPs)",
            place="--flops",
            fix="use --anchor porian, which shifts a published frontier to this corpus; or train larger runs and "
            "fit again; or allow it with --extrapolate, which widens the intervals by the spread between laws",
        )
    if extrapolation > FAR and extrapolate and len(forms) < 2:
        raise InputError(
            f"--extrapolate widens the intervals by the spread between laws, and only {forms[0].form} is left",
            place="--law",
            fix="fit another law to the same runs (isoloss fit … --law farseer --out other.json) and name both files",
        )


def _regret(law: PlanLaw, decided: Splits, runs: Observations | None) -> Estimate:
    """Return the loss of 20 tokens a parameter on the plan's FLOPs, less the plan's; FLOPs as `runs` count them."""

    def losses(params: float, tokens: float) -> Floats:
        return law.loss(law.constant(params), law.constant(tokens))

    thumb = _thumb_size(law, float(decided.flops[0]), runs)
    return with_interval(
        losses(thumb, RULE_OF_THUMB * thumb * law.base.data_per_token)
        - losses(float(decided.params[0]), float(decided.tokens[0]))
    )


def _thumb_size(law: PlanLaw, flops: float, runs: Observations | None) -> float:
    """Return the size that a budget trains on 20 tokens a parameter."""
    size = float(np.sqrt(flops / (6 * law.base.flops_factor * RULE_OF_THUMB)))
    if runs is None:
        return size
    rate, log_flops = flops_per_token(runs), float(np.log(flops / (RULE_OF_THUMB * law.base.data_per_token)))
    for _ in range(STEPS):  # FLOPs grow about as N² here
        size *= float(np.exp((log_flops - rate(np.log(size)) - np.log(size)) / 2))
    return size
