"""Options of `isoloss fit` given in words: columns that laws read, parameters to hold, floors."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from isoloss.laws.law import Law
    from isoloss.runs.observations import Observations

OTHER_LOSS = "other_loss"


def pairs_of(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """Return NAME=VALUE pairs. Raises InputError for text without both."""
    found = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError(f"found {text!r}, expected NAME=VALUE", place=option, fix=f"write it as {option} E=1.8")
        found[name] = value
    return found


def fixed_of(texts: Sequence[str]) -> dict[str, float]:
    """Return the parameters to hold, `E=1.8` or several as `A=520,alpha=.35`. Raises InputError for what is none."""
    from isoloss.runs.observations import LARGEST

    found = {}
    for name, value in pairs_of([part for text in texts for part in text.split(",")], option="--fix").items():
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = math.nan
        if not abs(found[name]) <= LARGEST:
            expected = f"expected a number of at most {LARGEST:.0e}"
            raise InputError(f"found {value!r} for {name}, {expected}", place="--fix", fix="write E=1.8")
    return found


Needing = tuple[str, object, str, object]
"""An option, its value (None: not given), what must be given with it to count, and whether that is."""


def refuse_unused(*options: Needing) -> None:
    """Raise InputError for the first option that was given without what makes it count."""
    for option, needed in unused(*options):
        raise InputError(f"needs {needed}", place=option, fix=f"add {needed}, or leave {option} out")


def unused(*options: Needing) -> list[tuple[str, str]]:
    """Return the options that were given without what makes them count, each with what that is."""
    return [(option, needed) for option, value, needed, there in options if value is not None and not there]


def refuse_beyond(law: "type[Law]") -> None:
    """Raise InputError for a law whose runs cannot be asked of laws of N and D."""
    if not {"params", "tokens"} <= set(law.columns):
        raise InputError(
            f"--beyond asks laws of N and D, and {law.name} reads {', '.join(law.columns)}", place="--beyond",
            fix="fit a law that reads params and tokens, such as --law chinchilla, or leave --beyond out",
        )  # fmt: skip


def extra_columns(law: "type[Law] | None", named: Mapping[str, str | None], *, paired: bool) -> dict[str, str]:
    """Return which source column each further column of a law is: as named, else the one of that very name.

    `paired`: the other loss comes from runs of another corpus and not from a column. Where the law is yet to be chosen
    (None), those that are named.
    """
    if law is None:
        if paired:
            raise InputError(
                "--law auto does not choose laws that read the loss on another corpus", place="--pair-with",
                fix="fit --law loss_to_loss",
            )  # fmt: skip
        return {name: column for name, column in named.items() if column is not None}
    further = list(law.further_columns())
    if paired:
        if OTHER_LOSS not in further:
            raise InputError(
                f"{law.name} does not read the loss on another corpus",
                place="--pair-with",
                fix="fit --law loss_to_loss",
            )
        further.remove(OTHER_LOSS)
    unread = [name for name, column in named.items() if column is not None and name not in law.columns]
    if unread:
        raise InputError(
            f"{law.name} reads {', '.join(law.columns)}, not {unread[0]}",
            fix=f"leave the option out, or fit a law that reads {unread[0]}",
        )
    return {name: named.get(name) or name for name in further}


def needed_columns(law: "type[Law] | None", *, pairing: bool) -> tuple[str, ...]:
    """Return which columns a call cannot do without: what the law reads, or what runs are paired by and it reads.

    A law that is yet to be chosen (None) is one of parameters and tokens.
    """
    by_place = ("params", "tokens") if pairing or law is None else ()
    return (*by_place, *(law.columns if law else ()))


def pair_up(table: "Observations", other: str | None) -> "Observations":
    """Return the runs with the losses of corpus `other`, or the table itself where none is named."""
    if other is None:
        return table
    from isoloss.laws.loss_to_loss import pair_losses

    return pair_losses(table, other=other)
