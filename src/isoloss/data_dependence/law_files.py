"""Either kind of law, opened by its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.storage import load_data_dependent
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.storage import DATA_DEPENDENT_KIND, read_json


@dataclass(frozen=True, kw_only=True)
class LawFile:
    """A law and how its corpora were measured: the measure's settings and the tokenizer, None where nobody said."""

    law: FittedLaw | FittedDataDependent
    settings: Mapping[str, int] | None = None
    tokenizer: str | None = None


def load_law(path: Path | str) -> LawFile:
    """Return the law in a file that `isoloss fit` or a study wrote, of either kind.

    Raises InputError for another file, NewerArchive for a newer version's.
    """
    source = Path(path)
    if read_json(source).get("kind") != DATA_DEPENDENT_KIND:
        return LawFile(law=FittedLaw.load(source))
    law, settings, tokenizer = load_data_dependent(FittedDataDependent, source)
    return LawFile(law=law, settings=settings, tokenizer=tokenizer)
