"""What corpora were made from: those with a common origin are one source, and are left out of a test together."""

from collections.abc import Mapping
from typing import Any

from isoloss.corpus.corpus import Corpus


def sources(corpora: Mapping[str, Corpus]) -> dict[str, str]:
    """Return the source of every corpus, named after the first corpus of it.

    Corpora share a source where they read a common path, a common data set or a common grammar, whatever interventions,
    seeds and tokenizers followed; a mixture shares it with all its parts.
    """
    found: dict[str, str] = {}
    origins: dict[str, set[str]] = {}  # source → everything its corpora were made from
    for name, corpus in corpora.items():
        own = _origins(corpus.source) or {f"corpus {name}"}
        met = [source for source, made_from in origins.items() if made_from & own]
        source = met[0] if met else name
        origins[source] = own.union(*(origins.pop(each) for each in met))
        found = {known: source if before in met else before for known, before in found.items()} | {name: source}
    return found


def _origins(record: Mapping[str, Any]) -> set[str]:
    """Return what a corpus's record says it was made from."""
    match record.get("kind"):
        case "files":
            return {f"path {path}" for path in record["paths"]}
        case "datasets":
            return {f"data set {record['dataset']} {record.get('config')}"}
        case "mixture":
            return set().union(*(_origins(part["source"]) for part in record["parts"]))
        case "pcfg":
            return {f"grammar {record['grammar']}"}
        case _:
            return set()
