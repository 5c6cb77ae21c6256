"""Batch and peak rate for a planned run: rules that somebody measured, each with the sizes it was measured at."""

from dataclasses import dataclass

from isoloss.core.registry import Registry
from isoloss.runs.rules import BATCHES, RATES, PowerRule, whole_windows


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Rules for `batch_tokens` and `peak_lr`, the context they were measured with and the sizes (low, high)."""

    name: str
    source: str
    batch_tokens: PowerRule
    peak_lr: PowerRule
    context: int
    params: tuple[float, float]

    def batch_for(self, params: float, tokens: float, *, context: int) -> int:
        """Return the batch of a run in tokens: whole windows of `context`, at least one."""
        return whole_windows(self.batch_tokens.at(params, tokens), context=context)


recipes: Registry[Recipe] = Registry("recipe")
recipes.add(
    "small",
    Recipe(
        name="small",
        source="sweeps on C and English in bytes, 2026-11-29; the rate falls along the run",
        batch_tokens=PowerRule(value=256),
        peak_lr=PowerRule(value=7e-3, at_params=2.5e4, exponent=-0.35),
        context=256,
        params=(4.5e3, 1.3e5),
    ),
)
for _name, _params in (("porian", (5e6, 9.01e8)), ("step_law", (6e7, 1e9))):
    recipes.add(
        _name,
        Recipe(
            name=_name, source=RATES[_name].source, batch_tokens=BATCHES[_name], peak_lr=RATES[_name], context=2048,
            params=_params,
        ),
    )  # fmt: skip


def recipe_for(params: float) -> Recipe:
    """Return the one of our sweep and Porian et al.'s that was measured at sizes nearer to `params`."""
    small, large = recipes["small"], recipes["porian"]
    return small if params**2 < small.params[1] * large.params[0] else large
