"""What the page is given: laws with their draws, runs and best sizes, as plain JSON data."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from isoloss.data_dependence.balance import measure_in_words
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.explorer.sources import PageLaw, Source
from isoloss.fitting.domain import Domain
from isoloss.laws.law import Floats
from isoloss.laws.registry import open_law
from isoloss.optima.best_size import BestSize
from isoloss.report.methods import AS_GIVEN, CONVENTIONS
from isoloss.runs.observations import Observations

BELOW, ABOVE = 10.0, 1000.0  # times the fitted budgets, as far as the slider goes
MOST_DRAW_BYTES = 2_500_000  # of all draws as text: the library's script and the runs fit into 5 MB next to them
TEXT_PER_BYTE = 4 / 3  # of base64


def content(sources: Sequence[Source], *, opened_at: float | None = None) -> dict[str, Any]:
    """Return everything that the page computes with, opened at a budget in FLOPs, by default the middle of the runs'.

    Draws are thinned, evenly, where all of them are too many.
    """
    step = draw_step(sources)
    domains = [law.base.domain for source in sources for law in source.laws]
    domains += [law.domain for source in sources for law in source.joint]
    flops = _ends(domains, "flops")
    budgets = [flops[0] / BELOW, max(flops[1] * ABOVE, opened_at or 0.0)]
    conventions, forms = _names(sources, "params_convention"), _names(sources, "law")
    return {
        "sources": [_source(source, step) for source in sources],
        "forms": [{"name": name, "formula": open_law(name).formula} for name in forms],
        "conventions": [{"name": name, "about": CONVENTIONS.get(name, AS_GIVEN)} for name in conventions],
        "looks": _looks(sources),
        "start": {
            "flops": opened_at or float(np.sqrt(flops[0] * flops[1])),
            "form": next(iter(forms), ""),
            "convention": next(iter(conventions), ""),
        },
        "budgets": budgets,
        "slider": [float(np.log10(budget)) for budget in budgets],
        "flops": flops,
        "params": _ends(domains, "params"),
        "tokens": _ends(domains, "tokens"),
        "thinned": step,
    }


def draw_step(sources: Sequence[Source]) -> int:
    """Return every how many draws one is kept, so that the page stays small: 1 keeps all."""
    sizes = [law.base.draws.nbytes for source in sources for law in source.laws]
    sizes += [law.draws.nbytes + law.scatter_draws.nbytes for source in sources for law in source.joint]
    return max(1, int(np.ceil(TEXT_PER_BYTE * sum(sizes) / MOST_DRAW_BYTES)))


def _names(sources: Sequence[Source], of: str) -> list[str]:
    """Return the forms or conventions of all laws in order of first appearance."""
    return list(dict.fromkeys(getattr(law.base, of) for source in sources for law in source.laws))


def _looks(sources: Sequence[Source]) -> dict[str, int]:
    """Return the place in the sequence of colours and marks of every row: one a corpus, in either source."""
    corpora = _names(sources, "group")
    groups = [(s, law.base.group) for s, source in enumerate(sources) for law in source.laws]
    keys = {f"{s}:c:{corpus}": corpora.index(corpus) for s, corpus in groups}
    joint = [f"{s}:j:{j}" for s, source in enumerate(sources) for j in range(len(source.joint))]
    return keys | {key: len(corpora) + place for place, key in enumerate(joint)}


def _ends(domains: Sequence[Domain], column: str) -> list[float]:
    """Return the ends of what all laws were fitted to."""
    spans = [domain.span(column) for domain in domains]
    return [min(low for low, _ in spans), max(high for _, high in spans)]


def _source(source: Source, step: int) -> dict[str, Any]:
    return {
        "name": source.name,
        "laws": [_law(law, step) for law in source.laws],
        "joint": [_joint(law, step) for law in source.joint],
        "runs": [run for convention, table in source.runs.items() for run in _runs(table, convention)],
        "weighted": [
            found for convention, optima in source.weighted.items() for one in optima
            if (found := _weighted(one, convention)) is not None
        ],
    }  # fmt: skip


def _law(one: PageLaw, step: int) -> dict[str, Any]:
    law = one.base
    return {
        "corpus": law.group, "form": law.law, "convention": law.params_convention, "values": law.values.tolist(),
        "draws": _packed(law.draws[::step]), "domain": _domain(law.domain), "unit": law.data_unit,
        "perToken": law.data_per_token, "remark": one.remark,
    }  # fmt: skip


def _joint(law: FittedDataDependent, step: int) -> dict[str, Any]:
    measured = sorted(law.complexity.values())
    draws = law.draws[:0] if law.no_interval else law.draws
    scatter = law.scatter_draws[: len(draws)]
    return {
        "measure": measure_in_words(law.measure), "convention": law.params_convention, "unit": law.data_unit,
        "functions": law.functions.ravel().tolist(), "draws": _packed(draws[::step]),
        "scatter": _packed(scatter[::step]), "logarithmic": law.scale.logarithmic.tolist(),
        "origin": law.origin.tolist(), "domain": _domain(law.domain), "perToken": _per_token(law),
        "corpora": dict(sorted(law.complexity.items(), key=lambda pair: pair[1])),
        "range": [measured[0], measured[-1]], "start": float(np.median(measured)),
        "remark": f"No intervals: {law.no_interval}." if law.no_interval else "",
    }  # fmt: skip


def _per_token(law: FittedDataDependent) -> float:
    return (law.bytes_per_token or 1.0) if law.data_unit == "bytes" else 1.0


def _packed(numbers: Floats) -> str:
    """Return numbers as base64 of little-endian doubles, row by row."""
    return base64.b64encode(np.ascontiguousarray(numbers, dtype="<f8").tobytes()).decode()


def _domain(domain: Domain) -> dict[str, list[float]]:
    return {name: list(domain.ranges[name]) for name in ("params", "tokens", "flops") if name in domain.ranges}


def _runs(table: Observations, convention: str) -> list[dict[str, Any]]:
    columns = {
        "run": table.run.tolist(), "corpus": table.corpus.tolist(), "params": table.params.tolist(),
        "tokens": table.tokens.tolist(), "flops": table.flops.tolist(), "loss": table.loss_nats.tolist(),
        "flags": [", ".join(flags) for flags in table.flags or [()] * len(table)],
        "stderr": [None] * len(table) if table.stderr is None else table.stderr.tolist(),
    }  # fmt: skip
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True), convention=convention) for row in rows]


def _weighted(one: BestSize, convention: str) -> dict[str, Any] | None:
    ratio = one.tokens_per_param
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return {"corpus": one.corpus, "convention": convention, "flops": one.flops,
            "ratio": [ratio.value, ratio.low, ratio.high]}  # fmt: skip
