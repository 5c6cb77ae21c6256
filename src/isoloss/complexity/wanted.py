"""What a grammar that is searched for should be like. Apart from the search, so that a study file is read quickly."""

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from isoloss.core.frozen import Frozen

SEARCH_VERSION = 1  # raise when the same wishes and seed would find other grammars
CANDIDATES = 1000  # tried for each grammar, at most: a minute or two


class Wanted(Frozen):
    """Values a grammar should have; what is None may be anything.

    `gzip`: ratio; `floor` and `unigram`: nats per token; `vocabulary`: token ids really used, the separator included
    (the grammar then has no others but for the tolerance, so models have as many).
    """

    gzip: float | None = Field(default=None, gt=0, lt=1)
    floor: float | None = Field(default=None, ge=0)
    vocabulary: float | None = Field(default=None, ge=3, le=65_536)
    unigram: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.floor is not None and self.unigram is not None and self.floor >= self.unigram:
            raise ValueError(f"a floor of {self.floor} is not below the unigram entropy {self.unigram}")
        bound, said = self.unigram, "unigram entropy"
        if bound is None:
            bound, said = self.floor, "floor"
        if bound is not None and self.vocabulary is not None and bound > np.log(self.vocabulary):
            raise ValueError(
                f"a {said} of {bound} nats is above ln {self.vocabulary:g} = {np.log(self.vocabulary):.3f}, the "
                "entropy of uniform tokens"
            )
        return self

    def items(self) -> list[tuple[str, float]]:
        """Return what is wanted, by name, cheapest to know first."""
        wanted = ((name, getattr(self, name)) for name in ("vocabulary", "unigram", "gzip", "floor"))
        return [(name, float(value)) for name, value in wanted if value is not None]


class Tolerances(Frozen):
    """How far a property may be from what is wanted, in the property's own unit."""

    gzip: float = Field(default=0.005, gt=0)
    floor: float = Field(default=0.02, gt=0)
    vocabulary: float = Field(default=5, ge=0)
    unigram: float = Field(default=0.05, gt=0)
