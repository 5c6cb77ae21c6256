"""Tables of somebody's runs, read as logged runs: a row each, or a curve each where there is a column of steps."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.core.errors import BadTable, require_columns
from isoloss.core.numbers import some
from isoloss.runs.columns import Columns, is_formula, number_or_none, same_column, whole_step
from isoloss.runs.logged import Curve, Logged, LoggedRun, Value, settled, without_dead_ends
from isoloss.runs.mapping import Mapped
from isoloss.runs.read_runs import open_table
from isoloss.runs.sql import ROW

if TYPE_CHECKING:
    import pyarrow as pa

GUESSES = {"params": "params", "tokens": "tokens", "loss": "loss_nats"}
STEPS = re.compile(r"(^|[^a-z])(step|iter|iteration|update)s?$", re.IGNORECASE)
FEWEST_POINTS = 5  # of a curve
WANDB_STEP = "_step"  # of histories that were exported from wandb
Row = Mapping[str, Any]


def table_runs(source: Path, mapped: Mapped) -> Logged:
    """Return the runs of a table: a row each, or with `step` a group of rows each.

    Rows that ascend in a column of steps, and that nothing tells to be points of a curve, are said to look so.

    Raises BadTable for a column that is not there, and for a row without a name of its run or a whole step.
    """
    table = open_table(source, where=mapped.where)
    notes = []
    if mapped.step is None and WANDB_STEP in table.column_names:
        mapped = replace(mapped, step=WANDB_STEP)
        notes.append(
            f"the column {WANDB_STEP} means that rows are steps of training curves, as with --step {WANDB_STEP}"
        )
    _require_columns(table, mapped, source)
    if mapped.step is not None:
        Columns(table, place=str(source)).refuse_doubt(mapped.step)
    table, roles, formulas = _with_quantities(table, mapped, source)
    groups: dict[str, list[Row]] = {}
    for row in table.to_pylist():
        groups.setdefault(_run_name(row, mapped, source), []).append(row)
    runs = [_run(name, rows, mapped, source, roles) for name, rows in groups.items()]
    steps = None if mapped.step or mapped.run else _column_of_steps(table)
    runs = [replace(run, hidden=frozenset(formulas), notes=[*notes, *run.notes], steps_column=steps) for run in runs]
    doubt = (
        f"every row counts as a run, and the rows ascend in {steps!r}: where they are points of one training curve, "
    )
    return Logged(runs=runs, notes=[doubt + f"import them with --step {steps}"] if steps else [])


def _column_of_steps(table: "pa.Table") -> str | None:
    """Return the column that is called steps and ascends as those of a training curve do, or None."""
    names: list[str] = table.column_names
    for name in filter(STEPS.search, names):
        steps = [whole_step(value) for value in table[name].to_pylist()]
        whole = [step for step in steps if step is not None]
        if len(set(whole)) >= FEWEST_POINTS and len(whole) == len(steps) and whole == sorted(whole):
            return str(name)
    return None


def _require_columns(table: "pa.Table", mapped: Mapped, source: Path) -> None:
    known = [column for column in table.column_names if column != ROW]
    require_columns((name for name in (mapped.run, mapped.step) if name is not None), known, place=str(source))


def _with_quantities(table: "pa.Table", mapped: Mapped, source: Path) -> tuple["pa.Table", set[str], set[str]]:
    """Return the table with a column for every formula; which columns are asked for as numbers, and the formulas."""
    asked = {what: getattr(mapped, what) or GUESSES.get(what) for what in ("params", "tokens", "loss", "flops")}
    columns = Columns(table, place=str(source))
    roles, formulas = set(), set()
    for name in filter(None, asked.values()):
        name = same_column(name, columns.names)
        if name in columns.names:
            columns.refuse_doubt(name)
            roles.add(name)
        elif is_formula(name) and number_or_none(name) is None and name not in formulas:
            table = table.append_column(name, columns.computed(name))
            formulas.add(name)
    return table, roles | formulas, formulas


def _run_name(row: Row, mapped: Mapped, source: Path) -> str:
    if mapped.run is None:
        return source.stem if mapped.step else f"{source.stem}-{row[ROW]}"
    name = row[mapped.run]
    if name is None or not str(name).strip():
        raise BadTable(
            f"column {mapped.run!r} does not name a run", place=f"{source}, row {row[ROW]}",
            fix=f"name it, or leave such rows out: --where '\"{mapped.run}\" IS NOT NULL'",
        )  # fmt: skip
    return str(name)


def _run(name: str, rows: Sequence[Row], mapped: Mapped, source: Path, roles: set[str]) -> LoggedRun:
    if mapped.step is None and len(rows) > 1:
        raise BadTable(
            f"{len(rows)} rows of run {name!r}", place=str(source), fix="name the column of steps: --step COLUMN"
        )
    if mapped.step is None:
        (row,) = rows
        fields = {key: value for key, value in row.items() if key != ROW and (value is None or _plain(value))}
        return LoggedRun(name=name, place=f"{source}, row {row[ROW]}", fields=fields, guesses=GUESSES)
    return _curves(name, rows, mapped, source, roles)


def _curves(name: str, rows: Sequence[Row], mapped: Mapped, source: Path, roles: set[str]) -> LoggedRun:
    """Return the rows of a run as curves by step, without what a resumed run threw away.

    Of two rows at a step the later counts; empty cells are no points. The steps are a curve too: they may count tokens.
    """
    step = mapped.step or ""
    steps = [_step(row, step, source) for row in rows]
    curves: dict[str, Curve] = {step: settled((at, float(at)) for at in steps)}
    fields: dict[str, Value] = {}
    repeated = _repeated(rows, steps, roles)
    if repeated:
        _require_one_curve(rows, steps, {ROW, step, mapped.run or step, *roles}, source)
    notes = _said_of_repeated(repeated, step)
    lost: set[int] = set()
    for column in rows[0]:
        if column in (ROW, step):
            continue
        cells = [(at, row[column], row[ROW]) for at, row in zip(steps, rows, strict=True) if row[column] is not None]
        points, stray = _points(cells, as_numbers=column in roles)
        if points:
            curves[column] = settled(without_dead_ends(points, place=str(source)))
            lost |= {at for at, _ in points} - {at for at, _ in curves[column]}
            notes += _passed_over(stray, column)
        else:
            fields[column] = next((value for _, value, _ in reversed(cells) if _plain(value)), None)
    if lost:
        notes.append(
            f"rows of steps {min(lost)} to {max(lost)} are left out: the run was resumed before them, and ended"
        )
    place = f"{source}, row {max(zip(steps, (row[ROW] for row in rows), strict=True))[1]}"
    return LoggedRun(name=name, place=place, fields=fields, curves=curves, guesses=GUESSES, notes=notes)


def _points(
    cells: Sequence[tuple[int, Any, int]], *, as_numbers: bool
) -> tuple[list[tuple[int, float]], list[tuple[int, Any]]]:
    """Return the cells that hold numbers as points, and the rows of those that do not.

    Text is read as a number only in a column that was asked for as one.
    """
    points, stray = [], []
    for step, value, row in cells:
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        number = number_or_none(value) if numeric or as_numbers else None
        if number is None:
            stray.append((row, value))
        else:
            points.append((step, number))
    return points, stray


def _step(row: Row, name: str, source: Path) -> int:
    found = whole_step(row[name])
    if found is None:
        said = "is empty" if row[name] is None else f"is {row[name]!r}"
        where = f": --where '\"{name}\" IS NOT NULL'" if row[name] is None else " with --where"
        raise BadTable(
            f"step {said}, expected a whole number", place=f"{source}, column {name}, row {row[ROW]}",
            fix=f"name another column with --step, or leave such rows out{where}",
        )  # fmt: skip
    return found


def _repeated(rows: Sequence[Row], steps: Sequence[int], roles: set[str]) -> list[int]:
    """Return the steps at which a column that was asked for holds several values; other columns may."""
    seen: dict[tuple[str, int], Any] = {}
    twice = set()
    for row, at in zip(rows, steps, strict=True):
        for column in roles:
            value = row[column]
            first = seen.setdefault((column, at), value) if value is not None else None
            if first is not value and first != value:  # the same NaN is no second one
                twice.add(at)
    return sorted(twice)


def _require_one_curve(rows: Sequence[Row], steps: Sequence[int], without: set[str], source: Path) -> None:
    """Raise BadTable where a column tells curves apart that go over the same steps: runs, or kinds of a loss.

    Attempts of a run that was resumed are no such curves: one after another, each takes steps up from a checkpoint.
    """
    for column in rows[0]:
        names = [row[column] for row in rows]
        if column in without or not all(map(_plain, names)):
            continue
        times = Counter(names)
        if len(times) < 2 or min(times.values()) < 2 or len(set(zip(names, steps, strict=True))) < len(rows):
            continue
        begins = [at for at in range(len(rows)) if at == 0 or names[at] != names[at - 1]]
        if len(begins) > len(times) or any(steps[at] <= steps[0] for at in begins[1:]):
            raise BadTable(
                f"several curves, one for each value of the column {column!r} ({some(times)})", place=str(source),
                fix=f"if each value is a run, use --run {column}; to keep one curve, select its rows with --where",
            )  # fmt: skip


def _said_of_repeated(steps: Sequence[int], name: str) -> list[str]:
    if not steps:
        return []
    more = f" and {len(steps) - 1} more appear" if len(steps) > 1 else " appears"
    return [f"{name} {steps[0]}{more} in several rows, perhaps because the run was resumed. The later row is used"]


def _passed_over(stray: Sequence[tuple[int, Any]], column: str) -> list[str]:
    if not stray:
        return []
    row, value = stray[0]
    more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
    return [f"{column} holds {value!r} in row {row}{more}: not a number, so ignored"]


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)
