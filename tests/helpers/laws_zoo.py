"""One true law of every registered kind, and a grid of runs that determines it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import qmc

from isoloss.fitting.engine import Problem, starting_points
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import laws
from isoloss.runs.observations import Observations, observations

SIZES = np.geomspace(1e7, 1e10, 8)
TOKENS = np.geomspace(1e9, 1e12, 8)
BATCHES = np.geomspace(6e4, 6e6, 4)
UNIQUE = (1e8, 1e9, 1e10)
EPOCHS = (0.5, 1.0, 4.0, 16.0, 64.0, 256.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A law with the parameters that made the runs, and the runs' columns."""

    law: type[Law]
    truth: Mapping[str, float]
    columns: Mapping[str, Floats]

    @property
    def values(self) -> Floats:
        return np.array([self.truth[name] for name in self.law.parameters])

    def loss(self) -> Floats:
        return self.law.loss(self.values, **{name: self.columns[name] for name in self.law.columns})

    def table(self, *, point_sd: float = 0.0, seed: int = 0) -> Observations:
        """Return the runs with normal noise in ln L."""
        loss = self.loss()
        noise = np.random.default_rng(seed).normal(0, point_sd, len(loss)) if point_sd else 0.0
        extra = {name: column for name, column in self.columns.items() if name not in ("params", "tokens", "flops")}
        return observations(
            params=self.columns["params"], tokens=self.columns["tokens"], loss_nats=loss * np.exp(noise), extra=extra
        )


def _grid(*axes: Floats) -> list[Floats]:
    return [np.array(axis) for axis in zip(*product(*axes), strict=True)]


def _case(name: str, truth: Mapping[str, float]) -> Case:
    params, tokens = _grid(SIZES, TOKENS)
    columns = {"params": params, "tokens": tokens, "flops": 6 * params * tokens}
    if name == "repeated":
        params, unique, epochs = _grid(SIZES, UNIQUE, EPOCHS)
        columns = {"params": params, "tokens": unique * epochs, "unique_tokens": unique}
    elif name == "critical_batch":
        params, tokens, batch = _grid(SIZES[::2], TOKENS[::2], BATCHES)
        columns = {"params": params, "tokens": tokens, "batch_tokens": batch}
    elif name == "loss_to_loss":
        columns |= {"other_loss": 1.7 + 480 / params**0.35 + 2100 / tokens**0.37}
    return Case(law=laws[name], truth=truth, columns=columns)


CASES = {
    name: _case(name, truth)
    for name, truth in {
        "chinchilla": {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37},
        # Kaplan et al. 2020, table of section 1.2.
        "kaplan": {"Nc": 6.4e13, "Dc": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        "kaplan_params": {"Nc": 8.8e13, "alpha_N": 0.076},
        "kaplan_tokens": {"Dc": 5.4e13, "alpha_D": 0.095},
        "kaplan_flops": {"Cc": 1.6e25, "alpha_C": 0.057},
        "offset_params": {"E": 2.0, "A": 60.0, "alpha": 0.25},
        "offset_tokens": {"E": 1.9, "A": 3000.0, "alpha": 0.4},
        "offset_flops": {"E": 1.6, "A": 1500.0, "alpha": 0.16},
        # Muennighoff et al. 2023, their fit to C4.
        "repeated": {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353, "R_D": 15.4, "R_N": 5.3},
        # Kaplan et al. 2020, section 5 and table 3, above an irreducible loss of their scale.
        "critical_batch": {
            "E": 0.5, "Nc": 6.5e13, "Sc": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76, "B_star": 2.1e8, "kappa": 4.8,
        },
        # Of the size of Li et al.'s own fit, whose losses are bits per character.
        "farseer": {
            "a3": -0.021, "b3": 0.091, "gamma": 0.169, "a2": 88.0, "b2": -5.3, "beta": -0.1, "a1": -0.124, "b1": 0.424,
            "alpha": 0.123,
        },
        "loss_to_loss": {"E": 1.1, "E_other": 1.5, "K": 0.8, "kappa": 1.2},
        "coupled": {"E": 1.2, "A": 480.0, "B": 2100.0, "alpha": 0.3, "beta": 0.33, "gamma": 0.4},
        "ceiling": {"E": 1.8, "a": 1500.0, "b": 5000.0, "alpha": 0.45, "beta": 0.44, "L0": 5.5},
    }.items()
}  # fmt: skip


def random_case(name: str, seed: int) -> tuple[Observations, float]:
    """Return runs of a random law of a kind on a random grid with random noise, and the noise in ln L.

    The truth is drawn in free parameters: the levels of terms at the centre of the data, and exponents.
    """
    generator = np.random.default_rng(seed)
    law = laws[name]
    columns = _random_columns(name, generator)
    features = law.features(**{column: columns[column] for column in law.columns})
    free = np.array([generator.uniform(low, high) for low, high in _RANGES[name]])
    if name == "loss_to_loss":
        free[1] *= columns["other_loss"].min()
    elif name == "critical_batch":
        free[5] += free[6] * np.log(3.0)  # B_crit is of the order of the batches at a loss of 3 nats
    if law.parameters[0] == "E":
        free[0] *= generator.choice([0.0, 1.0])
    origin = law.origin(features)
    loss = law.loss(law.to_values(free, origin), **{column: columns[column] for column in law.columns})
    noise = 10 ** generator.uniform(-4, -1)
    extra = {column: found for column, found in columns.items() if column not in ("params", "tokens", "flops")}
    table = observations(
        params=columns["params"], tokens=columns["tokens"], extra=extra,
        loss_nats=loss * np.exp(generator.normal(0, noise, len(loss))),
    )  # fmt: skip
    return table, noise


_E, _LEVEL, _EXPONENT = (0.3, 2.5), (-2.5, 0.7), (0.1, 1.2)
_RANGES: Mapping[str, list[tuple[float, float]]] = {
    "chinchilla": [_E, _LEVEL, _LEVEL, _EXPONENT, _EXPONENT],
    "kaplan": [(0.0, 1.5), (0.0, 1.5), (0.03, 0.5), (0.03, 0.5)],
    **{f"kaplan_{column}": [(0.0, 1.5), (0.03, 0.5)] for column in ("params", "tokens", "flops")},
    **{f"offset_{column}": [_E, _LEVEL, _EXPONENT] for column in ("params", "tokens", "flops")},
    "repeated": [_E, _LEVEL, _LEVEL, (0.15, 0.8), (0.15, 0.8), (0.0, 4.6), (0.0, 4.6)],
    "critical_batch": [_E, _LEVEL, _LEVEL, (0.05, 0.8), (0.2, 1.0), (-1.5, 1.5), (0.0, 6.0)],
    "farseer": [
        (-0.5, 0.0), (-0.3, 1.0), (-0.5, 0.5), (-0.3, 0.1), (-2.5, 0.5), (-0.5, 0.5), (-0.1, 0.1), (-1.6, -0.5),
        (-0.5, 0.5),
    ],
    "loss_to_loss": [_E, (0.0, 0.95), (-1.0, 1.0), (0.4, 2.0)],
    "coupled": [_E, _LEVEL, _LEVEL, _EXPONENT, _EXPONENT, (0.2, 1.2)],
    "ceiling": [_E, (-4.0, 0.5), (-4.0, 0.5), _EXPONENT, _EXPONENT, (1.0, 2.0)],
}  # fmt: skip


def _random_columns(name: str, generator: np.random.Generator) -> dict[str, Floats]:
    sizes = np.geomspace(10 ** generator.uniform(4, 7), 10 ** generator.uniform(8, 10), generator.integers(4, 9))
    tokens = np.geomspace(10 ** generator.uniform(6, 8), 10 ** generator.uniform(9, 11), generator.integers(4, 7))
    params, data = _grid(sizes, tokens)
    columns = {"params": params, "tokens": data, "flops": 6 * params * data}
    if name == "repeated":
        params, unique, epochs = _grid(sizes, tokens[::2], EPOCHS[1:])
        columns = {"params": params, "tokens": unique * epochs, "unique_tokens": unique}
    elif name == "critical_batch":
        batches = np.geomspace(10 ** generator.uniform(3, 5), 10 ** generator.uniform(6, 7), 4)
        params, data, batch = _grid(sizes[::2], tokens, batches)
        columns = {"params": params, "tokens": data, "batch_tokens": batch}
    elif name == "loss_to_loss":
        E, a, b = generator.uniform(0.5, 2.0, 3)
        spread = (np.log(params) - np.log(params).mean(), np.log(data) - np.log(data).mean())
        columns["other_loss"] = E + a * np.exp(-0.3 * spread[0]) + b * np.exp(-0.35 * spread[1])
    return columns


def dense_starts(problem: Problem, *, count: int, seed: int = 0) -> Floats:
    """Return `count` free starting points: half spread evenly over the bounds, half around automatic ones."""
    even = qmc.Sobol(len(problem.low), seed=seed).random(count // 2)
    width = problem.high - problem.low
    generator = np.random.default_rng(seed)
    automatic = starting_points(problem, "auto")
    near = automatic[generator.integers(len(automatic), size=count - count // 2)]
    shifted = near + generator.normal(0, 0.1, near.shape) * width
    return np.clip(np.vstack([problem.low + even * width, shifted]), problem.low, problem.high)
