"""Compiled joint fit of all corpora, outer search: how far corpora scatter, τ, and the size of the noise, σ.

They minimise what is left of `isoloss.data_dependence._joint_kernels`' P once η and γ are integrated out by Laplace's
approximation, with I_j = e Σ w J Jᵀ/σ² and K the curvature of all (η, γ) that these make with T⁻¹:

    F = P + e Σ_i w_i ln σ + J Σ_k ln τ_k + ln|K| / 2 + a Σ_k ln cosh ln(τ_k/s)

the restricted likelihood of τ and σ, and a weak pull on τ. F is smooth and its gradient exact: it follows η as τ and σ
move it. So an optimum is known when it is reached. The search is that of Broyden, Fletcher, Goldfarb and Shanno; its
first curvature, and that after every step that had to be shortened, is the expected information (Harville 1977, eq.
6.1).

Legend as in `isoloss.data_dependence._joint_kernels`.
"""

from typing import Any, NamedTuple

import numpy as np

from isoloss.data_dependence._joint_kernels import (
    EFFICIENCY,
    K,
    copy_point,
    deviation,
    factorise,
    fill_curvature,
    fill_information,
    fill_scores,
    minimise_inner,
    solve_arrow,
)
from isoloss.fitting._kernels import cholesky_solve
from isoloss.laws._arithmetic import entry, inlined, leaf

OUTER = 6
LONGEST_STEP, SHORTEST_SHARE = 1.0, 1e-6  # of ln τ and ln σ; of a step


class Slope(NamedTuple):
    """What F does at a point: its gradient (6,) and curvature (6, 6)."""

    gradient: Any
    curvature: Any


class Table(NamedTuple):
    """Room of the outer search.

    τ² (5,); of one corpus the variance of η, `cover` (5, 5), three vectors (3, 5) and how far γ reaches (5, q); what is
    tried, `target`, and the step (6,); two vectors (2, 6) and a matrix (6, 6).
    """

    variance: Any
    cover: Any
    others: Any
    reach: Any
    target: Any
    step: Any
    vectors: Any
    matrix: Any


def slope_of() -> Slope:
    """Return room for a gradient and a curvature."""
    return Slope(np.zeros(OUTER), np.zeros((OUTER, OUTER)))


def table_of(q: int) -> Table:
    """Return the room of an outer search."""
    shapes = ((K,), (K, K), (3, K), (K, q), (OUTER,), (OUTER,), (2, OUTER), (OUTER, OUTER))
    return Table(*(np.zeros(shape) for shape in shapes))


@leaf
def fill_bends(job: Any, point: Any, sigma: float, table: Any, j: int, along: Any) -> None:
    """Fill `along` (5,) with the gradient of ln|K|/2 by η_j: e/σ² Σ w (d²f/dη²) C J, C the variance of η_j."""
    slope, bent, cover = point.slope[j], point.bent[j], table.cover
    v, g, total = table.others[0], table.others[1], table.others[2]
    for a in range(K):
        total[a] = 0.0
    for i in range(job.ends[j], job.ends[j + 1]):
        if job.weight[i] > 0:
            inner = 0.0
            for a in range(K):
                value = 0.0
                for b in range(K):
                    value += cover[a, b] * slope[b] * point.first[b, i]
                v[a] = value
                inner += slope[a] * point.first[a, i] * value
            s1, s2, s3, s4 = slope[1] * v[1], slope[2] * v[2], slope[3] * v[3], slope[4] * v[4]
            g[0] = 0.0
            g[1] = -job.x[i] * point.first[1, i] * s3
            g[3] = -job.x[i] * (point.first[1, i] * s1 + point.first[3, i] * s3)
            g[2] = -job.z[i] * point.first[2, i] * s4
            g[4] = -job.z[i] * (point.first[2, i] * s2 + point.first[4, i] * s4)
            for a in range(K):
                total[a] += job.weight[i] * (
                    slope[a] * (g[a] - point.first[a, i] * inner) + bent[a] * point.first[a, i] * v[a]
                )
    for a in range(K):
        along[a] = EFFICIENCY / (sigma * sigma) * total[a]


@leaf
def fill_cover(job: Any, arrow: Any, j: int, table: Any) -> None:
    """Fill the variance of η_j (5, 5), and of u_j (5,): what its own rows leave, and what γ does."""
    q, reach, spread = job.centre.size, table.reach, table.others[0]
    for a in range(K):
        for c in range(q):
            reach[a, c] = job.columns[j, a, c] - arrow.held[j, a, c]
    for a in range(K):
        for b in range(K):
            total = arrow.inverse[j, a, b]
            for c in range(q):
                for d in range(q):
                    total += reach[a, c] * arrow.cover[c, d] * reach[b, d]
            table.cover[a, b] = total
        total = arrow.inverse[j, a, a]
        for c in range(q):
            for d in range(q):
                total += arrow.held[j, a, c] * arrow.cover[c, d] * arrow.held[j, a, d]
        spread[a] = total


@leaf
def fill_expected(job: Any, variance: Any, arrow: Any, expected: Any) -> None:
    """Fill the expected curvature of F by ln τ and ln σ (6, 6): Σ_j 2 (τ_k W_j,kl τ_l)², W_j = (I_j⁻¹ + T)⁻¹."""
    for a in range(OUTER):
        for b in range(OUTER):
            expected[a, b] = job.pull + 1e-3 if a == b else 0.0
    for j in range(arrow.own.shape[0]):
        for a in range(K):
            for b in range(K):
                weight = 0.0
                for c in range(K):
                    weight += arrow.inverse[j, a, c] * arrow.own[j, c, b]
                weight /= variance[a]
                expected[a, b] += 2 * weight * weight * variance[a] * variance[b]
    for i in range(job.y.size):
        expected[K, K] += 2 * EFFICIENCY * job.weight[i]


@inlined
def criterion(job: Any, outer: Any, point: Any, trial: Any, arrow: Any, room: Any, table: Any, slope: Any) -> Any:
    """F at ln τ, ln σ = `outer` (6,), from `point`, which moves to the inner optimum; infinite where none was reached.

    Fills the gradient (6,) and the expected curvature (6, 6) of `slope`.
    """
    sigma, variance, gradient = np.exp(outer[K]), table.variance, slope.gradient
    for a in range(K):
        variance[a] = np.exp(2 * outer[a])
    value, reached = minimise_inner(job, variance, sigma, point, trial, arrow, room)
    if not reached:
        return np.inf
    fill_scores(job, point, sigma, room)
    fill_information(job, point, sigma, arrow)
    curved = factorise(job, variance, 0.0, arrow)
    if np.isnan(curved):
        return np.inf
    value += 0.5 * curved + prior(job, outer, point, sigma, room, gradient)
    fill_expected(job, variance, arrow, slope.curvature)
    for j in range(point.eta.shape[0]):
        fill_cover(job, arrow, j, table)
        for a in range(K):
            away = deviation(job, point, j, a)
            gradient[a] -= (away * away + table.others[0, a]) / variance[a]
            for b in range(K):
                gradient[K] -= table.cover[a, b] * arrow.own[j, a, b]
        fill_bends(job, point, sigma, table, j, arrow.toward[j])
    for c in range(job.centre.size):
        arrow.gamma_toward[c] = 0.0
    # How the inner optimum moves: by the true curvature of P.
    fill_curvature(job, point, sigma, room, arrow)
    if np.isnan(factorise(job, variance, 0.0, arrow)):
        return np.inf
    solve_arrow(job, variance, arrow)
    add_motion(job, point, variance, sigma, room, arrow, gradient)
    return value


@leaf
def prior(job: Any, outer: Any, point: Any, sigma: float, room: Any, gradient: Any) -> Any:
    """e Σ w ln σ + J Σ ln τ and the pull on τ; fill the gradient with theirs, and with σ's of Σ w ρ."""
    rows, J = 0.0, point.eta.shape[0]
    gradient[K] = 0.0
    for i in range(job.y.size):
        rows += job.weight[i]
        gradient[K] -= room.score[i] * point.residual[i] / sigma
    gradient[K] += EFFICIENCY * rows
    value = EFFICIENCY * rows * outer[K]
    for a in range(K):
        away = outer[a] - job.middle
        value += J * outer[a] + job.pull * (abs(away) + np.log1p(np.exp(-2 * abs(away))))
        gradient[a] = J + job.pull * np.tanh(away)
    return value


@leaf
def add_motion(job: Any, point: Any, variance: Any, sigma: float, room: Any, arrow: Any, gradient: Any) -> None:
    """Add to F's gradient what comes of η moving with τ and σ: `step` holds K⁻¹ times the gradient of ln|K|/2."""
    for j in range(point.eta.shape[0]):
        for a in range(K):
            line = 0.0
            for c in range(job.centre.size):
                line += job.columns[j, a, c] * arrow.gamma_step[c]
            gradient[a] += 2 * (arrow.step[j, a] - line) * deviation(job, point, j, a) / variance[a]
            column, total = point.first[a], 0.0
            for i in range(job.ends[j], job.ends[j + 1]):
                total += (room.score[i] + room.curvature[i] * point.residual[i] / sigma) * column[i]
            gradient[K] -= arrow.step[j, a] * total * point.slope[j, a] / sigma


@leaf
def outer_step(slope: Any, table: Any) -> Any:
    """Fill the step −curvature⁻¹ gradient, shortened to the longest allowed.

    Return what the whole one promises, how F falls along it, and whether it was shortened.
    """
    step, right = table.step, table.vectors[0]
    for a in range(OUTER):
        right[a] = -slope.gradient[a]
        for b in range(OUTER):
            table.matrix[a, b] = slope.curvature[a, b]
    if not cholesky_solve(table.matrix, right, OUTER, step):
        return np.inf, 0.0, False
    promise, longest = 0.0, 0.0
    for a in range(OUTER):
        promise -= 0.5 * step[a] * slope.gradient[a]
        longest = max(longest, abs(step[a]))
    share = min(1.0, LONGEST_STEP / longest) if longest > 0 else 1.0
    for a in range(OUTER):
        step[a] *= share
    return promise, -2 * share * promise, share < 1.0


@leaf
def learn(slope: Any, share: float, after: Any, table: Any) -> None:
    """Update the curvature by what `share` of the step changed of the gradient (Broyden–Fletcher–Goldfarb–Shanno)."""
    moved, mixed, curvature = table.vectors[0], table.vectors[1], slope.curvature
    along, own = 0.0, 0.0
    for a in range(OUTER):
        moved[a] = 0.0
        for b in range(OUTER):
            moved[a] += curvature[a, b] * share * table.step[b]
        along += share * table.step[a] * (after.gradient[a] - slope.gradient[a])
        own += share * table.step[a] * moved[a]
    # Powell's damping (1978) keeps the curvature positive where the step's own is not.
    weight = 1.0 if along >= 0.2 * own else 0.8 * own / (own - along)
    along = weight * along + (1 - weight) * own
    for a in range(OUTER):
        mixed[a] = weight * (after.gradient[a] - slope.gradient[a]) + (1 - weight) * moved[a]
    for a in range(OUTER):
        for b in range(OUTER):
            curvature[a, b] += mixed[a] * mixed[b] / along - moved[a] * moved[b] / own


@entry
def minimise_outer(
    job: Any, outer: Any, tolerance: float, most: int, point: Any, trial: Any, spare: Any, arrow: Any, room: Any,
    table: Any, slope: Any, found_slope: Any,
) -> Any:  # fmt: skip
    """Minimise F from `outer` and `point`, in place; return F and what a last step promised.

    The last step, which promises less than `tolerance`, is taken, from `spare`. A promise that is not smaller says that
    no optimum was reached. F is evaluated `most` times at most: once fills `slope` and moves `point` alone.
    """
    value, promise, share, along = np.inf, np.inf, 0.0, 0.0
    last, long, fresh = False, False, True
    for _ in range(most):
        for a in range(OUTER):
            table.target[a] = outer[a] + share * table.step[a]
        copy_point(point, trial)
        found = criterion(job, table.target, trial, spare, arrow, room, table, found_slope)
        if share == 0.0:
            if not np.isfinite(found):
                return np.inf, np.inf
            fresh = True
        elif np.isfinite(found) and (last or found <= value + 1e-4 * share * along):
            fresh = long
            learn(slope, share, found_slope, table)
        else:
            share *= 0.3
            if share < SHORTEST_SHARE:
                if fresh or last:
                    return value, np.inf
                share = 0.0
            continue
        value = found
        take(slope, found_slope, fresh, outer, table.target)
        copy_point(point, spare)
        copy_point(trial, point)
        if last:
            return value, promise
        promise, along, long = outer_step(slope, table)
        last, share = 0 <= promise < tolerance, 1.0
    return value, np.inf


@leaf
def take(slope: Any, found: Any, curvature: bool, outer: Any, target: Any) -> None:
    """Make `outer` the target and `slope` what was found there, its expected curvature too if asked for."""
    for a in range(OUTER):
        outer[a] = target[a]
        slope.gradient[a] = found.gradient[a]
        if curvature:
            for b in range(OUTER):
                slope.curvature[a, b] = found.curvature[a, b]
