"""Probabilistic grammars whose best possible loss is known: families, closed forms, sampling, the exact floor."""
