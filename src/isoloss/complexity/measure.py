"""Measuring: a corpus, an array of sequences, or files, by any measure."""

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.bootstrap import estimate, resampled_unit
from isoloss.complexity.measures import open_measure
from isoloss.complexity.sample import Pool, draw
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.frozen import Frozen
from isoloss.core.rng import stream
from isoloss.corpus.corpus import Corpus, Tokens, Windows, document_windows

DEFAULT = MeasureSettings()


class Complexity(Frozen):
    """One measure of one text: `value` is the median or mean of the measure over `sequences` sequences.

    Its interval resamples documents (`settings["resampled"]` says "sequence" where there are fewer than ten of them).
    """

    corpus: str
    measure: str
    value: Estimate
    median: float
    mean: float
    std: float
    sequences: int
    settings: dict[str, JsonValue]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the measure as `--json` prints one: the estimate's keys beside the other statistics."""
        statistics = self.model_dump(exclude={"value", "corpus", "measure"})
        return {**self.value.to_json(), **statistics}


def measure_corpus(corpus: Corpus, measure: str, *, settings: MeasureSettings = DEFAULT, seed: int = 0) -> Complexity:
    """Return the complexity of a corpus by `measure`, from sequences of its training side.

    Raises InputError where no document holds `sequence_tokens` tokens. Documents of a grammar are no longer than the
    context it was generated for.
    """
    windows = document_windows(corpus.documents("train"), settings.sequence_tokens)
    if not len(windows):
        longest = int(np.diff(corpus.documents("train")).max())
        raise too_short(longest, settings.sequence_tokens, place=f"corpus {corpus.name!r}")
    pool = Pool(parts=[(corpus.train, windows)], vocab_size=corpus.vocab_size)
    return measure_pool(pool, measure, corpus=corpus.fingerprint, settings=settings, seed=seed)


def measure_tokens(
    sequences: Tokens,
    measure: str,
    *,
    vocab_size: int | None = None,
    document: NDArray[np.int64] | None = None,
    settings: MeasureSettings = DEFAULT,
    seed: int = 0,
) -> Complexity:
    """Return the complexity of sequences × tokens by `measure`; its `corpus` is "tokens".

    `document` numbers the document of each sequence, ascending; without it each sequence is one. `vocab_size` is one
    beyond the largest id where it is not given. The length of the sequences takes the place of
    `settings.sequence_tokens`. Raises InputError where there is none.
    """
    count, length = sequences.shape
    if not count:
        raise InputError("no sequence to measure", fix="give at least one")
    settings = settings.model_copy(update={"sequence_tokens": length})
    windows = Windows(
        starts=np.arange(count) * length,
        document=np.arange(count) if document is None else document,
        context=length,
    )
    pool = Pool(parts=[(sequences.reshape(-1), windows)], vocab_size=vocab_size or int(sequences.max()) + 1)
    return measure_pool(pool, measure, corpus="tokens", settings=settings, seed=seed)


def measure_pool(
    pool: Pool, measure: str, *, corpus: str, settings: MeasureSettings = DEFAULT, seed: int = 0
) -> Complexity:
    """Return the complexity of a pool that holds at least one sequence; `corpus` names it in the result."""
    by = open_measure(measure, settings)
    sample = draw(pool, samples=settings.samples, learning_tokens=by.learning_tokens, seed=seed)
    values = by.values(sample)
    return Complexity(
        corpus=corpus,
        measure=measure,
        value=estimate(values, sample.document, summary=by.summary, rng=stream(seed, "complexity bootstrap", measure)),
        median=float(np.median(values)),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        sequences=len(values),
        settings={
            **settings.model_dump(mode="json"),
            **by.details(),
            "summary": by.summary,
            "resampled": resampled_unit(sample.document),
            "seed": seed,
        },
    )


def too_short(longest: int, wanted: int, *, place: str) -> InputError:
    """Return the error for a text none of whose documents holds a sequence."""
    return InputError(
        f"no sequence of {wanted} tokens: the longest document has {longest}",
        place=place,
        fix=f"measure more text, or sequences of {longest} tokens or fewer with sequence_tokens"
        if longest > 1
        else "measure more text",
    )
