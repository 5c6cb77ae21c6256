"""Designs: corpora that share one property and differ in another, expanded into grammars that a search finds.

    [[corpus]]
    name = "isofloor"
    source = "search"
    design = "iso_floor"                  # the property held: iso_vocabulary, iso_gzip, iso_floor, iso_unigram
    hold = { floor = 0.8 }                # and its value; more may be held
    vary = "gzip"                         # what differs instead
    points = [0.25, 0.35, 0.45]           # its values
    replicates = 2                        # grammars at each point
    tokens = 1_000_000

stands for the corpora isofloor-1a, isofloor-1b, isofloor-2a … of as many grammars. `iso_floor` (same best possible
loss, other compressibility) and its mirror `iso_gzip` (the other way round) tell gzip from difficulty: where optima
follow gzip, they move along the first and stay along the second.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.wanted import CANDIDATES, SEARCH_VERSION, Tolerances, Wanted
from isoloss.core import files
from isoloss.core.errors import NothingFound
from isoloss.core.fingerprint import fingerprint
from isoloss.core.frozen import Frozen
from isoloss.core.progress import Progress
from isoloss.core.reading import own_json
from isoloss.core.rng import derive_seed
from isoloss.corpus.sources import CorpusSource, PcfgSource, SizedSource
from isoloss.grammar.families import ZipfGrammar

Property = Literal["gzip", "floor", "vocabulary", "unigram"]
VARIED: dict[str, Property] = {
    "iso_vocabulary": "gzip", "iso_gzip": "floor", "iso_floor": "gzip", "iso_unigram": "floor"
}  # fmt: skip


class DesignSource(SizedSource):
    """Corpora out of grammars of one `design`: equal in what is held, `replicates` of them at each of `points`.

    `vary` is gzip for `iso_vocabulary` and `iso_floor`, the floor for `iso_gzip` and `iso_unigram`; another may be
    named (the gzip paper's iso-gzip grammars vary the vocabulary). Grammars are within `tolerance` of both, by
    documents of the study's context, and found from the study's seed, or from `seed`.
    """

    source: Literal["search"] = "search"
    design: Literal["iso_vocabulary", "iso_gzip", "iso_floor", "iso_unigram"]
    hold: Wanted
    vary: Property | None = None
    points: tuple[float, ...] = Field(min_length=2)
    replicates: int = Field(default=1, ge=1, le=len(ascii_lowercase))
    tolerance: Tolerances = Tolerances()
    candidates: int = Field(default=CANDIDATES, gt=0)
    seed: int | None = Field(default=None, ge=0)

    @property
    def varied(self) -> Property:
        """The property in which the corpora differ."""
        return self.vary or VARIED[self.design]

    @property
    def names(self) -> list[str]:
        """The names of the corpora: point by number, replicate by letter."""
        letters = ascii_lowercase[: self.replicates] if self.replicates > 1 else [""]
        return [f"{self.name}-{point}{letter}" for point in range(1, len(self.points) + 1) for letter in letters]

    def wanted(self, value: float) -> Wanted:
        """Return what is wanted of the grammars at one point. Raises ValueError for what cannot be."""
        return Wanted.model_validate({**self.hold.model_dump(), self.varied: value})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        held = self.design.removeprefix("iso_")
        if getattr(self.hold, held) is None:
            raise ValueError(f"{self.design} keeps the {held} constant: give hold = {{ {held} = … }}")
        if getattr(self.hold, self.varied) is not None:
            others = ", ".join(name for name in get_args(Property) if getattr(self.hold, name) is None)
            raise ValueError(f"the {self.varied} cannot both be held and vary; vary may be {others}")
        if len(set(self.points)) < len(self.points):
            raise ValueError(f"two of the points {self.points} are equal")
        for value in self.points:
            self.wanted(value)
        return self


StudyCorpus = Annotated[CorpusSource | DesignSource, Field(discriminator="source")]


def corpus_names(sources: Sequence[StudyCorpus]) -> list[str]:
    """Return the names of all corpora that `sources` stand for."""
    return [
        name for source in sources for name in (source.names if isinstance(source, DesignSource) else [source.name])
    ]


def expand(
    sources: Sequence[StudyCorpus],
    *,
    folder: Path,
    context: int,
    settings: MeasureSettings,
    seed: int,
    progress: Progress,
) -> list[CorpusSource]:
    """Return the sources with every design replaced by its corpora, in order.

    The same for the same study; grammars found once are kept in `folder`. Raises NothingFound, naming design, point
    and the closest grammar.
    """
    expanded: list[CorpusSource] = []
    point = partial(_point, folder=folder, context=context, settings=settings, progress=progress)
    for source in sources:
        if not isinstance(source, DesignSource):
            expanded.append(source)
            continue
        own = seed if source.seed is None else source.seed
        grammars = [grammar for value in source.points for grammar in point(source, value, seed=own)]
        expanded += [
            PcfgSource(
                name=name, grammar=grammar, tokens=source.tokens, heldout_tokens=source.heldout_tokens, seed=source.seed
            )
            for name, grammar in zip(source.names, grammars, strict=True)
        ]
    return expanded


def _point(
    source: DesignSource,
    value: float,
    *,
    folder: Path,
    context: int,
    settings: MeasureSettings,
    seed: int,
    progress: Progress,
) -> list[ZipfGrammar]:
    """Return the grammars of one point, from `folder` where they stand there."""
    # Of the settings what gzip depends on, and of all else what differs from defaults: later fields change no identity.
    settings = MeasureSettings(
        sequence_tokens=min(settings.sequence_tokens, context),
        token_bytes=settings.token_bytes,
        samples=settings.samples,
    )
    content = {
        "wanted": source.wanted(value), "tolerance": source.tolerance,
        "count": source.replicates, "candidates": source.candidates, "context": context,
        "settings": settings, "seed": seed,
    }  # fmt: skip
    identity = fingerprint(content, kind="design", version=SEARCH_VERSION)
    path = folder / f"{identity}.json"
    kept = _kept(path, source.replicates)
    if kept is not None:
        return kept
    progress.note(f"{source.name}: grammars with {source.varied} {value:g}")
    from isoloss.complexity.search import search_grammars  # compiles; a study file is read without it

    try:
        found = search_grammars(
            source.wanted(value), count=source.replicates, tolerances=source.tolerance, candidates=source.candidates,
            context=context, settings=settings, seed=derive_seed(seed, "design", identity), progress=progress,
        )  # fmt: skip
    except NothingFound as error:
        fix = "widen its tolerance, move the point closer to the nearest grammar, or raise candidates"
        place = f"corpus {source.name!r}, {source.varied} {value:g}"
        raise NothingFound(error.message, place=place, fix=fix) from error
    plain = {name: item.model_dump() if isinstance(item, Frozen) else item for name, item in content.items()}
    files.write_json(path, {**plain, "grammars": [grammar.to_json() for grammar in found]})
    return [grammar.spec for grammar in found]


def _kept(path: Path, count: int) -> list[ZipfGrammar] | None:
    """Return the grammars written to `path`; None where there is no such file, or one that is damaged."""
    try:
        grammars = own_json(path.read_text(encoding="utf-8"))["grammars"]
        specs = [ZipfGrammar.model_validate(grammar["parameters"]) for grammar in grammars]
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None  # found again: the search gives the same
    return specs if len(specs) == count else None
