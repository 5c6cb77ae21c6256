"""The headings under which help lists verbs, and options where there are many; what has none comes first."""


def _by_name(panels: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: panel for panel, names in panels.items() for name in names}


VERBS = _by_name({
    "Runs and laws": ("fit", "isoflop", "tune", "import", "reproduce"),
    "Plans": ("plan", "next", "explore"),
    "Studies": ("demo", "new", "check", "run", "report", "runs"),
    "Text and grammars": ("measure", "grammar", "push"),
    "Models": ("count", "export"),
    "Methods": ("arena",),
    "For programs": ("schema",),
})  # fmt: skip

OPTIONS = {
    "fit": _by_name({
        "Columns of the table": (
            "params", "params_convention", "tokens", "loss", "flops", "group", "source", "where", "trunk", "tokenizer",
            "vocab", "data_unit", "bytes_per_token", "stderr",
        ),
        "The law": (
            "law", "unique_tokens", "batch_tokens", "other_loss", "pair_with", "column", "fix", "floor", "floor_use",
        ),
        "The fit": ("objective", "delta", "starts", "weights", "exclude_flags", "seed"),
        "Intervals and tests": ("bootstrap", "method", "profile", "backtest", "backtest_above", "complexity"),
        "Answers": ("frontier", "predict", "beyond", "outliers", "best"),
        "Output": ("out", "figure", "page", "quiet", "json"),
    }),
    "isoflop": _by_name({
        "Columns of the table": ("params", "tokens", "loss", "flops", "group", "where", "stderr", "trunk"),
        "Approach 2": ("curve", "noise", "tolerance", "draws"),
    }),
    "plan": _by_name({
        "The question": ("flops", "params", "tokens", "target_loss"),
        "Where the law comes from": (
            "law", "runs", "column", "where", "pilot", "anchor", "reference", "extrapolate", "no_repeat", "tokenizer",
            "bytes_per_token",
        ),
        "From N and D to a run": ("throughput", "params_convention", "recipe", "context", "tied"),
    }),
}  # fmt: skip
