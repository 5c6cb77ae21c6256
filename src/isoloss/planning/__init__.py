"""From a law to what to train: splits of a budget, published frontiers as anchors, and which runs to train next."""
