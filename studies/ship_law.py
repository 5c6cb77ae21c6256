"""Put the runs of the answer's texts, and the law fitted to them, into the package.

    python studies/ship_law.py

reads studies/answer/runs.csv and the texts' measures. Flagged runs stay out, and so do texts whose grid is unfinished,
of which most runs are flagged, or which use their bytes unlike the others (docs/results/answer.md).
"""

from collections.abc import Sequence
from pathlib import Path

from answer.readings import NEW, OLD, STUDIES, Row, load

from isoloss.core import files
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.planning import shipped

COLUMNS = ("trunk", "corpus", "seed", "params", "tokens", "flops", "loss_nats", "stderr")
DIGITS = ".6g"


def main() -> None:
    """Write the runs, then the law from what is read back from them."""
    write_runs()
    law = shipped.fit_shipped()
    save_data_dependent(law, shipped.LAW, settings=shipped.shipped_file().settings, tokenizer=shipped.TOKENIZER)
    print(law.summary())


def write_runs(path: Path = shipped.TEXTS) -> None:
    """Write the texts' runs without a flag as the package has them."""
    readings = load(STUDIES)
    rows = [
        {**_kept(row), shipped.MEASURE: format(readings.measures[corpus][shipped.MEASURE], DIGITS)}
        for corpus in readings.finished(NEW + OLD)
        for row in _unflagged(readings.own(corpus))
    ]
    files.write_rows(path, (*COLUMNS, shipped.MEASURE), rows)


def _unflagged(rows: Sequence[Row]) -> list[Row]:
    found = [row for row in rows if not row["flags"]]
    return found if 2 * len(found) > len(rows) else []


def _kept(row: Row) -> dict[str, str]:
    # A trunk's name is a part of its fingerprint, alone within a corpus.
    return {name: row[name] for name in COLUMNS} | {"trunk": f"{row['corpus']} {row['trunk']}"}


if __name__ == "__main__":
    main()
