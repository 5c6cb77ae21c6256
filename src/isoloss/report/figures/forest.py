"""Coefficients of every corpus side by side, each with its interval, next to Chinchilla's published values."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isoloss.core.errors import identified
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitted import FittedLaw
from isoloss.report import theme
from isoloss.report.figures.marks import interval_row, lay_out_rows

NAMES = {"E": "E, nats", "A": "A", "B": "B", "alpha": "α", "beta": "β", "a": "a in N* ∝ Cᵃ"}
LOGARITHMIC = {"A", "B"}
COMPARABLE = {"alpha", "beta", "a"}

# Hoffmann et al. 2022, eq. 10 and table A3 (approach 3); a = β/(α+β) from the printed α and β.
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "a": 0.28 / 0.62}
# Besiroglu et al. 2024 (arXiv:2404.10102), their fit to the 240 points of the same paper.
BESIROGLU = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658, "a": 0.3658 / (0.3478 + 0.3658)}
REFERENCES = (
    ("Hoffmann et al. 2022, published", HOFFMANN, (0, (4, 2))),
    ("the same data, Besiroglu et al. 2024", BESIROGLU, (0, (1, 1.5))),
)
ROW_INCHES = 0.29
NAME_LENGTH, NAME_POINTS = 22, 8.5


@theme.drawn
def forest(
    laws: Mapping[str, FittedLaw],
    *,
    kinds: Mapping[str, str],
    floors: Mapping[str, Estimate],
    layout: theme.Layout = "wide",
) -> Figure:
    """Return one panel a coefficient, one row a corpus, from the top in the order of `laws`.

    Exponents compare with the published ones and their panels reach so far; E, A and B hang on tokenizer and text, and
    references to them are drawn where they happen to fall.
    """
    names = list(laws)
    columns = {parameter: coefficients(laws, parameter) for parameter in NAMES}
    columns = {parameter: found for parameter, found in columns.items() if found}
    rows = [theme.short(name, NAME_LENGTH) for name in names]
    left = 0.15 + max(theme.text_points(row, NAME_POINTS) for row in rows) / theme.POINTS_PER_INCH
    height = ROW_INCHES * max(len(rows), 2) + 0.1
    panels = theme.Panels(width=(10.2 - left) / 6, height=height, columns=6, left=left, gap_x=0.18, bottom=0.35).on(
        layout, width=(3.55 - left) / 2, columns=2, right=0.08, gap_x=0.16
    )
    figure, grid = panels.grid(len(columns), key=_key({kinds[name] for name in names}, bool(set(floors) & set(names))))
    for index, ((parameter, found), (axes,)) in enumerate(zip(columns.items(), grid, strict=True)):
        lay_out_rows(axes, len(names), rows if index % panels.columns == 0 else [])
        _panel(axes, parameter, found, names, kinds=kinds, floors=floors if parameter == "E" else {})
    return figure


def coefficients(laws: Mapping[str, FittedLaw], parameter: str) -> dict[str, Estimate]:
    """Return a coefficient of each law that has it; `a` is the exponent of the frontier."""
    if parameter != "a":
        return {name: law.params[parameter] for name, law in laws.items() if parameter in law.params}
    asked = {name: identified(law.exponent_a) for name, law in laws.items()}
    return {name: exponent for name, exponent in asked.items() if exponent}


def _panel(
    axes: Axes, parameter: str, found: Mapping[str, Estimate], names: Sequence[str], *,
    kinds: Mapping[str, str], floors: Mapping[str, Estimate],
) -> None:  # fmt: skip
    if parameter in LOGARITHMIC:
        axes.set_xscale("log")
    for row, name in enumerate(names):
        if name in found:
            colour, marker = theme.KIND_COLOUR.get(kinds[name], theme.INK), theme.KIND_MARKER.get(kinds[name], "o")
            interval_row(axes, row, found[name], colour=colour, marker=marker, markeredgewidth=0)
        if name in floors:
            axes.plot([floors[name].value] * 2, [row - 0.33, row + 0.33], color=theme.PURPLE, linewidth=2.2, zorder=2)
    axes.set_title(NAMES[parameter])
    for _, values, dashes in REFERENCES:
        low, high = axes.get_xlim()
        if parameter in COMPARABLE or low < values[parameter] < high:
            axes.axvline(values[parameter], color=theme.MUTED, linewidth=1, linestyle=dashes, zorder=1)
    if parameter in LOGARITHMIC:
        theme.log_axis(axes.xaxis, kind="si", most=4)
    else:
        axes.locator_params(axis="x", nbins=4)


def _key(kinds: set[str], floors: bool) -> list[theme.Entry]:
    entries: list[theme.Entry] = [
        (theme.mark_sign(marker, theme.KIND_COLOUR[kind], size=5.5), kind)
        for kind, marker in theme.KIND_MARKER.items()
        if kind in kinds
    ]
    if floors:
        entries.append((theme.mark_sign("|", theme.PURPLE, size=9, markeredgewidth=2.2),
                        "exact floor of the grammar"))  # fmt: skip
    return entries + [(theme.line_sign(theme.MUTED, dashes=d), label) for label, _, d in REFERENCES]
