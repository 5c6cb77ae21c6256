"""From a RunSpec to a RunRecord: data order, loop, evaluation, checkpoints."""
