"""Grammars: rules as text with something wrong in them, and families with parameters that nobody would give."""

import random
from pathlib import Path

from fuzz_pieces import NUMBERS, damaged

RULES = (
    "S -> 'a' S [0.7] | 'b' [0.3]",
    "S -> NP VP [1.0]\nNP -> 'the' N [0.5] | N [0.5]\nN -> 'cat' [1/3] | 'dog' [2/3]\n"
    "VP -> 'runs' [0.9] | 'sees' NP [0.1]",
    "%start B\nA -> 'x' [1]\nB -> A B [0.4] \\\n | A [0.6]",
    "S -> [0.5] | 'a' S S [0.5]",
)  # fmt: skip
PIECES = (
    "S", "A", "->", "→", "|", "'a'", '"b"', "[0.5]", "[1.0]", "[1e-320]", "[1/0]", "[0/1]", "[1e999999999]", "[1/3]",
    "[-1]", "[nan]",
    "%start S", "\n", "\\", "#", "''", "'", "[", "[1]", "[0.9999999]", "\x00", "\x1b[31m", "é", "\u202e", "[ 1 ]",
    "[" + "9" * 6000 + "]",
    "[0." + "0" * 6000 + "1]",
)  # fmt: skip


def _rules(rng: random.Random) -> str:
    match rng.randrange(6):
        case 0:
            return " ".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 12)))
        case 1:
            length = rng.choice((5, 50, 500, 990, 3000))
            return "".join(f"A{i} -> 'a' A{i + 1} [1.0]\n" for i in range(length)) + f"A{length} -> 'b' [1.0]\n"
        case 2:
            count = rng.choice((3, 30, 3000))
            return "S -> " + " | ".join(f"'t{i}' [{1 / count:.12f}]" for i in range(count))
        case 3:
            share = rng.choice((0.5, 0.4999999999999, 0.3, 1e-15, 1 - 1e-12))
            return f"S -> S S [{share!r}] | 'a' [{1 - share!r}]"
        case 4:
            return "S -> " + "'a' " * rng.choice((10, 1000, 100_000)) + "[1.0]"
        case _:
            words = rng.choice(RULES).split(" ")
            for _ in range(rng.randrange(1, 4)):
                words[rng.randrange(len(words))] = rng.choice(PIECES)
            return " ".join(words)


def _family(rng: random.Random) -> list[str]:
    family = rng.choice(("random", "zipf", "hierarchical"))
    known = {
        "random": {"nonterminals": 3, "terminals": 20, "max-rules": 3, "max-rhs": 3},
        "zipf": {"nonterminals": 5, "terminals": 30, "max-rules": 3, "max-rhs": 4, "exponent": 1.5},
        "hierarchical": {"depth": 3, "branching": 2, "vocabulary": 8, "synonyms": 2, "exponent": 1},
    }[family]
    for name in rng.sample(list(known), rng.choice((0, 1, 1, 2))):
        known[name] = rng.choice((*NUMBERS[:24], 16, 17, 100, 400, 1000, 2000, 100_000, *NUMBERS))
    options = [part for name, value in known.items() if rng.random() > 0.05 for part in (f"--{name}", f"{value}")]
    flags = [flag for flag in ("--pfsa", "--paper-collision", "--unconditioned", "--floor") if rng.random() < 0.2]
    return ["--family", family, *options, *flags]


def make(rng: random.Random, folder: Path) -> list[str]:
    """Describe or sample a grammar, out of a file or of a family."""
    if rng.random() < 0.5:
        content = _rules(rng).encode("utf-8", errors="surrogatepass")
        if rng.random() < 0.3:
            content = damaged(rng, content)
        name = rng.choice(("g.pcfg", "g.pcfg", "a\x1b[31m\n.pcfg"))
        (folder / name).write_bytes(content)
        grammar = ["--family", "explicit", "--file", name]
    else:
        grammar = _family(rng)
    if rng.random() < 0.1:
        grammar += ["--seed", str(rng.choice(NUMBERS))]
    json = ["--json"] if rng.random() < 0.3 else []
    if rng.random() < 0.7:
        return ["grammar", "describe", *grammar, *json]
    tokens = str(rng.choice((1000, 20_000, 1, 0, -5)))
    return ["grammar", "sample", *grammar, "--tokens", tokens, "--out", "out", "--context", "64", *json]
