"""Corpora side by side: one panel a measure, one row a corpus, each value with its interval and its placebo."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from isoloss.core.estimate import Estimate
from isoloss.report import theme
from isoloss.report.figures.marks import interval_row, lay_out_rows

ROW_INCHES, NAME_LENGTH, NAME_POINTS = 0.24, 24, 8.5
PLACEBO = "-placebo"

Measures = Mapping[str, Mapping[str, Estimate]]
"""Corpus → measure → value; a measure's placebo stands under its name with `-placebo`."""


@theme.drawn
def complexity(measures: Measures, *, axis_names: Mapping[str, str]) -> Figure:
    """Return one panel a measure, corpora from the top in the order given; hollow marks are placebos.

    `axis_names` says what the number of a measure is. A corpus without a value has an empty row.
    """
    names = list(measures)
    shown = list(dict.fromkeys(m.removesuffix(PLACEBO) for found in measures.values() for m in found))
    rows = [theme.short(name, NAME_LENGTH) for name in names]
    left = 0.2 + max(theme.text_points(row, NAME_POINTS) for row in rows) / theme.POINTS_PER_INCH
    panels = theme.Panels(width=1.75, height=ROW_INCHES * max(len(rows), 2) + 0.1, columns=5, left=left, gap_x=0.2)
    placebos = any(m.endswith(PLACEBO) for found in measures.values() for m in found)
    figure, grid = panels.grid(len(shown), key=_key() if placebos else ())
    for index, (measure, (axes,)) in enumerate(zip(shown, grid, strict=True)):
        for row, name in enumerate(names):
            if (placebo := measures[name].get(measure + PLACEBO)) is not None:
                interval_row(axes, row + 0.2, placebo, colour=theme.MUTED, size=5, marker="o", fillstyle="none")
            if (found := measures[name].get(measure)) is not None:
                interval_row(axes, row, found, colour=theme.BLUE, size=5, marker="o")
        axes.set_title(measure)
        axes.set_xlabel(axis_names.get(measure, ""))
        lay_out_rows(axes, len(names), rows if index % panels.columns == 0 else [])
        axes.locator_params(axis="x", nbins=4)
    return figure


def _key() -> list[theme.Entry]:
    return [
        (theme.mark_sign("o", theme.BLUE), "as it is, with 95 % interval"),
        (
            theme.mark_sign("o", theme.MUTED, fillstyle="none"),
            "ids relabelled",
        ),
    ]
