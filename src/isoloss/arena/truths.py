"""Known surfaces of the loss in five forms, designs of runs on them, and the best split that each surface has.

Every form is the one fitted to bundled runs that follow it best: Chinchilla's and Farseer's to English, the coupled one
(γ held at .4), the ceiling and Kaplan's to Python source. A surface is moved so that its best split of the budget
lies at the centre of the design.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isoloss.laws.law import Floats
from isoloss.laws.registry import laws
from isoloss.runs.observations import Observations, observations

REFERENCE_FLOPS = 1.6e11
POINT_SD = 0.004
TRUNK_SDS = (0.005, 0.01)
FORMS: Mapping[str, Mapping[str, float]] = {
    "chinchilla": {"E": 0.7876, "A": 29.02, "B": 115.2, "alpha": 0.4183, "beta": 0.4024},
    "coupled": {"E": 0.1965, "A": 13.13, "B": 25.32, "alpha": 0.2361, "beta": 0.2199, "gamma": 0.4},
    "farseer": {
        "a3": 4.529, "b3": -1.326, "gamma": -0.1056, "a2": 35450.0, "b2": 4.783, "beta": -1.5, "a1": -0.05076,
        "b1": -0.7446, "alpha": 0.1,
    },
    "ceiling": {"E": 0.8286, "a": 89.52, "b": 709.5, "alpha": 0.58, "beta": 0.5787, "L0": 3.76},
    "kaplan": {"Nc": 4.05e5, "Dc": 5.87e6, "alpha_N": 0.1724, "alpha_D": 0.2076},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """Sizes and token counts of runs, and which trunk each is of; `centre` is (N, D) of the best split asked for."""

    params: Floats
    tokens: Floats
    trunk: np.ndarray
    centre: tuple[float, float]

    @property
    def flops(self) -> float:
        """The budget whose best split is the centre."""
        return 6 * self.centre[0] * self.centre[1]

    def with_sizes(self, factor: float) -> "Design":
        """Return the same runs at other sizes, asked for the same split."""
        return replace(self, params=self.params * factor)


def _crossed(sizes: Floats, tokens: Floats) -> Design:
    """Return every size at every token count, a trunk a size, asked for the middle of both."""
    n, d = (axis.ravel() for axis in np.meshgrid(sizes, tokens, indexing="ij"))
    middle = float(np.exp(np.log(sizes).mean())), float(np.exp(np.log(tokens).mean()))
    return Design(params=n, tokens=d, trunk=np.repeat(np.arange(len(sizes)), len(tokens)), centre=middle)


def _staircase() -> Design:
    """Return small sizes trained long and large ones short, a trunk a size."""
    ends = {6.7e3: 3.2e6, 1.2e4: 3.2e6, 2.5e4: 1.6e6, 5e4: 8e5, 1e5: 4e5, 2e5: 4e5}
    counts = [5e4 * 2.0 ** np.arange(round(np.log2(end / 5e4)) + 1) for end in ends.values()]
    return Design(
        params=np.repeat(list(ends), [len(own) for own in counts]), tokens=np.concatenate(counts),
        trunk=np.repeat(np.arange(len(ends)), [len(own) for own in counts]), centre=(3.6e4, 3.6e5),
    )  # fmt: skip


def _by_budgets() -> Design:
    """Return the grid of `isoloss demo`: six sizes at four budgets from 5e9 FLOPs, two trunks a size."""
    sizes, flops = np.array([4.5e3, 7e3, 1.05e4, 1.6e4, 2.5e4, 4e4]), 5e9 * 2.0 ** np.arange(4)
    n, budget, seed = (axis.ravel() for axis in np.meshgrid(sizes, flops, (0, 1), indexing="ij"))
    kept = budget / 6 / n > 1.2 * n  # the largest size has two budgets
    trunk = np.char.add(n.astype(np.int64).astype(str), seed.astype(str))
    return Design(
        params=n[kept], tokens=(budget / 6 / n)[kept], trunk=np.unique(trunk[kept], return_inverse=True)[1],
        centre=(1.34e4, 1.76e5),
    )  # fmt: skip


def _foreign() -> Design:
    """Return nineteen single runs of six sizes from 4 to 110 tokens per parameter, some cells empty."""
    sizes, ratios = np.geomspace(1e8, 4e9, 6), (4, 12, 36, 110)
    n = np.repeat(sizes, len(ratios))
    jitter = np.random.default_rng(5).uniform(-0.3, 0.3, len(n))
    d = n * np.tile(ratios, len(sizes)) * np.exp(jitter)
    kept = np.setdiff1d(np.arange(len(n)), (0, 3, 9, 22, 23))
    return Design(params=n[kept], tokens=d[kept], trunk=np.arange(len(kept)), centre=(6e8, 1.3e10))


DESIGNS: Mapping[str, Design] = {
    "5 × 6": _crossed(np.geomspace(7.8e3, 3e5, 5), np.array([1e5 * 2.0**i for i in range(6)])),
    # The first demo's grid, and today's.
    "demo": _crossed(np.geomspace(2.5e4, 2.6e5, 4), np.array([6.25e4 * 2.0**i for i in range(5)])),
    "laptop": _by_budgets(),
    "staircase": _staircase(),
    "foreign": _foreign(),
    # The same runs, asked at a budget that three of their sizes hold; two hold the one above.
    "sparse": replace(_foreign(), centre=(9.1e8, 1.75e10)),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """A surface on a design: the law's values, and what N and D are multiplied by before the law reads them."""

    form: str
    scale: tuple[float, float]

    def loss(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss in nats per token at points (n,)."""
        values = np.array(list(FORMS[self.form].values()))
        return laws[self.form].loss(values, params=params * self.scale[0], tokens=tokens * self.scale[1])

    @property
    def floor(self) -> float | None:
        """The loss at unlimited size and data, in nats per token; None for Farseer's form, which has no such limit.

        Its exponent of data A(N) falls to 0 with size here, so the loss that is tended to depends on which grows first.
        """
        return None if self.form == "farseer" else FORMS[self.form].get("E", 0.0)

    def log_ratio(self, flops: float) -> float:
        """Return ln(D*/N*) of a budget, to 1e-4, within a factor of e⁵ of an even split of its logarithm."""
        best, half = float(np.log(flops / 6)) / 2 - 1, 4.0
        for points in (1601, 401):  # over the whole range, then between the neighbours of the lowest point
            log_n = best + np.linspace(-half, half, points)
            best = float(log_n[self.loss(np.exp(log_n), flops / 6 / np.exp(log_n)).argmin()])
            half = 0.01
        return float(np.log(flops / 6) - 2 * best)


def truth(form: str, design: Design) -> Truth:
    """Return the surface whose best split of the design's budget is the design's centre."""
    bare = Truth(form=form, scale=(1.0, 1.0))
    ratio = bare.log_ratio(REFERENCE_FLOPS)
    n = np.sqrt(REFERENCE_FLOPS / 6 / np.exp(ratio))
    return Truth(form=form, scale=(n / design.centre[0], n * np.exp(ratio) / design.centre[1]))


def runs(surface: Truth, design: Design, *, trunk_sd: float, seed: int, point_sd: float = POINT_SD) -> Observations:
    """Return the design's runs with normal noise of trunks and of points in ln L."""
    generator = np.random.default_rng(seed)
    effects = generator.normal(0, trunk_sd, design.trunk.max() + 1)[design.trunk]
    noise = effects + generator.normal(0, point_sd, len(design.params))
    return observations(
        params=design.params, tokens=design.tokens, trunk=[f"trunk {i}" for i in design.trunk], corpus="planted",
        loss_nats=surface.loss(design.params, design.tokens) * np.exp(noise),
    )  # fmt: skip
