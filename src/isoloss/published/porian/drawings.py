"""The figures of Porian et al. 2024 from our analysis, each with its numbers."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.numbers import fixed, plain, si
from isoloss.optima.isoflop import IsoFlop
from isoloss.optima.power_line import PowerLine
from isoloss.published.figures.accuracy import ACCURACY, accuracy_against_cost, accuracy_columns
from isoloss.published.figures.least_loss import LeastLoss, least_losses, least_losses_apart
from isoloss.published.figures.optima import OptimaPanel, Quantity, Reference, optima_against_compute
from isoloss.published.figures.valleys import valleys
from isoloss.published.porian.analysis import Analysed, PorianAnalysis
from isoloss.published.porian.data import BUDGETS, CHINCHILLA_BUDGET, DATASETS
from isoloss.report.blocks import Drawing, columns_of

# Kaplan et al. 2020 count petaflop-days; 1.3e9 and 0.73 are their law adjusted for the learning rate.
PETAFLOP_DAY = 8.64e19
KAPLAN = Reference(name="Kaplan et al. 2020", coefficient=1.6e9 / PETAFLOP_DAY**0.88, exponent=0.88)
ADJUSTED = Reference(name="Kaplan et al. 2020, adjusted", coefficient=1.3e9 / PETAFLOP_DAY**0.73, exponent=0.73)
HOFFMANN = Reference(name="Hoffmann et al. 2022: 20 tokens per parameter", coefficient=120**-0.5, exponent=0.5)
REFERENCES = (HOFFMANN, KAPLAN)
LONG_WARMUP = 3000 * 2**19  # tokens: 3,000 steps of 524,288
SWEEP_COSTS = {"reduced sweep of rate and batch": 1.44e19, "full sweep": 2.04e20}
LETTERS: dict[Quantity, str] = {"params": "a", "tokens": "b", "ratio": "r"}
SYMBOLS: dict[Quantity, str] = {"params": "N*", "tokens": "D*", "ratio": "ρ*"}
CLOSE = {"rw": (2.8, 7.0), "owt2": (2.8, 7.0)}  # the paper's range of losses


def drawings(found: PorianAnalysis) -> list[Drawing]:
    """Return every figure that these data can show, in the paper's order."""
    return [
        *(make(found, name) for make in (_steps, _all_panels, _isoflop) for name in DATASETS),
        _warmup(found), _attention(found), _adjusted(found),
        *(make(found, name) for make in (_loss, _loss_apart) for name in DATASETS),
        _accuracy(found), _repaired(found),
    ]  # fmt: skip


def five(found: PorianAnalysis, dataset: str) -> dict[str, Analysed]:
    """Return the five steps of a data set by their titles."""
    return {f"{step} {found.of(dataset, step).config.label}": found.of(dataset, step) for step in range(1, 6)}


def _panel(one: Analysed, quantity: Quantity, title: str, references: Sequence[Reference] = REFERENCES, *,
           warmup: bool = False) -> OptimaPanel:  # fmt: skip
    law: PowerLine = {"params": one.laws.params, "tokens": one.laws.tokens, "ratio": one.laws.ratio}[quantity]
    exponent, at = law.exponent, law.at(CHINCHILLA_BUDGET)
    write = plain if quantity == "ratio" else si
    return OptimaPanel.of(
        one.isoflop, quantity, title=title, fit=law, references=tuple(references),
        notes=(
            f"{LETTERS[quantity]} = {fixed(exponent.value, 3)} ({fixed(exponent.low or 0, 2)}, "
            f"{fixed(exponent.high or 0, 2)})",
            f"{SYMBOLS[quantity]}(5.88e23) = {write(at.value)} ({write(at.low or 0)}, {write(at.high or 0)})",
        ),
        warmup=_warmup_law(one) if warmup else None,
    )  # fmt: skip


def _exponent_words(exponent: Estimate) -> str:
    return f"a = {fixed(exponent.value, 3)} ({fixed(exponent.low or 0, 3)}, {fixed(exponent.high or 0, 3)})"


def _warmup_law(one: Analysed) -> PowerLine:
    """Return the warm-up in tokens over compute: a constant, or as many tokens as the optimal model has parameters."""
    if one.config.warmup == "long":
        return PowerLine(slope=0.0, log_coefficient=float(np.log(LONG_WARMUP)), r2=1.0)
    return PowerLine(slope=one.laws.params.slope, log_coefficient=one.laws.params.log_coefficient, r2=1.0)


def _drawing(
    name: str, title: str, caption: str, alt: str, panels: Sequence[OptimaPanel], *, columns: int = 3
) -> Drawing:
    draw = partial(optima_against_compute, panels, columns=columns)
    return Drawing(name=name, title=title, caption=caption, alt=alt, draw=draw, numbers=panel_numbers(panels))


def panel_numbers(panels: Sequence[OptimaPanel]) -> dict[str, list[object]]:
    """Return what the panels draw as columns: optima, their spread, and the law with its band at their budgets."""
    rows: list[tuple[object, ...]] = []
    for panel in panels:
        law, (low, high) = panel.fit.values_at(panel.flops), panel.fit.band(panel.flops)
        numbers = zip(panel.flops, panel.values, panel.log_std, law, low, high, strict=True)
        rows += [(panel.title, panel.quantity, *map(float, row)) for row in numbers]
    return columns_of(("panel", "quantity", "flops", "value", "log_std", "law", "law_low", "law_high"), rows)


def _steps(found: PorianAnalysis, dataset: str) -> Drawing:
    laws = (HOFFMANN, KAPLAN, ADJUSTED)
    panels = [_panel(one, "params", title, laws) for title, one in five(found, dataset).items()]
    path = " → ".join(fixed(panel.fit.slope, 3) for panel in panels)
    return _drawing(
        f"steps-{dataset}", f"From Kaplan's law to Hoffmann's in five steps, {DATASETS[dataset]}",
        f"Optimal parameters against compute after each correction. The exponent goes {path}. Marks are medians of "
        "1,000 redrawn curves with one standard deviation; dashed, Hoffmann et al.'s law; dotted, Kaplan et al.'s; "
        "dash-dotted, the one that they adjusted for the learning rate.",
        f"Five panels of optimal parameters against compute on {DATASETS[dataset]}; exponents {path}.", panels,
    )  # fmt: skip


def _all_panels(found: PorianAnalysis, dataset: str) -> Drawing:
    panels = [
        _panel(one, quantity, title, warmup=quantity == "tokens")
        for title, one in five(found, dataset).items()
        for quantity in ("ratio", "params", "tokens")
    ]
    return _drawing(
        f"panels-{dataset}", f"Tokens per parameter, parameters and tokens at the optimum, {DATASETS[dataset]}",
        "One row a step, one column a quantity. Grey is the warm-up in tokens: where it reaches the optimal tokens, "
        "training at the optimum is all warm-up.",
        f"Fifteen panels: ρ*, N* and D* against compute for five steps on {DATASETS[dataset]}.", panels,
    )  # fmt: skip


def _isoflop(found: PorianAnalysis, dataset: str) -> Drawing:
    curves = {title: one.isoflop for title, one in five(found, dataset).items()}
    return Drawing(
        name=f"isoflop-{dataset}", title=f"Loss at equal compute, {DATASETS[dataset]}",
        caption="Each curve is one budget, from 1.25e16 (dark) to 2.56e19 FLOPs (light), doubling; its star is the "
        "optimum. Points below half a token per parameter are not shown.",
        alt=f"Five panels of loss against model size on {DATASETS[dataset]}, one curve a budget, with their minima.",
        draw=partial(valleys, curves, ylim=CLOSE[dataset]), numbers=valley_numbers(curves),
    )  # fmt: skip


def valley_numbers(curves: Mapping[str, IsoFlop]) -> dict[str, list[object]]:
    """Return the points of equal compute and each budget's optimum as columns."""
    rows: list[tuple[object, ...]] = []
    for title, one in curves.items():
        for optimum in one.optima:
            best = optimum.over_params.median if optimum.over_params and optimum.status == "ok" else None
            points = zip(optimum.params, optimum.tokens, optimum.loss_nats, strict=True)
            rows += [(title, optimum.flops, *map(float, row), best, optimum.status) for row in points]
    return columns_of(("panel", "flops", "params", "tokens", "loss_nats", "optimal_params", "status"), rows)


def _warmup(found: PorianAnalysis) -> Drawing:
    titles = {2: "Kaplan et al.: 1.57B tokens", 3: "Warm-up of N* tokens"}
    panels = [_panel(found.of("rw", step), "tokens", title, warmup=True) for step, title in titles.items()]
    return _drawing(
        "warmup", "Why the warm-up matters", "Optimal tokens against compute on RefinedWeb. Under the long warm-up "
        "small budgets are mostly warm-up (grey), which pushes their optimum towards more tokens and smaller models.",
        "Two panels of optimal tokens against compute: under the long warm-up, optima of small budgets lie inside it.",
        panels,
    )  # fmt: skip


def _attention(found: PorianAnalysis) -> Drawing:
    panels = [
        _panel(one, "params", one.config.label) for key, one in found.configs.items() if key.startswith("rw_att_")
    ]
    path = " → ".join(fixed(panel.fit.slope, 3) for panel in panels)
    return _drawing(
        "attention", "Counting attention's FLOPs as well",
        f"The steps again on RefinedWeb, with N counted as N + 2048·width·depth. The exponent goes {path}.",
        f"Four panels of optimal effective parameters against compute; exponents {path}.", panels, columns=2,
    )  # fmt: skip


def _adjusted(found: PorianAnalysis) -> Drawing:
    one = found.configs["rw_kaplan_tuned_longwarmup"]
    titles: dict[Quantity, str] = {"ratio": "Tokens per parameter", "params": "Parameters", "tokens": "Tokens"}
    panels = [_panel(one, q, title, (HOFFMANN, ADJUSTED), warmup=q == "tokens") for q, title in titles.items()]
    return _drawing(
        "kaplan-adjusted", "Kaplan et al.'s adjusted law",
        "Tuned rate and batch with Kaplan et al.'s counting (no head, no embedding) and their long warm-up come near "
        "the law that they adjusted for a constant rate.",
        f"Three panels against compute: the exponent of N* is {fixed(one.laws.params.slope, 3)}, next to 0.73.",
        panels,
    )  # fmt: skip


def _series(found: PorianAnalysis, dataset: str) -> dict[str, LeastLoss]:
    return {
        title: LeastLoss(
            flops=np.array([o.flops for o in one.isoflop.found]),
            loss_nats=np.array([o.over_tokens.median_loss for o in one.isoflop.found if o.over_tokens]),
            fit=one.loss,
        )
        for title, one in five(found, dataset).items()
    }


def _loss(found: PorianAnalysis, dataset: str) -> Drawing:
    series = _series(found, dataset)
    tuned = list(series)[-1]
    return Drawing(
        name=f"least-loss-{dataset}", title=f"Least loss against compute, {DATASETS[dataset]}",
        caption=f"Each correction lowers the least loss. The line is E + A/C^α fitted to {tuned.lower()} between 1e16 "
        "and 5e17 FLOPs (solid) and drawn on (dashed) with its 95 % interval.",
        alt=f"Least loss against compute for five configurations on {DATASETS[dataset]} with one fitted law.",
        draw=partial(least_losses, series, fitted=[tuned]), numbers=loss_numbers(series),
    )  # fmt: skip


def _loss_apart(found: PorianAnalysis, dataset: str) -> Drawing:
    series = _series(found, dataset)
    return Drawing(
        name=f"least-loss-each-{dataset}", title=f"The loss law of each step, {DATASETS[dataset]}",
        caption="Fitted to six budgets (solid), held against the others (dashed, 95 % interval of 200 redrawn fits).",
        alt=f"Five panels of least loss against compute on {DATASETS[dataset]}, each with its own fitted law.",
        draw=partial(least_losses_apart, series), numbers=loss_numbers(series),
    )  # fmt: skip


def loss_numbers(series: Mapping[str, LeastLoss]) -> dict[str, list[object]]:
    """Return least losses and their laws as columns."""
    rows = (
        (title, flops, loss, float(one.fit.loss_at(flops)[0]), one.fit.E, one.fit.A, one.fit.alpha)
        for title, one in series.items()
        for flops, loss in zip(one.flops.tolist(), one.loss_nats.tolist(), strict=True)
    )
    return columns_of(("series", "flops", "loss_nats", "law", "E", "A", "alpha"), rows)


def _accuracy(found: PorianAnalysis) -> Drawing:
    titles = {"all_budgets": "All budgets", "budgets_above_2.4e16": "Budgets above 2.4e16 FLOPs"}
    curves = {titles[name]: accuracy_columns(points, nominal=0.5) for name, points in found.accuracy.items()}
    rows = ((title, *map(float, row)) for title, curve in curves.items() for row in zip(*curve.values(), strict=True))
    return Drawing(
        name="accuracy", title="Accuracy against the cost of the experiments",
        caption="The exponent from ever more budgets of the tuned configuration on RefinedWeb. One run a size serves "
        "all its budgets. Upright lines are the costs of the sweeps over rate and batch, as the paper states them.",
        alt="Two panels: the interval of the exponent narrows around 0.5 as the cost of its experiments grows.",
        draw=partial(accuracy_against_cost, curves, nominal=0.5, marks=SWEEP_COSTS),
        numbers=columns_of(("panel", *ACCURACY), rows),
    )  # fmt: skip


def _repaired(found: PorianAnalysis) -> Drawing:
    tuned = {name: found.of(key, 5) for key, name in DATASETS.items()}
    panels = [
        OptimaPanel.of(one.isoflop, "params", title=f"{name}, {title}", references=REFERENCES, fit=laws.params,
                       notes=(_exponent_words(laws.params.exponent),))
        for name, one in tuned.items()
        for title, laws in (("as released", one.laws), ("repaired", one.repaired.both))
    ]  # fmt: skip
    return _drawing(
        "repaired", "The tuned configurations with the known defects repaired",
        f"Noise that rises with the loss, and weights from the draws alone; {len(BUDGETS)} budgets. Marks are the "
        "released optima.",
        "Four panels of optimal parameters against compute, as released and repaired: the laws nearly agree.",
        panels, columns=2,
    )  # fmt: skip
