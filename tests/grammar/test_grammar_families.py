"""Families draw what they promise; their parameters decode strictly."""

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from isoloss.core.errors import BadGrammar, UnknownName
from isoloss.grammar.describe import describe
from isoloss.grammar.families import FAMILIES, AnyGrammar, ExplicitGrammar, RandomGrammar, grammar_spec

SIZE = {"nonterminals": 50, "terminals": 500, "max_rules": 20, "max_rhs": 15}


def test_random_rules_are_drawn_as_published():
    grammar = RandomGrammar(nonterminals=400, terminals=1200, max_rules=20, max_rhs=15, seed=1).build()
    rules, lengths = np.diff(grammar.rule_offsets), np.diff(grammar.symbol_offsets)
    assert (rules.min(), rules.max()) == (1, 20)
    assert (lengths.min(), lengths.max()) == (1, 15)
    # Means of uniform draws, four standard errors either way: sd 5.8 of 400, 4.3 of 4,200, .43 of 33,600.
    assert rules.mean() == pytest.approx(10.5, abs=4 * 5.8 / 20)
    assert lengths.mean() == pytest.approx(8, abs=4 * 4.4 / 65)
    assert np.mean(grammar.symbols < 0) == pytest.approx(400 / 1600, abs=4 * 0.43 / 180)
    assert grammar.start == pytest.approx(np.full(400, 1 / 400))
    assert (grammar.symbols.max(), grammar.symbols.min()) == (1200, -400)
    assert not np.any(grammar.symbols == 0)


def test_weights_are_integers_to_a_hundred():
    grammar = RandomGrammar(nonterminals=300, terminals=2, max_rules=2, max_rhs=1, seed=0).build()
    first = grammar.rule_offsets[:-1][np.diff(grammar.rule_offsets) == 2]
    pairs = [grammar.weights[rule : rule + 2] for rule in first]
    odds = np.array([pair.max() / pair.min() for pair in pairs])
    assert 20 < odds.max() <= 100
    assert np.mean(odds < 2) == pytest.approx(0.5, abs=0.15)  # of two uniform draws the larger is under twice the other


def test_a_pfsa_has_right_hand_sides_of_one_symbol():
    grammar = RandomGrammar(**SIZE, pfsa=True, seed=1).build()
    assert np.all(np.diff(grammar.symbol_offsets) == 1)


def test_a_seed_of_its_own_goes_before_the_studys():
    own = RandomGrammar(**SIZE, seed=3)
    assert own.build(seed=1).fingerprint == own.build(seed=2).fingerprint
    lent = RandomGrammar(**SIZE)
    assert lent.build(seed=3).fingerprint == own.build().fingerprint != lent.build(seed=4).fingerprint


def test_a_seed_names_one_grammar_for_ever():
    assert RandomGrammar(**SIZE, seed=3).build().fingerprint == "grammar1-1dc585722b449f44a6e7"
    assert grammar_spec({"family": "zipf", **SIZE, "seed": 3}).build().fingerprint == "grammar1-e1a4899b77f5bc027f8b"
    tree = {"family": "hierarchical", "depth": 3, "vocabulary": 4, "synonyms": 2, "seed": 3}
    assert grammar_spec(tree).build().fingerprint == "grammar1-3109613e71dc51a9a113"


def test_zipf_weights():
    grammar = grammar_spec({"family": "zipf", **SIZE, "exponent": 2, "seed": 0}).build()
    for first, count in zip(grammar.rule_offsets, np.diff(grammar.rule_offsets), strict=False):
        weights = grammar.weights[first : first + count]
        assert weights[0] / weights == pytest.approx(np.arange(1, count + 1) ** 2)


def test_a_hierarchy_shares_no_string_between_symbols():
    spec = {"family": "hierarchical", "depth": 4, "branching": 2, "vocabulary": 6, "synonyms": 5, "seed": 0}
    grammar = grammar_spec(spec).build()
    strings = [symbols for _, _, symbols in grammar.rules()]
    assert len(strings) == len(set(strings)) == 4 * 6 * 5
    assert grammar.tokens_per_sentence == 2**4
    # One parse each: ln 6 for the top, and ln 5 for each of 1 + 2 + 4 + 8 choices.
    assert grammar.derivation_nats_per_sentence == pytest.approx(np.log(6) + 15 * np.log(5))
    assert grammar.spectral_radius == 0
    # By Zipf's law the same strings, and every choice has the entropy of weights 1, 1/2, … 1/5.
    zipf = grammar_spec({**spec, "exponent": 1}).build()
    assert [symbols for _, _, symbols in zipf.rules()] == strings
    shares = 1 / np.arange(1, 6) / (1 / np.arange(1, 6)).sum()
    entropy = -(shares * np.log(shares)).sum()
    assert zipf.derivation_nats_per_sentence == pytest.approx(np.log(6) + 15 * entropy)


def test_languages_of_corpora_end():
    spec = RandomGrammar(nonterminals=30, terminals=200, max_rules=15, max_rhs=20, seed=3)
    assert spec.build().spectral_radius > 1
    assert spec.language().termination_probability == pytest.approx(1)
    assert spec.model_copy(update={"conditioned": False}).language().spectral_radius > 1


def test_explicit_grammars_come_from_a_file_or_text(tmp_path):
    file = tmp_path / "g.pcfg"
    file.write_text("S -> 'é' S [.5] | 'b' [.5]\n", encoding="utf-8")
    from_file = ExplicitGrammar(file=file).build()
    assert from_file.terminals == ("é", "b")
    assert from_file.fingerprint == ExplicitGrammar(text="S -> 'a' S [.5] | 'b' [.5]").build().fingerprint
    with pytest.raises(BadGrammar, match="cannot read the grammar"):
        ExplicitGrammar(file=tmp_path / "none.pcfg").build()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadGrammar, match="cannot read the grammar"):
        ExplicitGrammar(file=file).build()
    with pytest.raises(BadGrammar, match="either a file or a text"):
        grammar_spec({"family": "explicit"})


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"family": "radom"}, UnknownName, r"did you mean 'random'\? known: explicit, hierarchical, random, zipf"),
        ({**SIZE, "max_rule": 2}, BadGrammar, r"unknown parameter 'max_rule'\n.*did you mean 'max_rules'\?"),
        ({"nonterminals": 3}, BadGrammar, "'terminals' is missing\n.*give all of nonterminals, terminals, max_rules"),
        ({**SIZE, "terminals": 0}, BadGrammar, "'terminals' is 0\n.*should be greater than 0"),
        ({**SIZE, "terminals": "many"}, BadGrammar, "'terminals' is 'many'\n.*should be a valid integer"),
        ({"family": "hierarchical", "vocabulary": 3, "synonyms": 2}, BadGrammar, "'depth' is missing"),
        ({**SIZE, "family": "hierarchical"}, BadGrammar, "unknown parameter 'nonterminals'\n.*known: branching, cond"),
        ({"family": "hierarchical", "depth": 2, "vocabulary": 2, "synonyms": 3}, BadGrammar, "more than the 4 strings"),
    ],
)
def test_strict_parameters(table, error, message):
    with pytest.raises(error, match=message) as caught:
        grammar_spec(table)
    assert caught.value.fix


def test_a_study_decodes_families_by_name():
    class Table(BaseModel):
        grammar: AnyGrammar

    for name, extra in {
        "random": SIZE,
        "zipf": SIZE,
        "explicit": {"text": "S -> 'a' [1]"},
        "hierarchical": {"depth": 2, "vocabulary": 3, "synonyms": 2},
    }.items():
        assert type(Table.model_validate({"grammar": {"family": name, **extra}}).grammar) is FAMILIES[name]
    with pytest.raises(ValidationError, match="family"):
        Table.model_validate({"grammar": {"family": "radom"}})


def test_a_description_says_what_it_describes():
    ending = grammar_spec({"family": "explicit", "text": "S -> 'a' S [.7] | 'b' [.3]"}).build()
    output = describe(ending, floor=True, context=64)
    assert (output.spectral_radius, output.termination_probability, output.conditioned) == (0.7, 1.0, False)
    assert output.floor_nats_per_token.within_tolerance
    assert output.to_json()["floor_nats_per_token"]["within_tolerance"] is True
    assert output.to_json()["floor_nats_per_token"]["value"] == output.floor_nats_per_token.value
    endless = grammar_spec({"family": "explicit", "text": "S -> S S [.6] | 'a' [.4]"}).build()
    output = describe(endless)
    assert output.conditioned
    assert output.spectral_radius == pytest.approx(1.2)
    assert output.termination_probability == pytest.approx(2 / 3)
    assert output.tokens_per_sentence == pytest.approx(3)  # of the finite ones: S → S S with .4
    raw = describe(endless, condition=False, floor=True, context=16)
    assert raw.tokens_per_sentence is raw.unigram_nats is None
    assert raw.floor_nats_per_token.value > 0
    assert output.floor_nats_per_token is output.to_json()["floor_nats_per_token"] is None
