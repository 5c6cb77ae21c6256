"""Muennighoff et al. 2023, "Scaling Data-Constrained Language Models": how soon repeated tokens lose their worth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from isoloss.core.numbers import plain
from isoloss.core.pool import Shared
from isoloss.core.progress import QUIET, Progress
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.law import Floats
from isoloss.published.datablations import data as printed
from isoloss.published.datablations.data import runs
from isoloss.published.figures.series import Series, SeriesPanel, series_drawing
from isoloss.published.folder import Columns
from isoloss.published.reproduction import Claim, Reproduction, Row
from isoloss.report.blocks import Column, Drawing, Section, Table, estimate_cell, number_cell, table_row
from isoloss.runs.observations import Observations

PROFILE = np.geomspace(1.5, 3000, 41)  # half-lives at which the profile is drawn
DRAWS = 300
EPOCHS = np.geomspace(1, 64, 40)
NEAR = 1.01  # an objective within 1 % of the least
EDGE = 5000.0  # half the search's bound: a half-life there means that repeats were found as good as new
GIVEN = "the digits given"
NOTEBOOK = "the notebook's digits"


@dataclass(frozen=True, kw_only=True, eq=False)
class RepeatAnalysis:
    """The half-life of repeated data: at the published point, at a lower one, at the best, and along its profile."""

    rows: Observations
    published: FittedLaw
    lower: FittedLaw
    best: FittedLaw
    every_run: FittedLaw
    profile: Floats
    r2: float


def analyse(rows: Observations, everything: Observations, *, progress: Progress = QUIET) -> RepeatAnalysis:
    """Return the fits to the filtered rows and to all of them, with the base law held as published."""
    held = (printed.PUBLISHED, printed.LOWER, *({"R_D": half_life} for half_life in PROFILE.tolist()))
    calls = [
        partial(fit, rows, law="repeated", fixed=printed.BASE, bootstrap=DRAWS, method="rows"),
        partial(fit, everything, law="repeated", fixed=printed.BASE),
        *(partial(fit, rows, law="repeated", fixed=printed.BASE | more) for more in held),
    ]
    with progress.task("fits", total=len(calls)) as task:
        best, every_run, published, lower, *profile = Shared(calls, None).collect(partial(task.advance, 1))
    return RepeatAnalysis(
        rows=rows, published=published, lower=lower, best=best, every_run=every_run, r2=explained(published, rows),
        profile=np.array([law.objective_value for law in profile]),
    )  # fmt: skip


def explained(law: FittedLaw, rows: Observations) -> float:
    """Return the share of the variance of the loss, in nats, that a law explains."""
    residual = rows.loss_nats - np.exp(np.log(rows.loss_nats) - law.residuals(rows))
    return float(1 - (residual**2).sum() / ((rows.loss_nats - rows.loss_nats.mean()) ** 2).sum())


def reproduce(tables: dict[str, Columns], *, progress: Progress = QUIET) -> Reproduction:
    """Return the study done again: what fits of its runs say about the published numbers and claims."""
    found = analyse(runs(tables, "c4_repeat_runs_182"), runs(tables, "c4_repeat_runs"), progress=progress)
    return Reproduction(
        study="datablations",
        question="How many times may tokens be repeated before they are worth nothing?",
        rows=list(_rows(found)), claims=_claims(found),
        not_shown={"The base law": "its runs are not in these files; it is held at the notebook's values"},
        sections=(
            Section(name="fits", title="The half-lives", blocks=(_table(found), _profile(found))),
            Section(name="worth", title="What repeats are worth", blocks=(_worth(found), _residuals(found))),
        ),
    )  # fmt: skip


def _rows(found: RepeatAnalysis) -> Iterator[Row]:
    yield Row(quantity="objective at the published point", published=printed.PUBLISHED_OBJECTIVE,
              reproduced=found.published.objective_value, tolerance=1e-7, why=NOTEBOOK)  # fmt: skip
    yield Row(quantity="R² at the published point", published=printed.PUBLISHED_R2, reproduced=found.r2, tolerance=1e-6,
              why=NOTEBOOK)  # fmt: skip
    yield Row(quantity="objective at a lower point (R_D* 46.99, R_N* 2.330)", published=printed.LOWER_OBJECTIVE,
              reproduced=found.lower.objective_value, tolerance=1e-6, why=GIVEN)  # fmt: skip
    for name, value in printed.PUBLISHED.items():
        yield Row(quantity=f"{name}* of the best optimum next to the published one", published=value,
                  reproduced=found.best.params[name].value, tolerance=0.01, why="an optimum is a point")  # fmt: skip
    yield Row(quantity="runs after the filter by hand", published=182, reproduced=len(found.rows), tolerance=0,
              absolute=True, why="a count")  # fmt: skip


def near_range(found: RepeatAnalysis) -> tuple[float, float]:
    """Return the half-lives between which the profile stays within 1 % of its least objective."""
    near = PROFILE[found.profile <= NEAR * found.profile.min()]
    return float(near.min()), float(near.max())


def _claims(found: RepeatAnalysis) -> list[Claim]:
    best, every = found.best.params["R_D"], found.every_run.params["R_D"].value
    low, high = near_range(found)
    four = [repeat_worth(4.0, law.params["R_D"].value) for law in (found.published, found.best)]
    gain = 1 - found.best.objective_value / found.published.objective_value
    return [
        Claim(
            claim="Repeated tokens have a half-life of R_D* = 15.4 repetitions", verdict="does not hold",
            source="Muennighoff et al. 2023, section 5",
            why=f"The published point is no optimum: R_D* = {plain(best.value)}, R_N* = "
            f"{plain(found.best.params['R_N'].value)} fit {100 * gain:.2f} % better. Half-lives from {plain(low)} to "
            f"{plain(high)} fit within 1 % of it, and resampled rows give {plain(best.low or 0)} to "
            f"{plain(best.high or 0)}: these runs hardly determine it.",
        ),
        Claim(
            claim="Up to four epochs, repeated tokens are almost as good as new ones",
            verdict="holds" if min(four) > 0.9 else "does not hold", source="Muennighoff et al. 2023, abstract",
            why=f"Four epochs are worth {100 * four[0]:.0f} % of as many new tokens at the published half-life, "
            f"{100 * four[1]:.0f} % at the best one, {100 * repeat_worth(4.0, low):.0f} % at the least within 1 %.",
        ),
        Claim(
            claim="The half-life does not depend on the runs left out by hand",
            verdict="does not hold" if every > EDGE or every > 3 * best.value or every < best.value / 3 else "holds",
            source="popular readings",
            why=f"With all {found.every_run.rows_used} runs R_D* is {plain(every)}"
            f"{', the bound of the search: repeats would be as good as new for ever' if every > EDGE else ''}.",
        ),
    ]  # fmt: skip


def repeat_worth(epochs: float, half_life: float) -> float:
    """Return effective tokens over tokens seen after some epochs: D′/D, eq. 5 of Muennighoff et al. 2023."""
    repeats = epochs - 1
    return float((1 + half_life * (1 - np.exp(-repeats / half_life))) / epochs)


def _table(found: RepeatAnalysis) -> Table:
    columns = (Column(title="fit", numeric=False), Column(title="rows"), Column(title="R_D*"), Column(title="R_N*"),
               Column(title="objective", about="sum of Huber's losses of ln L, δ = 1e-3"),
               Column(title="error", unit="% of ln loss"))  # fmt: skip
    laws = {"published point": found.published, "lower point": found.lower, "best optimum": found.best,
            "all runs, best optimum": found.every_run}  # fmt: skip
    rows = tuple(
        table_row(
            name, number_cell(law.rows_used), estimate_cell(law.params["R_D"], style="plain"),
            estimate_cell(law.params["R_N"], style="plain"),
            number_cell(law.objective_value, lambda value: plain(value, 8)),
            number_cell(100 * law.rmse, lambda value: plain(value, 3)),
        )
        for name, law in laws.items()
    )  # fmt: skip
    return Table(name="half-lives", caption="Half-lives of repeated tokens and excess parameters; the base law is held "
                 "at its published values.", columns=columns, rows=rows)  # fmt: skip


def _profile(found: RepeatAnalysis) -> Drawing:
    excess = 100 * (found.profile / found.profile.min() - 1)
    panel = SeriesPanel(
        title="Profile over R_D*", xlabel="half-life of repeated data R_D*, repetitions",
        ylabel="objective above its least, %", y="linear",
        series={"best R_N* for each R_D*": Series(x=PROFILE, y=excess)},
        upright={"published": printed.PUBLISHED["R_D"], "best": found.best.params["R_D"].value},
    )  # fmt: skip
    return series_drawing(
        [panel], name="profile", title="How well the half-life is determined",
        caption="The least objective at every half-life, R_N* free. Upright lines are the published value (left) and "
        "the best (right). A flat valley is a number that the runs do not know.",
        alt="The objective as a function of the half-life of repeated data is nearly flat beyond ten repetitions.",
    )  # fmt: skip


def _worth(found: RepeatAnalysis) -> Drawing:
    low, high = near_range(found)
    series = {
        name: Series(x=EPOCHS, y=np.array([repeat_worth(epochs, life) for epochs in EPOCHS]))
        for name, life in (("published, 15.4", printed.PUBLISHED["R_D"]),
                           (f"best, {plain(found.best.params['R_D'].value)}", found.best.params["R_D"].value),
                           (f"least within 1 %, {plain(low)}", low), (f"most within 1 %, {plain(high)}", high))
    }  # fmt: skip
    panel = SeriesPanel(title="Effective over seen tokens", xlabel="epochs", ylabel="D′/D", y="linear", series=series)
    return series_drawing(
        [panel], name="worth", title="What repeated tokens are worth",
        caption="Effective tokens over tokens seen, by the half-life. At four epochs all agree; at forty they differ.",
        alt="Worth of repeated tokens against epochs for four half-lives.",
    )  # fmt: skip


def _residuals(found: RepeatAnalysis) -> Drawing:
    epochs = found.rows.tokens / np.minimum(found.rows.column("unique_tokens"), found.rows.tokens)
    early = found.best.residuals(found.rows)[epochs <= 2]
    panel = SeriesPanel(
        title="Residuals", xlabel="epochs", ylabel="residual of ln loss, %", y="linear", level=0.0,
        series={
            name: Series(x=epochs, y=100 * law.residuals(found.rows), line=False, points=True)
            for name, law in (("published point", found.published), ("best optimum", found.best))
        },
    )  # fmt: skip
    return series_drawing(
        [panel], name="residuals", title="Residuals against epochs",
        caption="ln L − ln L̂ in percent at the published point and at the best optimum. The base law is held at its "
        f"published values, and runs of at most two epochs lie {plain(100 * float(np.mean(early)), 2)} % above it on "
        "average: the half-lives take up some of its misfit.",
        alt="Residuals against epochs; both points leave the same pattern.",
    )  # fmt: skip
