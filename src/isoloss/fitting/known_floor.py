"""The known floor: where a corpus's best possible loss is exact, a law can take it for E, or be judged by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoloss.core.errors import InputError
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.numbers import percent, some
from isoloss.core.plain_json import fields_json
from isoloss.fitting.domain import LawWarning
from isoloss.laws.law import Floats, Law
from isoloss.laws.settings import FloorUse
from isoloss.runs.observations import Observations

IRREDUCIBLE = "E"
SAME_FLOOR = 1e-6  # floors of one corpus may differ by rounding
FAR = 3.0  # standard errors from the floor at which E is warned of


@dataclass(frozen=True, kw_only=True)
class KnownFloor:
    """The exact best possible loss of a corpus next to a law's E, in nats per token.

    `held`: E was fixed to it. Otherwise `z` = (E − floor)/stderr, and `inside` says whether E's interval holds the
    floor; both are None where E has no standard error, being at its bound, or no interval.
    """

    value: float
    held: bool
    E: Estimate
    stderr: float | None = None
    z: float | None = None
    inside: bool | None = None

    def sentence(self) -> str:
        """Return what the floor says of the law, in plain English."""
        if self.held:
            return f"E is fixed at the known floor, {self.value:.4g} nats per token."
        if self.z is None:
            return f"The known floor is {self.value:.4g} nats per token; E = {self.E.value:.4g} has no standard error."
        side = "above" if self.z > 0 else "below"
        distance = f"{abs(self.z):.1f} standard errors {side} the known floor {self.value:.4g}"
        verdict = f"E = {self.E.value:.4g} is {distance}"
        if self.inside is None:
            return f"{verdict}."
        contains = "contains" if self.inside else "does not contain"
        return f"{verdict}; its {percent(self.E.level)} interval {contains} the floor."

    def to_json(self) -> dict[str, Any]:
        """Return the key `floor` of a fit."""
        return fields_json(self) | {"sentence": self.sentence()}


def floor_of(observations: Observations, *, law: type[Law], use: FloorUse) -> float | None:
    """Return the one floor of a group, or None where it is unknown, ignored, or means nothing to the law.

    Raises InputError for floors that differ or lie above every loss, and where a floor is to be held and cannot.
    """
    known = observations.floor
    if use == "hold" and IRREDUCIBLE not in law.fixable:
        raise InputError(f"{law.name} has no irreducible loss E to fix at a floor", fix="use a law with E")
    if use == "hold" and known is None:
        raise InputError(
            "no floor to hold E at", fix="give the floor as a column or a number (on the command line: --floor 0.98)"
        )
    if use != "ignore" and known is not None and (observations.loss_nats < known).all():
        raise InputError(
            f"the floor, {known.min():.6g} nats per token, is above every loss (largest: "
            f"{observations.loss_nats.max():.6g}), but no model can be better than the floor",
            fix="give the floor in the unit of the losses and for the same documents (on the command line: "
            "--floor), or leave it out",
        )
    if use == "ignore" or known is None or IRREDUCIBLE not in law.parameters:
        return None
    if np.ptp(known) > SAME_FLOOR * known.max():
        raise InputError(
            f"the runs of one fit have floors from {known.min():.6g} to {known.max():.6g}",
            fix="fit each corpus by itself (on the command line: --group)",
        )
    return float(known[0])


def score_floor(value: float, *, estimate: Estimate, draws: Floats, stderr: float) -> KnownFloor:
    """Return E against the floor. `draws` are E's (none without resamples); `stderr` serves where there are none."""
    if len(draws) >= 2:
        stderr = float(draws.std(ddof=1))
    usable = bool(np.isfinite(stderr)) and stderr > 0
    inside = estimate.holds(value)
    return KnownFloor(
        value=value,
        held=False,
        E=estimate if inside is not None or not usable else Estimate.from_stderr(estimate.value, stderr, level=LEVEL),
        stderr=stderr if usable else None,
        z=(estimate.value - value) / stderr if usable else None,
        inside=inside,
    )


def floor_warnings(floor: KnownFloor, observations: Observations) -> Iterator[LawWarning]:
    """Yield what a known floor gives reason to warn of: an E far from it, and losses below it."""
    if floor.z is not None and abs(floor.z) > FAR:
        yield LawWarning(
            code="floor_missed",
            message=f"{floor.sentence()} Either the law fails near the floor, or the grid does not reach far "
            "enough. Fix E at the floor (on the command line: --floor-use hold) and compare, or add larger "
            "and longer runs.",
        )
    below = observations.loss_nats < floor.value
    if below.any():
        rows = observations.rows[below].tolist()
        yield LawWarning(
            code="loss_below_floor",
            message=f"{below.sum()} of {len(below)} losses (row {some(rows)}) are below the floor, "
            f"{floor.value:.4g} nats per token, but no model can be better than the floor. Check that "
            "losses and floor have the same unit and documents.",
            rows=tuple(rows),
        )
