"""What a plan needs to know of a corpus, read off files as they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import DEFAULT
from isoloss.complexity.paths import measure_paths
from isoloss.core.estimate import Estimate
from isoloss.core.progress import QUIET, Progress

MEASURES = ("gzip", "ngram")


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus as a plan sees it: unique tokens, vocabulary, bytes a token, and measures with intervals.

    What is None is not known: without `unique_tokens` nothing is said of repetition, without `vocab_size` no shape.
    """

    name: str
    unique_tokens: float | None = None
    vocab_size: int | None = None
    bytes_per_token: float | None = None
    measures: Mapping[str, Estimate] = field(default_factory=dict)


def open_corpus(
    path: Path | str,
    *,
    tokenizer: str = "bytes",
    measures: Sequence[str] = MEASURES,
    settings: MeasureSettings = DEFAULT,
    seed: int = 0,
    progress: Progress = QUIET,
) -> CorpusFacts:
    """Return the facts of a file, folder or glob: what `isoloss measure` reads, and how many tokens there are.

    Measured by what laws of several corpora usually follow, that of isoloss among them. Of files beyond 64 MiB a part
    is read, and the tokens of the whole follow from its bytes a token. Raises BadCorpus for a path that holds no
    text.
    """
    (found,) = measure_paths(
        [path], measures=measures, tokenizer=tokenizer, seed=seed, progress=progress, **settings.model_dump()
    )
    unique = float(found.tokens)
    if found.bytes is not None and found.bytes_per_token is not None:
        unique = found.bytes / found.bytes_per_token
    return CorpusFacts(
        name=Path(found.name).name or found.name,
        unique_tokens=unique,
        vocab_size=found.vocab_size,
        bytes_per_token=found.bytes_per_token,
        measures={name: one.value for name, one in found.measures.items()},
    )
