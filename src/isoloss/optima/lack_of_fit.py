"""Whether a form misses the runs by more than their noise, and whether that matters for the best split.

What a form misses is asked for what a surface of third order would add to it, by an F ratio. Trunk effects look like
structure, so noise of trunks and of points is estimated together (from seeds, where there are any), both sides are
whitened by it, and what the ratio would be without misfit is simulated, with noise drawn from its posterior. A form is
refused only where fewer than 5 % of the simulated ratios are as large and its best split differs from the runs' by more
than .1 in ln(D*/N*) at one of the budgets: a misfit that moves nothing is no reason to doubt a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.core.rng import stream
from isoloss.fitting.checks import EXCLUDED_FLAGS, leave_out, refuse_unfittable
from isoloss.fitting.engine import find_optimum, linearise, pose, starting_points
from isoloss.laws.law import Floats
from isoloss.laws.registry import open_law
from isoloss.optima.best_size import BestSize, best_sizes
from isoloss.optima.surfaces import LOCAL, noise_around_surface, third_order
from isoloss.runs.observations import Observations

REFUSAL = 0.05  # the share of true forms that is refused, at most
MOVED = 0.1  # of ln(D*/N*)
SIMULATIONS = 1000
SEEN = 1e-8  # of a column's length: what is left of it beside the others counts above this


@dataclass(frozen=True, kw_only=True)
class LackOfFit:
    """How one form misses one corpus: `probability` of a misfit as large by noise alone, and what it moves.

    `shift` is the largest difference in ln(D*/N*) between the form and all forms together, over budgets inside the
    runs, at `flops`; None without one. `fitting` names the form that predicts unseen trunks best of those not refused.
    """

    corpus: str
    form: str
    misfit: float
    probability: float
    shift: float | None
    flops: float | None
    fitting: str | None
    refused: bool

    def sentence(self) -> str:
        """Return the verdict in plain English."""
        if not self.refused or self.shift is None:
            return f"{self.form} is not refused on {self.corpus} (p = {self.probability:.2g})."
        more = "more" if self.shift > 0 else "fewer"
        instead = f" {self.fitting} fits." if self.fitting else " No form here fits."
        return (
            f"{self.form} misses the runs of {self.corpus} by {self.misfit:.1%} of ln L, more than their noise "
            f"(p = {self.probability:.2g}), and asks for {np.exp(abs(self.shift)):.2g} times {more} tokens per "
            f"parameter than they show at {self.flops:.2g} FLOPs.{instead}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "corpus": self.corpus, "form": self.form, "misfit": self.misfit, "probability": self.probability,
            "shift": self.shift, "flops": self.flops, "fitting": self.fitting, "refused": self.refused,
            "sentence": self.sentence(),
        }  # fmt: skip


def lack_of_fit(
    observations: Observations,
    *,
    form: str = "chinchilla",
    budgets: Sequence[float] | None = None,
    optima: Sequence[BestSize] | None = None,
    seed: int = 0,
) -> list[LackOfFit]:
    """Return, corpus by corpus, whether `form` is refused; corpora that it cannot be fitted to are left out.

    `optima` are the corpora's best sizes where they are known already; else those of `budgets`, by default three
    inside the runs. Flagged runs are left out.
    """
    known = best_sizes(observations, budgets=budgets, seed=seed) if optima is None else optima
    found = []
    for corpus in observations.corpora:
        used, _ = leave_out(observations.where(corpus=corpus), flags=EXCLUDED_FLAGS)
        try:
            misfit, probability = _test(used, form, seed=seed)
        except InputError:
            continue  # too few rows for the form: `fit` says so
        found.append(_judge(used, corpus, form, misfit, probability, [o for o in known if o.corpus == corpus], seed))
    return found


def _judge(
    table: Observations,
    corpus: str,
    form: str,
    misfit: float,
    probability: float,
    optima: Sequence[BestSize],
    seed: int,
) -> LackOfFit:
    shift, flops = _largest_shift(form, optima)
    refused = bool(probability < REFUSAL and shift is not None and abs(shift) > MOVED)
    return LackOfFit(
        corpus=corpus, form=form, misfit=misfit, probability=probability, shift=shift, flops=flops, refused=refused,
        fitting=_fitting(table, form, optima, seed=seed) if refused else form,
    )  # fmt: skip


def _largest_shift(form: str, optima: Sequence[BestSize]) -> tuple[float | None, float | None]:
    """Return the form's ln(D*/N*) less that of all forms where they differ most, and the budget."""
    found = [
        (float(np.log(each.tokens_per_param / one.tokens_per_param.value)), one.flops)
        for one in optima
        for each in one.forms
        if each.form == form and one.tokens_per_param is not None
    ]
    return max(found, key=lambda pair: abs(pair[0])) if found else (None, None)


def _fitting(table: Observations, refused: str, optima: Sequence[BestSize], *, seed: int) -> str | None:
    """Return the form of most weight that the runs do not refuse; the local surface is none to fit."""
    weights: dict[str, float] = {}
    for one in optima:
        for each in one.forms:
            weights[each.form] = weights.get(each.form, 0.0) + each.weight
    for form in sorted(weights, key=lambda name: -weights[name]):
        if form not in (refused, LOCAL) and _test(table, form, seed=seed)[1] >= REFUSAL:
            return form
    return None


def _test(table: Observations, form: str, *, seed: int) -> tuple[float, float]:
    """Return the root mean square misfit of a form, and the share of simulated F ratios that are as large."""
    law = open_law(form)
    refuse_unfittable(table, law=law, fixed={})
    problem = pose(table, law=law, objective="gaussian", delta=1.0, weights=np.ones(len(table)), fixed={})
    residuals, own = linearise(problem, find_optimum(problem, starting_points(problem, "auto")).free)
    x, z = np.log(table.params), np.log(table.tokens)
    further = _beside(own, third_order((x - x.mean()) / x.std(), (z - z.mean()) / z.std()))
    misfit = float(np.sqrt(np.mean(residuals**2)))
    left = len(residuals) - own.shape[1] - further.shape[1]
    if not further.shape[1] or left < 1:
        return misfit, 1.0
    noise = noise_around_surface(table, residuals, np.hstack([own, further]), problem.weights, None)
    generator = stream(seed, "lack of fit", form, table.fingerprint)
    simulated = noise.draw_noise(generator, noise.draw_deviations(generator, SIMULATIONS))
    ratio = (noise.trunk_sd / noise.point_sd) ** 2
    ratios = _ratios(np.vstack([residuals, simulated]), own, further, noise.trunk_of, ratio)
    return misfit, float((1 + (ratios[1:] >= ratios[0]).sum()) / (1 + SIMULATIONS))


def _ratios(rows: Floats, own: Floats, further: Floats, trunk_of: NDArray[np.int64], ratio: float) -> Floats:
    """Return the F ratio of each of `rows` (b, n): what `further` columns add to `own`, over what is left."""
    y, J, Z = (_whitened(each, trunk_of, ratio) for each in (rows.T, own, further))
    basis = _orthonormal(J)
    y = y - basis @ (basis.T @ y)
    extra = _orthonormal(Z - basis @ (basis.T @ Z))
    added = ((extra.T @ y) ** 2).sum(axis=0)
    left = len(y) - basis.shape[1] - extra.shape[1]
    return np.asarray((added / extra.shape[1]) / (((y**2).sum(axis=0) - added) / left))


def _whitened(columns: Floats, trunk_of: NDArray[np.int64], ratio: float) -> Floats:
    """Return columns (n, k) less the part of their trunk's mean that trunk effects take up (Swamy & Arora 1972)."""
    counts = np.bincount(trunk_of)
    sums = np.zeros((len(counts), columns.shape[1]))
    np.add.at(sums, trunk_of, columns)
    kept = 1 - 1 / np.sqrt(1 + ratio * counts)
    return np.asarray(columns - (kept / counts)[trunk_of, None] * sums[trunk_of])


def _beside(own: Floats, columns: Floats) -> Floats:
    """Return an orthonormal basis of what `columns` have beside `own`."""
    basis = _orthonormal(own)
    scaled = columns / np.linalg.norm(columns, axis=0)
    return _orthonormal(scaled - basis @ (basis.T @ scaled), least=SEEN)


def _orthonormal(columns: Floats, *, least: float = 0.0) -> Floats:
    """Return an orthonormal basis (n, rank) of the space of `columns` (n, k); directions below `least` are none."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > max(least, 1e-10 * sizes.max(initial=0.0))])
