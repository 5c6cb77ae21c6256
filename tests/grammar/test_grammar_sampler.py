"""Sampled documents follow the grammar exactly, end where the window ends, and depend on the seed alone."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from grammar_oracles import emits, prefix_probabilities, small_grammars, written
from hypothesis import assume, given, settings
from scipy.stats import chisquare

from isoloss.core.errors import BadGrammar
from isoloss.grammar.families import grammar_spec
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import BLOCK_DOCUMENTS, Tables, sample_blocks, sample_documents
from isoloss.grammar.transform import condition_on_termination


def random_grammar(*size: int, seed: int = 0, **options) -> Grammar:
    names = ("nonterminals", "terminals", "max_rules", "max_rhs")
    return grammar_spec(dict(zip(names, size, strict=True)) | {"seed": seed} | options).build()


def assert_follows(grammar: Grammar, *, tokens: int, documents: int = 20_000, seed: int = 0) -> None:
    """Compare counts of whole documents with their probabilities by enumeration: chi-square, one in 10^4 by chance."""
    seen = Counter(
        map(tuple, sample_documents(grammar, documents=documents, document_tokens=tokens, seed=seed).tolist())
    )
    expected = {row: documents * prefix_probabilities(grammar, list(row))[-1] for row in seen}
    common = [row for row in seen if expected[row] >= 5]
    counts, means = [seen[row] for row in common], [expected[row] for row in common]
    rest = documents - sum(means)
    if rest >= 5:
        counts, means = [*counts, documents - sum(counts)], [*means, rest]
    if len(counts) == 1:
        assert counts[0] == pytest.approx(means[0], rel=1e-6)
    else:
        assert chisquare(counts, np.array(means) * (sum(counts) / sum(means))).pvalue > 1e-4


@given(grammar=small_grammars())
@settings(max_examples=15, derandomize=True)
def test_documents_follow_the_grammar(grammar):
    assume(emits(grammar))
    assert_follows(grammar, tokens=4)


def test_documents_follow_grammars_that_need_not_end():
    assert_follows(written("S -> S S [.8] | 'a' [.1] | 'b' [.1]"), tokens=5)
    assert_follows(written("S -> 'a' S [.5] | 'b' S S [.4] | 'c' [.1]"), tokens=5)


def test_documents_follow_grammars_with_empty_rules():
    grammar = written("S -> '(' S ')' S [.4] | [.6]")
    documents = sample_documents(grammar, documents=100_000, document_tokens=3, seed=1)
    shares = Counter(map(tuple, documents.tolist()))
    end, opened, closed = 0, 1, 2
    exact = {(end, end, end): 0.6**3, (opened, closed, end): 0.4 * 0.6 * 0.6, (end, opened, opened): 0.6 * 0.4 * 0.4}
    for document, chance in exact.items():  # four standard errors
        assert shares[document] / 100_000 == pytest.approx(chance, abs=4 * np.sqrt(chance / 100_000))


def test_left_recursion_deeper_than_the_document_is_exact():
    # Some 10,000 frames are open when 'b' is written; the ring buffer keeps the 16 that can still show.
    grammar = written("S -> S 'a' [.9999] | 'b' [.0001]")
    documents = sample_documents(grammar, documents=2000, document_tokens=16, seed=0)
    assert np.all(documents[:, 0] == 2)
    ended = np.mean(documents[:, 1:] == 0, axis=0).sum()
    assert ended == pytest.approx(15 * 1e-4, abs=4 * np.sqrt(15e-4 / 2000))


def test_a_sentence_that_never_ends_fills_its_document():
    grammar = Grammar.from_rules([[(1.0, [1, -1, -1])]], nonterminals=["S"], terminals=["a"], start=np.ones(1))
    assert np.all(sample_documents(grammar, documents=10, document_tokens=1000, seed=0) == 1)


def test_an_endless_derivation_without_tokens_is_refused_not_followed():
    grammar = Grammar.from_rules([[(1.0, [-1, 1])]], nonterminals=["S"], terminals=["a"], start=np.ones(1))
    with pytest.raises(BadGrammar, match="'S' rewrites for ever without emitting a token"):
        sample_documents(grammar, documents=1, document_tokens=4, seed=0)


def test_rules_are_chosen_by_their_weights():
    grammar = random_grammar(10, 50, 40, 3, seed=3)
    tables = Tables.of(grammar)
    offsets = tables.slot_offsets.astype(int)
    begins = grammar.symbol_offsets[:-1]
    for first, last, owned in zip(offsets[:-2], offsets[1:-1], range(10), strict=True):
        kept = tables.thresholds[first:last] / 2**32
        chance = np.zeros(len(begins) + 1)
        np.add.at(chance, np.searchsorted(begins, tables.begins[first:last, 0]), kept)
        np.add.at(chance, np.searchsorted(begins, tables.begins[first:last, 1]), 1 - kept)
        rules = slice(grammar.rule_offsets[owned], grammar.rule_offsets[owned + 1])
        # Thresholds are 32-bit integers, one a rule.
        assert chance[rules] / (last - first) == pytest.approx(grammar.weights[rules], abs=2**-32)


def test_same_bytes_for_any_number_of_workers_and_any_count():
    grammar = condition_on_termination(random_grammar(10, 150, 5, 3))
    documents = 3 * BLOCK_DOCUMENTS + 7
    alone = sample_documents(grammar, documents=documents, document_tokens=32, seed=5)
    together = sample_documents(grammar, documents=documents, document_tokens=32, seed=5, workers=4)
    np.testing.assert_array_equal(alone, together)
    blocks = list(sample_blocks(grammar, documents=documents, document_tokens=32, seed=5, workers=2))
    np.testing.assert_array_equal(alone, np.concatenate(blocks))
    assert max(map(len, blocks)) == BLOCK_DOCUMENTS
    fewer = sample_documents(grammar, documents=BLOCK_DOCUMENTS + 1, document_tokens=32, seed=5)
    np.testing.assert_array_equal(alone[: BLOCK_DOCUMENTS + 1], fewer)
    assert not np.array_equal(alone, sample_documents(grammar, documents=documents, document_tokens=32, seed=6))


def test_the_bytes_of_a_seed_are_for_ever():
    grammar = random_grammar(50, 500, 20, 15, seed=3)
    documents = sample_documents(grammar, documents=100, document_tokens=256, seed=1)
    assert documents.dtype == np.uint16
    assert hashlib.sha256(documents.astype("<u2").tobytes()).hexdigest()[:16] == "761696f3846d3f9b"


def test_documents_are_sentences_and_a_cut_one():
    documents = sample_documents(written("S -> 'a' 'b' [.5] | 'c' [.5]"), documents=100, document_tokens=7, seed=0)
    for row in documents.tolist():
        *whole, cut = "".join(".abc"[token] for token in row).split(".")
        assert set(whole) <= {"ab", "c"}
        assert cut in ("", "a", "ab", "c")


def test_vocabularies_beyond_two_bytes_get_four():
    terminals = 2**16
    rules = [[(1.0, [terminals]), (1.0, [1])]]
    grammar = Grammar.from_rules(rules, nonterminals=["S"], terminals=[f"t{i}" for i in range(terminals)], start=[1.0])
    documents = sample_documents(grammar, documents=4, document_tokens=8, seed=0)
    assert documents.dtype == np.uint32
    assert set(documents.ravel().tolist()) == {0, 1, terminals}


def test_the_papers_collision_makes_the_separator_a_terminal():
    grammar = condition_on_termination(random_grammar(4, 5, 3, 3, seed=5, paper_collision=True))
    assert (grammar.vocabulary_size, grammar.padding) == (6, 5)
    documents = sample_documents(grammar, documents=2000, document_tokens=64, seed=0)
    assert documents[:, :-1].max() < 5
    ends = 1 / (grammar.tokens_per_sentence + 1)
    assert np.mean(documents[:, :-1] == 0) > ends + 0.01
    # Documents of 63 tokens are padded: as many as have a separator there. Four standard errors of 2,000 draws.
    assert np.mean(documents[:, -1] == 5) == pytest.approx(ends, abs=4 * np.sqrt(ends / 2000))
    assert_follows(grammar, tokens=4)


@pytest.mark.parametrize(("documents", "tokens"), [(-1, 8), (1, 0)])
def test_impossible_shapes_are_refused(documents, tokens):
    with pytest.raises(BadGrammar, match="cannot sample"):
        sample_documents(written("S -> 'a' [1]"), documents=documents, document_tokens=tokens, seed=0)
    assert sample_documents(written("S -> 'a' [1]"), documents=0, document_tokens=4, seed=0).shape == (0, 4)
