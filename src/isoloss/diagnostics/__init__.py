"""Whether a fit can be trusted: profiles, backtests, coverage of intervals."""
