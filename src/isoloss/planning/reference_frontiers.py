"""Published frontiers at large scale, to which a corpus's own shift can be added.

Each is a line: ln(D*/N*) = level + slope · ln(C / at), with the standard errors and the correlation of its bootstrap
draws. The numbers, refits to the published runs, stand in `frontiers.toml`.
"""

from dataclasses import dataclass

import numpy as np

from isoloss.core.reading import packaged_toml
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
for _name, _table in packaged_toml("isoloss.planning", "frontiers.toml").items():
    _table["flops"] = tuple(_table["flops"])
    reference_frontiers.add(_name, ReferenceFrontier(name=_name, **_table))
