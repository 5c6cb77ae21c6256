"""Whose code may run: a module named in a file is imported only where the user said so.

A study, a fitted law or a results folder may come from anywhere, and importing a module runs it. So `module:Name` in a
file is followed only where the module was allowed (typed on the command line, `--allow`, `isoloss.allow`), where this
process imported it before, or where an installed package offers the name as an entry point of the group `isoloss`.
"""

import re
import sys
from importlib.metadata import entry_points

from isoloss.core.errors import InputError

GROUP = "isoloss"  # of entry points: what an installed package offers by name
OWN_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):[^\W\d]\w*")

_allowed: set[str] = set()


def allow(*modules: str) -> None:
    """Let `module:Name` be imported from these modules, and from those below them, for as long as the process lives."""
    _allowed.update(modules)


def allow_typed(text: str) -> None:
    """Allow the modules of every `module:Name` in what a user typed."""
    allow(*(match["module"] for match in OWN_NAME.finditer(text)))


def require_allowed(name: str, *, what: str) -> None:
    """Raise InputError where nobody allowed the module of `module:Name` to be imported."""
    module = name.partition(":")[0]
    parents = {module[:end] for end, sign in enumerate(f"{module}.") if sign == "."}
    if module in sys.modules or parents & _allowed or any(entry.value == name for entry in entry_points(group=GROUP)):
        return
    raise InputError(
        f"{what} {name!r} is code in module {module!r}; importing it runs its code, and it is not allowed yet",
        fix=f"check the module; then use --allow {module} on the command line, or import it or call "
        f"isoloss.allow({module!r}) in Python",
    )
