"""The public registry of laws. A user's own law is named `module:Name`."""

import inspect

from isoloss.core.errors import InputError
from isoloss.core.registry import Registry
from isoloss.laws.chinchilla import Chinchilla
from isoloss.laws.law import Law

laws: Registry[type[Law]] = Registry("law")
laws.add(Chinchilla.name, Chinchilla)


def open_law(name: str) -> type[Law]:
    """Return the law called `name`. Raises UnknownName with the nearest, InputError for what is no law."""
    if name == "data_dependent":
        raise InputError(
            "data_dependent joins the laws of several corpora and is not fitted to one table",
            fix="name the columns of complexity: --complexity, or DataDependent(complexity=…)",
        )
    found = laws[name]
    if not (isinstance(found, type) and issubclass(found, Law)) or inspect.isabstract(found):
        raise InputError(f"{name!r} is no law", fix="derive a class from isoloss.laws.law.Law, with all its methods")
    return found
