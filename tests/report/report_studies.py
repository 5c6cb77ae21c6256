"""A study simulated from laws we chose: runs of Chinchilla's form, fitted by `isoloss.fitting`, ready to report."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.data_dependence.balance import BalanceVerdict, judge_balance
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.diagnostics.backtest import backtest
from isoloss.diagnostics.coverage import Coverage, simulate_coverage
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.optima.best_size import BestSize
from isoloss.optima.mean_split import MeanSplit
from isoloss.report.data import CorpusSummary, Curve, ReportData, RunRow
from isoloss.runs.observations import Observations, observations

# name: (kind, gzip ratio, (E, A, B, α, β))
CORPORA = {
    "cpp": ("text", 0.36, (0.75, 17.0, 92.0, 0.34, 0.42)),
    "python": ("text", 0.41, (0.90, 18.0, 65.0, 0.33, 0.40)),
    "english": ("text", 0.50, (1.30, 18.0, 21.0, 0.36, 0.34)),
    "pcfg easy": ("generated", 0.22, (0.97, 12.0, 139.0, 0.50, 0.60)),
    "pcfg medium": ("generated", 0.36, (0.90, 24.0, 71.0, 0.40, 0.44)),
    "pcfg hard": ("generated", 0.51, (0.40, 41.0, 134.0, 0.35, 0.45)),
}
SIZES = (12e3, 35e3, 1e5, 2.6e5)
TOKENS = (62.5e3, 125e3, 250e3, 500e3, 1e6)
HOSTILE = '<script>alert("owned")</script>'
NOISE = 0.004  # of ln loss, as between seeds of small models
BUDGET = 1.2e11  # within the compute of every model size's runs
BUDGETS = (BUDGET / 2, BUDGET, BUDGET * 2)


def simulated_runs(names: list[str]) -> Observations:
    """Return a grid of runs a corpus, some flagged: the largest model's shortest, and the easy grammar's late ones."""
    rows: dict[str, list] = {key: [] for key in ("params", "tokens", "loss_nats", "run", "trunk", "corpus", "flags")}
    for name in names:
        E, A, B, alpha, beta = CORPORA[name][2]
        noise = stream(0, "simulated runs", name)
        for size in SIZES:
            for tokens in TOKENS:
                loss = (E + A / size**alpha + B / tokens**beta) * np.exp(NOISE * noise.standard_normal())
                unconverged = tokens == TOKENS[0] and size == SIZES[-1]
                saturated = name == "pcfg easy" and size > SIZES[1] and tokens >= TOKENS[-2]
                rows["params"].append(size)
                rows["tokens"].append(tokens)
                rows["loss_nats"].append(float(loss))
                rows["run"].append(f"run1-{name}-{size:g}-{tokens:g}")
                rows["trunk"].append(f"trunk1-{name}-{size:g}")
                rows["corpus"].append(name)
                rows["flags"].append(("unconverged",) * unconverged + ("saturated",) * saturated)
    gzip = [CORPORA[name][1] for name in rows["corpus"]]
    return observations(**rows, stderr=[0.006] * len(gzip), complexity={"gzip": gzip}, params_convention="with_head")


def summary(name: str) -> CorpusSummary:
    kind, gzip, truth = CORPORA[name]
    generated = kind == "generated"
    return CorpusSummary(
        name=name,
        kind=kind,
        source="pcfg random (50, 500, 20, 15), seed 1" if generated else f"files: sources/{name}/**/*",
        tokens=2_000_000,
        heldout_tokens=131_072,
        vocab_size=501 if generated else 256,
        bytes_per_token=None if generated else 1.0,
        unigram_nats=3.1,
        measures={"gzip": Estimate(value=gzip, low=gzip - 0.008, high=gzip + 0.008)},
        floor=Estimate(value=truth[0], low=truth[0] - 0.004, high=truth[0] + 0.004) if generated else None,
    )


def run_rows(runs: Observations) -> list[RunRow]:
    floors = {name: truth[0] if kind == "generated" else None for name, (kind, _, truth) in CORPORA.items()}
    rows = [
        RunRow(
            run=str(runs.run[i]),
            corpus=str(runs.corpus[i]),
            params=int(runs.params[i]),
            tokens=int(runs.tokens[i]),
            flops=float(runs.flops[i]),
            width=64,
            depth=2,
            heads=2,
            peak_lr=5e-3,
            batch_tokens=1024,
            status="finished",
            wall_seconds=float(runs.flops[i] / 2e11),
            loss_nats=float(runs.loss_nats[i]),
            stderr=0.006,
            excess_nats=float(runs.loss_nats[i]) - floor
            if (floor := floors[str(runs.corpus[i])]) is not None
            else None,
            excess_stderr=0.001 if floors[str(runs.corpus[i])] is not None else None,
            flags=runs.flags[i] if runs.flags else (),
        )
        for i in range(len(runs))
    ]
    broken = replace(rows[0], run="run1-broken", status="diverged", loss_nats=None, stderr=None, flags=(),
                     excess_nats=None, excess_stderr=None)  # fmt: skip
    return [*rows, broken]


def training_curve(name: str, size: float) -> Curve:
    E, A, B, alpha, beta = CORPORA[name][2]
    tokens = np.arange(1, 489) * 2048.0
    noise = stream(0, "simulated curve", name, f"{size:g}").standard_normal(len(tokens))
    loss = (E + A / size**alpha + B / tokens**beta + 3 * np.exp(-tokens / 2e4)) * np.exp(0.03 * noise)
    return Curve(corpus=name, params=size, tokens=tokens, train_nats=loss)


def simulated_study(names: list[str], *, bootstrap: int = 100) -> ReportData:
    """Return the report's data of a study on `names`, every law really fitted."""
    runs = simulated_runs(names)
    laws = {name: fit(runs.where(corpus=name), bootstrap=bootstrap, seed=1) for name in names}
    unfiltered = {name: fit(runs.where(corpus=name), bootstrap=bootstrap, seed=1, exclude_flags=()) for name in names}
    return ReportData(
        title="laptop",
        question="Does the compute-optimal balance move as corpora get harder to compress?",
        created=datetime(2026, 11, 21, tzinfo=UTC),
        version="0.1.0",
        provenance={"study": "studies/laptop.toml", "seed": "17"},
        seconds=312.0,
        budget_flops=BUDGET,
        corpora=[summary(name) for name in names],
        observations=runs,
        runs=run_rows(runs),
        laws=laws,
        laws_unfiltered=unfiltered,
        balance=judged(laws) if bootstrap else (),
        coverage={name: coverage(law, runs) for name, law in laws.items()} if bootstrap else {},
        backtest=[backtest(runs.where(corpus=name), laws=["chinchilla"], bootstrap=20) for name in laws]
        if bootstrap
        else (),
        predictor_comparisons=[
            compare_predictors(runs.where(corpus=own), ["gzip"], kind=kind, flops=BUDGET)
            for kind in ("text", "generated")
            if len(own := [name for name in names if CORPORA[name][0] == kind]) > 2
        ],
        flag_meanings={"saturated": "the loss is within its error of the floor."},
        optima=[best_split(law, flops) for law in laws.values() for flops in BUDGETS] if bootstrap else (),
        curves=[training_curve(name, size) for name in names for size in SIZES],
    )


def judged(laws: dict[str, FittedLaw]) -> list[BalanceVerdict]:
    complexity = {name: summary(name).measures["gzip"] for name in laws}
    by_kind = {kind: [law for name, law in laws.items() if CORPORA[name][0] == kind] for kind in ("text", "generated")}
    return [
        judge_balance([mean_split(law) for law in own], complexity, kind=kind) for kind, own in by_kind.items() if own
    ]


def best_split(law: FittedLaw, flops: float = BUDGET) -> BestSize:
    """Return what a law says of a budget, as all forms together would say it."""
    best = law.optimum(flops)
    ratio = Estimate(**{key: None if end is None else float(np.exp(end)) for key, end in (
        ("value", best.log_ratio.value), ("low", best.log_ratio.low), ("high", best.log_ratio.high))})  # fmt: skip
    return BestSize(corpus=law.group, flops=flops, inside=True, reason="", params=best.params, tokens=best.tokens,
                    tokens_per_param=ratio, loss=best.loss)  # fmt: skip


def mean_split(law: FittedLaw) -> MeanSplit:
    """Return what a law says of one budget, as the mean split of its corpus."""
    found, draws = law.log_ratio(BUDGET), law.log_ratio_draws(BUDGET)
    return MeanSplit(
        corpus=law.group, log_ratio=found, sd=float(np.sqrt(found.variance)), draws=draws, reason="",
        budgets=(BestSize(corpus=law.group, flops=BUDGET, inside=True, reason=""),),
    )  # fmt: skip


def coverage(law: FittedLaw, runs: Observations) -> Coverage:
    return simulate_coverage(law, runs.where(corpus=law.group), simulations=20, draws=40)


def renamed(data: ReportData, old: str, new: str) -> ReportData:
    """Return the study with one corpus called otherwise, everywhere."""
    runs = data.observations
    corpus = np.array([new if name == old else name for name in runs.corpus.tolist()])
    laws = {new if name == old else name: law for name, law in data.laws.items()}
    return replace(
        data,
        observations=replace(runs, corpus=corpus),
        corpora=[replace(c, name=new) if c.name == old else c for c in data.corpora],
        runs=[replace(row, corpus=new) if row.corpus == old else row for row in data.runs],
        curves=[replace(curve, corpus=new) if curve.corpus == old else curve for curve in data.curves],
        laws=laws,
        laws_unfiltered={},
        optima=[replace(one, corpus=new) if one.corpus == old else one for one in data.optima],
        coverage={},
    )


def without_runs(data: ReportData) -> ReportData:
    """Return the study as it is when no run ended with a loss."""
    nothing = observations(params=[], tokens=[], loss_nats=[], corpus=[])
    return replace(
        data,
        observations=nothing,
        runs=[replace(row, status="failed", loss_nats=None, stderr=None) for row in data.runs],
        laws={},
        laws_unfiltered={},
        balance=(),
        coverage={},
        curves=(),
        no_law={"python": "no run ended with a loss; see the errors in the archive"},
    )
