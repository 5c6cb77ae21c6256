"""The size of what zlib's deflate writes at level 9 for a short document, without writing it.

Deflate's decisions at level 9 are those of deflate.c (lazy matching, the longest earlier match, the nearest of equals)
and trees.c (Huffman trees, their transmission, the cheapest of three kinds of block), zlib 1.2 and 1.3 alike; names are
theirs. Only the search is another: up to SHORT bytes the limit on hash chains is never reached, so that the longest
match is found through chains of longer prefixes, which are short. A single block is written, whatever the content.
`compressors.Gzip` holds the sizes against zlib's own before it trusts them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

SHORT = 1024  # bytes: max_chain_length is 4096, a quarter of it after a good match
MIN_MATCH, MAX_MATCH = 3, 258
L_CODES, D_CODES, BL_CODES, END_BLOCK = 286, 30, 19, 256
HEAP_SIZE = 2 * L_CODES + 1
HASH_BITS = 11
DEPTH_BITS, DEPTH_MASK = 10, 1023
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplicative hash
TIERS = np.array([3, 5, 8])  # bytes that the members of a chain share

LENGTH_EXTRA = np.array([0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0])
DISTANCE_EXTRA = np.array([0, 0] + [bits for bits in range(14) for _ in (0, 1)])
BL_EXTRA = np.array([0] * 16 + [2, 3, 7])
BL_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])
STATIC_LENGTHS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
STATIC_DISTANCES = np.full(D_CODES, 5)
_FIRST_LENGTHS = np.cumsum([MIN_MATCH, *(1 << LENGTH_EXTRA[:-1])])
_FIRST_LENGTHS[-1] = MAX_MATCH  # the last code stands for 258 alone
LENGTH_CODE = np.searchsorted(_FIRST_LENGTHS, np.arange(MAX_MATCH + 1), side="right") - 1
_FIRST_DISTANCES = np.cumsum([1, *(1 << DISTANCE_EXTRA[:-1])])
DISTANCE_CODE = np.searchsorted(_FIRST_DISTANCES, np.arange(SHORT + 1), side="right") - 1


@njit(cache=True, nogil=True)
def deflated_sizes(rows: Bytes) -> Ints:
    """Return the bytes of the raw deflate stream of each row of at most SHORT bytes, level 9, default strategy."""
    count, n = rows.shape
    sizes = np.empty(count, dtype=np.int64)
    words = np.empty(n, dtype=np.uint64)
    previous = np.empty((len(TIERS), n), dtype=np.int64)
    head = np.full((len(TIERS), 1 << HASH_BITS), -1, dtype=np.int64)
    literals, distances = np.empty(HEAP_SIZE, dtype=np.int64), np.empty(HEAP_SIZE, dtype=np.int64)
    tree = np.empty((4, HEAP_SIZE + 1), dtype=np.int64)
    for row in range(count):
        data = rows[row]
        _chains(data, words, previous, head, row * n)
        literals[:], distances[:] = 0, 0
        _parse(data, words, previous, literals, distances)
        sizes[row] = _block_bytes(n, literals, distances, tree)
    return sizes


@njit(cache=True, nogil=True)
def _chains(data: Bytes, words: NDArray[np.uint64], previous: Ints, head: Ints, base: int) -> None:
    """Set words[p] to the 8 bytes from p (zeros beyond the end) and previous[tier, p] to the last like prefix.

    Position 0 is in no chain: zlib takes it for the end of one. Heads below `base` are of documents before.
    """
    n = len(data)
    word = np.uint64(0)
    for p in range(n - 1, -1, -1):
        word = (word << np.uint64(8)) | np.uint64(data[p])
        words[p] = word
    for tier in range(len(TIERS)):
        width = TIERS[tier]
        shift = np.uint64(8 * max(0, 8 - width))
        for p in range(1, n - width + 1):
            key = (words[p] << shift) * GOLDEN
            if width > 8:
                key = (key ^ words[p + width - 8]) * GOLDEN
            slot = np.int64(key >> np.uint64(64 - HASH_BITS))
            last = head[tier, slot] - base
            previous[tier, p] = last if last > 0 else 0
            head[tier, slot] = base + p


@njit(cache=True, nogil=True)
def _longest(words: NDArray[np.uint64], previous: Ints, p: int, best: int, n: int) -> tuple[int, int]:
    """Return the longest match at p longer than `best` and its place, the nearest of equals; (best, 0) for none."""
    most = min(MAX_MATCH, n - p)
    place = 0
    if best >= most:
        return best, 0
    for tier in range(len(TIERS) - 1, -1, -1):
        width = TIERS[tier]
        if width > most:
            continue
        q = previous[tier, p]
        while q > 0:
            # The 8 bytes that end at the first byte beyond the best match must agree, or this one is no longer.
            end = max(best - 7, 0)
            if best < 8 or words[q + end] == words[p + end]:
                length = 0
                while length < most:
                    differ = words[q + length] ^ words[p + length]
                    if differ != 0:
                        while differ & np.uint64(255) == 0:
                            differ >>= np.uint64(8)
                            length += 1
                        break
                    length += 8
                length = min(length, most)
                # Shorter ones are in this chain by accident, and not in order: their own tier finds the nearest.
                if length > best and length >= width:
                    best, place = length, q
                    if best >= most:
                        return best, place
            q = previous[tier, q]
        if best >= width - 1:
            break  # whatever is longer shares this prefix and was seen
    return best, place


@njit(cache=True, nogil=True)
def _parse(data: Bytes, words: NDArray[np.uint64], previous: Ints, literals: Ints, distances: Ints) -> None:
    """Count the symbols that deflate_slow would send."""
    n = len(data)
    literals[END_BLOCK] = 1
    length, place, available = MIN_MATCH - 1, 0, False
    p = 0
    while p < n:
        last_length, last_place = length, place
        length = MIN_MATCH - 1
        if n - p >= MIN_MATCH and last_length < MAX_MATCH and p > 0:
            found, where = _longest(words, previous, p, last_length, n)
            if where > 0:
                length, place = found, where
        if last_length >= MIN_MATCH and length <= last_length:
            literals[END_BLOCK + 1 + LENGTH_CODE[last_length]] += 1
            distances[DISTANCE_CODE[p - 1 - last_place]] += 1
            p += last_length - 1
            length, available = MIN_MATCH - 1, False
        else:
            if available:
                literals[data[p - 1]] += 1
            available = True
            p += 1
    if available:
        literals[data[n - 1]] += 1


@njit(cache=True, nogil=True)
def _block_bytes(n: int, literals: Ints, distances: Ints, tree: Ints) -> int:
    """Return the bytes of the cheapest of a stored, a fixed and a dynamic block, three bits of header before it."""
    dynamic, fixed = 0, 0
    transmitted = np.zeros(2 * BL_CODES, dtype=np.int64)
    for which in range(2):
        frequency, codes = (literals, L_CODES) if which == 0 else (distances, D_CODES)
        extra, base = (LENGTH_EXTRA, END_BLOCK + 1) if which == 0 else (DISTANCE_EXTRA, 0)
        static = STATIC_LENGTHS if which == 0 else STATIC_DISTANCES
        for code in range(codes):
            bits = static[code] + (extra[code - base] if code >= base else 0)
            fixed += frequency[code] * bits
        cost, last = _huffman(frequency, codes, 15, extra, base, tree)
        dynamic += cost
        _scan(tree[0], last, transmitted)
    cost, _ = _huffman(transmitted, BL_CODES, 7, BL_EXTRA, 0, tree)
    dynamic += cost
    sent = BL_CODES - 1
    while sent >= 3 and tree[0, BL_ORDER[sent]] == 0:
        sent -= 1
    dynamic += 3 * (sent + 1) + 5 + 5 + 4
    coded = min((dynamic + 3 + 7) >> 3, (fixed + 3 + 7) >> 3)
    return n + 5 if n + 4 <= coded else coded


@njit(cache=True, nogil=True)
def _huffman(frequency: Ints, codes: int, longest: int, extra: Ints, base: int, tree: Ints) -> tuple[int, int]:
    """Return the bits of all symbols and the last code used; tree[0] receives the code lengths. trees.c, build_tree."""
    lengths, parent, rank, heap = tree[0], tree[1], tree[2], tree[3]
    size, top, last = 0, HEAP_SIZE, -1
    for code in range(codes):
        lengths[code] = 0
        rank[code] = frequency[code] << DEPTH_BITS
        if frequency[code] > 0:
            size += 1
            heap[size] = code
            last = code
    forced = 0
    while size < 2:  # two codes at least, so that each has a bit
        if last < 2:
            last += 1
            code = last
        else:
            code = 0
        size += 1
        heap[size] = code
        frequency[code] = 1
        rank[code] = 1 << DEPTH_BITS
        forced += 1
    for place in range(size // 2, 0, -1):
        _sift(heap, size, place, rank)
    node = codes
    while size >= 2:
        first = heap[1]
        heap[1] = heap[size]
        size -= 1
        _sift(heap, size, 1, rank)
        second = heap[1]
        heap[top - 1], heap[top - 2] = first, second
        top -= 2
        frequency[node] = frequency[first] + frequency[second]
        deepest = max(rank[first] & DEPTH_MASK, rank[second] & DEPTH_MASK)
        rank[node] = (frequency[node] << DEPTH_BITS) | (deepest + 1)
        parent[first] = parent[second] = node
        heap[1] = node
        node += 1
        _sift(heap, size, 1, rank)
    top -= 1
    heap[top] = heap[1]
    bits = _lengths(frequency, codes, longest, extra, base, tree, top)
    return bits - forced, last


@njit(cache=True, nogil=True)
def _sift(heap: Ints, size: int, place: int, rank: Ints) -> None:
    """Move an entry down until its rank, frequency before depth, is below its children's. trees.c, pqdownheap."""
    moved = heap[place]
    child = 2 * place
    while child <= size:
        if child < size and rank[heap[child + 1]] <= rank[heap[child]]:
            child += 1
        if rank[moved] <= rank[heap[child]]:
            break
        heap[place] = heap[child]
        place = child
        child *= 2
    heap[place] = moved


@njit(cache=True, nogil=True)
def _lengths(frequency: Ints, codes: int, longest: int, extra: Ints, base: int, tree: Ints, top: int) -> int:
    """Return the bits of all symbols; tree[0] receives code lengths of at most `longest`. trees.c, gen_bitlen."""
    lengths, parent, heap = tree[0], tree[1], tree[3]
    of_length = np.zeros(16, dtype=np.int64)
    lengths[heap[top]] = 0
    bits, overflow = 0, 0
    for place in range(top + 1, HEAP_SIZE):
        node = heap[place]
        length = lengths[parent[node]] + 1
        if length > longest:
            length = longest
            overflow += 1
        lengths[node] = length
        if node < codes:
            of_length[length] += 1
            bits += frequency[node] * (length + (extra[node - base] if node >= base else 0))
    if overflow == 0:
        return bits
    while overflow > 0:
        length = longest - 1
        while of_length[length] == 0:
            length -= 1
        of_length[length] -= 1
        of_length[length + 1] += 2
        of_length[longest] -= 1
        overflow -= 2
    place = HEAP_SIZE
    for length in range(longest, 0, -1):
        left = of_length[length]
        while left > 0:
            place -= 1
            node = heap[place]
            if node >= codes:
                continue
            bits += (length - lengths[node]) * frequency[node]
            lengths[node] = length
            left -= 1
    return bits


@njit(cache=True, nogil=True)
def _scan(lengths: Ints, last: int, transmitted: Ints) -> None:
    """Count the symbols that send the code lengths 0 … `last`, runs shortened. trees.c, scan_tree."""
    before, following, count = -1, lengths[0], 0
    most, least = (138, 3) if following == 0 else (7, 4)
    for code in range(last + 1):
        current = following
        following = lengths[code + 1] if code < last else -1
        count += 1
        if count < most and current == following:
            continue
        if count < least:
            transmitted[current] += count
        elif current != 0:
            if current != before:
                transmitted[current] += 1
            transmitted[16] += 1
        elif count <= 10:
            transmitted[17] += 1
        else:
            transmitted[18] += 1
        count, before = 0, current
        if following == 0:
            most, least = 138, 3
        elif current == following:
            most, least = 6, 3
        else:
            most, least = 7, 4
