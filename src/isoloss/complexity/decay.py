"""How far back a text remembers: conditional entropy against context, correlation against distance, and what follows.

After Cagnetta, Raventós, Ganguli & Wyart 2026 (arXiv:2602.07488): where the entropy of the next token given the n
before it falls as n^(−γ), and the correlation of tokens n apart as n^(−β), P tokens of data resolve correlations as far
as n* ∝ P^(1/2β) (noise falls as P^(−1/2)), and the data-limited loss falls as n*^(−γ) = P^(−γ/2β). The exponents are
theirs; the estimators below are ours and are said in full.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from isoloss.complexity.base import Floats
from isoloss.complexity.bootstrap import DRAWS
from isoloss.complexity.ngram import LEARNING_TOKENS, interpolated, require_learning
from isoloss.complexity.power_law import Exponent, ExponentMeasure, MeanCurve, curve, slopes
from isoloss.complexity.sample import Sample
from isoloss.core.errors import Unidentified
from isoloss.corpus.corpus import Tokens

if TYPE_CHECKING:
    from scipy import sparse

# With a million tokens learned, longer contexts of tokens are too rare for an n-gram to use: the curve would flatten
# for want of data and not for want of memory in the text.
CONTEXTS = 5
GROUPS = 20  # parts of the text whose covariances are held against each other
LEAST_LAGS = 4  # three points leave one degree of freedom after a slope and a level
NOISE_QUANTILE = 0.025


class EntropyDecay(MeanCurve):
    """γ of h(n) ∝ n^(−γ), n = 1 … 5: how the entropy of the next token falls with the number of tokens known.

    h(n) is the lowest held-out cross-entropy of interpolated Kneser–Ney models (as `ngram`) given up to n tokens, nats
    per token, at the same positions for every n, after learning a million tokens. It is an upper bound of the
    conditional entropy, tight where contexts of n tokens recur. As in the paper's H_n ≍ n^(−γ), no
    asymptote is subtracted.
    """

    learning_tokens: ClassVar[int] = LEARNING_TOKENS
    x_name: ClassVar[str] = "tokens of context"
    y_name: ClassVar[str] = "nats per token"

    def curves(self, sample: Sample) -> tuple[Floats, Floats]:
        """Return the context lengths, and each sequence's mean nats per token at them."""
        require_learning(sample)
        nats = [
            -np.log(interpolated(sample.others, sample.sequences, order=order, vocab_size=sample.vocab_size))
            for order in range(2, min(CONTEXTS + 1, sample.sequences.shape[1]) + 1)
        ]
        means = np.stack([cost[:, len(nats) :].mean(axis=1) for cost in nats], axis=1)
        # More context cannot raise an entropy: a longer model that does worse for want of data is passed over.
        best = np.array([means[:, :known].mean(axis=0).argmin() for known in range(1, len(nats) + 1)])
        return np.arange(1, len(nats) + 1, dtype=float), means[:, best]


class CorrelationDecay(ExponentMeasure):
    """β of ‖C(n)‖ ∝ n^(−β): how the covariance of tokens n apart falls with n, up to half a sequence.

    C(n)[u, v] = P(xᵢ = u, xᵢ₊ₙ = v) − P(xᵢ = u) P(xᵢ₊ₙ = v), its size the Frobenius norm. The norm of one estimate of C
    never falls below its own sampling noise, so the text is parted in 20 groups of neighbouring sequences, and ‖C‖² is
    the mean inner product of the covariances of two different groups, whose noises are independent. Lags are fitted
    from 1 to the last one before the squared norm is lost in its noise (lower limit of the bootstrap over groups at or
    below zero); fewer than four are not identified. Texts whose documents differ in vocabulary keep a correlation at
    any distance inside a document: there β is small.
    """

    learning_tokens: ClassVar[int] = LEARNING_TOKENS  # for its tokens: everything drawn is used

    def exponent(self, sample: Sample, rng: np.random.Generator) -> Exponent:
        """Return minus the slope of the norm on logarithmic axes. Raises Unidentified where fewer than 4 lags show."""
        rows = np.concatenate([sample.sequences, sample.others])
        if len(rows) < 2 * GROUPS:
            raise Unidentified(f"{len(rows)} sequences are too few for {GROUPS} groups", fix="measure more text")
        lags = np.unique(np.round(2 ** np.arange(0, np.log2(rows.shape[1] / 2) + 0.25, 0.5)).astype(int))
        squared, draws = squared_norms(rows, lags, rng)
        seen = np.logical_and.accumulate(np.quantile(draws, NOISE_QUANTILE, axis=0) > 0)
        if seen.sum() < LEAST_LAGS:
            raise Unidentified(
                f"correlations exceed their noise at {seen.sum()} of {len(lags)} distances; an exponent needs at "
                f"least {LEAST_LAGS}",
                place="measure correlation_decay", fix="measure more text; independent tokens have no exponent",
            )  # fmt: skip
        x, used = lags[seen].astype(float), draws[:, seen]
        norm = np.sqrt(np.maximum(squared, 0))
        return Exponent(
            value=-float(slopes(x, norm[seen])),
            draws=-slopes(x, np.sqrt(used[(used > 0).all(axis=1)])),
            curve=curve(
                lags.astype(float), norm, x_name="distance, tokens", y_name="norm of the covariance", fitted=seen
            ),
            sequences=len(rows),
            resampled="group",
        )

    def details(self) -> dict[str, JsonValue]:
        """Return the number of groups."""
        return {"groups": GROUPS}


class DataExponent(ExponentMeasure):
    """α_D = γ/2β, predicted for the fall of the loss with data: L(D) ∝ D^(−α_D), without a free parameter.

    From `entropy_decay` and `correlation_decay` on the same sample; their resamples are paired as if independent.
    """

    learning_tokens: ClassVar[int] = LEARNING_TOKENS

    def exponent(self, sample: Sample, rng: np.random.Generator) -> Exponent:
        """Return γ/2β, with the entropy's curve. Raises Unidentified as its parts do, or where β may be 0."""
        gamma = EntropyDecay(self.settings).exponent(sample, rng)
        beta = CorrelationDecay(self.settings).exponent(sample, rng)
        if np.quantile(beta.draws, NOISE_QUANTILE) <= 0:
            raise Unidentified(
                f"the decay of correlations, β = {beta.value:.3f}, cannot be distinguished from no decay",
                place="measure alpha_d",
                fix="measure more text, or longer sequences",
            )  # fmt: skip
        pairs = min(len(gamma.draws), len(beta.draws))
        return Exponent(
            value=gamma.value / (2 * beta.value),
            draws=gamma.draws[:pairs] / (2 * beta.draws[:pairs]),
            curve=gamma.curve,
            sequences=beta.sequences,
            resampled=gamma.resampled,
        )


def squared_norms(rows: Tokens, lags: NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return ‖C(n)‖² for each lag, and in resamples of the groups: (lags), (draws × lags). May be negative in noise."""
    _, tokens = np.unique(rows, return_inverse=True)
    tokens = tokens.reshape(rows.shape)
    group = np.sort(np.arange(len(rows)) % GROUPS)
    weights = rng.multinomial(GROUPS, np.full(GROUPS, 1 / GROUPS), size=DRAWS)
    weights = np.concatenate([np.ones((1, GROUPS), dtype=weights.dtype), weights])
    weights = weights[(weights > 0).sum(axis=1) > 1]
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    found = []
    for lag in lags:
        inner = _inner_products(tokens[:, :-lag], tokens[:, lag:], group)
        np.fill_diagonal(inner, 0)
        found.append(np.einsum("da,ab,db->d", weights, inner, weights) / pairs)
    both = np.stack(found, axis=1)
    return both[0], both[1:]


def _inner_products(left: NDArray[np.intp], right: NDArray[np.intp], group: NDArray[np.int64]) -> Floats:
    """Return the inner products of the covariances of all pairs of groups: groups × groups."""
    size = int(max(left.max(), right.max())) + 1
    of_pair = np.repeat(group, left.shape[1])
    code, pair = np.unique(left.reshape(-1) * size + right.reshape(-1), return_inverse=True)
    joint = _shares(of_pair, pair, len(code))
    p, q = (_shares(of_pair, side.reshape(-1), size).toarray() for side in (left, right))
    # ⟨Jₐ − pₐqₐᵀ, J_b − p_b q_bᵀ⟩, where Jₐ has entries at the codes (u, v) alone.
    first, second = np.divmod(code, size)
    mixed = np.stack([joint @ (p[b, first] * q[b, second]) for b in range(GROUPS)], axis=1)
    return np.asarray((joint @ joint.T).toarray() - mixed - mixed.T + (p @ p.T) * (q @ q.T))


def _shares(group: NDArray[np.int64], thing: NDArray[np.intp], things: int) -> "sparse.csr_array":
    """Return each thing's share of its group: groups × things."""
    from scipy import sparse

    ones = np.ones(len(thing))
    counts = sparse.coo_array((ones, (group, thing)), shape=(GROUPS, things)).tocsr()
    counts.sum_duplicates()
    return sparse.csr_array(sparse.diags_array(1 / counts.sum(axis=1)) @ counts)
