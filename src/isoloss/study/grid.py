"""The grid of a study: its sizes, and the token counts that each is trained on, listed or laid out by budgets."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from isoloss.core.errors import did_you_mean
from isoloss.core.frozen import Frozen
from isoloss.runs.ladders import ladder
from isoloss.runs.presets import PRESETS, Shape
from isoloss.runs.rules import LEAST, MOST, six_digits
from isoloss.runs.shapes import DEFAULT_CONVENTION, ParamsConvention
from isoloss.runs.spec import Family, ModelSpec

# The best split of texts in bytes at 1e4 to 1e5 parameters: 30 to 58 tokens per parameter at 1.6e11 FLOPs on ten
# corpora, by a local quadratic surface (docs/results/real.md). Grammars lie between 3 and 300.
USUAL_RATIO = 40.0
# A size is trained at budgets where its tokens per parameter lie within this factor of the usual best.
WIDEST_FACTOR = 20.0
BUDGET_STEP = 2.0
# A budget's optimum takes three sizes, one of them on either side; new designs have five.
FEWEST_SIZES, WANTED_SIZES = 3, 5
# A centred grid: a first pass of the lowest budgets, over every split that is plausible, then sizes around what it saw.
PASS_SIZES = 7
FIRST_BUDGETS = BUDGET_STEP**2  # the highest budget of the first pass over the lowest
OUTERMOST_FACTOR = 2.2  # the outermost sizes of the second pass over the best ones of the outermost budgets
MOST_CONTEXT = 1 << 17  # tokens of a window


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError("values must be in ascending order without repeats")
    return values


Ladder = Annotated[tuple[Annotated[float, Field(ge=LEAST, le=MOST)], ...], AfterValidator(_ascending)]


def _named(shape: object) -> object:
    """A published shape for its name; anything else as it is."""
    if not isinstance(shape, str):
        return shape
    if shape not in PRESETS:
        raise ValueError(f"unknown shape {shape!r}; {did_you_mean(shape, PRESETS)}")
    return PRESETS[shape]


class Grid(Frozen):
    """Sizes × token counts × seeds. `params` are targets by `convention`; real shapes are chosen and recorded.

    Token counts are listed (`tokens`, the same at every size), or follow from budgets. `flops = [low, high]` lays out
    budgets from low to high in steps of a factor of 2, counted as 6 · params · tokens. A budget trains the sizes whose
    tokens per parameter lie within a factor of 20 of `tokens_per_param`, and at least the five nearest to it, as far as
    their tokens lie between `least_tokens` and `most_tokens`. So small sizes have long runs and large ones short runs.
    Without `tokens` and `flops` the budgets follow from the sizes: two sizes then lie on both sides of
    `tokens_per_param` at every budget.

    `design = "centred"` takes `flops` and no sizes. On each corpus a first pass trains the lowest budgets (up to four
    times the first) over sizes a factor of 20 in tokens per parameter to either side of `tokens_per_param`. A second
    trains all budgets over seven sizes around the optimum that the first saw.

    In place of `params`, `shapes` lists published shapes by name or shapes of one's own; vocabulary and context are the
    corpus's and the grid's.
    """

    family: Family = "llama"
    design: Literal["given", "centred"] = "given"
    params: Ladder = ()
    shapes: tuple[Annotated[Shape, BeforeValidator(_named)], ...] = ()
    tokens: Ladder = ()
    flops: Annotated[Ladder, Field(min_length=2, max_length=2)] | None = None
    tokens_per_param: float = Field(default=USUAL_RATIO, ge=1e-9, le=1e9)
    least_tokens: float = Field(default=5e4, ge=LEAST, le=MOST)
    most_tokens: float | None = Field(default=None, ge=LEAST, le=MOST)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    context: int = Field(default=256, gt=1, le=MOST_CONTEXT)
    tied: bool = True
    qk_norm: bool = False
    convention: ParamsConvention = DEFAULT_CONVENTION

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.centred:
            self._require_passes()
            return self
        if bool(self.params) == bool(self.shapes):
            raise ValueError("give sizes either as params or as shapes")
        if self.shapes and (self.family, self.qk_norm) != ("llama", False):
            raise ValueError("a shape brings its own family and qk_norm: leave them out, or write them into the shape")
        if self.qk_norm and self.family == "llama":
            raise ValueError("qk_norm is an option of openlm: a llama has no norm of queries and keys")
        if self.tokens:
            names = ("flops", "least_tokens", "most_tokens", "tokens_per_param")
            idle = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
            if idle:
                raise ValueError(f"{idle[0]} lays out token counts, but tokens already lists them: give one of the two")
            return self
        if self.shapes:
            raise ValueError("shapes need tokens: budgets are laid out for params")
        if self.flops is None and len(self.params) < WANTED_SIZES:
            raise ValueError(f"sizes alone take {WANTED_SIZES} or more: give more params, or flops, or tokens")
        self._require_sizes()
        return self

    def _require_sizes(self) -> None:
        """Raise ValueError for a budget of fewer than three sizes, and for a size without a budget."""
        for budget in self.budgets:
            if len(held := self.sizes_at(budget)) < FEWEST_SIZES:
                raise ValueError(
                    f"at {budget:.3g} FLOPs only {len(held)} of the sizes are trained, {FEWEST_SIZES} needed: add "
                    f"sizes near {math.sqrt(budget / 6 / self.tokens_per_param):.2g} parameters, or narrow flops"
                )
        idle = [size for size in self.params if not self._lengths_of(size, params=size)]
        if idle:
            raise ValueError(
                f"no budget trains the size {idle[0]:g}: leave it out, or widen flops, least_tokens or most_tokens"
            )

    def _require_passes(self) -> None:
        """Raise ValueError for a centred design that lists sizes or tokens, or whose passes hold no optimum."""
        named = [name for name in ("params", "shapes", "tokens") if getattr(self, name)]
        if named:
            raise ValueError(f'design = "centred" places sizes and token counts itself: leave {named[0]} out')
        if self.flops is None:
            raise ValueError('design = "centred" needs budgets: give flops = [low, high]')
        try:
            self.first_pass()
            self.second_pass(self.tokens_per_param)
        except ValueError as error:
            raise ValueError(f"a pass of the centred design: {error}") from None

    @property
    def centred(self) -> bool:
        """Whether sizes are placed around the optimum that a first pass sees."""
        return self.design == "centred"

    def first_pass(self, *, most_tokens: float = math.inf) -> "Grid":
        """Return the first pass of a centred grid. Raises ValueError where a budget has fewer than three sizes."""
        assert self.flops is not None, "a centred design has flops"
        low, high = self.flops[0], min(self.flops[1], FIRST_BUDGETS * self.flops[0])
        return self._pass((low, high), self.tokens_per_param, math.sqrt(WIDEST_FACTOR), most_tokens)

    def second_pass(self, tokens_per_param: float, *, most_tokens: float = math.inf) -> "Grid":
        """Return the second pass, placed around an optimum; raises as `first_pass` does."""
        assert self.flops is not None, "a centred design has flops"
        return self._pass((self.flops[0], self.flops[1]), tokens_per_param, OUTERMOST_FACTOR, most_tokens)

    def _pass(self, flops: tuple[float, float], ratio: float, around: float, most_tokens: float) -> "Grid":
        low, high = (math.sqrt(budget / 6 / ratio) for budget in flops)
        sizes = tuple(six_digits(size) for size in np.geomspace(low / around, high * around, PASS_SIZES).tolist())
        most = min(most_tokens, self.most_tokens or math.inf)
        changed: dict[str, Any] = {
            "design": "given", "params": sizes, "flops": flops, "tokens_per_param": ratio,
            "most_tokens": most if math.isfinite(most) else None,
        }  # fmt: skip
        laid = self.model_copy(update=changed)
        changed["params"] = tuple(size for size in sizes if laid._lengths_of(size, params=size))
        try:
            return Grid.model_validate(self.model_dump() | changed)
        except ValidationError as error:
            raise ValueError(error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")) from error

    @property
    def budgets(self) -> tuple[float, ...]:
        """The budgets that token counts follow from, in FLOPs as 6 · params · tokens; none where tokens are listed."""
        if self.tokens:
            return ()
        low, high = self.flops or (self._usual_budget(self.params[2]), self._usual_budget(self.params[-3]))
        count = 1 + round(math.log(high / low) / math.log(BUDGET_STEP))
        if count == 1:
            return (low, high) if high > low else (low,)
        return tuple(six_digits(low * (high / low) ** (place / (count - 1))) for place in range(count))

    def sizes_at(self, budget: float) -> tuple[float, ...]:
        """Return the sizes that are trained at one of `budgets`, in ascending order."""
        distances = {
            size: abs(math.log(budget / (6 * size**2 * self.tokens_per_param)))
            for size in self.params
            if self.least_tokens <= budget / (6 * size) <= (self.most_tokens or math.inf)
        }
        nearest = sorted(distances, key=distances.__getitem__)
        held = {*nearest[:WANTED_SIZES], *(size for size in nearest if distances[size] <= math.log(WIDEST_FACTOR))}
        return tuple(sorted(held))

    def horizons(self, params: float) -> tuple[float, ...]:
        """Return the token counts of the size that came out with `params` parameters, in ascending order."""
        if self.tokens:
            return self.tokens
        target = min(self.params, key=lambda size: abs(math.log(size / params)))
        return self._lengths_of(target, params=params)

    @property
    def lengths(self) -> tuple[float, ...]:
        """All token counts of the grid, in ascending order; of a centred one where the optimum is as expected."""
        if self.centred:
            passes = (self.first_pass(), self.second_pass(self.tokens_per_param))
            return tuple(sorted({tokens for each in passes for tokens in each.lengths}))
        return self.tokens or tuple(sorted({tokens for size in self.params for tokens in self.horizons(size)}))

    def _lengths_of(self, target: float, *, params: float) -> tuple[float, ...]:
        return tuple(budget / (6 * params) for budget in self.budgets if target in self.sizes_at(budget))

    def _usual_budget(self, params: float) -> float:
        """Return the budget at which a size has the usual best tokens per parameter."""
        return 6 * self.tokens_per_param * params**2

    def models(self, *, vocab_size: int) -> list[ModelSpec]:
        """Return the models of the grid for a vocabulary. Raises InputError where no shape fits a size."""
        if self.shapes:
            return [shape.model(vocab_size=vocab_size, context=self.context, tied=self.tied) for shape in self.shapes]
        return [self.near(target, vocab_size=vocab_size) for target in self.params]

    def near(self, params: float, *, vocab_size: int) -> ModelSpec:
        """Return the model of the grid's kind nearest to a size. Raises InputError where there is none."""
        return ladder(
            [params], vocab_size=vocab_size, context=self.context, tied=self.tied, family=self.family,
            qk_norm=self.qk_norm, convention=self.convention,
        )[0]  # fmt: skip
