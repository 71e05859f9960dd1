"""``paraspinal analyze INPUT -o OUT``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from paraspinal.cli.arguments import POLICY_HELP, PolicyName, given_name, given_path, input_path, series_name

if TYPE_CHECKING:
    from paraspinal.analysis import Analysis


class _Corrections(NamedTuple):
    """What the user corrects, as it was typed."""

    mass_mask: Path | None
    reject_masses: Sequence[int]
    overrides: Sequence[str]


def analyze_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=input_path,
            help="A folder, a DICOM file, a DICOMDIR, a zip, or a NIfTI, NRRD or MetaImage file.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", parser=given_path, help="Folder for the result.")
    ],
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            parser=series_name,
            help="Series to take: its UID, its number, or the first digits of its digest.",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", parser=given_name, help="Name of a profile, or the path of a TOML file."
        ),
    ] = "default",
    policy: Annotated[
        PolicyName | None,
        typer.Option(help=POLICY_HELP),
    ] = None,
    anatomy: Annotated[
        str,
        typer.Option(
            metavar="SEGMENTER",
            parser=given_name,
            help="Who segments: classical (built in), masks:PATH (a label map, a folder of masks, DICOM SEG or"
            " RTSTRUCT made elsewhere), or totalsegmentator (an installed one; totalsegmentator:fast: its 3 mm"
            " model). The built-in segmenter fills what they lack.",
        ),
    ] = "classical",
    anatomy_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_path,
            help="What the numbers of a label map mean (JSON, CSV, ITK-SNAP or Slicer table), where they are not"
            " TotalSegmentator's and no table is in its header or beside it.",
        ),
    ] = None,
    set_level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="T9=Z",
            help="Name the vertebra at this LPS z (mm), where you know better; repeat for more. The other vertebrae"
            " follow, and the result says that it was set.",
        ),
    ] = None,
    mass_mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_path,
            help="Your outline of the mass or masses (NIfTI with a number per mass, DICOM SEG, RTSTRUCT); it replaces"
            " the candidates that it shares voxels with.",
        ),
    ] = None,
    reject_mass: Annotated[
        list[int] | None,
        typer.Option(
            metavar="ID", help="A candidate of the last result that is no mass; repeat for more.", min=1
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FINDING=STATE",
            help="State a finding yourself: nf1=present, 2:calcification=absent (of mass 2), margin=well;"
            " the differential follows. All corrections are listed in result.json.",
        ),
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_path,
            help="What is known beside the scan (JSON or TOML, every field optional): age, sex, known_anemia, nf1,"
            " splenectomy, fdg_suv_max …; the differential with it stands beside that from imaging alone.",
        ),
    ] = None,
    identifiers: Annotated[
        bool, typer.Option("--identifiers", help="Write UIDs into result.json, not their digests alone.")
    ] = False,
    debug_images: Annotated[
        bool,
        typer.Option(
            "--debug-images",
            help="Write contact sheets of every structure into the folder's subfolder debug.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing result.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json instead of the summary.")
    ] = False,
) -> None:
    """Analyse one CT series and write result.json, report.html and label maps."""
    # Imported here, so that --help needs none of the numerical libraries.
    from paraspinal.saving import check_destination, save_analysis

    check_destination(out, force=force)
    analysis = _analyze(
        source,
        out,
        series=series,
        config=config,
        policy=policy,
        anatomy=(anatomy, anatomy_names),
        set_levels=set_level or [],
        corrections=_Corrections(mass_mask, reject_mass or [], override or []),
        context=context,
        identifiers=identifiers,
        quiet=quiet,
    )
    save_analysis(analysis, out, force=force, debug_images=debug_images)
    if as_json:
        typer.echo(analysis.to_json(), nl=False)
    elif not quiet:
        from paraspinal.cli.summary import summary

        typer.echo(summary(analysis.result, report=out / "report.html"))


def _analyze(
    source: Path,
    out: Path,
    *,
    series: str | None,
    config: str,
    policy: PolicyName | None,
    anatomy: tuple[str, Path | None],
    set_levels: Sequence[str],
    corrections: _Corrections,
    context: Path | None,
    identifiers: bool,
    quiet: bool,
) -> Analysis:
    """Run the analysis; a refused input leaves its ``refusal.json`` and goes on as the error it is."""
    from paraspinal.analysis import analyze
    from paraspinal.anatomy.spine.set_levels import set_levels_from
    from paraspinal.cli.console import stage_progress
    from paraspinal.errors import LoadError
    from paraspinal.saving import save_refusal

    levels = set_levels_from(set_levels)
    try:
        with stage_progress(quiet=quiet) as progress:
            return analyze(
                source,
                series=series,
                config=config,
                policy=None if policy is None else policy.value,
                anatomy=anatomy[0],
                anatomy_names=anatomy[1],
                set_levels=levels,
                mass_mask=corrections.mass_mask,
                reject_masses=corrections.reject_masses,
                overrides=corrections.overrides,
                context=context,
                identifiers=identifiers,
                progress=progress,
            )
    except LoadError as error:
        save_refusal(error, out)
        raise
