"""A corpus is built and measured in memory that does not grow with it."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("memory_probe.py")
LINES = 40_000
# The text is 48 MB, its tokens 96 MB as they are stored. What grows: a mapped block of 8 MB, the sketch of a hash
# table, the list of some thousand documents, and what the allocator keeps.
GROWTH_MB = 48


def text_lines(lines: int) -> list[str]:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 9))) for _ in range(2000)]
    made = [" ".join(rng.choices(words, k=20)) for _ in range(1000)]
    return [made[rng.randrange(1000)] + f" {number}" for number in range(lines) for _ in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder, lines = tmp_path_factory.mktemp("texts"), text_lines(LINES)
    (folder / "small.txt").write_text("\n".join(lines[:2000]))
    (folder / "large.txt").write_text("\n".join(lines))
    rows = ("\n".join(lines[i : i + 100]) for i in range(0, len(lines), 100))
    with gzip.open(folder / "large.jsonl.gz", "wt", compresslevel=1) as stream:
        stream.writelines(json.dumps({"text": row}) + "\n" for row in rows)
    return folder


@pytest.mark.parametrize(
    ("work", "name", "piece_bytes"),
    [("build", "large.txt", 10_000), ("build", "large.jsonl.gz", 0), ("measure", "large.jsonl.gz", 0)],
)
def test_memory_does_not_grow_with_the_text(folder, tmp_path, work, name, piece_bytes):
    grown, tokens = probe(work, tmp_path, folder / name, piece_bytes)
    assert tokens > 40_000_000
    assert grown < GROWTH_MB


def test_memory_does_not_grow_with_what_a_grammar_says(tmp_path):
    # 200 MB of tokens, drawn, counted and searched for held-out documents: their offsets are 3 MB.
    grown, tokens = probe("sample", tmp_path, 100_000_000)
    assert tokens == 100_000_000
    assert grown < GROWTH_MB


def probe(*arguments: object) -> tuple[float, int]:
    call = [sys.executable, str(PROBE), *map(str, arguments)]
    grown, tokens = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
    return float(grown), int(tokens)
