"""Data-dependent laws as files: JSON that anybody can read, the draws as Parquet next to it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import numpy as np
from pydantic import BaseModel, Field, model_validator

from isoloss.complexity.base import MeasureSettings
from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.core.schema import refuse_newer
from isoloss.data_dependence.coefficients import COEFFICIENTS
from isoloss.data_dependence.pooled_split import PooledSplit
from isoloss.fitting.storage import (
    DATA_DEPENDENT_KIND,
    Positive,
    StoredDomain,
    draws_path,
    read_draws,
    read_json,
    stored_as,
    stored_model,
)

if TYPE_CHECKING:
    from isoloss.data_dependence.data_dependent import FittedDataDependent

DATA_DEPENDENT_SCHEMA = 1
ARRAYS = ("functions", "scatter", "origin")
_PARTS = ("intercept", "slope")
CONVERGED = "converged"


Five = tuple[float, float, float, float, float]  # one of each of `COEFFICIENTS`
Line = tuple[float, float]


class _OfOneLaw(BaseModel):
    """A law of several corpora as its file has it, every value of the kind that it was written as."""

    @model_validator(mode="after")
    def _of_one_law(self) -> Self:
        stored: Any = self
        if set(stored.forms) != set(COEFFICIENTS):
            raise ValueError(f"forms are of {', '.join(COEFFICIENTS)}")
        if stored.own.keys() != stored.complexity.keys():
            raise ValueError("the corpora of own and complexity differ")
        return self


@cache
def _stored(kind: type[Any]) -> type[BaseModel]:
    return stored_model(
        kind, base=_OfOneLaw,
        without=("functions", "draws", "scatter_draws", "corpora", "laws", "draws_converged", "pooled"),
        functions=(tuple[Line, Line, Line, Line, Line], ...), scatter=(Five, ...), origin=(Line, ...),
        own=(Annotated[dict[str, Five], Field(min_length=1)], ...), domain=(StoredDomain, ...),
        bytes_per_token=(Positive | None, ...), settings=(MeasureSettings | None, ...), tokenizer=(str | None, ...),
        # Files of earlier versions lack these.
        flops_factor=(Positive, 1.0), pooled_split=(PooledSplit | None, None),
        unconverged_draws=(tuple[int, ...] | None, None),
    )  # fmt: skip


def save_data_dependent(
    law: "FittedDataDependent",
    path: Path | str,
    *,
    settings: Mapping[str, int] | None = None,
    tokenizer: str | None = None,
) -> None:
    """Write the law as JSON to `path` and its draws as Parquet next to it, atomically, the JSON last.

    `settings` and `tokenizer` say how its corpora were measured: a new corpus is measured alike.
    """
    target = Path(path)
    columns = {
        **{
            f"{name}_{part}": law.draws[:, i, j] for i, name in enumerate(COEFFICIENTS) for j, part in enumerate(_PARTS)
        },
        **{f"{name}_scatter": law.scatter_draws[:, i] for i, name in enumerate(COEFFICIENTS)},
        **({} if law.draws_converged is None else {CONVERGED: law.draws_converged}),
    }
    files.write_columns(draws_path(target), columns)
    content = {
        "schema": DATA_DEPENDENT_SCHEMA, "kind": DATA_DEPENDENT_KIND, **law.to_json(), "forms": dict(law.forms),
        "complexity": dict(law.complexity), "observations": law.observations, "bytes_per_token": law.bytes_per_token,
        "flops_factor": law.flops_factor,
        "own": {name: values.tolist() for name, values in law.corpora.items()},
        **{name: getattr(law, name).tolist() for name in ARRAYS},
        "settings": dict(settings) if settings else None, "tokenizer": tokenizer,
    }  # fmt: skip
    files.write_json(target, content)


def load_data_dependent(
    kind: "type[FittedDataDependent]", source: Path
) -> tuple["FittedDataDependent", Mapping[str, int] | None, str | None]:
    """Return the law in `source` as a `kind`; the measure's settings and the tokenizer, None where nobody said.

    Raises InputError for another file, NewerArchive for a newer version's.
    """
    content = read_json(source)
    if content.get("kind") != DATA_DEPENDENT_KIND:
        raise InputError("a law of one corpus", place=str(source), fix="open it with FittedLaw.load")
    refuse_newer(content.get("schema"), DATA_DEPENDENT_SCHEMA, place=source)
    stored: Any = stored_as(_stored(cast(Any, kind)), content, place=source)
    settings = stored.settings.model_dump() if stored.settings else None
    return _data_dependent(kind, stored, source), settings, stored.tokenizer


def _data_dependent(kind: "type[FittedDataDependent]", stored: Any, source: Path) -> "FittedDataDependent":
    lines = [f"{name}_{part}" for name in COEFFICIENTS for part in _PARTS]
    names = [*lines, *(f"{name}_scatter" for name in COEFFICIENTS)]
    # Files of versions that did not judge every draw lack the column, and the mask with it.
    judged = stored.unconverged_draws is not None
    table = read_draws(draws_path(source), [*names, CONVERGED] if judged else names)
    parts: dict[str, Any] = {
        "draws": table[:, : len(lines)].reshape(-1, len(COEFFICIENTS), len(_PARTS)),
        "scatter_draws": table[:, len(lines) : len(names)],
        "draws_converged": table[:, -1].astype(bool) if judged else None,
        "corpora": {name: np.array(values) for name, values in stored.own.items()},
        "domain": stored.domain.opened(),
        "laws": (),
        "pooled": stored.pooled_split,
        **{name: np.array(getattr(stored, name)) for name in ARRAYS},
    }
    fields = {key: parts[key] if key in parts else getattr(stored, key) for key in kind.__dataclass_fields__}
    return kind(**fields)
