"""Probabilistic context-free grammars as compact arrays, and what is known of them in closed form.

A *sentence* is one derivation from a start nonterminal; a *document* is sentences joined by a separator, a token of
its own. Entropies are in nats. Closed forms of infinite quantities are None, never a sentinel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadGrammar
from isoloss.core.fingerprint import fingerprint
from isoloss.grammar.branching import (
    CRITICAL_TOLERANCE,
    Floats,
    Mask,
    component_radii,
    reaches,
    termination_probabilities,
)

Ints = NDArray[np.int32]
Rule = tuple[float, Sequence[int]]  # weight, symbols

SEPARATOR = 0
GRAMMAR_VERSION = 1  # raise when the same rules would mean another language
IDENTITY_DIGITS = 12  # weights are hashed to this many digits: the last ones depend on the linear-algebra library


@dataclass(frozen=True, kw_only=True, eq=False)
class Grammar:
    """A probabilistic grammar as arrays, from `from_rules`; closed forms are its properties.

    Rules are in compressed rows: nonterminal A owns rules `rule_offsets[A]:rule_offsets[A + 1]`, rule r the symbols
    `symbols[symbol_offsets[r]:symbol_offsets[r + 1]]`. A symbol s ≥ 0 is the token s; s < 0 is the nonterminal ~s.

    Token 0 is the separator and terminal i is the token i + 1, unless `separator_is_terminal`: then terminal i is the
    token i, token 0 means both, and a separator that would fall on a document's last position is dropped and `padding`
    put in its place (both as in the code of Pandey 2024, kept to reproduce it: documents there have 255 tokens or 256).
    `weights` sum to one over each nonterminal's rules, `start` over the nonterminals.
    """

    nonterminals: tuple[str, ...]
    terminals: tuple[str, ...]
    rule_offsets: Ints
    symbol_offsets: Ints
    symbols: Ints
    weights: Floats
    start: Floats
    separator_is_terminal: bool = False

    @classmethod
    def from_rules(
        cls,
        rules: Sequence[Sequence[Rule]],
        *,
        nonterminals: Sequence[str],
        terminals: Sequence[str],
        start: Sequence[float] | Floats,
        separator_is_terminal: bool = False,
    ) -> Self:
        """Return the grammar whose nonterminal A has `rules[A]`, weights and start normalised, zero weights dropped.

        Raises BadGrammar where a nonterminal is left without a rule, a weight is negative or not finite, or a symbol is
        neither a known nonterminal nor a known terminal.
        """
        kept = [[(weight, symbols) for weight, symbols in owned if weight != 0] for owned in rules]
        flat = [(weight, symbols) for owned in kept for weight, symbols in owned]
        rule_offsets = np.cumsum([0, *map(len, kept)], dtype=np.int32)
        symbol_offsets = np.cumsum([0, *(len(symbols) for _, symbols in flat)], dtype=np.int32)
        symbols = np.array([symbol for _, symbols in flat for symbol in symbols], dtype=np.int32)
        weights = np.array([weight for weight, _ in flat], dtype=float)
        tokens = len(terminals) + (0 if separator_is_terminal else 1)
        lowest = 0 if separator_is_terminal else SEPARATOR + 1
        _check(nonterminals, rule_offsets, symbols, weights, np.asarray(start, dtype=float), range(lowest, tokens))
        weights /= np.repeat(np.add.reduceat(weights, rule_offsets[:-1]), np.diff(rule_offsets))
        return cls(
            nonterminals=tuple(nonterminals),
            terminals=tuple(terminals),
            rule_offsets=rule_offsets,
            symbol_offsets=symbol_offsets,
            symbols=symbols,
            weights=weights,
            start=np.asarray(start, dtype=float) / np.sum(start),
            separator_is_terminal=separator_is_terminal,
        )

    def rules(self) -> Iterator[tuple[int, float, tuple[int, ...]]]:
        """Yield (nonterminal, weight, symbols) of every rule, in order."""
        for rule, (lhs, weight) in enumerate(zip(self.rule_lhs.tolist(), self.weights.tolist(), strict=True)):
            begin, end = self.symbol_offsets[rule], self.symbol_offsets[rule + 1]
            yield lhs, weight, tuple(self.symbols[begin:end].tolist())

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the language model the grammar is: names of symbols do not enter."""
        content = {
            "rules": [[lhs, _rounded(weight), list(symbols)] for lhs, weight, symbols in self.rules()],
            "start": [_rounded(share) for share in self.start],
            "terminals": len(self.terminals),
            "separator_is_terminal": self.separator_is_terminal,
        } | ({} if self.padding is None else {"padding": self.padding})
        return fingerprint(content, kind="grammar", version=GRAMMAR_VERSION)

    @property
    def vocabulary_size(self) -> int:
        """How many token ids there are, separator or padding included."""
        return len(self.terminals) + 1

    @property
    def padding(self) -> int | None:
        """The token in the place of a dropped last separator; None where separators are tokens of their own."""
        return len(self.terminals) if self.separator_is_terminal else None

    @property
    def sentence_end(self) -> int:
        """The symbol that ends a sentence, which shows as the separator: its own token, or the padding."""
        return SEPARATOR if self.padding is None else self.padding

    @cached_property
    def rule_lhs(self) -> NDArray[np.intp]:
        """The nonterminal of each rule, shape (rules,)."""
        return np.repeat(np.arange(len(self.nonterminals)), np.diff(self.rule_offsets))

    @cached_property
    def symbol_rule(self) -> NDArray[np.intp]:
        """The rule of each symbol, shape (symbols,)."""
        return np.repeat(np.arange(len(self.weights)), np.diff(self.symbol_offsets))

    @cached_property
    def children(self) -> tuple[NDArray[np.intp], Ints]:
        """Where nonterminals stand in `symbols`, and which they are."""
        positions = np.flatnonzero(self.symbols < 0)
        return positions, ~self.symbols[positions]

    def multiply_symbols(self, values: Floats) -> Floats:
        """Return for each rule the product of `values` over the nonterminals of its right-hand side, shape (rules,)."""
        factors = np.ones(len(self.symbols) + 1)  # one more, so that an empty last rule has somewhere to point
        positions, children = self.children
        factors[positions] = values[children]
        products = np.multiply.reduceat(factors, self.symbol_offsets[:-1])
        products[np.diff(self.symbol_offsets) == 0] = 1.0
        return products

    def sum_rules(self, values: Floats) -> Floats:
        """Return for each nonterminal the weighted sum of its rules' `values`, shape (|N|,)."""
        return np.add.reduceat(self.weights * values, self.rule_offsets[:-1])

    @cached_property
    def mean_matrix(self) -> Floats:
        """M[A, B]: the mean number of nonterminals B on one right-hand side of A."""
        return self._mean_counts(*self.children, len(self.nonterminals))

    @cached_property
    def token_matrix(self) -> Floats:
        """T[A, t]: the mean number of tokens t on one right-hand side of A, shape (|N|, vocabulary)."""
        positions = np.flatnonzero(self.symbols >= 0)
        return self._mean_counts(positions, self.symbols[positions], self.vocabulary_size)

    def _mean_counts(self, positions: NDArray[np.intp], kinds: Ints, count: int) -> Floats:
        """Return the mean number of each of `count` kinds on one right-hand side, kinds[i] being at positions[i]."""
        matrix = np.zeros((len(self.nonterminals), count))
        rule = self.symbol_rule[positions]
        np.add.at(matrix, (self.rule_lhs[rule], kinds), self.weights[rule])
        return matrix

    @cached_property
    def reachable(self) -> Mask:
        """Which nonterminals occur in some derivation from the start, shape (|N|,)."""
        return reaches(self.mean_matrix.T, self.start > 0)

    @cached_property
    def reachable_tokens(self) -> Mask:
        """Which token ids occur in some document, the separator included, shape (vocabulary,)."""
        occurs = np.asarray(self.token_matrix[self.reachable].sum(axis=0) > 0)
        occurs[[SEPARATOR, self.sentence_end]] = True
        return occurs

    @cached_property
    def spectral_radius(self) -> float:
        """The spectral radius of the mean matrix over reachable nonterminals; derivations surely end below 1."""
        return float(component_radii(self.mean_matrix)[self.reachable].max())

    @cached_property
    def termination_probabilities(self) -> Floats:
        """q: the probability that a derivation from each nonterminal ends, shape (|N|,)."""
        return termination_probabilities(self)

    @property
    def termination_probability(self) -> float:
        """The probability that a sentence ends."""
        return float(self.start @ self.termination_probabilities)

    @cached_property
    def expected_visits(self) -> Floats | None:
        """The mean number of each nonterminal in one derivation, shape (|N|,); None from spectral radius 1 on.

        π (I − M)⁻¹ for the start distribution π. Chi 1999, "Statistical properties of probabilistic context-free
        grammars".
        """
        if self.spectral_radius >= 1 - CRITICAL_TOLERANCE:
            return None
        inside = np.flatnonzero(self.reachable)
        visits = np.zeros(len(self.nonterminals))
        within = np.eye(len(inside)) - self.mean_matrix[np.ix_(inside, inside)]
        visits[inside] = np.linalg.solve(within.T, self.start[inside])
        return visits

    @property
    def tokens_per_sentence(self) -> float | None:
        """The mean length of a sentence, its separator not counted; None where it is infinite."""
        visits = self.expected_visits
        return None if visits is None else float(visits @ self.token_matrix.sum(axis=1))

    @property
    def derivation_nats_per_sentence(self) -> float | None:
        """The entropy of a sentence's derivation, the choice of start included; None where it is infinite.

        At least the entropy of the sentence as a string: equal where no string has two derivations.
        """
        visits = self.expected_visits
        return None if visits is None else _entropy(self.start) + float(visits @ self.sum_rules(-np.log(self.weights)))

    @property
    def derivation_nats_per_token(self) -> float | None:
        """The entropy of a derivation over the tokens of its sentence and the separator; None where it is infinite."""
        nats, tokens = self.derivation_nats_per_sentence, self.tokens_per_sentence
        return None if nats is None or tokens is None else nats / (tokens + 1)

    @property
    def unigram(self) -> Floats | None:
        """The share of each token in a long document, separator included, shape (vocabulary,); None as above."""
        visits = self.expected_visits
        if visits is None:
            return None
        counts = visits @ self.token_matrix
        counts[SEPARATOR] += 1
        return np.asarray(counts / counts.sum())

    @property
    def unigram_nats(self) -> float | None:
        """The entropy of `unigram`: the loss of the best model that knows no context; None as above."""
        shares = self.unigram
        return None if shares is None else _entropy(shares)


def _entropy(shares: Floats) -> float:
    positive = shares[shares > 0]
    return float(-(positive @ np.log(positive)))


def _rounded(value: float) -> float:
    return float(f"{value:.{IDENTITY_DIGITS}g}")


def _check(
    names: Sequence[str], rule_offsets: Ints, symbols: Ints, weights: Floats, start: Floats, terminals: range
) -> None:
    """Raise BadGrammar where arrays do not make a grammar."""
    if not names or len(rule_offsets) != len(names) + 1 or len(start) != len(names):
        raise BadGrammar(
            f"{len(rule_offsets) - 1} rule sets and {len(start)} start weights for {len(names)} nonterminals"
        )
    if (without := np.flatnonzero(np.diff(rule_offsets) == 0)).size:
        raise BadGrammar(f"nonterminal {names[without[0]]!r} has no rule", fix="give it one, or delete it")
    if not (np.all(np.isfinite(weights)) and np.all(weights > 0)):
        raise BadGrammar("a rule's weight is negative or not finite", fix="weights are positive numbers")
    if not (np.all(start >= 0) and np.isfinite(start.sum()) and start.sum() > 0):
        raise BadGrammar(
            "the start weights are not a distribution", fix="give at least one nonterminal a positive weight"
        )
    known = (symbols >= -len(names)) & (symbols < terminals.stop) & ((symbols < 0) | (symbols >= terminals.start))
    if not np.all(known):
        wrong = symbols[~known][0]
        raise BadGrammar(f"symbol {wrong} is not one of {len(terminals)} terminals and {len(names)} nonterminals")
