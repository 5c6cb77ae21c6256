"""A law as a plan goes by it: how it splits a budget, and columns that are held while it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from isoloss.core.errors import InputError, NotApplicable
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.pooled_split import PooledSplit
from isoloss.fitting.engine import best_ends, find_optimum, pose, starting_points
from isoloss.fitting.estimated import EstimatedLaw
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import open_law
from isoloss.laws.repeated import Repeated
from isoloss.optima.best_size import BestSize
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.runs.observations import observations

GRID = 8  # sizes and lengths at which two forms are made to agree


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanLaw:
    """A law of one corpus, `base`, with what decides its best split.

    `given` are further columns that the form reads. `pooled` is the best split by several forms, which then decides in
    place of the form's own; `endless` the law before it knew how many unique tokens there are.
    """

    base: EstimatedLaw
    given: Mapping[str, float] = field(default_factory=dict)
    pooled: "_PooledDraws | _SeenDraws | None" = None
    endless: EstimatedLaw | None = None

    @classmethod
    def of_fit(cls, law: EstimatedLaw) -> "PlanLaw":
        """Return what a law says by itself. Raises NotApplicable for one that does not split compute.

        Raises Unidentified where its rows do not tell parameters and tokens apart.
        """
        if not law.definition.has_frontier():
            raise NotApplicable(
                f"{law.law} does not split compute into parameters and tokens",
                fix="plan with a law that reads both, such as chinchilla",
            )
        law.require_apart()
        return cls(base=law)

    @classmethod
    def at_measure(cls, joint: FittedDataDependent, corpus: CorpusStatistics) -> "PlanLaw":
        """Return the data-dependent law at a corpus's own measure. Raises InputError where it was not measured.

        Draws hold the uncertainty of the functions and of the measure, and how one more corpus deviates from them.
        """
        if joint.measure not in corpus.measures:
            raise InputError(
                f"the law follows {joint.measure}, and {corpus.name} was not measured by it",
                fix=f"measure it: open_corpus(…, measures=[{joint.measure!r}])",
            )
        measured = corpus.measures[joint.measure]
        return cls._pooled(joint, joint.at(measured, corpus=corpus.name), measured=measured.value, known=None)

    @classmethod
    def of_known(cls, joint: FittedDataDependent, corpus: str) -> "PlanLaw":
        """Return the data-dependent law of a corpus that it was fitted on."""
        return cls._pooled(joint, joint.of(corpus), measured=joint.complexity[corpus], known=corpus)

    @classmethod
    def _pooled(cls, joint: FittedDataDependent, law: EstimatedLaw, *, measured: float, known: str | None) -> "PlanLaw":
        pooled = None if joint.pooled is None else _PooledDraws.of(joint, len(law.draws), measured, known)
        return replace(cls.of_fit(law), pooled=pooled)

    def splitting_as(self, best: BestSize) -> "PlanLaw":
        """Return the law with the split that several forms see inside its runs, at that budget alone.

        FLOPs then count as those of the runs do at that size, which need not be one multiple of N · D everywhere.
        """
        assert best.params is not None, "asked of optima inside the runs"
        assert best.tokens is not None, "asked of optima inside the runs"
        assert best.log_ratio_draws is not None, "an optimum inside has draws"
        drawn = np.resize(best.log_ratio_draws, len(self.base.draws))
        params, tokens = best.params.value, best.tokens.value
        factor = best.flops * self.base.data_per_token / (6 * params * tokens)
        return replace(
            self, base=replace(self.base, flops_factor=factor),
            pooled=_SeenDraws(np.concatenate([[np.log(tokens / params)], drawn])),
        )  # fmt: skip

    def in_form(self, form: str) -> "PlanLaw":
        """Return the law of another form that agrees with this one where its runs are.

        Fitted to this one's losses, draw by draw, on a grid over the parameters and data of its runs: what the two
        say of budgets beyond is the difference that the form makes.
        """
        sizes, lengths = (np.geomspace(*self.base.domain.span(name), GRID) for name in ("params", "tokens"))
        params, tokens = (each.ravel() for each in np.meshgrid(sizes, lengths, indexing="ij"))
        losses = np.stack(
            [self.loss(self.constant(n), self.constant(d)) for n, d in zip(params, tokens, strict=True)], 1
        )
        definition = open_law(form)
        table = observations(params=params, tokens=tokens, loss_nats=losses[0])
        problem = pose(table, law=definition, objective="gaussian")
        found = find_optimum(problem, starting_points(problem, "auto"))
        points = np.tile(np.vstack([found.free, found.others]), (len(losses), 1, 1))
        ends = best_ends(problem, points, targets=np.log(losses))
        values = problem.law.to_values(ends.free, problem.origin)
        return replace(self, base=_with_values(self.base, definition, values), pooled=None)

    @property
    def form(self) -> str:
        """The name of the form: as registered, or `module:Name`."""
        return self.base.law

    def constant(self, value: float) -> Floats:
        """Return one value for the law and each draw."""
        return np.full(1 + len(self.base.draws), value)

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return L of the law and of each draw, each at its own point."""
        return self.base.losses(params=params, tokens=tokens, **self.given)

    def best_params(self, log_flops: Floats) -> Floats:
        """Return ln N of the best split of the law and of each draw, each at its own budget; NaN where none is.

        With a pooled split it is that one. Repeated data move it as much as they move the split of the law itself, not
        of its draws: those are drawn for losses, and their splits scatter far more than those of corpora do.
        """
        if self.pooled is None:
            return self.base.best_params(log_flops, **self.given)
        log_ratio = self.pooled.log_ratio(log_flops)
        best = 0.5 * (log_flops + np.log(self.base.data_per_flop() / 6) - log_ratio)
        if self.endless is None:
            return np.asarray(best)
        repeated, endless = (
            replace(law, draws=np.tile(law.values, (len(law.draws), 1))) for law in (self.base, self.endless)
        )
        moved = repeated.best_params(log_flops, **self.given) - endless.best_params(log_flops)
        # A law that has no split of its own moves none.
        return np.asarray(best + np.where(np.isfinite(moved), moved, 0.0))

    def log_tokens(self, log_flops: Floats, log_params: Floats) -> Floats:
        """Return ln D that a budget pays for at a size."""
        return np.asarray(log_flops + np.log(self.base.data_per_flop() / 6) - log_params)

    def log_ratio(self, flops: float) -> Floats:
        """Return ln(D*/N*) at a budget, of the law and of each draw."""
        log_flops = self.constant(float(np.log(flops)))
        log_params = self.best_params(log_flops)
        return np.asarray(self.log_tokens(log_flops, log_params) - log_params)

    def run_loss(self, params: float, tokens: float) -> Estimate:
        """Return the loss of one run at a point: the law's value, and an interval with a run's noise in it."""
        return self.base.predict_run(params=params, tokens=tokens, **self.given).run


def _with_values(law: EstimatedLaw, definition: type[Law], every: Floats) -> EstimatedLaw:
    """Return a law of another form: `every` (1 + draws, parameters) its values and draws, the values first."""
    params = {
        name: Estimate.from_draws(drawn[1:], value=float(drawn[0]))
        for name, drawn in zip(definition.parameters, every.T, strict=True)
    }
    return replace(law, definition=definition, params=params, draws=every[1:])


@dataclass(frozen=True, eq=False)
class _SeenDraws:
    """ln(D*/N*) at the one budget that is asked of (1 + draws,)."""

    ratios: Floats
    origin = "several laws, inside the runs"

    def log_ratio(self, log_flops: Floats) -> Floats:
        """Return ln(D*/N*) of the law and of each draw."""
        return self.ratios[: len(log_flops)]


@dataclass(frozen=True, kw_only=True, eq=False)
class _PooledDraws:
    """A pooled split with its steps (1 + draws, 2): of one more corpus, or of the `known` one."""

    split: PooledSplit
    steps: Floats
    measure: str
    known: str | None

    @property
    def origin(self) -> str:
        """Where the split comes from."""
        of = "pooled from" if not self.split.along else f"that of its {self.measure} among"
        return f"{of} {len(self.split.corpora)} corpora, each by several laws"

    @classmethod
    def of(cls, joint: FittedDataDependent, draws: int, measured: float, known: str | None) -> "_PooledDraws":
        assert joint.pooled is not None, "asked of laws with a pooled split"
        steps = joint.pooled.steps(draws, stream(0, "pooled split", joint.observations, known or ""))
        return cls(
            split=joint.pooled.at(measured), steps=steps, measure=joint.measure,
            known=known if known in joint.pooled.corpora else None,
        )  # fmt: skip

    def log_ratio(self, log_flops: Floats) -> Floats:
        """Return ln(D*/N*) of the law and of each draw."""
        if self.known is None:
            return self.split.log_ratio(log_flops, self.steps)
        return self.split.log_ratio_of(self.known, log_flops, self.steps)


# Muennighoff et al. 2023, arXiv:2305.16264: half-lives of repeated tokens and of excess parameters.
PUBLISHED_HALF_LIVES = (15.387756, 5.309743)
# What their 182 runs really say: quantiles of the logarithms over 2,000 bootstrap refits (Huber, δ = 1e-3, the other
# parameters as published). R_D* has no upper end: the fit's own bound of 10,000 lies inside the interval. The two trade
# against each other (correlation -.89), so that a draw takes opposite quantiles.
LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)
LOG_R_D = (1.67, 2.79, 4.29, 7.11, 9.21)
LOG_R_N = (-1.30, -0.34, 0.54, 1.63, 2.94)
REPEATABLE = (Chinchilla.name,)
"""Forms whose terms in N and D the law of repeated data extends."""


def with_repetition(law: PlanLaw, *, unique_tokens: float) -> PlanLaw:
    """Return a law of Chinchilla's form that knows how many unique tokens there are.

    Half-lives of repetition are as published, their draws spread over what the published runs allow.
    """
    share = stream(0, "half-lives of repetition", law.base.observations).uniform(size=len(law.base.draws))
    drawn = np.exp(np.column_stack([np.interp(share, LEVELS, LOG_R_D), np.interp(1 - share, LEVELS, LOG_R_N)]))
    every = np.column_stack([law.base.every, np.vstack([PUBLISHED_HALF_LIVES, drawn])])
    return replace(
        law, base=_with_values(law.base, Repeated, every), given={"unique_tokens": unique_tokens}, endless=law.base
    )
