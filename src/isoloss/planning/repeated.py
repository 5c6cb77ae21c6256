"""A law of unlimited text, made to know how many unique tokens there are."""

from dataclasses import replace

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.laws.fitted import FittedLaw
from isoloss.laws.repeated import Repeated

REPEATABLE = ("chinchilla",)
"""Laws whose terms in N and D the law of repeated data extends."""

# Muennighoff et al. 2023, arXiv:2305.16264, table of section 3: half-lives of repeated tokens and excess parameters.
PUBLISHED = {"R_D": 15.387756, "R_N": 5.309743}
# What their 182 runs really say: quantiles of the logarithms over 2,000 bootstrap refits (Huber, δ = 1e-3, the other
# parameters as published). R_D* has no upper end: the fit's own bound of 10,000 lies inside the interval. The two trade
# against each other (correlation -.89), so that a draw takes opposite quantiles.
LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)
LOG_R_D = (1.67, 2.79, 4.29, 7.11, 9.21)
LOG_R_N = (-1.30, -0.34, 0.54, 1.63, 2.94)


def with_repetition(law: FittedLaw) -> FittedLaw:
    """Return Chinchilla's law with half-lives of repetition: as published, its draws over what the runs there allow."""
    share = stream(law.seed, "half-lives of repetition", law.observations).uniform(size=len(law.draws))
    half_lives = np.exp(np.column_stack([np.interp(share, LEVELS, LOG_R_D), np.interp(1 - share, LEVELS, LOG_R_N)]))
    further = {
        name: Estimate.from_draws(half_lives[:, i], value=value) for i, (name, value) in enumerate(PUBLISHED.items())
    }
    return replace(law, law=Repeated.name, params=law.params | further, draws=np.column_stack([law.draws, half_lives]))
