"""``paraspinal phantom insert SERIES --mass SPEC -o DIR``, and the group it shares with the synthetic bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from paraspinal.cli.arguments import given_path, input_path, series_name
from paraspinal.cli.phantom import phantom_command


class PhantomGroup(TyperGroup):
    """``phantom PRESET`` makes a synthetic body; ``phantom insert`` is the only other verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what is no verb as the name of a preset."""
        if not args or args[0] not in self.commands:
            args = ["make", *args]
        return super().parse_args(ctx, args)


phantom_app = typer.Typer(cls=PhantomGroup, add_completion=False, rich_markup_mode=None)
phantom_app.command("make")(phantom_command)


@phantom_app.command("insert")
def insert_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SERIES",
            parser=input_path,
            help="A real CT series: a folder, a DICOM file, a zip, or a NIfTI, NRRD or MetaImage file.",
        ),
    ],
    mass: Annotated[
        list[str],
        typer.Option(
            metavar="SPEC",
            help="A mass, such as side=left,level=T9,size=30x26x40,hu=45, or a JSON file; several times for several.",
        ),
    ],
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
    series: Annotated[
        str | None,
        typer.Option(metavar="UID", parser=series_name, help="Which series, where the input holds several."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Other lobes, foci and noise.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a phantom that is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Put masses of known shape, place and density into a real series: DICOM, truth.json, masses.nii.gz.

    Fat, muscle and organs give way, lung is replaced, bone stays; the border takes the scan's own sharpness and the
    inside its own noise. The files hold the real scan's pixels: keep them as private as the scan.

    Keys of SPEC, separated by commas: side (left, right), level (T9), size (diameters in mm: side x front x height,
    or one), hu, enhancement (added when the scan has contrast medium), shape (ellipsoid, lobulated, fusiform,
    dumbbell), edge (mm of an ill-defined margin), overlap (mm into the vertebra's side), offset (mm: outwards x
    back x up), rim (HU of a wall), low, fat, specks (count x mm x HU change).
    """
    # Imported here, so that --help needs none of the numerical libraries.
    from paraspinal.phantom.hybrid import insert_into_series, parse_mass, write_hybrid
    from paraspinal.phantom.save import check_phantom_folder

    specs = [parse_mass(text) for text in mass]
    check_phantom_folder(out, force=force)
    made = insert_into_series(
        source,
        specs,
        series=series,
        seed=seed,
        progress=None if quiet else lambda step: typer.echo(f"  {step}", err=True),
    )
    write_hybrid(made, out, force=force)
    for known in made.truth["masses"]:
        if known["cut"]:
            typer.echo(f"paraspinal: The scan cuts the mass at {known['centre_level']}.", err=True)
        if not quiet:
            levels = "–".join(dict.fromkeys(known["levels"]))
            typer.echo(f"mass {known['id']}: {known['side']} {levels}, {known['volume_ml']:.1f} mL")
    if not quiet:
        typer.echo(f"Next: paraspinal analyze {out / 'dicom'} -o OUT")
