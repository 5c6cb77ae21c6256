"""Measure the gzip ratio of other choices of files from the packages of the real corpora.

    python studies/measure_selections.py --corpora CORPORA --tokenizer CORPORA/llama2.json --out DIR

CORPORA is where get_corpora.py keeps its downloads. Writes DIR/families/selections.json from the [[selection]] tables
of studies/corpora.toml: one language or notation has more than one ratio, and which files were taken decides. Of each
selection at most 20 MB are read, in an order drawn from the documents' content; near duplicates stay. About a minute.
"""

import argparse
import tempfile
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from corpora_readers import READERS, Named
from get_corpora import LARGEST_BYTES, TABLE, is_text, members, rank, unpacked
from measure_corpora import SEED, SETTINGS, as_text
from tokenizers import Tokenizer

from isoloss.complexity.measure import measure_text
from isoloss.core import files

HEAD_BYTES = 3_000


def main() -> None:
    """Measure every selection, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(asked.tokenizer))
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in table["package"]}
    rows = []
    for names, selections in by_packages(table["selection"]):
        with tempfile.TemporaryDirectory(prefix="isoloss-selections-") as scratch:
            for name in names:
                unpacked(packages[name], asked.corpora / ".downloads", Path(scratch))
            for selection in selections:
                rows.append(measured(selection, Path(scratch), tokenizer))
                print(f"{rows[-1]['name']}: {rows[-1]['gzip']['value']:.3f}", flush=True)
    files.write_json(asked.out / "families" / "selections.json", rows)


def by_packages(selections: list[dict[str, Any]]) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """Yield the packages of selections that follow one another, and those selections: each is unpacked once."""
    for names, group in groupby(selections, key=lambda selection: selection["packages"]):
        yield names, list(group)


def measured(selection: dict[str, Any], root: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a selection's sizes and gzip ratio."""
    documents = sorted(filter(is_text, READERS[selection["read"]](chosen(root, selection))), key=rank)
    held, size = [], 0
    for content in documents:
        if (size := size + len(content)) > LARGEST_BYTES:
            break
        held.append(content)
    text = as_text(selection["name"], held, tokenizer)
    return {
        "of": selection["of"], "name": selection["name"], "documents": len(documents),
        "bytes": sum(map(len, documents)), "read": sum(map(len, held)), "bytes_per_token": text.bytes_per_token,
        "gzip": measure_text(text, "gzip", settings=SETTINGS, seed=SEED).to_json(),
    }  # fmt: skip


def chosen(root: Path, selection: dict[str, Any]) -> Iterator[Named]:
    """Yield (name, content) of a selection's files: those whose head holds the text asked for, or does not."""
    wanted, unwanted = selection.get("holding"), selection.get("not_holding")
    for name, content in members(root, selection):
        head = content[:HEAD_BYTES]
        if (wanted is None or wanted.encode() in head) and (unwanted is None or unwanted.encode() not in head):
            yield name, content


if __name__ == "__main__":
    main()
