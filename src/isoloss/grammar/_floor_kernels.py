"""The inner loops of the sparse Earley filter; `floor` has the algorithm and the notation.

Column i is the state after i tokens of a document. An item says: a nonterminal began at column `origin`, and its
right-hand side is read up to the dot. `state` names what is left to read; `inner` is the probability of what was
read, given the nonterminal, over the probability of those tokens given their past (so that nothing underflows in a
long document).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from isoloss.core.kernels import NO_COUNTS, NO_POINTER, NO_WAY_IN, Whole

Tokens = NDArray[np.uint16 | np.uint32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Function = TypeVar("Function", bound=Callable[..., Any])

NONE = np.int32(-1)
# The chart's counters: first item of the newest column and the one after its last, the column's stamp, whether an item
# found no room, the earliest origin with something pending; and how many counters there are.
BEGIN, END, STAMP, FULL, EARLIEST, COUNTERS = range(6)

# Without reference counts of arrays, which the optimiser fails to remove from functions of tuples of arrays: ten times
# faster. The kernels allocate nothing, and their callers hold every array.
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True} | NO_COUNTS


def kernel(function: Function) -> Function:
    """Compile `function` for the filter."""
    return cast(Function, njit(**OPTIONS, **NO_POINTER)(function))


def part(function: Function) -> Function:
    """Compile `function` for other compiled functions alone. Its integers are int64: other kinds compile it anew."""
    return cast(Function, njit(**OPTIONS, **NO_WAY_IN)(function))


class Automaton(NamedTuple):
    """A grammar compiled for the filter. States below `types` mean 'this nonterminal is complete'; types = |N| + 1.

    The last nonterminal writes a sentence and its separator. `symbol`, `rest`, `owner`: of each state, the next symbol
    (≥ 0 a token, < 0 the nonterminal ~s), the state behind it, the nonterminal being read. `token_*` and `child_*`:
    rules in rows by first symbol, with their nonterminal, state behind the first symbol, and probability; unit rules
    apart, in `unit_*`: row B holds the sums over chains A → … → B. `left_corner[A, B]`: the mean number of B at A's
    left edge, A's own included. `begins[A, t]`: whether A can begin with token t. `sentence_end`: the symbol that
    token 0 shows too, except on the last position (0 itself, but for the collision of the gzip paper).
    """

    symbol: Ints
    rest: Ints
    owner: Ints
    token_rows: Ints
    token_owner: Ints
    token_rest: Ints
    token_weight: Floats
    child_rows: Ints
    child_owner: Ints
    child_rest: Ints
    child_weight: Floats
    unit_rows: Ints
    unit_owner: Ints
    unit_weight: Floats
    left_corner: Floats
    begins: NDArray[np.bool_]
    sentence_end: int


class Chart(NamedTuple):
    """Memory of one document's filter. Rows of the first four are columns of the chart, of nonterminals across."""

    outer: Floats  # how many times a nonterminal is expected to begin here, given the past
    complete: Floats  # inner probability of those that began here and end in the newest column
    pending: Ints  # links the nonterminals with such
    waiting: Ints  # head of the linked list of items that wait for a nonterminal here
    heads: Ints  # head of `pending`, one a column
    state: Ints  # of each item
    origin: Ints
    next: Ints
    inner: Floats
    table: NDArray[np.int64]  # hash of (state, origin) → item of the newest column, under the column's stamp
    counters: NDArray[np.int64]
    mass: Floats  # scratch, a number a nonterminal; zero between uses
    listed: Ints  # scratch, the nonterminals with a mass
    negligible: float  # items less probable than this, given the tokens so far, are dropped


@kernel
def score_documents(
    documents: Tokens,  # (documents, tokens)
    losses: Floats,  # (documents, tokens), written
    first: int,
    automaton: Automaton,
    chart: Chart,
) -> int:
    """Write −ln p(token | past) from document `first` on; return the first document the chart is too small for."""
    rows: int = documents.shape[0]
    types = automaton.begins.shape[0]
    for row in range(first, rows):
        chart.counters[BEGIN] = chart.counters[END] = chart.counters[FULL] = 0
        chart.counters[EARLIEST] = chart.outer.shape[0]
        for corner in range(types):  # by element: assigning a row would allocate
            chart.waiting[0, corner] = NONE
            chart.outer[0, corner] = automaton.left_corner[types - 1, corner]
        _score_document(documents[row], losses[row], automaton, chart)
        if chart.counters[FULL]:
            return row
    return rows


@part
def _score_document(document: Tokens, losses: Floats, automaton: Automaton, chart: Chart) -> None:
    last = document.size - 1
    for column in range(last + 1):
        begin, end = chart.counters[BEGIN], chart.counters[END]
        token, other = np.int64(document[column]), _other(document, column, automaton)
        probability = _probability(column, begin, end, token, other, automaton, chart)
        losses[column] = -np.log(probability)
        if column == last or probability == 0.0 or chart.counters[FULL]:
            for rest in range(column + 1, document.size):
                losses[rest] = np.inf
            return
        chart.counters[BEGIN] = end
        chart.counters[STAMP] += 1
        following = (np.int64(document[column + 1]), _other(document, column + 1, automaton))
        scale = 1.0 / probability
        _scan(column, begin, end, token, following, scale, automaton, chart)
        if other != token:
            _scan(column, begin, begin, other, following, scale, automaton, chart)
        ended = _complete(column, following, automaton, chart)
        _predict(column + 1, ended, automaton, chart)


@part
def _other(document: Tokens, column: int, automaton: Automaton) -> Whole:
    """The other symbol that the token at `column` shows; the token itself where there is none."""
    token = np.int64(document[column])
    return np.int64(automaton.sentence_end) if token == 0 and column < document.size - 1 else token


@part
def _probability(
    column: int, begin: int, end: int, token: Whole, other: Whole, automaton: Automaton, chart: Chart
) -> float:
    """p(token | past): the items that wait for it (no others were kept) and the rules that begin with it."""
    probability = 0.0
    for item in range(begin, end):
        state = chart.state[item]
        if automaton.symbol[state] >= 0:
            probability += chart.outer[chart.origin[item], automaton.owner[state]] * chart.inner[item]
    for rule in range(automaton.token_rows[token], automaton.token_rows[token + 1]):
        probability += chart.outer[column, automaton.token_owner[rule]] * automaton.token_weight[rule]
    if other != token:
        for rule in range(automaton.token_rows[other], automaton.token_rows[other + 1]):
            probability += chart.outer[column, automaton.token_owner[rule]] * automaton.token_weight[rule]
    return probability


@part
def _scan(
    column: int,
    begin: int,
    end: int,
    token: Whole,
    following: tuple[Whole, Whole],
    scale: float,
    automaton: Automaton,
    chart: Chart,
) -> None:
    """Move over the token: items of this column that wait for it, and rules that begin with it."""
    for item in range(begin, end):
        state = chart.state[item]
        if automaton.symbol[state] >= 0:
            rest, origin = np.int64(automaton.rest[state]), np.int64(chart.origin[item])
            _add(rest, origin, chart.inner[item] * scale, following, automaton, chart)
    for rule in range(automaton.token_rows[token], automaton.token_rows[token + 1]):
        inner = automaton.token_weight[rule] * scale
        if chart.outer[column, automaton.token_owner[rule]] * inner >= chart.negligible:
            _add(np.int64(automaton.token_rest[rule]), column, inner, following, automaton, chart)


@part
def _complete(column: int, following: tuple[Whole, Whole], automaton: Automaton, chart: Chart) -> float:
    """Move over nonterminals that just ended, latest origin first; return the probability that a sentence ended.

    Without empty rules a nonterminal that ends completes others of its own origin by unit rules alone, whose chains are
    summed beforehand; all else it completes began earlier.
    """
    types = automaton.begins.shape[0]
    ended = 0.0
    origin = column + 1
    while origin > chart.counters[EARLIEST]:
        origin -= 1
        if chart.heads[origin] == NONE:
            continue
        count = _close_units(origin, automaton, chart)
        for place in range(count):
            child = chart.listed[place]
            inner = chart.mass[child]
            chart.mass[child] = 0.0
            if chart.outer[origin, child] * inner < chart.negligible:
                continue
            if child == types - 1:
                ended += chart.outer[origin, child] * inner
                continue
            item = chart.waiting[origin, child]
            while item != NONE:
                rest, began = np.int64(automaton.rest[chart.state[item]]), np.int64(chart.origin[item])
                _add(rest, began, chart.inner[item] * inner, following, automaton, chart)
                item = chart.next[item]
            for rule in range(automaton.child_rows[child], automaton.child_rows[child + 1]):
                weight = automaton.child_weight[rule] * inner
                if chart.outer[origin, automaton.child_owner[rule]] * weight >= chart.negligible:
                    _add(np.int64(automaton.child_rest[rule]), origin, weight, following, automaton, chart)
    chart.counters[EARLIEST] = chart.outer.shape[0]
    return ended


@part
def _close_units(origin: int, automaton: Automaton, chart: Chart) -> int:
    """Take what is pending at `origin` and list, with their masses, the nonterminals it is by chains of unit rules."""
    count = 0
    child = chart.heads[origin]
    chart.heads[origin] = NONE
    while child != NONE:
        inner = chart.complete[origin, child]
        chart.complete[origin, child] = 0.0
        for chain in range(automaton.unit_rows[child], automaton.unit_rows[child + 1]):
            parent = automaton.unit_owner[chain]
            added = automaton.unit_weight[chain] * inner
            if chart.mass[parent] == 0.0 and added > 0.0:
                chart.listed[count] = parent
                count += 1
            chart.mass[parent] += added
        child = chart.pending[origin, child]
    return count


@part
def _predict(column: int, ended: float, automaton: Automaton, chart: Chart) -> None:
    """Link the items that wait for a nonterminal, and sum how often each nonterminal is expected to begin."""
    types = automaton.begins.shape[0]
    for corner in range(types):
        chart.waiting[column, corner] = NONE
        chart.outer[column, corner] = 0.0
    count = 0
    item = chart.counters[BEGIN]
    for made in range(chart.counters[BEGIN], chart.counters[END]):
        state, origin, inner = chart.state[made], chart.origin[made], chart.inner[made]
        forward = chart.outer[origin, automaton.owner[state]] * inner
        if forward < chart.negligible:
            continue
        chart.state[item], chart.origin[item], chart.inner[item] = state, origin, inner
        child = ~automaton.symbol[state]
        if child >= 0:
            chart.next[item] = chart.waiting[column, child]
            chart.waiting[column, child] = item
            if chart.mass[child] == 0.0:
                chart.listed[count] = child
                count += 1
            chart.mass[child] += forward
        item += 1
    chart.counters[END] = item
    if ended > 0.0:
        chart.listed[count] = types - 1
        count += 1
        chart.mass[types - 1] = ended
    outer = chart.outer[column]
    for place in range(count):
        child = chart.listed[place]
        mass = chart.mass[child]
        chart.mass[child] = 0.0
        for corner in range(types):
            outer[corner] += mass * automaton.left_corner[child, corner]


@part
def _add(
    state: Whole, origin: Whole, inner: float, following: tuple[Whole, Whole], automaton: Automaton, chart: Chart
) -> None:
    """Add an item to the newest column, or its probability to the item's; drop it where the next token rules it out."""
    types = automaton.begins.shape[0]
    if state < types:
        if chart.complete[origin, state] == 0.0 and inner > 0.0:
            chart.pending[origin, state] = chart.heads[origin]
            chart.heads[origin] = state
            chart.counters[EARLIEST] = min(chart.counters[EARLIEST], origin)
        chart.complete[origin, state] += inner
        return
    symbol = automaton.symbol[state]
    token, other = following
    if symbol >= 0:
        if symbol != token and symbol != other:
            return
    elif not (automaton.begins[~symbol, token] or automaton.begins[~symbol, other]):
        return
    mask = chart.table.size - 1
    stamp = chart.counters[STAMP]
    at = (state * 0x9E3779B1 + origin * 0x85EBCA77) >> 7 & mask
    while chart.table[at] >> 32 == stamp:
        item = chart.table[at] & 0xFFFFFFFF
        if chart.state[item] == state and chart.origin[item] == origin:
            chart.inner[item] += inner
            return
        at = at + 1 & mask
    item = chart.counters[END]
    if item == chart.state.size or item - chart.counters[BEGIN] > mask >> 1:
        chart.counters[FULL] = 1
        return
    chart.counters[END] = item + 1
    chart.table[at] = stamp << 32 | item
    chart.state[item] = state
    chart.origin[item] = origin
    chart.inner[item] = inner
