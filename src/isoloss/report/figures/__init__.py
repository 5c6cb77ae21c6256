"""One module a figure: arrays and fitted laws in, a matplotlib Figure out."""
