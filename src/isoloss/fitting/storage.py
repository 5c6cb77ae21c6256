"""Fitted laws as files: JSON that anybody can read, the draws as Parquet beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isoloss.core import files
from isoloss.core.errors import InputError, did_you_mean
from isoloss.core.estimate import Estimate
from isoloss.core.reading import json_in
from isoloss.core.schema import refuse_newer
from isoloss.fitting.domain import Domain, LawWarning
from isoloss.fitting.evidence import Convergence, Exclusion
from isoloss.fitting.floor import KnownFloor
from isoloss.laws.law import Floats
from isoloss.laws.registry import open_law

if TYPE_CHECKING:
    from isoloss.fitting.fitted import FittedLaw

LAW_SCHEMA = 1
KIND, DATA_DEPENDENT_KIND = "isoloss law", "isoloss data-dependent law"
NOISE_COLUMNS = ("noise_point_sd", "noise_trunk_sd")  # beside the parameters in the file of draws


def save(law: "FittedLaw", target: Path) -> None:
    """Write a law to `target`; see `FittedLaw.save`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_findable(law)
    columns = dict(zip([*law.params, *NOISE_COLUMNS], [*law.draws.T, *law.noise.T], strict=True))
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    with files.replacing(draws_path(target)) as temporary:
        pq.write_table(table, temporary)
    files.write_json(target, {"schema": LAW_SCHEMA, "kind": KIND, **law.to_json()})


def _require_findable(law: "FittedLaw") -> None:
    """Raise InputError where opening the file could not find the law's class by its name."""
    definition = law.definition
    in_module = "<locals>" not in definition.__qualname__ and definition.__module__ != "__main__"
    if in_module and open_law(law.law) is definition:
        return
    raise InputError(
        f"the law {definition.__qualname__} stands in {definition.__module__}: whoever opens the file cannot import it",
        fix="move the class to the top of a module of its own, import it from there, and fit again",
    )


def load(kind: "type[FittedLaw]", source: Path) -> "FittedLaw":
    """Return the law in `source` as a `kind`; see `FittedLaw.load`."""
    content = _read_law(source)
    try:
        return _from_json(kind, content, draws=read_draws(draws_path(source), [*content["params"], *NOISE_COLUMNS]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not a fitted law: {error!r}", place=str(source), fix="write one with isoloss fit … --out LAW.json"
        ) from error


def draws_path(path: Path) -> Path:
    """Return where the draws of the law in `path` lie."""
    return path.with_name(f"{path.stem}.draws.parquet")


def read_json(path: Path) -> dict[str, Any]:
    """Return what a law's file says; nothing where it is no object. Raises InputError for what is no JSON."""
    try:
        content = json_in(files.regular(path).read_text(encoding="utf-8"))
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
        table = pq.read_table(files.regular(path))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the draws cannot be read: {error}", place=str(path), fix="fit the law again") from error
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in names])


def _from_json(kind: "type[FittedLaw]", content: dict[str, Any], *, draws: Floats) -> "FittedLaw":
    convergence = {key: content[key] for key in Convergence.__dataclass_fields__}
    convergence["active_bounds"] = tuple(convergence["active_bounds"])
    condition = convergence["condition_number"]
    convergence["condition_number"] = float("inf") if condition is None else condition
    parts: dict[str, Any] = {
        "definition": open_law(content["law"]),
        "params": {name: Estimate(**estimate) for name, estimate in content["params"].items()},
        "draws": draws[:, : -len(NOISE_COLUMNS)],
        "noise": draws[:, -len(NOISE_COLUMNS) :],
        "convergence": Convergence(**convergence),
        "warnings": tuple(
            LawWarning(code=w["code"], message=w["message"], rows=tuple(w["rows"])) for w in content["warnings"]
        ),
        "domain": Domain.from_json(content["domain"]),
        "excluded": tuple(Exclusion(**exclusion) for exclusion in content["excluded"]),
        "fixed": tuple(content["fixed"]),
        "trunk_evidence": tuple(content["trunk_evidence"]),
        "floor": None if content["floor"] is None else KnownFloor.from_json(content["floor"]),
    }
    parts["flops_factor"] = content.get("flops_factor", 1.0)  # files of earlier versions lack it
    fields: dict[str, Any] = {key: parts[key] if key in parts else content[key] for key in kind.__dataclass_fields__}
    return kind(**fields)
