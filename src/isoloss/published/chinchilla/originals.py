"""The points of Hoffmann et al.'s figure 4 as Besiroglu et al. published them, made into this study's table."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from isoloss.core.errors import BadTable, require_columns
from isoloss.published.folder import Columns

POINTS = "svg_extracted_data.csv"
COLUMNS = {"params": "Model Size", "flops": "Training FLOP", "loss": "loss"}
OUTLIERS = 5  # of the highest loss, which Besiroglu et al. leave out


def tables_of(originals: Mapping[str, Path]) -> dict[str, Columns]:
    """Return the 245 points with tokens as flops / 6 / params, and which five the re-analysis leaves out."""
    path = originals[POINTS]
    rows = _rows(path)
    params, flops, loss = (np.array([row[i] for row in rows]) for i in range(len(COLUMNS)))
    outlier = np.zeros(len(rows), dtype=bool)
    outlier[np.argsort(-loss, kind="stable")[:OUTLIERS]] = True
    return {"chinchilla_runs_245.csv": {
        "params": params, "tokens": flops / 6 / params, "flops": flops, "loss": loss, "epoch_outlier": outlier,
    }}  # fmt: skip


def _rows(path: Path) -> list[tuple[float, ...]]:
    """Return the rows in which no number is missing."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            require_columns(COLUMNS.values(), reader.fieldnames or (), place=str(path))
            read = [[row[name] for name in COLUMNS.values()] for row in reader]
        return [tuple(map(float, row)) for row in read if all(row)]
    except (ValueError, TypeError, csv.Error) as error:
        raise BadTable(f"not a table of numbers: {error}", place=str(path), fix="fetch it anew") from error
