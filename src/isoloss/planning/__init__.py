"""From a law to what to train: splits of a budget, published frontiers to start from, and which runs to train next."""
