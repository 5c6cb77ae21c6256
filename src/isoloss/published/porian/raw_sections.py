"""What the raw curves add to the page: the sweep and its power laws, seed noise, tuned settings, loss curves."""

from collections.abc import Iterator

import numpy as np

from isoloss.core.errors import BadTable, Unidentified
from isoloss.core.numbers import fixed, plain, si
from isoloss.optima.seed_noise import noise_rule, seed_spread
from isoloss.published.figures.series import Series, SeriesPanel, series_drawing
from isoloss.published.porian.printed import PRINTED
from isoloss.published.porian.raw import IdealTuning, RawRuns, SweepResult, ideal_tuning, sweep, tuned_table
from isoloss.published.reproduction import Row
from isoloss.report.blocks import Block, Column, Drawing, Section, Table, number_cell, table_row

SWEEP = {"BS = c N^e, c (sequences of 2048 tokens)": "batch_c", "BS exponent (R2 0.986)": "batch",
         "LR = c N^e, c": "rate_c", "LR exponent (R2 0.997)": "rate"}  # fmt: skip
MOST_CURVES = 40


def raw_section(raw: RawRuns) -> Section:
    """Return one section with everything that the runs at hand can show; what they lack is said."""
    blocks: list[Block] = [f"{len(raw)} runs with {len(raw.curves['value'])} logged values."]
    for make in (_sweep_blocks, _seed_blocks, _tuned_blocks, _curve_blocks):
        try:
            blocks += make(raw)
        except (BadTable, Unidentified) as error:
            blocks.append(f"Not shown: {error.reason}.")
    return Section(name="raw", title="From the raw curves", blocks=tuple(blocks))


def raw_rows(raw: RawRuns) -> Iterator[Row]:
    """Yield the printed power laws of batch and rate next to ours, where the runs hold a sweep."""
    rows = raw.where(hparams="sweep")
    if not len(rows):
        return
    found = sweep(raw, rows)
    ours = {"batch": found.batch_law.slope, "batch_c": np.exp(found.batch_law.log_coefficient),
            "rate": found.rate_law.slope, "rate_c": np.exp(found.rate_law.log_coefficient)}  # fmt: skip
    for _, quantity, value, *_ in PRINTED:
        if quantity in SWEEP:
            yield Row(quantity=f"sweep: {quantity}", published=value, reproduced=float(ours[SWEEP[quantity]]),
                      tolerance=0.1, why="a parabola here, Akima's interpolation there")  # fmt: skip


def _sweep_blocks(raw: RawRuns) -> list[Block]:
    rows = raw.where(hparams="sweep")
    if not len(rows):
        raise BadTable("no runs of a sweep (hparams = sweep)", fix="give the file with all runs")
    found = sweep(raw, rows)
    return [_sweep_drawing(found), _ideal_drawing(ideal_tuning(found))]


def _ideal_drawing(found: IdealTuning) -> Drawing:
    extra = 100 * (found.by_laws / found.ideal - 1)
    panels = [
        SeriesPanel(
            title="Loss at 20 tokens per parameter", xlabel="training FLOPs C", ylabel="loss, nats per token",
            x="power",
            series={"each size tuned by itself": Series(x=found.flops, y=found.ideal, points=True),
                    "rate and batch by the power laws": Series(x=found.flops, y=found.by_laws, points=True)},
        ),
        SeriesPanel(
            title="What the laws cost", xlabel="training FLOPs C", ylabel="above ideal tuning, %", x="power",
            y="linear", level=0.0,
            series={"rate and batch by the power laws": Series(x=found.flops, y=extra, points=True)},
        ),
    ]  # fmt: skip
    return series_drawing(
        panels, name="ideal-tuning", title="Ideal tuning over all budgets",
        caption="Every swept size at its own best rate and batch, and where the power laws put it: the swept batch "
        f"nearest to the law's, at the law's rate. The laws cost {plain(float(np.median(extra)), 2)} % of the loss at "
        "the median.",
        alt="Loss against compute under ideal tuning and under the power laws, and the difference in percent.",
    )  # fmt: skip


def _sweep_drawing(found: SweepResult) -> Drawing:
    sizes = [float(best.params) for best in found.batches]
    along = np.geomspace(min(sizes), max(sizes), 30)
    panels = []
    for title, label, law, values in (
        ("Best batch", "batch, sequences", found.batch_law, [(b.params, b.batch_tokens) for b in found.batches]),
        ("Best rate of each batch", "peak rate", found.rate_law, [(r.params, r.peak_lr) for r in found.rates]),
    ):
        x, y = np.array(values, dtype=float).T
        panels.append(SeriesPanel(
            title=title, xlabel="parameters N", ylabel=label, x="si",
            note=f"∝ N^{fixed(law.slope, 2)}, R² {fixed(law.r2, 3)}",
            series={"optimum": Series(x=x, y=y, line=False, points=True),
                    "power law": Series(x=along, y=law.values_at(along))},
        ))  # fmt: skip
    return series_drawing(
        panels, name="sweep", title="Best batch and rate over size",
        caption="Optima of parabolas in ln rate and ln batch; the power laws are fitted to sizes inside the grid.",
        alt="Best batch and best rate against model size with power laws.",
    )  # fmt: skip


def _seed_blocks(raw: RawRuns) -> list[Block]:
    spreads = seed_spread(raw.training_curves(raw.where(hparams="seed")))
    rule = noise_rule(spreads)
    series = {
        f"{si(spread.params)} parameters, {spread.seeds} seeds": Series(
            x=spread.mean[order], y=np.maximum(spread.std[order], 1e-6)
        )
        for spread in spreads[:5]
        for order in (np.argsort(spread.mean),)
    }
    along = np.geomspace(rule.loss_low, rule.loss_high, 30)
    series["rule"] = Series(x=along, y=rule.at(along))
    panel = SeriesPanel(title="Seed noise", xlabel="loss, nats per token", ylabel="standard deviation, nats",
                        series=series)  # fmt: skip
    drawing = series_drawing(
        [panel], name="seeds", title="Noise between seeds against loss",
        caption=f"The rule rises from {plain(rule.low)} at {plain(rule.loss_low)} to {plain(rule.high)} at "
        f"{plain(rule.loss_high)} nats.",
        alt="Standard deviation between seeds against the loss, one line a size, and the power law through them.",
    )  # fmt: skip
    return [drawing]


def _tuned_blocks(raw: RawRuns) -> list[Block]:
    rows = raw.where(hparams="tuned")
    if not len(rows):
        raise BadTable("no tuned runs (hparams = tuned)", fix="give the file with all runs")
    columns = (Column(title="parameters"), Column(title="rate"), Column(title="batch", unit="sequences"),
               Column(title="β2"))  # fmt: skip
    table = tuple(
        table_row(
            number_cell(params, si), number_cell(rate, plain), number_cell(batch, lambda value: f"{value:.0f}"),
            "–" if np.isnan(beta2) else number_cell(beta2, plain),
        )
        for params, rate, batch, beta2 in tuned_table(raw, rows)
    )  # fmt: skip
    return [Table(name="tuned", caption="The tuned settings by size.", columns=columns, rows=table)]


def _curve_blocks(raw: RawRuns) -> list[Block]:
    panels = []
    for title, kind in (("Training, smoothed", "train/loss"), ("Validation", "val/loss")):
        rows = [row for row in range(len(raw)) if raw.runs["hparams"][row] in ("base", "tuned")][:MOST_CURVES]
        curves = sorted(raw.training_curves(rows, kind=kind), key=lambda curve: curve.params)
        longest = {curve.params: curve for curve in curves}
        shown = dict(list(longest.items())[:: max(1, len(longest) // 5)][:5])
        if shown:
            panels.append(SeriesPanel(
                title=title, xlabel="training FLOPs C", ylabel="loss, nats per token", x="power",
                series={f"{si(n)} parameters": Series(x=c.flops, y=c.loss_nats) for n, c in shown.items()},
            ))  # fmt: skip
    if not panels:
        raise BadTable("no loss curves", fix="give the file with all runs")
    return [series_drawing(
        panels, name="loss-curves", title="Loss curves", caption="One run a size, at most five sizes.",
        alt="Training and validation loss against compute.",
    )]  # fmt: skip
