"""Tables of runs, damaged in every way, asked for what is made of laws: plans, pages, rules of rate and batch."""

import random
from pathlib import Path

from fuzz_tables import CONDITIONS, FORMULAS, NAMES, written_table

BUDGETS = ("1e17", "1e19,1e21", "1e16", "0", "nan", "1e400", "-1", "", "x", "1e17,", "1e300")
PLANS = (["--extrapolate"], ["--params", "1e8"], ["--tokenizer", "bytes"], ["--tokenizer", "os:abort"], ["--page",
"page.html"], ["--figure", "f.svg"], ["--figure", "f.xyz"], ["--recipe", "x"], ["--params-convention", "total"],
["--target-loss", "2.5"], ["--context", "99999999999"], ["--throughput", "nan"], ["--anchor", "porian"])  # fmt: skip


def make(rng: random.Random, folder: Path) -> list[str]:
    """Write a table of runs, and plan by it, explore it, or tune by it."""
    name = written_table(rng, folder)
    json_ = ["--json"] if rng.random() < 0.3 else []
    verb = rng.choice(("plan", "plan", "tune", "explore"))
    if verb == "plan":
        columns = {"loss": "loss"} | {
            key: rng.choice((*NAMES, *FORMULAS, "g", "t"))
            for key in ("params", "tokens", "flops", "group", "vocab", "x")
            if rng.random() < 0.06
        }  # fmt: skip
        more = [part for option in PLANS if rng.random() < 0.06 for part in option]
        more += ["--where", rng.choice(CONDITIONS)] if rng.random() < 0.1 else []
        named = [part for key, column in columns.items() for part in ("--column", f"{key}={column}")]
        return ["plan", "--runs", name, *named, "--flops", rng.choice(BUDGETS[: rng.choice((3, 11))]), *more, *json_]
    loss = rng.choice(("loss", "loss", "loss", *NAMES, *FORMULAS))
    options = ["--loss", loss, *(["--where", rng.choice(CONDITIONS)] if rng.random() < 0.1 else [])]
    options += ["--group", rng.choice(("g", "t", *NAMES))] if rng.random() < 0.3 else []
    if verb == "tune":
        return ["tune", name, *options, "--rate", rng.choice(("t", "g", "tokens / 1e12", *FORMULAS)), "--batch-tokens",
                rng.choice(("params / 100", "tokens", "nope")), *json_]  # fmt: skip
    out = rng.choice(("page.html", "page.html", "a/b.html", "", ".", "\x1b[31m.html"))
    return ["explore", name, *options, "--bootstrap", "5", "--out", out, *json_]
