"""Laws on disk: the data-dependent law as JSON with its draws beside it, and either kind of law opened by its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.core.schema import refuse_newer
from isoloss.laws.coefficients import COEFFICIENTS
from isoloss.laws.data_dependent import FittedDataDependent
from isoloss.laws.domain import Domain
from isoloss.laws.fitted import Exclusion, FittedLaw
from isoloss.laws.storage import DATA_DEPENDENT_KIND, draws_path, read_draws, read_json

DATA_DEPENDENT_SCHEMA = 1
ARRAYS = ("functions", "scatter", "origin")
CONVERGED = "converged"


@dataclass(frozen=True, kw_only=True)
class LawFile:
    """A law and how its corpora were measured: the measure's settings and the tokenizer, None where nobody said."""

    law: FittedLaw | FittedDataDependent
    settings: Mapping[str, int] | None = None
    tokenizer: str | None = None


def save_data_dependent(
    law: FittedDataDependent,
    path: Path | str,
    *,
    settings: Mapping[str, int] | None = None,
    tokenizer: str | None = None,
) -> None:
    """Write the law as JSON to `path` and its draws as Parquet beside it, atomically, the JSON last.

    `settings` and `tokenizer` say how its corpora were measured: a new corpus is measured alike.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = Path(path)
    columns = {
        **{
            f"{name}_{part}": law.draws[:, i, j] for i, name in enumerate(COEFFICIENTS) for j, part in enumerate(_PARTS)
        },
        **{f"{name}_scatter": law.scatter_draws[:, i] for i, name in enumerate(COEFFICIENTS)},
        **({} if law.draws_converged is None else {CONVERGED: law.draws_converged}),
    }
    with files.replacing(draws_path(target)) as temporary:
        pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), temporary)
    content = {
        "schema": DATA_DEPENDENT_SCHEMA, "kind": DATA_DEPENDENT_KIND, **law.to_json(), "forms": dict(law.forms),
        "complexity": dict(law.complexity), "observations": law.observations, "bytes_per_token": law.bytes_per_token,
        "own": {name: values.tolist() for name, values in law.corpora.items()},
        **{name: getattr(law, name).tolist() for name in ARRAYS},
        "settings": dict(settings) if settings else None, "tokenizer": tokenizer,
    }  # fmt: skip
    files.write_json(target, content)


def load_law(path: Path | str) -> LawFile:
    """Return the law in a file that `isoloss fit` or a study wrote, of either kind.

    Raises InputError for another file, NewerArchive for a newer version's.
    """
    source = Path(path)
    content = read_json(source)
    if content.get("kind") != DATA_DEPENDENT_KIND:
        return LawFile(law=FittedLaw.load(source))
    refuse_newer(content.get("schema"), DATA_DEPENDENT_SCHEMA, place=source)
    try:
        return LawFile(
            law=_data_dependent(content, source), settings=content["settings"],
            tokenizer=content["tokenizer"],
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"not a data-dependent law: {error!r}", place=str(source), fix="fit it again with --complexity … --out"
        ) from error


_PARTS = ("intercept", "slope")


def _data_dependent(content: dict[str, Any], source: Path) -> FittedDataDependent:
    lines = [f"{name}_{part}" for name in COEFFICIENTS for part in _PARTS]
    names = [*lines, *(f"{name}_scatter" for name in COEFFICIENTS)]
    # Files of versions that did not judge every draw lack the column, and the mask with it.
    judged = content.get("unconverged_draws") is not None
    table = read_draws(draws_path(source), [*names, CONVERGED] if judged else names)
    parts: dict[str, Any] = {
        "draws": table[:, : len(lines)].reshape(-1, len(COEFFICIENTS), len(_PARTS)),
        "scatter_draws": table[:, len(lines) : len(names)],
        "draws_converged": table[:, -1].astype(bool) if judged else None,
        "corpora": {name: np.array(values) for name, values in content["own"].items()},
        "domain": Domain.from_json(content["domain"]),
        "excluded": tuple(Exclusion(**exclusion) for exclusion in content["excluded"]),
        "laws": (),
        **{name: np.array(content[name]) for name in ARRAYS},
    }
    fields = {key: parts[key] if key in parts else content[key] for key in FittedDataDependent.__dataclass_fields__}
    return FittedDataDependent(**fields)
