"""Families of grammars: the strict parameters of each, and the grammar they stand for.

A study names one in TOML, `{ family = "random", nonterminals = 50, terminals = 500, max_rules = 20, max_rhs = 15 }`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from isoloss.core.errors import BadGrammar, did_you_mean
from isoloss.core.files import regular
from isoloss.core.frozen import Frozen
from isoloss.core.registry import Registry
from isoloss.core.rng import stream
from isoloss.grammar.notation import MOST_NONTERMINALS, MOST_RHS, parse_grammar
from isoloss.grammar.pcfg import Grammar, Rule
from isoloss.grammar.transform import condition_on_termination

# What a grammar may have: tables hold nonterminals × terminals.
MOST_TERMINALS, MOST_CELLS, MOST_SYMBOLS = 100_000, 5_000_000, 1_000_000
MAX_WEIGHT = 100  # rule weights are randint(1, 100), both ends included: the released code of Pandey 2024


class GrammarSpec(Frozen, ABC):
    """Parameters that name one grammar of a family.

    `conditioned`: corpora are sampled from the grammar given that each sentence ends (see `language`). The default,
    because the published sampler restarts sentences that do not end, and because every closed form then exists.
    """

    conditioned: bool = True

    @abstractmethod
    def build(self, *, seed: int = 0) -> Grammar:
        """Return the grammar as the family draws it; `seed` serves where the parameters give none."""

    def language(self, *, seed: int = 0) -> Grammar:
        """Return the grammar that corpora are sampled from: conditioned on termination unless declined."""
        grammar = self.build(seed=seed)
        return condition_on_termination(grammar) if self.conditioned else grammar


class DrawnGrammar(GrammarSpec):
    """A family that draws its rules at random, from `seed` or, without one, from the study's."""

    seed: int | None = None

    def build(self, *, seed: int = 0) -> Grammar:
        """Return the grammar drawn from `self.seed`, or from `seed` where there is none."""
        return self._draw(stream(seed if self.seed is None else self.seed, "grammar rules"))

    @abstractmethod
    def _draw(self, generator: np.random.Generator) -> Grammar: ...


class UniformSymbols(DrawnGrammar):
    """Rules of random length over uniform symbols; families of it differ in the rules' weights.

    Each nonterminal has U{1..max_rules} rules; each right-hand side U{1..max_rhs} symbols (one, for a `pfsa`), uniform
    over nonterminals and terminals; the start is a uniform nonterminal. `paper_collision` makes token 0 both terminal
    and separator, and drops a separator on a document's last position (a document of 255 tokens, padded), as in the
    released code of Pandey 2024.
    """

    nonterminals: int = Field(gt=0, le=MOST_NONTERMINALS)
    terminals: int = Field(gt=0, le=MOST_TERMINALS)
    max_rules: int = Field(gt=0, le=MOST_TERMINALS)
    max_rhs: int = Field(gt=0, le=MOST_RHS)
    pfsa: bool = False
    paper_collision: bool = False

    @model_validator(mode="after")
    def _holdable(self) -> Self:
        cells = self.nonterminals * self.terminals
        symbols = self.nonterminals * self.max_rules * (1 if self.pfsa else self.max_rhs)
        if cells > MOST_CELLS:
            raise ValueError(f"nonterminals × terminals is {cells:,}, at most {MOST_CELLS:,} are possible")
        if symbols > MOST_SYMBOLS:
            raise ValueError(
                f"nonterminals × max_rules × max_rhs is {symbols:,}, at most {MOST_SYMBOLS:,} are possible"
            )
        return self

    @abstractmethod
    def _draw_weights(self, generator: np.random.Generator, rules: int) -> NDArray[np.float64]: ...

    def _draw(self, generator: np.random.Generator) -> Grammar:
        rules = [self._draw_rules(generator) for _ in range(self.nonterminals)]
        return Grammar.from_rules(
            rules,
            nonterminals=_numbered("N", self.nonterminals),
            terminals=_numbered("t", self.terminals),
            start=np.ones(self.nonterminals),
            separator_is_terminal=self.paper_collision,
        )

    def _draw_rules(self, generator: np.random.Generator) -> list[Rule]:
        count = int(generator.integers(1, self.max_rules, endpoint=True))
        weights = self._draw_weights(generator, count)
        lengths = generator.integers(1, 1 if self.pfsa else self.max_rhs, size=count, endpoint=True)
        drawn = generator.integers(-self.nonterminals, self.terminals, size=lengths.sum())
        symbols = drawn if self.paper_collision else drawn + (drawn >= 0)
        split = np.split(symbols, np.cumsum(lengths)[:-1])
        return [(weight, part.tolist()) for weight, part in zip(weights.tolist(), split, strict=True)]


class RandomGrammar(UniformSymbols):
    """Random rules with weights U{1..100}: the grammars of Pandey 2024 (arXiv:2405.16684)."""

    family: Literal["random"] = "random"

    def _draw_weights(self, generator: np.random.Generator, rules: int) -> NDArray[np.float64]:
        return generator.integers(1, MAX_WEIGHT, size=rules, endpoint=True).astype(float)


class ZipfGrammar(UniformSymbols):
    """Random rules, the k-th of each nonterminal with weight k^-exponent: few rules do most of the work."""

    family: Literal["zipf"] = "zipf"
    exponent: float = Field(default=1.0, ge=0, le=10)

    def _draw_weights(self, generator: np.random.Generator, rules: int) -> NDArray[np.float64]:
        del generator
        return zipf_weights(rules, self.exponent)


def zipf_weights(count: int, exponent: float) -> NDArray[np.float64]:
    """Return k^-exponent for k = 1…`count`; all one where the exponent is 0."""
    return np.asarray(np.arange(1, count + 1, dtype=float) ** -exponent)


class ExplicitGrammar(GrammarSpec):
    """A grammar written out in `file` or as `text`: `S -> 'a' S [0.7] | 'b' [0.3]`. It starts at its first rule."""

    family: Literal["explicit"] = "explicit"
    file: Path | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.text is None):
            raise ValueError("an explicit grammar needs either a file or a text of rules")
        return self

    def build(self, *, seed: int = 0) -> Grammar:
        """Return the grammar as written; nothing in it is random. Raises BadGrammar with line and column."""
        if self.file is None:
            return parse_grammar(self.text or "", place="grammar text")
        try:
            text = regular(self.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"byte {error.start} is not UTF-8"
            fix = "give a text file in UTF-8 with rules such as S -> 'a' S [0.7] | 'b' [0.3]"
            raise BadGrammar(f"cannot read the grammar: {reason}", place=str(self.file), fix=fix) from error
        return parse_grammar(text, place=str(self.file))


class HierarchicalGrammar(DrawnGrammar):
    """The random hierarchy model of Cagnetta et al. 2024 (Physical Review X 14, 031001).

    `depth` levels of `vocabulary` symbols; each symbol of a level has `synonyms` rules, each a string of `branching`
    symbols of the level below, and no string is shared: sentences of branching^depth tokens have one parse. The k-th
    synonym has weight k^-exponent: by default all are equally likely; 1 is Zipf's law (Cagnetta et al. 2025,
    arXiv:2505.07067).
    """

    family: Literal["hierarchical"] = "hierarchical"
    depth: int = Field(gt=0, le=16)
    branching: int = Field(default=2, gt=1, le=16)
    vocabulary: int = Field(gt=1)
    synonyms: int = Field(gt=0)
    exponent: float = Field(default=0.0, ge=0, le=10)

    @model_validator(mode="after")
    def _enough_strings(self) -> Self:
        if self.depth * self.vocabulary > MOST_NONTERMINALS:
            found = self.depth * self.vocabulary
            raise ValueError(
                f"depth × vocabulary is {found:,} nonterminals, at most {MOST_NONTERMINALS:,} are possible"
            )
        if self.vocabulary**self.branching > MOST_SYMBOLS:
            raise ValueError(f"vocabulary ** branching is above {MOST_SYMBOLS:,} strings, the largest number possible")
        if self.branching**self.depth > MOST_SYMBOLS:
            raise ValueError(f"a sentence has branching ** depth tokens, at most {MOST_SYMBOLS:,} are possible")
        if (rules := self.depth * self.vocabulary * self.synonyms) > MOST_SYMBOLS:
            raise ValueError(f"depth × vocabulary × synonyms is {rules:,} rules, at most {MOST_SYMBOLS:,} are possible")
        if self.synonyms * self.vocabulary > self.vocabulary**self.branching:
            raise ValueError(
                f"{self.vocabulary} symbols of {self.synonyms} synonyms need more than the "
                f"{self.vocabulary**self.branching} strings of {self.branching}"
            )
        return self

    def _draw(self, generator: np.random.Generator) -> Grammar:
        rules = [owned for level in range(self.depth) for owned in self._draw_level(generator, level)]
        return Grammar.from_rules(
            rules,
            nonterminals=[f"L{level}.{i}" for level in range(self.depth) for i in range(self.vocabulary)],
            terminals=_numbered("t", self.vocabulary),
            start=[1.0] * self.vocabulary + [0.0] * self.vocabulary * (self.depth - 1),
        )

    def _draw_level(self, generator: np.random.Generator, level: int) -> list[list[Rule]]:
        """Rules of the symbols of one level; level 0 is the top, and the last one writes terminals."""
        strings = generator.choice(
            self.vocabulary**self.branching, size=(self.vocabulary, self.synonyms), replace=False, shuffle=True
        )
        digits = strings[..., None] // self.vocabulary ** np.arange(self.branching) % self.vocabulary
        symbols = digits + 1 if level == self.depth - 1 else ~(digits + (level + 1) * self.vocabulary)
        weights = zipf_weights(self.synonyms, self.exponent).tolist()
        return [list(zip(weights, owned, strict=True)) for owned in symbols.tolist()]


AnyGrammar = Annotated[
    RandomGrammar | ZipfGrammar | ExplicitGrammar | HierarchicalGrammar, Field(discriminator="family")
]
FAMILIES: Registry[type[GrammarSpec]] = Registry("grammar family")
FAMILIES.add("random", RandomGrammar)
FAMILIES.add("zipf", ZipfGrammar)
FAMILIES.add("explicit", ExplicitGrammar)
FAMILIES.add("hierarchical", HierarchicalGrammar)


def grammar_spec(table: Mapping[str, object]) -> GrammarSpec:
    """Return the parameters that `table` writes down, as a study or a command line has them.

    Raises UnknownName for an unknown family, BadGrammar for an unknown, missing or impossible parameter.
    """
    family = FAMILIES[str(table.get("family", "random"))]
    try:
        return family.model_validate(dict(table))
    except ValidationError as error:
        raise _explained(error, family, name=str(table.get("family", "random"))) from error


def _explained(error: ValidationError, family: type[GrammarSpec], *, name: str) -> BadGrammar:
    """Return the first thing wrong with a family's parameters: what was found, what to give instead."""
    # A misspelt parameter also leaves its namesake missing: the spelling is the news.
    first = min(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    parameter, known = ".".join(map(str, first["loc"])), set(family.model_fields) - {"family"}
    expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    match first["type"]:
        case "extra_forbidden":
            message, fix = f"unknown parameter {parameter!r}", did_you_mean(parameter, known)
        case "missing":
            needed = [key for key, field in family.model_fields.items() if field.is_required()]
            message, fix = f"parameter {parameter!r} is missing", f"give all of {', '.join(needed)}"
        case "value_error":  # of the whole family: its message says what would do
            message, fix = expected, "change one of its parameters"
        case _:
            message, fix = f"parameter {parameter!r} is {first['input']!r}", f"it should be {expected}"
    return BadGrammar(message, place=f"grammar family {name!r}", fix=fix)


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]
