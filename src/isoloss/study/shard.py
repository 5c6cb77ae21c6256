"""A part of a study for one job of a queue system: `--shard 2/8`."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from isoloss.core.errors import InputError
from isoloss.training.job import TrunkJob


class Shard(NamedTuple):
    """The part `number` (from 1) of `parts`. Parts are of whole trunks, about equally long, and the same
    whoever asks and whatever is trained already.
    """

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that `2/8` names. Raises InputError."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise InputError(
                f"found {text!r}, expected I/N with 1 ≤ I ≤ N", place="--shard", fix="the second of eight parts: 2/8"
            )
        return cls(int(number), int(count))

    def part(self, jobs: Sequence[TrunkJob]) -> list[TrunkJob]:
        """Return this part of all jobs of a study: the longest first, each to the part that has least to do."""
        dealt: list[list[TrunkJob]] = [[] for _ in range(self.parts)]
        loads = [0.0] * self.parts
        for job in sorted(jobs, key=lambda job: (-job.flops, job.trunk)):
            least = loads.index(min(loads))
            dealt[least].append(job)
            loads[least] += job.flops
        return dealt[self.number - 1]
