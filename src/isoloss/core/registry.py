"""One generic registry: names to things, unknown names answered with the known ones and the nearest."""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Generic, TypeVar, cast

from isoloss.core.errors import InputError, UnknownName, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind. A user's own thing is named `module:Name` and imported on demand."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        """Register `item` under `name`. A name is given once: a second claim is a programming error."""
        if name in self._items:
            raise ValueError(f"{self.what} {name!r} is registered twice")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        if ":" in name:
            return self._import(name)
        raise UnknownName(f"unknown {self.what} {name!r}", fix=did_you_mean(name, self._items))

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def _import(self, name: str) -> T:
        module, _, attribute = name.partition(":")
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)  # last: a file here never takes the place of an installed module
        try:
            return cast(T, getattr(import_module(module), attribute))
        except Exception as error:  # a user's module may raise anything while it is imported
            raise InputError(
                f"cannot import {self.what} {name!r}: {type(error).__name__}: {error}",
                fix="write module:Name, with the module importable from the folder you stand in",
            ) from error
