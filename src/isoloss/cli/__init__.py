"""The command line: parse, call the library, print. Exit 0 done, 1 the work failed, 2 the input is wrong."""

import gc
import os
import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer, TyperException

    from isoloss.core.errors import InputError

VERBS = ("arena", "explore", "fit", "grammar", "import_runs", "isoflop", "measure", "models", "planning", "push",
         "reproduce", "schema", "study", "tune")  # fmt: skip
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT, 128 + SIGTERM, as shells count
WORK_FAILED = 1
MOST_OF_A_NAME = 300
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Importing makes hundreds of thousands of objects and no garbage: with Python's own 700 a fifth of a short command's
# time goes into looking through them.
OBJECTS_A_COLLECTION = 100_000


def main() -> None:
    """Run `isoloss` with the process's arguments and exit with its code."""
    gc.set_threshold(OBJECTS_A_COLLECTION)
    for number in STOPPING:
        signal.signal(number, _leave)
    for stream in (sys.stdout, sys.stderr):  # names of files may be no text, and terminals know few letters
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = WORK_FAILED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere
    except OSError as error:
        if error.filename is not None:
            raise
        sys.stderr.write(
            f"error: the output cannot be written: {error.strerror or error}\n  fix: send it somewhere else\n"
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = WORK_FAILED
    if "duckdb" not in sys.modules:  # which reports as leaked what is not collected
        gc.freeze()  # the process ends: there is no use in looking for garbage
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: while modules are loaded there is nothing to put away, and an exception may be swallowed."""
    os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C: workers write their checkpoints, temporary folders go."""
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error is a sentence, never in a traceback.

    Ctrl-C and SIGTERM end with 130, after the workers have written their checkpoints.
    """
    from typer import TyperException

    from isoloss.cli import output
    from isoloss.cli.output import print_error
    from isoloss.core.errors import Interrupted, IsolossError, StorageError, WorkError

    app = registered()
    if signal.getsignal(signal.SIGTERM) is _leave:  # from here on there may be work to put away
        for number in STOPPING:
            signal.signal(number, _interrupt)
    as_json = "--json" in arguments
    output.asked_quiet = False
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    try:
        with output.first_sign(verb, silent=as_json or "--help" in arguments or not verb):
            code = app(args=arguments, prog_name="isoloss", standalone_mode=False)
    except TyperException as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            print_error(_wrong_call(error), as_json=as_json)
        return error.exit_code
    except IsolossError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except MemoryError:
        print_error(WorkError("this machine does not have enough memory for it", fix="ask for less"), as_json=as_json)
        return WORK_FAILED
    except OSError as error:
        if error.filename is None and not isinstance(error, PermissionError):
            raise  # standard output's own, which `main` tells of
        denied = isinstance(error, PermissionError)
        said = "no permission to read this" if denied else f"cannot be read: {error.strerror}"
        fix = "change its permissions, or name another one" if denied else "name another file or folder"
        print_error(StorageError(said, place=str(error.filename or ".")[:MOST_OF_A_NAME], fix=fix), as_json=as_json)
        return WORK_FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        resumes = "the same command continues from here" if verb in ("run", "demo") else None
        print_error(Interrupted("stopped before the end", fix=resumes), as_json=as_json)
    return code if isinstance(code, int) else 0


def registered() -> "Typer":
    """Return the application with all its verbs: each of its modules registers its own."""
    from isoloss.cli.app import app

    for module in VERBS:
        import_module(f"isoloss.cli.{module}")
    return app


def _wrong_call(error: "TyperException") -> "InputError":
    """Return what is wrong with a call and where to look: for an unknown verb the nearest one and all there are."""
    from isoloss.core.errors import InputError, did_you_mean

    message, context = error.format_message().replace("Value error, ", ""), getattr(error, "ctx", None)
    if context is None:
        return InputError(message, fix="isoloss --help lists the verbs")
    if message.startswith("No such command"):
        name = message.split("'")[1]
        return InputError(f"no verb {name!r}", place=context.command_path,
                          fix=did_you_mean(name, context.command.list_commands(context)))  # fmt: skip
    return InputError(message, fix=f"{context.command_path} --help shows what it takes")
