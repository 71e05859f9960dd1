"""The verbs of the console command and the options that stand before them."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from paraspinal import __version__
from paraspinal.cli.analyze import analyze_command
from paraspinal.cli.schema import schema_command

EPILOG = (
    "Exit codes: 0 done, 1 some cases of a batch failed, 2 wrong usage or output that cannot be written, "
    "3 input refused (refusal.json says why), "
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
if importlib.util.find_spec("paraspinal.cli.evaluate"):
    from paraspinal.cli.evaluate import evaluate_command

    app.command("evaluate", epilog=EPILOG)(evaluate_command)
if importlib.util.find_spec("paraspinal.cli.fit"):
    from paraspinal.cli.fit import fit_command

    app.command("fit", epilog=EPILOG)(fit_command)
if importlib.util.find_spec("paraspinal.cli.inspect"):
    from paraspinal.cli.inspect import inspect_command

    app.command("inspect")(inspect_command)
if importlib.util.find_spec("paraspinal.cli.convert"):
    from paraspinal.cli.convert import convert_command

    app.command("convert")(convert_command)
if importlib.util.find_spec("paraspinal.cli.phantom_insert"):
    from paraspinal.cli.phantom_insert import phantom_app

    app.add_typer(
        phantom_app, name="phantom", help="Make a synthetic CT series, or put masses into a real one."
    )
if importlib.util.find_spec("paraspinal.cli.compare"):
    from paraspinal.cli.compare import compare_command

    app.command("compare")(compare_command)
if importlib.util.find_spec("paraspinal.cli.validate"):
    from paraspinal.cli.validate import validate_command

    app.command("validate")(validate_command)
if importlib.util.find_spec("paraspinal.archive"):
    from paraspinal.cli.batch import batch_command
    from paraspinal.cli.collect import collect_command
    from paraspinal.cli.dashboard import dashboard_command
    from paraspinal.cli.index import index_command
    from paraspinal.cli.locate import locate_command
    from paraspinal.cli.select import select_command

    app.command("index")(index_command)
    app.command("select")(select_command)
    app.command("batch")(batch_command)
    app.command("collect")(collect_command)
    app.command("dashboard")(dashboard_command)
    app.command("locate")(locate_command)


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(__version__)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, too.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the verb; `run` takes --debug off the command line itself."""
