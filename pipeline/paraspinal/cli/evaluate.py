"""``paraspinal evaluate CASES``: the model against known diagnoses."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import given_name, given_path
from paraspinal.cli.case_input import read_text
from paraspinal.errors import OutputError, UsageError

if TYPE_CHECKING:
    from paraspinal.differential import DifferentialModel
    from paraspinal.differential.evaluation import KnownCase

FILES = ("evaluation.json", "evaluation.md", "reliability.png")
SENSITIVITY_FILES = ("sensitivity.json", "sensitivity.md")
CASES_HELP = "Cases of known diagnosis as .jsonl, .json or .csv; - reads lines of JSON from stdin."


def evaluate_command(
    cases: Annotated[str, typer.Argument(metavar="CASES", parser=given_name, help=CASES_HELP)],
    model: Annotated[
        str, typer.Option("--model", help="Model folder under models/, or a path.")
    ] = "emh-differential-1",
    prior: Annotated[str, typer.Option("--prior", help="Named prior of the model.")] = "uniform",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", parser=given_path, help=f"Folder for {', '.join(FILES)}."),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity",
            help="Instead: leave out each source, each finding, and try each prior; how far the answers move.",
        ),
    ] = False,
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="ID", help="With --sensitivity: a case to follow.")
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", min=20, help="Bootstrap draws behind the intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap and the folds.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace files in DIR.")] = False,
) -> None:
    """Measure a model on cases of known diagnosis.

    A case is what classify takes, with its diagnosis: emh, neurogenic_tumour, lymphoma, metastasis, abscess,
    meningocele or other (other:myelolipoma is fine). confirmation_class, where it begins with tissue, marks a
    diagnosis made by tissue, culture or surgery. As a table, an empty cell being "not mentioned", never "no":

    \b
        id,diagnosis,confirmation_class,age,bilateral,fat,margin
        a,emh,tissue,44,yes,no,well

    Told are top-1 and top-2, log-loss, Brier score, EMH against the rest (AUC, sensitivity, specificity) and
    calibration, each with a 95 % bootstrap interval: from imaging alone and with clinical context; of all cases, of
    those with three imaging findings or more, and of tissue-confirmed ones; beside the most frequent entity, naive
    Bayes (cross-validated) and the teaching rule "bilateral, lower thoracic, not calcified, no erosion". Cases that
    cannot be read are named on stderr and left out, and the exit code is 2.

    Examples:

    \b
        paraspinal evaluate cases.csv -o evaluation
        paraspinal evaluate cases.jsonl --sensitivity --watch a
    """
    from paraspinal.differential import load_model
    from paraspinal.differential.evaluation import evaluate, evaluation_page, reliability_picture

    chosen = load_model(model)
    chosen.prior_of(prior)
    check_free(out, SENSITIVITY_FILES if sensitivity else FILES, force=force)
    known, faults = read_cases(cases, chosen)
    name = "stdin" if cases == "-" else Path(cases).name
    if sensitivity:
        _sensitivity(known, chosen, name, prior=prior, watch=watch, out=out)
    else:
        found = evaluate(known, chosen, prior=prior, draws=draws, seed=seed)
        page = evaluation_page(found, source=name)
        typer.echo(page)
        if out is not None:
            picture = BytesIO()
            reliability_picture(found.predictions).save(picture, "PNG")
            contents = {"evaluation.json": found.as_json(), "evaluation.md": page}
            write_files(out, {**contents, "reliability.png": picture.getvalue()})
    if faults:
        raise typer.Exit(UsageError.exit_code)


def _sensitivity(
    known: tuple[KnownCase, ...],
    model: DifferentialModel,
    name: str,
    *,
    prior: str,
    watch: str | None,
    out: Path | None,
) -> None:
    from dataclasses import asdict

    from paraspinal.differential.evaluation import sensitivity, sensitivity_page

    if watch is not None and watch not in [case.name for case in known]:
        raise UsageError(
            f"No case is called {watch!r}.", code="case_unknown", remedy="Give the id of a case."
        )
    found = sensitivity(known, model, watch=watch, prior=prior)
    page = sensitivity_page(found, source=name)
    typer.echo(page)
    if out is not None:
        write_files(out, {"sensitivity.json": asdict(found), "sensitivity.md": page})


def read_cases(file: str, model: DifferentialModel) -> tuple[tuple[KnownCase, ...], tuple[str, ...]]:
    """Return the cases of a file and what is wrong with the others, which is told on stderr.

    Raises
    ------
    UsageError
        If the file cannot be read (``cases_unreadable``) or holds no case (``no_cases``).
    """
    from paraspinal.differential.evaluation import known_cases

    known, faults = known_cases("stdin.jsonl" if file == "-" else file, read_text(file), model)
    for fault in faults:
        typer.echo(f"paraspinal: {fault}", err=True)
    if not known:
        raise UsageError(
            f"{'stdin' if file == '-' else file} holds no case that can be read.",
            code="no_cases",
            remedy="Give cases with diagnosis and findings; docs/findings.md shows the form.",
        )
    return known, faults


def check_free(out: Path | None, names: tuple[str, ...], *, force: bool) -> None:
    """Refuse a folder that holds one of the files, before any work is done.

    Raises
    ------
    OutputError
        ``output_exists`` or ``output_is_a_file``.
    """
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file.", code="output_is_a_file", remedy="Name a folder.")
    taken = [name for name in names if (out / name).exists()]
    if taken and not force:
        raise OutputError(
            f"{out} holds {', '.join(taken)} already.",
            code="output_exists",
            remedy="Name another folder, or replace them with --force.",
        )


def write_files(out: Path, contents: dict[str, object]) -> None:
    """Write texts and bytes as they are, and everything else as JSON.

    Raises
    ------
    OutputError
        ``output_unwritable``.
    """
    import json

    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if not isinstance(content, bytes):
                text = content if isinstance(content, str) else json.dumps(content, indent=1)
                content = f"{text}\n".encode()
            (out / name).write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror}.",
            code="output_unwritable",
            remedy="Name a folder that may be written.",
        ) from error
