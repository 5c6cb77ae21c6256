"""The floor is the loss of the predictor that knows the grammar: exact, stable, the same for any number of workers."""

import math

import numpy as np
import pytest
from genlm.grammar import CFG, EOS, EarleyLM, Float
from grammar_oracles import emits, losses_by_enumeration, next_token_probabilities, small_grammars, written
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadCorpus, BadGrammar
from isoloss.grammar import floor as floors
from isoloss.grammar.families import grammar_spec
from isoloss.grammar.floor import document_floor, estimate_floor, scored_means
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents
from isoloss.grammar.transform import condition_on_termination

ROUND_OFF = 1e-9  # an enumeration leaves out 1e-12 of its mass a token; genlm-grammar stops iterating at about as much


def random_grammar(*size: int, seed: int = 0, **options) -> Grammar:
    names = ("nonterminals", "terminals", "max_rules", "max_rhs")
    return grammar_spec(dict(zip(names, size, strict=True)) | {"seed": seed} | options).build()


@given(grammar=small_grammars(), seed=st.integers(0, 2**32))
@settings(max_examples=100)
def test_equals_enumeration_of_derivations(grammar, seed):
    assume(emits(grammar))  # of any spectral radius
    documents = sample_documents(grammar, documents=3, document_tokens=6, seed=seed)
    for document, losses in zip(documents.tolist(), document_floor(grammar, documents), strict=True):
        assert losses == pytest.approx(losses_by_enumeration(grammar, document), abs=ROUND_OFF)


@given(grammar=small_grammars(), seed=st.integers(0, 2**32), length=st.integers(0, 40))
@settings(max_examples=100)
def test_next_token_probabilities_sum_to_one(grammar, seed, length):
    assume(emits(grammar))
    prefix = sample_documents(grammar, documents=1, document_tokens=length + 1, seed=seed)[0, :length]
    chances = next_token_probabilities(grammar, prefix.tolist())
    assert chances.sum() == pytest.approx(1, abs=1e-9)
    assert np.all(chances >= 0)


@pytest.mark.parametrize(
    "size", [(3, 20, 2, 2), (10, 150, 5, 3), (20, 300, 10, 5), (50, 100, 30, 15), (30, 12, 20, 10)]
)
def test_probabilities_sum_to_one_in_published_sizes(size):
    grammar = random_grammar(*size)
    for language in (condition_on_termination(grammar), grammar):
        if not emits(language):
            continue
        document = sample_documents(language, documents=1, document_tokens=129, seed=1)[0].tolist()
        for length in (1, 2, 17, 128):
            assert next_token_probabilities(language, document[:length]).sum() == pytest.approx(1, abs=1e-9)


PEER_GRAMMARS = {
    "brackets": "S -> '(' S ')' S [.4] | [.6]",
    "nullable everywhere": "S -> A B A B A [.5] | 'x' [.5]\nA -> [.3] | 'a' [.5] | B [.2]\nB -> [.6] | 'b' A [.4]",
    "ambiguous": "S -> S S [.3] | 'a' [.5] | 'a' 'a' [.2]",
} | {f"random {seed}": seed for seed in range(1, 5)}


@pytest.mark.parametrize("name", PEER_GRAMMARS)
def test_equals_an_independent_earley_parser(name):
    """genlm-grammar computes p(next | prefix of one sentence), the end of the sentence in the separator's place."""
    source = PEER_GRAMMARS[name]
    grammar = written(source) if isinstance(source, str) else random_grammar(4, 6, 4, 3, seed=source)
    grammar = condition_on_termination(grammar)
    document = sample_documents(grammar, documents=1, document_tokens=12, seed=5)[0].tolist()
    peer = EarleyLM(CFG.from_string(peer_notation(grammar), Float, start="START"))
    for end in range(len(document)):
        begin = max((i + 1 for i in range(end) if document[i] == 0), default=0)
        theirs = peer.p_next(tuple(f"t{token}" for token in document[begin:end]))
        ours = next_token_probabilities(grammar, document[:end])
        expected = [theirs[EOS], *(theirs[f"t{token}"] for token in range(1, len(ours)))]
        assert ours == pytest.approx(expected, abs=ROUND_OFF)


def peer_notation(grammar: Grammar) -> str:
    lines = [f"{p!r}: START → N{i}" for i, p in enumerate(grammar.start.tolist()) if p > 0]
    for lhs, weight, symbols in grammar.rules():
        lines.append(f"{weight!r}: N{lhs} → " + " ".join(f"N{~s}" if s < 0 else f"t{s}" for s in symbols))
    return "\n".join(lines)


def test_a_coin_and_a_certain_separator():
    grammar = written("S -> 'a' S [0.7] | 'b' [0.3]")
    a, b, end = 1, 2, 0
    losses = document_floor(grammar, np.array([[a, a, b, end, b, end, a]], dtype=np.uint16))[0]
    coin = {a: -math.log(0.7), b: -math.log(0.3), end: 0.0}
    assert losses == pytest.approx([coin[t] for t in (a, a, b, end, b, end, a)], abs=1e-15)


@pytest.mark.parametrize(
    "text", ["S -> S 'a' [0.9] | 'b' [0.1]", "S -> 'b' A [0.9] | 'b' [0.1]\nA -> 'a' A [0.9] | 'a' [0.1]"]
)
def test_left_recursion_is_summed_not_followed(text):
    # Both say: 'b', then a geometric number of 'a'.
    document = np.array([[2, 1, 1, 1, 0, 2]] if text[5] == "S" else [[1, 2, 2, 2, 0, 1]], dtype=np.uint16)
    names = {"b": 0.0, "a": -math.log(0.9), "end": -math.log(0.1)}
    assert document_floor(written(text), document)[0] == pytest.approx(
        [names[t] for t in ("b", "a", "a", "a", "end", "b")]
    )


def test_unit_cycles_are_summed():
    grammar = written("S -> A [0.5] | 'x' [0.5]\nA -> S [0.8] | 'y' [0.2]")
    # P(x) = .5 + .5·.8·P(x), so 5/6; P(y) = .1 / .6.
    documents = np.array([[1, 0], [2, 0]], dtype=np.uint16)
    assert np.exp(-document_floor(grammar, documents)) == pytest.approx(np.array([[5 / 6, 1], [1 / 6, 1]]))


def test_hierarchical_documents_carry_exactly_their_derivations():
    """Every sentence has one parse and all are equally likely: whole sentences sum to the derivational entropy."""
    grammar = grammar_spec({"family": "hierarchical", "depth": 3, "vocabulary": 6, "synonyms": 3, "seed": 5}).build()
    sentences = 4
    documents = sample_documents(grammar, documents=20, document_tokens=9 * sentences, seed=0)
    totals = document_floor(grammar, documents).sum(axis=1)
    assert totals == pytest.approx(np.full(20, sentences * grammar.derivation_nats_per_sentence))


def test_long_documents_do_not_underflow():
    grammar = condition_on_termination(random_grammar(30, 200, 15, 20, seed=2))
    losses = document_floor(grammar, sample_documents(grammar, documents=2, document_tokens=4096, seed=0))
    assert np.all(np.isfinite(losses))
    # 4,096 tokens at about 5 nats each of unigram entropy: inner probabilities of e^-20000 were divided out.
    assert 0.5 < losses[:, 3000:].mean() / losses[:, 1:1000].mean() < 2


def test_a_separator_that_is_a_terminal_is_no_certain_sentence_end():
    grammar = condition_on_termination(random_grammar(2, 2, 3, 3, seed=7, paper_collision=True))
    documents = sample_documents(grammar, documents=40, document_tokens=7, seed=0)
    for document, losses in zip(documents.tolist(), document_floor(grammar, documents), strict=True):
        assert losses == pytest.approx(losses_by_enumeration(grammar, document), abs=ROUND_OFF)
    # On the last position separator (shown as padding) and terminal 0 are distinguished; both are possible here.
    assert {0, grammar.padding} <= set(documents[:, -1].tolist())
    assert next_token_probabilities(grammar, documents[0, :5].tolist()).sum() == pytest.approx(1, abs=1e-9)


def test_dropping_negligible_items_changes_nothing(monkeypatch):
    """In a grammar where nine items in ten are dropped, a threshold of zero gives the same losses."""
    grammar = condition_on_termination(random_grammar(4, 16, 400, 8, seed=1))
    document = sample_documents(grammar, documents=1, document_tokens=48, seed=0)
    fast = document_floor(grammar, document)
    monkeypatch.setattr(floors, "NEGLIGIBLE", 0.0)
    np.testing.assert_allclose(fast, document_floor(grammar, document), rtol=1e-12)


def test_a_document_that_outgrows_the_chart_is_scored_again(monkeypatch):
    grammar = condition_on_termination(random_grammar(20, 4, 6, 6, seed=1))
    documents = sample_documents(grammar, documents=300, document_tokens=64, seed=0)
    roomy = document_floor(grammar, documents)
    monkeypatch.setattr(floors, "FIRST_ITEMS", 4)
    np.testing.assert_array_equal(document_floor(grammar, documents), roomy)


def test_same_numbers_for_any_number_of_workers():
    grammar = condition_on_termination(random_grammar(10, 50, 5, 5))
    documents = sample_documents(grammar, documents=700, document_tokens=32, seed=0)
    np.testing.assert_array_equal(document_floor(grammar, documents), document_floor(grammar, documents, workers=3))
    assert estimate_floor(grammar, context=32, seed=0) == estimate_floor(grammar, context=32, seed=0, workers=3)


def test_a_document_of_another_grammar_is_refused():
    grammar = written("S -> 'a' 'b' [1]")
    with pytest.raises(BadCorpus, match="token 1 at position 1 of document 1 is impossible"):
        document_floor(grammar, np.array([[1, 2, 0], [1, 1, 2]], dtype=np.uint16))
    with pytest.raises(BadCorpus, match="token 7 is outside the grammar's 3 tokens"):
        document_floor(grammar, np.array([[7, 2, 0]], dtype=np.uint16))
    with pytest.raises(BadCorpus, match="token -1 is outside the grammar's 3 tokens"):
        document_floor(grammar, np.array([[-1, 2, 0]]))


def test_a_grammar_that_may_emit_nothing_for_ever_is_refused():
    for rules in ([(1.0, [-1])], [(0.5, [1]), (0.5, [1, -2])]):
        grammar = Grammar.from_rules([rules, [(1.0, [-2])]], nonterminals=["S", "T"], terminals=["a"], start=[1, 0])
        with pytest.raises(BadGrammar, match="rewrites for ever without emitting a token"):
            estimate_floor(grammar, context=8, seed=0)


def test_estimate_covers_the_closed_form():
    p, context = 0.7, 257
    grammar = written(f"S -> 'a' S [{p}] | 'b' [{1 - p}]")
    coin = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    # Position t holds a separator where t − 1 holds a 'b', and a coin otherwise: c_t = 1 − (1 − p) c_(t−1), c_1 = 1.
    coins = [1.0]
    for _ in range(context - 1):
        coins.append(1 - (1 - p) * coins[-1])
    found = estimate_floor(grammar, context=context, seed=3)
    assert found.within_tolerance
    assert found.high - found.low <= 2 * 0.005 * found.value
    assert found.low < coin * np.mean(coins[1:]) < found.high


def test_intervals_cover_as_often_as_they_say():
    grammar = condition_on_termination(random_grammar(10, 20, 4, 4, seed=1))
    documents = sample_documents(grammar, documents=20_000, document_tokens=32, seed=9)
    truth = scored_means(document_floor(grammar, documents)).mean()  # its own error is a tenth of those judged
    draws = [estimate_floor(grammar, context=32, seed=seed, tolerance=1.0) for seed in range(200)]
    covered = sum(draw.low < truth < draw.high for draw in draws)
    assert 180 <= covered <= 199  # binomial(200, .95) is outside with probability below .002


def test_a_cap_is_admitted():
    grammar = condition_on_termination(random_grammar(10, 50, 5, 5))
    found = estimate_floor(grammar, context=64, seed=0, tolerance=1e-6, max_tokens=20_000)
    assert not found.within_tolerance
    assert found.documents * 64 <= 20_000


def test_certain_documents_have_a_floor_of_zero():
    found = estimate_floor(written("S -> 'a' 'b' [1]"), context=16, seed=0)
    assert (found.value, found.low, found.high, found.within_tolerance) == (0, 0, 0, True)


@pytest.mark.parametrize("size", [(10, 150, 5, 3), (20, 300, 10, 5), (30, 400, 10, 8), (50, 500, 20, 15)])
def test_no_model_without_context_reaches_it(size):
    grammar = condition_on_termination(random_grammar(*size, seed=1))
    found = estimate_floor(grammar, context=256, seed=0, tolerance=0.02)
    assert found.high < grammar.unigram_nats
    # A string's entropy is at most its derivation's; documents start cold and are cut, which adds at most a few tenths.
    assert 0.6 < found.value / grammar.derivation_nats_per_token < 1.45
