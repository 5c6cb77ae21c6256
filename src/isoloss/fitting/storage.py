"""Fitted laws as files: JSON that anybody can read, the draws as Parquet next to it."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, cast, get_type_hints

import numpy as np
from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from isoloss.core import files
from isoloss.core.arrow import floats_of
from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.reading import own_json
from isoloss.core.schema import refuse_newer
from isoloss.fitting.choice import LawChoice
from isoloss.fitting.domain import Domain, Line
from isoloss.fitting.evidence import Convergence
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.runs.observations import RUN_COLUMNS

if TYPE_CHECKING:
    from isoloss.fitting.fitted import FittedLaw

LAW_SCHEMA = 1
REFIT = "write one with isoloss fit … --out LAW.json"
Positive = Annotated[float, Field(gt=0)]
KIND, DATA_DEPENDENT_KIND = "isoloss law", "isoloss data-dependent law"
NOISE_COLUMNS = ("noise_point_sd", "noise_trunk_sd")  # next to the parameters in the file of draws


class StoredDomain(BaseModel):
    """The ranges of a law as its file has them: positive numbers, null where they are not known."""

    params_low: Positive | None
    params_high: Positive | None
    tokens_low: Positive | None
    tokens_high: Positive | None
    flops_low: Positive | None
    flops_high: Positive | None
    others: dict[str, tuple[Positive, Positive]]
    line: Line | None = None  # files of earlier versions lack it

    def opened(self) -> Domain:
        """Return the ranges."""
        ends = {name: (getattr(self, f"{name}_low"), getattr(self, f"{name}_high")) for name in RUN_COLUMNS}
        known = {name: pair for name, pair in ends.items() if pair[0] is not None}
        return Domain(ranges=known | self.others, line=self.line)

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        if any(
            (getattr(self, f"{name}_low") is None) != (getattr(self, f"{name}_high") is None) for name in RUN_COLUMNS
        ):
            raise ValueError("a range has only one end")
        return self


def stored_model(
    *kinds: type, without: Collection[str], base: type[BaseModel] = BaseModel, **own: Any
) -> type[BaseModel]:
    """Return what a file holds of dataclasses: every field but `without`, of its kind, none missing.

    `own` says which are otherwise, each as (kind, what stands for it where it is missing, or ... where it may not be).
    """
    known = {name: (hint, ...) for kind in kinds for name, hint in get_type_hints(kind).items() if name not in without}
    return create_model("Stored", __base__=base, **(known | own))


@cache
def _stored(kind: type[Any]) -> type[BaseModel]:
    """Return a law of one corpus as its file has it."""
    return stored_model(
        kind, Convergence, without=("definition", "draws", "noise", "convergence"),
        law=(str, ...), domain=(StoredDomain, ...), condition_number=(float | None, ...),
        bytes_per_token=(Positive | None, ...),
        flops_factor=(Positive, 1.0), choice=(LawChoice | None, None),  # files of earlier versions lack them
    )  # fmt: skip


Kind = TypeVar("Kind", bound=BaseModel)


def stored_as(kind: type[Kind], content: Mapping[str, Any], *, place: Path) -> Kind:
    """Return what a file says as a `kind`. Raises InputError naming the first value that is missing or of another."""
    try:
        return kind.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"not a fitted law: {where}: {first['msg'][0].lower()}{first['msg'][1:]}", place=str(place), fix=REFIT
        ) from error


def save(law: "FittedLaw", target: Path) -> None:
    """Write a law to `target`; see `FittedLaw.save`."""
    _require_findable(law)
    columns = dict(zip([*law.params, *NOISE_COLUMNS], [*law.draws.T, *law.noise.T], strict=True))
    files.write_columns(draws_path(target), columns)
    files.write_json(target, {"schema": LAW_SCHEMA, "kind": KIND, **law.to_json()})


def _require_findable(law: "FittedLaw") -> None:
    """Raise InputError where opening the file could not find the law's class by its name."""
    definition = law.definition
    in_module = "<locals>" not in definition.__qualname__ and definition.__module__ != "__main__"
    if in_module and open_law(law.law) is definition:
        return
    raise InputError(
        f"the law {definition.__qualname__} is defined in {definition.__module__}, which nobody who opens the file "
        "can import",
        fix="move the class to the top level of a module, import it from there, and fit again",
    )


def load(kind: "type[FittedLaw]", source: Path) -> "FittedLaw":
    """Return the law in `source` as a `kind`; see `FittedLaw.load`."""
    content = _read_law(source)
    stored: Any = stored_as(_stored(cast(Any, kind)), content, place=source)
    definition = open_law(stored.law)
    if tuple(stored.params) != definition.parameters:
        raise InputError(
            f"the parameters are {', '.join(stored.params) or 'none'}, but {stored.law} has "
            f"{', '.join(definition.parameters)}", place=str(source), fix=REFIT,
        )  # fmt: skip
    law = _law(kind, stored, definition, draws=read_draws(draws_path(source), [*stored.params, *NOISE_COLUMNS]))
    _require_losses(law, source)
    return law


def _require_losses(law: "FittedLaw", source: Path) -> None:
    """Raise InputError where the parameters give no loss at the ends of the runs that they were fitted to."""
    ranges = law.domain.ranges
    known = all(name in ranges for name in law.definition.columns)
    with np.errstate(all="ignore"):
        losses = law.definition.loss(
            law.values, **{name: np.array(ranges[name]) for name in law.definition.columns}
        ) if known else np.zeros(1)  # fmt: skip
    if not (np.isfinite(losses).all() and (losses > 0).all()):
        raise InputError("its parameters give no loss in the range where it was fitted", place=str(source), fix=REFIT)


def draws_path(path: Path) -> Path:
    """Return where the draws of the law in `path` lie."""
    return path.with_name(f"{path.stem}.draws.parquet")


def read_json(path: Path) -> dict[str, Any]:
    """Return what a law's file says; nothing where it is no object. Raises InputError for what is no JSON."""
    try:
        content = own_json(files.regular(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        laws = sorted(one.name for one in path.parent.glob("*.json"))
        there = did_you_mean(path.name, laws) if laws else "write one with isoloss fit … --out LAW.json"
        raise InputError("no such file", place=str(path), fix=there) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as a law: {error}", place=str(path), fix="name a file that fit wrote"
        ) from error
    return content if isinstance(content, dict) else {}


def _read_law(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if content.get("kind") == DATA_DEPENDENT_KIND:
        raise InputError(
            "a data-dependent law, of several corpora", place=str(path), fix="open it with FittedDataDependent.load"
        )
    if content.get("kind") != KIND:
        raise InputError("not a fitted law", place=str(path), fix="write one with isoloss fit … --out LAW.json")
    refuse_newer(content.get("schema"), LAW_SCHEMA, place=path)
    return content


def read_draws(path: Path, names: Sequence[str]) -> Floats:
    """Return the columns `names` of a file of draws (draws, names). Raises InputError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(files.regular(path)).read()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the draws cannot be read: {error}", place=str(path), fix="fit the law again") from error
    try:
        draws = np.column_stack([floats_of(table[name]) for name in names])
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise InputError(f"the draws do not belong to the law: {error}", place=str(path), fix=REFIT) from error
    if not np.isfinite(draws).all():
        raise InputError("a draw is not a number", place=str(path), fix=REFIT)
    return draws


def _law(kind: "type[FittedLaw]", stored: Any, definition: type[Law], *, draws: Floats) -> "FittedLaw":
    condition = stored.condition_number
    about = {key: getattr(stored, key) for key in Convergence.__dataclass_fields__}
    parts: dict[str, Any] = {
        "definition": definition,
        "draws": draws[:, : -len(NOISE_COLUMNS)],
        "noise": draws[:, -len(NOISE_COLUMNS) :],
        "convergence": Convergence(**{**about, "condition_number": float("inf") if condition is None else condition}),
        "domain": stored.domain.opened(),
    }
    fields: dict[str, Any] = {
        key: parts[key] if key in parts else getattr(stored, key) for key in kind.__dataclass_fields__
    }
    return kind(**fields)
