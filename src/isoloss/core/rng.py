"""Randomness is an argument: every stream is derived from (seed, purpose, identity), never from a clock or a worker."""

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str, *identity: str | int) -> int:
    """Return a 63-bit seed for `purpose`, the same on every machine and for any number of workers."""
    text = "\x1f".join([str(seed), purpose, *map(str, identity)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, purpose: str, *identity: str | int) -> np.random.Generator:
    """Return the generator of `purpose`: independent of every other purpose under the same seed."""
    return np.random.default_rng(derive_seed(seed, purpose, *identity))
