"""Text of every kind of file, with something wrong in it, to be measured."""

import bz2
import gzip
import json
import lzma
import random
from pathlib import Path

from fuzz_pieces import damaged, value

SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".txt.gz", ".jsonl.xz", ".bz2", ".npy", ".parquet", ".md", "")
PACK = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a file or two, and measure them."""
    names = []
    for number in range(rng.choice((1, 1, 2))):
        stem = rng.choice(("text", "text", "a\x1b[31m\n", "é", "[x]", "-"))
        suffix = rng.choice(SUFFIXES)
        name = f"{stem}{number}{suffix}"
        (folder / name).write_bytes(_content(rng, suffix))
        names.append(rng.choice((name, name, name, f"{name}*", f"./{name}", ".")))
    if rng.random() < 0.1:
        (folder / "loop").symlink_to(rng.choice((".", "..", "loop", "/dev/zero", "/etc")))
        names.append("loop")
    options = [
        part
        for name, choices in {
            "--measure": ("gzip,unigram", "ngram", "xz-blocks", "gzip-curve", "heaps", "nope", "evil:X", "", "gzip,,",
            "alpha_d", "spectrum"),
            "--sequence-tokens": ("64", "2", "100000", "1", "9999999999"), "--samples": ("2", "50", "99999999999"),
            "--token-bytes": ("1", "8", "9"), "--text-field": ("text", "x", ""), "--tokenizer": ("bytes", "nope",
            "evil:X", "text0.txt", "os:abort"),
            "--broken-rows": ("skip", "x"), "--seed": ("1", "-1", "9" * 40), "--block-tokens": ("256",
            "99999999999999"),
        }.items()
        if rng.random() < 0.12
        for part in (name, rng.choice(choices))
    ]  # fmt: skip
    json_ = ["--json"] if rng.random() < 0.3 else []
    return ["measure", *options, *json_, "--", *names]


def _content(rng: random.Random, suffix: str) -> bytes:
    words = ["the ", "law ", "loss\n", "é", "token ", "scaling ", "\n\n", "\t", "0 "]
    text = "".join(rng.choice(words) for _ in range(rng.choice((0, 3, 3000, 3000))))
    if ".json" in suffix:
        rows: list[object] = [{"text": text[i : i + 200]} for i in range(0, len(text), 200)]
        if rows and rng.random() < 0.4:
            rows[rng.randrange(len(rows))] = value(rng)
        text = "\n".join(json.dumps(row) for row in rows) if rng.random() < 0.8 else json.dumps(rows)
        if rng.random() < 0.05:
            text += rng.choice(("[" * 100_000, '{"text":' * 100_000, '{"text": "\\ud800"}'))
    content = text.encode("utf-8", errors="surrogatepass")
    if rng.random() < 0.2:
        content = damaged(rng, content)
    content = PACK.get(Path(f"x{suffix}").suffix, bytes)(content)
    return damaged(rng, content) if rng.random() < 0.1 else content
