"""Libraries that an extra of isoloss brings: imported where they are needed, and named where they are missing."""

from importlib import import_module
from typing import Any

from isoloss.core.errors import InputError


def optional(module: str, *, extra: str, what: str = "this", place: str | None = None) -> Any:
    """Return a module that `extra` brings. Raises InputError saying `what` needs it where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{what} needs the package {package}, which is not installed"
        raise InputError(message, place=place, fix=f"pip install 'isoloss[{extra}]'") from error
