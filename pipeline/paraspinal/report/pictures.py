"""The report's pictures, each a function from value objects to a `PIL.Image.Image`; handy for a look on their own.

Overviews are curved planar reformats along the traced canal: the sagittal one shows, in every slice, the column
of the canal's middle; the coronal one the row at the depth of the vertebral bodies. Distances along the spine are
those along z, not along the curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from PIL import Image

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import OutcomeConfig
from paraspinal.masses.types import Mass
from paraspinal.report import drawing
from paraspinal.report.drawing import Window
from paraspinal.report.planes import Array, Cut, Plane, curved_cut, flat_cut
from paraspinal.volume import CTVolume

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
# The vertebral bodies' middle lies about this far before the canal's middle (engineering default).
BODY_DEPTH_MM = 25.0
OVERVIEW_SLAB_MM = 4.0
OVERVIEW_MM_PER_PX = 0.5
_SAGITTAL_REACH_MM = (120.0, 75.0)
_CORONAL_REACH_MM = (115.0, 115.0)
MASS_FIELD_MM = 160.0
MASS_MARGIN_MM = 30.0
CHECK_FIELD_MM = 240.0
_MASS_PIXELS = 400
_ALTERNATIVE_FROM = 0.05

OverviewPlane = Literal["coronal", "sagittal"]


def render_overview(volume: CTVolume, anatomy: Anatomy | None, masses: Sequence[Mass] = ()) -> Image.Image:
    """Return the sagittal and the coronal overview side by side."""
    parts = [render_overview_plane(volume, anatomy, plane, masses) for plane in ("sagittal", "coronal")]
    out = Image.new("RGB", (sum(p.width for p in parts) + 8, max(p.height for p in parts)), "white")
    out.paste(parts[0], (0, 0))
    out.paste(parts[1], (parts[0].width + 8, 0))
    return out


def render_overview_plane(
    volume: CTVolume, anatomy: Anatomy | None, plane: OverviewPlane, masses: Sequence[Mass] = ()
) -> Image.Image:
    """Return a reformat along the canal with centreline, vertebra labels and the masses' projected outlines.

    Without anatomy the cut runs straight through the volume's middle, unlabelled.
    """
    cut = overview_cut(volume, anatomy, plane)
    image = drawing.canvas(cut, drawing.SPINE_WINDOW)
    image = _draw_masses(image, cut, volume, masses, projected=True)
    if anatomy is not None and len(anatomy.centreline_lps_mm):
        line = cut.pixels(volume.geometry.to_index(anatomy.centreline_lps_mm))
        image = drawing.draw_polyline(image, line, drawing.CENTRELINE)
    for vertebra in anatomy.vertebrae if anatomy else ():
        _draw_label(image, cut, volume, vertebra)
    drawing.draw_sides(image, cut, top=False)
    drawing.draw_scale_bar(image, cut)
    return image


def overview_cut(volume: CTVolume, anatomy: Anatomy | None, plane: OverviewPlane) -> Cut:
    """Return the reformat along the canal that the overview shows."""
    rows, columns = canal_curve(volume, anatomy)
    sy, sx = volume.geometry.spacing_mm[1:]
    if plane == "sagittal":
        before, behind = _SAGITTAL_REACH_MM
        through, along, spacing = columns, rows, sy
    else:
        before, behind = _CORONAL_REACH_MM
        through, along, spacing = rows - BODY_DEPTH_MM / sy, columns, sx
    if anatomy is None:
        before = behind = volume.geometry.extent_mm[1 if plane == "sagittal" else 2] / 2
    middle = float(along.min() + along.max()) / 2
    sway = float(np.ptp(along)) * spacing / 2
    return curved_cut(
        volume,
        plane,
        through,
        slab_mm=OVERVIEW_SLAB_MM,
        columns_mm=(before + sway, behind + sway),
        middle=middle,
        mm_per_px=OVERVIEW_MM_PER_PX,
    )


def canal_curve(volume: CTVolume, anatomy: Anatomy | None) -> tuple[Array, Array]:
    """Return the canal's row and column index for every slice; the volume's middle where there is none.

    Beyond the traced stretch the last point is held.
    """
    slices, height, width = volume.geometry.shape
    if anatomy is None or len(anatomy.centreline_lps_mm) == 0:
        return np.full(slices, (height - 1) / 2), np.full(slices, (width - 1) / 2)
    index = volume.geometry.to_index(anatomy.centreline_lps_mm)
    index = index[np.argsort(index[:, 0])]
    z = np.arange(slices)
    return np.interp(z, index[:, 0], index[:, 1]), np.interp(z, index[:, 0], index[:, 2])


def mass_cut(volume: CTVolume, mass: Mass, plane: Plane) -> Cut:
    """Return the cut where a mass is largest: the key slice, or its largest coronal or sagittal section."""
    z, y, x = mass.region.centroid_index()
    centre = {
        "axial": (float(mass.key_slice), y, x),
        "coronal": (z, _largest_section(mass, 1), x),
        "sagittal": (z, y, _largest_section(mass, 2)),
    }[plane]
    extent = max(n * s for n, s in zip(mass.region.mask.shape, volume.geometry.spacing_mm, strict=True))
    size = max(MASS_FIELD_MM, extent + 2 * MASS_MARGIN_MM)
    return flat_cut(volume, plane, centre, size_mm=size, mm_per_px=size / _MASS_PIXELS)


def _largest_section(mass: Mass, axis: int) -> float:
    others = tuple(a for a in range(3) if a != axis)
    return float(mass.region.start[axis] + int(mass.region.mask.sum(axis=others).argmax()))


def render_mass(
    volume: CTVolume, mass: Mass, plane: Plane, window: Window, *, others: Iterable[Mass] = ()
) -> Image.Image:
    """Return one cut through a mass with its outline (and that of others it meets), sides and scale bar."""
    cut = mass_cut(volume, mass, plane)
    image = drawing.canvas(cut, window)
    image = _draw_masses(image, cut, volume, (*others, mass), projected=False)
    drawing.draw_sides(image, cut)
    drawing.draw_scale_bar(image, cut)
    return image


def render_check_slice(
    volume: CTVolume, anatomy: Anatomy | None, z: int, window: Window, masses: Sequence[Mass] = ()
) -> Image.Image:
    """Return an axial cut around the spine (the whole slice without anatomy), to check an outcome by eye."""
    rows, columns = canal_curve(volume, anatomy)
    sy = volume.geometry.spacing_mm[1]
    size = CHECK_FIELD_MM if anatomy is not None else max(volume.geometry.extent_mm[1:])
    ahead = BODY_DEPTH_MM / sy if anatomy is not None else 0.0
    centre = (float(z), float(rows[z]) - ahead, float(columns[z]))
    cut = flat_cut(volume, "axial", centre, size_mm=size, mm_per_px=size / _MASS_PIXELS)
    image = drawing.canvas(cut, window)
    image = _draw_masses(image, cut, volume, masses, projected=False)
    drawing.draw_sides(image, cut)
    drawing.draw_scale_bar(image, cut)
    return image


def _draw_masses(
    image: Image.Image, cut: Cut, volume: CTVolume, masses: Iterable[Mass], *, projected: bool
) -> Image.Image:
    """Outline masses; those in state indeterminate are dashed."""
    for mass in masses:
        for outline in cut.outlines(mass.region, volume.geometry.shape, projected=projected):
            image = drawing.draw_polyline(
                image,
                outline,
                drawing.mass_colour(mass.id),
                closed=True,
                dashed=mass.state == "indeterminate",
            )
    return image


def _draw_label(image: Image.Image, cut: Cut, volume: CTVolume, vertebra: Vertebra) -> None:
    column, row = cut.pixels(volume.geometry.to_index(vertebra.centroid_lps_mm))
    doubtful = is_uncertain(vertebra)
    colour = drawing.UNCERTAIN if doubtful else drawing.CERTAIN
    name = f"{vertebra.label}?" if doubtful else vertebra.label
    width = drawing.draw_text(image, (column, row), name, size=17, colour=colour)
    others = alternatives(vertebra) if doubtful else ()
    if others:
        text = "/".join(label for label, _ in others[:2])
        drawing.draw_text(
            image, (column + width / 2 + 6, row), f"({text})", size=13, colour=colour, anchor="lm"
        )


def is_uncertain(vertebra: Vertebra) -> bool:
    """Tell whether a vertebra's name is stated with a question mark."""
    return vertebra.confidence < OutcomeConfig().min_level_confidence


def alternatives(vertebra: Vertebra) -> tuple[tuple[str, float], ...]:
    """Return the other names that a vertebra may have (5 % or more), likeliest first."""
    others = [
        (label, p)
        for label, p in vertebra.label_probabilities.items()
        if label != vertebra.label and p >= _ALTERNATIVE_FROM
    ]
    return tuple(sorted(others, key=lambda item: -item[1]))
