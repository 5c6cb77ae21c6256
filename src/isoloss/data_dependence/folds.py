"""The first stage of comparing predictors: laws of all corpora, fitted together without a measure, sources left out.

Corpora scatter around one law and are drawn towards it as far as their runs leave them uncertain
(`isoloss.data_dependence.joint`). Everything that a measure is later asked to predict is left out here already, so that
the second stage can be repeated for every measure and every permutation of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import InputError
from isoloss.data_dependence._predictor_kernels import Folds, Scored, forms_by_left_out
from isoloss.data_dependence.coefficients import (
    COEFFICIENTS,
    FORMS,
    PUBLISHED_FORMS,
    SHARED_IN_LOGARITHMS,
    Floats,
    Form,
    Scale,
    log_balance,
    to_coefficients,
)
from isoloss.data_dependence.joint import JointFits, Rows, design_of, fit_jointly, log_loss, most_likely
from isoloss.fitting.fitting import fit
from isoloss.runs.observations import Observations

SHARED = Scale(logarithmic=SHARED_IN_LOGARITHMS)
NOTHING_FOLLOWS = np.zeros(len(COEFFICIENTS), dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstStage:
    """All that the second stage needs. `sources` names the sources, `source_of` (J,) each corpus's.

    `folds` are the kernel's. `pooled` (J, 6) is what one law for all, learned without the corpus's source, says of its
    coefficients and balance; `proxy` (J, 6) the same after the corpus's cheapest run is seen. Those runs, `proxy_rows`
    (J,) of the table, are not among the `scored_rows`. `converged` is the share of folds whose fit did. `together` (5,)
    are the coefficients of the law of all rows, `observations` the fingerprint of the table.
    """

    observations: str
    rows: Rows
    together: Floats
    sources: tuple[str, ...]
    source_of: NDArray[np.int64]
    folds: Folds
    scored_rows: Rows
    pooled: Floats
    proxy: Floats
    proxy_rows: NDArray[np.int64]
    converged: float

    @property
    def scored(self) -> Scored:
        """The scored rows as the kernel takes them."""
        rows = self.scored_rows
        return Scored(x=rows.x, z=rows.z, y=rows.y, ends=np.array([0, *(part.stop for part in rows.slices)]))

    def errors(self, coefficients: Floats) -> Floats:
        """Return the root mean square of ln L − ln L̂ on every corpus, by its row of `coefficients` (J, 6)."""
        predicted, _ = log_loss(coefficients[None, :, : len(COEFFICIENTS)], self.scored_rows, jacobian=False)
        squares = (self.scored.y - predicted[0]) ** 2
        return np.asarray(np.sqrt(np.add.reduceat(squares, self.scored.ends[:-1]) / np.diff(self.scored.ends)))

    def forms_for(self, measure: Floats) -> dict[str, Form]:
        """Return the form of every coefficient that predicts left-out sources best, by the measure of corpora (J,)."""
        forms = np.zeros(len(COEFFICIENTS) + 1, dtype=np.int64)
        # As if an additional source were left out that no corpus belongs to.
        folds = self.folds._replace(inner=np.ascontiguousarray(self.folds.outer[None]))
        forms_by_left_out(np.ascontiguousarray(measure), folds, self.scored, published_forms(), forms)
        return {name: FORMS[forms[k]] for k, name in enumerate(COEFFICIENTS)}

    def by_source(self, values: Floats) -> Floats:
        """Return the mean over each source's corpora of values (…, J), leaving those that are NaN out."""
        known = np.isfinite(values)
        member = self.source_of == np.arange(len(self.sources))[:, None]
        total = np.where(known, values, 0.0) @ member.T
        count = known.astype(float) @ member.T
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count)


def first_stage(observations: Observations, *, flops: float, balance: Mapping[str, float]) -> FirstStage:
    """Return every fold's laws. `balance` maps corpora to their own ln(D*/N*) at `flops`, where they have one.

    Raises InputError where a corpus has one run alone.
    """
    rows = Rows.of(observations)
    named = observations.sources
    sources = tuple(dict.fromkeys(named[corpus] for corpus in rows.corpora))
    source_of = np.array([sources.index(named[corpus]) for corpus in rows.corpora])
    pairs: list[tuple[int, ...]] = [*((s,) for s in range(len(sources))), *combinations(range(len(sources)), 2)]
    weights = np.array([~np.isin(source_of[rows.corpus_of], pair) for pair in pairs], dtype=float)
    design = design_of(NOTHING_FOLLOWS, SHARED, np.zeros(len(source_of)))
    together = law_of_all(observations, rows)
    fits = fit_jointly(rows, design, SHARED.eta(together), weights=weights)
    log_data = np.log(flops / observations.flops_factor) + _log_data_per_token(observations, rows)
    learned = _with_balance(fits.eta, rows, log_data)
    weight = 1 / np.bincount(source_of)[source_of]
    proxy_rows = _cheapest(observations, rows)
    folds = Folds(
        outer=learned[: len(sources)],
        inner=_by_pair(learned, pairs, len(sources)),
        source_of=source_of,
        weight=weight,
        balance=np.array([balance.get(corpus, np.nan) for corpus in rows.corpora]),
    )
    pooled_eta = _pooled(fits.eta[: len(sources)], source_of, weight)
    proxy_eta = _conditioned(pooled_eta, fits, rows, source_of, proxy_rows)
    return FirstStage(
        observations=observations.fingerprint,
        rows=rows,
        together=together,
        sources=sources,
        source_of=source_of,
        folds=folds,
        scored_rows=_scored(rows, proxy_rows),
        pooled=_with_balance(pooled_eta, rows, log_data),
        proxy=_with_balance(proxy_eta, rows, log_data),
        proxy_rows=rows.index[proxy_rows],
        converged=float(fits.converged.mean()),
    )


def published_forms() -> NDArray[np.int64]:
    """Return the kernel's numbers of the published forms, the balance a line."""
    return np.array([*(FORMS.index(PUBLISHED_FORMS[name]) for name in COEFFICIENTS), 1])


def law_of_all(observations: Observations, rows: Rows) -> Floats:
    """Return the coefficients (5,) of the law of all rows together."""
    return to_coefficients(fit(observations, exclude_flags=()).values, rows.origin)


def _by_pair(learned: Floats, pairs: list[tuple[int, ...]], sources: int) -> Floats:
    inner = np.full((sources, sources, *learned.shape[1:]), np.nan)
    for number, pair in enumerate(pairs):
        if len(pair) == 2:
            inner[pair[0], pair[1]] = inner[pair[1], pair[0]] = learned[number]
    return inner


def _pooled(eta: Floats, source_of: NDArray[np.int64], weight: Floats) -> Floats:
    """Return, for every corpus, the mean over the other sources' corpora (J, 5), sources weighing alike."""
    outside = (source_of[:, None] != source_of) * weight
    outside /= outside.sum(axis=1, keepdims=True)
    # The mean of E itself, not of its bent scale, as the second stage takes it.
    level = np.where(SHARED_IN_LOGARITHMS, eta, SHARED.coefficients(eta))[source_of]
    mean = np.einsum("ij,ijk->ik", outside, level)
    return SHARED.eta(np.where(SHARED_IN_LOGARITHMS, np.exp(mean), mean))


def _log_data_per_token(observations: Observations, rows: Rows) -> Floats:
    """Return the logarithm of the units of D in a token (J,): FLOPs count tokens, a law in bytes counts bytes."""
    if observations.data_unit == "tokens":
        return np.zeros(len(rows.corpora))
    ratios = [observations.where(corpus=corpus).mean_bytes_per_token or 1.0 for corpus in rows.corpora]
    return np.log(ratios)


def _with_balance(eta: Floats, rows: Rows, log_data: Floats) -> Floats:
    """Return coefficients and balance (…, J, 6) of η (…, J, 5)."""
    theta = SHARED.coefficients(eta)
    return np.concatenate([theta, log_balance(theta, rows.origin, log_flops=log_data)[..., None]], axis=-1)


def _cheapest(observations: Observations, rows: Rows) -> NDArray[np.int64]:
    """Return the place among `rows` of every corpus's run of least FLOPs."""
    flops = observations.flops[rows.index]
    return np.array([part.start + int(flops[part].argmin()) for part in rows.slices])


def _conditioned(
    mean: Floats, fits: JointFits, rows: Rows, source_of: NDArray[np.int64], proxy_rows: NDArray[np.int64]
) -> Floats:
    """Return η (J, 5) of every corpus after its one run: the most likely given how the other corpora scatter.

    With σ and τ of the fold without the corpus's source.
    """
    return most_likely(
        rows.taken(proxy_rows), SHARED, mean, scatter=fits.scatter[source_of], noise=fits.noise[source_of]
    )


def _scored(rows: Rows, proxy_rows: NDArray[np.int64]) -> Rows:
    """Return the rows that do not serve as the proxy."""
    lengths = [part.stop - part.start - 1 for part in rows.slices]
    if min(lengths) < 1:
        poorest = rows.corpora[int(np.argmin(lengths))]
        raise InputError(
            f"corpus {poorest!r} has only one run, which is the proxy; no other run is left to predict",
            fix="leave the corpus out, or add runs",
        )
    return rows.taken(np.setdiff1d(np.arange(len(rows.y)), proxy_rows))
