"""A floor and two powers, L = E + A N^-α + B D^-β, as values and draws, in the arena's words."""

from dataclasses import dataclass

import numpy as np

from isoloss.laws.law import Floats


@dataclass(frozen=True)
class SumOfPowers:
    """Rows of (E, ln A, ln B, α, β): `values` (5,), and what resampling gave, (draws, 5)."""

    values: Floats
    drawn: Floats

    def predict(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss at points (n,)."""
        return np.asarray(losses(self.values[None], params, tokens)[0])

    def draws(self, params: Floats, tokens: Floats) -> Floats:
        """Return the loss of every draw at points: (draws, n)."""
        return losses(self.drawn, params, tokens)

    def floor(self) -> tuple[float, float, float]:
        """Return E with its interval."""
        low, high = np.quantile(self.drawn[:, 0], [0.025, 0.975]).tolist()
        return float(self.values[0]), low, high


def losses(values: Floats, params: Floats, tokens: Floats) -> Floats:
    """Return the loss of every row of values (k, 5) at points (n,): (k, n)."""
    e, a, b, alpha, beta = values.T[..., None]
    return np.asarray(e + np.exp(a - alpha * np.log(params)) + np.exp(b - beta * np.log(tokens)))


def trunk_weights(trunk: Floats, generator: np.random.Generator) -> Floats:
    """Return how often each row counts where training curves are drawn with replacement, (n,)."""
    _, member = np.unique(trunk, return_inverse=True)
    count = member.max() + 1
    return np.bincount(generator.integers(0, count, count), minlength=count)[member].astype(np.float64)
