"""What data do to compute-optimal training: the parts of `python studies/answer.py`."""
