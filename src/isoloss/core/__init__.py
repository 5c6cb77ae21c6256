"""Foundations that know nothing of scaling laws: errors, identity, randomness, estimates, files, registries."""
