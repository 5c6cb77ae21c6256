"""Batch and peak rate for a planned size: rules that somebody measured, each with the range it was measured in."""

from dataclasses import dataclass

from isoloss.runs.rules import PowerRule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """`batch_tokens` and `peak_lr` as powers of N, and the sizes at which they were measured."""

    name: str
    source: str
    batch_tokens: PowerRule
    peak_lr: PowerRule
    params: tuple[float, float]

    def batch_for(self, params: float, *, context: int) -> int:
        """Return the batch in tokens, whole windows of `context`, at least one."""
        return max(1, round(self.batch_tokens.at(params) / context)) * context

    def covers(self, params: float) -> bool:
        """Whether the rules were measured at that size."""
        return self.params[0] <= params <= self.params[1]


SMALL = Recipe(
    name="small",
    source="our sweep on Python source in bytes (docs/log.md, 2026-11-21)",
    batch_tokens=PowerRule(at_params=1e5, value=1024),
    peak_lr=PowerRule(at_params=1e5, value=5e-3, exponent=-0.5),
    params=(2.5e4, 3.2e5),
)
PORIAN = Recipe(
    name="porian",
    source="Porian et al. 2024, arXiv:2406.19146, section 3.4",
    batch_tokens=PowerRule(at_params=1.08e8, value=160 * 2048, exponent=2 / 3),
    peak_lr=PowerRule(at_params=1.08e8, value=0.0047, exponent=-1 / 3),
    params=(5e6, 9e8),
)
# Between the two the larger one's rates would be ten times what the smaller one's sweep found best: the geometric
# middle of the gap divides them.
DIVIDE = (SMALL.params[1] * PORIAN.params[0]) ** 0.5


def recipe_for(params: float) -> Recipe:
    """Return the recipe whose sweep lies nearer to that size."""
    return SMALL if params < DIVIDE else PORIAN
