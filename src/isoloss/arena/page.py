"""The page of the arena's results, made from the numbers that `isoloss arena --json` or the benchmark gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from isoloss.arena.scores import NAMES, Entry, Score
from isoloss.arena.tables import HEADS, faults, form_rows, track_rows
from isoloss.arena.tasks import USED_DESIGNS
from isoloss.arena.truths import FORMS

OPENING = """\
# The arena: which method of fitting to believe

Written by `python benchmarks/arena.py`. What every column means: [the arena](../reference/arena.md).

**What is not here.** The arena was meant for languages whose floor is known exactly, with trained runs and a sealed
part at thirty times the compute. Those runs do not exist yet. The floors below are those of simulated surfaces, of
five forms that isoloss itself fits: a method may do better or worse where the truth has no such form. Of the bundled
runs nobody knows the floor or the best split; they score losses alone, and they are the runs on which forms and
entries of isoloss were chosen. Three entries (chinchilla, coupled, ceiling) meet their own form among the five.
Farseer's surface has no floor, and none is scored on it.
"""


def page(content: Mapping[str, Any]) -> str:
    """Return the page as Markdown. `content` holds `settings` and `entries` as `Entry.to_json` gives them."""
    entries = [read_entry(one) for one in content["entries"]]
    settings = content["settings"]
    simulated = len(FORMS) * len(USED_DESIGNS) * settings["repeats"]
    failed = [f"- {sentence}" for sentence in faults(entries)] or ["None."]
    parts = [
        OPENING,
        "## Simulated tables\n",
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
        "A table a corpus; runs above a tenth of its largest compute were held out. Held-out runs carry noise of their "
        "own. Methods that answer splits alone have no numbers here.\n",
        _table(HEADS["runs"], track_rows(entries, "runs")),
        "## Failures\n",
        "\n".join(failed) + "\n",
    ]
    return "\n".join(parts)


def read_entry(content: Mapping[str, Any]) -> Entry:
    """Return the entry that `Entry.to_json` wrote."""
    names = ("task", "track", "kind", "status", "message", *NAMES)
    scores = tuple(Score(**{name: one[name] for name in names}) for one in content["tables"])
    return Entry(method=content["method"], scores=scores, offline=content["offline"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
