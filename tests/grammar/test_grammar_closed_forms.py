"""What a grammar's closed forms say is what its derivations do."""

import math

import numpy as np
import pytest
from grammar_oracles import small_grammars, written
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadGrammar
from isoloss.grammar.families import grammar_spec
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents

SIX = [(3, 20, 2, 2), (10, 150, 5, 3), (20, 300, 10, 5), (30, 400, 10, 8), (50, 500, 20, 15), (100, 2000, 100, 30)]


def random_grammar(size: tuple[int, ...], seed: int = 0) -> Grammar:
    names = ("nonterminals", "terminals", "max_rules", "max_rhs")
    return grammar_spec(dict(zip(names, size, strict=True)) | {"seed": seed}).build()


def test_a_geometric_number_of_tokens():
    p = 0.7
    grammar = written(f"S -> 'a' S [{p}] | 'b' [{1 - p}]")
    coin = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert grammar.spectral_radius == p
    assert grammar.termination_probability == 1
    assert grammar.tokens_per_sentence == pytest.approx(1 / (1 - p))
    assert grammar.derivation_nats_per_sentence == pytest.approx(coin / (1 - p))
    assert grammar.derivation_nats_per_token == pytest.approx(coin / (1 - p) / (1 / (1 - p) + 1))
    assert grammar.unigram == pytest.approx(np.array([1, p / (1 - p), 1]) / (1 / (1 - p) + 1))


# Solved for 1 − q, the root near p = ½ is as well-conditioned as any: (2p − 1) / p moves by 4 round-offs of p at most,
# and a few more of the arithmetic. Within 1e-12 of critical a grammar counts as critical: 1 − q is then below 4e-12.
ROUND_OFFS, CRITICAL = 1e-14, 4.1e-12
PROBABILITIES = st.one_of(
    st.floats(0.01, 0.99),
    st.builds(lambda sign, size: 0.5 + sign * 10.0**size, st.sampled_from([-1, 1]), st.floats(-17, -0.4)),
)


def assert_ends_as_one_type(grammar: Grammar, p: float) -> None:
    """The smallest root of q = p q² + 1 − p is min(1, (1 − p) / p)."""
    error = CRITICAL if 0 < 2 * p - 1 < 2.1e-12 else ROUND_OFFS
    assert grammar.termination_probability == pytest.approx(min(1, (1 - p) / p), abs=error, rel=0)


@given(p=PROBABILITIES)
@example(p=0.50000001201)
@example(p=float(np.nextafter(0.5, 1)))
@settings(max_examples=150)
def test_a_branching_process_of_one_type(p):
    grammar = Grammar.from_rules([[(p, [-1, -1]), (1 - p, [1])]], nonterminals=["S"], terminals=["a"], start=np.ones(1))
    assert_ends_as_one_type(grammar, p)
    assert grammar.spectral_radius == pytest.approx(2 * p)
    if p < 0.5 - 1e-12:
        assert grammar.tokens_per_sentence == pytest.approx((1 - p) / (1 - 2 * p), rel=1e-14 / (0.5 - p))
    elif p >= 0.5:
        assert grammar.tokens_per_sentence is grammar.derivation_nats_per_token is grammar.unigram_nats is None


@given(p=PROBABILITIES)
@settings(max_examples=100)
def test_a_branching_process_of_two_types(p):
    """S → T T with probability p, T → S: the same root, by a matrix whose radius √(2p) is an eigenvalue of two."""
    rules = [[(p, [-2, -2]), (1 - p, [1])], [(1.0, [-1])]]
    grammar = Grammar.from_rules(rules, nonterminals=["S", "T"], terminals=["a"], start=[1, 0])
    assert_ends_as_one_type(grammar, p)
    assert grammar.spectral_radius == pytest.approx(math.sqrt(2 * p))


@pytest.mark.parametrize("excess", [0, -1e-14, 1e-14, -1e-9, 1e-13, 1e-12, 2e-12, 1e-9, 1e-6, 1e-3])
def test_criticality_costs_no_accuracy(excess):
    # At p = ½ the smallest root is a double one: an iteration on q alone would stop some 1e-8 below it.
    p = 0.5 + excess
    grammar = Grammar.from_rules([[(p, [-1, -1]), (1 - p, [1])]], nonterminals=["S"], terminals=["a"], start=np.ones(1))
    assert_ends_as_one_type(grammar, p)
    assert (grammar.tokens_per_sentence is None) == (excess > -1e-12)


@given(grammar=small_grammars(shortest=0))
@settings(max_examples=100)
def test_termination_is_the_smallest_fixed_point(grammar):
    q = grammar.termination_probabilities
    assert np.all((q >= 0) & (q <= 1))
    assert grammar.sum_rules(grammar.multiply_symbols(q)) == pytest.approx(q, abs=1e-12)
    below = np.zeros_like(q)  # P(the derivation ends within k levels) grows to the smallest fixed point
    for _ in range(300):
        below = grammar.sum_rules(grammar.multiply_symbols(below))
    assert np.all(below <= q + 1e-12)
    if abs(grammar.spectral_radius - 1) > 0.1:  # near critical it grows too slowly to tell
        assert below[grammar.reachable] == pytest.approx(q[grammar.reachable], abs=1e-6)


@given(grammar=small_grammars(shortest=0))
@settings(max_examples=100)
def test_radius_below_one_means_certain_end(grammar):
    reachable = grammar.termination_probabilities[grammar.reachable]
    if grammar.spectral_radius < 1 - 1e-9:
        assert np.all(reachable == 1)
        assert grammar.tokens_per_sentence is not None
    else:
        assert grammar.tokens_per_sentence is None
    if grammar.spectral_radius > 1 + 1e-9:
        assert reachable.min() < 1


@given(grammar=small_grammars())
@settings(max_examples=40)
def test_lengths_and_entropies_solve_their_recursions(grammar):
    """Length and entropy by direct iteration over derivation depth: h_A = entropy of the rule + Σ p Σ h_B."""
    assume(grammar.spectral_radius < 0.9)
    lengths, nats = np.zeros(len(grammar.nonterminals)), np.zeros(len(grammar.nonterminals))
    for _ in range(300):
        longer, richer = np.zeros_like(lengths), np.zeros_like(nats)
        for lhs, weight, symbols in grammar.rules():
            longer[lhs] += weight * sum(1 if s >= 0 else lengths[~s] for s in symbols)
            richer[lhs] += weight * (sum(nats[~s] for s in symbols if s < 0) - math.log(weight))
        lengths, nats = longer, richer
    start = grammar.start
    assert grammar.tokens_per_sentence == pytest.approx(start @ lengths)
    choice = -sum(p * math.log(p) for p in start if p > 0)
    assert grammar.derivation_nats_per_sentence == pytest.approx(choice + start @ nats)


@pytest.mark.parametrize("size", SIX)
def test_documents_show_the_unigram_distribution(size):
    grammar = random_grammar(size, seed=3)
    if grammar.spectral_radius >= 1:
        pytest.skip("sentences of this draw may not end")
    # Long documents, so that the cut last sentence (2 % of them at most) does not show.
    documents = sample_documents(grammar, documents=300, document_tokens=8192, seed=0)
    shares = np.bincount(documents.ravel(), minlength=grammar.vocabulary_size) / documents.size
    by_document = np.stack([np.bincount(row, minlength=grammar.vocabulary_size) for row in documents]) / 8192
    stderr = by_document.std(axis=0, ddof=1) / np.sqrt(len(documents))
    away = np.abs(shares - grammar.unigram) / np.maximum(stderr, 1e-6)
    assert np.mean(away > 3) < 0.02  # normal errors go beyond three in .3 % of tokens
    assert shares[0] == pytest.approx(1 / (grammar.tokens_per_sentence + 1), rel=0.03)


def test_only_what_is_reachable_counts():
    rules = [[(1.0, [1])], [(0.9, [-2, -2]), (0.1, [2])]]
    grammar = Grammar.from_rules(rules, nonterminals=["S", "T"], terminals=["a", "b"], start=[1, 0])
    assert grammar.spectral_radius == 0
    assert grammar.tokens_per_sentence == 1
    assert grammar.reachable.tolist() == [True, False]
    assert grammar.reachable_tokens.tolist() == [True, True, False]
    assert grammar.derivation_nats_per_sentence == 0


def test_a_long_chain_has_radius_zero():
    # As one matrix this is a Jordan block, whose computed eigenvalues are off by eps^(1/40), near a half.
    names = [f"N{i}" for i in range(40)]
    rules = [[(1.0, [~(i + 1), ~(i + 1)])] for i in range(39)]
    grammar = Grammar.from_rules([*rules, [(1.0, [1])]], nonterminals=names, terminals=["a"], start=np.eye(40)[0])
    assert grammar.spectral_radius == 0
    assert grammar.tokens_per_sentence == 2.0**39


def test_names_are_for_people_and_rules_are_the_identity():
    grammar, renamed = written("S -> 'a' S [.7] | 'b' [.3]"), written("X -> 'u' X [7/10] | 'v' [3e-1]")
    assert grammar.fingerprint == renamed.fingerprint == "grammar1-d70bf13ad81f2b2efa5e"
    assert written("S -> 'a' S [.6] | 'b' [.4]").fingerprint != grammar.fingerprint
    assert written("S -> S 'a' [.7] | 'b' [.3]").fingerprint != grammar.fingerprint


@pytest.mark.parametrize(
    ("rules", "start", "message"),
    [
        ([[(1.0, [1])], []], [1, 0], "'B' has no rule"),
        ([[(1.0, [1])], [(0.0, [1])]], [1, 0], "'B' has no rule"),
        ([[(1.0, [1])], [(-1.0, [1])]], [1, 0], "negative or not finite"),
        ([[(1.0, [1])], [(math.inf, [1])]], [1, 0], "negative or not finite"),
        ([[(1.0, [1])], [(1.0, [2])]], [1, 0], "symbol 2 is not one of 1 terminals and 2 nonterminals"),
        ([[(1.0, [1])], [(1.0, [-3])]], [1, 0], "symbol -3 is not one of 1 terminals and 2 nonterminals"),
        ([[(1.0, [1])], [(1.0, [0])]], [1, 0], "symbol 0 is not one of 1 terminals"),
        ([[(1.0, [1])], [(1.0, [1])]], [0, 0], "not a distribution"),
        ([[(1.0, [1])], [(1.0, [1])]], [1], "1 start weights for 2 nonterminals"),
        ([[(1.0, [1])]], [1, 0], "1 rule sets"),
    ],
)
def test_what_is_no_grammar_is_refused(rules, start, message):
    with pytest.raises(BadGrammar, match=message):
        Grammar.from_rules(rules, nonterminals=["A", "B"], terminals=["a"], start=start)
