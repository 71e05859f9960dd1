"""``paraspinal schema``: the published forms as JSON Schema, and the reference pages made from them."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Form(StrEnum):
    """What can be described."""

    RESULT = "result"
    CONFIG = "config"


def schema_command(
    form: Annotated[Form, typer.Argument(help="result.json, or the configuration.")] = Form.RESULT,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of docs/ instead.")] = False,
) -> None:
    """Print the JSON Schema of result.json or of the configuration."""
    from paraspinal.cli.reference import configuration_page, results_page
    from paraspinal.config import Config
    from paraspinal.result import AnalysisResult

    if markdown:
        typer.echo(results_page() if form is Form.RESULT else configuration_page(), nl=False)
        return
    model = AnalysisResult if form is Form.RESULT else Config
    schema = model.model_json_schema(mode="serialization" if form is Form.RESULT else "validation")
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2))
