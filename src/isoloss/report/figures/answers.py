"""Best splits as people asked for them: tokens per parameter and loss against compute, with intervals.

One drawing serves a fitted law's frontier, the optima of a table and plans.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.fitting.estimated import EstimatedLaw, FrontierPoint
from isoloss.optima.best_size import BestSize
from isoloss.planning.plan_result import RULE_OF_THUMB, WIDEST, Plan, span
from isoloss.report import theme

CURVE_POINTS = 17
MARKERS = "oDs^vXP*"


@dataclass(frozen=True, kw_only=True)
class OneSplit:
    """One split: a budget, ln of its tokens per parameter, and its loss where that is known."""

    flops: float
    log_ratio: Estimate
    loss: Estimate | None = None


Split = OneSplit | FrontierPoint


def of_law(law: EstimatedLaw, *, flops: Sequence[float] = ()) -> Figure:
    """Return a law's frontier over the budgets of its runs, and beyond to `flops`, which are marked.

    Raises Unidentified or NotApplicable where the law has no frontier.
    """
    budgets = [*law.domain.span("flops"), *flops]
    along = law.frontier(flops=np.geomspace(min(budgets), max(budgets), CURVE_POINTS).tolist())
    marked = law.frontier(flops=list(flops))
    title = f"{law.law}, {law.whose}"
    return splits(curves={title: along}, points={"asked": marked} if marked else {}, unit=law.data_unit,
                  per_token=law.data_per_token)  # fmt: skip


def of_laws(laws: Iterable[EstimatedLaw], *, flops: Sequence[float] = ()) -> Figure:
    """Return the frontiers of several corpora's laws in one drawing; see `of_law`."""
    found = list(laws)
    if len(found) == 1:
        return of_law(found[0], flops=flops)
    points: dict[str, Sequence[Split]] = {}
    for law in found:
        budgets = flops or np.geomspace(*law.domain.span("flops"), 5).tolist()
        points[law.group] = law.frontier(flops=budgets)
    return splits(curves={}, points=points, unit=found[0].data_unit, per_token=found[0].data_per_token)


def of_optima(optima: Iterable[BestSize]) -> Figure:
    """Return the optima of every corpus that lie inside its runs. Raises InputError where none does."""
    points: dict[str, list[OneSplit]] = {}
    for one in optima:
        if one.inside and one.tokens_per_param is not None:
            points.setdefault(one.corpus, []).append(
                OneSplit(flops=one.flops, log_ratio=one.tokens_per_param.logarithm(), loss=one.loss)
            )
    if not points:
        raise InputError("no optimum lies inside the runs: there is nothing to draw", place="--figure",
                         fix="leave the figure out, or ask for other budgets")  # fmt: skip
    return splits(curves={}, points=points)


def of_plans(plans: Sequence[Plan]) -> Figure:
    """Return plans by their budgets, and what each form of the law says of the same budgets."""
    points: dict[str, list[OneSplit]] = {}
    names = dict.fromkeys(name for one in plans for name in one.forms if name != "shift")
    if len(names) > 1 or any("shift" in one.forms for one in plans):
        for name in names:
            said = [(one.flops.value, one.forms[name]) for one in plans if name in one.forms]
            points[name] = [OneSplit(flops=flops, log_ratio=ratio) for flops, ratio in said]
    # Last, so that it lies on top of the form that decided it.
    points["plan"] = [OneSplit(flops=one.flops.value, log_ratio=one.log_ratio, loss=one.loss) for one in plans]
    return splits(curves={}, points=points, unit=plans[0].data_unit, per_token=plans[0].data_per_token)


@theme.drawn
def splits(
    *,
    curves: Mapping[str, Sequence[Split]],
    points: Mapping[str, Sequence[Split]],
    unit: str = "tokens",
    per_token: float = 1.0,
) -> Figure:
    """Return two panels, tokens per parameter and loss, against compute: curves with bands, points with bars.

    `unit` is what D counts, and `per_token` how many of it a token is.

    Without any loss there is one panel. Intervals that span a factor of 200 are not drawn.
    """
    every = [one for group in (*curves.values(), *points.values()) for one in group]
    with_loss = any(one.loss is not None for one in every)
    shades = theme.sequence(np.linspace(0.1, 0.8, max(len(points), 1)))
    looks = dict(zip(points, zip(shades, cycle(MARKERS), strict=False), strict=False))
    panels = theme.Panels(width=3.6, height=2.7, columns=2, gap_x=0.85)
    figure, grid = panels.grid(2 if with_loss else 1, key=_key(curves, looks))
    _panel(grid[0][0], curves, points, looks, thumb=RULE_OF_THUMB * per_token)
    grid[0][0].set_ylabel(f"{unit} per parameter")
    if with_loss:
        _panel(grid[1][0], curves, points, looks, thumb=None)
        grid[1][0].set_ylabel("loss, nats per token")
    return figure


def _key(curves: Mapping[str, Sequence[Split]], looks: Mapping[str, tuple[str, str]]) -> list[theme.Entry]:
    entries: list[theme.Entry] = [(theme.line_sign(theme.FRONTIER, width=2), theme.short(name, 60)) for name in curves]
    entries += [(theme.mark_sign(marker, shade), theme.short(name)) for name, (shade, marker) in looks.items()]
    return [*entries, (theme.line_sign(theme.MUTED, dashes=(0, (4, 2))), "20 tokens a parameter")]


def _panel(
    axes: Axes, curves: Mapping[str, Sequence[Split]], points: Mapping[str, Sequence[Split]],
    looks: Mapping[str, tuple[str, str]], *, thumb: float | None,
) -> None:  # fmt: skip
    """Draw D/N with its rule of thumb, or the losses where `thumb` is None."""
    ratio = thumb is not None
    seen: list[float] = [] if thumb is None else [thumb]
    budgets: list[float] = []
    for name, answers in (*curves.items(), *points.items()):
        known = [(one.flops, found) for one in answers if (found := _quantity(one, ratio=ratio)) is not None]
        if not known:
            continue
        flops = np.array([budget for budget, _ in known])
        values = np.array([found.value for _, found in known])
        low, high = (np.array([_end(found, side) for _, found in known]) for side in ("low", "high"))
        seen += [*values, *low, *high]
        budgets += flops.tolist()
        if name in curves:
            axes.plot(flops, values, color=theme.FRONTIER, linewidth=2)
            axes.fill_between(flops, low, high, color=theme.FRONTIER, alpha=0.22, linewidth=0)
        else:
            shade, marker = looks[name]
            axes.vlines(flops, low, high, color=shade, linewidth=1.6, alpha=0.75)
            axes.plot(flops, values, marker=marker, linestyle="none", markersize=5, color=shade)
    if thumb is not None:
        axes.axhline(thumb, color=theme.MUTED, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    # Limits first: one budget alone leaves a logarithmic axis without any of its own.
    axes.set(xlim=theme.padded_log(budgets), ylim=theme.padded_log(seen), xscale="log", yscale="log")
    axes.set_xlabel("training FLOPs C", fontsize=theme.KEY_POINTS)
    theme.log_axis(axes.xaxis, kind="power")
    theme.log_axis(axes.yaxis, kind="si" if ratio else "plain")


def _quantity(one: Split, *, ratio: bool) -> Estimate | None:
    """Return tokens per parameter or the loss; without its interval where that is no answer."""
    if not ratio:
        return one.loss
    if span(one.log_ratio) >= WIDEST:
        return Estimate(value=float(np.exp(one.log_ratio.value)))
    return one.log_ratio.exponential()


def _end(estimate: Estimate, side: str) -> float:
    end = getattr(estimate, side)
    return estimate.value if end is None else float(end)
