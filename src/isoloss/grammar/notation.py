r"""The textual notation of grammars: NLTK's, with line and column in every error.

    # comments and blank lines are skipped
    S -> 'a' S [0.7] | 'b' [0.3]
    S -> [1e-3]          # an empty right-hand side; probabilities of a nonterminal sum to one over all its lines

Symbols in quotes are terminals, bare words nonterminals; probabilities are decimals, with exponents where wanted, or
fractions (`[1/3]`). A line that begins with `|` goes on with the nonterminal of the line before, one that ends in `\`
on the next line. The first nonterminal is the start, unless a line `%start NAME` says otherwise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from isoloss.core.errors import BadGrammar, did_you_mean, guess_of
from isoloss.grammar.branching import productive
from isoloss.grammar.pcfg import Grammar, Rule

# Thirds written with six digits sum to within 1e-6 of one; anything further off is a slip, not rounding.
SUM_TOLERANCE = 1e-5

MOST_DIGITS = 100  # of a probability
MOST_RHS = 1_000  # symbols of a right-hand side: each is a step of closed forms
MOST_NONTERMINALS = 1_000  # the time of closed forms grows with the cube of their number
_PIECES = re.compile(
    r"""(?P<space>\s+|\#.*)
      | (?P<start>%start\b)
      | (?P<arrow>->|→)
      | (?P<bar>\|)
      | (?P<probability>\[[^\]]*\])
      | (?P<terminal>'[^']*'|"[^"]*")
      | (?P<name>(?:(?!->|→)[^\s'"\[\]|\#])+)""",
    re.VERBOSE,
)
_PROBABILITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|\d+\s*/\s*\d*[1-9]\d*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A symbol, arrow, bar or probability, and where it stands (both from 1)."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(slots=True)
class _Alternative:
    """One right-hand side; `probability` stays NaN until it is read."""

    lhs: _Piece
    symbols: list[_Piece] = field(default_factory=list)
    probability: float = float("nan")


def parse_grammar(text: str, *, place: str) -> Grammar:
    """Return the grammar that `text` writes down; terminals are numbered in order of appearance.

    Raises BadGrammar, with `place`:line:column, for what cannot be read, for a nonterminal without rules, one that can
    never end or is unreachable from the start, and for probabilities that do not sum to one.
    """
    lines = list(_lines(text, place))
    alternatives = list(_alternatives([line for line in lines if line[0].kind != "start"], place))
    if not alternatives:
        raise BadGrammar("the grammar has no rule", place=place, fix="write for example S -> 'a' S [0.7] | 'b' [0.3]")
    owners = {a.lhs.text: a.lhs for a in reversed(alternatives)}  # where each is first defined
    nonterminals = list(dict.fromkeys(a.lhs.text for a in alternatives))
    if len(nonterminals) > MOST_NONTERMINALS:
        raise BadGrammar(
            f"{len(nonterminals):,} nonterminals, at most {MOST_NONTERMINALS:,} are possible", place=place,
            fix="write a smaller grammar: the time grows with the cube of the number of nonterminals",
        )  # fmt: skip
    terminals = list(dict.fromkeys(s.text for a in alternatives for s in a.symbols if s.kind == "terminal"))
    codes = {("name", name): ~i for i, name in enumerate(nonterminals)}
    codes |= {("terminal", name): i + 1 for i, name in enumerate(terminals)}
    start = _start([line for line in lines if line[0].kind == "start"], nonterminals, place)
    _check_defined(alternatives, codes, nonterminals, place)
    _check_sums(alternatives, owners, place)
    rules: dict[str, list[Rule]] = {name: [] for name in nonterminals}
    for a in alternatives:
        rules[a.lhs.text].append((a.probability, [codes[s.kind, s.text] for s in a.symbols]))
    grammar = Grammar.from_rules(
        list(rules.values()),
        nonterminals=nonterminals,
        terminals=terminals,
        start=np.eye(len(nonterminals))[nonterminals.index(start)],
    )
    for name, ends, met in zip(nonterminals, productive(grammar), grammar.reachable, strict=True):
        if not met:
            fix = f"use it in a rule that {start!r} leads to, or delete its rules"
            raise _error(f"{name!r} is unreachable from the start {start!r}", owners[name], place, fix)
        if not ends:
            raise _error(f"{name!r} can never end", owners[name], place, "give it a rule that leads to terminals only")
    return grammar


def _lines(text: str, place: str) -> Iterator[list[_Piece]]:
    """Yield the pieces of every line that has some, lines that end in a backslash joined with the next."""
    pieces: list[_Piece] = []
    for number, line in enumerate(text.splitlines(), 1):
        whole = line.rstrip()
        pieces += _pieces(whole.removesuffix("\\"), number, place)
        if pieces and not whole.endswith("\\"):
            yield pieces
            pieces = []
    if pieces:
        yield pieces


def _start(directives: list[list[_Piece]], nonterminals: list[str], place: str) -> str:
    """Return the start that the `%start` line names, the first nonterminal without one."""
    fix = f"write %start {nonterminals[0]} once"
    for extra in directives[1:]:
        raise _error("a second %start", extra[0], place, fix)
    for directive in directives:
        if len(directive) != 2 or directive[1].kind != "name":
            raise _error("%start takes one nonterminal", directive[0], place, fix)
        if directive[1].text not in nonterminals:
            raise _error(
                f"start {directive[1].text!r} has no rule",
                directive[1],
                place,
                did_you_mean(directive[1].text, nonterminals),
            )
        return directive[1].text
    return nonterminals[0]


def _alternatives(lines: list[list[_Piece]], place: str) -> Iterator[_Alternative]:
    """Yield every right-hand side of every line."""
    lhs: _Piece | None = None
    for pieces in lines:
        if pieces[0].kind != "bar":
            if len(pieces) < 2 or pieces[0].kind != "name" or pieces[1].kind != "arrow":
                raise _error("expected a nonterminal and ->", pieces[0], place, "write for example S -> 'b' [0.3]")
            lhs = pieces[0]
            del pieces[0]
        if lhs is None:
            fix = "begin with a nonterminal and ->, as S -> 'b' [0.3]"
            raise _error("a line begins with | but no nonterminal came before", pieces[0], place, fix)
        yield from _right_hand_sides(lhs, pieces, place)


def _right_hand_sides(lhs: _Piece, pieces: list[_Piece], place: str) -> Iterator[_Alternative]:
    """Yield what follows each arrow or bar in `pieces`: symbols, then a probability in brackets."""
    for opening, piece in enumerate(pieces):
        if piece.kind not in ("arrow", "bar"):
            continue
        alternative = _Alternative(lhs)
        for follower in pieces[opening + 1 :]:
            if follower.kind == "bar":
                break
            if follower.kind == "arrow" or alternative.probability == alternative.probability:
                fix = "put | before a further right-hand side, and rules of another nonterminal on a line of their own"
                raise _error(f"expected | or the line's end, found {follower.text!r}", follower, place, fix)
            if follower.kind == "probability":
                alternative.probability = _probability(follower, place)
            else:
                alternative.symbols.append(follower)
        if alternative.probability != alternative.probability:
            last = alternative.symbols[-1] if alternative.symbols else piece
            raise _error(
                f"no probability after {last.text!r}", last, place, "end every right-hand side with one: [0.5]"
            )
        yield alternative


def _pieces(line: str, number: int, place: str) -> Iterator[_Piece]:
    at = 0
    while at < len(line):
        match = _PIECES.match(line, at)
        if match is None or match.lastgroup is None:
            unclosed = "a quote or bracket that is not closed, or is not opened"
            fix = "close it on the same line: 'a' or [0.5]"
            raise BadGrammar(f"found {line[at]!r}: {unclosed}", place=f"{place}:{number}:{at + 1}", fix=fix)
        if match.lastgroup != "space":
            text = match.group()
            yield _Piece(match.lastgroup, text[1:-1] if match.lastgroup == "terminal" else text, number, at + 1)
        at = match.end()


def _probability(piece: _Piece, place: str) -> float:
    written = piece.text[1:-1].strip()
    if len(written) <= MOST_DIGITS and _PROBABILITY.fullmatch(written):
        # As a number: a fraction of 1e-999999999 would be written out.
        value = float(Fraction("".join(written.split()))) if "/" in written else float(written)
        if 0 <= value <= 1:
            return value
    fix = "write a number from 0 to 1: [0.7], [7e-1] or [7/10]"
    raise _error(f"{piece.text[:MOST_DIGITS]} is not a probability", piece, place, fix)


def _check_defined(
    alternatives: list[_Alternative], codes: dict[tuple[str, str], int], nonterminals: list[str], place: str
) -> None:
    for symbol in (s for a in alternatives for s in a.symbols):
        if (symbol.kind, symbol.text) not in codes:
            fix = f"{guess_of(symbol.text, nonterminals)}give it rules, or quote it if it is a terminal"
            raise _error(f"nonterminal {symbol.text!r} has no rule", symbol, place, fix)


def _check_sums(alternatives: list[_Alternative], owners: dict[str, _Piece], place: str) -> None:
    totals = dict.fromkeys(owners, 0.0)
    for a in alternatives:
        totals[a.lhs.text] += a.probability
        if len(a.symbols) > MOST_RHS:
            fix = "split it into several nonterminals"
            raise _error(f"{len(a.symbols):,} symbols, at most {MOST_RHS:,} are possible", a.symbols[0], place, fix)
    for name, owner in owners.items():
        total = totals[name]
        if abs(total - 1) > SUM_TOLERANCE:
            fix = "correct them, on all its lines together, or write fractions: [1/3]"
            raise _error(f"probabilities of {name!r} sum to {total:.6g}, not to 1", owner, place, fix)


def _error(message: str, piece: _Piece, place: str, fix: str) -> BadGrammar:
    return BadGrammar(message, place=f"{place}:{piece.line}:{piece.column}", fix=fix)
