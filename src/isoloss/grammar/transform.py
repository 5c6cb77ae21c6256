"""Exact transformations of grammars: conditioning on termination, and removal of empty right-hand sides."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from isoloss.core.errors import BadGrammar
from isoloss.grammar.branching import Floats
from isoloss.grammar.pcfg import Grammar, Rule

MOST_SPLIT = 2_000  # nonterminals, those of split rules among them: closed forms take time in the cube of their number


def condition_on_termination(grammar: Grammar) -> Grammar:
    """Return the grammar of `grammar`'s finite sentences: the same law, given that the derivation ends.

    p′(A → γ) = p(A → γ) ∏ q_B / q_A with q the termination probabilities, and the start reweighted by q. Nonterminals
    that never end, and rules that use them, are deleted. A grammar that surely ends is returned as it is. Raises
    BadGrammar where no derivation ends. Chi 1999.
    """
    q = grammar.termination_probabilities
    if np.all(q == 1):
        return grammar
    if grammar.termination_probability == 0:
        raise BadGrammar("no derivation from the start ever ends", fix="give some nonterminal a rule of terminals only")
    rules = (
        (lhs, weight * ends, symbols)
        for (lhs, weight, symbols), ends in zip(grammar.rules(), grammar.multiply_symbols(q), strict=True)
        if ends > 0
    )
    return _reweighted(grammar, q, rules)


def _reweighted(grammar: Grammar, kept: Floats, rules: Iterable[tuple[int, float, Sequence[int]]]) -> Grammar:
    """Return the grammar of `rules` without nonterminals of probability `kept` 0, the start reweighted by `kept`.

    The weights of a nonterminal's rules are divided by their sum.
    """
    left = np.flatnonzero(kept > 0)
    renumbered = {~int(old): ~new for new, old in enumerate(left)}
    owned: list[list[Rule]] = [[] for _ in left]
    for lhs, weight, symbols in rules:
        owned[~renumbered[~lhs]].append((weight, [renumbered.get(s, s) for s in symbols]))
    return Grammar.from_rules(
        owned,
        nonterminals=[grammar.nonterminals[old] for old in left],
        terminals=grammar.terminals,
        start=(grammar.start * kept)[left],
        separator_is_terminal=grammar.separator_is_terminal,
    )


class WithoutEmpty(NamedTuple):
    """A grammar with no empty right-hand side, and the probability that a sentence is empty instead."""

    grammar: Grammar
    empty_sentence: float


def without_empty(grammar: Grammar) -> WithoutEmpty:
    """Return `grammar` without empty right-hand sides, and the probability that a sentence is empty.

    With e_A the probability that A derives the empty string, each nonterminal on a right-hand side is dropped with
    probability e and kept, conditioned on not being empty, with 1 − e; rules then divide by 1 − e_A. Raises
    BadGrammar where every sentence is empty.
    """
    if np.all(np.diff(grammar.symbol_offsets) > 0):
        return WithoutEmpty(grammar, 0.0)
    grammar = _split_nullable(grammar, _empty_probabilities(grammar))
    empty = _empty_probabilities(grammar)
    empty_sentence = float(grammar.start @ empty)
    if empty_sentence == 1:
        raise BadGrammar("every sentence is empty", fix="give some reachable nonterminal a rule with a terminal")
    rules = (
        (lhs, weight * p, variant)
        for lhs, weight, symbols in grammar.rules()
        if empty[lhs] < 1
        for p, variant in _variants(symbols, empty)
        if variant
    )
    return WithoutEmpty(_reweighted(grammar, 1 - empty, rules), empty_sentence)


def _empty_probabilities(grammar: Grammar) -> Floats:
    """e_A, the probability that A derives nothing: that it would end if terminals were nonterminals that never do."""
    endless = len(grammar.nonterminals)
    rules: list[list[Rule]] = [[] for _ in range(endless)]
    for lhs, weight, symbols in grammar.rules():
        rules[lhs].append((weight, [s if s < 0 else ~endless for s in symbols]))
    auxiliary = Grammar.from_rules(
        [*rules, [(1.0, [~endless])]],
        nonterminals=[*grammar.nonterminals, "endless"],
        terminals=(),
        start=[*grammar.start, 0.0],
    )
    return auxiliary.termination_probabilities[:endless]


def _split_nullable(grammar: Grammar, empty: Floats) -> Grammar:
    """Return the same language with at most two nullable symbols a rule, so that variants of a rule stay few.

    A → X γ becomes A → X A′ and A′ → γ, with a fresh A′ of that one rule.
    """
    rules: list[list[Rule]] = [[] for _ in grammar.nonterminals]
    names = list(grammar.nonterminals)
    for owner, weight, symbols in grammar.rules():
        lhs, share, rest = owner, weight, list(symbols)
        while sum(s < 0 and empty[~s] > 0 for s in rest) > 2:
            head = next(i for i, s in enumerate(rest) if s < 0 and empty[~s] > 0) + 1
            fresh = len(rules)
            rules[lhs].append((share, [*rest[:head], ~fresh]))
            rules.append([])
            names.append(f"{grammar.nonterminals[owner]}·{fresh}")
            if len(names) > MOST_SPLIT:
                raise BadGrammar(
                    f"right-hand sides with nullable symbols split into over {MOST_SPLIT:,} nonterminals",
                    fix="shorten them, or give fewer nonterminals an empty right-hand side",
                )
            lhs, share, rest = fresh, 1.0, rest[head:]
        rules[lhs].append((share, rest))
    return Grammar.from_rules(
        rules,
        nonterminals=names,
        terminals=grammar.terminals,
        start=[*grammar.start, *[0.0] * (len(rules) - len(grammar.start))],
        separator_is_terminal=grammar.separator_is_terminal,
    )


def _variants(symbols: tuple[int, ...], empty: Floats) -> list[tuple[float, list[int]]]:
    """Return (probability, right-hand side) for every choice of which nullable nonterminals derive nothing."""
    variants: list[tuple[float, list[int]]] = [(1.0, [])]
    for symbol in symbols:
        dropped = float(empty[~symbol]) if symbol < 0 else 0.0
        keeping = [(p * (1 - dropped), [*kept, symbol]) for p, kept in variants if dropped < 1]
        variants = keeping + [(p * dropped, kept) for p, kept in variants if dropped > 0]
    return variants


def check_emits(grammar: Grammar) -> None:
    """Raise BadGrammar where a derivation can go on for ever without another token. `grammar` is empty-free.

    Its left corners are a Markov chain on nonterminals; the trouble is a nonterminal from which no rule leads, by first
    symbols, to a terminal. A document through it has no next token. Conditioning on termination deletes all such.
    """
    first = grammar.symbols[grammar.symbol_offsets[:-1]]
    nested, child = first < 0, np.where(first < 0, ~first, 0)
    emits = np.zeros(len(grammar.nonterminals), dtype=bool)
    while True:
        step = np.where(nested, emits[child], True)
        grown = np.bincount(grammar.rule_lhs, weights=step) > 0
        if np.array_equal(grown, emits):
            break
        emits = grown
    if (stuck := np.flatnonzero(grammar.reachable & ~emits)).size:
        raise BadGrammar(
            f"nonterminal {grammar.nonterminals[stuck[0]]!r} rewrites for ever without emitting a token",
            fix="condition the grammar on termination (conditioned = true)",
        )
