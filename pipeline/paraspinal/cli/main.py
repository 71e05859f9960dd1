"""The console command: one verb a file, errors as one line, documented exit codes."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from paraspinal import __version__
from paraspinal.cli.analyze import analyze_command
from paraspinal.cli.schema import schema_command
from paraspinal.errors import ParaspinalError

INTERNAL_ERROR = 4
INTERRUPTED = 130
EPILOG = (
    "Exit codes: 0 done, 2 wrong usage or output that cannot be written, 3 input refused (refusal.json says why), "
    "4 analysis failed, 130 interrupted. Research use only: not a medical device."
)

app = typer.Typer(
    name="paraspinal",
    help="Reads a CT series and tells, with measured evidence, whether a mass beside the spine is extramedullary "
    "hematopoiesis or one of its mimics.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("analyze", epilog=EPILOG)(analyze_command)
app.command("schema")(schema_command)
if importlib.util.find_spec("paraspinal.cli.classify"):
    from paraspinal.cli.classify import classify_command

    app.command("classify")(classify_command)
if importlib.util.find_spec("paraspinal.cli.phantom"):
    from paraspinal.cli.phantom import phantom_command

    app.command("phantom")(phantom_command)


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, too.")] = False,
) -> None:
    """Options that stand before the verb; `run` takes --debug off the command line itself."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        app(args=rest, prog_name="paraspinal")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except ParaspinalError as error:
        return _fail(error.one_line(), error.exit_code, debug=debug)
    except Exception as error:  # the last resort: whatever failed becomes one line and an exit code
        text = f"The analysis failed unexpectedly: {type(error).__name__}: {error}".replace("\n", " ")
        return _fail(
            f"{text} Run again with --debug for the traceback. [internal]", INTERNAL_ERROR, debug=debug
        )
    return 0


def _fail(line: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    typer.echo(f"paraspinal: {line}", err=True)
    return code


def main() -> None:
    """Run the console command."""
    sys.exit(run(sys.argv[1:]))
