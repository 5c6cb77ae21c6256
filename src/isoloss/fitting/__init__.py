"""From a table of runs to a fitted law: one engine, its proof of convergence, intervals and predictions."""
