"""Published shapes by name: what a study's grid may list in place of sizes."""

from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from isoloss.core.frozen import Frozen
from isoloss.runs.shapes import openlm_ffn
from isoloss.runs.spec import Family, ModelSpec


class Shape(Frozen):
    """A model without its vocabulary and context, which are the corpus's and the study's. `source` says whose it is."""

    family: Family = "llama"
    width: int = Field(gt=0)
    depth: int = Field(gt=0)
    heads: int = Field(gt=0)
    ffn: int = Field(gt=0)
    qk_norm: bool = False
    source: str = ""

    @model_validator(mode="after")
    def _is_a_model(self) -> Self:
        try:
            self.model(vocab_size=2, context=2)
        except ValidationError as error:
            raise ValueError("; ".join(str(detail["ctx"]["error"]) for detail in error.errors())) from error
        return self

    def model(self, *, vocab_size: int, context: int, tied: bool = False) -> ModelSpec:
        """Return the model of this shape."""
        shape: dict[str, Any] = self.model_dump(exclude={"source"})
        return ModelSpec(**shape, vocab_size=vocab_size, context=context, tied=tied)


GZIP_VOCABULARY, GZIP_CONTEXT = 32_001, 256
PORIAN_VOCABULARY, PORIAN_CONTEXT = 50_432, 2_048

# Pandey 2024, arXiv:2405.16684: (hidden, ffn, layers, heads). Named by `total` at its vocabulary.
_GZIP = {
    "gzip-4M": (64, 128, 2, 1),
    "gzip-9M": (128, 256, 4, 2),
    "gzip-20M": (256, 512, 6, 4),
    "gzip-59M": (512, 1024, 10, 8),
    "gzip-275M": (1024, 2048, 20, 16),
    "gzip-1.4B": (2048, 4096, 30, 32),
}
# Porian et al. 2024, arXiv:2406.19146: (width, depth), solved for from the published parameter counts. Named by
# `with_head` at its vocabulary. The count of all weights says LayerNorm with bias, and qk-norm; nothing published here
# says how many heads: 4, as OpenLM's own small models, is an assumption that only `exact` FLOPs and training see.
_PORIAN = {
    "porian-5M": (96, 3), "porian-7.5M": (128, 4), "porian-10M": (160, 5), "porian-16M": (224, 6),
    "porian-22M": (288, 8), "porian-29M": (320, 9), "porian-37M": (384, 10), "porian-57M": (480, 12),
    "porian-85M": (576, 14), "porian-108M": (640, 15), "porian-149M": (704, 18), "porian-221M": (832, 21),
    "porian-347M": (1024, 23), "porian-455M": (1120, 26), "porian-612M": (1312, 26), "porian-902M": (1504, 30),
}  # fmt: skip
_PORIAN_HEADS = 4

PRESETS: dict[str, Shape] = {
    **{
        name: Shape(width=width, ffn=ffn, depth=depth, heads=heads, source="Pandey 2024, arXiv:2405.16684")
        for name, (width, ffn, depth, heads) in _GZIP.items()
    },
    **{
        name: Shape(
            family="openlm", width=width, depth=depth, heads=_PORIAN_HEADS, ffn=openlm_ffn(width), qk_norm=True,
            source="Porian et al. 2024, arXiv:2406.19146",
        )
        for name, (width, depth) in _PORIAN.items()
    },
}  # fmt: skip

Publication = Literal["gzip", "porian"]


def published(which: Publication) -> dict[str, ModelSpec]:
    """Return a publication's models by name, at its own vocabulary and context."""
    vocab_size, context = {
        "gzip": (GZIP_VOCABULARY, GZIP_CONTEXT),
        "porian": (PORIAN_VOCABULARY, PORIAN_CONTEXT),
    }[which]
    return {
        name: shape.model(vocab_size=vocab_size, context=context)
        for name, shape in PRESETS.items()
        if name.startswith(f"{which}-")
    }
