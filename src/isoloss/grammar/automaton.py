"""A grammar compiled for the floor: dotted rules as states, rules by first symbol, left corners in closed form."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isoloss.grammar._floor_kernels import Automaton
from isoloss.grammar.branching import Floats
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.transform import check_emits, without_empty

# By (first symbol, nonterminal, state behind it): the probability of the rules that begin so.
Firsts = dict[tuple[int, int, int], float]


def compile_automaton(grammar: Grammar) -> Automaton:
    """Return the automaton of `grammar`'s documents. Raises BadGrammar where a document may have no next token."""
    full, empty_sentence = without_empty(grammar)
    check_emits(full)
    types = len(full.nonterminals) + 1
    states = _States(types)
    firsts: Firsts = defaultdict(float)
    units = np.zeros((types, types))
    corners = np.zeros((types, types))
    tokens = np.zeros((types, full.vocabulary_size))
    for owner, weight, symbols in _rules(full, empty_sentence):
        head, rest = symbols[0], states.of(owner, symbols[1:])
        if head >= 0:
            tokens[owner, head] += weight
        else:
            corners[owner, ~head] += weight
        if head < 0 and rest < types:
            units[owner, ~head] += weight
        else:
            firsts[head, owner, rest] += weight
    left_corner = _sum_of_powers(corners)
    token_firsts = {key: weight for key, weight in firsts.items() if key[0] >= 0}
    child_firsts = {(~head, owner, rest): weight for (head, owner, rest), weight in firsts.items() if head < 0}
    chains = _sum_of_powers(units)
    chain_firsts = {(int(b), int(a), 0): float(chains[a, b]) for a, b in np.argwhere(chains > 0)}
    unit_rows, unit_owner, _, unit_weight = _by_first(chain_firsts, types)
    return Automaton(
        np.array(states.symbol, dtype=np.int32),
        np.array(states.rest, dtype=np.int32),
        np.array(states.owner, dtype=np.int32),
        *_by_first(token_firsts, full.vocabulary_size),
        *_by_first(child_firsts, types),
        unit_rows,
        unit_owner,
        unit_weight,
        left_corner,
        left_corner @ tokens > 0,
        full.sentence_end,
    )


def _sum_of_powers(matrix: Floats) -> Floats:
    """I + P + P² + …, with exact zeros where no power has an entry: solving leaves round-off there, of either sign."""
    identity = np.eye(len(matrix))
    paths = (identity + matrix) > 0
    for _ in range(len(matrix).bit_length()):
        paths = paths @ paths
    return np.asarray(np.where(paths, np.linalg.inv(identity - matrix), 0.0), dtype=float)


class _States:
    """What may be left to read of a right-hand side, shared between the rules of a nonterminal that end alike."""

    def __init__(self, types: int) -> None:
        self.symbol = [0] * types
        self.rest, self.owner = list(range(types)), list(range(types))
        self.known: dict[tuple[int, int], int] = {}

    def of(self, owner: int, symbols: tuple[int, ...]) -> int:
        """Return the state of `owner` with `symbols` left to read; with none left, the nonterminal's own number."""
        state = owner
        for symbol in reversed(symbols):
            key = (symbol, state)
            if key not in self.known:
                self.known[key] = len(self.symbol)
                self.symbol.append(symbol)
                self.rest.append(state)
                self.owner.append(owner)
            state = self.known[key]
        return state


def _rules(grammar: Grammar, empty_sentence: float) -> Iterator[tuple[int, float, tuple[int, ...]]]:
    """Yield the reachable rules, and those of one more nonterminal: sentence → start separator, or separator."""
    for owner, weight, symbols in grammar.rules():
        if grammar.reachable[owner]:
            yield owner, weight, symbols
    sentence = len(grammar.nonterminals)
    for start in np.flatnonzero(grammar.start).tolist():
        yield sentence, float(grammar.start[start]) * (1 - empty_sentence), (~start, grammar.sentence_end)
    if empty_sentence > 0:
        yield sentence, empty_sentence, (grammar.sentence_end,)


def _by_first(firsts: Firsts, rows: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], Floats]:
    """Return `firsts` in compressed rows by first symbol: row bounds, nonterminals, states, probabilities."""
    ordered = sorted(firsts)
    keys = np.array(ordered, dtype=np.int32).reshape(-1, 3)
    bounds = np.searchsorted(keys[:, 0], np.arange(rows + 1)).astype(np.int32)
    return bounds, keys[:, 1].copy(), keys[:, 2].copy(), np.array([firsts[key] for key in ordered])
