"""The comparison of predictors: which measure of a corpus says how loss will fall on it, before a model is trained?

One source is left out at a time: a corpus with its interventions and relabellings. Its losses, and the balance
ln(D*/N*) at one budget, are predicted from a measure alone: the other corpora's laws are fitted together, every
coefficient is read off a function of the measure through them, and which coefficients follow it, and how, is chosen
among those sources by leaving one more out. Next to every measure stand its rivals:

pooled   one law for all, the centre of the other corpora's: it knows nothing of the one left out
proxy    the same law after one run of the left-out corpus, its cheapest: the corpus most likely to have that loss,
         given how the others scatter

The test permutes the measure over the sources (means of sources among sources, the rest among the corpora of each) and
repeats everything from the choice of forms on; the correction for the number of measures compares with the best of all
measures under the same permutation, step by step (Westfall & Young 1993; Ge, Dudoit & Speed 2003).

Corpora of one comparison are to be of one kind: between bytes of text and the symbols of a grammar, tokenisation would
be taken for complexity.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isoloss.core.machine import over_cores
from isoloss.core.progress import QUIET, Progress
from isoloss.core.rng import stream
from isoloss.data_dependence._predictor_kernels import COEFFICIENTS as LAST
from isoloss.data_dependence._predictor_kernels import predict_left_out
from isoloss.data_dependence.coefficients import COEFFICIENTS, FORMS, Floats, Form
from isoloss.data_dependence.covariates import FEWEST_SOURCES, corpus_complexity, refuse_few
from isoloss.data_dependence.folds import FirstStage, first_stage, published_forms
from isoloss.data_dependence.predictor_comparison import Errors, PredictorComparison, PredictorResult, paired
from isoloss.fitting.checks import leave_out
from isoloss.laws.settings import EXCLUDED_FLAGS, require_flags
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.optima.mean_split import middle_budget
from isoloss.runs.observations import Observations

# Forms are chosen where two sources less than these still hold a line with a deviation from it.
SOURCES_TO_CHOOSE = 5
PERMUTATIONS = 1000  # the measure as it is among them; all there are, where they are fewer
PARTS = 16  # of the permutations of a measure, for progress and both cores

Ints = NDArray[np.int64]


class _Predictions(NamedTuple):
    """What the kernel says of every assignment of a measure: errors of loss and of balance (P, J), forms (P, S, 6)."""

    loss: Floats
    balance: Floats
    forms: Ints


def compare_predictors(
    observations: Observations,
    measures: Sequence[str],
    *,
    kind: str | None = None,
    flops: float | None = None,
    balances: Mapping[str, float] | None = None,
    exclude_flags: Sequence[str] = EXCLUDED_FLAGS,
    rounds: int = PERMUTATIONS,
    seed: int = 0,
    progress: Progress = QUIET,
) -> PredictorComparison:
    """Return how well every measure predicts a source that was left out, next to its rivals.

    `kind` says what the corpora are, where it is known; `flops` is the budget of the balance, by default the middle of
    those inside the runs of most corpora. What the balance of a corpus is, several forms of the loss say together
    (`isoloss.optima.best_size`), unless `balances` gives ln(D*/N*) of those that have one. Runs with one of
    `exclude_flags` are left out; a best size never counts flagged runs. Raises InputError for fewer than three sources,
    or than three values of a measure.
    """
    require_flags(exclude_flags)
    used, _ = leave_out(observations, flags=exclude_flags)
    values = {measure: corpus_complexity(used, measure) for measure in measures}
    refuse_few(used, values)
    budget = middle_budget(used) if flops is None else flops
    known = log_ratios(best_sizes(used, budgets=[budget], seed=seed)) if balances is None else balances
    stage = first_stage(used, flops=budget, balance={name: known[name] for name in used.corpora if name in known})
    assigned = _Assignments(stage, rounds, seed)
    baseline = _predict(stage, np.zeros((1, len(stage.source_of))), forms=np.zeros(LAST + 1, dtype=np.int64))
    found = {}
    with progress.task("permutations", total=len(measures) * PARTS) as task:
        for measure in measures:
            task.advance(0, detail=measure)
            column = np.array([values[measure][corpus] for corpus in stage.rows.corpora])
            found[measure] = _predict_all(stage, assigned(column), lambda: task.advance(1))
    return _judged(stage, found, baseline, kind=kind, budget=budget)


def log_ratios(found: Iterable[BestSize]) -> dict[str, float]:
    """Return ln(D*/N*) of every corpus that has its optimum inside its runs, of best sizes of one budget."""
    return {
        best.corpus: float(np.log(best.tokens_per_param.value)) for best in found if best.tokens_per_param is not None
    }


class _Assignments:
    """Permutations of a measure over sources, the same for every measure; the first leaves it as it is."""

    def __init__(self, stage: FirstStage, wanted: int, seed: int) -> None:
        sources, corpora = len(stage.sources), len(stage.source_of)
        self._source_of = stage.source_of
        self._member = stage.source_of == np.arange(sources)[:, None]
        if sources == corpora and math.factorial(sources) <= wanted:
            self._donor = np.array(list(permutations(range(sources))))
            self._within = np.tile(np.arange(corpora), (len(self._donor), 1))
            return
        generator = stream(seed, "permuted measures", *stage.rows.corpora)
        identity = np.arange(sources)
        self._donor = np.stack([identity] + [generator.permutation(sources) for _ in range(wanted - 1)])
        self._within = np.tile(np.arange(corpora), (wanted, 1))
        for s in range(sources):
            own = np.flatnonzero(stage.source_of == s)
            for number in range(1, wanted):
                self._within[number, own] = generator.permutation(own)

    def __call__(self, values: Floats) -> Floats:
        """Return the permuted values (P, J): another source's mean, and another corpus's deviation from its own."""
        means = self._member @ values / self._member.sum(axis=1)
        deviation = values - means[self._source_of]
        permuted = means[self._donor[:, self._source_of]] + deviation[self._within]
        permuted[0] = values
        return np.asarray(permuted)


def _predict_all(stage: FirstStage, assigned: Floats, tick: Callable[[], None]) -> _Predictions:
    """Return the predictions of every assignment, on every core."""
    parts = np.array_split(assigned, min(PARTS, len(assigned)))

    def run(part: Floats) -> _Predictions:
        return _predict(stage, part, forms=None)

    found = []
    for one in over_cores(run, parts):
        found.append(one)
        tick()
    return _Predictions(*map(np.concatenate, zip(*found, strict=True)))


def _predict(stage: FirstStage, assigned: Floats, *, forms: Ints | None) -> _Predictions:
    """Return the predictions of assignments (P, J), with forms chosen or, where there are too few sources, given."""
    sources, (P, J) = len(stage.sources), assigned.shape
    predicted, chosen, errors = np.empty((P, J, LAST + 1)), np.zeros((P, sources, LAST + 1), np.int64), np.empty((P, J))
    choose = forms is None and sources >= SOURCES_TO_CHOOSE
    published = published_forms() if forms is None else forms
    predict_left_out(
        np.ascontiguousarray(assigned), stage.folds, stage.scored, published, choose, predicted, chosen, errors
    )
    return _Predictions(loss=errors, balance=np.abs(predicted[..., LAST] - stage.folds.balance), forms=chosen)


def _judged(
    stage: FirstStage, found: Mapping[str, _Predictions], baseline: _Predictions, *, kind: str | None, budget: float
) -> PredictorComparison:
    """Return the comparison's result: errors by source, tests, and what they can show."""
    names = list(found)
    proxy_loss = stage.errors(stage.proxy)
    proxy_balance = np.abs(stage.proxy[:, LAST] - stage.folds.balance)
    loss = _tested(stage, {name: found[name].loss for name in names}, baseline.loss[0], proxy_loss)
    known = np.isfinite(stage.folds.balance)
    balance = None
    if stage.by_source(known.astype(float)).astype(bool).sum() >= FEWEST_SOURCES:
        balance = _tested(stage, {name: found[name].balance for name in names}, baseline.balance[0], proxy_balance)
    return PredictorComparison(
        kind=kind,
        budget=budget,
        sources={s: [c for c, own in zip(stage.rows.corpora, stage.source_of, strict=True) if stage.sources[own] == s]
                 for s in stage.sources},
        proxy_rows=stage.proxy_rows.tolist(),
        permutations=len(next(iter(found.values())).loss),
        chosen=len(stage.sources) >= SOURCES_TO_CHOOSE,
        folds_converged=stage.converged,
        stage=stage,
        measures=tuple(
            PredictorResult(
                measure=name,
                kind=kind,
                loss=loss[name],
                balance=None if balance is None else balance[name],
                corpora={
                    corpus: (float(found[name].loss[0, j]), float(baseline.loss[0, j]))
                    for j, corpus in enumerate(stage.rows.corpora)
                },
                proxies=dict(zip(stage.rows.corpora, proxy_loss.tolist(), strict=True)),
                forms=_forms(found[name].forms[0]),
            )
            for name in names
        ),
    )  # fmt: skip


def _forms(chosen: Ints) -> dict[str, dict[Form, int]]:
    """Return, for every coefficient, how many folds chose each form."""
    return {
        name: {form: int((chosen[:, k] == number).sum()) for number, form in enumerate(FORMS)}
        for k, name in enumerate(COEFFICIENTS)
    }


def _tested(stage: FirstStage, errors: Mapping[str, Floats], pooled: Floats, proxy: Floats) -> dict[str, Errors]:
    """Return the errors of every measure (P, J each) by source, with tests and paired intervals."""
    names = list(errors)
    of_pooled, of_proxy = stage.by_source(pooled), stage.by_source(proxy)
    of_measure = {name: stage.by_source(errors[name][0]) for name in names}
    gains = np.stack([np.nanmean(stage.by_source(errors[name]) - of_pooled, axis=1) for name in names], axis=1)
    # Differences of rounding are none: a measure that no fold follows is the pooled law itself.
    gains[np.abs(gains) < 1e-12] = 0.0
    single = (gains <= gains[0]).mean(axis=0)
    adjusted = step_down(gains)
    return {
        name: Errors(
            heldout=float(np.nanmean(of_measure[name])),
            pooled=float(np.nanmean(of_pooled)),
            proxy=float(np.nanmean(of_proxy)),
            pooled_by_source=dict(zip(stage.sources, of_pooled.tolist(), strict=True)),
            proxy_by_source=dict(zip(stage.sources, of_proxy.tolist(), strict=True)),
            p_value=float(single[number]),
            p_adjusted=float(adjusted[number]),
            smallest_p_value=1 / len(gains),
            needed=_needed(gains),
            difference=paired(of_measure[name] - of_pooled),
            against={
                "proxy": paired(of_measure[name] - of_proxy),
                **{other: paired(of_measure[name] - of_measure[other]) for other in names if other != name},
            },
        )
        for number, name in enumerate(names)
    }


def step_down(gains: Floats) -> Floats:
    """Return the adjusted p-values (M,) of statistics (permutations, M), the first row as observed; small is extreme.

    Step-down maxT (Westfall & Young 1993, algorithm 2.8; Ge, Dudoit & Speed 2003, box 2).
    """
    order = np.argsort(gains[0], kind="stable")
    best_of_rest = np.minimum.accumulate(gains[:, order][:, ::-1], axis=1)[:, ::-1]
    adjusted = np.maximum.accumulate((best_of_rest <= gains[0, order]).mean(axis=0))
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result


def _needed(gains: Floats) -> float | None:
    """Return the change of the error that would be shown at 5 % among all measures; None where none could be."""
    best = np.sort(gains.min(axis=1))
    allowed = int(np.floor(0.05 * len(best) + 1e-9))
    return float(best[allowed - 1]) if allowed >= 1 else None
