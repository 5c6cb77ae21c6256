"""What a results folder remembers of its study, so that it can be fitted and reported again without the sources."""

from collections.abc import Mapping
from pathlib import Path

from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.core.reading import own_json
from isoloss.core.schema import refuse_newer
from isoloss.corpus.corpus import Corpus
from isoloss.study.designs import corpus_names
from isoloss.study.spec import Study

MEMORY_SCHEMA = 1


def remember(folder: Path, study: Study, corpora: Mapping[str, Corpus]) -> None:
    """Write the study and the fingerprint of each of its corpora into `folder`."""
    content = {
        "schema": MEMORY_SCHEMA,
        "study": study.model_dump(mode="json", by_alias=True),
        "corpora": {name: corpus.fingerprint for name, corpus in corpora.items()},
    }
    files.write_json(folder / "study.json", content)


def recall(folder: Path) -> tuple[Study, dict[str, str]]:
    """Return the study of `folder` and corpus name → fingerprint. Raises InputError where there is none."""
    path = folder / "study.json"
    if not path.exists():
        raise InputError(
            "no study has been run in this folder", place=str(path), fix="run one: isoloss run STUDY --out DIR"
        )
    try:
        content = own_json(files.regular(path).read_text(encoding="utf-8"))
        refuse_newer(content["schema"], MEMORY_SCHEMA, place=path)
        study, corpora = Study.model_validate(content["study"]), dict(content["corpora"])
        named = corpora.keys() == set(corpus_names(study.corpus))
        if not named or not all(isinstance(identity, str) for identity in corpora.values()):
            raise ValueError("its corpora are not the corpora of the study")
        return study, corpora
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "run the study again with the same --out"
        raise InputError(f"not a study: {error}", place=str(path), fix=fix) from error
