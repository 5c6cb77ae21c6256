"""Learning rate and batch against size and horizon."""
