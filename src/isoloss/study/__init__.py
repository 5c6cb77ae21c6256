"""A question as a file, and the laboratory that answers it: the only place where rooms work together."""
