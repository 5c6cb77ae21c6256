"""Transformations of grammars change no probability they promise to keep."""

import numpy as np
import pytest
from grammar_oracles import emits, losses_by_enumeration, small_grammars, written
from hypothesis import assume, given, settings

from isoloss.core.errors import BadGrammar
from isoloss.grammar.families import grammar_spec
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents
from isoloss.grammar.transform import condition_on_termination, without_empty


def sentence_probability(grammar, sentence):
    """P(the first sentence is `sentence`), by enumeration."""
    return np.exp(-sum(losses_by_enumeration(grammar, [*sentence, 0])))


def test_a_supercritical_grammar_becomes_its_finite_sentences():
    # q = (1 − p) / p = 2/3; p′(S → S S) = p q = .4: conditioning swaps the two probabilities.
    grammar = condition_on_termination(written("S -> S S [.6] | 'a' [.4]"))
    assert [weight for _, weight, _ in grammar.rules()] == pytest.approx([0.4, 0.6])
    assert grammar.spectral_radius == pytest.approx(0.8)
    assert grammar.termination_probability == 1


def test_sentences_keep_their_odds():
    tried = 0
    for seed in range(60):
        spec = {"nonterminals": 3, "terminals": 3, "max_rules": 3, "max_rhs": 3, "seed": seed}
        grammar = grammar_spec(spec).build()
        if not (emits(grammar) and 0 < grammar.termination_probability < 0.99):
            continue
        tried += 1
        conditioned = condition_on_termination(grammar)
        documents = sample_documents(conditioned, documents=20, document_tokens=6, seed=0).tolist()
        for sentence in sorted({tuple(row[: row.index(0)]) for row in documents if 0 in row})[:4]:
            before = sentence_probability(grammar, sentence) / grammar.termination_probability
            assert sentence_probability(conditioned, sentence) == pytest.approx(before, rel=1e-6)
    assert tried >= 10


@given(grammar=small_grammars(shortest=0))
@settings(max_examples=100)
def test_conditioning_makes_the_end_certain_and_is_done_once(grammar):
    if grammar.termination_probability == 0:
        with pytest.raises(BadGrammar, match="no derivation from the start ever ends"):
            condition_on_termination(grammar)
        return
    conditioned = condition_on_termination(grammar)
    assert conditioned.termination_probability == pytest.approx(1, abs=1e-12)
    assert conditioned.spectral_radius <= 1 + 1e-9
    if np.all(grammar.termination_probabilities == 1):
        assert conditioned is grammar


def test_what_never_ends_is_deleted_with_its_rules():
    grammar = written("S -> 'a' [.5] | 'b' T [.3] | 'c' U [.2]\nT -> 'b' [1]\nU -> 'u' [1]")
    doomed = grammar.from_rules(
        [[(0.5, [1]), (0.3, [2, -2]), (0.2, [3, -3])], [(1.0, [2])], [(1.0, [4, -3])]],
        nonterminals=grammar.nonterminals, terminals=grammar.terminals, start=grammar.start,
    )  # fmt: skip
    conditioned = condition_on_termination(doomed)
    assert conditioned.nonterminals == ("S", "T")
    assert list(conditioned.rules()) == [(0, 0.625, (1,)), (0, pytest.approx(0.375), (2, -2)), (1, 1.0, (2,))]
    assert doomed.termination_probability == pytest.approx(0.8)


def test_starts_are_weighted_by_how_often_they_end():
    both = Grammar.from_rules(
        [[(1.0, [1])], [(0.75, [-2, -2]), (0.25, [2])]],
        nonterminals=("S", "T"), terminals=("a", "b"), start=[0.5, 0.5],
    )  # fmt: skip
    assert condition_on_termination(both).start == pytest.approx([0.75, 0.25])  # T ends once in three times


@given(grammar=small_grammars(shortest=0))
@settings(max_examples=100)
def test_empty_rules_go_and_lengths_stay(grammar):
    assume(grammar.spectral_radius < 0.95 and grammar.tokens_per_sentence > 0)
    full, empty_sentence = without_empty(grammar)
    assert np.all(np.diff(full.symbol_offsets) > 0)
    assert (1 - empty_sentence) * full.tokens_per_sentence == pytest.approx(grammar.tokens_per_sentence)
    if full is not grammar:
        share = (1 - empty_sentence) * full.unigram[1:] * (full.tokens_per_sentence + 1)
        assert share == pytest.approx(grammar.unigram[1:] * (grammar.tokens_per_sentence + 1))


def test_many_nullable_symbols_do_not_explode():
    grammar = written("S -> " + "A " * 40 + "'x' [1]\nA -> 'a' [.5] | [.5]")
    full, empty_sentence = without_empty(grammar)
    assert empty_sentence == 0
    assert len(full.weights) < 250
    assert full.tokens_per_sentence == pytest.approx(21)


def test_a_grammar_of_empty_sentences_is_refused():
    with pytest.raises(BadGrammar, match="every sentence is empty"):
        without_empty(written("S -> A A [.5] | [.5]\nA -> [1]"))
