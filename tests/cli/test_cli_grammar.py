"""The grammar verbs as a user meets them."""

import pytest


def test_a_search_prints_grammars_a_study_can_take(isoloss):
    asked = ("grammar", "search", "--unigram", 3, "--unigram-tolerance", 0.02, "--count", 2, "--context", 32)
    found = isoloss(*asked, "--json").json["grammars"]
    assert len(found) == 2
    assert all(abs(grammar["unigram_nats"] - 3) <= 0.02 for grammar in found)
    text = isoloss(*asked).out
    for grammar in found:
        assert f"seed = {grammar['parameters']['seed']}, nonterminals = " in text


@pytest.mark.parametrize(
    ("asked", "kind", "code"),
    [
        (("search",), "InputError", 2),
        (("search", "--gzip", 2), "InputError", 2),
        (("search", "--gzip", 0.95, "--candidates", 3), "NothingFound", 1),
        (("describe", "--nonterminals", 3), "BadGrammar", 2),
        (("describe", "--nonterminals", 0, "--terminals", 3, "--max-rules", 2, "--max-rhs", 2), "BadGrammar", 2),
        (("describe", "--family", "explicit"), "BadGrammar", 2),
        (("describe", "--family", "explicit", "--file", "none.pcfg"), "BadGrammar", 2),
        (("describe", "--family", "radom"), "UnknownName", 2),
    ],
)
def test_a_wrong_call_is_answered_with_a_remedy(isoloss, asked, kind, code):
    done = isoloss("grammar", *asked, "--json")
    assert done.code == code
    error = done.json["error"]
    assert error["kind"] == kind
    assert error["fix"]


def test_a_supercritical_grammar_is_reported_and_conditioned_unless_declined(isoloss, tmp_path):
    (tmp_path / "g.pcfg").write_text("S -> 'a' S S [.6] | 'b' [.4]")
    asked = ("grammar", "describe", "--family", "explicit", "--file", tmp_path / "g.pcfg", "--json")
    output = isoloss(*asked).json
    assert output["spectral_radius"] == pytest.approx(1.2)
    assert output["termination_probability"] == pytest.approx(2 / 3)
    assert output["conditioned"]
    assert output["tokens_per_sentence"] == pytest.approx(1 + 2 * 2)  # .4 for two more: 1 / (1 − .8) nodes
    raw = isoloss(*asked, "--unconditioned").json
    assert not raw["conditioned"]
    assert raw["tokens_per_sentence"] is None
