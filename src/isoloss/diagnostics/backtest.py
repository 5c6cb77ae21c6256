"""Would the law have predicted right? Fit a part of the runs, predict the rest, and compare with what they scored.

Three ways to hold out, each a question that users ask: the largest budgets (does it extrapolate?), every size in turn
(does it know sizes it never saw?), every corpus in turn (does one law serve an unseen corpus?). Rivals are the other
laws of the registry and the run nearest in ln N and ln D, which any law should beat. An interval is honest where it
holds the held-out runs as often as it says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable, InputError, require_known
from isoloss.core.estimate import LEVEL
from isoloss.core.numbers import percent
from isoloss.core.plain_json import Plain, fields_json
from isoloss.core.progress import QUIET, Progress
from isoloss.fitting.checks import leave_out, root_mean_square
from isoloss.fitting.fitting import fit
from isoloss.fitting.prediction import run_intervals
from isoloss.laws.law import Floats
from isoloss.laws.registry import laws as registry
from isoloss.laws.settings import USUAL, FitSettings
from isoloss.runs.observations import Observations, of_group
from isoloss.runs.sizes import SAME_SIZE

Holdout = Literal["flops", "params", "corpus"]
HOLDOUTS: dict[Holdout, str] = {
    "flops": "the largest budgets", "params": "every size in turn", "corpus": "every corpus in turn",
}  # fmt: skip
"""Ways to hold out, each in words."""

NEAREST = "nearest run"  # a prediction without a law: the loss of the nearest run in ln N and ln D
LARGEST_SHARE = 0.25  # of the rows: the largest budgets, unless the caller says from which on
MOST_SIZES = 10  # more distinct sizes are held out in as many neighbouring groups
DRAWS = 200  # where the caller asks for none: the ends of a 95 % interval are then known to a tenth of its width


@dataclass(frozen=True, kw_only=True)
class HeldOut(Plain):
    """One law on one part of the runs that its fit did not see.

    `rmse` and `bias` are of ln L − ln L̂ (bias above zero: runs ended worse than predicted); `held` is the share of the
    runs inside their prediction intervals at `level`, and `half_width` the median half width of these in ln L: None
    without draws. `beyond` is the largest factor by which held-out FLOPs exceed those that the fit saw, 1 where none
    are known. Where no law could be fitted, `reason` says why and the numbers are None.
    """

    law: str
    part: str
    runs: int
    beyond: float
    rmse: float | None = None
    bias: float | None = None
    held: float | None = None
    half_width: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One law over all parts: root mean square error, bias and coverage over every held-out run, as in `HeldOut`."""

    law: str
    parts: int
    runs: int
    rmse: float
    bias: float
    held: float | None
    half_width: float | None


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """What became of predictions: `parts` a law and part, `scores` a law, the best first, over the parts all could do.

    `level` is the share of held-out runs that intervals should hold.
    """

    group: str
    holdout: Holdout
    level: float
    parts: tuple[HeldOut, ...]
    scores: tuple[Score, ...]

    def to_json(self) -> dict[str, Any]:
        """Return one element of `backtest`."""
        return fields_json(self) | {"sentences": list(self.sentences())}

    def sentences(self) -> tuple[str, ...]:
        """Return in plain English which law predicted best, and whether its intervals kept their promise."""
        whose = of_group(self.group)
        if not self.scores:
            return (f"No law could be fitted to the remaining runs{whose}, so there is nothing to compare.",)
        best = self.scores[0]
        beyond = max(part.beyond for part in self.parts)
        far = f", up to {beyond:.3g} times the compute that the fits saw" if beyond > 1.01 else ""
        said = (
            f"Of {len(self.scores)} predictors of {best.runs} held-out runs{whose} "
            f"({HOLDOUTS[self.holdout]}{far}), {best.law} is best: it misses ln L by {percent(best.rmse)} (root mean "
            "square)."
        )
        if best.held is None:
            return (said,)
        return said, f"Its {percent(self.level)} intervals contain {percent(best.held, 2)} of these runs."


def backtest(
    observations: Observations,
    *,
    holdout: Holdout = "flops",
    laws: Sequence[str] | None = None,
    rivals: Sequence[str] = (),
    flops_above: float | None = None,
    settings: FitSettings = USUAL,
    bootstrap: int = DRAWS,
    seed: int = 0,
    progress: Progress = QUIET,
) -> Backtest:
    """Return how well laws predict the runs that their fits never saw, and how often their intervals hold them.

    `holdout="flops"` keeps the budgets from `flops_above` on, by default the largest quarter of the rows; `"params"`
    every size in turn; `"corpus"` every corpus in turn, predicted by one law of all the others. `laws` are by default
    all of the registry that read columns of this table, with `rivals` of one's own. What `settings` fix holds for the
    laws that have such a parameter; every law has its own starts, and no floor counts. Flagged runs are left out of
    both sides. Raises BadTable where nothing can be held out, or nothing is left to fit.
    """
    used, _ = leave_out(observations, flags=settings.exclude_flags)
    settings = replace(settings, exclude_flags=(), starts="auto", floor="ignore")
    parts = list(_parts(used, holdout, flops_above))
    names = dict.fromkeys(laws or [name for name in (*registry, *rivals) if used.has(*registry[name].columns)])
    found = []
    with progress.task("backtest", total=len(parts) * len(names)) as task:
        for part, held in parts:
            seen, unseen = used.select(~held), used.select(held)
            found.append(_nearest(seen, unseen, part))
            for name in names:
                task.advance(0, detail=f"{name} without {part}")
                found.append(_by_law(name, seen, unseen, part, settings, bootstrap=bootstrap, seed=seed))
                task.advance(1)
    return Backtest(group=used.group, holdout=holdout, level=LEVEL, parts=tuple(found), scores=_scores(found))


def backtest_groups(observations: Observations, *, holdout: Holdout = "flops", **settings: Any) -> list[Backtest]:
    """Return a backtest of every corpus by itself, or one of all where corpora are held out; see `backtest`."""
    if holdout == "corpus":
        return [backtest(observations, holdout=holdout, **settings)]
    return [backtest(observations.where(corpus=corpus), holdout=holdout, **settings) for corpus in observations.corpora]


def _parts(used: Observations, holdout: Holdout, flops_above: float | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name and the mask of every part to hold out."""
    require_known(holdout, HOLDOUTS, what="holdout")
    if flops_above is not None and holdout != "flops":
        raise InputError(
            "--backtest-above (flops_above) works only with --backtest flops", fix="leave it out, or hold out 'flops'"
        )
    if holdout == "flops":
        threshold = _budget_of_the_largest(used) if flops_above is None else flops_above
        yield _checked(f"budgets above {threshold:.3g} FLOPs", used.flops > threshold, holdout)
    elif holdout == "params":
        yield from (_checked(name, mask, holdout) for name, mask in _sizes(used))
    else:
        yield from (_checked(name, used.corpus == name, holdout) for name in used.corpora)


def _checked(name: str, held: NDArray[np.bool_], holdout: Holdout) -> tuple[str, NDArray[np.bool_]]:
    if held.all() or not held.any():
        if holdout == "corpus":
            raise BadTable(
                "--backtest corpus needs at least two corpora", fix="name their column (on the command line: --group), "
                "or hold out another way: flops or params",
            )  # fmt: skip
        side = "nothing is left to fit" if held.all() else "no run is held out"
        others = " or ".join(other for other in HOLDOUTS if other != holdout)
        first = {
            "flops": "give a budget between those of the runs (on the command line: --backtest-above), or ",
            "params": "",
        }
        raise BadTable(f"{side} without {name}", fix=f"{first[holdout]}hold out another way: {others}")
    return name, held


def _budget_of_the_largest(used: Observations) -> float:
    """Return the budget above which the largest quarter of the rows lies, or as near to it as equal budgets allow."""
    budgets = np.sort(used.flops)
    if not len(budgets):
        raise BadTable("no rows", fix="use a table that also has runs without flags")
    first = min(int(np.ceil(len(budgets) * (1 - LARGEST_SHARE))), len(budgets) - 1)
    below = budgets[budgets < budgets[first] * (1 - 1e-9)]
    return float(below[-1]) if len(below) else float(budgets[first])


def _sizes(used: Observations) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield every size, or neighbouring sizes together where there are many."""
    order = np.sort(np.log(used.params))
    edges = order[1:][np.diff(order) > SAME_SIZE]
    if len(edges) + 1 > MOST_SIZES:
        edges = np.unique(np.quantile(order, np.arange(1, MOST_SIZES) / MOST_SIZES))
    kind = np.searchsorted(edges, np.log(used.params), side="right")
    for one in np.unique(kind):
        low, high = (used.params[kind == one].min(), used.params[kind == one].max())
        name = f"{low:.3g} parameters" if high / low < 1 + SAME_SIZE else f"{low:.3g} to {high:.3g} parameters"
        yield name, kind == one


def _by_law(
    name: str,
    seen: Observations,
    unseen: Observations,
    part: str,
    settings: FitSettings,
    *,
    bootstrap: int,
    seed: int,
) -> HeldOut:
    """Return how a law that saw one part predicts the other, or why it could not be fitted."""
    about: dict[str, Any] = {"law": name, "part": part, "runs": len(unseen), "beyond": _beyond(seen, unseen)}
    definition = registry[name]
    held = {key: value for key, value in settings.fixed.items() if key in definition.fixable}
    # Rivals meet rows that they cannot follow: what overflows on the way is reported at its end.
    with np.errstate(all="ignore"):
        try:
            law = fit(seen, law=name, settings=settings, fixed=held, bootstrap=bootstrap, seed=seed)
        except InputError as error:
            return HeldOut(**about, reason=error.reason)
        missed = law.residuals(unseen)
    if not np.isfinite(missed).all():
        return HeldOut(**about, reason=f"{name} does not predict a finite loss for {(~np.isfinite(missed)).sum()} runs")
    errors: dict[str, Any] = {"rmse": root_mean_square(missed), "bias": float(missed.mean())}
    if len(law.draws) < 2:
        return HeldOut(**about, **errors)
    with np.errstate(all="ignore"):
        found = run_intervals(law, {column: unseen.column(column) for column in definition.columns})
    return HeldOut(
        **about, **errors, held=float(found.hold(unseen.loss_nats).mean()),
        half_width=float(np.median(np.log(found.high / found.low)) / 2),
    )  # fmt: skip


def _nearest(seen: Observations, unseen: Observations, part: str) -> HeldOut:
    """Return the error of taking the loss of the nearest run, in ln N and ln D; in ln C where neither is known."""
    names = [name for name in ("params", "tokens") if seen.has(name)] or ["flops"]
    columns = [np.log(np.column_stack([table.column(name) for name in names])) for table in (seen, unseen)]
    distance = ((columns[1][:, None, :] - columns[0][None, :, :]) ** 2).sum(axis=2)
    missed: Floats = np.log(unseen.loss_nats) - np.log(seen.loss_nats[distance.argmin(axis=1)])
    return HeldOut(
        law=NEAREST, part=part, runs=len(unseen), beyond=_beyond(seen, unseen), rmse=root_mean_square(missed),
        bias=float(missed.mean()),
    )  # fmt: skip


def _beyond(seen: Observations, unseen: Observations) -> float:
    return max(1.0, float(unseen.flops.max() / seen.flops.max())) if seen.has("flops") else 1.0


def _scores(found: Sequence[HeldOut]) -> tuple[Score, ...]:
    """Return every law's score over the parts that all fitted laws could do, the best first."""
    able = [part.law for part in found if part.rmse is not None]
    names = list(dict.fromkeys(able))
    shared = {
        part.part for part in found if all(p.rmse is not None for p in found if p.part == part.part and p.law in names)
    }
    if not shared:
        return ()
    scores = (_score(name, [part for part in found if part.law == name and part.part in shared]) for name in names)
    return tuple(sorted(scores, key=lambda score: score.rmse))


def _score(name: str, parts: Sequence[HeldOut]) -> Score:
    runs = np.array([part.runs for part in parts])

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.average(known, weights=runs)) if len(known) == len(runs) else None

    square = mean([None if part.rmse is None else part.rmse**2 for part in parts])
    return Score(
        law=name, parts=len(parts), runs=int(runs.sum()), rmse=float(np.sqrt(square or 0.0)),
        bias=mean([part.bias for part in parts]) or 0.0, held=mean([part.held for part in parts]),
        half_width=mean([part.half_width for part in parts]),
    )  # fmt: skip
