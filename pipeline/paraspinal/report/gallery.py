"""Which pictures a report shows, with captions and texts for people who cannot see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from paraspinal.anatomy.types import Anatomy
from paraspinal.masses.types import Mass
from paraspinal.report import drawing
from paraspinal.report.bone_picture import render_facing_wall
from paraspinal.report.cortex_chart import cortex_chart_legend, render_cortex_chart
from paraspinal.report.levels import level_span
from paraspinal.report.numbers import counted, number_text
from paraspinal.report.organ_picture import organ_legend, render_organs
from paraspinal.report.pictures import (
    BODY_DEPTH_MM,
    OVERVIEW_SLAB_MM,
    PLANES,
    OverviewPlane,
    mass_cut,
    render_check_slice,
    render_mass,
    render_overview_plane,
)
from paraspinal.report.planes import Plane
from paraspinal.report.spine_chart import render_spine_chart, spine_chart_legend
from paraspinal.report.types import AnalysisLike
from paraspinal.volume import CTVolume

# Six pictures each: more masses would make the file too large to mail.
MAX_PICTURED_MASSES = 12
_WINDOWS = (("Soft tissue", drawing.SOFT_WINDOW), ("Bone", drawing.BONE_WINDOW))


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it stands in the report."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str


def _picture(image: Image.Image, *, alt: str, caption: str) -> Picture:
    return Picture(drawing.data_uri(image), image.width, image.height, alt, caption)


def window_text(window: drawing.Window) -> str:
    """Return a window as ``W 400 L 40``."""
    return f"W {window[0]:.0f} L {window[1]:.0f}"


def overview_pictures(analysis: AnalysisLike) -> list[Picture]:
    """Return the sagittal and the coronal reformat."""
    planes: tuple[OverviewPlane, ...] = ("sagittal", "coronal")
    return [_overview(analysis, plane) for plane in planes]


def spine_picture(analysis: AnalysisLike) -> Picture | None:
    """Return the straightened spine with the densities and the coarseness of its vertebrae, where there are any."""
    found = analysis.result.anatomy
    if analysis.anatomy is None or found is None:
        return None
    measured = {v.label: v.measurements for v in found.vertebrae}
    image = render_spine_chart(analysis.volume, analysis.anatomy, measured)
    if image is None:
        return None
    return _picture(
        image,
        alt="Straightened sagittal spine; beside every vertebra its trabecular density and its coarsening index.",
        caption=spine_chart_legend(measured),
    )


def cortex_picture(analysis: AnalysisLike) -> Picture | None:
    """Return the fitted cortex of the ribs, and the cortex of the vertebrae by level, where either was measured."""
    found = analysis.result.anatomy
    measured = {} if found is None else {v.label: v.measurements for v in found.vertebrae}
    image = render_cortex_chart(analysis.ribs, measured)
    if image is None:
        return None
    return _picture(
        image,
        alt="Mean HU profile across the cortex of the ribs with the fitted model; beside it the peak HU and"
        " the cortical mass of every vertebra.",
        caption=cortex_chart_legend(analysis.ribs, analysis.result.measurements),
    )


def organ_picture(analysis: AnalysisLike) -> Picture | None:
    """Return liver and spleen as outlined, with their measurements, where either was found."""
    if analysis.anatomy is None:
        return None
    image = render_organs(analysis.volume, analysis.anatomy, analysis.result.measurements)
    if image is None:
        return None
    return _picture(
        image,
        alt="Coronal cut with the outlines of spleen and liver; beside it their volumes, lengths and densities.",
        caption=organ_legend(analysis.anatomy),
    )


def _overview(analysis: AnalysisLike, plane: OverviewPlane) -> Picture:
    volume, anatomy, masses = analysis.volume, analysis.anatomy, analysis.search.masses
    image = render_overview_plane(volume, anatomy, plane, masses)
    window = window_text(drawing.SPINE_WINDOW)
    if anatomy is None:
        where = "straight through the volume's middle (no canal was traced)"
    elif plane == "sagittal":
        where = "along the traced canal"
    else:
        where = f"{BODY_DEPTH_MM:.0f} mm in front of the traced canal, at the depth of the vertebral bodies"
    labels = [v.label for v in anatomy.vertebrae] if anatomy else []
    shown = f"; vertebrae labelled {labels[0]} to {labels[-1]}" if labels else "; no vertebra labelled"
    outlines = f"; outlines of {counted(len(masses), 'mass', 'masses')} projected onto it" if masses else ""
    return _picture(
        image,
        alt=f"{plane.capitalize()} reformat {where}{shown}{outlines}.",
        caption=f"{plane.capitalize()} {where}, {OVERVIEW_SLAB_MM:.0f} mm slab, {window}"
        + ("; outlines of masses are projected" if masses else ""),
    )


def mass_pictures(analysis: AnalysisLike, mass: Mass) -> list[tuple[str, list[Picture]]]:
    """Return a mass in axial, coronal and sagittal cuts, one row per window."""
    rows = []
    for name, window in _WINDOWS:
        pictures = [_mass_picture(analysis, mass, plane, name, window) for plane in PLANES]
        rows.append((f"{name}, {window_text(window)}", pictures))
    bone = _bone_picture(analysis, mass)
    if bone is not None:
        rows.append((f"Bone that faces the mass, {window_text(drawing.BONE_WINDOW)}", [bone]))
    return rows


def _bone_picture(analysis: AnalysisLike, mass: Mass) -> Picture | None:
    """Return the vertebra that a mass faces, where its wall was judged."""
    judged = any(
        m.id == mass.id and key in m.measurements and m.measurements[key].status != "not_assessed"
        for m in analysis.result.masses
        for key in ("lytic_depth_mm", "scalloping_depth_mm")
    )
    made = render_facing_wall(analysis.volume, analysis.walls, mass) if judged and analysis.walls else None
    if made is None:
        return None
    image, view, z = made
    label = view.wall.label
    return _picture(
        image,
        alt=f"Axial cut through {label} with its expected and its actual wall beside mass {mass.id}.",
        caption=f"{label}, {slice_name(analysis.volume, z)}. Dashed: the wall expected from the other side and the"
        " neighbouring vertebrae; line: the wall as read; tinted: bone that is missing beside the mass",
    )


def _mass_picture(
    analysis: AnalysisLike, mass: Mass, plane: Plane, name: str, window: drawing.Window
) -> Picture:
    volume = analysis.volume
    others = [m for m in analysis.search.masses if m.id != mass.id]
    image = render_mass(volume, mass, plane, window, others=others)
    caption = cut_caption(volume, plane, int(np.asarray(mass_cut(volume, mass, plane).through)))
    alt = (
        f"Mass {mass.id}, {mass.side}, {level_span(mass.levels)}: {caption}, {name.lower()} window, "
        "with the outline of the mass, patient sides and a scale bar."
    )
    return _picture(image, alt=alt, caption=caption)


def cut_caption(volume: CTVolume, plane: Plane, index: int) -> str:
    """Return what a cut shows: slice from the feet and DICOM instance, or its distance in the patient."""
    if plane == "axial":
        return f"Axial, {slice_name(volume, index)}"
    axis = 1 if plane == "coronal" else 2
    place = [(n - 1) / 2 for n in volume.geometry.shape]
    place[axis] = index
    x, y, _ = volume.geometry.to_lps(place)
    named, position = ("y", y) if plane == "coronal" else ("x", x)
    return f"{plane.capitalize()}, {named} = {number_text(float(position), decimals=0)} mm"


def slice_name(volume: CTVolume, index: int) -> str:
    """Return ``slice 43 of 100 from the feet, DICOM instance 58`` (1-based; instance where there is one)."""
    text = f"slice {index + 1} of {volume.geometry.shape[0]} from the feet"
    number = volume.slices[index].instance_number if index < len(volume.slices) else None
    return f"{text}, DICOM instance {number}" if number is not None else f"{text}, no instance number"


def check_pictures(analysis: AnalysisLike) -> list[Picture]:
    """Return axial cuts at three places along the spine, to check by eye that there is no mass."""
    return [_check(analysis, z, level) for z, level in check_places(analysis.volume, analysis.anatomy)]


def _check(analysis: AnalysisLike, z: int, level: str) -> Picture:
    window = drawing.SOFT_WINDOW
    image = render_check_slice(analysis.volume, analysis.anatomy, z, window, analysis.search.masses)
    caption = f"{level}{slice_name(analysis.volume, z)}, {window_text(window)}"
    return _picture(image, alt=f"Axial cut, {caption}, with patient sides and a scale bar.", caption=caption)


def check_places(volume: CTVolume, anatomy: Anatomy | None) -> list[tuple[int, str]]:
    """Return (slice, level) at a quarter, half and three quarters of the vertebrae, or else of the volume."""
    slices = volume.geometry.shape[0]
    shares = (0.75, 0.5, 0.25)
    if anatomy is None or not anatomy.vertebrae:
        return [(round(share * (slices - 1)), "") for share in shares]
    vertebrae = sorted(anatomy.vertebrae, key=lambda v: v.centroid_lps_mm[2])
    chosen = dict.fromkeys(round(share * (len(vertebrae) - 1)) for share in shares)
    places = []
    for k in chosen:
        z = round(float(volume.geometry.to_index(vertebrae[k].centroid_lps_mm)[0]))
        places.append((min(max(z, 0), slices - 1), f"At {vertebrae[k].label}, "))
    return places
