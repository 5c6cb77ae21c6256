"""The headings under which help lists verbs, and options where there are many; what has none comes first.

They stand in `panels.toml`.
"""

import tomllib
from pathlib import Path


def _by_name(panels: dict[str, list[str]]) -> dict[str, str]:
    return {name: panel for panel, names in panels.items() for name in names}


_PANELS = tomllib.loads(Path(__file__).with_name("panels.toml").read_text(encoding="utf-8"))
VERBS = _by_name(_PANELS["verbs"])
OPTIONS = {verb: _by_name(panels) for verb, panels in _PANELS["options"].items()}
