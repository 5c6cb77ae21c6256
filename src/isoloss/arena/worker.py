"""One method in a process of its own: reads tables, calls `fit`, writes the answers. Run by `isoloss.arena.referee`.

    python -m isoloss.arena.worker FOLDER INBOX FIRST

FOLDER holds settings.json and method.py; answers go to NNN.answer.json there, one at a time, from the table FIRST on.
INBOX gets one table at a time, NNN.json: its runs and what is asked of them.
"""

import json
import os
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from isoloss.arena.guard import Guard, leave_network, limit_memory

LOOK_SECONDS = 0.002


def main(folder: Path, inbox: Path, first: int) -> None:
    """Answer the tables of `inbox` from `first` on."""
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    limit_memory(settings["memory_gb"], settings["cpu_seconds"])
    offline = leave_network()  # before any thread starts
    from isoloss.arena import questions  # its files and NumPy's are read before the guard stands

    source = (folder / "method.py").read_bytes()
    guard = Guard(folder, shown=inbox)
    guard.install()
    fit, fault = _load(source, settings["name"], guard)
    for place in range(first, settings["tables"]):
        table = _wait_for(inbox / f"{place:03}.json")
        answer = fault or _answer(partial(questions.answers, fit, table["runs"], table["asked"]), guard)
        _write(folder / f"{place:03}.answer.json", {**answer, "offline": offline})


def _wait_for(path: Path) -> dict[str, Any]:
    """Return the next table, as soon as it is there: files there are whole."""
    while not path.exists():
        time.sleep(LOOK_SECONDS)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _load(source: bytes, name: str, guard: Guard) -> tuple[Any, dict[str, Any] | None]:
    """Return the method's `fit`, or what is wrong with the method."""
    module = types.ModuleType("method")
    sys.modules["method"] = module  # dataclasses look their module up
    try:
        exec(compile(source, name, "exec"), module.__dict__)
        return module.__dict__["fit"], None
    except BaseException as error:
        return None, _fault(error, guard)


def _answer(ask: Callable[[], dict[str, Any]], guard: Guard) -> dict[str, Any]:
    """Return what the method says of one table, or how it failed."""
    started = time.process_time()
    try:
        found = ask()
    except BaseException as error:
        return _fault(error, guard)
    if guard.refused:
        return _fault(PermissionError(), guard)
    return {"status": "ok", "seconds": time.process_time() - started, **found}


def _fault(error: BaseException, guard: Guard) -> dict[str, Any]:
    """Return the answer of a method that raised `error`."""
    if guard.refused:
        return {"status": "forbidden", "message": "; ".join(dict.fromkeys(guard.refused))}
    status = "memory" if isinstance(error, MemoryError) else "error"
    if isinstance(error, KeyError) and error.args == ("fit",):
        return {"status": status, "message": "the file defines no function `fit`"}
    return {"status": status, "message": f"{type(error).__name__}: {_words(error)}"}


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a stranger's class: its words may fail, too
        return "without words"


def _write(target: Path, answer: dict[str, Any]) -> None:
    """Write an answer whole: it is renamed into place."""
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps(answer), encoding="utf-8")
    os.replace(temporary, target)


if __name__ == "__main__":
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # what a method prints is nobody's
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
