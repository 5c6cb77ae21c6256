"""Published shapes by name: what a study's grid may list in place of sizes."""

from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from isoloss.core.reading import packaged_toml
from isoloss.runs.spec import Blocks, ModelSpec


class Shape(Blocks):
    """A model without its vocabulary and context, which are the corpus's and the study's. `source` says whose it is."""

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


_PUBLISHED = packaged_toml("isoloss.runs", "shapes.toml")
PORIAN_VOCABULARY, PORIAN_CONTEXT = (_PUBLISHED["porian"]["trained_at"][what] for what in ("vocab_size", "context"))

PRESETS: dict[str, Shape] = {
    name: Shape(**said["alike"], **shape) for said in _PUBLISHED.values() for name, shape in said["shapes"].items()
}
Publication = Literal["gzip", "porian"]


def published(which: Publication) -> dict[str, ModelSpec]:
    """Return a publication's models by name, at its own vocabulary and context."""
    said = _PUBLISHED[which]
    return {name: PRESETS[name].model(**said["trained_at"]) for name in said["shapes"]}
