"""Published frontiers at large scale, to which a corpus's own shift can be added.

Each is a line: ln(D*/N*) = level + slope · ln(C / at), with the standard errors and the correlation of its bootstrap
draws. The numbers are refits to the published runs (`isoloss reproduce porian`, `isoloss reproduce chinchilla`).
"""

from dataclasses import dataclass

import numpy as np

from isoloss.core.registry import Registry
from isoloss.laws.law import Floats


@dataclass(frozen=True, kw_only=True)
class ReferenceFrontier:
    """The frontier of a published sweep: `params_convention` says how it counts N, `flops` where it was measured.

    Its tokens are those of a subword tokenizer of `vocab_size`.
    """

    name: str
    source: str
    data: str
    params_convention: str
    vocab_size: int
    at: float
    level: float
    level_stderr: float
    slope: float
    slope_stderr: float
    correlation: float
    flops: tuple[float, float]

    def log_ratio(self, flops: float) -> float:
        """Return ln(D*/N*) at a budget."""
        return self.level + self.slope * float(np.log(flops / self.at))

    def log_ratio_draws(self, flops: float, draws: int, generator: np.random.Generator) -> Floats:
        """Return draws (draws,) of ln(D*/N*) at a budget."""
        both = self.correlation * self.level_stderr * self.slope_stderr
        covariance = [[self.level_stderr**2, both], [both, self.slope_stderr**2]]
        level, slope = generator.multivariate_normal([self.level, self.slope], covariance, size=draws).T
        return np.asarray(level + slope * np.log(flops / self.at))

    def extrapolation(self, flops: float) -> float:
        """Return the factor by which a budget lies outside the sweep's: 1 inside."""
        low, high = self.flops
        return max(1.0, flops / high, low / flops)


reference_frontiers: Registry[ReferenceFrontier] = Registry("reference frontier")
reference_frontiers.add(
    "porian",
    ReferenceFrontier(
        name="porian",
        source="Porian et al. 2024, arXiv:2406.19146: tuned hyperparameters, isoFLOP optima, 1,000 bootstrap draws",
        data="RefinedWeb",
        params_convention="with_head",
        vocab_size=50_432,
        at=1e18,
        level=2.7241,
        level_stderr=0.0186,
        slope=0.0062,
        slope_stderr=0.0072,
        correlation=0.60,
        flops=(1.25e16, 2.56e19),
    ),
)
reference_frontiers.add(
    "chinchilla",
    ReferenceFrontier(
        name="chinchilla",
        source="Hoffmann et al. 2022, arXiv:2203.15556: 240 of their runs, Huber fit, 4,000 bootstrap draws",
        data="MassiveText",
        params_convention="total",
        vocab_size=32_000,
        at=1e20,
        level=3.1267,
        level_stderr=0.0803,
        slope=-0.0278,
        slope_stderr=0.0389,
        correlation=0.82,
        flops=(1.40e18, 1.30e22),
    ),
)
