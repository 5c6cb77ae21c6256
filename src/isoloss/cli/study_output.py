"""What a study came to, on standard output: one line a corpus, what differs by how much, and what this cannot say."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import EDGES
from isoloss.cli.output import console as _console
from isoloss.cli.output import table as _table
from isoloss.cli.tables import interval, show_evaluated
from isoloss.core.errors import identified
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import in_brackets, listed, percent, plain, si
from isoloss.optima.best_size import side_in_words
from isoloss.study.centred import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from isoloss.fitting.fitted import FittedLaw
    from isoloss.study.analysis import Analysis
    from isoloss.study.result import StudyResult
    from isoloss.tuning.sweep import RateOptimum
    from isoloss.tuning.tuning import Tuning


def show_result(result: "StudyResult") -> None:
    """Print the study's table, the answer in sentences, and the path of the report."""
    console = _console()
    if result.study.tune is None:
        console.print(_corpora_table(result))
    for corpus, missing in result.unidentified.items():
        for measure, reason in missing.items():
            console.print(f"{measure} of {corpus} is not identified: {reason}")
    if placed := in_words(result.placements):
        console.print(placed)
    if result.evaluated is not None:
        show_evaluated(result.evaluated)
    if result.analysis is not None:
        _show_tuning(result.analysis)
        if result.analysis.rate_arms:
            console.print(_variants_table(result.analysis))
    _show_answer(result.answer)
    for warning in result.warnings:
        console.print(f"warning: {warning.corpus}: {warning.message}")
    for record in result.failed:
        console.print(f"failed: {record.fingerprint}: {record.error}")
    if result.report is not None:
        console.print(f"report: {result.report}", soft_wrap=True)


def _show_answer(answer: Mapping[str, Any]) -> None:
    """Print what the fits came to, from the keys of `--json`: a kept answer has nothing else."""
    console = _console()
    for name, reason in answer.get("no_law", {}).items():
        console.print(f"no law for {name}: {reason}")
    for kept in answer.get("holdout", []):
        console.print(
            f"{kept['runs']} held-out runs on {kept['corpus']}: {kept['law']} misses their ln L by "
            f"{kept['rmse']:.2g} (root mean square)"
        )
    for verdict in answer.get("balance", []):
        console.print(" ".join(verdict["sentences"]))
    if refused := [one for one in answer.get("lack_of_fit", []) if one["refused"]]:
        console.print(_refusals(refused))
    for comparison in answer["contest"]:
        # With so few sources no p could be small: the report has the numbers, and they say nothing.
        if any(one["kind"] == comparison["kind"] and one["smallest_p_value"] < 1 - LEVEL
               for one in answer["comparison"]):  # fmt: skip
            console.print(" ".join(comparison["sentences"]))


def _refusals(refused: "Sequence[Mapping[str, Any]]") -> str:
    """Return in one sentence which corpora a form misses: the report has one for each."""
    misfits = sorted(one["misfit"] for one in refused)
    span = percent(misfits[0]) if len(misfits) == 1 else f"{percent(misfits[0])} to {percent(misfits[-1])}"
    corpora = listed([one["corpus"] for one in refused])
    return (
        f"The form {refused[0]['form']} alone misses the runs of {corpora} by more than "
        f"their noise explains (by {span} of the loss), and would place the split elsewhere."
    )


def _show_tuning(analysis: "Analysis") -> None:
    """Print each corpus's optima, what they say in sentences, and the lines that a study takes."""
    console = _console()
    for name, tuning in analysis.tuning.items():
        console.print(_optima_table(name, tuning))
        console.print("\n" + " ".join(tuning.sentences()))
        if tuning.training():
            console.print(f"A study on {name} takes, under [training]:\n{tuning.training()}\n", soft_wrap=True)


def _optima_table(name: str, tuning: "Tuning") -> "Table":
    batches = sorted({optimum.batch_tokens for optimum in tuning.rates})
    table = _table(name, "D (tokens)", *(f"best rate, B = {batch:,}" for batch in batches), "best batch")
    table.caption = (
        "Rows are sizes N. Brackets: loss within 1 % of the lowest. ≤ and ≥: on the grid's edge, not fitted."
    )
    for best in tuning.batches:
        own = {o.batch_tokens: _optimum(o) for o in tuning.rates if o.cell == best.cell}
        edge = EDGES[best.edge]
        table.add_row(
            f"{best.params:,}", f"{best.tokens:,}", *(own.get(batch, "–") for batch in batches),
            f"{edge}{best.batch_tokens:,.0f}",
        )  # fmt: skip
    return table


def _optimum(optimum: "RateOptimum") -> str:
    text = f"{EDGES[optimum.edge]}{optimum.peak_lr:.2g}"
    return text if optimum.within is None else f"{text} [{optimum.within[0]:.2g}, {optimum.within[1]:.2g}]"


def _variants_table(analysis: "Analysis") -> "Table":
    """Return how a law's exponent and the best split by several forms move when the peak rate does."""
    factors = sorted({1.0, *analysis.rate_arms})
    named = [f"rate × {factor:g}" for factor in factors]
    table = _table("rate sensitivity", *(f"a, {name}" for name in named), *(f"ln(D*/N*), {name}" for name in named))
    laws = {**analysis.rate_arms, 1.0: analysis.laws}
    optima = {**analysis.rate_optima, 1.0: analysis.best.at_budget() if analysis.best else {}}
    for corpus in analysis.laws:
        exponents = [_exponent(laws[factor].get(corpus), analysis.budget) for factor in factors]
        found = [optima.get(factor, {}).get(corpus) for factor in factors]
        ratios = ["–" if one is None or one.log_ratio is None else interval(one.log_ratio, digits=2) for one in found]
        table.add_row(corpus, *exponents, *ratios)
    return table


def _exponent(law: "FittedLaw | None", budget: float) -> str:
    """Return the exponent of N*(C) under a law."""
    found = None if law is None else identified(lambda: law.exponent_a(budget))
    return "–" if law is None else interval(found, digits=2) if found else "not identified"


def _corpora_table(result: "StudyResult") -> "Table":
    """Return one line a corpus: how hard it is to compress and to predict, and its best split at one budget."""
    answer = result.answer
    optima = {one["corpus"]: one for one in answer.get("optima", []) if one["flops"] == answer["budget_flops"]}
    measures = [m for m in result.study.complexity.measures if any(m in found for found in result.complexity.values())]
    floors = any(corpus.floor for corpus in result.corpora.values())
    split = ("best N", "best D", "tokens per parameter") if optima else ()
    table = _table("corpus", *measures, *(["floor"] if floors else []), *split)
    for name, corpus in result.corpora.items():
        complexity = result.complexity.get(name, {})
        table.add_row(
            name,
            *(f"{complexity[measure].value.value:.3f}" if measure in complexity else "–" for measure in measures),
            *([f"{corpus.floor.value:.3f}" if corpus.floor else "–"] if floors else []),
            *(_split_cells(optima.get(name)) if optima else ()),
        )
    if optima:
        table.caption = f"Best split of {answer['budget_flops']:.2g} FLOPs (6·N·D), by several laws. [95 % intervals]"
        if floors:
            table.caption += " Floor: the lowest possible loss, in nats per token."
    return table


def _split_cells(best: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """Return the best N, the best D and tokens per parameter; where the optimum is outside the runs, on which side."""
    if best is None or not best["inside"]:
        return "–", "–", "–" if best is None or best["side"] is None else side_in_words(best["side"])
    return si(best["params"]["value"], 2), si(best["tokens"]["value"], 2), ratio(Estimate(**best["tokens_per_param"]))


def ratio(estimate: Estimate) -> str:
    """Return tokens per parameter to two digits, with the interval."""
    return in_brackets(estimate, partial(plain, digits=2), to="–")
