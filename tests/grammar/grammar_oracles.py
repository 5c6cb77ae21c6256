"""Slow and obviously right: what the fast code is compared with, and small grammars to compare on."""

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from isoloss.core.errors import BadGrammar
from isoloss.grammar.automaton import compile_automaton
from isoloss.grammar.floor import _score
from isoloss.grammar.notation import parse_grammar
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import token_dtype
from isoloss.grammar.transform import check_emits, without_empty

SENTENCE = "sentence"
UNFINISHED = 1e-12  # share of derivations still without their next token at which the enumeration moves on


def written(text: str) -> Grammar:
    return parse_grammar(text, place="test")


def emits(grammar: Grammar) -> bool:
    """Whether every derivation goes on to a next token: what enumeration and floor need."""
    try:
        check_emits(without_empty(grammar).grammar)
    except BadGrammar:
        return False
    return True


def prefix_probabilities(grammar: Grammar, document: list[int]) -> list[float]:
    """P(a document begins with the first k tokens), k = 0…n, by enumerating leftmost derivations.

    A derivation is a stack of symbols to come. Only as many of them as there are tokens left can matter, since none of
    `grammar` derives nothing.
    """
    rules = defaultdict(list)
    for lhs, weight, symbols in grammar.rules():
        rules[~lhs].append((weight, symbols))
    end = 0 if grammar.padding is None else grammar.padding  # shows as 0, but on the last position as itself
    starts = [(weight, (~i, end, SENTENCE)) for i, weight in enumerate(grammar.start.tolist()) if weight > 0]
    alive = {(SENTENCE,): 1.0}
    answers = [1.0]
    for position, token in enumerate(document):
        room = len(document) - position
        shown = {token, end} if token == 0 and room > 1 else {token}
        advanced: dict[tuple, float] = defaultdict(float)
        while sum(alive.values()) > UNFINISHED * answers[-1]:
            expanded: dict[tuple, float] = defaultdict(float)
            for (top, *below), mass in alive.items():
                if top in shown:
                    advanced[tuple(below[: room - 1])] += mass
                for weight, symbols in starts if top == SENTENCE else rules.get(top, []):
                    expanded[(*symbols, *below)[:room]] += mass * weight
            alive = expanded
        answers.append(sum(advanced.values()))
        alive = advanced
    return answers


def losses_by_enumeration(grammar: Grammar, document: list[int]) -> list[float]:
    chances = prefix_probabilities(grammar, document)
    return [-math.log(after / before) for before, after in pairwise(chances)]


@st.composite
def small_grammars(draw, *, shortest: int = 1) -> Grammar:
    """Grammars of up to three nonterminals, terminals and rules each, left recursion and unit cycles among them."""
    nonterminals, terminals = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    symbol = st.one_of(st.integers(1, terminals), st.integers(-nonterminals, -1))
    rule = st.tuples(st.integers(1, 5).map(float), st.lists(symbol, min_size=shortest, max_size=3))
    rules = draw(st.lists(st.lists(rule, min_size=1, max_size=3), min_size=nonterminals, max_size=nonterminals))
    start = draw(st.lists(st.integers(0, 2), min_size=nonterminals, max_size=nonterminals).filter(any))
    return Grammar.from_rules(
        rules,
        nonterminals=[f"N{i}" for i in range(nonterminals)],
        terminals=[f"t{i}" for i in range(terminals)],
        start=[float(weight) for weight in start],
        separator_is_terminal=False,
    )


def next_token_probabilities(grammar: Grammar, prefix: list[int]) -> np.ndarray:
    """p(token | prefix) of every token id, by the floor's own kernel: where a document begins with `prefix`."""
    documents = np.empty((grammar.vocabulary_size, len(prefix) + 1), token_dtype(grammar.vocabulary_size))
    documents[:, :-1] = prefix
    documents[:, -1] = np.arange(grammar.vocabulary_size)
    return np.exp(-_score(compile_automaton(grammar), documents)[:, -1])
