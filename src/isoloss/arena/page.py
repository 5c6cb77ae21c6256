"""The page of the arena's results, made from the numbers that `isoloss arena --json` or the benchmark gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from isoloss.arena.referee import entry_sentences
from isoloss.arena.scores import NAMES, SAID, Entry, Score
from isoloss.arena.tables import HEADS, advice, faults, form_rows, interval_rows, track_rows
from isoloss.arena.tasks import USED_DESIGNS
from isoloss.arena.truths import FORMS

OPENING = """\
# The arena: which method of fitting to believe

Written by `python benchmarks/arena.py`. What every column means: [the arena](../reference/arena.md); the languages and
their runs: [FloorBench](floorbench.md).
"""
FLOORBENCH = """\
Small models trained on twelve languages whose best possible loss is known exactly. A method sees the open runs of a
language. It predicts hidden runs of one size at 3, 10 and 30 times the largest compute that it has seen. Its split is
compared with that of a local surface fitted to all open runs of the language. Caution: this reference errs by about .12
itself, and it is a part of `weighted`, so it flatters that method. Tables of one language are not independent.
"""
SIMULATED = """\
Five forms that isoloss itself fits: a method may do better or worse where the truth has no such form. Three entries
(chinchilla, coupled, ceiling) meet their own form among the five; `lbfgs` and `variable_projection` fit Chinchilla's.
Farseer's surface has no floor, and none is scored on it.
"""
RUNS = """\
A table a corpus; runs above a tenth of its largest compute were held out. Held-out runs carry noise of their own.
Methods that answer splits alone have no numbers here. Nobody knows the floor or the best split of these texts, and
forms and entries of isoloss were chosen on them.
"""


def page(content: Mapping[str, Any]) -> str:
    """Return the page as Markdown. `content` holds `settings` and `entries` as `Entry.to_json` gives them."""
    entries = [read_entry(one) for one in content["entries"]]
    settings = content["settings"]
    simulated = len(FORMS) * len(USED_DESIGNS) * settings["repeats"]
    failed = [f"- {sentence}" for sentence in faults(entries)] or ["None."]
    parts = [
        OPENING,
        *([settings["note"] + "\n"] if "note" in settings else []),
        *_missing(settings.get("not_installed", ())),
        "## Which method when\n",
        "\n".join(f"- {sentence}" for sentence in advice(entries)) + "\n",
        "## The methods\n",
        "\n".join(f"- `{name}`: {sentence}" for name, sentence in entry_sentences().items()) + "\n",
        "## FloorBench\n",
        FLOORBENCH,
        "Test languages, on which nothing was tuned:\n",
        _table(HEADS["floorbench"], track_rows(entries, "floorbench", kind="test")),
        "Tuning languages:\n",
        _table(HEADS["floorbench"], track_rows(entries, "floorbench", kind="tuning")),
        "Everybody's floor from all runs of a language, in nats per token, with 95 % intervals; **bold** where the "
        "interval holds the true one:\n",
        _table(*interval_rows(entries)),
        *_next(entries),
        "## Simulated tables\n",
        SIMULATED,
        f"{simulated} tables: {len(FORMS)} forms on {len(USED_DESIGNS)} designs of 19 to 33 runs, "
        f"{settings['repeats']} of each, seed {settings['seed']}. Errors and seconds are medians, regret is a "
        "mean. The floor and regret are in nats per token, the split in ln(D*/N*). A coverage of 95 % over "
        f"{simulated} tables is known to ± {196 * (0.95 * 0.05 / simulated) ** 0.5:.0f} points. "
        "Numbers in brackets are tables where fewer were answered; methods that "
        "answer fewer are not to be compared with others on that column.\n",
        _table(HEADS["simulated"], track_rows(entries, "simulated")),
        "Median error of ln(D*/N*), by the form of the truth:\n",
        _table(("method", *FORMS), form_rows(entries)),
        "## Bundled runs\n",
        RUNS,
        _table(HEADS["runs"], track_rows(entries, "runs")),
        "## Failures\n",
        "\n".join(failed) + "\n",
    ]
    return "\n".join(parts)


def _missing(names: Sequence[str]) -> list[str]:
    """Return the sentence on packages of others that were not there to be scored."""
    listed = ", ".join(f"`{name}`" for name in names)
    return [f"Not installed where this ran, so not scored: {listed} (benchmarks/peers).\n"] if names else []


def _next(entries: Sequence[Entry]) -> list[str]:
    """Return the section on runs to choose, where tables of it were scored."""
    if not any(one.statuses("next") for one in entries):
        return []
    return [
        "### Which runs next\n",
        "A method sees the two cheapest budgets of one seed and chooses further runs for a tenth of the compute of "
        "all runs of the language. The error is that of the sealed runs' ln L by one law, the coupled one, fitted to "
        "what was seen and chosen. Methods that choose nothing have no number.\n",
        _table(HEADS["next"], track_rows(entries, "next")),
    ]


def read_entry(content: Mapping[str, Any]) -> Entry:
    """Return the entry that `Entry.to_json` wrote."""
    names = ("task", "track", "kind", "status", "message", *NAMES, *SAID)
    scores = tuple(Score(**{name: one[name] for name in names}) for one in content["tables"])
    return Entry(method=content["method"], scores=scores, offline=content["offline"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
