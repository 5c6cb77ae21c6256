"""How much may be asked for, wherever it is asked: more is a slip of the hand, and would not end."""

MOST_DRAWS = 1_000_000  # of an interval
