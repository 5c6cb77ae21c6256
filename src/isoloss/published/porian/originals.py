"""The summaries that Porian et al. 2024 published, four pickled data frames, made into this study's tables.

A frame has a row a configuration: its points of equal compute, their optima over 1,000 draws, and the fitted laws. They
are read as `isoloss.published.unpickle` reads them, and only where their bytes are the published ones.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isoloss.core.errors import BadTable
from isoloss.laws.law import Floats
from isoloss.published.fetch import PublicFile
from isoloss.published.folder import Columns, stacked
from isoloss.published.porian.data import ORIGIN, RANGE_POINTS
from isoloss.published.unpickle import read_frame

if TYPE_CHECKING:
    import pandas as pd

ENDS = (0.025, 0.975)
NOISE = {"rw": 0.002, "owt2": 0.01}  # standard deviation of a loss between seeds, as the released code takes it
LOSS_KINDS = {"train": "smoothed training loss", "val": "validation loss"}
CONFIGURATIONS = ORIGIN.configurations
SUMMARIES = ORIGIN.public
assert ORIGIN.curves is not None, "the study has training curves"
CURVES = ORIGIN.curves.name


def tables_of(originals: Mapping[str, Path]) -> dict[str, Columns]:
    """Return the study's tables, from the four summaries. Raises BadTable for one whose bytes are not the published."""
    named = [
        _Named(stem, key, label, row)
        for original, (stem, names) in zip(SUMMARIES, CONFIGURATIONS.items(), strict=True)
        for (key, label), row in zip(names, _rows(original, originals[original.name]), strict=True)
    ]
    return {
        "configs": stacked([_config(one) for one in named]),
        "isoflop_points": _joined(named, _points),
        "optimal_pairs": _joined(named, _optima),
        "fits": _joined(named, _fits),
        "fit_summary": stacked([_summary(one) for one in named]),
    }


class _Named(NamedTuple):
    """One configuration: the summary that holds it, its key and label, and its row, plain values by column."""

    stem: str
    key: str
    label: str
    row: Mapping[str, Any]


def _rows(original: PublicFile, path: Path) -> list[dict[str, Any]]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != original.sha256:
        raise BadTable(
            f"not the file of July 2024: SHA-256 {digest[:16]}…, expected {original.sha256[:16]}…", place=str(path),
            fix=f"take it anew from {original.url}",
        )  # fmt: skip
    frame: pd.DataFrame = read_frame(path)
    return [{str(name): row[name] for name in frame.columns} for _, row in frame.iterrows()]


def _joined(named: Sequence[_Named], part: Callable[[Mapping[str, Any]], Columns]) -> Columns:
    """Return the parts of all configurations one after another, under their keys."""
    parts = [part(one.row) for one in named]
    lengths = [len(next(iter(each.values()))) for each in parts]
    keys = np.repeat([one.key for one in named], lengths)
    return {"config": keys, **{name: np.concatenate([each[name] for each in parts]) for name in parts[0]}}


def _config(one: _Named) -> dict[str, Any]:
    row = one.row
    return {
        "config": one.key, "label": one.label,
        **{name: str(row[name]) for name in ("dataset", "hparams", "warmup", "decay")},
        "flop_count": str(row["param_count"]), "loss_kind": LOSS_KINDS[str(row["val"])], "rng_block": one.stem,
        "noise_std_used": NOISE[str(row["dataset"])],
    }  # fmt: skip


def _points(row: Mapping[str, Any]) -> Columns:
    """Return the points of every budget that has some."""
    names = {"n": "orig_n", "t": "orig_t", "loss": "orig_loss"}
    budgets = [budget for _, budget in row["data"].iterrows() if hasattr(budget["orig_n"], "__len__")]
    counts = [len(budget["orig_n"]) for budget in budgets]
    return {
        "flops": np.repeat([float(budget["flops"]) for budget in budgets], counts),
        **{
            name: np.concatenate([np.asarray(budget[column], dtype=np.float64) for budget in budgets])
            for name, column in names.items()
        },
    }


def _optima(row: Mapping[str, Any]) -> Columns:
    """Return the optimum of every budget, NaN where it has none."""
    names = {
        "n_star": "n", "t_star": "t", "rho_star": "multiplier", "loss_star": "loss", "log_std_n": "n_star_std",
        "log_std_t": "t_star_std", "log_std_rho": "multiplier_star_std", "log_std_loss": "loss_star_std",
    }  # fmt: skip
    budgets = row["data"]["flops"].to_numpy(dtype=np.float64)
    pairs = row["optimal_pairs"]
    own = {float(flops): place for place, flops in enumerate(pairs["flops"])}
    found: Columns = {"flops": budgets}
    for name, column in names.items():
        values = pairs[column].to_numpy(dtype=np.float64)
        found[name] = np.array([values[own[flops]] if flops in own else np.nan for flops in budgets.tolist()])
    return found


def _fits(row: Mapping[str, Any]) -> Columns:
    """Return the stored laws, unweighted and weighted: quantity = coef · C^exponent, losses above an offset."""
    lines = []
    for fit, stored in (("unweighted", "basic"), ("weighted", "weighted")):
        law = row["fit_results"][stored]
        for quantity, name in (("n_star", "n"), ("t_star", "t"), ("rho_star", "multiplier")):
            # The law of ρ* is the one without weights in either: what the weighted one holds follows from N*.
            source = row["fit_results"]["basic"] if name == "multiplier" else law
            lines.append(
                (fit, quantity, source[f"{name}_exponent"], source[f"{name}_coef"], source[f"{name}_r2"], np.nan)
            )
        lines.append((fit, "loss_star_saturating", -law["alpha"], law["A"], np.nan, law["E"]))
    names = ("fit", "quantity", "exponent", "coef", "r2", "offset_E")
    return {name: np.array([line[i] for line in lines]) for i, name in enumerate(names)}


def _summary(one: _Named) -> dict[str, Any]:
    """Return one configuration's numbers with the ends of their intervals, quantiles of the stored draws."""
    stored = one.row["fit_results"]
    sizes = _Power(stored["weighted"], _draws(stored["bootstrap_weighted"]), "n")
    data = _Power(stored["weighted"], _draws(stored["bootstrap_weighted"]), "t")
    ratio = _Power(stored["basic"], _draws(stored["bootstrap"]), "multiplier")
    budgets = np.geomspace(1.25e16, 2.56e19, RANGE_POINTS)
    low, high = np.quantile(ratio.at(budgets), ENDS, axis=0)
    losses = [draw for draw in stored["bootstrap"] if "E" in draw]
    return {
        "config": one.key,
        **sizes.exponents("a"), "a_r2": stored["weighted"]["n_r2"],
        **data.exponents("b"), "b_r2": stored["weighted"]["t_r2"],
        **{("r_stored_unweighted" if name == "r" else name): value for name, value in ratio.exponents("r").items()},
        **{name: value for flops in ("2.56e19", "5.88e23")
           for name, value in (*sizes.values("n_at", flops), *ratio.values("rho_fit_at", flops))},
        "rho_range_lo": int(low.min()), "rho_range_hi": int(high.max()),
        **{f"loss_{name}": stored["basic"][name] for name in ("A", "E", "alpha")},
        **{f"loss_{name}{end}": value for name in ("alpha", "E")
           for end, value in _ends(np.array([draw[name] for draw in losses]))},
    }  # fmt: skip


def _draws(stored: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Return the draws of power laws, which stand behind those of the loss law."""
    return [draw for draw in stored if "n_exponent" in draw]


def _ends(draws: Floats) -> Iterator[tuple[str, float]]:
    low, high = np.quantile(draws, ENDS)
    yield from (("_lo", float(low)), ("_hi", float(high)))


class _Power(NamedTuple):
    """A stored power law in compute and its draws."""

    law: Mapping[str, float]
    draws: Sequence[Mapping[str, float]]
    name: str

    def exponents(self, letter: str) -> dict[str, float]:
        """Return the exponent and the ends of its interval."""
        exponents = np.array([draw[f"{self.name}_exponent"] for draw in self.draws])
        return {letter: float(self.law[f"{self.name}_exponent"]), **{f"{letter}{e}": v for e, v in _ends(exponents)}}

    def at(self, flops: Floats) -> Floats:
        """Return the quantity of every draw at budgets (draws, budgets)."""
        drawn = np.array([[draw[f"{self.name}_coef"], draw[f"{self.name}_exponent"]] for draw in self.draws])
        return np.asarray(drawn[:, :1] * flops ** drawn[:, 1:])

    def values(self, column: str, flops: str) -> Iterator[tuple[str, float]]:
        """Yield the quantity at a budget and the ends of its interval, by column."""
        budget = float(flops)
        yield f"{column}_{flops}", float(self.law[f"{self.name}_coef"] * budget ** self.law[f"{self.name}_exponent"])
        for end, value in _ends(self.at(np.array([budget]))[:, 0]):
            yield f"{column}_{flops}{end}", value
