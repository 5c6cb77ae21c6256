"""Measuring: a corpus, an array of sequences, or files, by any measure."""

import math

import numpy as np
from pydantic import JsonValue

from isoloss.complexity.base import Curve, Measured, MeasureSettings, MeasureUnit, place_of
from isoloss.complexity.measures import BLOCKS, OpenedMeasure, open_measure
from isoloss.complexity.sample import Sample, draw
from isoloss.complexity.text import Text, too_short
from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.core.frozen import Frozen
from isoloss.core.rng import stream
from isoloss.corpus.corpus import Corpus, Tokens

DEFAULT = MeasureSettings()


class Complexity(Frozen):
    """One measure of one text: `value`, from `sequences` sequences or blocks.

    Its interval resamples documents (`settings["resampled"]` says what where there are fewer than ten of them).
    `bits_per_byte` is the same value where it is a cost and the tokens stand for text. `median`, `mean` and `std` are
    over sequences; None where the measure is a number of the whole sample, which then brings its `curve`.
    """

    corpus: str
    measure: str
    value: Estimate
    bits_per_byte: Estimate | None = None
    median: float | None
    mean: float | None
    std: float | None
    sequences: int
    curve: Curve | None = None
    settings: dict[str, JsonValue]

    def to_json(self) -> dict[str, JsonValue]:
        """Return the measure as `--json` prints one: the estimate's keys next to the other statistics."""
        statistics = self.model_dump(mode="json", exclude={"value", "corpus", "measure"})
        return {**self.value.to_json(), **statistics}


def measure_corpus(corpus: Corpus, measure: str, *, settings: MeasureSettings = DEFAULT, seed: int = 0) -> Complexity:
    """Return the complexity of a corpus by `measure`, from sequences of its training side.

    Raises InputError where no document holds `sequence_tokens` tokens. Documents of a grammar are no longer than the
    context it was generated for.
    """
    longest = int(np.diff(corpus.documents("train")).max())
    if longest < settings.sequence_tokens and not open_measure(measure, settings).blocks:
        raise too_short(longest, settings.sequence_tokens, place=f"corpus {corpus.name!r}")
    return measure_text(Text.of_corpus(corpus), measure, settings=settings, seed=seed)


def measure_tokens(
    sequences: Tokens,
    measure: str,
    *,
    vocab_size: int | None = None,
    settings: MeasureSettings = DEFAULT,
    seed: int = 0,
) -> Complexity:
    """Return the complexity of sequences × tokens by `measure`; its `corpus` is "tokens".

    Each sequence is a document. `vocab_size` is one beyond the largest id where it is not given. The length of the
    sequences takes the place of `settings.sequence_tokens`. Raises InputError where there is none.
    """
    count, length = sequences.shape
    if not count:
        raise InputError("no sequence to measure", fix="give at least one")
    settings = settings.model_copy(update={"sequence_tokens": length})
    offsets = np.arange(count + 1) * length
    text = Text(
        name="tokens", tokens=[(sequences.reshape(-1), offsets)], vocab_size=vocab_size or int(sequences.max()) + 1
    )
    return measure_text(text, measure, settings=settings, seed=seed)


def measure_text(text: Text, measure: str, *, settings: MeasureSettings = DEFAULT, seed: int = 0) -> Complexity:
    """Return the complexity of a text by `measure`. Raises InputError where it is too short to be measured."""
    opened = open_measure(measure, settings)
    if opened.raw:
        text = text.as_bytes()
    by = opened.by
    found = by.measure(_sample(text, opened, seed), stream(seed, "complexity bootstrap", opened.unlabelled))
    if not isinstance(found, Measured) or not math.isfinite(found.value.value):
        raise InputError(
            f"measure(…) returned {found!r}, expected a Measured with a finite value", place=place_of(type(by)),
            fix="return one, or raise isoloss.core.errors.Unidentified where the text does not determine it",
        )  # fmt: skip
    return Complexity(
        corpus=text.name,
        measure=measure,
        value=found.value,
        bits_per_byte=_bits_per_byte(found.value, by.unit, by.settings.token_bytes, text.bytes_per_token),
        median=found.median,
        mean=found.mean,
        std=found.std,
        sequences=found.sequences,
        curve=found.curve,
        settings={
            **by.settings.model_dump(mode="json", exclude={"sequence_tokens" if opened.blocks else "block_tokens"}),
            **opened.details(),
            "resampled": found.resampled,
            "seed": seed,
        },
    )


def _sample(text: Text, opened: OpenedMeasure, seed: int) -> Sample:
    by = opened.by
    if opened.blocks:
        pool, samples = text.blocks(by.settings.block_tokens, seed=seed), BLOCKS
    else:
        pool, samples = text.sequences(by.settings.sequence_tokens, seed=seed), by.settings.samples
    sample = draw(pool, samples=samples, learning_tokens=by.learning_tokens, seed=seed)
    return sample.relabelled(seed=seed) if opened.placebo else sample


def _bits_per_byte(
    value: Estimate, unit: MeasureUnit, token_bytes: int, bytes_per_token: float | None
) -> Estimate | None:
    """Return a cost as bits per byte of text; None for what is no cost, or where tokens stand for no text."""
    if bytes_per_token is None or unit not in ("ratio", "nats_per_token"):
        return None
    factor = (8 * token_bytes if unit == "ratio" else 1 / math.log(2)) / bytes_per_token
    return value.scaled(factor)
