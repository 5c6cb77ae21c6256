"""How `isoloss isoflop` prints: the best sizes by several laws, approach 2, and approach 3 next to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoloss.cli import output
from isoloss.core.numbers import flops_text, grouped
from isoloss.core.plain_json import Plain

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from isoloss.core.estimate import Estimate
    from isoloss.fitting.estimated import FrontierPoint
    from isoloss.optima.best_size import BestSize
    from isoloss.optima.isoflop import BudgetOptimum, IsoFlop, IsoFlopLaws
    from isoloss.optima.lack_of_fit import LackOfFit

    Fit = tuple[str, IsoFlop, IsoFlopLaws | None, str | None]
    """Approach 2 on one group: its name, the optima, the laws through them or why there are none."""

QUANTITIES = {"params": "N* ∝ C^a", "tokens": "D* ∝ C^b", "ratio": "D*/N* ∝ C^r"}
BY_ONE_LAW = {True: "by one law", False: "extrapolation by one law"}  # by whether the point is between the runs


@dataclass(frozen=True, kw_only=True)
class ThirdApproach(Plain):
    """Chinchilla's form on one group: a, and the best split of budgets; or the reason why there is none.

    `counts` is what a FLOP is here: `table`, or `6ND` where the table's are no fixed multiple of it and a law of two
    exponents knows no other.
    """

    group: str
    exponent_a: "Estimate | None"
    frontier: "list[FrontierPoint]"
    reason: str | None
    counts: str = "table"


def show_isoflop(
    optima: "Sequence[BestSize]",
    misfits: "Sequence[LackOfFit]",
    fits: "Sequence[Fit]",
    unequal: Mapping[str, str],
    third: "Sequence[ThirdApproach]",
    *,
    asked: Sequence[float],
    tolerance: float,
) -> None:
    """Print all that was found. Of the two approaches only the budgets `asked` for are listed, where there are any."""

    _show_best(optima)
    for verdict in misfits:
        if verdict.refused:
            output.say(verdict.sentence())
    for group, found, laws, reason in fits:
        _show(group, found, laws, reason, asked=asked, tolerance=tolerance)
    for words, names in grouped(unequal.items()).items():
        output.say(f"no approach 2{of_group(names)}: {words}")
    second = {name: (found, laws) for name, found, laws, _ in fits}
    for each in third:
        found_of, laws_of = second.get(each.group, (None, None))
        own = [one for one in optima if one.corpus == each.group]
        _show_third(each, found_of, laws_of, own, asked=asked, tolerance=tolerance)


def of_group(group: str) -> str:
    """Return whose runs these are, to follow a heading; nothing where the table names no corpus."""
    from isoloss.runs import observations

    return observations.of_group(group, word="on")


def _near(flops: float, asked: Sequence[float], tolerance: float) -> bool:
    """Whether a budget of the runs is one of those asked for; all are where none was."""
    return not asked or any(abs(np.log(flops / one)) <= np.log1p(tolerance) for one in asked)


def _show_best(optima: "Sequence[BestSize]") -> None:
    from isoloss.cli.tables import rounded

    if not optima:
        return
    out = output.console()
    out.print("best size of each budget, by several laws, with 95 % intervals:")
    for gap in (" ", "\n"):
        shown = output.table("corpus", "FLOPs", "parameters", "tokens", "tokens per parameter", "loss, nats")
        for one in optima:
            cells = ["–"] * 4
            if one.params and one.tokens and one.tokens_per_param and one.loss:
                cells = [rounded(each, gap=gap) for each in (one.params, one.tokens, one.tokens_per_param, one.loss)]
            shown.add_row(one.corpus, flops_text(one.flops), *cells)
        if output.natural_width(shown) <= out.width:
            break
    out.print(shown)
    outside = [(one.corpus, f"{flops_text(one.flops)} FLOPs: {one.reason}") for one in optima if not one.inside]
    for words, names in grouped(outside).items():
        output.console().print(f"{names} at {words}")


def _show(
    group: str,
    found: "IsoFlop",
    laws: "IsoFlopLaws | None",
    reason: str | None,
    *,
    asked: Sequence[float],
    tolerance: float,
) -> None:
    from isoloss.cli.tables import rounded

    out = output.console()
    out.print(f"\napproach 2{of_group(group)}: a curve through the losses of each budget's runs")
    listed = [one for one in found.optima if _near(one.flops, asked, tolerance)]
    if listed:
        out.print(_curves(listed))
    if len(listed) < len(found.optima):
        few = "" if listed else "none of the budgets that were asked for is one of the runs'; "
        out.print(f"{few}{len(found.optima) - len(listed)} other budgets of the runs are not listed (--json has them)")
    for name, formula in QUANTITIES.items() if laws else ():
        law = getattr(laws, name)
        out.print(f"{formula}: {rounded(law.exponent, gap=' ')}, R² {law.r2:.4f}")
    if reason:
        out.print(f"no law: {reason}")


def _curves(optima: "Sequence[BudgetOptimum]") -> "RichTable":
    """Return the table of approach 2: the lowest point of each budget's curve."""
    from isoloss.cli.tables import rounded
    from isoloss.optima.isoflop import STATUS_WORDS

    shown = output.table("FLOPs", "sizes", "N*", "D*", "tokens per parameter", "loss, nats", "optimum")
    for one in optima:
        answers = (one.best_params, one.best_tokens, one.tokens_per_param)
        best = [rounded(each, gap=" ") if each else "–" for each in answers]
        loss = "–" if one.loss is None else f"{one.loss:.4f}"
        optimum = "inside" if one.status == "ok" else STATUS_WORDS[one.status]
        shown.add_row(flops_text(one.flops), str(len(one.params)), *best, loss, optimum)
    return shown


def _show_third(
    each: "ThirdApproach",
    found: "IsoFlop | None",
    laws: "IsoFlopLaws | None",
    optima: "Sequence[BestSize]",
    *,
    asked: Sequence[float],
    tolerance: float,
) -> None:
    """Print approach 3 next to approach 2: the best sizes of each budget, and both exponents.

    What Chinchilla's law alone says where several laws refuse a best size, or outside the runs, is marked, and where
    it counts other FLOPs than the table does.
    """
    from isoloss.cli.tables import rounded

    out = output.console()
    if each.exponent_a is None:
        out.print(f"no approach 3{of_group(each.group)}: {each.reason}")
        return
    six = each.counts == "6ND"
    unlike = "; it counts C = 6ND, not the table's FLOPs" if six else ""
    out.print(
        f"\nbest size N*{of_group(each.group)} by approach 2, and by approach 3 (Chinchilla's law fitted to all "
        f"runs{unlike})"
    )
    refused = {one.flops for one in optima if not one.inside}
    third = "approach 3, C = 6ND" if six else "approach 3"
    shown = output.table("FLOPs", "approach 2", third, f"tokens per parameter, {third}", "")
    for point in each.frontier:
        if asked and point.flops not in asked:
            continue
        second = _nearest(found, point.flops, tolerance)
        shown.add_row(
            flops_text(point.flops), rounded(second, gap=" ") if second else "–",
            rounded(point.params, gap=" "), f"{point.tokens.value / point.params.value:.3g}",
            BY_ONE_LAW[point.interpolated] if point.flops in refused or not point.interpolated else "",
        )  # fmt: skip
    a = rounded(laws.params.exponent, gap=" ") if laws else "–"
    shown.add_row("exponent a", a, rounded(each.exponent_a, gap=" "), "", "")
    out.print(shown)


def _nearest(found: "IsoFlop | None", flops: float, tolerance: float) -> "Estimate | None":
    """Return approach 2's best size of the budget nearest to one, within the tolerance; None without an optimum."""
    near = [one for one in found.optima if _near(one.flops, [flops], tolerance)] if found else []
    return min(near, key=lambda one: abs(np.log(one.flops / flops))).best_params if near else None
