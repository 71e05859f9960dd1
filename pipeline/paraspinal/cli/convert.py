"""``paraspinal convert INPUT -o FILE.nii.gz``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraspinal.cli.arguments import (
    POLICY_HELP,
    PolicyName,
    given_name,
    given_path,
    input_path,
    loading_settings,
    series_name,
)
from paraspinal.errors import LoadError, UsageError

if TYPE_CHECKING:
    from paraspinal.config import LoadingConfig
    from paraspinal.loading import LoadedSeries
    from paraspinal.result import LoadCode

_ENDINGS = (".nii", ".nii.gz")
_SLICES_NAMED = 12
_PADDING_HU = -1024


def nifti_path(text: str) -> Path:
    """Return the path of a NIfTI file to write.

    Raises
    ------
    UsageError
        If it is empty, or does not end in .nii or .nii.gz.
    """
    path = given_path(text)
    if not path.name.endswith(_ENDINGS) or path.name in _ENDINGS:
        raise UsageError(
            f"{path.name} is no name of a NIfTI file.",
            code="output_not_nifti",
            remedy="Name a file that ends in .nii or .nii.gz.",
        )
    return path


def convert_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            parser=input_path,
            help="A folder, a DICOM file, a DICOMDIR, a zip, or a NIfTI, NRRD or MetaImage file.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", parser=nifti_path, help="NIfTI file to write: .nii or .nii.gz."
        ),
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
    policy: Annotated[PolicyName | None, typer.Option(help=POLICY_HELP)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Write one CT series as NIfTI (int16, Hounsfield units) and print the loader's verdict.

    The voxels are those that `analyze` would measure: re-ordered to the patient's axes, repaired only where the
    verdict says so. A refused input writes nothing.
    """
    from paraspinal.cli.nifti_output import check_file, save_volume

    check_file(out, force=force)
    settings = loading_settings(config, policy)
    loaded = _load(source, series=series, config=settings, quiet=quiet, as_json=as_json)
    save_volume(loaded.volume, out, force=force)
    if as_json:
        import json

        typer.echo(json.dumps(_verdict(loaded, out), indent=2, allow_nan=False))
    elif not quiet:
        typer.echo("\n".join(_lines(loaded, out)))


def _load(
    source: Path, *, series: str | None, config: LoadingConfig, quiet: bool, as_json: bool
) -> LoadedSeries:
    """Load the series; with --json a refusal is printed as JSON, too, and goes on as the error it is."""
    from paraspinal.cli.console import stage_progress
    from paraspinal.loading import load_series

    try:
        with stage_progress(quiet=quiet or as_json) as progress:
            return load_series(source, series=series, config=config, progress=progress)
    except LoadError as error:
        if as_json:
            from paraspinal.report.refusal import refusal_json

            typer.echo(refusal_json(error), nl=False)
        raise


def _verdict(loaded: LoadedSeries, out: Path) -> dict[str, Any]:
    geometry = loaded.volume.geometry
    return {
        **loaded.loading.model_dump(mode="json"),
        "file": str(out),
        "source": loaded.source,
        "series_digest": loaded.uid_digest,
        "input_digest": loaded.input_digest,
        "shape_zyx": list(geometry.shape),
        "spacing_zyx_mm": list(geometry.spacing_mm),
        "origin_lps_mm": list(geometry.origin_lps_mm),
        "axes_lps_zyx": geometry.axes_lps.T.tolist(),
        "padding_hu": _PADDING_HU,
        "padding_voxels": _padded(loaded),
    }


def _padded(loaded: LoadedSeries) -> int:
    padding = loaded.volume.padding
    return 0 if padding is None else int(padding.sum())


def _lines(loaded: LoadedSeries, out: Path) -> list[str]:
    """Return the verdict for people: what was written, each code in one line with its numbers."""
    z, y, x = loaded.volume.geometry.shape
    dz, dy, dx = loaded.volume.geometry.spacing_mm
    lines = [f"{loaded.loading.verdict}: {x} × {y} × {z} voxels of {dx:g} × {dy:g} × {dz:g} mm in {out}"]
    if loaded.loading.chosen_because:
        lines.append(f"  taken: {loaded.loading.chosen_because}")
    lines += [f"  {code.kind}: {_code_line(code)}" for code in loaded.loading.codes]
    if padded := _padded(loaded):
        lines.append(f"  {padded} voxels of padding (outside the reconstructed field) read {_PADDING_HU} HU.")
    lines += [f"  left out: {text}" for text in loaded.loading.left_out]
    return lines


def _code_line(code: LoadCode) -> str:
    facts = [f"{name} {value:g}" for name, value in code.numbers.items()]
    if code.slices:
        named = ", ".join(str(index) for index in code.slices[:_SLICES_NAMED])
        facts.append(f"slices {named}{' …' if len(code.slices) > _SLICES_NAMED else ''}")
    told = "; ".join(facts)
    return f"{code.code}: {code.text}" + (f" ({told})" if told else "")
