"""What a plan needs to know of a corpus, read off files as they lie."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import DEFAULT
from isoloss.complexity.paths import measure_paths
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.progress import QUIET, Progress

MEASURES = ("gzip", "ngram")


@dataclass(frozen=True, kw_only=True)
class CorpusStatistics:
    """A corpus as a plan sees it: unique tokens, vocabulary, bytes a token, and measures with intervals.

    What is None is not known: without `unique_tokens` nothing is said of repetition, without `vocab_size` no shape.
    `most_tokens` bounds the tokens of a corpus that is not counted: a token has a byte or more.
    """

    name: str
    unique_tokens: float | None = None
    vocab_size: int | None = None
    bytes_per_token: float | None = None
    measures: Mapping[str, Estimate] = field(default_factory=dict)
    most_tokens: float | None = None

    def in_tokens(self, bytes_per_token: float | None, *, vocab_size: int | None = None) -> "CorpusStatistics":
        """Return the corpus counted in tokens of so many bytes; uncounted without a ratio, or where bytes are unknown.

        Raises InputError for a ratio that is not above zero.
        """
        if bytes_per_token is not None and not (math.isfinite(bytes_per_token) and bytes_per_token > 0):
            raise InputError(
                f"{bytes_per_token:g} bytes a token",
                place="--bytes-per-token",
                fix="give a number above zero, such as 4.2",
            )
        known = self.unique_tokens is not None and self.bytes_per_token is not None
        size = (self.unique_tokens or 0.0) * (self.bytes_per_token or 0.0) if known else None
        unique = None if size is None or bytes_per_token is None else size / bytes_per_token
        return replace(
            self, unique_tokens=unique, most_tokens=size, vocab_size=vocab_size, bytes_per_token=bytes_per_token
        )

    def in_bytes(self, bytes_per_token: float | None) -> "CorpusStatistics":
        """Return the corpus counted in bytes, by its own bytes a token, else by those given; as it is without any."""
        ratio = self.bytes_per_token or bytes_per_token
        if ratio is None or self.unique_tokens is None:
            return self
        return replace(self, unique_tokens=self.unique_tokens * ratio, bytes_per_token=1.0)


def open_corpus(
    path: Path | str,
    *,
    tokenizer: str = "bytes",
    measures: Sequence[str] = MEASURES,
    settings: MeasureSettings = DEFAULT,
    seed: int = 0,
    progress: Progress = QUIET,
) -> CorpusStatistics:
    """Return the statistics of a file, folder or glob: what `isoloss measure` reads, and how many tokens there are.

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
    return CorpusStatistics(
        name=Path(found.name).name or found.name,
        unique_tokens=unique,
        vocab_size=found.vocab_size,
        bytes_per_token=found.bytes_per_token,
        measures={name: one.value for name, one in found.measures.items()},
    )
