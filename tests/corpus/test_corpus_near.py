"""Near duplicates: the similarity is Jaccard's, pairs at the threshold are found, and order does not matter."""

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoloss.corpus.near import MINIMA, NearDuplicates, bands, shingles

WORDS = [f"w{i}" for i in range(5000)]


def text(rng: random.Random, words: int = 400) -> list[str]:
    return rng.choices(WORDS, k=words)


def edited(words: list[str], share: float, rng: random.Random) -> list[str]:
    return [rng.choice(WORDS) if rng.random() < share else word for word in words]


def joined(words: list[str]) -> bytes:
    return " ".join(words).encode()


def test_pairs_clear_of_the_threshold_are_distinguished():
    rng, near = random.Random(0), NearDuplicates(0.7)
    originals = [text(rng) for _ in range(60)]
    texts = [joined(words) for words in originals]
    texts += [joined(edited(words, rng.choice([0.005, 0.02, 0.1, 0.3]), rng)) for words in originals]
    for content in texts:
        near.add(content)
    # The estimate's standard error is .029 at .7: three of them on either side.
    held = [frozenset(shingles(content)) for content in texts]
    exact = {(i, j): len(a & b) / len(a | b) for i, a in enumerate(held) for j, b in enumerate(held) if i != j}
    found = {(i, j) for i in range(120) for j in near.neighbours(i)}
    assert {pair for pair, value in exact.items() if value > 0.79} <= found
    assert found <= {pair for pair, value in exact.items() if value > 0.61}
    assert len(found) > 40


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
def test_banding_misses_one_pair_in_a_hundred_at_most(threshold):
    count = bands(threshold)
    assert MINIMA % count == 0
    assert (1 - threshold ** (MINIMA // count)) ** count <= 0.01


def test_what_remains_is_near_nothing_that_remains_and_covers_what_left():
    rng, near = random.Random(1), NearDuplicates(0.8)
    base = [text(rng) for _ in range(20)]
    texts = [joined(edited(words, 0.01, rng)) for words in base for _ in range(3)]
    added = [near.add(content) for content in texts]
    remaining = near.distinct(range(60))
    assert {number for number, known in enumerate(added) if not known} <= set(remaining)
    assert all(not set(near.neighbours(number)) & set(remaining) for number in remaining)
    assert all(set(near.neighbours(number)) & set(remaining) for number in set(range(60)) - set(remaining))
    assert near.distinct(reversed(range(60))) != remaining


@given(st.lists(st.sampled_from(["a", "b", "c,d", "é"]), max_size=30))
def test_shingles_are_the_distinct_runs_of_five_words(words):
    content = " ".join(words).encode()
    plain = content.replace(b",", b" ").split()
    runs = {b" ".join(plain[i : i + 5]) for i in range(len(plain) - 4)}
    assert set(shingles(content)) == (runs or {content})


def test_sketches_are_the_same_in_another_process():
    # Golden: the sketch decides which documents remain. rensa states its algorithm's version; a new one shows here.
    code = "import rensa; m = rensa.RMinHash(4, 0); m.update([b'one', b'two']); print(m.digest())"
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert seen == {"[3548414407, 1295001066, 537837161, 610158650]\n"}
