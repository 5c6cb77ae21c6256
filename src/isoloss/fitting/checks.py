"""What a fit refuses, leaves out, and warns of at its optimum: every check with its remedy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import BadTable
from isoloss.core.estimate import LEVEL
from isoloss.core.numbers import listed, percent, some
from isoloss.fitting.domain import LawWarning
from isoloss.fitting.engine import CONVERGED, Optimum, Problem, linearise, solve
from isoloss.fitting.evidence import Exclusion
from isoloss.fitting.table_checks import in_words
from isoloss.laws.law import Floats, Law
from isoloss.runs.observations import NO_GROUP, Observations

# Runs with these flags say more about their training than about the law: left out, and listed.

# Thresholds of warnings. Each is a judgement, stated here and in the message.
LARGE_RMSE = 0.05  # of ln L: good grids fit to .3–3 %, unconverged ones to 10–60 % (the gzip paper's runs)
PLATEAU = 0.95  # of ln of the vocabulary, or of the highest loss: rows above it are "still where training started"
LEARNT = 0.9  # of ln of the vocabulary: where no loss is below, the corpus may have nothing to teach
PLATEAU_SPAN = 4.0  # without a vocabulary: … although their tokens or parameters span this factor
FLAT_CONDITION = 300.0  # 33 on the 240 Chinchilla rows, 8–36 on the gzip paper's
FEW_STARTS = 0.02


def _until_then(constant: str) -> str:
    """Return which law can be fitted while a column is constant, as the end of a sentence."""
    alone = {"tokens": "offset_params", "params": "offset_tokens"}.get(constant)
    return f"; until then fit a law of the other alone (--law {alone})" if alone else ""


def leave_out(observations: Observations, *, flags: Sequence[str]) -> tuple[Observations, tuple[Exclusion, ...]]:
    """Return the table without runs that carry any of `flags`, and the list of those runs."""
    if observations.flags is None:
        return observations, ()
    reasons = [", ".join(flag for flag in of_row if flag in flags) for of_row in observations.flags]
    excluded = tuple(
        Exclusion(row=int(row), run=str(run), reason=f"flagged {reason}")
        for row, run, reason in zip(observations.rows, observations.run, reasons, strict=True)
        if reason
    )
    return observations.select(np.array([not reason for reason in reasons], dtype=bool)), excluded


def refuse_unfittable(
    observations: Observations, *, law: type[Law], fixed: Mapping[str, float], excluded: Sequence[Exclusion] = ()
) -> None:
    """Raise BadTable, with the remedy, where the rows cannot determine the law whatever their losses are."""
    read = {name: observations.column(name) for name in law.columns}
    needed = len(law.parameters) - len(fixed) + 1
    left_out = f" ({len(excluded)} flagged runs are left out)" if excluded else ""
    group = _group(observations)
    if len(observations) < needed:
        raise BadTable(
            f"{len(observations)} rows{left_out}, expected at least {needed}: one more than the {needed - 1} "
            f"parameters of {law.name}",
            place=group,
            fix="add runs, merge groups, or fit a law with fewer parameters",
        )
    points = np.unique(np.column_stack(list(read.values())), axis=0)
    if len(points) < needed:
        columns = listed([*map(in_words, law.columns)])
        raise BadTable(
            f"{len(observations)} rows but only {len(points)} distinct combinations of {columns}, expected "
            f"at least {needed}",
            place=group,
            fix="add runs at other sizes and token counts; repeats of a run only measure noise",
        )
    for name, column in read.items():
        if name not in law.may_be_constant and len(np.unique(column)) == 1:
            raise BadTable(
                f"every row has the same {in_words(name)}, {column[0]:g}",
                place=group,
                fix=f"add runs with other {in_words(name)}: {law.name} needs them to vary{_until_then(name)}",
            )
    if len(np.unique(observations.loss_nats)) == 1:
        raise BadTable(
            f"every row has the same loss, {observations.loss_nats[0]:g}",
            place=group,
            fix="check that the loss column is the final held-out loss of each run",
        )


def fit_warnings(observations: Observations, problem: Problem, optimum: Optimum) -> tuple[LawWarning, ...]:
    """Return what the optimum gives reason to warn of."""
    return tuple(warning for check in _FIT_CHECKS for warning in check(observations, problem, optimum))


def _group(observations: Observations) -> str:
    """Return what the rows are, as the place of an error."""
    names = observations.corpora
    if len(names) > 1:
        return f"{len(names)} corpora"
    return "the table" if names in ([], [NO_GROUP]) else f"group {names[0]!r}"


def _not_converged(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    found = optimum.convergence
    if not found.converged:
        yield LawWarning(
            code="not_converged",
            message=f"at the best point found the gradient is {found.gradient_norm:.1e} of its scale, expected "
            f"below {CONVERGED:.0e}. Do not use these values; try starts='hoffmann', or a larger delta.",
        )
    if found.starts > 1 and found.starts_agreeing < max(2, FEW_STARTS * found.starts):
        yield LawWarning(
            code="few_agreeing_starts",
            message=f"{found.starts_agreeing} of {found.starts} starts ended at the best point: another optimum may "
            "be better. Compare with starts='hoffmann', and check whether the grid can determine this law.",
        )


def _bounds(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    others = [name for name in optimum.convergence.active_bounds if name != "E"]
    if others:
        yield LawWarning(
            code="bound_reached",
            message=f"{', '.join(others)} ended at a bound of the search: the rows do not follow this law. Leave out "
            "unconverged and saturated runs, or widen the grid.",
        )


def _irreducible_loss(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    if "E" not in problem.law.parameters:
        return
    index = problem.law.parameters.index("E")
    if problem.low[index] == problem.high[index]:
        return
    value = float(optimum.free[index])
    stderr = standard_error(problem, optimum.free, index)
    if value < 2 * stderr:
        doubt = "is at its bound" if np.isinf(stderr) else f"has a standard error of about {stderr:.2g}"
        yield LawWarning(
            code="E_not_identified",
            message=f"the irreducible loss E = {value:.3g} {doubt} and may be 0, so extrapolated losses may be too "
            "low by an unknown amount. Add larger models and more tokens, or fix E at a known floor.",
        )


def standard_error(problem: Problem, free: Floats, index: int) -> float:
    """Return the linearised standard error of a free parameter, infinite where it is at a bound or not determined."""
    moving = (free > problem.low) & (free < problem.high)
    if not moving[index]:
        return float("inf")
    residuals, columns = linearise(problem, free)
    scaled = columns * np.sqrt(problem.weights)[:, None]
    freedom = max(len(residuals) - columns.shape[1], 1)
    variance = float((problem.weights * residuals**2).sum()) / freedom
    covariance = np.linalg.pinv(scaled.T @ scaled, hermitian=True) * variance
    return float(np.sqrt(covariance[moving[:index].sum(), moving[:index].sum()]))


def _flat_direction(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    condition = optimum.convergence.condition_number
    if condition > FLAT_CONDITION:
        yield LawWarning(
            code="flat_direction",
            message=f"the condition number is {condition:.2g} (over {FLAT_CONDITION:.0f}): some parameters trade "
            "off against each other almost freely. Read predictions and their intervals, not single parameters, "
            "or widen the grid.",
        )


def _flat_profile(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    """Warn of a parameter that may go to the end of the search for hardly a worse fit: the runs set it no limit."""
    from scipy.special import stdtrit

    moved = int((problem.high > problem.low).sum())
    freedom = max(len(observations) - moved, 1)
    points = np.vstack([optimum.free, optimum.others])
    # Least absolute deviations are refitted smoothed, in units of their own: the optimum is compared as smoothed too.
    least = float(solve(problem, points).objective.min()) if problem.objective == "lad" else optimum.objective
    allowed = least * float(stdtrit(freedom, (1 + LEVEL) / 2)) ** 2 / freedom
    for name in problem.law.fixable:
        index = problem.law.parameters.index(name)
        # E at its bound has a warning of its own, and a parameter that ended at one has bound_reached.
        if name == "E" or not problem.low[index] < optimum.free[index] < problem.high[index]:
            continue
        for bound, side in ((problem.low[index], "low"), (problem.high[index], "high")):
            rise = _objective_at(problem, points, index, bound) - least
            if rise <= allowed:
                end = points[0].copy()
                end[index] = bound
                value = float(problem.law.to_values(end, problem.origin)[index])
                yield LawWarning(
                    code="flat_profile",
                    message=f"the runs set no limit on {name} on one side: it may be as {side} as {value:.3g}, the "
                    f"end of the search, and the objective is only {percent(rise / least)} worse, less than noise "
                    "explains. Widen the grid where this parameter acts, or fix it at a known value.",
                )


def _objective_at(problem: Problem, points: Floats, index: int, value: float) -> float:
    """Return the least objective with one free parameter held, from points (m, p)."""
    low, high, starts = problem.low.copy(), problem.high.copy(), points.copy()
    low[index] = high[index] = starts[:, index] = value
    return float(solve(replace(problem, low=low, high=high), starts).objective.min())


def _poor_fit(observations: Observations, problem: Problem, optimum: Optimum) -> Iterator[LawWarning]:
    residuals, _ = linearise(problem, optimum.free)
    rmse = root_mean_square(residuals)
    if rmse <= LARGE_RMSE:
        return
    yield LawWarning(
        code="poor_fit",
        message=f"the law misses the losses by {percent(rmse, 2)} (root mean square of ln L; over "
        f"{percent(LARGE_RMSE, 2)}). These runs do not follow {problem.law.formula}. "
        "Look at the residuals before using any parameter.",
    )
    if observations.vocab is not None:
        yield from _near_uniform(observations, observations.vocab)
    elif _reads_the_grid(observations, problem.law) and (plateau := _plateau(observations)).any():
        missed = root_mean_square(residuals[plateau])
        columns = " or ".join(map(in_words, _grid_columns(observations)))
        yield LawWarning(
            code="unconverged_runs",
            message=f"{plateau.sum()} of {len(plateau)} runs are within {percent(1 - PLATEAU, 2)} of the highest loss, "
            f"{observations.loss_nats.max():.3g} nats, although their {columns} span a factor "
            f"of {PLATEAU_SPAN:.0f} or more (row {some(observations.rows[plateau])}); the law misses them by "
            f"{percent(missed, 2)}. They look hardly trained: leave them out (on the command line: --where), "
            "train longer, or use a larger learning rate.",
            rows=tuple(observations.rows[plateau].tolist()),
        )


def _near_uniform(observations: Observations, vocab: Floats) -> Iterator[LawWarning]:
    """Warn of losses near ln V, where training starts, in a table that has losses well below it."""
    near = observations.loss_nats >= PLATEAU * np.log(vocab)
    if not near.any() or not (observations.loss_nats < LEARNT * np.log(vocab)).any():
        return
    rows = observations.rows[near]
    yield LawWarning(
        code="unconverged_runs",
        message=f"{near.sum()} of {len(near)} losses (row {some(rows)}) are within {percent(1 - PLATEAU, 2)} of the "
        f"ln of the vocabulary size, {np.log(vocab[near].max()):.4g} nats, where training starts. These runs look "
        "hardly trained: leave them out (on the command line: --where), train longer, or use a larger learning "
        "rate.",
        rows=tuple(rows.tolist()),
    )


def _reads_the_grid(observations: Observations, law: type[Law]) -> bool:
    """Whether the law reads N and D, or C where neither is known: its misses say nothing of training otherwise."""
    alone = "flops" in law.columns and not any(observations.has(name) for name in ("params", "tokens"))
    return law.has_frontier() or alone


def _plateau(observations: Observations) -> NDArray[np.bool_]:
    """Return the rows near the highest loss, where they are three or more and span much of N, D or C; else none."""
    top = observations.loss_nats >= PLATEAU * observations.loss_nats.max()
    grid = [observations.column(name)[top] for name in _grid_columns(observations)]
    widest = max((float(column.max() / column.min()) for column in grid), default=1.0)
    return top if top.sum() >= 3 and widest >= PLATEAU_SPAN else np.zeros_like(top)


def _grid_columns(observations: Observations) -> list[str]:
    """Return by which of parameters and tokens the runs' grid is known; where neither is, FLOPs if they are."""
    return [*filter(observations.has, ("params", "tokens"))] or [*filter(observations.has, ("flops",))]


def root_mean_square(values: Floats) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


_FIT_CHECKS: tuple[Callable[[Observations, Problem, Optimum], Iterator[LawWarning]], ...] = (
    _not_converged, _bounds, _irreducible_loss, _flat_direction, _flat_profile, _poor_fit,
)  # fmt: skip
