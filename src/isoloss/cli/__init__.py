"""The command line: parse, call the library, print. Exit 0 done, 1 the work failed, 2 the input is wrong."""

import sys


def main() -> None:
    """Run `isoloss` with the process's arguments and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; every error is told in a sentence, never in a traceback."""
    from typer import TyperException

    from isoloss.cli import fit, grammar, measure, study  # each module registers its verbs
    from isoloss.cli.app import app
    from isoloss.cli.output import print_error
    from isoloss.core.errors import InputError, IsolossError

    del fit, grammar, measure, study
    as_json = "--json" in arguments
    try:
        code = app(args=arguments, prog_name="isoloss", standalone_mode=False)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return error.exit_code
        told = InputError(error.format_message(), fix="isoloss --help lists the verbs and their options")
        print_error(told, as_json=as_json)
        return error.exit_code
    except IsolossError as error:
        print_error(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from here\n")
        return 130
    return code if isinstance(code, int) else 0
