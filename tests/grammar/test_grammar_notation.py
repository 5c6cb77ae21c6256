"""The notation reads what NLTK reads, and errors point at the place."""

import numpy as np
import pytest
from grammar_oracles import small_grammars, written
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from isoloss.core.errors import BadGrammar


def test_a_grammar_as_textbooks_print_it():
    grammar = written(
        """
        # toy English
        S -> NP VP [1.0]
        NP -> 'the' N [0.6] | "a" N [.3]
            | NP PP [1e-1]     # a line may begin with a bar
        PP -> 'near' NP [1]
        VP -> 'sees' NP [1/2] | "it's" [2/4]
        N  -> 'dog' [0.5]
        N  -> 'the' [5e-1]
        """
    )
    assert grammar.nonterminals == ("S", "NP", "PP", "VP", "N")
    assert grammar.terminals == ("the", "a", "near", "sees", "it's", "dog")
    assert grammar.start.tolist() == [1, 0, 0, 0, 0]
    rules = list(grammar.rules())
    assert rules[1] == (1, pytest.approx(0.6), (1, -5))
    assert rules[3] == (1, pytest.approx(0.1), (-2, -3))
    assert len(rules) == 9


def test_one_terminal_whatever_its_quotes():
    grammar = written("S -> 'a' \"a\" [1]")
    assert grammar.terminals == ("a",)
    assert list(grammar.rules()) == [(0, 1.0, (1, 1))]


def test_empty_right_hand_sides_and_zero_probabilities():
    assert list(written("S -> [.5] | 'a' [.5] | 'b' [0]").rules()) == [(0, 0.5, ()), (0, 0.5, (1,))]


def test_thirds_written_with_six_digits_sum_to_one():
    assert written("S -> 'a' [.333333] | 'b' [.333333] | 'c' [.333333]").weights == pytest.approx(
        [1 / 3] * 3, rel=1e-12
    )


@given(st.floats(min_value=1e-12, max_value=1 - 1e-12))
def test_any_number_format_is_read_as_python_reads_it(p):
    for form in (repr(p), f"{p:.17e}", f"+{p:.17g}", f" {p!r} "):
        assert written(f"S -> 'a' S [{1 - p!r}] | 'b' [{form}]").weights[1] == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "test", "no rule"),
        ("# nothing", "test", "no rule"),
        ("S -> 'a' S", "test:1:10", "no probability after 'S'"),
        ("S -> ", "test:1:3", "no probability after '->'"),
        ("S -> 'a' [.5] |", "test:1:15", r"no probability after '\|'"),
        ("S -> 'a' [1]\n\nT -> 'b' [1] 'c'", "test:3:14", "expected | or the line's end, found 'c'"),
        ("S -> 'a' [.5] -> 'b' [.5]", "test:1:15", "expected | or the line's end, found '->'"),
        ("S -> 'a' [x]", "test:1:10", r"\[x\] is not a probability"),
        ("S -> 'a' [-1]", "test:1:10", r"\[-1\] is not a probability"),
        ("S -> 'a' [2]", "test:1:10", r"\[2\] is not a probability"),
        ("S -> 'a' [1/0]", "test:1:10", r"\[1/0\] is not a probability"),
        ("S -> 'a' []", "test:1:10", r"\[\] is not a probability"),
        ("S -> 'a' [nan]", "test:1:10", r"\[nan\] is not a probability"),
        ("S -> 'a [1]", "test:1:6", "not closed"),
        ("S -> 'a' [1", "test:1:10", "not closed"),
        ("S 'a' [1]", "test:1:1", "expected a nonterminal and ->"),
        ("'a' -> S [1]", "test:1:1", "expected a nonterminal and ->"),
        ("| 'a' [1]", "test:1:1", "no nonterminal came before"),
        ("Sent -> Snt 'a' [.5] | 'b' [.5]", "test:1:9", r"'Snt' has no rule\n.*did you mean 'Sent'"),
        ("S -> 'a' T [1]", "test:1:10", "nonterminal 'T' has no rule"),
        ("S -> 'a' [.5]\nS -> 'b' [.4]", "test:1:1", "probabilities of 'S' sum to 0.9, not to 1"),
        ("S -> 'a' [.33] | 'b' [.33] | 'c' [.33]", "test:1:1", "sum to 0.99"),
        ("S -> 'a' [.5] | 'b' T [.5]\nT -> T 'a' [1]", "test:2:1", "'T' can never end"),
        ("S -> 'a' [1]\nT -> 'b' [1]", "test:2:1", "'T' is unreachable from the start 'S'"),
        ("S -> 'a' [.5] | T [.5]\nT -> 'b' [1]\n%start T", "test:1:1", "'S' is unreachable from the start 'T'"),
        ("S -> 'a' [.5] | T [0] | 'b' [.5]\nT -> 'b' [1]", "test:2:1", "'T' is unreachable"),
        ("S -> 'a' \\\n S", "test:2:2", "no probability after 'S'"),
        ("S -> 'a' [1]\n%start T", "test:2:8", r"start 'T' has no rule\n.*known: S"),
        ("%start S\nS -> 'a' [1]\n%start S", "test:3:1", "a second %start"),
        ("%start S T\nS -> 'a' [1]", "test:1:1", "%start takes one nonterminal"),
        ("S -> %start [1]", "test:1:6", "'%start' has no rule"),
        ("S -> T [1]\nT -> S 'a' [1]", "test:1:1", "'S' can never end"),
        ("S -> S 'a' [1] | 'b' [0]", "test:1:1", "'S' can never end"),
    ],
)
def test_errors_point_at_the_place(text, place, message):
    with pytest.raises(BadGrammar, match=message) as caught:
        written(text)
    assert caught.value.place == place
    assert caught.value.fix


def test_a_start_of_its_own_and_lines_that_go_on():
    grammar = written("N -> 'dog' [.5] \\\n  | 'cat' [.5]  # two lines\n%start S\nS -> N \\\n 'runs' [1]")
    assert grammar.nonterminals == ("N", "S")
    assert grammar.start.tolist() == [0, 1]
    assert list(grammar.rules()) == [(0, 0.5, (1,)), (0, 0.5, (2,)), (1, 1.0, (-1, 3))]


PIECES = st.sampled_from(
    ["S", "T", "->", "→", "|", "'a'", '"b"', "[.5]", "[1]", "[1/2]", "[5e-1]", "\n", " ", "\\\n", "%start", "#"]
)


@given(st.one_of(st.text(alphabet="ST ab'\"->|[].015#%start\\\n/→", max_size=40), st.lists(PIECES).map(" ".join)))
@example("S -> S S [.5] | 'a' [.5] \\")
@settings(max_examples=150)
def test_no_text_breaks_the_reader(text):
    """Whatever is typed is a grammar that can be described, or an error with a place and a remedy."""
    grammar, refused = None, None
    try:
        grammar = written(text)
    except BadGrammar as error:
        refused = error
    if grammar is None:
        assert refused.place.startswith("test")
        assert refused.fix
        return
    assert grammar.termination_probabilities.min() > 0
    assert grammar.reachable.all()


@given(small_grammars(shortest=0))
@settings(max_examples=100)
def test_what_is_written_down_is_read_back(grammar):
    assume(grammar.reachable.all() and grammar.termination_probabilities.min() > 0)
    assume(np.count_nonzero(grammar.start) == 1)
    lines = [f"%start N{np.argmax(grammar.start)}"]
    for lhs, weight, symbols in grammar.rules():
        right = " ".join(f"N{~s}" if s < 0 else f"'{s}'" for s in symbols)
        lines.append(f"N{lhs} -> {right} [{weight!r}]")
    again = written("\n".join(lines))
    assert again.weights == pytest.approx(grammar.weights, rel=1e-12)
    assert again.symbol_offsets.tolist() == grammar.symbol_offsets.tolist()
    names = [int(name) for name in again.terminals]
    symbols = [s if s < 0 else names[s - 1] for s in again.symbols.tolist()]
    assert symbols == grammar.symbols.tolist()
