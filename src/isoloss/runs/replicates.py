"""What seeds say of noise: how much runs of one trunk share, and how much each branch has for itself.

Replicates are runs of one corpus, size and token count under several seeds. With a trunk a seed and several token
counts a trunk, ln L = cell + trunk + branch is a two-way layout without repetition inside each size: the mean squares
of trunks and of what is left are independent, their expectations branch² + K · trunk² and branch² for K token counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isoloss.core.errors import Unidentified
from isoloss.core.estimate import Estimate
from isoloss.core.plain_json import Plain
from isoloss.core.rng import stream
from isoloss.runs.observations import Observations

Floats = NDArray[np.float64]

DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class ReplicateNoise(Plain):
    """Standard deviations in ln L: `trunk_sd` shared by the runs of a trunk, `branch_sd` of each run by itself.

    `sizes` is how many sizes (of all corpora) had replicates, `trunks` how many trunks they had, `trunk_freedom` and
    `branch_freedom` the degrees of freedom.
    """

    trunk_sd: Estimate
    branch_sd: Estimate
    sizes: int
    trunks: int
    trunk_freedom: int
    branch_freedom: int


def replicate_noise(table: Observations, *, seed: int = 0) -> ReplicateNoise:
    """Return trunk and branch noise from the replicates of a table. Raises Unidentified where there are too few.

    Variances are estimated by mean squares (a trunk variance below zero is zero), with intervals by generalised pivots:
    each sum of squares over a χ² draw (Weerahandi 1993; Hannig et al. 2006). Only token counts that every trunk of a
    size has are used.
    """
    layouts = list(_layouts(table))
    trunk_freedom = sum(len(layout) - 1 for layout in layouts)
    branch_freedom = sum((layout.shape[0] - 1) * (layout.shape[1] - 1) for layout in layouts)
    if branch_freedom < 1:
        raise Unidentified(
            "no size has two trunks with two token counts in common, so noise of trunks and noise of runs cannot be "
            "told apart",
            fix="train more seeds (grid.seeds) under a schedule whose runs share trunks (wsd)",
        )
    trunk_squares = sum(_trunk_squares(layout) for layout in layouts)
    branch_squares = sum(_branch_squares(layout) for layout in layouts)
    per_trunk = sum((layout.shape[0] - 1) * layout.shape[1] for layout in layouts) / trunk_freedom
    generator = stream(seed, "replicate noise", table.fingerprint)
    branch = branch_squares / generator.chisquare(branch_freedom, DRAWS)
    between = trunk_squares / generator.chisquare(trunk_freedom, DRAWS)
    branch_value = branch_squares / branch_freedom
    trunk_value = max(trunk_squares / trunk_freedom - branch_value, 0) / per_trunk
    return ReplicateNoise(
        trunk_sd=_root(np.maximum(between - branch, 0) / per_trunk, trunk_value),
        branch_sd=_root(branch, branch_value),
        sizes=len(layouts), trunks=sum(len(layout) for layout in layouts), trunk_freedom=trunk_freedom,
        branch_freedom=branch_freedom,
    )  # fmt: skip


def _layouts(table: Observations) -> Iterator[Floats]:
    """Yield ln L (trunks, token counts) of every size of every corpus that has at least two of each in common."""
    keys = list(zip(table.corpus.tolist(), table.params.tolist(), strict=True))
    for key in dict.fromkeys(keys):
        rows = [i for i, other in enumerate(keys) if other == key]
        of_trunk: dict[str, dict[float, float]] = {}
        for i in rows:
            of_trunk.setdefault(str(table.trunk[i]), {})[float(table.tokens[i])] = float(np.log(table.loss_nats[i]))
        common = sorted(set.intersection(*map(set, of_trunk.values())))
        if len(of_trunk) > 1 and len(common) > 1:
            yield np.array([[losses[tokens] for tokens in common] for losses in of_trunk.values()])


def _trunk_squares(layout: Floats) -> float:
    means = layout.mean(axis=1)
    return float(layout.shape[1] * ((means - means.mean()) ** 2).sum())


def _branch_squares(layout: Floats) -> float:
    left = layout - layout.mean(axis=1, keepdims=True) - layout.mean(axis=0) + layout.mean()
    return float((left**2).sum())


def _root(variances: Floats, value: float) -> Estimate:
    return Estimate.from_draws(np.sqrt(variances), value=float(np.sqrt(value)))


def replicate_cells(table: Observations) -> NDArray[np.bool_]:
    """Return which rows (n, cells) are replicates of each other: one corpus, size and token count."""
    cell_of = _cell_of(table)
    return np.equal.outer(cell_of, np.arange(cell_of.max() + 1))


def count_replicates(table: Observations) -> int:
    """Return how many rows repeat the corpus, size and token count of another: 0 where either is not known."""
    if not table.has("params", "tokens"):
        return 0
    return len(table) - int(_cell_of(table).max() + 1)


def _cell_of(table: Observations) -> NDArray[np.int64]:
    cells = np.column_stack([np.unique(table.corpus, return_inverse=True)[1], table.params, table.tokens])
    return np.asarray(np.unique(cells, axis=0, return_inverse=True)[1], dtype=np.int64)
