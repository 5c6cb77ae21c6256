"""The C4 runs as Muennighoff et al. published them, dictionaries in a notebook, made into this study's tables.

Nothing of the notebook is run: its dictionaries are read as literals, and a run's size, tokens and unique tokens from
its name as the notebook reads them, slips included.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.core.errors import BadTable
from isoloss.published.folder import Columns

NOTEBOOK = "parametric_fit.ipynb"
LOSSES, TOKENS, PARAMS = "NAMES_TO_VAL_LOSSES", "TOKENS_MAP", "PARAMS_MAP"
TABLES = ("c4_repeat_runs.csv", "c4_repeat_runs_182.csv")  # of its first and its second dictionary of losses
# What the notebook strikes out of a name before it reads it, in its order.
MARKS = ("op2", "seed1", "seed2", "seed3", "seed4", "opt1", "opt", "c4", "v2")


def tables_of(originals: Mapping[str, Path]) -> dict[str, Columns]:
    """Return every finished run, and those that are left after the notebook's filter by hand."""
    path = originals[NOTEBOOK]
    found = list(_dictionaries(path))
    losses = [value for name, value in found if name == LOSSES]
    maps = [next((value for name, value in found if name == wanted), None) for wanted in (TOKENS, PARAMS)]
    if len(losses) < len(TABLES) or None in maps:
        raise BadTable(f"its cells hold {len(losses)} dictionaries {LOSSES}, expected 2, next to {TOKENS} and {PARAMS}",
                       place=str(path), fix="fetch it anew")  # fmt: skip
    tokens, params = maps
    try:
        return {
            table: _table(runs, tokens=tokens or {}, params=params or {})
            for table, runs in zip(TABLES, losses, strict=False)
        }
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise BadTable(f"a run that cannot be read: {error}", place=str(path), fix="fetch it anew") from error


def _dictionaries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dictionaries that the notebook's cells assign to names, with the names, in their order."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadTable("not a notebook", place=str(path), fix="fetch it anew") from error
    for source in sources:
        if not any(name in source for name in (LOSSES, TOKENS, PARAMS)):
            continue
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # a cell with a shell line, or spoiled: what it would have held is then missing
        yield from _assigned(body)


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, dict[str, Any]]]:
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as value):
                try:
                    yield name, ast.literal_eval(value)
                except (ValueError, TypeError, RecursionError, MemoryError):
                    continue


def _table(losses: Mapping[str, Any], *, tokens: Mapping[str, Any], params: Mapping[str, Any]) -> Columns:
    """Return the finished runs on data that were not deduplicated. A loss of 0 is a run that did not finish."""
    names = [name for name, loss in losses.items() if loss != 0 and not name.endswith("dedup")]
    read = [_read_name(name, tokens=tokens, params=params) for name in names]
    columns = [np.array(column, dtype=float) for column in zip(*read, strict=True)]
    return {
        "run": np.array(names), "params": columns[0], "tokens": columns[1], "unique_tokens": columns[2],
        "val_loss": np.array([float(losses[name]) for name in names]),
    }  # fmt: skip


def _read_name(name: str, *, tokens: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return parameters, tokens and unique tokens that a name like 2b855b1b5 says: 2.8B, 55B, 1.5B."""
    for mark in MARKS:
        name = name.replace(mark, "")
    size = next((end for end in range(2, len(name)) if name[:end] in params), None)
    if size is None:
        raise ValueError(f"no size in {name!r}")
    ends_in_unit = name[-1] in "bm"
    tail = name[-4:] if ends_in_unit or name[-2] not in "bm" else name[-3:]
    while tail.count("b") > 1 or tail.count("m") > 1:
        tail = tail[1:]
    middle = name[size : len(name) - len(tail)]
    return float(params[name[:size]]), _billions(middle, tokens), _billions(tail, tokens)


def _billions(text: str, tokens: Mapping[str, Any]) -> float:
    value = tokens[text] if text in tokens else float(text.replace("b", ".").strip("."))
    return float(value * 1e9)
