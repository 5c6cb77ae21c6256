"""The spectrum of what contexts are worth: how much of a text's predictability sits in few contexts, how much in many.

After Huang, Li, Ji, Cheng & Song 2026 (arXiv:2605.20196), who take the states of the suffix automaton of a corpus,
give each its empirical mass times the Kullback–Leibler divergence of its next-token distribution from the global one,
and find the tail slope of the sorted contributions correlated with the data-scaling exponent of a small GPT. Details
below that the abstract leaves open are ours.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from isoloss.complexity.base import Floats, Measured
from isoloss.complexity.power_law import Exponent, ExponentMeasure, curve, slopes
from isoloss.complexity.sample import Sample
from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.corpus.corpus import Tokens

LONGEST = 32  # tokens of context; beyond lie copies of long passages, whose contexts then count as one state
FIRST_RANK, LAST_RANK = 100, 10_000
LEAST_RANKS = 1000  # one decade of ranks
RANKS = 30  # fitted, evenly spaced on a logarithmic axis, so that the many late ranks do not decide alone
GROUPS = 10


class SpectrumTail(ExponentMeasure):
    """Minus the slope of ln contribution on ln rank, from rank 100 to 10,000 (or the last; 1,000 at least).

    A state is a set of contexts of up to 32 tokens that end at the same positions, two at least, inside sequences; its
    contribution is (occurrences/tokens) · KL(next token after it ‖ next token anywhere), from plain counts. Few
    occurrences make plain counts look certain, so far ranks show how occurrences are spread rather than what they
    predict, and values compare only at equal numbers of tokens. Steep: a few contexts carry all. Resampling documents
    with replacement would make false repeats, so the interval is of the jackknife over ten groups of sequences
    (Efron & Tibshirani 1993, chapter 11).
    """

    def exponent(self, sample: Sample, rng: np.random.Generator) -> Exponent:
        """Return the slope with its leave-one-group-out values. Raises Unidentified for fewer than 1,000 states."""
        del rng  # nothing is drawn
        rows = sample.sequences
        spectrum = contributions(rows)
        ranks, value = _tail(spectrum)
        group = np.sort(np.arange(len(rows)) % GROUPS)
        without = np.array([_tail(contributions(rows[group != g]))[1] for g in range(GROUPS)])
        return Exponent(
            value=value,
            draws=without,
            curve=curve(
                ranks.astype(float), spectrum[ranks - 1], x_name="rank of the state", y_name="contribution, nats"
            ),
            sequences=len(rows),
            resampled="group",
        )

    def measure(self, sample: Sample, rng: np.random.Generator) -> Measured:
        """Return the slope with the normal interval of its jackknife standard error."""
        found = self.exponent(sample, rng)
        stderr = float(np.sqrt((GROUPS - 1) * found.draws.var()))
        return Measured(
            value=Estimate.from_stderr(found.value, stderr), sequences=found.sequences, resampled="group",
            curve=found.curve,
        )  # fmt: skip

    def details(self) -> dict[str, JsonValue]:
        """Return the longest context, the ranks fitted and the groups of the jackknife."""
        return {"longest_context": LONGEST, "ranks": [FIRST_RANK, LAST_RANK], "groups": GROUPS}


def contributions(rows: Tokens, *, longest: int = LONGEST) -> Floats:
    """Return each state's contribution in nats, largest first; states that predict as the whole text does are left out.

    Longer contexts are found by lengthening those that recur, to the left: a context becomes a state where its
    occurrences are not all preceded by the same token.
    """
    count, length = rows.shape
    _, tokens = np.unique(rows, return_inverse=True)
    tokens = tokens.reshape(count, length)
    vocab = int(tokens.max()) + 1
    following = tokens[:, 1:].reshape(-1)
    share = np.bincount(following, minlength=vocab) / len(following)
    baseline = np.log(share, out=np.zeros(vocab), where=share > 0)  # what only begins sequences is never looked up
    padded = np.concatenate([np.full((count, 1), vocab), tokens], axis=1).reshape(-1)  # vocab: before a sequence
    end = (np.arange(count)[:, None] * (length + 1) + np.arange(1, length)).reshape(-1)  # last token of each context
    context = np.zeros(len(end), dtype=np.int64)
    total = len(end)
    found: list[Floats] = []
    for size in range(1, longest + 1):
        # Where a sequence begins, nothing lengthens: such an occurrence is alone and falls out below.
        left = padded[end - size + 1]
        alive = left < vocab
        _, longer, occurrences = np.unique(context * (vocab + 1) + left, return_inverse=True, return_counts=True)
        if size > 1:
            whole = np.bincount(context)
            undivided = np.zeros(len(whole), dtype=bool)
            undivided[context] = (occurrences[longer] == whole[context]) & alive
            found.append(_divergences(context, following, baseline, total)[~undivided])
        kept = alive & (occurrences[longer] > 1)
        if not kept.any():
            context = context[:0]
            break
        _, context = np.unique(longer[kept], return_inverse=True)
        end, following = end[kept], following[kept]
    if len(context):
        found.append(_divergences(context, following, baseline, total))
    every = np.concatenate(found) if found else np.empty(0)
    return np.asarray(np.sort(every[every > 1e-12])[::-1])


def _divergences(context: NDArray[np.intp], following: NDArray[np.intp], baseline: Floats, total: int) -> Floats:
    """Return mass times divergence of each context, numbered from 0: Σ_v c(v)/total · ln(c(v)/c / p(v))."""
    grams, count = np.unique(context * len(baseline) + following, return_counts=True)
    of, token = np.divmod(grams, len(baseline))
    occurrences = np.bincount(context)
    nats = count / total * (np.log(count / occurrences[of]) - baseline[token])
    return np.asarray(np.bincount(of, nats), dtype=np.float64)


def _tail(spectrum: Floats) -> tuple[NDArray[np.int64], float]:
    if len(spectrum) < LEAST_RANKS:
        raise Unidentified(
            f"{len(spectrum)} contexts recur and predict; a tail needs at least {LEAST_RANKS}",
            place="measure spectrum", fix="measure more text: raise samples",
        )  # fmt: skip
    ranks = np.unique(np.geomspace(FIRST_RANK, min(LAST_RANK, len(spectrum)), RANKS).round().astype(np.int64))
    return ranks, -float(slopes(ranks.astype(float), spectrum[ranks - 1]))
