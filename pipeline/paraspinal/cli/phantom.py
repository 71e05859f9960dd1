"""``paraspinal phantom PRESET -o DIR``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paraspinal.phantom import PhantomSpec


class PresetName(StrEnum):
    """The phantoms that can be asked for by name."""

    EMH = "emh"
    HEALTHY = "healthy"
    SINGLE_MASS = "single-mass"
    SCHWANNOMA = "schwannoma"
    ABSCESS = "abscess"
    METASTASIS = "metastasis"
    EFFUSION = "effusion"


class MassSideName(StrEnum):
    """Sides of a mass."""

    LEFT = "left"
    RIGHT = "right"


class SyntaxName(StrEnum):
    """Transfer syntaxes of the series."""

    JPEG_LS = "jpeg-ls"
    EXPLICIT = "explicit"
    IMPLICIT = "implicit"


def phantom_command(
    preset: Annotated[PresetName, typer.Argument(help="Which phantom to make.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", help="Folder for series and truth.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Another body, other noise; the preset's own by default.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="ZxYxX", help="Voxels: slices x rows x columns, such as 90x320x320.")
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Millimetres between voxel centres, such as 2.5,1.15,1.15."),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(metavar="TOP-BOTTOM", help="Centre the scan on these vertebrae, such as T7-L2."),
    ] = None,
    noise: Annotated[
        float | None, typer.Option(min=0.0, help="Noise SD in HU in soft tissue beside the spine.")
    ] = None,
    side: Annotated[
        MassSideName | None, typer.Option(help="single-mass only: the side of the mass [right].")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="single-mass only: the vertebra beside its centre [T9].")
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(min=1.0, help="single-mass only: diameter in mm [30].")
    ] = None,
    syntax: Annotated[
        SyntaxName, typer.Option(help="Transfer syntax; jpeg-ls is lossless and about a third of the size.")
    ] = SyntaxName.JPEG_LS,
    force: Annotated[bool, typer.Option("--force", help="Replace a phantom that is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Make a synthetic CT series with known truth: DICOM, truth.json, label maps. No patient is in it."""
    # Imported here, so that --help needs none of the numerical libraries.
    from paraspinal.phantom import make_phantom, write_phantom
    from paraspinal.phantom.save import check_phantom_folder

    spec = _with_grid(
        _chosen(preset, side=side, level=level, diameter=diameter),
        seed=seed,
        shape=shape,
        spacing=spacing,
        levels=levels,
        noise=noise,
    )
    check_phantom_folder(out, force=force)
    made = make_phantom(spec)
    write_phantom(made, out, syntax=syntax.value, force=force)
    if not quiet:
        levels_seen = made.truth["vertebrae"]
        typer.echo(
            f"{preset.value}: {spec.shape[0]} slices, {levels_seen[0]['label']}–{levels_seen[-1]['label']}, "
            f"{len(made.truth['masses'])} masses, synthetic. Next: paraspinal analyze {out / 'dicom'} -o OUT"
        )


def _chosen(
    preset: PresetName, *, side: MassSideName | None, level: str | None, diameter: float | None
) -> PhantomSpec:
    from paraspinal.errors import UsageError
    from paraspinal.phantom.presets import preset as named
    from paraspinal.phantom.presets import single_mass

    if preset is not PresetName.SINGLE_MASS:
        if (side, level, diameter) != (None, None, None):
            raise UsageError(
                f"--side, --level and --diameter do not go with {preset.value}.",
                code="phantom_option_not_used",
                remedy="Use them with single-mass.",
            )
        return named(preset.value)
    return single_mass(
        side="right" if side is None else side.value,
        level="T9" if level is None else level.upper(),
        diameter_mm=30.0 if diameter is None else diameter,
    )


def _with_grid(
    spec: PhantomSpec,
    *,
    seed: int | None,
    shape: str | None,
    spacing: str | None,
    levels: str | None,
    noise: float | None,
) -> PhantomSpec:
    from dataclasses import replace

    voxels = (
        spec.shape if shape is None else tuple(int(v) for v in _three(shape, "x", "--shape", "90x320x320"))
    )
    mm = spec.spacing_mm if spacing is None else _three(spacing, ",", "--spacing", "2.5,1.15,1.15")
    top, _, bottom = (levels or "-".join(spec.levels)).upper().partition("-")
    return replace(
        spec,
        seed=spec.seed if seed is None else seed,
        shape=(int(voxels[0]), int(voxels[1]), int(voxels[2])),
        spacing_mm=(mm[0], mm[1], mm[2]),
        levels=(top, bottom),
        noise_hu=spec.noise_hu if noise is None else noise,
    )


def _three(text: str, separator: str, option: str, example: str) -> tuple[float, float, float]:
    """Read three numbers from the command line."""
    from paraspinal.errors import UsageError

    try:
        a, b, c = (float(part) for part in text.lower().split(separator))
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not three numbers.",
            code="phantom_option_invalid",
            remedy=f"Write it like {option} {example}.",
        ) from None
    return (a, b, c)
