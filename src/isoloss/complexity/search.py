"""Searching grammars with wanted properties: gzip ratio, floor, vocabulary, unigram entropy.

Candidates are `zipf` grammars: random rules, whose shape moves all properties at once and whose exponent moves them
finely. First shapes from everywhere, then neighbours of the best so far (an evolution strategy without crossing). A
candidate is measured coarsely, cheapest property first, and no further than it takes to see that it is not among the
best; one that seems to do is measured in full, by the numbers that a corpus of it would be described by, and only those
decide.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import JsonValue, ValidationError

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.candidates import Candidate, Ruler, anywhere, nearby
from isoloss.complexity.measure import DEFAULT
from isoloss.complexity.wanted import CANDIDATES, Tolerances, Wanted
from isoloss.core.errors import InputError, NothingFound
from isoloss.core.estimate import Estimate
from isoloss.core.frozen import Frozen
from isoloss.core.progress import QUIET, Progress, Task
from isoloss.core.rng import stream
from isoloss.grammar.families import ZipfGrammar

ELITE = 10  # the best so far, whose neighbours are tried
FIRST = 60  # candidates from everywhere before the first neighbour
WANDER = 0.1  # of the later ones, still from everywhere
DEFAULT_TOLERANCES = Tolerances()


@dataclass(frozen=True, kw_only=True)
class FoundGrammar:
    """A grammar and all its properties, measured in full; entropies in nats per token."""

    spec: ZipfGrammar
    gzip: Estimate
    floor: Estimate
    vocabulary: int
    unigram: float
    spectral_radius: float

    @classmethod
    def of(cls, candidate: Candidate) -> "FoundGrammar":
        """Return what a candidate measured in full turned out to be."""
        return cls(
            spec=candidate.spec,
            gzip=candidate.known("gzip"),
            floor=candidate.known("floor"),
            vocabulary=round(candidate.known("vocabulary").value),
            unigram=candidate.known("unigram").value,
            spectral_radius=candidate.spec.build().spectral_radius,
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Return the grammar as `isoloss grammar search --json` prints one."""
        return {
            "parameters": self.spec.model_dump(mode="json"),
            "gzip": dict(self.gzip.to_json()),
            "floor_nats_per_token": dict(self.floor.to_json()),
            "vocabulary": self.vocabulary,
            "unigram_nats": self.unigram,
            "spectral_radius": self.spectral_radius,
        }


def search_grammars(
    wanted: Wanted,
    *,
    count: int = 1,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
    candidates: int = CANDIDATES,
    context: int = 256,
    settings: MeasureSettings = DEFAULT,
    seed: int = 0,
    progress: Progress = QUIET,
) -> list[FoundGrammar]:
    """Return `count` grammars within `tolerances` of what is wanted, each with rules drawn from a seed of its own.

    The floor is that of documents of `context` tokens, gzip that of `settings`. The same for the same arguments. Raises
    InputError where nothing is wanted, NothingFound, naming the closest, where `candidates` tries did not do.
    """
    if not wanted.items():
        raise InputError("no wanted property was given", fix="give gzip, floor, vocabulary or unigram")
    if settings.sequence_tokens > context:
        raise InputError(
            f"gzip of sequences of {settings.sequence_tokens} tokens, in documents of {context}",
            fix=f"measure sequences of {context} tokens or fewer",
        )
    ruler = Ruler(wanted=wanted, tolerances=tolerances, context=context, settings=settings)
    found: list[FoundGrammar] = []
    with progress.task("searching grammars", total=count * candidates) as task:
        for number in range(count):
            rng = stream(seed, "grammar search", number)
            before = [grammar.spec for grammar in found]
            found.append(_search(ruler, rng, candidates=candidates, before=before, task=task))
    return found


Model = TypeVar("Model", bound=Frozen)


def checked(model: type[Model], **values: float | None) -> Model:
    """Return wishes or tolerances from plain values. Raises InputError naming the one that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        name = ".".join(map(str, first["loc"]))
        if not name:
            raise InputError(
                expected, place="wanted of grammars", fix="ask for values that are possible together"
            ) from error
        message = f"{name} is {first['input']!r}"
        raise InputError(message, place="wanted of grammars", fix=f"it should be {expected}") from error


def _search(
    ruler: Ruler, rng: np.random.Generator, *, candidates: int, before: list[ZipfGrammar], task: Task
) -> FoundGrammar:
    """Return one grammar that does. Shapes found before are tried again, with rules of their own."""
    vocabulary = ruler.wanted.vocabulary
    terminals = None if vocabulary is None else round(vocabulary) - 1
    elite: list[tuple[float, Candidate]] = []
    taken = {spec.seed for spec in before}
    for tried in range(candidates):
        if tried < FIRST and before:
            base = before[int(rng.integers(len(before)))]
            spec = nearby(rng, base, terminals=terminals)
        elif tried < FIRST or not elite or rng.random() < WANDER:
            spec = anywhere(rng, terminals=terminals)
        else:
            chosen = int(len(elite) * rng.random() ** 2)  # the best more often than the tenth
            spec = nearby(rng, elite[chosen][1].spec, terminals=terminals)
        task.advance(1, detail=_formatted(elite))
        if spec.seed in taken:
            continue
        candidate = Candidate(spec=spec, ruler=ruler)
        worst = elite[-1][0] if len(elite) == ELITE else np.inf
        distance = candidate.distance(beyond=worst)
        if distance <= 1:
            candidate = candidate.sharpened()
            distance = candidate.distance()
            if distance <= 1:
                task.advance(candidates - tried - 1)
                return FoundGrammar.of(candidate)
        if distance < worst:
            elite = sorted([*elite, (distance, candidate)], key=lambda pair: pair[0])[:ELITE]
    raise _nothing(ruler, elite, candidates=candidates, found=len(before))


def _formatted(elite: list[tuple[float, Candidate]]) -> str:
    """Return the best so far in words."""
    if not elite:
        return ""
    best = elite[0][1]
    return "nearest: " + ", ".join(f"{name} {found.value:.4g}" for name, found in best.properties.items())


def _nothing(ruler: Ruler, elite: list[tuple[float, Candidate]], *, candidates: int, found: int) -> NothingFound:
    wishes = ", ".join(
        f"{name} {value:g} ± {getattr(ruler.tolerances, name):g}" for name, value in ruler.wanted.items()
    )
    message = f"none of {candidates} grammars tried has {wishes}" + (f" ({found} found before)" if found else "")
    if elite:
        closest = elite[0][1]
        shape = ", ".join(f"{key} {value}" for key, value in closest.spec.model_dump(exclude_defaults=True).items())
        message += f"; {_formatted(elite)} with {shape}"
    return NothingFound(
        message,
        fix="widen a tolerance, ask for values closer to the nearest one found, or try more grammars with --candidates",
    )
