"""A law of unlimited text, made to know how many unique tokens there are."""

from dataclasses import replace

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.laws.fitted import FittedLaw

REPEATED = "repeated_data"
REPEATABLE = ("chinchilla",)
"""Laws whose terms in N and D the law of repeated data extends."""
