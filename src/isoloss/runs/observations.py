"""A table of runs as laws see it: columns of numbers, each row one (N, D, loss), wherever the runs came from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.display import rows_table
from isoloss.core.errors import BadTable, InputError, did_you_mean
from isoloss.core.fingerprint import fingerprint
from isoloss.core.numbers import counted_corpora, some

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
DataUnit = Literal["tokens", "bytes"]

OBSERVATIONS_VERSION = 1
RUN_COLUMNS = ("params", "tokens", "flops")
NO_GROUP = "all"
"""The corpus of rows whose table names none."""


def of_group(group: str, *, word: str = "of") -> str:
    """Return " of code" for a sentence about a corpus; nothing where the table names none."""
    return "" if group == NO_GROUP else f" {word} {group}"


UNSTATED = "unstated"
"""The way of counting parameters of a table that does not say it."""
# No run has sizes, tokens, FLOPs or losses outside these, and their powers stay finite.
SMALLEST, LARGEST = 1e-15, 1e40
# FLOPs of all rows are one multiple of 6ND where these multiples span less than this factor, and 6ND itself where that
# multiple is within so much of 1: columns are written to a few digits.
STEADY_SPAN, SAME_FLOPS = 2.0, 1.01
SHOWN_ROWS = 10  # of a table that is printed or shown in a notebook


def bracketed(params_convention: str) -> str:
    """Return how parameters are counted, to follow a heading; nothing where that is not stated."""
    return "" if params_convention == UNSTATED else f" ({params_convention})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """Columns of equal length, one row a run.

    `known` holds `params`, N by `params_convention`; `tokens`, D in `data_unit`; `flops`, C by `flops_convention`: all
    of them, or those that the source tells. A law of one of them fits a table of that one alone; a column that nobody
    gave is absent, and no number stands in for it, so that whoever reads it is refused by name (BadTable) and no check
    takes a guess for a fact. Losses are nats per token. `named` says what the source calls its columns. `trunk` names
    the training curve a row was taken from: rows of one trunk are not independent. `rows` are 1-based positions in the
    source, for messages. `stderr` is the standard error of each loss, `tokenizer` and `vocab` the name and the size of
    the vocabulary that its tokens are of: None where the source does not say. `extra` are further columns that a law
    may read, positive numbers by name: unique_tokens, batch_tokens, other_loss. `floor` is the exact best possible loss
    on each run's corpus, `bytes_per_token` relates D in bytes to the tokens of FLOPs: None where unknown. `source`
    names what a row's corpus was made from: corpora of one (interventions, relabellings) are left out together; None
    where each is its own. `passed_over` says in sentences what of the source is no row here, and why.
    """

    known: Mapping[str, Floats]
    loss_nats: Floats
    run: NDArray[np.str_]
    trunk: NDArray[np.str_]
    corpus: NDArray[np.str_]
    rows: NDArray[np.int64]
    stderr: Floats | None = None
    flags: tuple[tuple[str, ...], ...] | None = None
    complexity: Mapping[str, Floats] = field(default_factory=dict)
    extra: Mapping[str, Floats] = field(default_factory=dict)
    floor: Floats | None = None
    bytes_per_token: Floats | None = None
    tokenizer: NDArray[np.str_] | None = None
    vocab: Floats | None = None
    source: NDArray[np.str_] | None = None
    params_convention: str = UNSTATED
    flops_convention: str = "6ND"
    data_unit: DataUnit = "tokens"
    named: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.loss_nats)

    @property
    def params(self) -> Floats:
        """N of every run. Raises BadTable where the table does not tell it."""
        return self.column("params")

    @property
    def tokens(self) -> Floats:
        """D of every run. Raises BadTable where the table does not tell it."""
        return self.column("tokens")

    @property
    def flops(self) -> Floats:
        """C of every run. Raises BadTable where the table does not tell it."""
        return self.column("flops")

    def has(self, *names: str) -> bool:
        """Whether the table tells all of these columns: `params`, `tokens`, `flops`, or extra ones."""
        return all(name in self.known or name in self.extra for name in names)

    @property
    def corpora(self) -> list[str]:
        """Corpus names in order of first appearance."""
        return list(self._grouped[0])

    @property
    def group(self) -> str:
        """The corpus of a table that has one alone; of several, the name that stands for all."""
        return self.corpora[0] if len(self.corpora) == 1 else NO_GROUP

    @cached_property
    def _grouped(self) -> tuple[list[str], NDArray[np.int32]]:
        """The corpora in order of first appearance, and the place of each row's among them."""
        # A hash table: far faster on a million rows than sorting or comparing text.
        places: dict[str, int] = {}
        of_rows = [places.setdefault(corpus, len(places)) for corpus in self.corpus.tolist()]
        return list(places), np.array(of_rows, dtype=np.int32)

    @property
    def sources(self) -> dict[str, str]:
        """The source of every corpus, by default itself. Raises BadTable where rows of one corpus disagree."""
        if self.source is None:
            return {name: name for name in self.corpora}
        found: dict[str, str] = {}
        for name in self.corpora:
            own = dict.fromkeys(self.source[self.corpus == name].tolist())
            if len(own) > 1:
                raise BadTable(
                    f"corpus {name!r} has {len(own)} sources: {', '.join(map(repr, own))}",
                    place="column of sources",
                    fix="give all rows of a corpus the same source",
                )
            found[name] = next(iter(own))
        return found

    @property
    def trained_tokens(self) -> Floats:
        """D in tokens: what FLOPs count. Bytes stand for themselves where the bytes per token are unknown."""
        if self.data_unit == "tokens" or self.bytes_per_token is None:
            return self.tokens
        return np.asarray(self.tokens / self.bytes_per_token)

    @cached_property
    def flops_ratios(self) -> Floats | None:
        """The FLOPs of every row over 6 · params · tokens, where the source tells all three; else None."""
        in_tokens = self.data_unit == "tokens" or self.bytes_per_token is not None
        if self.flops_convention != "given" or not in_tokens or not self.has(*RUN_COLUMNS):
            return None
        return np.asarray(self.flops / (6 * self.params * self.trained_tokens))

    @property
    def flops_factor(self) -> float:
        """The steady multiple of 6 · params · tokens that the table's FLOPs are; 1 where they are none, or no one."""
        ratios = self.flops_ratios
        if ratios is None or not len(ratios) or ratios.max() > STEADY_SPAN * ratios.min():
            return 1.0
        factor = float(np.exp(np.log(ratios).mean()))
        return factor if max(factor, 1 / factor) > SAME_FLOPS else 1.0

    @property
    def mean_bytes_per_token(self) -> float | None:
        """The geometric mean of the bytes per token, None where they are unknown."""
        return None if self.bytes_per_token is None else float(np.exp(np.log(self.bytes_per_token).mean()))

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the numbers that a fit sees."""
        content = {
            **{name: self.known[name].tolist() if name in self.known else None for name in RUN_COLUMNS},
            "loss_nats": self.loss_nats.tolist(), "corpus": self.corpus.tolist(), "trunk": self.trunk.tolist(),
            "stderr": None if self.stderr is None else self.stderr.tolist(),
            "complexity": {name: values.tolist() for name, values in self.complexity.items()},
            "params_convention": self.params_convention, "data_unit": self.data_unit,
        }  # fmt: skip
        if self.extra:
            content["extra"] = {name: values.tolist() for name, values in self.extra.items()}
        return fingerprint(content, kind="table", version=OBSERVATIONS_VERSION)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> "Observations":
        """Return the rows that a mask or an index picks, in that order."""
        index = np.arange(len(self))[keep]
        changed: dict[str, Any] = {}
        picked: dict[int, Any] = {}  # run and trunk may be one array, and text is slow to copy
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, np.ndarray):
                if id(value) not in picked:
                    picked[id(value)] = value[index]
                changed[column.name] = picked[id(value)]
        changed["flags"] = None if self.flags is None else tuple(self.flags[i] for i in index)
        for name in ("known", "complexity", "extra"):
            changed[name] = {key: values[index] for key, values in getattr(self, name).items()}
        return replace(self, **changed)

    def where(self, *, corpus: str | Sequence[str] | None = None, flagged: bool | None = None) -> "Observations":
        """Return the rows of the named corpora, and with or without flags. Raises InputError for an unknown corpus."""
        keep = np.ones(len(self), dtype=bool)
        if corpus is not None:
            if not isinstance(corpus, Iterable):
                raise InputError(
                    f"{corpus!r} is not a valid name of a corpus", fix=did_you_mean(str(corpus), self.corpora)
                )
            wanted = [corpus] if isinstance(corpus, str) else list(corpus)
            for name in wanted:
                if name not in self.corpora:
                    raise InputError(f"no runs on corpus {name!r}", fix=did_you_mean(name, self.corpora))
            names, place = self._grouped
            keep &= np.isin(place, [names.index(name) for name in wanted])
        if flagged is not None:
            earned = np.array([bool(flags) for flags in self.flags or [()] * len(self)], dtype=bool)
            keep &= earned == flagged
        return self.select(keep)

    def by_corpus(self) -> dict[str, "Observations"]:
        """Return the rows of every corpus, in order of first appearance."""
        names, place = self._grouped
        ends = np.cumsum(np.bincount(place, minlength=len(names)))
        rows = np.split(np.argsort(place, kind="stable"), ends)
        return {name: self.select(own) for name, own in zip(names, rows, strict=False)}  # nothing is behind the last

    def __str__(self) -> str:
        """Return the first runs as a table, with what is known of all of them."""
        return "\n".join([self._heading(), *(" ".join(cells).rstrip() for cells in self._padded())])

    __repr__ = __str__

    def _heading(self) -> str:
        trunks = len(np.unique(self.trunk))
        parts = [f"{len(self)} runs", f"{len(self.corpora)} corpora" if len(self.corpora) > 1 else ""]
        parts += [f"{trunks} training curves" if trunks < len(self) else "", f"N {self.params_convention}"]
        return ", ".join(part for part in [*parts, f"D in {self.data_unit}", f"C {self.flops_convention}"] if part)

    def _cells(self) -> list[list[str]]:
        """Return the heading and the first rows, and a row of dots where there are more."""
        numbers = {**self.known, "loss_nats": self.loss_nats, **self.extra, **self.complexity}
        shown = range(min(len(self), SHOWN_ROWS))
        rows = [
            [str(self.rows[i]), str(self.corpus[i]), *(f"{column[i]:.5g}" for column in numbers.values())]
            for i in shown
        ]
        dots = [["…"] * (2 + len(numbers))] if len(self) > SHOWN_ROWS else []
        return [["row", "corpus", *numbers], *rows, *dots]

    def _padded(self) -> list[tuple[str, ...]]:
        columns = [(max(map(len, column)), column) for column in zip(*self._cells(), strict=True)]
        texts = [
            [cell.ljust(width) if i == 1 else cell.rjust(width) for cell in column]
            for i, (width, column) in enumerate(columns)
        ]
        return list(zip(*texts, strict=True))

    def best(self) -> "Observations":
        """Return the run of least loss of every corpus, parameters and tokens, in the table's order."""
        points = np.unique(np.column_stack([self.params, self.tokens]), axis=0, return_inverse=True)[1].ravel()
        corpus = np.unique(self.corpus, return_inverse=True)[1]
        order = np.lexsort((self.loss_nats, points, corpus))
        kinds = np.column_stack([corpus[order], points[order]])
        first = np.concatenate([[True], (kinds[1:] != kinds[:-1]).any(axis=1)])
        return self.select(np.sort(order[first]))

    def measure(self, name: str) -> Floats:
        """Return the complexity column `name`. Raises InputError naming the columns there are."""
        if name not in self.complexity:
            raise InputError(f"no column {name!r} with a measure of the text", fix=did_you_mean(name, self.complexity))
        return self.complexity[name]

    def column(self, name: str) -> Floats:
        """Return a column that a law reads, `params`, `tokens`, `flops` or an extra one. Raises BadTable without it."""
        if self.has(name):
            return (self.known if name in self.known else self.extra)[name]
        option = f"--{name} COLUMN" if name in RUN_COLUMNS else f"--column {name}=COLUMN"
        raise BadTable(
            f"a column {name!r} is needed, but the table has {', '.join([*self.known, *self.extra]) or 'only losses'}",
            fix=f"say which column it is (on the command line: {option})",
        )

    def with_extra(self, **columns: Floats) -> "Observations":
        """Return the table with further columns that a law may read. Raises BadTable for numbers not above zero."""
        checked = {name: _positive(name, values, len(self), self.rows) for name, values in columns.items()}
        return replace(self, extra={**self.extra, **checked})

    def _repr_html_(self) -> str:
        """Show the first runs as a table, and how many there are."""
        shown = self.select(range(min(len(self), SHOWN_ROWS)))
        rows = shown.to_arrow().to_pylist()
        footnote = f"{len(self):,} runs on {counted_corpora(len(self.corpora))}; the first {len(rows)} are shown."
        return rows_table(rows, note=footnote)

    def to_arrow(self) -> "pa.Table":
        """Return the table for Arrow, pandas (`.to_pandas()`) or polars (`polars.from_arrow`)."""
        import pyarrow as pa

        columns: dict[str, Any] = {
            "run": self.run, "trunk": self.trunk, "corpus": self.corpus, **self.known, "loss_nats": self.loss_nats,
        }  # fmt: skip
        if self.stderr is not None:
            columns["stderr"] = self.stderr
        if self.flags is not None:
            columns["flags"] = [list(flags) for flags in self.flags]
        columns.update(self.complexity)
        columns.update(self.extra)
        return pa.table({name: pa.array(list(column)) for name, column in columns.items()})


def observations(
    *,
    loss_nats: Sequence[float] | Floats,
    params: Sequence[float] | Floats | None = None,
    tokens: Sequence[float] | Floats | None = None,
    flops: Sequence[float] | Floats | None = None,
    run: Sequence[str] | NDArray[np.str_] | None = None,
    trunk: Sequence[str] | NDArray[np.str_] | None = None,
    corpus: Sequence[str] | NDArray[np.str_] | str = NO_GROUP,
    stderr: Sequence[float] | Floats | None = None,
    flags: Sequence[Sequence[str]] | None = None,
    complexity: Mapping[str, Sequence[float] | Floats] | None = None,
    extra: Mapping[str, Sequence[float] | Floats] | None = None,
    floor: Sequence[float] | Floats | float | None = None,
    bytes_per_token: Sequence[float] | Floats | float | None = None,
    rows: Sequence[int] | NDArray[np.int64] | None = None,
    tokenizer: Sequence[str] | NDArray[np.str_] | None = None,
    vocab: Sequence[float] | Floats | float | None = None,
    source: Sequence[str] | NDArray[np.str_] | None = None,
    params_convention: str = UNSTATED,
    data_unit: DataUnit = "tokens",
    named: Mapping[str, str] | None = None,
) -> Observations:
    """Return a checked table: numbers positive and finite, columns of one length. Raises BadTable with row numbers.

    Columns that nobody gives are absent from the table. Without `flops`, C = 6 · params · tokens where both are known,
    and with D in bytes 6 · params · bytes / `bytes_per_token`. Without `trunk`, every row is a trunk of its own.
    """
    n = len(loss_nats)
    place = np.arange(1, n + 1) if rows is None else np.asarray(rows, dtype=np.int64)
    given = {"params": params, "tokens": tokens, "flops": flops}
    names_of = named or {}

    def positive(role: str, values: Sequence[float] | Floats) -> Floats:
        return _positive(names_of.get(role, role), values, n, place)

    known = {name: positive(name, column) for name, column in given.items() if column is not None}
    ratio = None
    if bytes_per_token is not None:
        ratio = positive("bytes_per_token", _each(bytes_per_token, n))
    if flops is None and {"params", "tokens"} <= known.keys():
        trained = known["tokens"] / ratio if data_unit == "bytes" and ratio is not None else known["tokens"]
        with np.errstate(over="ignore", under="ignore"):
            known["flops"] = _positive("6 · params · tokens", 6 * known["params"] * trained, n, place)
    counts_tokens = data_unit == "tokens" or ratio is not None
    names = _row_names(place) if run is None else np.asarray(run, dtype=np.str_)
    return Observations(
        known=known,
        loss_nats=positive("loss", loss_nats),
        run=names,
        trunk=names if trunk is None else np.asarray(trunk, dtype=np.str_),
        corpus=np.full(n, corpus) if isinstance(corpus, str) else np.asarray(corpus, dtype=np.str_),
        rows=place,
        stderr=None if stderr is None else positive("stderr", stderr),
        flags=None if flags is None else tuple(tuple(f) for f in flags),
        complexity={name: _finite(name, values, n, place) for name, values in (complexity or {}).items()},
        extra={name: positive(name, values) for name, values in (extra or {}).items()},
        floor=None if floor is None else positive("floor", _each(floor, n)),
        bytes_per_token=ratio,
        tokenizer=None if tokenizer is None else np.asarray(tokenizer, dtype=np.str_),
        vocab=None if vocab is None else positive("vocab", _each(vocab, n)),
        source=None if source is None else np.asarray(source, dtype=np.str_),
        params_convention=params_convention,
        flops_convention="given" if flops is not None else "6ND" if counts_tokens else "6NB",
        data_unit=data_unit,
        named=named or {},
    )


def _row_names(rows: NDArray[np.int64]) -> NDArray[np.str_]:
    width = len(str(rows.max(initial=0)))
    return np.char.add("row ", rows.astype(f"<U{width}"))


def _each(values: Sequence[float] | Floats | float, n: int) -> Floats:
    return np.full(n, float(values)) if isinstance(values, int | float) else np.asarray(values, dtype=np.float64)


def _finite(name: str, values: Sequence[float] | Floats, n: int, rows: NDArray[np.int64]) -> Floats:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise BadTable(f"{len(column)} values, expected {n}", place=f"column {name}")
    _refuse(name, column, ~np.isfinite(column), rows, "a finite number")
    return column


def _positive(name: str, values: Sequence[float] | Floats, n: int, rows: NDArray[np.int64]) -> Floats:
    column = _finite(name, values, n, rows)
    _refuse(name, column, column <= 0, rows, "a number above zero")
    outside = (column < SMALLEST) | (column > LARGEST)
    _refuse(name, column, outside, rows, f"a number between {SMALLEST:.0e} and {LARGEST:.0e}")
    return column


def _refuse(name: str, column: Floats, bad: NDArray[np.bool_], rows: NDArray[np.int64], expected: str) -> None:
    if not bad.any():
        return
    at = np.flatnonzero(bad)
    raise BadTable(
        f"found {column[at[0]]:g}, expected {expected}",
        place=f"column {name}, row {some(rows[at])}",
        fix="correct the rows, or leave them out (on the command line: --where)",
    )
