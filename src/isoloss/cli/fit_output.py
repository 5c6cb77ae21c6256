"""How `isoloss fit` prints and saves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoloss.cli.output import print_json, say
from isoloss.core.errors import InputError, Unidentified, did_you_mean
from isoloss.core.numbers import percent
from isoloss.core.plain_json import fields_json

if TYPE_CHECKING:
    from isoloss.core.progress import Progress
    from isoloss.data_dependence.table_fit import TableFit
    from isoloss.diagnostics.profile import Profile
    from isoloss.fitting.estimated import FrontierPoint
    from isoloss.fitting.evidence import Outlier
    from isoloss.fitting.fitted import FittedLaw
    from isoloss.fitting.prediction import Prediction
    from isoloss.laws.law import Law
    from isoloss.laws.settings import FitSettings
    from isoloss.planning.beyond import Beyond
    from isoloss.runs.observations import Observations


@dataclass(frozen=True, kw_only=True)
class Derived:
    """What a call asked of a law: best splits of budgets, runs that were not trained, profiles of quantities, outliers.

    `no_frontier` says why there is none; `outliers` is None where they were not asked for; `beyond` is what several
    forms say of the same budgets and runs, if asked.
    """

    frontier: list["FrontierPoint"]
    no_frontier: str | None = None
    predictions: list["Prediction"]
    profiles: list["Profile"]
    outliers: list["Outlier"] | None = None
    beyond: "Beyond | None" = None

    def to_json(self) -> dict[str, Any]:
        """Return the keys that stand next to those of a fit."""
        return fields_json(self, without=("beyond",))


def derive(
    law: "FittedLaw",
    rows: "Observations",
    *,
    budgets: Sequence[float],
    points: Sequence[Mapping[str, float]],
    profiles: Sequence[str],
    outliers: bool,
    progress: "Progress",
    beyond: "FitSettings | None" = None,
) -> Derived:
    """Return what a law fitted to `rows` says of budgets, of points (numbers by column), and of quantities.

    `beyond` are the settings of several forms that are asked the same; without any, the law alone is asked.
    """
    asked: dict[str, Any] = {
        "predictions": [law.predict_run(**point) for point in points],
        "profiles": _profiles(law, rows, profiles, progress) if profiles else [],
        "outliers": law.outliers(rows) if outliers else None,
        "beyond": _beyond(rows, budgets, points, beyond) if beyond else None,
    }
    try:
        return Derived(frontier=law.frontier(flops=budgets), **asked)
    except Unidentified as error:
        return Derived(frontier=[], no_frontier=error.message, **asked)


def _beyond(
    rows: "Observations",
    budgets: Sequence[float],
    points: Sequence[Mapping[str, float]],
    settings: "FitSettings",
) -> "Beyond":
    """Return what several forms say."""
    from isoloss.planning.beyond import look_beyond

    runs = [(point["params"], point["tokens"]) for point in points]
    return look_beyond(rows, flops=budgets, runs=runs, settings=settings)


def _profiles(law: "FittedLaw", rows: "Observations", names: Sequence[str], progress: "Progress") -> list["Profile"]:
    from isoloss.diagnostics.profile import profile
    from isoloss.runs.observations import of_group

    found = []
    with progress.task("profiles", total=len(names)) as task:
        for name in names:
            task.advance(0, detail=f"{name}{of_group(law.group)}")
            found.append(profile(law, rows, name))
            task.advance(1)
    return found


def show(
    found: "TableFit",
    derived: Sequence[Derived],
    written: Sequence[Path],
    passed_over: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Print the fits: one JSON object, or a page of text each."""
    from isoloss.cli.tables import show_backtest
    from isoloss.fitting.summary import no_frontier

    comparison, joint = found.comparison, found.joint
    if as_json:
        print_json({
            "fits": [law.to_json() | more.to_json() for law, more in zip(found.laws, derived, strict=True)],
            "backtest": [one.to_json() for one in found.backtests],
            "comparison": [one.to_json() for one in comparison.measures] if comparison else [],
            "contest": [comparison.to_json()] if comparison else [],
            "data_dependent": [joint.to_json()] if joint else [],
            "law_files": [str(path) for path in written],
            "passed_over": list(passed_over),
        })  # fmt: skip
        return
    for law, more in zip(found.laws, derived, strict=True):
        say(*law.summary().split("\n"))
        in_summary = more.no_frontier == no_frontier(law)
        show_derived(replace(more, no_frontier=None) if in_summary else more, unit=law.data_unit)
        say("")
    for test in found.backtests:
        show_backtest(test)
    for path in written:
        say(f"written: {path}")
    if joint is not None:
        say("", *joint.summary().split("\n"))
    if comparison is not None:
        say("", " ".join(comparison.sentences()))


def show_derived(derived: Derived, *, unit: str = "tokens") -> None:
    """Print best splits and predicted runs as tables, data in `unit`, and how far they extrapolate."""
    from isoloss.cli.planning_output import show_beyond
    from isoloss.cli.tables import show_frontier, show_predictions, show_profiles

    if derived.no_frontier:
        say(f"no frontier: {derived.no_frontier}")
    if derived.frontier:
        show_frontier(derived.frontier, unit=unit)
    if derived.profiles:
        show_profiles(derived.profiles)
    if derived.predictions:
        show_predictions(derived.predictions, unit=unit)
    if derived.outliers is not None:
        say(*outliers_in_words(derived.outliers))
    if derived.beyond is not None:
        show_beyond(derived.beyond, unit=unit)
    warnings = [w for point in derived.frontier for w in point.warnings]
    warnings += [w for run in derived.predictions for w in run.warnings]
    for warning in dict.fromkeys(warnings):
        say(f"[{warning.code}] {warning.message}")


def outliers_in_words(found: Sequence["Outlier"]) -> list[str]:
    """Return the rows that lie far off the law, and how far, a line each."""
    if not found:
        return ["outliers: none; no row is more than 4 robust standard deviations off the law"]
    heading = f"outliers, over 4 robust standard deviations off the law: {len(found)}"
    return [
        heading,
        *(
            f"  {_row(one)}: {percent(one.residual, signed=True)} of L, {one.deviations:+.1f} deviations"
            for one in found
        ),
    ]


def _row(outlier: "Outlier") -> str:
    """Return the row's number, and the run's name where the table has one."""
    number = f"row {outlier.row}"
    return number if outlier.run == number else f"{number} ({outlier.run})"


def numbers_of(text: str | None, *, option: str = "--frontier") -> list[float]:
    """Return comma-separated numbers. Raises InputError for what is none, and for sizes beyond those of any run."""
    from isoloss.runs.observations import LARGEST, SMALLEST

    try:
        found = [float(part) for part in text.split(",")] if text else []
    except ValueError:
        found = [math.nan]
    if not all(math.isfinite(number) and number > 0 for number in found):
        raise InputError(f"found {text!r}, expected numbers above zero", place=option, fix="write them as 1e20,1e21")
    if not all(SMALLEST <= number <= LARGEST for number in found):
        expected = f"expected numbers between {SMALLEST:.0e} and {LARGEST:.0e}"
        raise InputError(f"found {text!r}, {expected}", place=option, fix="write them as 1e20,1e21")
    return found


def points_of(texts: Sequence[str], law: "type[Law]") -> list[dict[str, float]]:
    """Return the columns of every point: `NAME=NUMBER,…`, `N,D`, or the one column that a law reads of one number.

    Raises InputError for anything else, and for a column that the law does not read.
    """
    return [_named(text, law) if "=" in text else _placed(text, law) for text in texts]


def _named(text: str, law: "type[Law]") -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",")]
    values = numbers_of(",".join(value for _, _, value in pairs), option="--predict")
    names = [name.strip() for name, _, _ in pairs]
    for name in names:
        if name not in law.columns:
            raise InputError(
                f"{law.name} does not read {name!r}", place="--predict", fix=did_you_mean(name, law.columns)
            )
    return dict(zip(names, values, strict=True))


def _placed(text: str, law: "type[Law]") -> dict[str, float]:
    point = numbers_of(text, option="--predict")
    columns = {2: ("params", "tokens")} | ({1: law.columns} if len(law.columns) == 1 else {})
    needed = [name for name in law.columns if name not in (*columns[2], *law.defaults)]
    if len(point) not in columns or (needed and len(law.columns) > 1):
        alone = f"; or {law.columns[0]} alone" if 1 in columns else ""
        named = ",".join(f"{name}=…" for name in law.columns)
        ways = f"name what {law.name} reads: --predict {named}" if needed else f"write N,D as 7e9,1.4e11{alone}"
        wanted = f"{len(law.columns)} numbers by name" if needed else f"two numbers{alone}"
        raise InputError(f"found {text!r}, expected {wanted}", place="--predict", fix=ways)
    return dict(zip(columns[len(point)], point, strict=True))


def column_or_number(text: str | None) -> str | float | None:
    """Return a number where the option holds one, else the name of a column."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def law_files(out: Path | None, count: int) -> list[Path]:
    """Return where `count` laws go: `out` itself, or `out` numbered. Raises InputError for a name that is no JSON."""
    if out is None:
        return []
    if out.suffix != ".json":
        raise InputError(f"found {out.name!r}, expected a .json file", place="--out", fix="name it LAW.json")
    return [out] if count == 1 else [out.with_name(f"{out.stem}.{number}.json") for number in range(1, count + 1)]
