"""Simulated sweeps of rate and batch, whose best rate and batch are known."""

import numpy as np

from isoloss.tuning.sweep import SweptRun

SIZES, HORIZONS = (20_000, 45_000, 100_000, 220_000), (32_768, 524_288)
BATCHES, FACTORS = (256, 512, 1024, 2048, 4096), (0.125, 0.25, 0.5, 1, 2, 4, 8)
CURVATURE = 0.04  # of ln loss in ln rate: 1 % at twice the best rate, as the demo's models have it


def best_batch(params, tokens, *, tokens_exponent=0.2):
    return 900 * (tokens / 131_072) ** tokens_exponent


def best_rate(params, tokens, batch, *, tokens_exponent=-0.1):
    return 5e-3 * (params / 1e5) ** -0.5 * (tokens / 131_072) ** tokens_exponent * (batch / 1024) ** 0.4


def sweep(*, noise=0.0, seed=0, tokens_exponent=-0.1, size_noise=0.0, centre=1.0, batches=BATCHES):
    generator = np.random.default_rng(seed)
    runs = []
    for params in SIZES:
        own = np.exp(generator.normal(0, size_noise)) if size_noise else 1.0
        for tokens in HORIZONS:
            for batch in batches:
                best = own * best_rate(params, tokens, batch, tokens_exponent=tokens_exponent)
                for factor in FACTORS:
                    rate = centre * factor * best_rate(params, 131_072, batch)
                    log_loss = 1 - 0.1 * np.log(params / 1e5) - 0.1 * np.log(tokens / 131_072)
                    log_loss += CURVATURE / 2 * np.log(rate / best) ** 2
                    log_loss += 0.01 / 2 * np.log(batch / best_batch(params, tokens)) ** 2
                    loss = float(np.exp(log_loss + generator.normal(0, noise))) if rate < 10 * best else None
                    runs.append(SweptRun(params=params, tokens=tokens, seed=0, peak_lr=rate, batch_tokens=batch,
                                         loss_nats=loss))  # fmt: skip
    return runs
