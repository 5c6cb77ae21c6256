"""How a law is fitted: the options that library, command line and study share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from isoloss.core.errors import InputError

Objective = Literal["huber", "lad", "gaussian"]
StartsName = Literal["auto", "hoffmann"]
FloorUse = Literal["score", "hold", "ignore"]
WeightsName = Literal["equal", "stderr"]
MethodName = Literal["auto", "rows", "trunks", "parametric_trunks"]
FlagName = Literal["unconverged", "saturated", "diverged"]

EXCLUDED_FLAGS: tuple[FlagName, ...] = ("unconverged", "saturated")


class SharedOptions(TypedDict, total=False):
    """The options of `FitSettings` without `method`, as keywords."""

    objective: Objective
    delta: float
    starts: StartsName
    fixed: Mapping[str, float]
    weights: WeightsName
    floor: FloorUse
    exclude_flags: Sequence[str]


class FitOptions(SharedOptions, total=False):
    """The options of `FitSettings`, as keywords."""

    method: MethodName


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit minimises, from where, on which rows, and by which method it draws.

    The objective is the sum over rows of Huber's loss (`delta`), the absolute value (`lad`) or half the square
    (`gaussian`) of ln L − ln L̂, as in Hoffmann et al. 2022. `starts="hoffmann"` takes their 4,500. Parameters in
    `fixed` are held. `weights="stderr"` weighs rows by 1/σ² of ln L, mean 1. Where the table knows its floor, E is
    scored against it, or held at it (`floor="hold"`). Runs flagged with one of `exclude_flags` are left out and
    listed. `method` says what is resampled for the intervals.
    """

    objective: Objective = "huber"
    delta: float = 1e-3
    starts: StartsName = "auto"
    fixed: Mapping[str, float] = field(default_factory=dict)
    weights: WeightsName = "equal"
    floor: FloorUse = "score"
    exclude_flags: Sequence[str] = EXCLUDED_FLAGS
    method: MethodName = "auto"

    def refuse(self, *names: str, by: str, fix: str) -> None:
        """Raise InputError where one of these settings is not the usual one: the fit named in `by` does not use it."""
        for name in names:
            found, usual = getattr(self, name), getattr(USUAL, name)
            if found != usual:
                raise InputError(
                    f"found {name}={found!r}, expected {usual!r}: {by} does not use it", place=name, fix=fix
                )


USUAL = FitSettings()
