"""``paraspinal phantom PRESET -o DIR``."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli.arguments import given_path

if TYPE_CHECKING:
    from paraspinal.errors import UsageError
    from paraspinal.phantom import Defect, Phantom, PhantomSpec

_MAX_VOXELS = 500_000_000  # 1000 slices of 700 × 700: about 4 GiB while it is made
_DIAMETER_MM = (2.0, 200.0)
_NOISE_HU = (0.0, 500.0)
_SPACING_MM = (0.1, 20.0)
_VOXELS = (4.0, 4096.0)


class PresetName(StrEnum):
    """The phantoms that can be asked for by name."""

    EMH = "emh"
    HEALTHY = "healthy"
    SINGLE_MASS = "single-mass"
    SCHWANNOMA = "schwannoma"
    ABSCESS = "abscess"
    METASTASIS = "metastasis"
    EFFUSION = "effusion"
    RANDOM = "random"


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
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "--output",
            "-o",
            metavar="FOLDER",
            parser=given_path,
            help="Folder for series and truth.",
        ),
    ],
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
        float | None, typer.Option(help="Noise SD in HU in soft tissue beside the spine, 0 to 500.")
    ] = None,
    side: Annotated[
        MassSideName | None, typer.Option(help="single-mass only: the side of the mass; right if not given.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="single-mass only: the vertebra beside its centre; T9 if not given.")
    ] = None,
    diameter: Annotated[
        float | None, typer.Option(help="single-mass only: diameter in mm, 2 to 200; 30 if not given.")
    ] = None,
    syntax: Annotated[
        SyntaxName | None,
        typer.Option(
            help="Transfer syntax; jpeg-ls (the default) is lossless and a third of the size. A series with"
            " defects is explicit unless this or a defect says otherwise."
        ),
    ] = None,
    defect: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="Spoil the series, see above; may be given several times."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a phantom that is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Make a synthetic CT series with known truth: DICOM, truth.json, label maps. No patient is in it.

    To put a mass into a real series instead: paraspinal phantom insert --help.

    DEFECTS, to test what reads the series: --defect tilt:15 --defect
    missing:3. They combine unless they contradict each other.

    How the slices lie: coronal, sagittal, spacing:A/B/C, overlap,
    jitter:MM, few:N, missing:N:AT, oblique:DEG, tilt:DEG, non-square,
    cut-field-of-view, flipped-rows, flipped-columns.

    Which images there are: one-position, duplicate:N, duplicate-other,
    two-phases, four-d:N, mixed-orientation, two-scans, localizer, shuffled,
    reversed, empty-position:N.

    What they hold: padding:HOW (tag, no-tag), clipped, iodine-map,
    perfusion-map, mip, virtual-energy:KEV, cone-beam, modality:NAME (MR,
    PT, CR, SC), no-kvp.

    How it is stored: no-rescale, odd-rescale, negative-slope, modality-lut,
    unsigned, bits:N (12, 8), monochrome1, lossy:HOW (jpeg-ls, jpeg),
    unknown-syntax, syntax:NAME (implicit, big-endian, deflated, rle,
    jpeg-lossless, jpeg-ls, jpeg2000, htj2k).

    What the files are: enhanced, legacy-enhanced, empty-uids,
    truncated-pixels:N, malformed.
    """
    # Imported here, so that --help needs none of the numerical libraries.
    from paraspinal.phantom import make_phantom, write_phantom
    from paraspinal.phantom.save import check_phantom_folder

    spec = _with_grid(
        _chosen(preset, side=side, level=level, diameter=diameter, seed=seed),
        seed=seed,
        shape=shape,
        spacing=spacing,
        levels=levels,
        noise=_in_range("--noise", noise, _NOISE_HU),
    )
    defects = _defects(defect or [], syntax)
    check_phantom_folder(out, force=force)
    made = make_phantom(spec)
    warning = _mass_in_view(made)
    write_phantom(made, out, syntax=(syntax or SyntaxName.JPEG_LS).value, force=force, defects=defects)
    if warning:
        typer.echo(f"paraspinal: {warning}", err=True)
    if not quiet:
        levels_seen = made.truth["vertebrae"]
        named = f"{levels_seen[0]['label']}–{levels_seen[-1]['label']}, " if levels_seen else ""
        spoilt = f"defects: {', '.join(map(str, defects))}, " if defects else ""
        typer.echo(
            f"{preset.value}: {spec.shape[0]} slices, {named}{len(made.truth['masses'])} masses, {spoilt}synthetic."
            f" Next: paraspinal {'inspect' if defects else 'analyze'} {out / 'dicom'}{'' if defects else ' -o OUT'}"
        )


def _defects(texts: list[str], syntax: SyntaxName | None) -> tuple[Defect, ...]:
    """Read the defects; a compressed or implicit transfer syntax is one of them."""
    from paraspinal.phantom.defect_text import check_together, parse_defect

    if texts and syntax not in (None, SyntaxName.EXPLICIT):
        texts = [*texts, f"syntax:{syntax.value}"]
    defects = tuple(parse_defect(text) for text in texts)
    check_together(defects)
    return defects


def _mass_in_view(made: Phantom) -> str | None:
    """Return a warning where the scan cuts a mass.

    Raises
    ------
    UsageError
        If a mass lies outside the scan: the series would say nothing about it.
    """
    for mass in made.truth["masses"]:
        if not mass["in_view"]:
            raise _wrong(
                f"The mass at {mass['centre_level']} lies outside the scan.",
                "phantom_mass_outside",
                "Choose --level within --levels, or a larger --shape.",
            )
    cut = [mass["centre_level"] for mass in made.truth["masses"] if mass["cut"]]
    return f"The scan cuts the mass at {', '.join(cut)}. [phantom_mass_cut]" if cut else None


def _chosen(
    preset: PresetName,
    *,
    side: MassSideName | None,
    level: str | None,
    diameter: float | None,
    seed: int | None,
) -> PhantomSpec:
    from paraspinal.phantom.presets import preset as named
    from paraspinal.phantom.presets import single_mass
    from paraspinal.phantom.random_body import random_spec

    if preset is not PresetName.SINGLE_MASS:
        if (side, level, diameter) != (None, None, None):
            raise _wrong(
                f"--side, --level and --diameter do not go with {preset.value}.",
                "phantom_option_not_used",
                "Use them with single-mass.",
            )
        if preset is PresetName.RANDOM:
            return random_spec(0 if seed is None else seed)
        return named(preset.value)
    wide = _in_range("--diameter", diameter, _DIAMETER_MM)
    return single_mass(
        side="right" if side is None else side.value,
        level="T9" if level is None else level.upper(),
        diameter_mm=30.0 if wide is None else wide,
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

    voxels = spec.shape if shape is None else _voxels(shape)
    mm = spec.spacing_mm
    if spacing is not None:
        mm = _three(spacing, ",", "--spacing", "2.5,1.15,1.15", _SPACING_MM)
    return replace(
        spec,
        seed=spec.seed if seed is None else seed,
        shape=voxels,
        spacing_mm=mm,
        levels=spec.levels if levels is None else _range_of_levels(levels),
        noise_hu=spec.noise_hu if noise is None else noise,
    )


def _voxels(text: str) -> tuple[int, int, int]:
    """Read a shape, and refuse what would not fit into memory before anything is made."""
    z, y, x = _three(text, "x", "--shape", "90x320x320", _VOXELS)
    if any(n % 1 for n in (z, y, x)) or z * y * x > _MAX_VOXELS:
        raise _wrong(
            f"--shape {text!r} cannot be made.",
            "phantom_option_invalid",
            f"Use whole numbers with a product of at most {_MAX_VOXELS:,}, such as 90x320x320.",
        )
    return (int(z), int(y), int(x))


def _range_of_levels(text: str) -> tuple[str, str]:
    from paraspinal.phantom.levels import LEVELS

    top, _, bottom = text.upper().partition("-")
    if top in LEVELS and bottom in LEVELS and LEVELS.index(top) > LEVELS.index(bottom):
        raise _wrong(
            f"--levels {text!r} is upside down.",
            "phantom_option_invalid",
            f"Write the upper vertebra first: --levels {bottom}-{top}.",
        )
    return (top, bottom)


def _three(
    text: str, separator: str, option: str, example: str, limits: tuple[float, float]
) -> tuple[float, float, float]:
    """Read three numbers from the command line, each within `limits`."""
    try:
        a, b, c = (float(part) for part in text.lower().split(separator))
    except ValueError:
        raise _wrong(
            f"{option} {text!r} is not three numbers.",
            "phantom_option_invalid",
            f"Write it like {option} {example}.",
        ) from None
    if not all(limits[0] <= value <= limits[1] for value in (a, b, c)):
        raise _wrong(
            f"{option} {text!r} is out of range.",
            "phantom_option_invalid",
            f"Use three numbers from {limits[0]:g} to {limits[1]:g}.",
        )
    return (a, b, c)


def _in_range(option: str, value: float | None, limits: tuple[float, float]) -> float | None:
    if value is None or (math.isfinite(value) and limits[0] <= value <= limits[1]):
        return value
    raise _wrong(
        f"{option} {value:g} is out of range.",
        "phantom_option_invalid",
        f"Use a number from {limits[0]:g} to {limits[1]:g}.",
    )


def _wrong(message: str, code: str, remedy: str) -> UsageError:
    from paraspinal.errors import UsageError

    return UsageError(message, code=code, remedy=remedy)
