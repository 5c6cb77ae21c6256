"""The generated pages: every public name, read from the code, and every verb, read from the command line."""

import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import ReferencesResolver, SphinxPostTransform

import isoloss

ROOMS = (
    "core", "runs", "grammar", "corpus", "complexity", "laws", "fitting", "diagnostics", "optima", "tuning",
    "data_dependence", "planning", "arena", "report", "explorer", "published", "models", "training", "execution",
    "study", "cli",
)  # fmt: skip
"""As CONTRIBUTING.md tells them: a room imports only from rooms before it."""


def public_modules(room: str, *, exported_alone: bool) -> list[str]:
    """Return the modules of a room that anybody may import, by name; or those alone whose names `isoloss` exports."""
    package = import_module(f"isoloss.{room}")
    below = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    named = [package.__name__, *sorted(module.name for module in below)]
    # A `…_main` is started, not imported.
    return [
        name
        for name in named
        if not any(part.startswith("_") for part in name.split("."))
        and name[-5:] != "_main"
        and (not exported_alone or name in _homes())
    ]


@lru_cache(maxsize=1)
def _homes() -> frozenset[str]:
    """Return the modules that define what `isoloss` exports."""
    return frozenset(getattr(getattr(isoloss, name), "__module__", "") for name in isoloss.__all__)


def public_names(module: ModuleType) -> list[str]:
    """Return the classes and functions that a module defines and shows."""
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return [name for name in own if not name.startswith("_")]


def _api_page(room: str, *, exported_alone: bool) -> str:
    package = f"isoloss.{room}"
    lines = [f"isoloss.{room}", "=" * 40, ""]
    for name in public_modules(room, exported_alone=exported_alone):
        if name != package:
            lines += [name, "-" * len(name), ""]
        lines += [f".. automodule:: {name}", ""]
    lines += [f".. autofunction:: {name}\n" for name in _exported_functions(package)]
    return "\n".join(lines)


def _exported_functions(package: str) -> list[str]:
    """Return the functions of a room that `isoloss` exports out of a module that nobody imports by itself."""
    values = {name: getattr(isoloss, name) for name in isoloss.__all__}
    homes = {name: getattr(value, "__module__", None) or "" for name, value in values.items() if callable(value)}
    return [
        f"{home}.{name}"
        for name, home in homes.items()
        if home.startswith(f"{package}.") and any(part.startswith("_") for part in home.split("."))
    ]


def _api_index() -> str:
    lines = [
        "# Python",
        "",
        "## `import isoloss as il`",
        "",
        "Everything a script needs; each loads when it is first used.",
        "",
    ]
    lines += ["| name | is |", "|---|---|"]
    for name in sorted(isoloss.__all__, key=str.lower):
        value = getattr(isoloss, name)
        if not isinstance(value, str):
            first = (value.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            lines.append(
                f"| {{py:obj}}`il.{name} <{value.__module__}.{value.__qualname__}>` | {' '.join(first.split())} |"
            )
    lines += [
        "",
        "## Room by room",
        "",
        "A room imports only from rooms before it.",
        "",
        "```{toctree}",
        ":maxdepth: 1",
        "",
    ]
    return "\n".join([*lines, *(f"api/{room}" for room in ROOMS), "```", ""])


def _verbs(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, below in sorted(command.commands.items()):
        if hasattr(below, "commands"):
            yield from _verbs(below, f"{path} {name}")
        else:
            yield f"{path} {name}", below


def _option_rows(command: Any) -> Iterator[str]:
    for option in command.params:
        if option.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        shown = names if option.param_type_name == "option" else f"`{option.name}`"
        default = "" if option.default in (None, False, ()) or option.required else f" Without it, `{option.default}`."
        described = f"{option.help or ''}{default}{' Required.' if option.required else ''}"
        yield f"| {shown} | {described.replace('|', chr(92) + '|')} |"


def _cli_page() -> str:
    from typer.main import get_command

    from isoloss.cli import registered

    lines = ["# Command line", "", "Exit 0: done; 1: the work failed; 2: the input is wrong.", ""]
    lines += ["`--json` prints one object; its keys stand in [the schemas](../json.md).", ""]
    for path, command in _verbs(get_command(registered()), "isoloss"):
        lines += [f"## {path}", "", _paragraphs(command.help or ""), ""]
        lines += ["| option | |", "|---|---|", *_option_rows(command), ""]
    return "\n".join(lines)


def _paragraphs(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*", "\n", text).strip()


def _write(app: Any) -> None:
    folder = Path(app.srcdir) / "reference" / "generated"
    (folder / "api").mkdir(exist_ok=True, parents=True)
    pages = {"api.md": _api_index(), "cli.md": _cli_page()}
    pages |= {f"api/{room}.rst": _api_page(room, exported_alone=app.config.exported_alone) for room in ROOMS}
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_SPECIAL = re.compile(r"([\\*|_])")


def _escaped(line: str) -> str:
    """Return a line of Markdown for docutils: code stays code, all else is plain text."""
    pieces = _CODE.split(line)
    return "".join(f"``{piece}``" if odd % 2 else _SPECIAL.sub(r"\\\1", piece) for odd, piece in enumerate(pieces))


def _plain_docstring(app: Any, what: str, name: str, it: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code` and indented blocks, not reStructuredText: translate them."""
    del app, what, name, it, options
    found: list[str] = []
    in_block = False
    for line in lines:
        indented = line.startswith((" ", "\t"))
        if indented and not in_block:
            if found and found[-1]:
                found.append("")
            found += ["::", ""]
        elif in_block and line and not indented and found[-1]:
            found.append("")
        in_block = indented or (in_block and not line)
        found.append(line if in_block else _escaped(line))
    lines[:] = found


class FullNames(SphinxPostTransform):
    """Names in signatures become full ones. Sphinx looks each up among all objects, a quarter of a build's time."""

    default_priority = ReferencesResolver.default_priority - 1

    def run(self, **_: Any) -> None:
        """Give references to Python objects their full names, and leave names from elsewhere as text."""
        ours = _by_last_name(tuple(self.env.domains.python_domain.objects))
        for node in list(self.document.findall(pending_xref)):
            if node.get("refdomain") == "py" and node.hasattr("refspecific"):  # whatever its value: search all
                target = node["reftarget"]
                found = [name for name in ours[target.rpartition(".")[2]] if f".{name}".endswith(f".{target}")]
                if not found:
                    node.replace_self(node.children)
                elif len(found) == 1:
                    node["reftarget"] = found[0]
                    del node["refspecific"]


@lru_cache(maxsize=1)
def _by_last_name(names: tuple[str, ...]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name in names:
        found[name.rpartition(".")[2]].append(name)
    return found


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before anything is read."""
    app.add_config_value("exported_alone", False, "env", bool)  # a build to test the pages takes a third of the time
    app.add_post_transform(FullNames)
    app.connect("builder-inited", _write)
    app.connect("autodoc-process-docstring", _plain_docstring)
    return {"version": "1", "parallel_read_safe": True}
