"""The data-dependent law of "gzip Predicts Data-dependent Scaling Laws" (Pandey 2024, arXiv:2405.16684), and its test.

Two stages, as there: a law for each corpus, then every coefficient regressed linearly on the corpus's complexity. E,
α and β enter as they are; A and B as logarithms, because they span orders of magnitude and may not turn negative. The
first stage's draws are carried through the second.

The test is prediction: leave one corpus out, predict its losses from its complexity alone, and compare with one
pooled law that ignores complexity. Corpora of one test are to be of one kind: between bytes of text and the symbols of
a grammar, tokenisation would be taken for complexity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.progress import QUIET, Progress
from isoloss.core.rng import stream
from isoloss.laws.checks import EXCLUDED_FLAGS, leave_out, root_mean_square
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.fitted import FittedLaw
from isoloss.laws.fitting import fit, fit_groups
from isoloss.laws.law import Floats, Objective
from isoloss.runs.observations import Observations

FEWEST_CORPORA = 3
COEFFICIENTS = ("E", "ln A", "ln B", "alpha", "beta")
# All signs of that many corpora are tried; with more, the permutation is sampled.
MOST_EXACT_SIGNS = 16
SAMPLED_SIGNS = 100_000
# The fewest corpora whose smallest attainable p-value, 2^(1-k), lies below 5 %.
CORPORA_FOR_A_TEST = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedDataDependent:
    """Coefficients linear in a measure: row i of `lines` (5, 2) is intercept and slope of `COEFFICIENTS[i]`.

    `draws` (draws, 5, 2) carry the corpora's own draws; `laws` are the first stage; `complexity` the corpora's values.
    """

    measure: str
    lines: Floats
    draws: Floats
    laws: tuple[FittedLaw, ...]
    complexity: dict[str, float]

    def coefficients(self) -> dict[str, tuple[Estimate, Estimate]]:
        """Return intercept and slope of every coefficient, with intervals from the draws."""
        return {
            name: (
                Estimate.from_draws(self.draws[:, i, 0], value=float(self.lines[i, 0])),
                Estimate.from_draws(self.draws[:, i, 1], value=float(self.lines[i, 1])),
            )
            for i, name in enumerate(COEFFICIENTS)
        }

    def values_at(self, complexity: float) -> Floats:
        """Return (E, A, B, α, β) of a corpus of that complexity: the law's row first, then one for every draw."""
        lines = np.concatenate([self.lines[None], self.draws])
        return _to_values(lines[..., 0] + lines[..., 1] * complexity)

    def predict(self, *, params: Floats, tokens: Floats, complexity: float) -> Floats:
        """Return the loss in nats per token on a corpus of that complexity."""
        return Chinchilla.loss(self.values_at(complexity)[0], params=params, tokens=tokens)

    def predict_estimate(self, *, params: float, tokens: float, complexity: float) -> Estimate:
        """Return the loss at one point with its interval."""
        losses = Chinchilla.loss(self.values_at(complexity), params=np.array(params), tokens=np.array(tokens))
        return Estimate.from_draws(losses[1:], value=float(losses[0]))


class DataDependent:
    """The data-dependent law by one measure, as `DataDependent(complexity="gzip").fit(observations)`."""

    def __init__(self, *, complexity: str = "gzip", objective: Objective = "huber", delta: float = 1e-3) -> None:
        self.complexity = complexity
        self.objective: Objective = objective
        self.delta = delta

    def fit(self, observations: Observations, *, bootstrap: int = 0, seed: int = 0) -> FittedDataDependent:
        """Return both stages fitted. Raises InputError for fewer than three corpora or distinct complexities."""
        laws = fit_groups(observations, objective=self.objective, delta=self.delta, bootstrap=bootstrap, seed=seed)
        return from_laws(laws, corpus_complexity(observations, self.complexity), measure=self.complexity)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How well losses of an unseen corpus are predicted from its complexity, against a law that ignores it.

    Errors are root mean squares of ln L − ln L̂ on the left-out corpus, averaged over corpora; `corpora` holds each
    one's (heldout, pooled). `p_value` is of the paired sign-flip test on their differences, two-sided: with k corpora
    it cannot fall below 2^(1−k), .25 for three. `kind` is what the corpora are (`text`, `generated`), None where the
    table does not say.
    """

    measure: str
    kind: str | None = None
    heldout_error: float
    pooled_error: float
    p_value: float
    smallest_p_value: float
    corpora: dict[str, tuple[float, float]]

    def sentences(self) -> tuple[str, str]:
        """Return what the errors are, and what the test can show, in plain English."""
        return _error_sentence(self), _test_sentence(self)

    def to_json(self) -> dict[str, Any]:
        """Return one element of `comparison`."""
        return {
            "kind": self.kind,
            "measure": self.measure,
            "heldout_error": self.heldout_error,
            "pooled_error": self.pooled_error,
            "p_value": self.p_value,
            "smallest_p_value": self.smallest_p_value,
            "corpora": {
                name: {"heldout_error": heldout, "pooled_error": pooled}
                for name, (heldout, pooled) in self.corpora.items()
            },
            "sentences": list(self.sentences()),
        }


def _error_sentence(found: Comparison) -> str:
    kind = f"{found.kind} " if found.kind else ""
    better = "better" if found.heldout_error < found.pooled_error else "worse"
    return (
        f"Each of the {len(found.corpora)} {kind}corpora left out in turn: a law that follows {found.measure} predicts "
        f"it {better} than one law for all, root mean square of ln L − ln L̂ {found.heldout_error:.3g} against "
        f"{found.pooled_error:.3g} (p = {found.p_value:.2g})."
    )


def _test_sentence(found: Comparison) -> str:
    corpora, least = len(found.corpora), found.smallest_p_value
    if corpora < CORPORA_FOR_A_TEST:
        return (
            f"With {corpora} corpora p cannot fall below {least:.2g}, whatever the runs: this can show no difference "
            f"at 5 %, which takes {CORPORA_FOR_A_TEST} corpora of a kind."
        )
    return f"With {corpora} corpora p can fall to {least:.2g}."


def corpus_complexity(observations: Observations, measure: str) -> dict[str, float]:
    """Return the measure of every corpus. Raises InputError where rows of one corpus disagree."""
    column = observations.measure(measure)
    found: dict[str, float] = {}
    for corpus in observations.corpora:
        values = np.unique(column[observations.corpus == corpus])
        if len(values) > 1:
            raise InputError(
                f"corpus {corpus!r} has {len(values)} values of {measure!r}, {values[0]:g} to {values[-1]:g}",
                fix="complexity belongs to a corpus: give every row of it one value",
            )
        found[corpus] = float(values[0])
    return found


def from_laws(laws: Sequence[FittedLaw], complexity: Mapping[str, float], *, measure: str) -> FittedDataDependent:
    """Return the second stage over laws that are fitted already, one a corpus.

    Draw i of the result regresses draw i of every corpus; corpora are independent, so any pairing serves. Raises
    InputError for fewer than three corpora or complexities that do not vary.
    """
    _refuse_few([law.group for law in laws], complexity, measure)
    covariate = np.array([complexity[law.group] for law in laws])
    count = min(len(law.draws) for law in laws)
    points = np.stack([_to_linear(law.values) for law in laws])
    draws = np.stack([_to_linear(law.draws[:count]) for law in laws], axis=1)
    return FittedDataDependent(
        measure=measure,
        lines=_lines(covariate, points),
        draws=_lines(covariate, draws),
        laws=tuple(laws),
        complexity=dict(complexity),
    )


def compare(
    observations: Observations,
    measures: Sequence[str],
    *,
    kind: str | None = None,
    objective: Objective = "huber",
    delta: float = 1e-3,
    seed: int = 0,
    progress: Progress = QUIET,
) -> list[Comparison]:
    """Return, for every measure, the leave-one-corpus-out error of its data-dependent law beside the pooled law's.

    `kind` says what the corpora are, where it is known. Raises InputError for fewer than three corpora, or than three
    values of a measure.
    """
    used, _ = leave_out(observations, flags=EXCLUDED_FLAGS)
    complexity = {measure: corpus_complexity(used, measure) for measure in measures}
    for measure, values in complexity.items():
        _refuse_few(used.corpora, values, measure)
    laws = {law.group: law for law in fit_groups(used, objective=objective, delta=delta)}
    pooled = {}
    with progress.task("left-out corpora", total=len(used.corpora)) as task:
        for corpus in used.corpora:
            task.advance(0, detail=corpus)
            pooled[corpus] = _pooled_error(used, corpus, objective=objective, delta=delta)
            task.advance(1)
    return [
        replace(_compare_one(used, laws, complexity[measure], pooled, measure, seed), kind=kind) for measure in measures
    ]


def measures_that_vary(observations: Observations) -> list[str]:
    """Return the complexity columns with enough distinct values among the corpora to lay a line through."""
    return [
        measure
        for measure in observations.complexity
        if len(set(corpus_complexity(observations, measure).values())) >= FEWEST_CORPORA
    ]


def _compare_one(
    observations: Observations,
    laws: Mapping[str, FittedLaw],
    complexity: Mapping[str, float],
    pooled: Mapping[str, float],
    measure: str,
    seed: int,
) -> Comparison:
    heldout = {corpus: _heldout_error(observations, corpus, laws, complexity) for corpus in laws}
    differences = np.array([heldout[corpus] - pooled[corpus] for corpus in laws])
    return Comparison(
        measure=measure,
        heldout_error=float(np.mean(list(heldout.values()))),
        pooled_error=float(np.mean([pooled[corpus] for corpus in laws])),
        p_value=sign_flip_p_value(differences, seed=seed),
        smallest_p_value=2.0 ** (1 - len(differences)),
        corpora={corpus: (heldout[corpus], pooled[corpus]) for corpus in laws},
    )


def _heldout_error(
    observations: Observations, corpus: str, laws: Mapping[str, FittedLaw], complexity: Mapping[str, float]
) -> float:
    """Return the error on a corpus of the lines through all the others' coefficients."""
    others = [law for name, law in laws.items() if name != corpus]
    covariate = np.array([complexity[law.group] for law in others])
    lines = _lines(covariate, np.stack([_to_linear(law.values) for law in others]))
    values = _to_values(lines[:, 0] + lines[:, 1] * complexity[corpus])
    rows = observations.where(corpus=corpus)
    predicted = Chinchilla.loss(values, params=rows.params, tokens=rows.tokens)
    return root_mean_square(np.log(rows.loss_nats) - np.log(predicted))


def _pooled_error(observations: Observations, corpus: str, *, objective: Objective, delta: float) -> float:
    """Return the error on a corpus of one law fitted to all the others' rows."""
    rows = observations.where(corpus=corpus)
    others = observations.select(observations.corpus != corpus)
    return root_mean_square(fit(others, objective=objective, delta=delta).residuals(rows))


def sign_flip_p_value(differences: Floats, *, seed: int) -> float:
    """Return the two-sided p-value of a mean difference under random signs: exact up to 16 pairs, sampled beyond."""
    k = len(differences)
    if k <= MOST_EXACT_SIGNS:
        signs = np.array(list(product((-1.0, 1.0), repeat=k)))
    else:
        signs = stream(seed, "sign flips").choice((-1.0, 1.0), size=(SAMPLED_SIGNS, k))
        signs[0] = 1.0
    means = np.abs(signs @ differences)
    return float((means >= abs(differences.sum()) * (1 - 1e-12)).mean())


def _refuse_few(corpora: Sequence[str], complexity: Mapping[str, float], measure: str) -> None:
    if len(corpora) < FEWEST_CORPORA:
        raise InputError(
            f"{len(corpora)} corpora, expected at least {FEWEST_CORPORA} to tell how a law follows {measure!r}",
            fix="train more corpora, or fit each corpus alone",
        )
    if len({complexity[corpus] for corpus in corpora}) < FEWEST_CORPORA:
        raise InputError(
            f"the corpora have fewer than {FEWEST_CORPORA} distinct values of {measure!r}",
            fix="add corpora of other complexity",
        )


def _to_linear(values: Floats) -> Floats:
    """Return the coefficients that are taken as linear in complexity, (…, 5)."""
    E, A, B, alpha, beta = np.moveaxis(values, -1, 0)
    return np.stack([E, np.log(A), np.log(B), alpha, beta], axis=-1)


def _to_values(coefficients: Floats) -> Floats:
    """Return (E, A, B, α, β); a line may run below zero where E, α and β may not."""
    E, log_A, log_B, alpha, beta = np.moveaxis(coefficients, -1, 0)
    E, alpha, beta = (np.maximum(part, 0.0) for part in (E, alpha, beta))
    return np.stack([E, np.exp(log_A), np.exp(log_B), alpha, beta], axis=-1)


def _lines(covariate: Floats, coefficients: Floats) -> Floats:
    """Return intercept and slope (…, 5, 2) of coefficients (…, corpora, 5) on the covariate (corpora,)."""
    solution = np.linalg.pinv(np.column_stack([np.ones_like(covariate), covariate]))
    return np.asarray(np.einsum("lc,...cp->...pl", solution, coefficients))
