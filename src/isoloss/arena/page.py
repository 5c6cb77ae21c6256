"""The page of the arena's results, made from the numbers that `isoloss arena --json` or the benchmark gives."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from isoloss.arena.referee import entry_sentences
from isoloss.arena.scores import Entry, Score
from isoloss.arena.tables import HEADS, advice, faults, form_rows, interval_rows, track_rows
from isoloss.arena.tasks import USED_DESIGNS
from isoloss.arena.truths import FORMS


def page(content: Mapping[str, Any]) -> str:
    """Return the page as Markdown. `content` holds `settings` and `entries` as `Entry.to_json` gives them."""
    entries = [read_entry(one) for one in content["entries"]]
    settings = content["settings"]
    templates = Environment(
        loader=PackageLoader("isoloss.arena", "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return templates.get_template("page.md.j2").render(
        settings={"not_installed": (), **settings}, heads=HEADS, rows=partial(track_rows, entries),
        advice=advice(entries), methods=entry_sentences(), intervals=interval_rows(entries),
        chosen=any(one.statuses("next") for one in entries), forms=list(FORMS), form_rows=form_rows(entries),
        designs=USED_DESIGNS, simulated=len(FORMS) * len(USED_DESIGNS) * settings["repeats"], failed=faults(entries),
    )  # fmt: skip


def read_entry(content: Mapping[str, Any]) -> Entry:
    """Return the entry that `Entry.to_json` wrote."""
    scores = tuple(Score(**one) for one in content["tables"])
    return Entry(method=content["method"], scores=scores, offline=content["offline"])
