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

from typing import Any

import numpy as np

from isoloss.data_dependence._joint_kernels import (
    EFFICIENCY,
    K,
    Room,
    arrow_of,
    copy_point,
    deviation,
    factorise,
    fill_curvature,
    fill_information,
    fill_scores,
    minimise_inner,
    point_of,
    solve_arrow,
)
from isoloss.fitting._kernels import cholesky_solve
from isoloss.laws._arithmetic import compiled, leaf, part

OUTER = 6
MOST_STEPS = 200
LONGEST_STEP, SHORTEST_SHARE = 1.0, 1e-6  # of ln τ and ln σ; of a step


@part
def fill_bends(job: Any, point: Any, sigma: float, cover: Any, j: int, along: Any) -> None:
    """Add to `along` (5,) the gradient of ln|K|/2 by η_j: e/σ² Σ w (d²f/dη²) C J, C = `cover` the variance of η_j."""
    slope, bent = point.slope[j], point.bent[j]
    v, g = np.empty(K), np.empty(K)
    total = np.zeros(K)
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


@part
def fill_cover(job: Any, arrow: Any, j: int, cover: Any, spread: Any) -> None:
    """Fill the variance of η_j (5, 5), and of u_j (5,): what its own rows leave, and what γ does."""
    q = job.centre.size
    reach = np.empty((K, q))
    for a in range(K):
        for c in range(q):
            reach[a, c] = job.columns[j, a, c] - arrow.held[j, a, c]
    for a in range(K):
        for b in range(K):
            total = arrow.inverse[j, a, b]
            for c in range(q):
                for d in range(q):
                    total += reach[a, c] * arrow.cover[c, d] * reach[b, d]
            cover[a, b] = total
        total = arrow.inverse[j, a, a]
        for c in range(q):
            for d in range(q):
                total += arrow.held[j, a, c] * arrow.cover[c, d] * arrow.held[j, a, d]
        spread[a] = total


@leaf
def fill_expected(job: Any, variance: Any, arrow: Any, expected: Any) -> None:
    """Fill the expected curvature of F by ln τ and ln σ (6, 6): Σ_j 2 (τ_k W_j,kl τ_l)², W_j = (I_j⁻¹ + T)⁻¹."""
    expected[:] = 0.0
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
    for a in range(OUTER):
        expected[a, a] += job.pull + 1e-3


@compiled
def criterion(
    job: Any, outer: Any, point: Any, trial: Any, arrow: Any, room: Any, gradient: Any, expected: Any
) -> Any:  # fmt: skip
    """F at ln τ, ln σ = `outer` (6,), from `point`, which moves to the inner optimum; and whether that was reached.

    Fills the gradient (6,) and the expected curvature (6, 6).
    """
    J, sigma = point.eta.shape[0], np.exp(outer[K])
    variance = np.exp(2 * outer[:K])
    value, reached = minimise_inner(job, variance, sigma, point, trial, arrow, room)
    if not reached:
        return np.inf, False
    fill_scores(job, point, sigma, room)
    fill_information(job, point, sigma, arrow)
    none = np.zeros((J, K))
    curved = factorise(job, variance, none, arrow)
    if np.isnan(curved):
        return np.inf, False
    rows = 0.0
    gradient[:] = 0.0
    for i in range(job.y.size):
        rows += job.weight[i]
        gradient[K] -= room.score[i] * point.residual[i] / sigma
    value += EFFICIENCY * rows * outer[K] + 0.5 * curved
    gradient[K] += EFFICIENCY * rows
    for a in range(K):
        away = outer[a] - job.middle
        value += J * outer[a] + job.pull * (abs(away) + np.log1p(np.exp(-2 * abs(away))))
        gradient[a] += J + job.pull * np.tanh(away)
    fill_expected(job, variance, arrow, expected)
    cover, spread = np.empty((K, K)), np.empty(K)
    for j in range(J):
        fill_cover(job, arrow, j, cover, spread)
        for a in range(K):
            away = deviation(job, point, j, a)
            gradient[a] -= (away * away + spread[a]) / variance[a]
            for b in range(K):
                gradient[K] -= cover[a, b] * arrow.own[j, a, b]
        fill_bends(job, point, sigma, cover, j, arrow.toward[j])
    arrow.gamma_toward[:] = 0.0
    # How the inner optimum moves: by the true curvature of P.
    fill_curvature(job, point, sigma, room, arrow)
    if np.isnan(factorise(job, variance, none, arrow)):
        return np.inf, False
    solve_arrow(job, variance, arrow)
    add_motion(job, point, variance, sigma, room, arrow, gradient)
    return value, True


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


@part
def outer_step(curvature: Any, gradient: Any, step: Any) -> Any:
    """Fill the step −curvature⁻¹ gradient, shortened to the longest allowed.

    Return what the whole one promises, and whether it was shortened.
    """
    if not cholesky_solve(curvature.copy(), -gradient, OUTER, step):
        return np.inf, False
    promise, longest = -0.5 * (step * gradient).sum(), np.abs(step).max()
    if longest > LONGEST_STEP:
        step *= LONGEST_STEP / longest
    return promise, longest > LONGEST_STEP


@part
def learn(curvature: Any, step: Any, change: Any) -> None:
    """Update the curvature by what a step changed of the gradient (Broyden–Fletcher–Goldfarb–Shanno)."""
    moved = (curvature * step).sum(axis=1)
    along, own = (step * change).sum(), (step * moved).sum()
    # Powell's damping (1978) keeps the curvature positive where the step's own is not.
    share = 1.0 if along >= 0.2 * own else 0.8 * own / (own - along)
    mixed = share * change + (1 - share) * moved
    along = share * along + (1 - share) * own
    curvature += np.outer(mixed, mixed) / along - np.outer(moved, moved) / own


@compiled
def minimise_outer(job: Any, outer: Any, point: Any, tolerance: float) -> Any:
    """Minimise F from `outer` and `point`, in place; return F, what a last step promised, and how far it moved.

    The last step, which promises less than `tolerance`, is taken. Its motion (2,) is the largest of ln L̂ in the rows
    in units of σ, and of ln(D*/N*) in the middle. A promise that is not smaller says that no optimum was reached.
    """
    J, q, n = point.eta.shape[0], point.gamma.size, job.y.size
    trial, spare, arrow = point_of(J, q, n), point_of(J, q, n), arrow_of(J, q)
    room = Room(np.zeros(n), np.zeros(n))
    gradient, found_gradient, step = np.zeros(OUTER), np.zeros(OUTER), np.zeros(OUTER)
    curvature, expected = np.zeros((OUTER, OUTER)), np.zeros((OUTER, OUTER))
    motion = np.full(2, np.inf)
    value, reached = criterion(job, outer, point, spare, arrow, room, gradient, curvature)
    if not reached:
        return np.inf, np.inf, motion
    fresh = True
    for _ in range(MOST_STEPS):
        promise, long = outer_step(curvature, gradient, step)
        last = 0 <= promise < tolerance
        share, moved, found = 1.0, False, np.inf
        while share > SHORTEST_SHARE and not moved:
            target = outer + share * step
            copy_point(point, trial)
            found, reached = criterion(job, target, trial, spare, arrow, room, found_gradient, expected)
            moved = reached and (last or found <= value + 1e-4 * share * (gradient * step).sum())
            if not moved:
                share *= 0.3
        if moved and last:
            motion = motion_of(job, point, trial, np.exp(target[K]))
        if moved:
            learn(curvature, share * step, found_gradient - gradient)
            if long:
                curvature[:] = expected
            fresh = long
            outer[:] = target
            gradient[:] = found_gradient
            copy_point(trial, point)
            value = found
        if last or (fresh and not moved):
            return value, promise, motion
        if not moved:
            criterion(job, outer, point, spare, arrow, room, gradient, curvature)
            fresh = True
    return value, np.inf, motion


@compiled
def motion_of(job: Any, before: Any, after: Any, sigma: float) -> Any:
    """The largest change of ln L̂ of rows that count, in units of σ, and of a corpus's ln(D*/N*) at N₀ D₀ (2,)."""
    of_rows = np.where(job.weight > 0, np.abs(after.residual - before.residual) / sigma, 0.0).max()
    return np.array([of_rows, np.abs(middle_balance(after.theta) - middle_balance(before.theta)).max()])


@part
def middle_balance(theta: Any) -> Any:
    """ln(D*/N*) at the budget of N₀ and D₀, less ln(D₀/N₀): −2 ln(α A₀ / β B₀)/(α + β) (Hoffmann et al. 2022)."""
    alpha, beta = theta[:, 3], theta[:, 4]
    return -2 * (np.log(alpha * theta[:, 1]) - np.log(beta * theta[:, 2])) / (alpha + beta)
