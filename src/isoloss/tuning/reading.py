"""A sweep of rate × batch out of anybody's table: one row a run, with its size, tokens, rate, batch and loss."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable
from isoloss.laws.law import Floats
from isoloss.runs.columns import Columns, number_in, same_column
from isoloss.runs.observations import NO_GROUP
from isoloss.runs.read_runs import Source, name_of, open_table
from isoloss.tuning.sweep import SweptRun

# Sizes, horizons and batches this near are one: whole numbers of steps move tokens by as much.
SAME = 0.05


def read_sweep(
    source: Source,
    *,
    params: str = "params",
    tokens: str = "tokens",
    rate: str = "peak_lr",
    batch_tokens: str | None = "batch_tokens",
    loss: str = "loss_nats",
    seed: str | None = None,
    group: str | None = None,
    where: str | None = None,
) -> dict[str, list[SweptRun]]:
    """Return the runs of every group (one called "all" without `group`), as `fit_sweep` takes them.

    The keywords name columns, or formulas over them: `batch_tokens="bs * 2048"`. A loss that is missing, NaN or
    infinite is a run that diverged. Sizes, tokens and batches within 5 % of each other are one; `batch_tokens=None`
    says that there is one batch. Raises BadTable as `isoloss.runs.read_runs.read_runs` does.
    """
    columns = Columns(open_table(source, where=where), place=name_of(source))
    losses = _losses(columns, same_column(loss, columns.names))
    if batch_tokens == "batch_tokens" and batch_tokens not in columns.names:
        remedy = (
            "name the column of tokens per batch (on the command line: --batch-tokens COLUMN), or say that all runs "
            "have one batch size (--batch-tokens none)"
        )
        raise columns.no_column(batch_tokens, remedy=remedy)
    read = {name: _positive(columns, name) for name in (params, tokens, rate)}
    batches = np.ones(len(losses)) if batch_tokens is None else _positive(columns, batch_tokens)
    seeds = np.zeros(len(losses)) if seed is None else columns.numbers(seed)
    groups = np.full(len(losses), NO_GROUP) if group is None else columns.groups(group)
    found: dict[str, list[SweptRun]] = {}
    for name in dict.fromkeys(groups.tolist()):
        own = groups == name
        sizes, data, sets = (_merged(values[own]) for values in (read[params], read[tokens], batches))
        found[str(name)] = [
            SweptRun(params=int(n), tokens=int(d), seed=int(s), peak_lr=float(lr), batch_tokens=int(b), loss_nats=value)
            for n, d, s, lr, b, value in zip(
                sizes, data, seeds[own], read[rate][own], sets, losses[own].tolist(), strict=True
            )
        ]
    return found


def _losses(columns: Columns, name: str) -> NDArray[np.object_]:
    """Return losses, None where a run diverged. Raises BadTable for text that is no number, and where none is left."""
    values = columns.given(name).to_pylist()
    found = np.full(len(values), None, dtype=object)
    for place, value in enumerate(values):
        try:
            number = np.inf if value is None else number_in(value)
        except ValueError:
            raise BadTable(
                f"found {value!r}, expected a number",
                place=f"{columns.place}, column {name}, row {columns.rows[place]}",
                fix="leave the cell empty where the run diverged; correct the row, leave it out with --where, or name "
                "another column",
            ) from None  # fmt: skip
        if np.isfinite(number):
            if number <= 0:
                raise BadTable(f"found {number:g}, expected a loss above zero",
                               place=f"{columns.place}, column {name}, row {columns.rows[place]}",
                               fix="correct the row, or leave it out with --where")  # fmt: skip
            found[place] = number
    if all(value is None for value in found):
        raise BadTable("no run has a loss", place=f"{columns.place}, column {name}", fix="name another column")
    return found


def _positive(columns: Columns, name: str) -> Floats:
    values = columns.numbers(name)
    bad = np.flatnonzero(~np.isfinite(values) | (values <= 0))
    if len(bad):
        raise BadTable(
            f"found {values[bad[0]]:g}, expected a number above zero",
            place=f"{columns.place}, column {name}, row {columns.rows[bad[0]]}", fix="leave the row out with --where",
        )  # fmt: skip
    return values


def _merged(values: Floats) -> Floats:
    """Return the values with those within 5 % of their neighbour replaced by the middle of their chain."""
    kinds, member = np.unique(values, return_inverse=True)
    breaks = [0, *(1 if np.log(high / low) > SAME else 0 for low, high in pairwise(kinds.tolist()))]
    chain = np.cumsum(breaks)
    middles = np.exp(np.bincount(chain, np.log(kinds)) / np.bincount(chain))
    return np.asarray(np.round(middles[chain[member]]))
