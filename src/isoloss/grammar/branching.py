"""A grammar as a branching process of many types: which nonterminals surely end, and how probably the others do.

Matrices are |N| × |N|, indexed by nonterminal. `M[A, B]` is the mean number of B on one right-hand side of A.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from isoloss.grammar.pcfg import Grammar

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A spectral radius this close to 1 counts as 1. Round-off of sums of products of weights stays below 1e-13 for
# thousands of rules; a grammar within 1e-12 of critical ends with probability above 1 − 1e-11 in either case.
CRITICAL_TOLERANCE = 1e-12
NEWTON_TOLERANCE = 1e-15
NEWTON_STEPS = (
    200  # quadratic from a few steps on: about 10 are seen; near-critical grammars gain a bit a step, 53 in all
)


def reaches(matrix: Floats, targets: Mask) -> Mask:
    """Return which nonterminals reach any of `targets` along positive entries of `matrix`, themselves included."""
    adjacent = matrix > 0
    reached = targets.copy()
    while True:
        grown = reached | (adjacent @ reached)
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def reached_from(matrix: Floats, sources: Mask) -> Mask:
    """Return which nonterminals are reached from `sources` along positive entries of `matrix`, themselves included."""
    return reaches(matrix.T, sources)


def component_radii(matrix: Floats) -> Floats:
    """Return for each nonterminal the spectral radius of `matrix` on its strongly connected component.

    The radius of the whole is the largest of them. By component, because each is irreducible and its Perron root
    simple: the eigenvalues of the whole (long chains of components are Jordan blocks) would lose half their digits or
    more.
    """
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
    the radii of its components, so that critical grammars (where the solution is a double root) cost no accuracy; the
    rest by Newton's method from below, which converges monotonically (Etessami & Yannakakis 2009; Esparza et al.
    2010).
    """
    finite = productive(grammar)
    sure = certain(grammar, finite)
    open_ = np.flatnonzero(finite & ~sure)
    q = sure.astype(float)
    for _ in range(
        len(open_) + 1
    ):  # after |open| rounds every open nonterminal has left 0, and Newton may divide by it
        q[open_] = grammar.sum_rules(grammar.multiply_symbols(q))[open_]
    for _ in range(NEWTON_STEPS if open_.size else 0):
        products = grammar.multiply_symbols(q)
        residual = grammar.sum_rules(products)[open_] - q[open_]
        jacobian = _jacobian(grammar, q, products)[np.ix_(open_, open_)]
        step = np.linalg.solve(np.eye(len(open_)) - jacobian, residual)
        q[open_] = np.clip(q[open_] + step, 0.0, 1.0)
        if np.all(np.abs(step) <= NEWTON_TOLERANCE * q[open_]):
            break
    return q


def _jacobian(grammar: "Grammar", q: Floats, products: Floats) -> Floats:
    """∂f_A/∂q_B of f_A(q) = Σ p(A → γ) ∏ q: each occurrence of B contributes the rule's product without it."""
    jacobian = np.zeros((len(q), len(q)))
    position, child = grammar.children
    rule = grammar.symbol_rule[position]
    share = np.divide(products[rule], q[child], out=np.zeros(len(child)), where=q[child] > 0)
    np.add.at(jacobian, (grammar.rule_lhs[rule], child), grammar.weights[rule] * share)
    return jacobian
