"""Compiled joint fit of all corpora, inner search: the corpora's coefficients and their functions, τ and σ given.

With η_j = X_j γ + u_j, u_j ~ N(0, T), T = diag τ², η and γ minimise

    P = Σ_i w_i ρ((y_i − f_i(η_j)) / σ) + Σ_j u_jᵀ T⁻¹ u_j / 2 + Σ_q p_q (γ_q − γ⁰_q)² / 2

ρ is the smooth form of Huber's loss (Charbonnier et al. 1997), scaled so that its curvature is what its score varies
by: then the rules of likelihood hold for it. The search is Newton's with the whole curvature, damped.

Nothing is allocated here and every loop is written out: expressions of whole arrays bring checks of shapes and
messages with them, and compiling those took twice as long as compiling the rest.

Legend: J corpora, n rows, q functions' parameters; θ coefficients, η the scale on which corpora scatter.
"""

from typing import Any, NamedTuple

import numpy as np

from isoloss.laws._arithmetic import entry, exponential, inlined, leaf, logarithm, part

K = 5
# ρ(z) = s k² (√(1 + z²/k²) − 1). At this k the estimate is 95 % efficient under normal noise; s makes E ρ″ = E ρ′²
# there, and both are then the efficiency.
CORNER, STEEPNESS, EFFICIENCY = 1.2870992242665213, 1.4614023556, 0.95
MOST_STEPS = 200
# A step that promises less than this is the last: Newton's error after it is of the order of its square.
LAST_PROMISE = 1e-8
MOST_DAMPING = 1e12
LARGEST_ETA = 50.0


class Job(NamedTuple):
    """One job: rows x, z (centred ln N, ln D), y (ln L), weight (n,), corpus j's `ends[j]` to `ends[j + 1]`.

    `columns` (J, 5, q) give η_j = columns_j γ; `logarithmic` (5,) and `bend` (5,) the scale; γ has `centre` (q,) and
    `precision` (q,); ln τ is drawn to `middle` with the weight of `pull` corpora.
    """

    x: Any
    z: Any
    y: Any
    weight: Any
    ends: Any
    columns: Any
    logarithmic: Any
    bend: Any
    centre: Any
    precision: Any
    middle: float
    pull: float


class Point(NamedTuple):
    """η (J, 5) and γ (q,), with θ, dθ/dη, d²θ/dη² (J, 5), and for every row y − ln L̂ (n,), d ln L̂/dθ (5, n)."""

    eta: Any
    gamma: Any
    theta: Any
    slope: Any
    bent: Any
    residual: Any
    first: Any


class Arrow(NamedTuple):
    """A symmetric system of (η, γ): `own` (J, 5, 5) what the rows say, `inverse` that of own + T⁻¹, and γ's.

    `held` (J, 5, q) is (own + T⁻¹)⁻¹ own X; `cover` (q, q) the inverse of γ's Schur complement; `scale` (J, 5) the
    diagonal in whose units it is damped. `right` (q,) is room.
    """

    own: Any
    inverse: Any
    held: Any
    cover: Any
    toward: Any
    step: Any
    gamma_toward: Any
    gamma_step: Any
    scale: Any
    right: Any


class Room(NamedTuple):
    """Room for rows: ρ′, ρ″ and two sums of them (n,)."""

    score: Any
    curvature: Any
    bending: Any
    both: Any


def point_of(J: int, q: int, n: int) -> Point:
    """Return an empty point."""
    shapes = ((J, K), (q,), (J, K), (J, K), (J, K), (n,), (K, n))
    return Point(*(np.zeros(shape) for shape in shapes))


def arrow_of(J: int, q: int) -> Arrow:
    """Return an empty system."""
    shapes = ((J, K, K), (J, K, K), (J, K, q), (q, q), (J, K), (J, K), (q,), (q,), (J, K), (q,))
    return Arrow(*(np.zeros(shape) for shape in shapes))


def room_of(n: int) -> Room:
    """Return room for rows."""
    return Room(*np.zeros((4, n)))


@leaf
def copy_point(source: Any, target: Any) -> None:
    """Make `target` the same point."""
    for j in range(source.eta.shape[0]):
        for k in range(K):
            target.eta[j, k] = source.eta[j, k]
            target.theta[j, k] = source.theta[j, k]
            target.slope[j, k] = source.slope[j, k]
            target.bent[j, k] = source.bent[j, k]
    for c in range(source.gamma.size):
        target.gamma[c] = source.gamma[c]
    for i in range(source.residual.size):
        target.residual[i] = source.residual[i]
        for k in range(K):
            target.first[k, i] = source.first[k, i]


@leaf
def fill_theta(job: Any, point: Any) -> None:
    """Fill θ of η with its first and second derivative: e^η, or b ln(1 + e^(η/b)), which bends to zero over b."""
    for j in range(point.eta.shape[0]):
        for k in range(K):
            eta, b = point.eta[j, k], job.bend[k]
            if job.logarithmic[k]:
                value = np.exp(min(eta, LARGEST_ETA))
                point.theta[j, k], point.slope[j, k], point.bent[j, k] = value, value, value
            else:
                value = max(eta, 0.0) + b * np.log1p(np.exp(-abs(eta) / b))
                slope = -np.expm1(-value / b)
                point.theta[j, k], point.slope[j, k] = value, slope
                point.bent[j, k] = slope * (1 - slope) / b


@entry
def evaluate(job: Any, point: Any) -> None:
    """Fill everything of a point that follows from η."""
    fill_theta(job, point)
    of_size, of_data = point.first[1], point.first[2]
    for j in range(point.eta.shape[0]):
        for i in range(job.ends[j], job.ends[j + 1]):
            of_size[i] = -point.theta[j, 3] * job.x[i]
            of_data[i] = -point.theta[j, 4] * job.z[i]
    exponential(of_size)
    exponential(of_data)
    for j in range(point.eta.shape[0]):
        E, A0, B0 = point.theta[j, 0], point.theta[j, 1], point.theta[j, 2]
        for i in range(job.ends[j], job.ends[j + 1]):
            loss = E + A0 * of_size[i] + B0 * of_data[i]
            point.residual[i] = loss
            point.first[0, i] = 1 / loss
            of_size[i] /= loss
            of_data[i] /= loss
            point.first[3, i] = -A0 * of_size[i] * job.x[i]
            point.first[4, i] = -B0 * of_data[i] * job.z[i]
    logarithm(point.residual)
    for i in range(job.y.size):
        point.residual[i] = job.y[i] - point.residual[i]


@leaf
def deviation(job: Any, point: Any, j: int, a: int) -> Any:
    """u of a corpus's coefficient."""
    away = point.eta[j, a]
    for c in range(job.centre.size):
        away -= job.columns[j, a, c] * point.gamma[c]
    return away


@leaf
def penalised(job: Any, point: Any, variance: Any, sigma: float) -> float:
    """P at a point; not a number, or infinite, where a row that counts has no finite loss."""
    total = 0.0
    for i in range(job.y.size):
        if job.weight[i] > 0:
            z = point.residual[i] / (sigma * CORNER)
            # √(1 + z²) − 1 without the loss of digits at small z.
            total += job.weight[i] * z * z / (1 + np.sqrt(1 + z * z))
    total *= STEEPNESS * CORNER * CORNER
    for j in range(point.eta.shape[0]):
        for k in range(K):
            total += 0.5 * deviation(job, point, j, k) ** 2 / variance[k]
    for c in range(point.gamma.size):
        away = point.gamma[c] - job.centre[c]
        total += 0.5 * job.precision[c] * away * away
    return total


@leaf
def fill_scores(job: Any, point: Any, sigma: float, room: Any) -> None:
    """Fill w ρ′(r/σ) and w ρ″(r/σ) of every row."""
    for i in range(job.y.size):
        z = point.residual[i] / sigma
        bend = 1 / np.sqrt(1 + (z / CORNER) ** 2)
        counts = job.weight[i] > 0
        room.score[i] = job.weight[i] * STEEPNESS * z * bend if counts else 0.0
        room.curvature[i] = job.weight[i] * STEEPNESS * bend * bend * bend if counts else 0.0


@leaf
def fill_products(job: Any, point: Any, weights: Any, start: int, end: int, j: int, target: Any) -> None:
    """Fill Σ weights J Jᵀ (5, 5) over rows, J by η."""
    for a in range(K):
        for b in range(a + 1):
            one, other = point.first[a], point.first[b]
            total = 0.0
            for i in range(start, end):
                total += weights[i] * one[i] * other[i]
            total *= point.slope[j, a] * point.slope[j, b]
            target[a, b] = total
            target[b, a] = total


@leaf
def add_bending(job: Any, point: Any, weights: Any, start: int, end: int, j: int, target: Any) -> None:
    """Add −Σ weights (d²L̂/dη²)/L̂ over rows: with Σ weights J Jᵀ that is −Σ weights d² ln L̂/dη²."""
    of_alpha, alpha2, of_beta, beta2 = 0.0, 0.0, 0.0, 0.0
    for i in range(start, end):
        of_alpha += weights[i] * point.first[1, i] * job.x[i]
        alpha2 += weights[i] * point.first[3, i] * job.x[i]
        of_beta += weights[i] * point.first[2, i] * job.z[i]
        beta2 += weights[i] * point.first[4, i] * job.z[i]
    slope = point.slope[j]
    target[1, 3] += of_alpha * slope[1] * slope[3]
    target[3, 1] = target[1, 3]
    target[3, 3] += alpha2 * slope[3] * slope[3]
    target[2, 4] += of_beta * slope[2] * slope[4]
    target[4, 2] = target[2, 4]
    target[4, 4] += beta2 * slope[4] * slope[4]
    for a in range(K):
        total = 0.0
        for i in range(start, end):
            total += weights[i] * point.first[a, i]
        target[a, a] -= total * point.bent[j, a]


@leaf
def fill_information(job: Any, point: Any, sigma: float, arrow: Any) -> None:
    """Fill the expected information of every corpus's rows, e Σ w J Jᵀ/σ²."""
    for j in range(point.eta.shape[0]):
        fill_products(job, point, job.weight, job.ends[j], job.ends[j + 1], j, arrow.own[j])
        for a in range(K):
            for b in range(K):
                arrow.own[j, a, b] *= EFFICIENCY / (sigma * sigma)


@leaf
def fill_curvature(job: Any, point: Any, sigma: float, room: Any, arrow: Any) -> None:
    """Fill the curvature of Σ w ρ(r/σ) by every corpus's η."""
    for i in range(job.y.size):
        room.bending[i] = room.score[i] / sigma
        room.both[i] = room.curvature[i] / (sigma * sigma) + room.bending[i]
    for j in range(point.eta.shape[0]):
        fill_products(job, point, room.both, job.ends[j], job.ends[j + 1], j, arrow.own[j])
        add_bending(job, point, room.bending, job.ends[j], job.ends[j + 1], j, arrow.own[j])


@leaf
def invert(matrix: Any) -> Any:
    """Replace a positive definite matrix by its inverse, by Gauss's and Jordan's steps; return ln of its determinant.

    That is NaN where the matrix is not definite.
    """
    size, total = matrix.shape[0], 0.0
    for k in range(size):
        pivot = matrix[k, k]
        if not pivot > 0:
            return np.nan
        total += np.log(pivot)
        matrix[k, k] = 1.0
        for c in range(size):
            matrix[k, c] /= pivot
        for i in range(size):
            if i != k:
                share = matrix[i, k]
                matrix[i, k] = 0.0
                for c in range(size):
                    matrix[i, c] -= share * matrix[k, c]
    return total


@leaf
def factorise(job: Any, variance: Any, damping: float, arrow: Any) -> Any:
    """Fill the inverses and return ln|K|, K the whole system; NaN where it is not positive definite.

    `damping` times the system's scale is added to the diagonal of what rows say. Σ Xᵀ (T⁻¹ − T⁻¹ (own + T⁻¹)⁻¹ T⁻¹) X
    is taken as Σ Xᵀ T⁻¹ (own + T⁻¹)⁻¹ own X, which keeps its digits where τ is small.
    """
    J, q = arrow.own.shape[0], job.centre.size
    total = 0.0
    for c in range(q):
        for d in range(q):
            arrow.cover[c, d] = job.precision[c] if c == d else 0.0
    for j in range(J):
        for a in range(K):
            for b in range(K):
                arrow.inverse[j, a, b] = arrow.own[j, a, b]
            arrow.inverse[j, a, a] += damping * arrow.scale[j, a] + 1 / variance[a]
        total += invert(arrow.inverse[j])
        if np.isnan(total):
            return total
        for a in range(K):
            for c in range(q):
                held = 0.0
                for b in range(K):
                    for d in range(K):
                        own = arrow.own[j, b, d] + (damping * arrow.scale[j, b] if b == d else 0.0)
                        held += arrow.inverse[j, a, b] * own * job.columns[j, d, c]
                arrow.held[j, a, c] = held
        for a in range(K):
            for c in range(q):
                for d in range(q):
                    arrow.cover[c, d] += job.columns[j, a, c] / variance[a] * arrow.held[j, a, d]
    for c in range(q):
        for d in range(c):
            mean = 0.5 * (arrow.cover[c, d] + arrow.cover[d, c])
            arrow.cover[c, d], arrow.cover[d, c] = mean, mean
    return total + invert(arrow.cover)


@leaf
def solve_arrow(job: Any, variance: Any, arrow: Any) -> None:
    """Solve for `step` and `gamma_step` of the right sides `toward` and `gamma_toward`."""
    J, q = arrow.own.shape[0], job.centre.size
    for c in range(q):
        arrow.right[c] = arrow.gamma_toward[c]
    for j in range(J):
        for a in range(K):
            total = 0.0
            for b in range(K):
                total += arrow.inverse[j, a, b] * arrow.toward[j, b]
            arrow.step[j, a] = total
            for c in range(q):
                arrow.right[c] += job.columns[j, a, c] / variance[a] * total
    for c in range(q):
        total = 0.0
        for d in range(q):
            total += arrow.cover[c, d] * arrow.right[d]
        arrow.gamma_step[c] = total
    for j in range(J):
        for a in range(K):
            # block⁻¹ T⁻¹ X = X − block⁻¹ own X
            for c in range(q):
                arrow.step[j, a] += (job.columns[j, a, c] - arrow.held[j, a, c]) * arrow.gamma_step[c]


@leaf
def fill_descent(job: Any, point: Any, variance: Any, sigma: float, room: Any, arrow: Any) -> None:
    """Fill the negative gradient of P by η and γ."""
    for c in range(job.centre.size):
        arrow.gamma_toward[c] = -job.precision[c] * (point.gamma[c] - job.centre[c])
    for j in range(point.eta.shape[0]):
        for a in range(K):
            column = point.first[a]
            total = 0.0
            for i in range(job.ends[j], job.ends[j + 1]):
                total += room.score[i] * column[i]
            back = deviation(job, point, j, a) / variance[a]
            arrow.toward[j, a] = total * point.slope[j, a] / sigma - back
            for c in range(job.centre.size):
                arrow.gamma_toward[c] += job.columns[j, a, c] * back


@leaf
def promised(arrow: Any) -> float:
    """Half the product of descent and step: what Newton's model promises."""
    total = 0.0
    for j in range(arrow.step.shape[0]):
        for a in range(K):
            total += arrow.toward[j, a] * arrow.step[j, a]
    for c in range(arrow.gamma_step.size):
        total += arrow.gamma_toward[c] * arrow.gamma_step[c]
    return 0.5 * total


@part
def move_along(job: Any, variance: Any, sigma: float, point: Any, arrow: Any, trial: Any) -> Any:
    """Make `trial` the point that the step leads to; return P there."""
    for j in range(point.eta.shape[0]):
        for k in range(K):
            trial.eta[j, k] = point.eta[j, k] + arrow.step[j, k]
    for c in range(point.gamma.size):
        trial.gamma[c] = point.gamma[c] + arrow.gamma_step[c]
    evaluate(job, trial)
    return penalised(job, trial, variance, sigma)


@inlined
def minimise_inner(job: Any, variance: Any, sigma: float, point: Any, trial: Any, arrow: Any, room: Any) -> Any:
    """Minimise P by η and γ from `point`, in place; return P and whether the end was reached.

    Damping is in units of the expected information: it shortens steps along what the rows know.
    """
    damping = 0.0
    value = penalised(job, point, variance, sigma)
    if not np.isfinite(value):
        return value, False
    moved = True
    for _ in range(MOST_STEPS):
        if moved:
            fill_scores(job, point, sigma, room)
            fill_descent(job, point, variance, sigma, room, arrow)
            fill_information(job, point, sigma, arrow)
            for j in range(point.eta.shape[0]):
                for a in range(K):
                    arrow.scale[j, a] = arrow.own[j, a, a] + 1 / variance[a]
            fill_curvature(job, point, sigma, room, arrow)
        moved = False
        if not np.isnan(factorise(job, variance, damping, arrow)):
            solve_arrow(job, variance, arrow)
            promise = promised(arrow)
            found = move_along(job, variance, sigma, point, arrow, trial)
            if damping == 0.0 and 0 <= promise < LAST_PROMISE and np.isfinite(found):
                copy_point(trial, point)
                return found, True
            if found < value and promise > 0:
                gain = (value - found) / promise
                damping = 0.0 if gain > 0.5 and damping < 1e-3 else damping * (0.2 if gain > 0.5 else 1.0)
                value = found
                copy_point(trial, point)
                moved = True
        if not moved:
            damping = max(10 * damping, 1e-4)
            if damping > MOST_DAMPING:
                return value, False
    return value, False
