"""Rebuild every figure, table and number of docs/results/answer.md from the committed runs.

    python studies/answer.py

reads studies/answer/runs.csv and corpora.csv, the sealed predictions and measures in docs/results/answer, and writes
docs/results/answer.md, its figures, and theta.csv with what the page says of every text. Corpora whose grid is
unfinished are listed and not estimated.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from answer.estimates import DRAWS, Balance, per_compute
from answer.page import analyse, pictures, written
from answer.readings import load

from isoloss.core import files
from isoloss.report.render import raw_svg, svg_file

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "results" / "answer.md"
THETA = ("corpus", "runs", "flagged", "theta", "low", "high", "sd", "per_ln_flops")


def main() -> None:
    """Write the page, its figures and its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=HERE / "answer", help="the folder of runs.csv and corpora.csv")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page; figures go into a folder of its name")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of every balance, for its error")
    asked = parser.parse_args()
    readings = load(asked.runs)
    found = analyse(readings, sealed_forms=PAGE.with_suffix("") / "sealed-forms.csv", draws=asked.draws)
    folder = asked.page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures(found).items():
        files.write_text(folder / f"{name}.svg", svg_file(raw_svg(figure)))
    write_theta(folder / "theta.csv", found.texts)
    files.write_text(asked.page, written(found))
    said = sum(progress.finished for progress in readings.progress.values())
    print(f"{said} of {len(readings.progress)} corpora finished; wrote {asked.page}")


def write_theta(path: Path, balances: Sequence[Balance]) -> None:
    """Write what the page says of every text."""
    rows = []
    for one in balances:
        numbers = [one.theta.value, one.theta.low, one.theta.high, one.sd, per_compute(one)[0]]
        row = [one.corpus, one.runs, one.flagged, *(f"{value:.8g}" for value in numbers)]
        rows.append(dict(zip(THETA, row, strict=True)))
    files.write_rows(path, THETA, rows)


if __name__ == "__main__":
    main()
