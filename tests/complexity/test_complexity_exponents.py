"""Exponents of sources whose exponents are known."""

import numpy as np
import pytest

from isoloss.complexity.decay import squared_norms
from isoloss.complexity.measure import measure_tokens
from isoloss.complexity.power_law import slopes
from isoloss.complexity.spectrum import contributions
from isoloss.core.errors import InputError, Unidentified


def coupled(coupling: float, *, rows: int = 2000, length: int = 256, exponent: float = 0.7, seed: int = 0):
    """Signs of Gaussian sequences with correlation `coupling` · n^(−exponent): convex, hence possible (Pólya)."""
    rng = np.random.default_rng(seed)
    lags = np.arange(length)
    correlation = np.where(lags == 0, 1.0, coupling * np.maximum(lags, 1) ** -exponent)
    root = np.linalg.cholesky(correlation[np.abs(lags[:, None] - lags)])
    return (rng.normal(size=(rows, length)) @ root.T > 0).astype(np.uint16), correlation


def test_the_covariance_of_signs_has_its_exact_norm_and_exponent():
    tokens, correlation = coupled(0.5)
    lags = np.array([1, 2, 4, 8, 16, 32])
    # Sheppard 1899: P(both signs) = 1/4 + asin(ρ)/2π; each of the four entries of C is ± that excess.
    exact = 2 * np.arcsin(correlation[lags]) / (2 * np.pi)
    squared, draws = squared_norms(tokens, lags, np.random.default_rng(0))
    assert np.all(np.abs(squared - exact**2) < 4 * draws.std(axis=0))
    found = measure_tokens(tokens, "correlation_decay")
    fitted = np.array(found.curve.x)[np.array(found.curve.fitted)].astype(int)
    truth = -slopes(fitted.astype(float), np.arcsin(correlation[fitted]))
    assert found.value.low < truth < found.value.high
    assert found.value.width < 0.15
    assert found.settings["resampled"] == "group"


def test_independent_tokens_have_no_covariance_and_no_exponent():
    tokens = np.random.default_rng(0).integers(0, 50, (500, 256)).astype(np.uint16)
    squared, draws = squared_norms(tokens, np.array([1, 5, 25]), np.random.default_rng(0))
    # One estimate of the covariance from all pairs would have a norm² of about 1/pairs from its noise alone.
    assert np.all(np.abs(squared) < 4 * draws.std(axis=0))
    assert np.all(np.abs(squared) < 0.2 / (500 * 255))
    with pytest.raises(Unidentified, match="their noise at 0 of"):
        measure_tokens(tokens, "correlation_decay")
    with pytest.raises(Unidentified):
        measure_tokens(tokens, "alpha_d")


def test_independent_tokens_cost_their_entropy_whatever_the_context():
    p = np.arange(1, 9) / 36
    tokens = np.random.default_rng(0).choice(8, size=(3000, 256), p=p).astype(np.uint16)
    found = measure_tokens(tokens, "entropy_decay")
    entropy = -(p * np.log(p)).sum()
    assert found.curve.y[0] == pytest.approx(entropy, rel=3e-3)
    assert found.curve.y == pytest.approx(np.full(5, entropy), rel=3e-3)
    assert abs(found.value.value) < 1e-3


def test_the_entropy_of_a_chain_of_order_two_falls_at_two_tokens_and_no_further():
    # x is the sum of the two before it modulo 5, but one time in ten anything: given one token alone, uniform.
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 5, (3000, 256))
    noise = rng.random(tokens.shape) < 0.1
    for i in range(2, 256):
        tokens[:, i] = np.where(noise[:, i], tokens[:, i], (tokens[:, i - 1] + tokens[:, i - 2]) % 5)
    hit = 0.9 + 0.1 / 5
    exact = -hit * np.log(hit) - 4 * 0.02 * np.log(0.02)
    h = measure_tokens(tokens.astype(np.uint16), "entropy_decay").curve.y
    assert h[0] == pytest.approx(np.log(5), rel=2e-3)
    assert h[1] == pytest.approx(exact, rel=0.01)
    assert h[1:] == pytest.approx(np.full(4, h[1]), rel=1e-3)


def test_the_predicted_data_exponent_is_that_of_its_parts():
    tokens, _ = coupled(0.5, rows=400)
    gamma, beta, alpha = (measure_tokens(tokens, name) for name in ("entropy_decay", "correlation_decay", "alpha_d"))
    assert alpha.value.value == pytest.approx(gamma.value.value / (2 * beta.value.value), rel=1e-12)
    assert alpha.value.low < alpha.value.value < alpha.value.high


@pytest.mark.parametrize("exponent", [1.5, 2.0])
def test_vocabulary_of_zipf_s_law_grows_as_it_must(exponent):
    ranks = np.arange(1, 1_000_000, dtype=float)
    p = ranks**-exponent / (ranks**-exponent).sum()
    rng = np.random.default_rng(0)
    tokens = np.searchsorted(p.cumsum(), rng.random((16, 65_536))).astype(np.uint32)
    found = measure_tokens(tokens, "heaps")
    expected = [(-np.expm1(n * np.log1p(-p))).sum() for n in found.curve.x]  # E[V(n)] of independent draws
    np.testing.assert_allclose(found.curve.y, expected, rtol=0.03)
    truth = slopes(np.array(found.curve.x), np.array(expected))
    assert found.value.low < truth < found.value.high
    assert truth == pytest.approx(1 / exponent, abs=0.03)


def test_noise_compresses_alike_at_any_length_and_copies_do_not():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2**16, (16, 4096)).astype(np.uint16)
    copies = np.tile(noise[:, :32], (1, 128))
    flat, steep = (
        measure_tokens(t, "xz-curve", settings=settings(token_bytes=2, block_tokens=4096)) for t in (noise, copies)
    )
    assert abs(flat.value.value) < 0.03  # what stays is the frame of 16 tokens
    assert steep.value.value > 0.8  # a copy costs nothing: the ratio falls almost as 1/ℓ
    assert flat.curve.x == (16, 64, 256, 1024, 4096)


def settings(**given):
    from isoloss.complexity.base import MeasureSettings

    return MeasureSettings(**given)


def test_contexts_of_a_periodic_text_share_its_entropy():
    # Five tokens in turn: every recurring context ends on one of them and is sure of the next; nothing else can matter.
    spectrum = contributions(np.tile(np.arange(5), (1, 400)).astype(np.uint16))
    # A twentieth part longer or shorter by where the text begins and ends: contexts that meet the beginning divide.
    assert spectrum[:5] == pytest.approx(np.full(5, np.log(5) / 5), rel=0.03)


def de_bruijn(vocab: int, order: int) -> list[int]:
    """Every word of `order` tokens once, cyclically (Fredricksen & Maiorana 1978: Lyndon words in order)."""
    word, found = [0] * (order + 1), []

    def extend(t: int, p: int) -> None:
        if t > order:
            if order % p == 0:
                found.extend(word[1 : p + 1])
            return
        word[t] = word[t - p]
        extend(t + 1, p)
        for letter in range(word[t - p] + 1, vocab):
            word[t] = letter
            extend(t + 1, t)

    extend(1, 1)
    return found


def test_contexts_of_a_de_bruijn_sequence_predict_nothing():
    order = 10
    cycle = de_bruijn(2, order)
    assert len(cycle) == 2**order
    row = np.array([cycle + cycle[:order]], dtype=np.uint16)
    # Contexts shorter than `order` − 1 are followed by either token equally often, but for the seam of ten tokens.
    assert contributions(row).sum() < 0.02
    periodic = np.tile(np.array([0, 1], dtype=np.uint16), (1, 517))
    assert contributions(periodic).sum() > 0.6


def brute_force(rows, longest):
    """States by definition: contexts keyed by the set of positions at which they end."""
    ends: dict[tuple, set] = {}
    for r, row in enumerate(rows):
        for i in range(len(row) - 1):
            for size in range(1, min(longest, i + 1) + 1):
                ends.setdefault(tuple(row[i - size + 1 : i + 1]), set()).add((r, i))
    following = [row[i + 1] for row in rows for i in range(len(row) - 1)]
    share = {v: following.count(v) / len(following) for v in set(following)}
    found = []
    for positions in {frozenset(p) for p in ends.values() if len(p) > 1}:
        after = [rows[r][i + 1] for r, i in positions]
        kl = sum(after.count(v) / len(after) * np.log(after.count(v) / len(after) / share[v]) for v in set(after))
        found.append(kl * len(positions) / len(following))
    return sorted((x for x in found if x > 1e-12), reverse=True)


@pytest.mark.parametrize(("vocab", "longest"), [(2, 32), (3, 32), (4, 3)])
def test_the_spectrum_is_that_of_its_definition(vocab, longest):
    rows = np.random.default_rng(vocab).integers(0, vocab, (4, 40))
    rows[0, 0] = vocab  # a token that follows nothing
    expected = brute_force(rows.tolist(), longest)
    np.testing.assert_allclose(contributions(rows.astype(np.uint16), longest=longest), expected, rtol=1e-9)


def test_a_spectrum_without_a_tail_is_said_to_have_none():
    with pytest.raises(Unidentified, match="at least 1000"):
        measure_tokens(np.zeros((50, 64), dtype=np.uint16), "spectrum", vocab_size=2)


def test_two_blocks_are_needed():
    with pytest.raises(InputError, match="at least two"):
        measure_tokens(np.zeros((10, 256), dtype=np.uint16), "heaps", vocab_size=2)
