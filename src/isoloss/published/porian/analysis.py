"""Every configuration by approach 2 as its authors did it, and again with the known defects repaired."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from isoloss.core.pool import Helpers, Shared
from isoloss.core.progress import QUIET, Progress
from isoloss.laws.law import Floats
from isoloss.optima.isoflop import IsoFlop, IsoFlopLaws, fit_isoflop
from isoloss.optima.isoflop_cost import CostPoint, accuracy_by_cost
from isoloss.optima.isoflop_curves import Valley
from isoloss.optima.saturating import SaturatingFit, fit_saturating
from isoloss.optima.seed_noise import SeedNoise
from isoloss.published.folder import Columns
from isoloss.published.porian.data import (
    BUDGETS,
    DRAWS,
    FLOOR,
    LOSS_BUDGETS,
    LOSS_DRAWS,
    Config,
    configurations,
    isoflop_points,
)
from isoloss.runs.observations import Observations

SEED = 42  # the authors' seed of NumPy's legacy generator, set anew for every file of configurations
START = 2.4e16  # the second variant of accuracy against cost leaves out budgets below
TUNED = "rw_5_tuned"

# The rule of the paper's own figure of seed noise; the released code compares a logarithm with these losses, so that
# every loss gets the low value.
MEANT_NOISE: dict[str, SeedNoise] = {
    "rw": SeedNoise(low=0.002, high=0.05, loss_low=3, loss_high=7),
    "owt2": SeedNoise(low=0.01, high=0.1, loss_low=3, loss_high=6),
}


Refits = tuple[IsoFlopLaws, IsoFlopLaws, IsoFlopLaws]


@dataclass(frozen=True, kw_only=True, eq=False)
class Repaired:
    """The laws of one configuration with the noise that was meant, without the floor on errors, and with both."""

    meant_noise: IsoFlopLaws
    no_floor: IsoFlopLaws
    both: IsoFlopLaws
    loss: SaturatingFit | None
    floor_share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysed:
    """One configuration: its optima, its laws and the loss law, as released and repaired."""

    config: Config
    isoflop: IsoFlop
    laws: IsoFlopLaws
    loss: SaturatingFit
    repaired: Repaired


@dataclass(frozen=True, kw_only=True, eq=False)
class PorianAnalysis:
    """All configurations by key, and the accuracy of the tuned one against cost, by variant."""

    configs: Mapping[str, Analysed]
    accuracy: Mapping[str, list[CostPoint]]

    def of(self, dataset: str, step: int) -> Analysed:
        """Return a data set's configuration of one of the five steps."""
        return next(a for key, a in self.configs.items() if key.startswith(f"{dataset}_{step}_"))


def analyse(
    tables: dict[str, Columns], *, progress: Progress = QUIET, helpers: Helpers | None = None
) -> PorianAnalysis:
    """Return every configuration analysed with the authors' own noise stream, and repaired with ours.

    Only the authors' stream has an order to keep: `helpers` repair meanwhile, see `isoloss.core.pool`.
    """
    normals: Callable[[tuple[int, int]], Floats] = _authors_stream()
    block = ""
    released: dict[str, IsoFlop] = {}
    configs = configurations(tables)
    calls = [partial(_refits, config, isoflop_points(tables, config.key)) for config in configs]
    refits = Shared(calls, helpers, ahead=2 * len(calls) // 3)
    with progress.task("configurations", total=2 * len(configs) + 2) as task:
        for config in configs:
            task.advance(0, detail=config.key)
            if config.rng_block != block:
                block, normals = config.rng_block, _authors_stream()
            points = isoflop_points(tables, config.key)
            released[config.key] = _optima(points, noise=config.noise, floor=FLOOR, normals=normals)
            task.advance(1)
        accuracy = {}
        noises = {config.key: config.noise for config in configs}
        for name, start in (("all_budgets", None), ("budgets_above_2.4e16", START)):
            task.advance(0, detail=f"accuracy against cost, {name}")
            accuracy[name] = accuracy_by_cost(
                isoflop_points(tables, TUNED), budgets=BUDGETS, noise=noises[TUNED], start=start, floor=FLOOR,
                draws=DRAWS, normals=_authors_stream(),
            )  # fmt: skip
            task.advance(1)
        task.advance(0, detail="repaired")
        repaired = refits.collect(partial(task.advance, 1))
    return PorianAnalysis(accuracy=accuracy, configs={
        config.key: _analysed(config, released[config.key], refit)
        for config, refit in zip(configs, repaired, strict=True)
    })  # fmt: skip


def _authors_stream() -> Callable[[tuple[int, int]], Floats]:
    """Return the noise of the published analysis: NumPy's legacy generator, which alone gives the same numbers."""
    return np.random.RandomState(SEED).standard_normal


_optima = partial(fit_isoflop, interpolation="akima", budgets=BUDGETS, draws=DRAWS)


def _analysed(config: Config, isoflop: IsoFlop, refits: Refits) -> Analysed:
    # The authors take the losses from the curves over tokens, which were drawn last.
    flops, valleys = loss_law_valleys(isoflop)
    losses = [valley.median_loss for valley in valleys]
    sizes = [optimum.over_params for optimum in isoflop.found if optimum.over_params is not None]
    return Analysed(
        config=config,
        isoflop=isoflop,
        laws=isoflop.laws(),
        loss=fit_saturating(flops, losses, draws=np.array([valley.lowest[:LOSS_DRAWS] for valley in valleys])),
        repaired=Repaired(
            meant_noise=refits[0],
            no_floor=refits[1],
            both=refits[2],
            loss=fit_saturating(flops, losses, log_std=[valley.loss_log_std for valley in valleys]),
            floor_share=float(np.mean([np.isclose(s.log_std * s.share, s.log_std_floor, rtol=1e-9) for s in sizes])),
        ),
    )


def loss_law_valleys(isoflop: IsoFlop) -> tuple[list[float], list[Valley]]:
    """Return the budgets to which the authors fit the loss law, and the valley over tokens of each."""
    low, high = LOSS_BUDGETS
    chosen = [optimum for optimum in isoflop.found if low < optimum.flops < high]
    return [one.flops for one in chosen], [one.over_tokens for one in chosen if one.over_tokens is not None]


def _refits(config: Config, points: Observations) -> Refits:
    """Return the laws with the noise that was meant, without the floor, and with both repairs."""
    meant = MEANT_NOISE[config.dataset]
    return (
        _optima(points, noise=meant, floor=FLOOR).laws(),
        _optima(points, noise=config.noise).laws(),
        _optima(points, noise=meant).laws(),
    )
