"""How often the comparison of predictors finds the true driver, over numbers of sources and the share that it explains.

    python benchmarks/predictors_power.py --studies 16

Every study has five measures: the driver, two correlated with it (.8 and .4) and two of chance. E, A0 and B0 follow the
driver, which explains `share` of their variance between corpora; 0 is a study in which nothing drives. 5 sizes × 6
token counts a corpus, noise .4 %, 120 permutations.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from isoloss.data_dependence.coefficients import to_values
from isoloss.data_dependence.predictor_comparison import smallest_explained
from isoloss.data_dependence.predictors import compare_predictors
from isoloss.laws.chinchilla import Chinchilla
from isoloss.runs.observations import Observations, observations

MEASURES = ("driver", "shadow", "half", "placebo", "noise")
CORRELATIONS = (0.8, 0.4, 0.0, 0.0)
MIDDLE = np.array([1.5, np.log(0.6), np.log(0.5), np.log(0.34), np.log(0.36)])  # E, and logarithms of the others
FOLLOW = np.array([1.0, -2.0, 2.0, 0.0, 0.0])  # per unit of the driver, which lies between .1 and .7
ROUNDS = 120


def study(corpora: int, share: float, seed: int) -> Observations:
    """Return one simulated study."""
    generator = np.random.default_rng([seed, corpora, int(1000 * share)])
    driver = generator.uniform(0.1, 0.7, corpora)
    moved = np.abs(FOLLOW) * driver.std()
    scatter = np.where(FOLLOW != 0, moved * (np.sqrt((1 - share) / share) if share else 1.0), 0.03)
    eta = MIDDLE + (share > 0) * FOLLOW * (driver - driver.mean())[:, None]
    eta = eta + scatter * generator.standard_normal((corpora, 5))
    coefficients = np.column_stack([np.maximum(eta[:, 0], 0.2), np.exp(eta[:, 1:])])
    z = (driver - driver.mean()) / driver.std()
    others = [r * z + np.sqrt(1 - r * r) * generator.standard_normal(corpora) for r in CORRELATIONS]
    params, tokens = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 6)))
    origin, n = np.array([np.log(params).mean(), np.log(tokens).mean()]), len(params)
    losses = [Chinchilla.loss(to_values(own, origin), params=params, tokens=tokens) for own in coefficients]
    return observations(
        params=np.tile(params, corpora), tokens=np.tile(tokens, corpora),
        loss_nats=np.concatenate(losses) * np.exp(0.004 * generator.standard_normal(n * corpora)),
        corpus=np.repeat([f"c{j}" for j in range(corpora)], n),
        complexity={name: np.repeat(column, n) for name, column in zip(MEASURES, (driver, *others), strict=True)},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=16)
    options = parser.parse_args()
    print("sources  share  driver wins  another wins  driver wins on balance  error, one law's, one run's")
    for corpora in (4, 6, 8, 12):
        print(f"{corpora} sources: by a t test {smallest_explained(corpora, len(MEASURES)):.2f} would be found in .80")
        for share in (0.0, 0.7, 0.9, 0.97):
            wins = np.zeros(3, dtype=int)
            errors = []
            for seed in range(options.studies):
                comparison = compare_predictors(study(corpora, share, seed), MEASURES, rounds=ROUNDS)
                winner, balance = (
                    None if c is None else c.measure for c in (comparison.winner, comparison.balance_winner)
                )
                wins += [winner == "driver", winner not in (None, "driver"), balance == "driver"]
                loss = comparison.measures[0].loss
                errors.append((loss.heldout, loss.pooled, loss.proxy))
            shown = ", ".join(f"{error:.3f}" for error in np.mean(errors, axis=0))
            print(f"{corpora:7d}  {share:5.2f}  {wins[0]:11d}  {wins[1]:12d}  {wins[2]:22d}  {shown}", flush=True)


if __name__ == "__main__":
    main()
