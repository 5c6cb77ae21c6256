"""Measures by name: gzip and its rivals. A user's own is named `module:Name`."""

from isoloss.complexity.base import Measure, MeasureSettings
from isoloss.complexity.compressors import Bz2, Gzip, Xz, Zstd
from isoloss.complexity.ngram import Ngram, Unigram
from isoloss.core.errors import InputError
from isoloss.core.registry import Registry

MEASURES: Registry[type[Measure]] = Registry("measure")


def open_measure(name: str, settings: MeasureSettings) -> Measure:
    """Return the measure called `name`. Raises UnknownName with the nearest, InputError for what is no measure."""
    found = MEASURES[name]
    if not (isinstance(found, type) and issubclass(found, Measure)):
        raise InputError(f"{name!r} is no measure", fix="derive a class from isoloss.complexity.measures.Measure")
    return found(settings)


MEASURES.add("gzip", Gzip)
MEASURES.add("zstd", Zstd)
MEASURES.add("xz", Xz)
MEASURES.add("bz2", Bz2)
MEASURES.add("unigram", Unigram)
MEASURES.add("ngram", Ngram)
