"""Candidates of a search for grammars: what is wanted of one, what it is, and where the next may be found."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.measure import measure_tokens
from isoloss.complexity.wanted import Tolerances, Wanted
from isoloss.core.errors import BadGrammar
from isoloss.core.estimate import Estimate
from isoloss.core.machine import cores
from isoloss.grammar.families import ZipfGrammar
from isoloss.grammar.floor import FINE_NATS, document_floor, estimate_floor, mean_over_documents, scored_means
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents

COARSE_DOCUMENTS = 200  # the standard error of their median gzip ratio is some .002
COARSE_FLOOR_DOCUMENTS = 64  # of their mean floor a hundredth; ambiguous grammars take some .1 ms a token
# A floor is estimated, and accepted, to a quarter of its tolerance: so few grammars pass by chance.
SHARPER = 4

# Where shapes are drawn, each uniform in its logarithm: around the published grammars and somewhat beyond.
RANGES = {"nonterminals": (2, 100), "max_rules": (2, 100), "max_rhs": (2, 30), "terminals": (8, 2000)}
MAX_EXPONENT = 4.0
MAX_SYMBOLS = 20_000  # expected symbols of all rules: more cost seconds a candidate


@dataclass(frozen=True, kw_only=True, eq=False)
class Ruler:
    """What candidates are held against: wishes, tolerances, and how gzip and floor are measured."""

    wanted: Wanted
    tolerances: Tolerances
    context: int
    settings: MeasureSettings

    def miss(self, name: str, found: float, value: float) -> float:
        """Return how far `found` is from the wanted `value`, in tolerances."""
        tolerance = getattr(self.tolerances, name)
        return abs(found - value) / tolerance if tolerance else (0.0 if found == value else np.inf)


@dataclass(kw_only=True, eq=False)
class Candidate:
    """A grammar under consideration. `properties` fills as far as they had to be known."""

    spec: ZipfGrammar
    ruler: Ruler
    properties: dict[str, Estimate] = field(default_factory=dict)
    sharp: bool = False

    @cached_property
    def language(self) -> Grammar:
        """The language of the grammar. Raises BadGrammar where no sentence of it ends."""
        return self.spec.language()

    def distance(self, *, beyond: float = np.inf) -> float:
        """Return the largest miss in tolerances; infinite as soon as it exceeds `beyond`, or for no usable grammar."""
        largest = 0.0
        for name, value in self.ruler.wanted.items():
            try:
                found = self.known(name)
            except BadGrammar:
                return np.inf
            largest = max(largest, self.ruler.miss(name, found.value, value))
            if not largest <= beyond:
                return np.inf
        return largest

    def known(self, name: str) -> Estimate:
        """Return a property, found out where it is not known yet. Raises BadGrammar for an infinite one."""
        if name not in self.properties:
            self.properties[name] = {
                "vocabulary": self._vocabulary, "unigram": self._unigram, "gzip": self._gzip, "floor": self._floor
            }[name]()  # fmt: skip
        return self.properties[name]

    def sharpened(self) -> "Candidate":
        """Return the candidate with its properties to be measured in full."""
        sharp = replace(self, properties={}, sharp=True)
        sharp.__dict__["language"] = self.language
        return sharp

    def _vocabulary(self) -> Estimate:
        return Estimate(value=float(self.language.reachable_tokens.sum()))

    def _unigram(self) -> Estimate:
        nats = self.language.unigram_nats
        if nats is None:
            raise BadGrammar("a critical grammar")
        return Estimate(value=nats)

    def _gzip(self) -> Estimate:
        settings, seed = self.ruler.settings, self.seed
        documents = sample_documents(
            self.language, documents=settings.samples if self.sharp else COARSE_DOCUMENTS,
            document_tokens=settings.sequence_tokens, seed=seed,
        )  # fmt: skip
        vocab_size = self.language.vocabulary_size
        return measure_tokens(documents, "gzip", vocab_size=vocab_size, settings=settings, seed=seed).value

    def _floor(self) -> Estimate:
        language, context, seed = self.language, self.ruler.context, self.seed
        if self.sharp and self.ruler.wanted.floor is not None:
            tolerance = self.ruler.tolerances.floor / SHARPER / max(self.ruler.wanted.floor, FINE_NATS)
            return estimate_floor(language, context=context, seed=seed, tolerance=tolerance, workers=cores())
        documents = sample_documents(language, documents=COARSE_FLOOR_DOCUMENTS, document_tokens=context, seed=seed)
        return mean_over_documents(scored_means(document_floor(language, documents)))

    @property
    def seed(self) -> int:
        """The seed of the grammar's rules, which its documents are measured by too."""
        return self.spec.seed or 0


def anywhere(rng: np.random.Generator, *, terminals: int | None) -> ZipfGrammar:
    """Return a grammar of random shape, with `terminals` terminals where that is settled."""
    while True:
        shape = {name: round(np.exp(rng.uniform(*np.log(bounds)))) for name, bounds in RANGES.items()}
        spec = ZipfGrammar(
            **shape | ({"terminals": terminals} if terminals else {}),
            exponent=round(float(rng.uniform(0, MAX_EXPONENT)), 4),
            seed=_fresh_seed(rng),
        )
        if _symbols(spec) <= MAX_SYMBOLS:
            return spec


def nearby(rng: np.random.Generator, spec: ZipfGrammar, *, terminals: int | None) -> ZipfGrammar:
    """Return a neighbour of `spec`: other weights of the same rules, other rules of its shape, or another shape."""
    while True:
        move = rng.choice(["weights", "rules", "shape"], p=[0.5, 0.25, 0.25])
        # Steps of all sizes, since nobody knows how near the target is.
        step = float(rng.normal() * 10.0 ** rng.uniform(-2.5, 0))
        changes: dict[str, float] = {"exponent": round(float(np.clip(spec.exponent + step, 0, MAX_EXPONENT)), 4)}
        if move != "weights":
            changes["seed"] = _fresh_seed(rng)
        if move == "shape":
            for name, (low, high) in RANGES.items():
                factor = np.exp(0.3 * rng.normal())
                changes[name] = int(np.clip(round(getattr(spec, name) * factor), low, high))
            if terminals:
                changes["terminals"] = terminals
        found = spec.model_copy(update=changes)
        if found != spec and _symbols(found) <= MAX_SYMBOLS:
            return found


def _fresh_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31))


def _symbols(spec: ZipfGrammar) -> float:
    return spec.nonterminals * (spec.max_rules + 1) * (spec.max_rhs + 1) / 4
