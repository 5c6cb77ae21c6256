"""A commented study file to start from."""

import os
import re
from importlib.resources import files as package_files
from pathlib import Path

from isoloss.core.errors import InputError
from isoloss.core.files import write_text
from isoloss.study.spec import NAME_PATTERN


def write_template(name: str, *, folder: Path) -> Path:
    """Write `NAME.toml` into `folder` and return its path; a name may come with `.toml`.

    Raises InputError for a name in use or unfit for a file.
    """
    name = name.removesuffix(".toml")
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"{name!r} is not a valid name of a study", fix="use letters, digits, '.', '_' and '-'")
    path = folder / f"{name}.toml"
    if os.path.lexists(path):
        raise InputError("the file already exists", place=str(path), fix="choose another name")
    text = (package_files("isoloss.study") / "studies" / "template.toml").read_text(encoding="utf-8")
    write_text(path, text.replace("NAME", name))
    return path
