"""One generic registry: names to things, unknown names answered with the known ones and the nearest."""

import inspect
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Generic, TypeVar, cast

from isoloss.core.consent import require_allowed
from isoloss.core.errors import InputError, UnknownName, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind. Where there is an `own` base, a user's class that derives from it is `module:Name`.

    `derive_from` is what users call the base, by default its bare name.
    Its module is imported on demand, if that is allowed (`isoloss.core.consent`).
    """

    def __init__(self, what: str, *, own: type | None = None, derive_from: str = "") -> None:
        self.what = what
        self._own = own
        self._derive_from = derive_from or (own.__qualname__ if own else "")
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name`. A name is given once: a second claim is a programming error."""
        if name in self._items:
            raise ValueError(f"{self.what} {name!r} is registered twice")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """Return the thing called `name`.

        Raises UnknownName with the nearest; InputError for a module that is not allowed or fails, and for what is no
        class of the right base.
        """
        if name in self._items:
            return self._items[name]
        if self._own is not None and ":" in name:
            return cast(T, self._derived(name, self._own))
        raise UnknownName(f"unknown {self.what} {name!r}", fix=did_you_mean(name, self._items))

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def _derived(self, name: str, base: type) -> type:
        """Return a user's class. It is called by nobody before it is known to derive from `base`."""
        require_allowed(name, what=self.what)
        found = self._imported(name)
        if not isinstance(found, type) or base not in found.__mro__ or found is base or inspect.isabstract(found):
            raise InputError(
                f"{name!r} is not {'an' if self.what[0] in 'aeiou' else 'a'} {self.what}",
                fix=f"derive the class from {self._derive_from}, and give it all methods that this base asks for",
            )
        return found

    def _imported(self, name: str) -> object:
        module, _, attribute = name.partition(":")
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)  # last: a file here never takes the place of an installed module
        try:
            imported = import_module(module)
        except Exception as error:  # a user's module may raise anything while it is imported
            raise InputError(
                f"cannot import {self.what} {name!r}: {type(error).__name__}: {error}",
                fix="write module:Name, with the module importable from the current folder",
            ) from error
        if not hasattr(imported, attribute):
            known = [key for key, value in vars(imported).items() if getattr(value, "__module__", None) == module]
            raise InputError(f"{module} has no class {attribute}", fix=did_you_mean(attribute, known))
        return getattr(imported, attribute)
