"""A law as a plan reads it: its form, its values and draws, its noise and where it was fitted, whatever fitted it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from isoloss.core.errors import InputError, NotApplicable
from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.data_dependent import FittedDataDependent
from isoloss.data_dependence.pooled_split import PooledSplit
from isoloss.fitting.domain import Domain
from isoloss.fitting.engine import best_ends, find_optimum, pose, starting_points
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.prediction import one_run
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import law_name, open_law
from isoloss.laws.repeated import Repeated
from isoloss.optima.best_size import BestSize
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.runs.observations import observations

GRID = 8  # sizes and lengths at which two forms are made to agree


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanLaw:
    """A law of one corpus: `values` (1 + draws, p), the law first, and `noise` (draws, 2), point and trunk, of ln L.

    `definition` is the class of its form. `data_per_token` is how many units of D a token is, 1 where D counts tokens:
    C = 6 N D · flops_factor / data_per_token. `given` are further columns that the form reads. `runs` is how
    many were fitted, `identity` whose. `pooled` is the best split by several forms, which then decides in place of the
    form's own; `endless` the law before it knew how many unique tokens there are.
    """

    definition: type[Law]
    corpus: str
    values: Floats
    noise: Floats
    domain: Domain
    params_convention: str
    data_unit: str
    data_per_token: float
    runs: int
    identity: str
    given: Mapping[str, float] = field(default_factory=dict)
    pooled: "_PooledDraws | _SeenDraws | None" = None
    endless: "PlanLaw | None" = None
    flops_factor: float = 1.0

    @classmethod
    def of_fit(cls, law: FittedLaw) -> "PlanLaw":
        """Return what a fitted law says. Raises NotApplicable for one that does not split compute.

        Raises Unidentified where its rows do not tell parameters and tokens apart.
        """
        if not law.definition.has_frontier():
            raise NotApplicable(
                f"{law.law} does not split compute into parameters and tokens",
                fix="plan with a law of both, as chinchilla",
            )
        law.require_apart()
        return cls(
            definition=law.definition, corpus=law.group, values=np.vstack([law.values, law.draws]), noise=law.noise,
            domain=law.domain, params_convention=law.params_convention, data_unit=law.data_unit,
            data_per_token=law.bytes_per_token or 1.0, runs=law.rows_used, identity=law.observations,
            flops_factor=law.flops_factor,
        )  # fmt: skip

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
        return cls._of_joint(joint, joint.values_at(measured), corpus.name, measured=measured.value, known=None)

    @classmethod
    def of_known(cls, joint: FittedDataDependent, corpus: str) -> "PlanLaw":
        """Return the data-dependent law of a corpus that it was fitted on, shrunk towards its measure's.

        Its draws are those of the functions at that measure, moved to its own coefficients.
        """
        own = joint.values_of(corpus)
        drawn = joint.values_at(joint.complexity[corpus])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            moved = np.where(drawn[0] > 0, drawn[1:] * (own / drawn[0]), own)
        measured = joint.complexity[corpus]
        return cls._of_joint(joint, np.vstack([own, moved]), corpus, measured=measured, known=corpus)

    @classmethod
    def _of_joint(
        cls, joint: FittedDataDependent, values: Floats, corpus: str, *, measured: float, known: str | None
    ) -> "PlanLaw":
        joint.require_apart()
        pooled = None if joint.pooled is None else _PooledDraws.of(joint, len(values) - 1, measured, known)
        return cls(
            definition=Chinchilla, corpus=corpus, values=values,
            noise=np.tile([joint.noise, 0.0], (len(values) - 1, 1)), domain=joint.domain,
            params_convention=joint.params_convention, data_unit=joint.data_unit,
            data_per_token=joint.bytes_per_token or 1.0, runs=joint.rows_used, identity=joint.observations,
            pooled=pooled,
            flops_factor=joint.flops_factor,
        )  # fmt: skip

    def splitting_as(self, best: BestSize) -> "PlanLaw":
        """Return the law with the split that several forms see inside its runs, at that budget alone."""
        assert best.tokens_per_param is not None, "asked of optima inside the runs"
        assert best.log_ratio_draws is not None, "an optimum inside has draws"
        drawn = np.resize(best.log_ratio_draws, len(self.values) - 1)
        return replace(self, pooled=_SeenDraws(np.concatenate([[np.log(best.tokens_per_param.value)], drawn])))

    def in_form(self, form: str) -> "PlanLaw":
        """Return the law of another form that agrees with this one where its runs are.

        Fitted to this one's losses, draw by draw, on a grid over the parameters and data of its runs: what the two
        say of budgets beyond is the difference that the form makes.
        """
        domain = self.domain
        sizes = np.geomspace(domain.params_low, domain.params_high, GRID)
        lengths = np.geomspace(domain.tokens_low, domain.tokens_high, GRID)
        params, tokens = (each.ravel() for each in np.meshgrid(sizes, lengths, indexing="ij"))
        losses = np.stack(
            [self.loss(self.constant(n), self.constant(d)) for n, d in zip(params, tokens, strict=True)], 1
        )
        definition = open_law(form)
        problem = pose(
            observations(params=params, tokens=tokens, loss_nats=losses[0]), law=definition, objective="gaussian",
            delta=1.0, weights=np.ones(len(params)), fixed={},
        )  # fmt: skip
        found = find_optimum(problem, starting_points(problem, "auto"))
        points = np.tile(np.vstack([found.free, found.others]), (len(losses), 1, 1))
        ends = best_ends(problem, points, targets=np.log(losses))
        values = problem.law.to_values(ends.free, problem.origin)
        return replace(self, definition=definition, values=values, pooled=None)

    @property
    def form(self) -> str:
        """The name of the form: as registered, or `module:Name`."""
        return law_name(self.definition)

    @property
    def data_per_flop(self) -> float:
        """6 N D of one FLOP, D in the law's unit."""
        return self.data_per_token / self.flops_factor

    def constant(self, value: float) -> Floats:
        """Return one value for the law and each draw."""
        return np.full(len(self.values), value)

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return L of the law and of each draw, each at its own point."""
        given = {name: np.asarray(value, dtype=np.float64) for name, value in self.given.items()}
        columns = self.definition.complete({"params": params, "tokens": tokens, **given})
        with np.errstate(invalid="ignore", over="ignore"):  # a draw without an answer has NaN, and keeps it
            return np.asarray(self.definition.loss(self.values, **columns))

    def best_params(self, log_flops: Floats) -> Floats:
        """Return ln N of the best split of the law and of each draw, each at its own budget; NaN where none is.

        With a pooled split it is that one. Repeated data move it as much as they move the split of the law itself, not
        of its draws: those are drawn for losses, and their splits scatter far more than those of corpora do.
        """
        if self.pooled is None:
            return self._own_best(log_flops)
        log_ratio = self.pooled.log_ratio(log_flops)
        best = 0.5 * (log_flops + np.log(self.data_per_flop / 6) - log_ratio)
        if self.endless is None:
            return np.asarray(best)
        repeated, endless = (
            replace(law, values=np.tile(law.values[0], (len(law.values), 1))) for law in (self, self.endless)
        )
        moved = repeated._own_best(log_flops) - endless._own_best(log_flops)
        # A law that has no split of its own moves none.
        return np.asarray(best + np.where(np.isfinite(moved), moved, 0.0))

    def _own_best(self, log_flops: Floats) -> Floats:
        given = {name: np.asarray(value, dtype=np.float64) for name, value in self.given.items()}
        found = self.definition.log_optimum(self.values, log_flops=log_flops + np.log(self.data_per_flop), **given)
        return np.asarray(found)

    def log_tokens(self, log_flops: Floats, log_params: Floats) -> Floats:
        """Return ln D that a budget pays for at a size."""
        return np.asarray(log_flops + np.log(self.data_per_flop / 6) - log_params)

    def log_ratio(self, flops: float) -> Floats:
        """Return ln(D*/N*) at a budget, of the law and of each draw."""
        log_flops = self.constant(float(np.log(flops)))
        log_params = self.best_params(log_flops)
        return np.asarray(self.log_tokens(log_flops, log_params) - log_params)

    def run_loss(self, params: float, tokens: float) -> Estimate:
        """Return the loss of one run at a point: the law's value, and an interval with a run's noise in it."""
        value, *drawn = self.loss(self.constant(params), self.constant(tokens)).tolist()
        answered = np.isfinite(drawn)
        if answered.sum() < 2:
            return Estimate(value=value)
        low, high = one_run(np.array(drawn)[answered, None], self.noise[answered])
        return Estimate(value=value, low=float(low[0]), high=float(high[0]))


@dataclass(frozen=True, eq=False)
class _SeenDraws:
    """ln(D*/N*) at the one budget that is asked of (1 + draws,)."""

    ratios: Floats
    origin = "what several forms of the loss see inside the runs"

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
        return f"{of} {len(self.split.corpora)} corpora, each by several forms of the loss"

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
    share = stream(0, "half-lives of repetition", law.identity).uniform(size=len(law.values) - 1)
    drawn = np.exp(np.column_stack([np.interp(share, LEVELS, LOG_R_D), np.interp(1 - share, LEVELS, LOG_R_N)]))
    half_lives = np.vstack([PUBLISHED_HALF_LIVES, drawn])
    return replace(
        law, definition=Repeated, values=np.column_stack([law.values, half_lives]),
        given={"unique_tokens": unique_tokens}, endless=law,
    )  # fmt: skip
