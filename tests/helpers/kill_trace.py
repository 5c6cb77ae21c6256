"""What workers tell of work that a kill made them repeat."""

import re

REPEATED = re.compile(r"(\d+) steps \(([\d.]+) s\) are trained again: .* every ([\d.]+) s")
# A step, and what the kill interrupted after it, on a machine that has other things to do.
ONE_STEP = 0.3


def assert_a_kill_costs_one_interval(told):
    """Every repetition told of is no longer than the time between two checkpoints, and a step."""
    for found in REPEATED.finditer(told):
        steps, seconds, interval = int(found[1]), float(found[2]), float(found[3])
        assert steps > 0
        # One step is the least that can be lost, however long a busy machine took over it.
        assert steps == 1 or seconds <= interval + ONE_STEP, found[0]
