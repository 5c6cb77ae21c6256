"""A law that a user brings, named `own_law:NoFloor` in a study: L = A/N^α + B/D^β, nothing irreducible."""

import numpy as np

from isoloss.laws import compiled
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Law


@compiled
def _no_floor(free, features, log_loss, jacobian):
    a, b, alpha, beta = free
    for i in range(log_loss.size):
        of_params, of_tokens = np.exp(a - alpha * features[0, i]), np.exp(b - beta * features[1, i])
        loss = of_params + of_tokens
        log_loss[i] = np.log(loss)
        jacobian[0, i], jacobian[1, i] = of_params / loss, of_tokens / loss
        jacobian[2, i], jacobian[3, i] = -jacobian[0, i] * features[0, i], -jacobian[1, i] * features[1, i]


def with_floor(values):
    """Return Chinchilla's parameters of such a law: E = 0 first."""
    return np.concatenate([np.zeros((*np.shape(values)[:-1], 1)), values], axis=-1)


class NoFloor(Law):
    name = "no_floor"
    formula = "L = A/N^α + B/D^β"
    source = "a test"
    parameters = ("A", "B", "alpha", "beta")
    fixable = ("alpha", "beta")
    kernel = _no_floor
    features = staticmethod(Chinchilla.features)

    @staticmethod
    def to_free(values, origin):
        return Chinchilla.to_free(with_floor(values), origin)[..., 1:]

    @staticmethod
    def to_values(free, origin):
        return Chinchilla.to_values(with_floor(free), origin)[..., 1:]

    @staticmethod
    def bounds(features, log_loss):
        low, high = Chinchilla.bounds(features, log_loss)
        return low[1:], high[1:]

    @staticmethod
    def automatic_starts(features, log_loss):
        return Chinchilla.automatic_starts(features, log_loss)[:, 1:]

    @staticmethod
    def published_starts(origin):
        return Chinchilla.published_starts(origin)[:, 1:]

    @staticmethod
    def loss(values, *, params, tokens):
        return Chinchilla.loss(with_floor(values), params=params, tokens=tokens)

    @staticmethod
    def log_optimum(values, *, log_flops):
        return Chinchilla.log_optimum(with_floor(values), log_flops=log_flops)

    @staticmethod
    def exponent_a(values, *, log_flops):
        return Chinchilla.exponent_a(with_floor(values))


class NotALaw:
    pass
