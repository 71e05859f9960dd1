"""The console command: errors as one line on stderr, documented exit codes.

The verbs stand in `paraspinal.cli.app`, which is imported within `run`: an interrupt or an error while libraries
load is told like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import cast

from paraspinal.errors import AnalysisError, ParaspinalError, UsageError

INTERNAL_ERROR = 4
INTERRUPTED = 130
_OUT_OF_MEMORY = AnalysisError(
    "There is not enough memory for this.",
    code="out_of_memory",
    remedy="Take a smaller input or volume, or a machine with more memory.",
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        return _finished(_dispatch(rest))
    except KeyboardInterrupt:
        return _interrupted()
    except ParaspinalError as error:
        return _fail(error.one_line(), error.exit_code, debug=debug)
    except MemoryError:
        return _fail(_OUT_OF_MEMORY.one_line(), _OUT_OF_MEMORY.exit_code, debug=debug)
    except Exception as error:  # the last resort: whatever failed becomes one line and an exit code
        text = f"The command failed unexpectedly: {type(error).__name__}: {error}"
        return _fail(
            f"{text} Run again with --debug for the traceback. [internal]", INTERNAL_ERROR, debug=debug
        )


def _dispatch(arguments: list[str]) -> object:
    """Run the verb and return what typer returns: an exit code, or nothing."""
    import typer

    from paraspinal.cli.app import app

    # The library's own class of wrong usage, by way of the one child of it that typer exports.
    wrong_usage = cast(type[Exception], typer.BadParameter.__mro__[1])
    try:
        return app(args=arguments, prog_name="paraspinal", standalone_mode=False)
    except wrong_usage as error:
        raise _usage_error(error, bare=not arguments) from error
    except typer.Abort:
        raise KeyboardInterrupt from None


def _usage_error(error: BaseException, *, bare: bool) -> UsageError:
    """Return what typer says about a command line as an error of our own tree."""
    context = getattr(error, "ctx", None)
    verb = getattr(context, "command_path", "paraspinal")
    told = getattr(error, "format_message", error.__str__)()
    message = "No command was given." if bare else " ".join(str(told).replace("Value error, ", "").split())
    return UsageError(
        message if message.endswith((".", "?", ")")) else f"{message}.",
        code="usage",
        remedy=f"See: {verb} --help",
    )


def _finished(returned: object) -> int:
    if returned == INTERRUPTED:  # typer has turned the interrupt into its exit code
        return _interrupted()
    return returned if isinstance(returned, int) else 0


def _interrupted() -> int:
    sys.stderr.write("paraspinal: Interrupted; nothing was left half written. [interrupted]\n")
    return INTERRUPTED


def _fail(line: str, code: int, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    sys.stderr.write(f"paraspinal: {' '.join(line.splitlines())}\n")
    return code


def main() -> None:
    """Run the console command."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _interrupted()
    sys.exit(code)
