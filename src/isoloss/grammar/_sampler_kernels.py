"""The sampler's inner loop: leftmost derivation from frames, no recursion, no allocation.

A frame is the unread rest of a right-hand side, and never empty: so a stack of `capacity` frames holds at least
`capacity` tokens to come, and a ring buffer that forgets frames below a document's length forgets nothing a document
can show.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_U = np.uint64
_SHIFT_32, _LOW_32, _ONE = _U(32), _U(0xFFFFFFFF), _U(1)


@njit(cache=True, nogil=True)
def fill_documents(
    documents: NDArray[np.unsignedinteger],  # (documents, tokens), written
    state: NDArray[np.uint64],  # (4,), advanced
    slot_offsets: NDArray[np.uint64],  # (|N| + 2,): alias slots of each nonterminal; the last one writes a sentence
    thresholds: NDArray[np.uint64],  # (slots,): of 2^32
    begins: NDArray[np.uint32],  # (slots, 2): where the right-hand side begins, of the slot's own rule and of its alias
    ends: NDArray[np.uint32],  # (slots, 2)
    symbols: NDArray[np.int32],  # ≥ 0 a token, < 0 the nonterminal ~s
) -> None:
    """Fill every row with sentences, each followed by its separator, the last one cut at the row's end.

    Random numbers: xoshiro256++ (Blackman & Vigna 2021), one draw a rule: the upper 32 bits choose an alias slot, the
    lower ones between its two rules (Walker 1977).
    """
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    rows, tokens = documents.shape
    sentence = slot_offsets.size - 2
    capacity = 1
    while capacity < tokens:
        capacity *= 2
    mask = _U(capacity - 1)
    frame_begin = np.empty(capacity, np.uint32)
    frame_end = np.empty(capacity, np.uint32)
    for row in range(rows):
        document = documents[row]
        written = 0
        depth = _U(0)
        at = end = _U(0)
        while written < tokens:
            if at == end:
                if depth > _U(0):
                    depth -= _ONE
                    at, end = _U(frame_begin[depth & mask]), _U(frame_end[depth & mask])
                    symbol = symbols[at]
                    at += _ONE
                else:
                    symbol = np.int32(~sentence)
            else:
                symbol = symbols[at]
                at += _ONE
            if symbol >= 0:
                document[written] = symbol
                written += 1
                continue
            if at != end:
                frame_begin[depth & mask], frame_end[depth & mask] = at, end
                depth += _ONE
            mixed = s0 + s3
            draw = ((mixed << _U(23)) | (mixed >> _U(41))) + s0
            carried = s1 << _U(17)
            s2 ^= s0
            s3 ^= s1
            s1 ^= s2
            s0 ^= s3
            s2 ^= carried
            s3 = (s3 << _U(45)) | (s3 >> _U(19))
            nonterminal = _U(~symbol)
            first = slot_offsets[nonterminal]
            slot = first + (((draw >> _SHIFT_32) * (slot_offsets[nonterminal + _ONE] - first)) >> _SHIFT_32)
            alias = _ONE if (draw & _LOW_32) >= thresholds[slot] else _U(0)
            at, end = _U(begins[slot, alias]), _U(ends[slot, alias])
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
