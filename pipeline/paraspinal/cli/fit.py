"""``paraspinal fit CASES --base MODEL -o DIR``: confirmed cases update the counts of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paraspinal.cli.arguments import given_name, given_path
from paraspinal.cli.evaluate import CASES_HELP, read_cases
from paraspinal.errors import UsageError


def fit_command(
    cases: Annotated[str, typer.Argument(metavar="CASES", parser=given_name, help=CASES_HELP)],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", parser=given_path, help="Folder for the new model."),
    ],
    base: Annotated[
        str, typer.Option("--base", help="Model whose counts are updated: a folder under models/, or a path.")
    ] = "emh-differential-1",
    name: Annotated[
        str | None,
        typer.Option("--name", parser=given_name, help="Name of the new model; that of DIR without it."),
    ] = None,
    weight: Annotated[
        float,
        typer.Option(
            "--weight", min=0.01, max=10.0, help="What a case counts for against one of a published series."
        ),
    ] = 1.0,
    tissue_only: Annotated[
        bool,
        typer.Option("--tissue-only", help="Leave out cases that no tissue, culture or surgery confirmed."),
    ] = False,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Of the cross-validation.")] = 10,
    draws: Annotated[
        int, typer.Option("--draws", min=20, help="Bootstrap draws behind the intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the folds and the bootstrap.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a model in DIR.")] = False,
) -> None:
    """Add confirmed cases to the counts of a model and write the new one.

    The base is not replaced but updated: its counts stay, and every finding that a case tells adds one to its cell
    (less with --weight below 1). What a case does not mention adds nothing. A case may name its sub-kind
    (other:myelolipoma); otherwise it counts for each sub-kind of its entity by its posterior share. DIR gets
    model.toml and findings/ in the same format, and a MODEL_CARD.md with cross-validated scores of base and fit.
    Cases are kept as a digest only. The form of cases is that of evaluate.

    Examples:

    \b
        paraspinal fit cases.csv -o my-model
        paraspinal classify new.jsonl --model my-model
        paraspinal evaluate others.csv --model my-model
    """
    from paraspinal.differential import load_model
    from paraspinal.differential.fit import cross_validated, fit
    from paraspinal.differential.fit_card import fit_card
    from paraspinal.differential.write_model import check_model_folder, write_model

    check_model_folder(out, force=force)
    chosen = load_model(base)
    known, faults = read_cases(cases, chosen)
    used = tuple(case for case in known if case.tissue or not tissue_only)
    if len(used) < 2:
        raise UsageError(
            f"{len(used)} case is too few for a fit and its evaluation.",
            code="too_few_cases",
            remedy="Give two cases or more"
            + (", or leave out --tissue-only." if len(known) > len(used) else "."),
        )
    result = fit(used, chosen, weight=weight, name=name or out.resolve().name)
    scored = cross_validated(used, chosen, weight=weight, count=folds, draws=draws, seed=seed)
    card = fit_card(result.model, scored, folds=min(folds, len(used)))
    write_model(result.model, out, card=card, force=force)
    typer.echo(card)
    typer.echo(f"Written to {out}.")
    if faults:
        raise typer.Exit(UsageError.exit_code)
