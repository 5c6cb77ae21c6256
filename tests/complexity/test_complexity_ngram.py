"""n-gram entropies: a proper distribution, equal to the formula, and near the truth where it is known."""

from collections import Counter

import numpy as np
import pytest

from isoloss.complexity import ngram
from isoloss.complexity.measure import measure_corpus, measure_tokens
from isoloss.complexity.ngram import interpolated
from isoloss.core.errors import InputError
from isoloss.corpus.build import build
from isoloss.corpus.sources import PcfgSource


class KneserNey:
    """Chen & Goodman 1999, equations 20 to 26, over counts of tuples as they are written there."""

    def __init__(self, learned: list[list[int]], order: int, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        grams = {n: Counter(tuple(row[i : i + n]) for row in learned for i in range(len(row) - n + 1))
                 for n in range(1, order + 1)}  # fmt: skip
        self.counts = {n: Counter(gram[1:] for gram in grams[n + 1]) for n in range(1, order)}
        self.counts[order] = grams[order]

    def discount(self, n: int, count: int) -> float:
        n1, n2, n3, n4 = (sum(c == k for c in self.counts[n].values()) for k in (1, 2, 3, 4))
        by_count = [0, 0.5, 1, 1.5]
        if n1 and n2 and n3 and n4:
            y = n1 / (n1 + 2 * n2)
            estimated = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            by_count = estimated if min(estimated[1:]) > 0 else by_count
        return by_count[min(count, 3)]

    def probability(self, context: tuple[int, ...], token: int) -> float:
        n = len(context) + 1
        shorter = 1 / self.vocab_size if n == 1 else self.probability(context[1:], token)
        follow = {gram[-1]: c for gram, c in self.counts[n].items() if gram[:-1] == context}
        if not follow:
            return shorter
        saved = sum(self.discount(n, c) for c in follow.values())
        count = follow.get(token, 0)
        return (count - self.discount(n, count) + saved * shorter) / sum(follow.values())


@pytest.mark.parametrize("largest_table", [0, ngram.LARGEST_TABLE])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_equations(monkeypatch, order, largest_table):
    monkeypatch.setattr(ngram, "LARGEST_TABLE", largest_table)  # 0: all n-grams are counted by sorting
    rng = np.random.default_rng(0)
    learned, scored = rng.integers(0, 3, (12, 11)), rng.integers(0, 4, (5, 8))
    model = KneserNey(learned.tolist(), order, vocab_size=4)
    expected = [
        [model.probability(tuple(row[max(0, i - order + 1) : i]), row[i]) for i in range(len(row))]
        for row in scored.tolist()
    ]
    np.testing.assert_allclose(interpolated(learned, scored, order=order, vocab_size=4), expected, rtol=1e-12)


def test_probabilities_of_all_next_tokens_sum_to_one():
    rng = np.random.default_rng(1)
    learned = rng.integers(0, 5, (20, 30))
    start = np.tile(rng.integers(0, 5, 6), (5, 1))
    every = np.concatenate([start, np.arange(5)[:, None]], axis=1)
    assert interpolated(learned, every, order=4, vocab_size=5)[:, -1].sum() == pytest.approx(1, rel=1e-12)


def test_a_token_never_seen_has_a_probability():
    learned = np.tile(np.arange(4), (50, 5))  # every count is large: nothing rare to learn discounts from
    assert interpolated(learned, np.array([[0, 1, 9, 2]]), order=3, vocab_size=10).min() > 0


def test_a_markov_chain_costs_its_entropy():
    # 200,000 tokens teach a table of 20 × 20 to within a thousandth; what longer contexts add is noise.
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.full(20, 0.3), size=20)
    state, rows = rng.integers(0, 20, 1600), []
    for _ in range(256):
        rows.append(state)
        state = (table[state].cumsum(axis=1) > rng.random((1600, 1))).argmax(axis=1)
    sequences = np.stack(rows, axis=1).astype(np.uint16)
    log_table = np.log(table, out=np.zeros_like(table), where=table > 0)
    truth = -log_table[sequences[800:, :-1], sequences[800:, 1:]].mean()
    pair, six = (
        -np.log(interpolated(sequences[:800], sequences[800:], order=order, vocab_size=20)[:, 1:]).mean()
        for order in (2, 6)
    )
    assert pair == pytest.approx(truth, rel=2e-3)
    assert pair < six < 1.12 * truth


def test_no_n_gram_beats_the_floor_of_a_grammar(tmp_path):
    grammar = {"family": "random", "nonterminals": 10, "terminals": 150, "max_rules": 5, "max_rhs": 3, "seed": 2}
    source = PcfgSource.model_validate({"name": "g", "grammar": grammar, "tokens": 500_000})
    corpus = build(source, root=tmp_path, context=256)
    ngram, unigram = (measure_corpus(corpus, name).value for name in ("ngram", "unigram"))
    # Both are estimates, each with an interval of about half a per cent.
    assert ngram.high > corpus.floor.low
    assert ngram.high < unigram.low


def test_one_sequence_leaves_nothing_to_learn_from():
    with pytest.raises(InputError, match="is left to learn"):
        measure_tokens(np.zeros((1, 256), dtype=np.uint16), "ngram", vocab_size=2)


def test_the_amount_learned_is_recorded_and_bounded():
    sequences = np.random.default_rng(0).integers(0, 9, (6000, 256)).astype(np.uint16)
    found = measure_tokens(sequences, "ngram")
    assert found.settings["learned_tokens"] <= 2**20
    assert found.sequences == 1000
