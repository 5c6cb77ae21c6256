"""The committed tables of the answer, as they are read: which grids are finished, their runs, measures and kinds."""

import csv
import math
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.laws.settings import EXCLUDED_FLAGS
from isoloss.optima.documents import document_shifts
from isoloss.runs.observations import Observations, observations
from isoloss.runs.rules import round_tokens
from isoloss.runs.shapes import count
from isoloss.study.designs import DesignSource
from isoloss.study.spec import Study

Floats = NDArray[np.float64]
Row = Mapping[str, str]
Cell = tuple[int, int]
"""Parameters (with head) and tokens of a run."""
Counting = Literal["exact", "6ND", "without head"]

STUDIES = Path(__file__).parent
SOURCES = STUDIES.parent / "corpora.toml"
NEW = ("rust", "java", "lisp", "erlang", "proofs", "sql", "svg", "tex", "german", "japanese", "commentary", "wordnet")
OLD = ("c", "python", "go", "javascript", "html", "json", "english", "dictionary", "mathematics", "dna", "protein",
       "music")  # fmt: skip
# Added after the tests, unlike the other texts: they test nothing.
LATER = {"molecules": "molecules written as text (SMILES, one a line)", "tables": "tables of numbers (Earth rotation)"}
TEXTS = NEW + OLD + tuple(LATER)
MEASURED = (STUDIES.parents[1] / "docs" / "results" / "answer" / "sealed-measures.csv", STUDIES / "measures.csv")
GENERATED = ("pcfg-", "equal-")
# The middle point of both series asks for the same grammars: they were trained once, under the first name.
SAME = {"equal-gzip-2a": "equal-floor-2a", "equal-gzip-2b": "equal-floor-2b"}
SERIES = {
    "equal floor": ("equal-floor-",),
    "equal gzip ratio": ("equal-gzip-", *SAME.values()),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How much of a corpus's grid is there: runs that have ended, of those planned; None before its corpus is built."""

    corpus: str
    ended: int
    planned: int | None

    @property
    def finished(self) -> bool:
        """Whether every cell of the grid has all its seeds."""
        return self.planned is not None and self.ended >= self.planned


@dataclass(frozen=True, eq=False)
class Readings:
    """The rows of runs.csv, the corpora and their measures; `studies` are the study files that name grids."""

    rows: Sequence[Row]
    corpora: Mapping[str, Row]
    measures: Mapping[str, Mapping[str, float]]
    studies: Sequence[Study]

    @cached_property
    def planned(self) -> dict[str, Counter[Cell] | None]:
        """What all study files together plan for a corpus, in the order of the files; None before its first run."""
        found: dict[str, Counter[Cell] | None] = {}
        for study in self.studies:
            grids: dict[int, Counter[Cell]] = {}  # by vocabulary: corpora of one study share them
            for name in _names(study):
                if name not in self.corpora:
                    found[name] = None
                    continue
                vocab_size = int(self.corpora[name]["vocab_size"])
                if vocab_size not in grids:
                    grids[vocab_size] = grid_runs(study, vocab_size=vocab_size)
                more = grids[vocab_size] + named_runs(study, name, vocab_size=vocab_size)
                found[name] = (found.get(name) or Counter()) + more
        return found

    @cached_property
    def progress(self) -> dict[str, Progress]:
        """How far every corpus is, in the order of the study files."""
        found: dict[str, Progress] = {}
        for name, planned in self.planned.items():
            if planned is None:
                found[name] = Progress(corpus=name, ended=0, planned=None)
                continue
            ended = Counter(map(cell, self._by_corpus.get(name, [])))
            found[name] = Progress(corpus=name, ended=(planned & ended).total(), planned=planned.total())
        return found

    @cached_property
    def cells(self) -> dict[str, set[Cell]]:
        """The cells of every corpus's grids, and of the runs that its studies name next to them."""
        return {name: set(planned) for name, planned in self.planned.items() if planned is not None}

    def finished(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` whose grid is finished."""
        return [name for name in names if name in self.progress and self.progress[name].finished]

    def unfinished(self, names: Iterable[str]) -> list[Progress]:
        """Return how far those are that are not finished."""
        unbegun = (self.progress.get(name, Progress(corpus=name, ended=0, planned=None)) for name in names)
        return [progress for progress in unbegun if not progress.finished]

    def names(self, ending: str) -> list[str]:
        """Return the corpora of the study files whose name ends so, as `-noise15`."""
        return [name for name in self.progress if name.endswith(ending)]

    @property
    def generated(self) -> list[str]:
        """The corpora out of grammars."""
        return [name for name in self.progress if name.startswith(GENERATED)]

    def own(self, corpus: str, *, cells: set[Cell] | None = None) -> list[Row]:
        """Return the runs of a corpus in its grid, or in `cells`, that ended with a loss."""
        kept = self.cells[corpus] if cells is None else cells
        return [row for row in self._by_corpus.get(corpus, []) if cell(row) in kept and row["loss_nats"]]

    def beyond(self, corpus: str) -> list[Row]:
        """Return the runs of a corpus outside its grid: the sealed ones."""
        kept = self.cells.get(corpus, set())
        return [row for row in self._by_corpus.get(corpus, []) if cell(row) not in kept and row["loss_nats"]]

    def measure(self, name: str, corpora: Iterable[str]) -> Floats:
        """Return a measure of corpora, NaN where it is not known."""
        return np.array([self.measures.get(corpus, {}).get(name, math.nan) for corpus in corpora])

    @cached_property
    def _by_corpus(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row["corpus"], []).append(row)
        return found


def load(folder: Path, *, measures: Sequence[Path] = MEASURED, studies: Sequence[Path] | None = None) -> Readings:
    """Return what stands in a folder of runs.csv and corpora.csv, with measures of those files that exist."""
    # The sealed runs are no grid: they stay out of every balance.
    grids = [path for path in sorted(STUDIES.glob("*.toml")) if not path.stem.startswith("sealed")]
    files = grids if studies is None else studies
    known: dict[str, dict[str, float]] = {}
    for path in measures:
        for row in table(path) if path.exists() else []:
            known.setdefault(row["corpus"], {}).update(_numbers(row))
    return Readings(
        rows=table(folder / "runs.csv"), corpora={row["corpus"]: row for row in table(folder / "corpora.csv")},
        measures=known, studies=[Study.load(path) for path in files],
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def kinds() -> dict[str, str]:
    """Return what sort of text every corpus is."""
    with SOURCES.open("rb") as stream:
        return {one["name"]: one["kind"] for one in tomllib.load(stream)["corpus"]}


def cell(row: Row) -> Cell:
    """Return where a run lies."""
    return int(row["params"]), int(row["tokens"])


def grid_runs(study: Study, *, vocab_size: int) -> Counter[Cell]:
    """Return how many runs a study's grid has at every place."""
    batch = int(study.training.batch_tokens.value)
    found: Counter[Cell] = Counter()
    for model in study.grid.models(vocab_size=vocab_size):
        params = count(model).params()
        for tokens in study.grid.horizons(params):
            found[params, round_tokens(tokens, batch_tokens=batch)] += len(study.grid.seeds)
    return found


def named_runs(study: Study, corpus: str, *, vocab_size: int) -> Counter[Cell]:
    """Return the runs that a study names for a corpus next to its grid, by place."""
    batch = int(study.training.batch_tokens.value)
    found: Counter[Cell] = Counter()
    for run in study.further_runs(corpus):
        params = count(study.grid.near(run.params, vocab_size=vocab_size)).params()
        found[params, round_tokens(run.tokens, batch_tokens=batch)] += 1
    return found


def is_excluded(row: Row) -> bool:
    """Return whether a run has a flag by which fits leave it out."""
    return not set(EXCLUDED_FLAGS).isdisjoint(row["flags"].split())


def as_observations(rows: Sequence[Row], *, counting: Counting = "exact") -> Observations:
    """Return runs as a table: exact FLOPs and N with the head, or C = 6 · N · D, or N without the head."""
    params = "params_non_embedding" if counting == "without head" else "params"
    flops = "flops" if counting == "6ND" else "flops_exact"
    return observations(
        loss_nats=[float(row["loss_nats"]) for row in rows], params=[float(row[params]) for row in rows],
        tokens=[float(row["tokens"]) for row in rows], flops=[float(row[flops]) for row in rows],
        run=[row["run"] for row in rows], trunk=[f"{row['corpus']} {row['trunk']}" for row in rows],
        corpus=[row["corpus"] for row in rows], stderr=[float(row["stderr"]) for row in rows],
        flags=[row["flags"].split() for row in rows], vocab=[float(row["vocab_size"]) for row in rows],
        params_convention="non_embedding" if counting == "without head" else "with_head",
    )  # fmt: skip


def shifts(rows: Sequence[Row], corpora: Mapping[str, Row], *, draws: int) -> Floats:
    """Return what held-out documents drawn anew would change of every ln loss, (draws, n): 20 groups of documents."""
    found = np.zeros((draws, len(rows)))
    for place, corpus in enumerate(dict.fromkeys(row["corpus"] for row in rows)):
        own = np.flatnonzero([row["corpus"] == corpus for row in rows])
        tokens = np.array(corpora[corpus]["block_tokens"].split(), dtype=float)
        means = np.array([rows[i]["blocks"].split() for i in own], dtype=float)
        held = tokens > 0
        found[:, own] = document_shifts(means[:, held] * tokens[held], tokens[held], draws=draws, seed=place)
    return found


def _names(study: Study) -> Iterator[str]:
    for source in study.corpus:
        names = source.names if isinstance(source, DesignSource) else [source.name]
        yield from (name for name in names if name not in SAME)


def _numbers(row: Row) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "corpus" and value}
