"""A grammar as a branching process of many types: which nonterminals surely end, and how probably the others do.

Matrices are |N| × |N|, indexed by nonterminal. `M[A, B]` is the mean number of B on one right-hand side of A.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from isoloss.grammar.pcfg import Grammar

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A spectral radius this close to 1 counts as 1. Round-off of sums of products of weights stays below 1e-13 for
# thousands of rules; a grammar within 1e-12 of critical ends with probability above 1 − 1e-11 in either case.
CRITICAL_TOLERANCE = 1e-12
NEWTON_TOLERANCE = 1e-15
# Quadratic from a few steps on: about 10 are seen. Near-critical grammars gain a bit a step at first: 53 in all.
NEWTON_STEPS = 200


def reaches(matrix: Floats, targets: Mask) -> Mask:
    """Return which nonterminals reach any of `targets` along positive entries of `matrix`, themselves included."""
    adjacent = matrix > 0
    reached, newest = targets.copy(), targets
    while newest.any():
        newest = adjacent[:, newest].any(axis=1) & ~reached
        reached |= newest
    return reached


def component_radii(matrix: Floats) -> Floats:
    """Return for each nonterminal the spectral radius of `matrix` on its strongly connected component.

    The radius of the whole is the largest of them. By component, because each is irreducible and its Perron root
    simple: the eigenvalues of the whole (long chains of components are Jordan blocks) would lose half their digits or
    more.
    """
    # A study file is read without it.
    from scipy.sparse.csgraph import connected_components

    radii = np.zeros(len(matrix))
    count, labels = connected_components(matrix > 0, directed=True, connection="strong")
    for label in range(count):
        members = np.flatnonzero(labels == label)
        block = matrix[np.ix_(members, members)]
        radii[members] = block[0, 0] if len(members) == 1 else np.abs(np.linalg.eigvals(block)).max()
    return radii


def productive(grammar: "Grammar") -> Mask:
    """Return which nonterminals can derive a finite string at all."""
    known = np.zeros(len(grammar.nonterminals), dtype=bool)
    while True:
        grown = grammar.sum_rules(grammar.multiply_symbols(known.astype(float))) > 0
        if np.array_equal(grown, known):
            return known
        known = grown


def certain(grammar: "Grammar", finite: Mask) -> Mask:
    """Return which nonterminals end with probability one, given which can end at all.

    One ends surely where all that it reaches is productive and in components of radius at most 1. (A component of
    radius exactly 1 that has a way out is a critical branching process, and dies out; one without is not productive.)
    """
    doomed = ~finite | (component_radii(grammar.mean_matrix) > 1 + CRITICAL_TOLERANCE)
    return ~reaches(grammar.mean_matrix, doomed)


def termination_probabilities(grammar: "Grammar") -> Floats:
    """Return q, shape (|N|,): the probability that a derivation from each nonterminal ends.

    The smallest solution of q_A = Σ p(A → γ) ∏ q_B. Zeros and ones are found exactly, from the grammar's graph and
    the radii of its components; the rest by Newton's method from below, which converges monotonically (Etessami &
    Yannakakis 2009; Esparza et al. 2010). Near criticality the solution is almost a double root, where f(q) − q is
    round-off over a slope that vanishes: so above ½ the unknown is the survival probability 1 − q (see `_shortfall`),
    and errors stay at some round-offs of 1 however near.
    """
    finite = productive(grammar)
    sure = certain(grammar, finite)
    open_ = np.flatnonzero(finite & ~sure)
    q = sure.astype(float)
    # After |open| rounds every open nonterminal has left 0, and Newton may divide by it.
    for _ in range(len(open_) + 1):
        q[open_] = grammar.sum_rules(grammar.multiply_symbols(q))[open_]
    survival = 1 - q
    for _ in range(NEWTON_STEPS if open_.size else 0):
        products = grammar.multiply_symbols(q)
        likely = q > 0.5
        residual = np.where(likely, _shortfall(grammar, survival), grammar.sum_rules(products) - q)
        slope = np.eye(len(open_)) - _jacobian(grammar, q, products)[np.ix_(open_, open_)]
        step = np.zeros(len(q))
        step[open_] = np.linalg.solve(slope, residual[open_])
        survival = np.clip(np.where(likely, survival - step, 1 - (q + step)), 0.0, 1.0)
        q = np.clip(np.where(likely, 1 - survival, q + step), 0.0, 1.0)
        if np.all(np.abs(step) <= NEWTON_TOLERANCE * np.minimum(q, survival)):
            break
    return q


def _shortfall(grammar: "Grammar", survival: Floats) -> Floats:
    """f(q) − q of f_A(q) = Σ p(A → γ) ∏ q, from the survival probabilities u = 1 − q, without cancellation.

    1 − ∏ (1 − u_B) is Σ u_B less a remainder of second order, both sums of positive terms. So f(q) − q = (I − M) u +
    Σ p(A → γ) remainder, where only I − M subtracts, and there exactly.
    """
    position, child = grammar.children
    rule = grammar.symbol_rule[position]
    count = np.bincount(rule, minlength=len(grammar.weights))
    first = np.cumsum(count) - count
    some, remainder = np.zeros(len(count)), np.zeros(len(count))  # of the children so far: some survives; Σ u − that
    for place in range(count.max(initial=0)):
        owners = np.flatnonzero(count > place)
        u = survival[child[first[owners] + place]]
        remainder[owners] += u * some[owners]
        some[owners] += u * (1 - some[owners])
    return (np.eye(len(survival)) - grammar.mean_matrix) @ survival + grammar.sum_rules(remainder)


def _jacobian(grammar: "Grammar", q: Floats, products: Floats) -> Floats:
    """∂f_A/∂q_B of f_A(q) = Σ p(A → γ) ∏ q: each occurrence of B contributes the rule's product without it."""
    jacobian = np.zeros((len(q), len(q)))
    position, child = grammar.children
    rule = grammar.symbol_rule[position]
    share = np.divide(products[rule], q[child], out=np.zeros(len(child)), where=q[child] > 0)
    np.add.at(jacobian, (grammar.rule_lhs[rule], child), grammar.weights[rule] * share)
    return jacobian
