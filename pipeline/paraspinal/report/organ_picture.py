"""Liver and spleen as they were outlined, with what was measured of them beside the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image
from skimage import measure as contours

from paraspinal.anatomy.types import Anatomy
from paraspinal.report import drawing
from paraspinal.report.numbers import has_text, with_unit
from paraspinal.report.planes import Cut, flat_cut
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume

ORGANS: Mapping[str, drawing.Colour] = {"spleen": (255, 145, 30), "liver": (64, 200, 160)}
KEYS: Mapping[str, Mapping[str, str]] = {
    "spleen": {
        "spleen_volume_ml": "Spleen",
        "spleen_length_mm": "length",
        "splenic_lesions_count": "focal lesions",
        "splenic_lesion_max_mm": "largest lesion",
        "splenic_calcification_fraction": "calcified share",
    },
    "liver": {
        "liver_volume_ml": "Liver",
        "liver_ml_per_m2": "by body surface",
        "liver_craniocaudal_mm": "craniocaudal",
        "liver_hu": "attenuation",
    },
}
_PIXELS, _PANEL_PX, _LINE_PX, _MARGIN_MM = 420, 250, 19, 12.0


def render_organs(volume: CTVolume, anatomy: Anatomy, measured: Measurements) -> Image.Image | None:
    """Return the coronal cut that shows most of spleen and liver, with their outlines and measurements.

    Both count alike, however large they are. None where neither was outlined.
    """
    masks = {name: anatomy.mask(name) for name in ORGANS if anatomy.mask(name).any()}
    if not masks:
        return None
    row = _fullest_row(masks)
    cut = _coronal(volume, anatomy, masks, row)
    image = drawing.canvas(cut, drawing.SOFT_WINDOW)
    for name, mask in masks.items():
        for line in _outlines(mask[:, row], row, anatomy, volume, cut):
            image = drawing.draw_polyline(image, line, ORGANS[name], closed=True)
    drawing.draw_sides(image, cut)
    drawing.draw_scale_bar(image, cut)
    return _beside(image, measured)


def organ_legend(anatomy: Anatomy) -> str:
    """Return the caption: which outlines there are, and what the scan cuts off."""
    parts = []
    for name in ORGANS:
        organ = anatomy.organs.get(name)
        if not anatomy.mask(name).any():
            reason = organ.reason if organ is not None and organ.reason else "not outlined"
            parts.append(f"no {name} outlined ({reason})")
        else:
            cut = f", cut off by the scan ({', '.join(organ.truncated)})" if organ and organ.truncated else ""
            parts.append(f"{name} outlined{cut}")
    return f"Coronal, where most of both is seen: {'; '.join(parts)}. Values with one standard uncertainty."


def _fullest_row(masks: Mapping[str, BoolArray]) -> int:
    """Return the row of the working grid that shows the largest shares of the organs' own largest sections."""
    areas = [mask.sum(axis=(0, 2)).astype(float) for mask in masks.values()]
    return int(np.argmax(sum(area / area.max() for area in areas)))


def _coronal(volume: CTVolume, anatomy: Anatomy, masks: Mapping[str, BoolArray], row: int) -> Cut:
    """Cut the volume at a row of the working grid, wide enough for what is outlined there."""
    seen = np.argwhere(np.any([mask[:, row] for mask in masks.values()], axis=0))
    middle = 0.5 * (seen.min(axis=0) + seen.max(axis=0))
    grid = anatomy.geometry
    extent = max((np.ptp(seen[:, k]) + 1) * grid.spacing_mm[axis] for k, axis in ((0, 0), (1, 2)))
    centre = volume.geometry.to_index(grid.to_lps(np.array([middle[0], float(row), middle[1]])))
    size = float(extent) + 2.0 * _MARGIN_MM
    return flat_cut(
        volume,
        "coronal",
        (float(centre[0]), float(centre[1]), float(centre[2])),
        size_mm=size,
        mm_per_px=size / _PIXELS,
    )


def _outlines(
    section: BoolArray, row: int, anatomy: Anatomy, volume: CTVolume, cut: Cut
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return the borders of a section [z, x] of the working grid as pixel polygons of the cut."""
    found = contours.find_contours(np.pad(section.astype(float), 1), 0.5)
    lines = []
    for line in found:
        index = np.column_stack([line[:, 0] - 1.0, np.full(len(line), float(row)), line[:, 1] - 1.0])
        lines.append(cut.pixels(volume.geometry.to_index(anatomy.geometry.to_lps(index))))
    return lines


def _beside(image: Image.Image, measured: Measurements) -> Image.Image:
    """Return the picture with the organs' measurements on its right."""
    rows = [(name, measured.get(key), text) for name, keys in KEYS.items() for key, text in keys.items()]
    height = max(image.height, _LINE_PX * (len(rows) + 3))
    out = Image.new("RGB", (image.width + _PANEL_PX, height))
    out.paste(image, (0, 0))
    at, last = _LINE_PX, ""
    for name, m, words in rows:
        if name != last:
            at += _LINE_PX // 2 if last else 0
            last = name
        _line(out, image.width + 10, at, words, m, ORGANS[name])
        at += _LINE_PX
    return out


def _line(
    out: Image.Image, left: int, at: int, name: str, m: Measurement | None, colour: drawing.Colour
) -> None:
    # Pillow's own font has no sign for "at least".
    text = with_unit(m).replace("≥", "at least") if has_text(m) else "not measured"
    drawing.draw_text(out, (left, at), name, size=12, colour=colour, anchor="lm")
    drawing.draw_text(out, (out.width - 8, at), text, size=12, colour=drawing.MARK, anchor="rm")
