"""What a plan says, and how a split becomes one: a real shape, batch, rate, passes and device-hours.

Every number has the interval of the law's draws. An interval of D/N that spans a factor of 200 says nothing that a
reader could use: it is kept in the data, and a sentence stands for it where people read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from isoloss.core.display import rows_table
from isoloss.core.errors import InputError, Unidentified
from isoloss.core.estimate import Estimate, exponential
from isoloss.core.numbers import flops_text
from isoloss.core.plain_json import fields_json
from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Floats
from isoloss.planning.conversion import Converted, Shapes, converted
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.recipe import Recipe, recipe_for
from isoloss.planning.splits import Splits
from isoloss.runs.ladders import ladder
from isoloss.runs.observations import bracketed
from isoloss.runs.shapes import Counts, ParamsConvention, count
from isoloss.runs.spec import ModelSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RULE_OF_THUMB = 20.0  # tokens a parameter (Hoffmann et al. 2022)
WIDEST = 200.0
"""High over low of D/N: from here on an interval is no answer."""


@dataclass(frozen=True, kw_only=True)
class Making:
    """What turns N and D into a run: a shape's context and ties, a recipe (by size if None), a device's real FLOP/s.

    `params_convention` is how N is to be given next to the law's own way.
    """

    context: int | None = None
    tied: bool = False
    recipe: Recipe | None = None
    throughput: float | None = None
    params_convention: ParamsConvention | None = None

    def __post_init__(self) -> None:
        if self.throughput is not None and not (np.isfinite(self.throughput) and self.throughput > 0):
            raise InputError(
                f"a device of {self.throughput:g} FLOP/s",
                place="--throughput",
                fix="give FLOP/s above zero, such as 2e14",
            )


MAKING = Making()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train. Every number is an Estimate; `shape` is a real model near the planned size, `counts` its weights.

    `loss` is the law's at the planned point, `run_loss` that of a single run there, its noise included. `regret` is
    what 20 tokens a parameter would cost in loss on the same FLOPs; `epochs` how often the corpus is read; `forms` what
    each law or reference that was asked says of ln(D*/N*); `extrapolation` the factor beyond the largest fitted budget;
    `converted` N, the FLOPs and ln(D/N) by another convention, where one was asked for. `data_of` says what a unit of
    data is, where it is not the corpus's own tokens; `data_per_token` how many units a token is. `batch_tokens` counts
    tokens whatever the unit of data.
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
    data_of: str | None = None
    data_per_token: float = 1.0
    extrapolation: float
    forms: Mapping[str, Estimate]
    reason: str
    warnings: tuple[LawWarning, ...] = ()

    @property
    def tokens_per_param(self) -> Estimate:
        """D/N in the plan's unit of data, with the interval of ln(D/N)."""
        return self.log_ratio.exponential()

    @property
    def is_wide(self) -> bool:
        """Whether the interval of D/N spans a factor of 200 or more."""
        return span(self.log_ratio) >= WIDEST

    def numbers(self) -> dict[str, Estimate]:
        """Return what is known of the run to train, by its name for people."""
        unit, by = self.data_unit, self.converted
        known = {
            f"parameters N{bracketed(self.params_convention)}": self.params, f"training {unit} D": self.tokens,
            "FLOPs": self.flops, f"{unit} per parameter, D/N": self.tokens_per_param,
            **({} if by is None else {
                f"parameters N ({by.params_convention})": by.params,
                f"FLOPs, 6·N·D by {by.params_convention}": by.flops,
                f"D/N by {by.params_convention}": by.log_ratio.exponential(),
            }),
            "loss, nats per token": self.loss, "loss of one run, including its noise": self.run_loss,
            "20 tokens per parameter would lose": self.regret, "passes over the corpus": self.epochs,
            "batch, tokens": self.batch_tokens, "peak rate": self.peak_lr, "device-hours": self.device_hours,
        }  # fmt: skip
        return {name: one for name, one in known.items() if one is not None}

    def sentence(self) -> str:
        """Return the plan in one line: parameters, tokens, tokens per parameter and their interval."""
        ratio, unit = self.tokens_per_param, self.data_unit
        ends = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.3g}-{ratio.high:.3g}]"
        return (
            f"{self.params.value:.3g} parameters, {self.tokens.value:.3g} {unit}, "
            f"{ratio.value:.3g} {unit} per parameter{' [no usable interval]' if self.is_wide else ends}"
        )

    def __str__(self) -> str:
        """Return the plan in a sentence, why, and what to be careful about: what `print` shows."""
        cautions = (f"[{warning.code}] {warning.message}" for warning in self.warnings)
        return "\n".join([f"{flops_text(self.flops.value)} FLOPs: {self.sentence()}", f"why: {self.reason}", *cautions])

    def plot(self) -> "Figure":
        """Return the plan drawn next to what each form of its law says: tokens per parameter and loss."""
        from isoloss.report.figures.answers import of_plans

        return of_plans([self])

    def _repr_html_(self) -> str:
        """Show the plan as a table of its numbers, and why."""
        rows = [{self.corpus: name, "plan": one} for name, one in self.numbers().items()]
        return rows_table(rows, note=" ".join([self.reason, *(warning.message for warning in self.warnings)]))

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss plan --json`."""
        return fields_json(self) | {"tokens_per_param": self.tokens_per_param.to_json()}


def span(log_ratio: Estimate) -> float:
    """Return high over low of the interval of a logarithm; 1 without an interval."""
    return exponential(log_ratio.width or 0.0)


def with_interval(values: Floats) -> Estimate:
    """Return the first value with the interval of the others."""
    return Estimate.from_draws(values[1:], value=float(values[0]))


def sizes(decided: Splits) -> dict[str, Any]:
    """Return the estimates of a split. Raises Unidentified where its draws leave it without bounds."""
    columns = {"params": decided.params, "tokens": decided.tokens, "flops": decided.flops}
    found = {name: with_interval(values) for name, values in columns.items()}
    for name, estimate in found.items():
        if estimate.low is not None and not (estimate.low > 0 and np.isfinite(estimate.high or 0.0)):
            raise Unidentified(
                f"the law's draws leave {name} without bounds: {estimate.value:.3g} [{estimate.low:.3g}, "
                f"{estimate.high:.3g}]",
                fix="fit the law to a wider grid or to more corpora, or train a pilot on this one: --pilot 10min",
            )
    return found | {"log_ratio": with_interval(decided.log_ratio)}


def finished(drafted: Plan, corpus: CorpusStatistics, making: Making) -> Plan:
    """Return the plan with a real shape, batch, rate, passes and device-hours.

    `corpus` counts its text in the plan's unit of data.
    """
    recipe = making.recipe or recipe_for(drafted.params.value)
    unique, speed = corpus.unique_tokens, making.throughput
    context = making.context or recipe.context
    shape, no_shape = _shape(drafted, corpus, context=context, tied=making.tied)
    tokens = drafted.tokens.value / drafted.data_per_token  # what recipes count
    restated = _converted(drafted, corpus, making, context=context)
    return replace(
        drafted,
        converted=restated,
        shape=shape,
        counts=count(shape) if shape else None,
        batch_tokens=drafted.params.mapped(lambda n: float(recipe.batch_for(n, tokens, context=context))),
        peak_lr=drafted.params.mapped(lambda n: recipe.peak_lr.at(n, tokens)),
        epochs=drafted.tokens.mapped(lambda d: d / unique) if unique else None,
        device_hours=drafted.flops.mapped(lambda c: c / speed / 3600) if speed else None,
        reason=f"{drafted.reason}{_as_converted(drafted, restated)}; batch and rate: {recipe.source}",
        warnings=(*_wide(drafted), *drafted.warnings, *no_shape, *_recipe_warnings(recipe, drafted.params.value)),
    )


def _wide(drafted: Plan) -> Iterator[LawWarning]:
    """Yield the sentence that an interval of no use means."""
    if drafted.is_wide:
        yield LawWarning(
            code="wide_interval",
            message=f"the split is not known: the runs allow {drafted.data_unit} per parameter within a factor of "
            f"{span(drafted.log_ratio):,.0f}. The numbers are the middle of that range. Train a pilot on the corpus "
            "(--pilot 10min), or use a published frontier unchanged (isoloss plan … --anchor porian).",
        )


def _converted(drafted: Plan, corpus: CorpusStatistics, making: Making, *, context: int) -> Converted | None:
    """Return the plan's numbers by the convention that was asked for, if one was."""
    if making.params_convention is None:
        return None
    shapes = Shapes(
        params_convention=drafted.params_convention, vocab_size=corpus.vocab_size, context=context, tied=making.tied
    )
    return converted(
        making.params_convention, params=drafted.params, flops=drafted.flops, log_ratio=drafted.log_ratio, shapes=shapes
    )


def _as_converted(drafted: Plan, restated: Converted | None) -> str:
    if restated is None:
        return ""
    return (
        f"; {restated.params_convention} is {restated.params.value / drafted.params.value:.4g} times "
        f"{drafted.params_convention}, by counting a real shape of that size"
    )


def _shape(
    drafted: Plan, corpus: CorpusStatistics, *, context: int, tied: bool
) -> tuple[ModelSpec | None, tuple[LawWarning, ...]]:
    """Return a real shape of the planned size, or why there is none."""
    if corpus.vocab_size is None:
        return None, (_no_shape("the vocabulary size is not known: name the tokenizer"),)
    if drafted.params_convention not in get_args(ParamsConvention):
        return None, (_no_shape("the law does not say how it counts parameters: fit it with --params-convention"),)
    try:
        convention: Any = {"convention": drafted.params_convention}
        (shape,) = ladder(
            [drafted.params.value], vocab_size=corpus.vocab_size, context=context, tied=tied, **convention
        )
        return shape, ()
    except InputError as error:
        return None, (_no_shape(error.reason),)


def _no_shape(why: str) -> LawWarning:
    return LawWarning(code="no_shape", message=f"no shape: {why}")


def _recipe_warnings(recipe: Recipe, params: float) -> Iterator[LawWarning]:
    low, high = recipe.params
    if not low <= params <= high:
        yield LawWarning(
            code="recipe_extrapolated",
            message=f"the rules for batch and learning rate ({recipe.source}) were measured at {low:.2g} to {high:.2g} "
            "parameters: sweep the learning rate around this one before a long run.",
        )
