"""Keep what measures say of interventions, grammars and later texts: the others stand in sealed-measures.csv.

    isoloss run studies/answer/noise-15.toml --out results/answer --until complexity --json > noise-15.json
    python studies/answer/measures.py noise-15.json …

adds to studies/answer/measures.csv, one row a corpus.
"""

import argparse
import csv
import json
from pathlib import Path

from isoloss.core import files

OUT = Path(__file__).with_name("measures.csv")
MEASURES = ("gzip", "gzip-bytes", "zstd-bytes-blocks", "ppmd-bytes-blocks", "unigram", "ngram", "alpha_d", "spectrum")


def main() -> None:
    """Merge the measures of the files into the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("measured", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    rows = {}
    if asked.out.exists():
        with asked.out.open(encoding="utf-8", newline="") as stream:
            rows = {row["corpus"]: row for row in csv.DictReader(stream)}
    for source in asked.measured:
        for corpus in json.loads(source.read_text(encoding="utf-8"))["corpora"]:
            values = {name: (corpus["measures"].get(name) or {}).get("value") for name in MEASURES}
            rows[corpus["name"]] = {
                "corpus": corpus["name"],
                **{name: "" if value is None else f"{value:.5g}" for name, value in values.items()},
            }
    files.write_rows(asked.out, ("corpus", *MEASURES), [rows[name] for name in sorted(rows)])


if __name__ == "__main__":
    main()
