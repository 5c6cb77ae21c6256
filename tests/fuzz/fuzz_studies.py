"""Studies: a valid one of every kind, then something wrong with it."""

import random
from pathlib import Path

from fuzz_pieces import damaged, mutated, toml

PCFG = {"name": "g", "source": "pcfg", "tokens": 20_000, "heldout_tokens": 2048}
GRAMMARS = (
    {"family": "random", "nonterminals": 3, "terminals": 20, "max_rules": 2, "max_rhs": 2, "seed": 1},
    {"family": "zipf", "nonterminals": 3, "terminals": 20, "max_rules": 3, "max_rhs": 3, "exponent": 1.0},
    {"family": "hierarchical", "depth": 3, "branching": 2, "vocabulary": 6, "synonyms": 2},
    {"family": "explicit", "text": "S -> 'a' S [0.7] | 'b' [0.3]"},
)  # fmt: skip
TRAINING = {"batch_tokens": 256, "peak_lr": 5e-3}
GRID = {"params": [1e4, 3e4], "tokens": [5e3, 1e4], "context": 64}
FILES = {"name": "t", "source": "files", "paths": ["text"], "tokens": 20_000, "heldout_tokens": 2048}
RULE = {"at_params": 1e5, "value": 5e-3, "exponent": -0.5}


def _corpora(rng: random.Random) -> list[object]:
    kinds = [
        {**PCFG, "grammar": rng.choice(GRAMMARS)},
        FILES,
        {**FILES, "exclude": ["text/1*"], "separator": "\n\n", "near_duplicates": "report", "compact": True},
        {**FILES, "interventions": [{"kind": "shuffle_lines"}]},
        {
            "name": "m", "source": "mixture", "tokens": 20_000, "heldout_tokens": 2048,
            "parts": [{"weight": 1.0, "of": {**FILES, "name": "p"}}, {"weight": 2, "of": {**FILES, "name": "q"}}],
        },
        {"name": "d", "source": "datasets", "dataset": "text", "tokens": 20_000},
    ]  # fmt: skip
    return [dict(kind) for kind in rng.sample(kinds, rng.choice((1, 1, 1, 2)))]


def study(rng: random.Random) -> dict[str, object]:
    """Return a study that is valid, or nearly."""
    found = {
        "schema": 1, "name": "x", "seed": 1, "corpus": _corpora(rng), "grid": dict(GRID), "training": dict(TRAINING),
        "complexity": {"measures": ["gzip"], "sequence_tokens": 64},
        "fit": {"laws": ["chinchilla", "data_dependent"], "objective": "huber", "bootstrap": 10},
    }  # fmt: skip
    more = {
        "tune": {"rate_factors": [0.5, 1.0, 2.0], "batch_factors": [0.5, 1.0]},
        "evaluate": {"models": ["model"], "cross": True},
        "run": [{"corpus": "g", "params": 2e4, "tokens": 1e4, "seed": 1}],
    }
    for name in rng.sample(list(more), rng.choice((0, 0, 0, 1))):
        found[name] = more[name]
    if rng.random() < 0.3:
        found["grid"] |= rng.choice((
            {"tokens": None, "flops": [1e9, 1e10]}, {"seeds": [0, 1]}, {"family": "openlm", "qk_norm": True},
            {"params": None, "shapes": ["gzip-4M"]}, {"convention": "total", "tied": False},
            {"params": None, "shapes": [{"width": 32, "depth": 2, "heads": 2, "ffn": 64}]},
            {"tokens": None, "params": [1e4, 2e4, 4e4, 8e4, 1.6e5]}, {"least_tokens": 1e3, "tokens": None,
            "flops": [1e8, 1e9]},
        ))  # fmt: skip
    if rng.random() < 0.3:
        found["training"] |= rng.choice((
            {"peak_lr": dict(RULE)}, {"peak_lr": "step_law"}, {"warmup_tokens": "porian"},
            {"weight_decay": {"timescale": 0.5}},
            {"beta2": {"half_life_tokens": 1e5}}, {"schedule": "cosine", "final_lr": 1e-5}, {"rate_arms": [0.5, 2.0]},
            {"decay_exponent": 0.5, "decay_tokens": 1000}, {"dtype": "bfloat16"}, {"batch_tokens": "porian"},
        ))  # fmt: skip
    return found


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a study and some text, and ask what the study would do."""
    write_texts(rng, folder / "text")
    content = toml(mutated(rng, study(rng), rng.choice((0, 1, 1, 1, 2, 3)))).encode("utf-8", errors="surrogatepass")
    if rng.random() < 0.15:
        content = damaged(rng, content)
    if rng.random() < 0.03:
        content += rng.choice((b"a = " + b"[" * 50_000, b"a" + b".a" * 50_000 + b" = 1", b"seed = " + b"9" * 100_000))
    name = rng.choice(("study.toml", "study.toml", "a\x1b[31m\n.toml", "study"))
    (folder / name).write_bytes(content)
    json = ["--json"] if rng.random() < 0.3 else []
    return ["check", name, *json] if rng.random() < 0.95 else ["next", name, "--flops", "1e9", *json]


def write_texts(rng: random.Random, folder: Path) -> None:
    """Write a few files of words."""
    folder.mkdir()
    words = ["the", "of", "law", "loss", "token", "model", "\n", "corpus", "é", "scaling", "\n\n"]
    for number in range(12):
        (folder / f"{number}.txt").write_text(" ".join(rng.choice(words) for _ in range(1500)), encoding="utf-8")
