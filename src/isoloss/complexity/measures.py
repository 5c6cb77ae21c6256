"""Measures by name, and the ways of reading that a name may add. A user's own measure is named `module:Name`.

    gzip                  each sequence by itself, token ids as integers: the number of the gzip paper
    gzip-bytes            the same on the raw bytes of the text
    gzip-blocks           over long blocks instead of sequences
    gzip-curve            how the ratio falls with block length: the fitted exponent, with the curve
    gzip-placebo          after a random permutation of the token ids

The endings combine: `xz-bytes-curve-placebo`.
"""

from dataclasses import dataclass

from pydantic import JsonValue

from isoloss.complexity.base import BaseMeasure, Floor, Measure, MeasureSettings, check_definition
from isoloss.complexity.compressors import Brotli, Bz2, CompressionRatio, Gzip, Ppmd, Xz, Zstd
from isoloss.complexity.curves import CompressionCurve, Heaps
from isoloss.complexity.decay import CorrelationDecay, DataExponent, EntropyDecay
from isoloss.complexity.ngram import Bigram, Fivegram, Fourgram, Ngram, Trigram, Unigram
from isoloss.complexity.spectrum import SpectrumTail
from isoloss.core.errors import InputError, UnknownName, did_you_mean
from isoloss.core.registry import Registry

MEASURES: Registry[type[BaseMeasure]] = Registry("measure", own=BaseMeasure, derive_from="isoloss.Measure")
ENDINGS = ("bytes", "blocks", "curve", "placebo")
BLOCKS = 16  # blocks that a measure over blocks reads: of 65,536 tokens, a million tokens


@dataclass(frozen=True, kw_only=True)
class OpenedMeasure:
    """A measure with its way of reading: raw bytes or tokens, blocks or sequences, relabelled or not."""

    name: str
    by: BaseMeasure
    raw: bool = False
    blocks: bool = False
    placebo: bool = False

    @property
    def unlabelled(self) -> str:
        """The name without `-placebo`: what a placebo is compared with, drawn alike."""
        return self.name.removesuffix("-placebo")

    def details(self) -> dict[str, JsonValue]:
        """Return the measure's own settings and the way of reading, for the record."""
        read: dict[str, JsonValue] = {"unit": self.by.unit, "reads": "bytes" if self.raw else "tokens"}
        if isinstance(self.by, Measure):
            read["summary"] = self.by.summary
        if self.blocks:
            read["samples"] = BLOCKS
        if self.placebo:
            read["placebo"] = True
        return {**self.by.details(), **read}


def open_measure(name: str, settings: MeasureSettings) -> OpenedMeasure:
    """Return the measure called `name` with its endings.

    On raw bytes a sequence is `sequence_tokens` × `token_bytes` bytes long, as many as the tokens were written with,
    and each byte is a token of one byte. Raises UnknownName with the nearest, InputError for what is no measure
    or not allowed.
    """
    base, *endings = name.split("-")
    for ending in endings:
        if ending not in ENDINGS:
            raise UnknownName(f"unknown suffix {ending!r} of measure {name!r}", fix=did_you_mean(ending, ENDINGS))
    if endings != [ending for ending in ENDINGS if ending in endings] or {"blocks", "curve"} <= set(endings):
        raise InputError(
            f"endings of measure {name!r}: each once, in the order {', '.join(ENDINGS)}, blocks or curve",
            fix="-".join([base, *(e for e in ENDINGS if e in endings and (e != "blocks" or "curve" not in endings))]),
        )
    found = MEASURES[base]
    check_definition(found)
    if "bytes" in endings:
        settings = settings.model_copy(
            update={
                "sequence_tokens": settings.sequence_tokens * settings.token_bytes,
                "block_tokens": settings.block_tokens * settings.token_bytes,
                "token_bytes": 1,
            }
        )
    by = _along_blocks(found(settings), name) if "curve" in endings else found(settings)
    return OpenedMeasure(
        name=name, by=by, raw="bytes" in endings, blocks=by.blocks or "blocks" in endings,
        placebo="placebo" in endings,
    )  # fmt: skip


def _along_blocks(measure: BaseMeasure, name: str) -> CompressionCurve:
    if not isinstance(measure, CompressionRatio):
        raise InputError(f"{name!r}: only compressors have a curve over block length", fix="leave out -curve")
    return CompressionCurve(measure)


_BUILT_IN: dict[str, type[BaseMeasure]] = {
    "gzip": Gzip, "zstd": Zstd, "xz": Xz, "bz2": Bz2, "brotli": Brotli, "ppmd": Ppmd,
    "unigram": Unigram, "bigram": Bigram, "trigram": Trigram, "fourgram": Fourgram, "fivegram": Fivegram,
    "ngram": Ngram, "entropy_decay": EntropyDecay, "correlation_decay": CorrelationDecay, "alpha_d": DataExponent,
    "spectrum": SpectrumTail, "heaps": Heaps, "floor": Floor,
}  # fmt: skip
for _name, _measure in _BUILT_IN.items():
    MEASURES.add(_name, _measure)
