"""The page of the arena's results, made from the numbers that `isoloss arena --json` or the benchmark gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from isoloss.arena.referee import entry_sentences
from isoloss.arena.scores import Entry, Score
from isoloss.arena.tables import HEADS, advice, faults, form_rows, interval_rows, track_rows
from isoloss.arena.tasks import USED_DESIGNS
from isoloss.arena.truths import FORMS

OPENING = """\
# The arena: which method of fitting to trust

The arena scores methods of fitting scaling laws on tables of runs whose truth is known. `python benchmarks/arena.py`
writes this page. [The arena](../reference/arena.md) explains the scoring, [FloorBench](floorbench.md) the languages
and their runs.

How to read the columns: *floor* is the lowest possible loss, *split* is ln(D*/N*), the logarithm of the best tokens
per parameter. *floor held* and *split held* count the 95 % intervals that contain the true value. *loss error 3×* is
the error of a predicted loss at 3 times the largest compute seen. *regret* is the loss of the planned split above the
loss of the best one.
"""
FLOORBENCH = """\
Small models were trained on twelve artificial languages whose lowest possible loss is known exactly. A method sees the
open runs of a language. It predicts hidden (sealed) runs of one size at 3, 10 and 30 times the largest compute that it
has seen. Its split is compared with the split of a local surface fitted to all open runs of the language. Caution: this
reference has an error of about 0.12 itself. It is also a part of `weighted`, which favours that method. Tables of one
language are not independent.
"""
SIMULATED = """\
The true losses follow one of five laws, all of which isoloss itself fits. If the truth is none of these, a method may
do better or worse. Five entries (chinchilla, coupled, ceiling, farseer, kaplan) meet their own law among the five, and
`lbfgs` and `variable_projection` meet Chinchilla's. Farseer's law has no floor, so no floor is scored on it.
"""
RUNS = """\
One table per corpus. Runs above a tenth of its largest compute were held out; they have noise of their own. Methods
that answer only splits have no numbers here. Nobody knows the floor or the best split of these texts. The laws and
entries of isoloss were chosen on them, which favours these entries.
"""
PUBLISHED = """\
Runs of others, on models of up to ten billion parameters, from Porian et al. 2024, Hoffmann et al. 2022, Muennighoff et
al. 2023 (data used once) and Pandey 2024. Each configuration or data set is one table. Again, runs above a tenth of a
table's largest compute were held out. isoloss does not contain these data; `isoloss reproduce STUDY` says where to
find them.
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
        "The floor that each method estimates from all runs of a language, in nats per token, with 95 % intervals; "
        "**bold** if the interval contains the true floor:\n",
        _table(*interval_rows(entries)),
        *_next(entries),
        "## Simulated tables\n",
        SIMULATED,
        f"{simulated} tables: {len(FORMS)} laws on {len(USED_DESIGNS)} designs of 19 to 33 runs, "
        f"{settings['repeats']} of each, seed {settings['seed']}. Errors and seconds are medians, regret is a "
        "mean. The floor and regret are in nats per token, the split in ln(D*/N*). A coverage of 95 % over "
        f"{simulated} tables is known to ± {196 * (0.95 * 0.05 / simulated) ** 0.5:.0f} points. "
        "A number in brackets says how many tables a figure covers, if these are fewer than the method answered. Do "
        "not compare such a figure with other methods.\n",
        _table(HEADS["simulated"], track_rows(entries, "simulated")),
        "Median error of ln(D*/N*), by the true law:\n",
        _table(("method", *FORMS), form_rows(entries)),
        "## Bundled runs\n",
        RUNS,
        _table(HEADS["runs"], track_rows(entries, "runs")),
        *_published(entries),
        "## Failures\n",
        "\n".join(failed) + "\n",
    ]
    return "\n".join(parts)


def _missing(names: Sequence[str]) -> list[str]:
    """Return the sentence on packages of others that were not there to be scored."""
    listed = ", ".join(f"`{name}`" for name in names)
    return [f"Not scored, because it was not installed: {listed} (benchmarks/peers).\n"] if names else []


def _next(entries: Sequence[Entry]) -> list[str]:
    """Return the section on runs to choose, where tables of it were scored."""
    if not any(one.statuses("next") for one in entries):
        return []
    return [
        "### Which runs next\n",
        "A method sees the two smallest budgets of one seed. It chooses further runs that cost up to a tenth of the "
        "compute of all runs of the language. Then the coupled law is fitted to the runs that were seen or chosen. "
        "*next error* is that law's error of ln L on the sealed runs. Methods that choose nothing have no number.\n",
        _table(HEADS["next"], track_rows(entries, "next")),
    ]


def _published(entries: Sequence[Entry]) -> list[str]:
    """Return the section on published tables, where some were at hand."""
    rows = track_rows(entries, "published")
    return ["## Published runs\n", PUBLISHED, _table(HEADS["published"], rows)] if rows else []


def read_entry(content: Mapping[str, Any]) -> Entry:
    """Return the entry that `Entry.to_json` wrote."""
    scores = tuple(Score(**one) for one in content["tables"])
    return Entry(method=content["method"], scores=scores, offline=content["offline"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
