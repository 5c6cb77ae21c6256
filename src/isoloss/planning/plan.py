"""A plan: what to train on a corpus for a budget, how sure that is, and why.

The decision is one point (N, D); its intervals say where the decision would lie under each draw of the law, and what
loss that very point would have. Regret is of the same kind: the loss of 20 tokens a parameter on the same budget less
that of the plan, draw by draw, so that it may be negative where the law is unsure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.laws.fitted import FittedLaw, LawWarning
from isoloss.laws.law import Floats
from isoloss.planning.anchors import Anchor
from isoloss.planning.recipe import Recipe, recipe_for
from isoloss.planning.repeated import SOURCE as REPEATED_SOURCE
from isoloss.planning.repeated import with_repetition
from isoloss.planning.splits import Question, Splits, Surface, split
from isoloss.runs.shapes import Counts, count, nearest_shape
from isoloss.runs.spec import ModelSpec

# A law says nothing of itself beyond this factor of its largest budget: Kaplan's and Hoffmann's laws, fitted to runs of
# a hundredth of the largest budget they were used for, differ by ten in N there.
FARTHEST = 100.0
FAR = 10.0
RULE_OF_THUMB = 20.0  # tokens a parameter (Hoffmann et al. 2022)
SMALLEST_CONTEXT, USUAL_CONTEXT = 256, 2048


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What a plan needs to know of a corpus: its unique tokens, its vocabulary, its measures with intervals.

    What is None is not known: without `unique_tokens` nothing is said of repetition, without `vocab_size` no shape.
    """

    name: str
    unique_tokens: float | None = None
    vocab_size: int | None = None
    bytes_per_token: float | None = None
    measures: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train. Every number is an Estimate; `shape` is a real model near the planned size, `counts` its weights.

    `regret` is the loss of 20 tokens a parameter on the same FLOPs, less the plan's; `forms` what each law that was
    asked says of ln(D/N); `extrapolation` the factor by which the budget lies beyond the law's largest.
    """

    corpus: str
    params: Estimate
    tokens: Estimate
    flops: Estimate
    loss: Estimate | None
    log_ratio: Estimate
    regret: Estimate | None
    epochs: Estimate | None
    shape: ModelSpec | None
    counts: Counts | None
    params_convention: str
    data_unit: str
    batch_tokens: Estimate
    peak_lr: Estimate
    device_hours: Estimate | None
    extrapolation: float
    forms: Mapping[str, Estimate]
    reason: str
    warnings: tuple[LawWarning, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss plan --json`."""

        def plain(value: Any) -> Any:
            return value.to_json() if isinstance(value, Estimate) else value

        content = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return content | {
            "shape": self.shape.model_dump() if self.shape else None,
            "counts": self.counts.model_dump() if self.counts else None,
            "forms": {name: estimate.to_json() for name, estimate in self.forms.items()},
            "warnings": [asdict(warning) for warning in self.warnings],
        }


def plan(
    laws: FittedLaw | Sequence[FittedLaw],
    *,
    corpus: CorpusFacts,
    flops: float | None = None,
    params: float | None = None,
    tokens: float | None = None,
    target_loss: float | None = None,
    throughput: float | None = None,
    extrapolate: bool = False,
    repeat: bool = True,
    context: int | None = None,
    tied: bool = False,
) -> Plan:
    """Return what to train on `corpus` under a law of it.

    The first of several `laws` decides; the others, other forms fitted to the same runs, widen its intervals when
    `extrapolate` is given. `flops` counts 6 · params · tokens in the law's own convention. `throughput` is the FLOP/s
    that a device really achieves; without it there are no device-hours. `repeat` applies the law of repeated data
    where the plan needs more tokens than the corpus has. Raises InputError for a combination of
    arguments that is no question, and for a budget over 100 times the law's largest unless `extrapolate`; Unidentified
    where the law has no answer.
    """
    forms = [laws] if isinstance(laws, FittedLaw) else list(laws)
    question = Question(flops=flops, params=params, tokens=tokens, target_loss=target_loss)
    decided, law, epochs_warnings = _decide(forms[0], question, corpus, repeat=repeat)
    extrapolation = max(1.0, float(decided.flops[0]) / forms[0].domain.flops_high)
    _refuse_far(forms, extrapolation, extrapolate)
    said = {form.law: _log_ratio(split(form, question)) for form in forms}
    drafted = Plan(
        corpus=corpus.name,
        params=_estimate(decided.params),
        tokens=_estimate(decided.tokens),
        flops=_estimate(decided.flops),
        loss=_loss_at(law, decided),
        log_ratio=_log_ratio(decided),
        regret=_regret(law, decided),
        epochs=_epochs(decided, corpus),
        shape=None,
        counts=None,
        params_convention=law.params_convention,
        data_unit=law.data_unit,
        batch_tokens=Estimate(value=0.0),
        peak_lr=Estimate(value=0.0),
        device_hours=_device_hours(decided, throughput),
        extrapolation=extrapolation,
        forms=said,
        reason=_reason(law, question),
        warnings=(*_warnings(law, extrapolation), *epochs_warnings),
    )
    widened = _widened(drafted, said) if extrapolate and extrapolation > 1 else drafted
    return with_shape(widened, corpus, context=context, tied=tied)


def plan_from_anchor(
    law: FittedLaw,
    reference: FittedLaw,
    anchor: Anchor,
    *,
    corpus: CorpusFacts,
    flops: float,
    throughput: float | None = None,
    context: int | None = None,
    tied: bool = False,
    seed: int = 0,
) -> Plan:
    """Return the split that a published frontier gives a budget, shifted as the corpus is from `reference`.

    The shift is ln(D*/N*) of `law` less that of `reference`, draw by draw, at the middle of the budgets that both were
    fitted on; it is taken to hold at every scale. No loss is predicted: the anchor's is of other text and tokens.
    """
    budget = float(np.sqrt(law.domain.flops_low * law.domain.flops_high))
    count_draws = min(len(law.draws), len(reference.draws))
    shift = np.concatenate([
        [law.log_ratio(budget).value - reference.log_ratio(budget).value],
        law.log_ratio_draws(budget)[:count_draws] - reference.log_ratio_draws(budget)[:count_draws],
    ])  # fmt: skip
    generator = stream(seed, "anchor", anchor.name)
    frontier = np.concatenate(
        [[anchor.log_ratio(flops)], anchor.log_ratio_draws(flops, count_draws, generator)]
    )
    log_params = 0.5 * (np.log(flops / 6) - (frontier + shift))
    sizes = np.exp(log_params)
    decided = Splits(params=sizes, tokens=flops / (6 * sizes), loss=np.full(len(sizes), np.nan))
    extrapolation = anchor.extrapolation(flops)
    shifted = _estimate(shift)
    drafted = Plan(
        corpus=corpus.name,
        params=_estimate(decided.params),
        tokens=_estimate(decided.tokens),
        flops=_estimate(decided.flops),
        loss=None,
        log_ratio=_log_ratio(decided),
        regret=None,
        epochs=_epochs(decided, corpus),
        shape=None,
        counts=None,
        params_convention=anchor.params_convention,
        data_unit="tokens",
        batch_tokens=Estimate(value=0.0),
        peak_lr=Estimate(value=0.0),
        device_hours=_device_hours(decided, throughput),
        extrapolation=extrapolation,
        forms={anchor.name: _estimate(frontier), "shift": shifted},
        reason=(
            f"the frontier of {anchor.source}, its ln(D*/N*) shifted by {shifted.value:+.2f}, by which {corpus.name} lies from "
            f"{reference.group} at {budget:.1e} FLOPs"
        ),
        warnings=_anchor_warnings(anchor, extrapolation, decided, corpus),
    )
    return with_shape(drafted, corpus, context=context, tied=tied)


def with_shape(drafted: Plan, corpus: CorpusFacts, *, context: int | None, tied: bool) -> Plan:
    """Return the plan with a real shape near its size, and batch and rate by the recipe measured nearest to it."""
    size = drafted.params.value
    recipe = recipe_for(size)
    window = context or (USUAL_CONTEXT if recipe.name == "porian" else SMALLEST_CONTEXT)
    warnings = list(drafted.warnings)
    if not recipe.covers(size):
        warnings.append(LawWarning(
            code="recipe_extrapolated",
            message=f"batch and rate are by the rules of {recipe.source}, measured at {recipe.params[0]:.1e} to "
            f"{recipe.params[1]:.1e} parameters: sweep the rate before a long run.",
        ))  # fmt: skip
    shape, counts = None, None
    if corpus.vocab_size is not None and drafted.params_convention in PARAMS_CONVENTIONS_KNOWN:
        try:
            shape = nearest_shape(
                size, vocab_size=corpus.vocab_size, context=window, tied=tied, convention=drafted.params_convention
            )
            counts = count(shape)
        except InputError as error:
            warnings.append(LawWarning(code="no_shape", message=error.reason))
    return replace(
        drafted, shape=shape, counts=counts, warnings=tuple(warnings),
        batch_tokens=_by_rule(drafted.params, lambda n: float(recipe.batch_for(n, context=window))),
        peak_lr=_by_rule(drafted.params, recipe.peak_lr.at),
        reason=f"{drafted.reason}; batch and rate: {recipe.source}",
    )  # fmt: skip


def _decide(
    law: FittedLaw, question: Question, corpus: CorpusFacts, *, repeat: bool
) -> tuple[Splits, FittedLaw, tuple[LawWarning, ...]]:
    """Return the split, the law it is of, and what is to be said of repeated data."""
    decided = split(law, question)
    unique = corpus.unique_tokens
    if unique is None or decided.tokens[0] <= unique:
        return decided, law, ()
    epochs = float(decided.tokens[0] / unique)
    if not repeat or law.law not in REPEATABLE:
        return decided, law, (LawWarning(
            code="tokens_repeat",
            message=f"the plan reads the corpus {epochs:.1f} times, and this law takes every pass for new text: find more text, "
            "or plan with the law of repeated data.",
        ),)  # fmt: skip
    repeated = with_repetition(law)
    again = split(repeated, question, unique_tokens=unique)
    return again, repeated, (LawWarning(
        code="repeated_data",
        message=f"unlimited text would ask for {decided.tokens[0]:.3g} {law.data_unit}, {epochs:.1f} times the corpus: "
        f"planned with {REPEATED_SOURCE}.",
    ),)  # fmt: skip


def _refuse_far(forms: Sequence[FittedLaw], extrapolation: float, extrapolate: bool) -> None:
    top = forms[0].domain.flops_high
    if extrapolation > FARTHEST and not extrapolate:
        raise InputError(
            f"the budget is {extrapolation:,.0f} times the largest that the law was fitted on ({top:.2e} FLOPs)",
            place="--flops",
            fix="anchor the corpus's shift to a published frontier (--anchor porian), train larger runs and fit again, or "
            "insist with --extrapolate",
        )
    if extrapolation > FAR and extrapolate and len(forms) < 2:
        raise InputError(
            "extrapolating widens the intervals by the spread between law forms, and one form alone was given",
            place="--extrapolate",
            fix="fit further forms to the same runs (isoloss fit … --law farseer --out other.json) and give --law twice",
        )


def _log_ratio(found: Splits) -> Estimate:
    return _estimate(np.log(found.tokens / found.params))


def _estimate(values: Floats) -> Estimate:
    """Return the first value with the interval of the others."""
    return Estimate.from_draws(values[1:], value=float(values[0]))


def _loss_at(law: FittedLaw, decided: Splits, *, params: float | None = None, tokens: float | None = None) -> Estimate:
    """Return the loss of the planned point under every draw."""
    return _estimate(_losses(law, decided, float(decided.params[0]), float(decided.tokens[0])))


def _losses(law: FittedLaw, decided: Splits, params: float, tokens: float) -> Floats:
    surface = Surface(law, **decided.given)
    return surface.loss(surface.constant(params), surface.constant(tokens))


def _regret(law: FittedLaw, decided: Splits) -> Estimate:
    """Return the loss of 20 tokens a parameter on the plan's FLOPs less the plan's."""
    params = float((decided.flops[0] / (6 * RULE_OF_THUMB)) ** 0.5)
    thumb = _losses(law, decided, params, RULE_OF_THUMB * params)
    return _estimate(thumb - _losses(law, decided, float(decided.params[0]), float(decided.tokens[0])))
