"""The public registry of laws. A user's own law is named `module:Name`."""

from isoloss.core.errors import InputError
from isoloss.core.registry import Registry
from isoloss.laws.ceiling import Ceiling
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.coupled import Coupled
from isoloss.laws.critical_batch import CriticalBatch
from isoloss.laws.farseer import Farseer
from isoloss.laws.formula import check_definition
from isoloss.laws.kaplan import Kaplan
from isoloss.laws.law import Law
from isoloss.laws.loss_to_loss import LossToLoss
from isoloss.laws.power import KaplanFlops, KaplanParams, KaplanTokens, OffsetFlops, OffsetParams, OffsetTokens
from isoloss.laws.repeated import Repeated

laws: Registry[type[Law]] = Registry("law", own=Law, derive_from="isoloss.Law")
_LAWS: tuple[type[Law], ...] = (
    Chinchilla, Kaplan, KaplanParams, KaplanTokens, KaplanFlops, OffsetParams, OffsetTokens, OffsetFlops,
    Repeated, CriticalBatch, Farseer, LossToLoss, Coupled, Ceiling,
)  # fmt: skip
for _law in _LAWS:
    laws.add(_law.name, _law)

APPROACHES = dict.fromkeys(
    ("envelope", "approach1", "approach_1"), "isoloss.optima.envelope.fit_envelope"
) | dict.fromkeys(("isoflop", "approach2", "approach_2"), "isoloss.optima.isoflop.fit_isoflop")
"""Chinchilla's first two approaches, which are methods and not laws of a row."""


def law_name(definition: type[Law]) -> str:
    """Return the name that `open_law` finds `definition` by: its registered one, or `module:Name`."""
    registered = definition.name in laws and laws[definition.name] is definition
    return definition.name if registered else f"{definition.__module__}:{definition.__qualname__}"


def open_law(name: str) -> type[Law]:
    """Return the law called `name`.

    Raises UnknownName with the nearest, InputError for what is no law, may not be imported or lacks something.
    """
    if name == "data_dependent":
        raise InputError(
            "data_dependent is a joint law of several corpora and cannot be fitted to a single table",
            fix="name the columns of complexity: --complexity, or DataDependent(complexity=…)",
        )
    if name in APPROACHES:
        raise InputError(
            f"{name} uses the optima of budgets and does not fit the loss of every row",
            fix=f"call {APPROACHES[name]} on the table (approach 2 also by isoloss isoflop)",
        )
    definition = laws[name]
    if name not in laws:
        check_definition(definition)
    return definition
