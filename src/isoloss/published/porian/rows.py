"""The published numbers of Porian et al. 2024 next to ours."""

from collections.abc import Iterator, Mapping

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.optima.curves import halfway_since_last, smooth_proportionally
from isoloss.optima.isoflop_cost import CostPoint
from isoloss.published.folder import Columns, only, where
from isoloss.published.porian.analysis import Analysed, PorianAnalysis
from isoloss.published.porian.data import BUDGETS, CHINCHILLA_BUDGET, LARGEST, RANGE_POINTS
from isoloss.published.porian.printed import ACCURACY, PRINTED, SENSITIVITY
from isoloss.published.reproduction import Row
from isoloss.runs.observations import Floats
from isoloss.runs.presets import PORIAN_CONTEXT, PORIAN_VOCABULARY, PRESETS, Shape
from isoloss.runs.shapes import count, openlm_ffn

EXACT = 1e-6
SAME_STREAM = "the authors' own noise stream: the same numbers but for rounding"
WHOLE_NUMBER = "a whole number, as printed"
LAST_DIGIT = "half of the last printed digit"
EARLY_STOP = "the authors' search stops at changes below 1e-6, ours goes on to the optimum"
OTHER_STREAM = "another noise stream: twice the Monte-Carlo error of 1,000 draws"
LOSS_TOLERANCE = 1e-3
NOISE_TOLERANCE = 0.006
SMOOTHED = "smoothing_example_rw_4_cosine_w128_d4_1040steps"


def rows(found: PorianAnalysis, tables: dict[str, Columns]) -> list[Row]:
    """Return every published number with ours, configuration by configuration."""
    collected: list[Row] = []
    for key, one in found.configs.items():
        collected += _fit_rows(one, only(tables["fit_summary"], config=key))
        collected += _line_rows(one, tables)
        collected += _optimum_rows(one, tables)
        collected += _loss_rows(one, only(tables["fit_summary"], config=key))
    collected += _printed_rows(found)
    for variant, points in found.accuracy.items():
        collected += _accuracy_rows(variant, points)
    collected += _sensitivity_rows(found)
    collected += _architecture_rows(tables)
    if SMOOTHED in tables:
        collected += _smoothing_rows(tables[SMOOTHED])
    return collected


def ratio_range(one: Analysed) -> tuple[int, int]:
    """Return the range of ρ* as the paper's table 1 prints it: ends of the band over all budgets, rounded down."""
    low, high = one.laws.ratio.band(np.geomspace(BUDGETS[0], BUDGETS[-1], RANGE_POINTS))
    return int(low.min()), int(high.max())


def _fit_rows(one: Analysed, stored: dict[str, float]) -> Iterator[Row]:
    a, b, r = one.laws.params, one.laws.tokens, one.laws.ratio
    low, high = ratio_range(one)
    for letter, law in (("a", a), ("b", b)):
        yield from _exact_with_ends(f"{one.config.key}: exponent {letter}", stored, letter, law.exponent)
        yield _exact(f"{one.config.key}: R² of {letter}", stored[f"{letter}_r2"], law.r2)
    yield from _exact_with_ends(
        f"{one.config.key}: exponent r", stored | {"r": stored["r_stored_unweighted"]}, "r", r.exponent
    )
    for end, column, value in (("lower", "rho_range_lo", low), ("upper", "rho_range_hi", high)):
        yield Row(quantity=f"{one.config.key}: ρ* range, {end} end", published=stored[column], reproduced=value,
                  tolerance=0.5, absolute=True, why=WHOLE_NUMBER)  # fmt: skip
    for budget, name in ((LARGEST, "2.56e19"), (CHINCHILLA_BUDGET, "5.88e23")):
        for law, column, quantity in ((a, f"n_at_{name}", "N*"), (r, f"rho_fit_at_{name}", "ρ*")):
            yield from _exact_with_ends(f"{one.config.key}: {quantity} at {name} FLOPs", stored, column, law.at(budget))


def _line_rows(one: Analysed, tables: dict[str, Columns]) -> Iterator[Row]:
    """Yield D* from the stored law of t*, which `fit_summary` does not hold, and the laws without weights."""
    stored = only(tables["fits"], config=one.config.key, fit="weighted", quantity="t_star")
    for budget, name in ((LARGEST, "2.56e19"), (CHINCHILLA_BUDGET, "5.88e23")):
        published = stored["coef"] * budget ** stored["exponent"]
        yield _exact(f"{one.config.key}: D* at {name} FLOPs", published, float(one.laws.tokens.values_at(budget)))
    plain = one.isoflop.laws(weighted=False)
    for quantity, law in (("n_star", plain.params), ("t_star", plain.tokens)):
        stored = only(tables["fits"], config=one.config.key, fit="unweighted", quantity=quantity)
        yield _exact(f"{one.config.key}: unweighted exponent of {quantity}", stored["exponent"], law.slope)


def _optimum_rows(one: Analysed, tables: dict[str, Columns]) -> Iterator[Row]:
    """Yield the optima of the largest and the smallest budget that have one, and how many budgets do."""
    stored = where(tables["optimal_pairs"], config=one.config.key)
    has = np.isfinite(stored["n_star"]) & np.isfinite(stored["t_star"])
    yield Row(quantity=f"{one.config.key}: budgets with an optimum", published=float(has.sum()),
              reproduced=float(len(one.isoflop.found)), tolerance=0, absolute=True, why="a count")  # fmt: skip
    by_flops = {f"{flops:.6e}": i for i, flops in enumerate(stored["flops"])}
    for optimum in one.isoflop.found:
        at = by_flops[f"{optimum.flops:.6e}"]
        assert optimum.over_params is not None, "a found optimum has both valleys"
        assert optimum.over_tokens is not None, "a found optimum has both valleys"
        place = f"{one.config.key}: at {optimum.flops:.3g} FLOPs"
        yield _exact(f"{place}: N*", stored["n_star"][at], optimum.over_params.median)
        yield _exact(f"{place}: D*", stored["t_star"][at], optimum.over_tokens.median)
        yield _exact(f"{place}: L*", stored["loss_star"][at], optimum.over_tokens.median_loss)
        yield _exact(f"{place}: s.d. of ln N*", stored["log_std_n"][at], optimum.over_params.log_std)


def _loss_rows(one: Analysed, stored: dict[str, float]) -> Iterator[Row]:
    law = one.loss.estimates()
    for name, column, value in (
        ("A", "loss_A", law["A"].value), ("E", "loss_E", law["E"].value),
        ("α", "loss_alpha", law["alpha"].value), ("α, lower end", "loss_alpha_lo", law["alpha"].low),
        ("α, upper end", "loss_alpha_hi", law["alpha"].high), ("E, upper end", "loss_E_hi", law["E"].high),
    ):  # fmt: skip
        yield Row(quantity=f"{one.config.key}: loss law {name}", published=stored[column], reproduced=_number(value),
                  tolerance=LOSS_TOLERANCE, why=EARLY_STOP)  # fmt: skip


def _printed_rows(found: PorianAnalysis) -> Iterator[Row]:
    """Yield the numbers printed in the paper, to half of their last digit."""
    for config, quantity, value, low, high in PRINTED:
        if config not in found.configs:
            continue
        one = found.configs[config]
        a = one.laws.params
        if quantity == "a (Table 1)":
            yield _printed(f"{config}: exponent a as printed", value, a.slope, 0.0005)
            yield _printed(f"{config}: a as printed, lower end", low, a.exponent.low, 0.005)
            yield _printed(f"{config}: a as printed, upper end", high, a.exponent.high, 0.005)
        elif quantity.startswith("a (text"):
            yield _printed(f"{config}: a as printed in the text", value, a.slope, 0.0005)
        elif quantity.startswith("N*(5.88e23)"):
            last = 0.5e11 if value >= 1e12 else 0.5e9
            last = last if value < 1e12 or value % 1e12 else 0.5e12
            yield _printed(f"{config}: N* at 5.88e23 FLOPs as printed", value, a.at(CHINCHILLA_BUDGET).value, last)
        elif quantity == "R2 of a fit":
            yield _printed(f"{config}: R² of a as printed", value, a.r2, 0.0005)
        elif quantity.startswith("loss fit"):
            name = quantity.removeprefix("loss fit ")
            ours = {"A": one.loss.A, "exponent": -one.loss.alpha, "E": one.loss.E}[name]
            yield _printed(f"{config}: loss law {name} as printed", value, ours,
                           {"A": 0.005, "exponent": 0.0005, "E": 0.005}[name])  # fmt: skip


def _accuracy_rows(variant: str, points: list[CostPoint]) -> Iterator[Row]:
    for point, stored in zip(points, ACCURACY[variant], strict=True):
        place = f"accuracy, {variant}, {point.budgets} budgets"
        exponent = point.law.exponent
        yield _exact(f"{place}: cost", stored.cost, point.cost)
        yield _exact(f"{place}: exponent", stored.exponent, point.law.slope)
        yield _exact(f"{place}: exponent, lower end", stored.low, exponent.low)
        yield _exact(f"{place}: exponent, upper end", stored.high, exponent.high)
        yield _exact(f"{place}: error of the draws", stored.error, point.error_against(0.5))


def _sensitivity_rows(found: PorianAnalysis) -> Iterator[Row]:
    """Yield a as released and with the noise that was meant, against an earlier run with another stream.

    A third variant, weights without any floor, divides by zero spread; ours keeps the grid's resolution.
    """
    for variant, stored in SENSITIVITY.items():
        for key, one in found.configs.items():
            law = one.laws.params if "released" in variant else one.repaired.meant_noise.params
            yield Row(quantity=f"{key}: a, {variant.replace('_', ' ')}", published=stored[key], reproduced=law.slope,
                      tolerance=NOISE_TOLERANCE, absolute=True, why=OTHER_STREAM)  # fmt: skip


def _architecture_rows(tables: dict[str, Columns]) -> Iterator[Row]:
    """Yield the parameter counts of the 16 shapes by the shapes' own rule, next to the sizes of the released points."""
    configs, points = tables["configs"], tables["isoflop_points"]
    published = {
        name: np.unique(points["n"][np.isin(points["config"], configs["config"][configs["flop_count"] == kind])])
        for name, kind in (("N", "standard"), ("N without head", "kaplan"), ("N with attention", "attention"))
    }
    for i, shape in enumerate(porian_shapes()):
        counts = porian_counts(shape.width, shape.depth)
        for name, sizes in published.items():
            yield Row(quantity=f"model {shape.width} wide, {shape.depth} deep: {name}", published=float(sizes[i]),
                      reproduced=counts[name], tolerance=0, absolute=True, why="a count")  # fmt: skip


def porian_shapes() -> list[Shape]:
    """Return the 16 shapes in ascending size."""
    return [shape for name, shape in PRESETS.items() if name.startswith("porian-")]


def porian_counts(
    width: int, depth: int, *, vocabulary: int = PORIAN_VOCABULARY, context: int = PORIAN_CONTEXT
) -> dict[str, int]:
    """Return the parameters of a shape: with head, without, with attention's s·w·l, and all but the embedding's.

    Porian et al., appendix A. The last, norms included, is how their code lists sizes.

    Raises ValueError for sizes of which there is no model.
    """
    shape = Shape(
        family="openlm", width=width, depth=depth, heads=1, ffn=openlm_ffn(width), qk_norm=True
    )  # heads change no count
    counts = count(shape.model(vocab_size=vocabulary, context=context))
    return {
        "N": counts.params("with_head"),
        "N without head": counts.params("non_embedding"),
        "N with attention": counts.params("with_attention"),
        "N exact": counts.total - counts.embedding,
    }


def _smoothing_rows(table: Columns) -> Iterator[Row]:
    """Yield the smoothed training loss of the one run whose every step is at hand."""
    positions, values = smoothing_example(table)
    for i in (len(values) // 2, len(values) - 1):
        yield Row(quantity=f"smoothed loss, step {table['step'][i]:.0f}", published=table["train_loss_smoothed"][i],
                  reproduced=values[i], tolerance=1e-6, absolute=True, why="six printed decimals")  # fmt: skip
        yield _exact(
            f"position of the smoothed loss, step {table['step'][i]:.0f}",
            table["smoothed_position_tokens"][i],
            positions[i],
        )


def smoothing_example(table: Columns) -> tuple[Floats, Floats]:
    """Return the positions in tokens and the smoothed losses of the published run of 256 × 2,048 tokens a step."""
    positions, values = smooth_proportionally(table["step"], table["train_loss"])
    return halfway_since_last(positions) * 256 * 2048, values


def _exact(quantity: str, published: float, reproduced: float | None) -> Row:
    return Row(quantity=quantity, published=_number(published), reproduced=_number(reproduced), tolerance=EXACT,
               why=SAME_STREAM)  # fmt: skip


def _exact_with_ends(quantity: str, stored: Mapping[str, float], column: str, estimate: Estimate) -> Iterator[Row]:
    """Yield an estimate and the ends of its interval, as they are stored: `a`, `a_lo`, `a_hi`."""
    for end, suffix, value in (("", "", estimate.value), (", lower end", "_lo", estimate.low),
                               (", upper end", "_hi", estimate.high)):  # fmt: skip
        yield _exact(f"{quantity}{end}", stored[f"{column}{suffix}"], value)


def _printed(quantity: str, published: float | None, reproduced: float | None, half: float) -> Row:
    # Rounding halves up or to even: the last bit of a number that ends in 5 may fall either way.
    return Row(quantity=quantity, published=_number(published), reproduced=_number(reproduced),
               tolerance=half * (1 + 1e-9), absolute=True, why=LAST_DIGIT)  # fmt: skip


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
