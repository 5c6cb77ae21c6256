"""How a law is fitted: the options that library, command line and study share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, TypedDict, get_args

from isoloss.core.errors import InputError, require_known

Objective = Literal["huber", "lad", "gaussian"]
StartsName = Literal["auto", "hoffmann"]
FloorUse = Literal["score", "hold", "ignore"]
WeightsName = Literal["equal", "stderr"]
MethodName = Literal["auto", "rows", "trunks", "parametric_trunks"]
FlagName = Literal["unconverged", "saturated", "diverged"]

EXCLUDED_FLAGS: tuple[FlagName, ...] = ("unconverged", "saturated")
_NAMED: dict[str, tuple[str, Any]] = {
    "objective": ("objective", Objective), "starts": ("starts", StartsName), "weights": ("weights", WeightsName),
    "floor": ("use of a floor", FloorUse), "method": ("interval method", MethodName),
}  # fmt: skip


def require_flags(flags: Sequence[str]) -> None:
    """Raise InputError for a flag that no run earns, and for a text in place of a list of flags."""
    if isinstance(flags, str):
        raise InputError(
            f"found the text {flags!r}, expected a list of flags", place="exclude_flags", fix=f"write [{flags!r}]"
        )
    for flag in flags:
        require_known(str(flag), get_args(FlagName), what="flag", place="exclude_flags")


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
    listed. `method` says what is resampled for the intervals. Raises InputError for a value that is none of a setting.
    """

    objective: Objective = "huber"
    delta: float = 1e-3
    starts: StartsName = "auto"
    fixed: Mapping[str, float] = field(default_factory=dict)
    weights: WeightsName = "equal"
    floor: FloorUse = "score"
    exclude_flags: Sequence[str] = EXCLUDED_FLAGS
    method: MethodName = "auto"

    def __post_init__(self) -> None:
        for setting, (what, names) in _NAMED.items():
            require_known(str(getattr(self, setting)), get_args(names), what=what, place=setting)
        if not (isinstance(self.delta, Real) and 0 < self.delta < math.inf):
            raise InputError(
                f"found {self.delta!r}, expected a number above zero", place="delta", fix="give Huber's δ, such as 1e-3"
            )
        require_flags(self.exclude_flags)
        if self.floor == "hold" and "E" in self.fixed:
            raise InputError(
                f"E is fixed at {self.fixed['E']}, and is to be held at the known floor too", place="floor",
                fix="leave one of them out, or compare the fixed E with the floor: floor='score' (on the command line: "
                "--floor-use score)",
            )  # fmt: skip

    def refuse(self, *names: str, by: str, fix: str) -> None:
        """Raise InputError where one of these settings is not the usual one: the fit named in `by` does not use it."""
        for name in names:
            found, usual = getattr(self, name), getattr(USUAL, name)
            if found != usual:
                raise InputError(
                    f"found {name}={found!r}, expected {usual!r}: {by} does not use it", place=name, fix=fix
                )


USUAL = FitSettings()
