"""Contact sheets for a check by eye: every structure's outline on slices spread over the scan.

Two sheets, skeleton and soft structures, show axial slices and the planes through the spine; a third one shows the
straightened spine with the names of the vertebrae. Nothing on them comes from a header.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from paraspinal.anatomy.types import Anatomy
from paraspinal.report import drawing
from paraspinal.report.drawing import Colour, Window
from paraspinal.report.straight_spine import render_straight_spine
from paraspinal.volume import BoolArray, CTVolume, Region

SHEET_PX = 1600
_COLUMNS = 4
_AXIAL_SLICES = 12
_MARGIN_MM = 12.0
_LEGEND_ROW_PX = 22
_LEGEND_COLUMNS = 5
_GAP_PX = 4
_UNDRAWN = (
    "padding",
    "lungs",
    "ribs",
)  # shown by their sides or as instances; the field's outside is no structure
_SKELETON = ("bone", "column", "osteophytes", "thoracic_cavity", "canal")
_GOLDEN = 0.618034  # steps of the hue by the golden ratio keep neighbours apart

_FIXED: Mapping[str, Colour] = {
    "body": (150, 150, 150),
    "bone": (120, 120, 120),
    "lung_left": (86, 180, 233),
    "lung_right": (120, 220, 255),
    "liver": (190, 120, 60),
    "spleen": (200, 90, 200),
    "aorta": (255, 70, 70),
    "canal": (255, 255, 90),
    "column": (90, 200, 90),
    "thoracic_cavity": (0, 190, 160),
}
Plane = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Layer:
    """One structure to outline: its mask on the working grid, name and colour."""

    name: str
    mask: BoolArray
    colour: Colour
    millilitres: float
    note: str = ""


def contact_sheets(volume: CTVolume, anatomy: Anatomy) -> dict[str, Image.Image]:
    """Return the sheets by name: ``skeleton``, ``soft`` and ``spine``.

    Parameters
    ----------
    volume : CTVolume
        Native voxels, for the grey picture.
    anatomy : Anatomy
        What is outlined; its grid covers the volume's box.
    """
    skeleton, soft = _layers(anatomy)
    return {
        "skeleton": _sheet(volume, anatomy, skeleton, drawing.BONE_WINDOW),
        "soft": _sheet(volume, anatomy, soft, drawing.SOFT_WINDOW),
        "spine": render_straight_spine(volume, anatomy),
    }


def _layers(anatomy: Anatomy) -> tuple[list[Layer], list[Layer]]:
    """Return the layers of the skeleton and of everything else, in the order of the legend."""
    skeleton: list[Layer] = []
    soft: list[Layer] = []
    for number, (name, mask) in enumerate(sorted(anatomy.masks.items())):
        if name in _UNDRAWN or not mask.any():
            continue
        layer = _layer(anatomy, name, mask, _FIXED.get(name) or _hue(number))
        (skeleton if name in _SKELETON else soft).append(layer)
    return skeleton + list(_instances(anatomy)), soft


def _instances(anatomy: Anatomy) -> Iterable[Layer]:
    """Yield vertebrae, discs and ribs of the label map."""
    data = anatomy.labels.data
    counts = np.bincount(data.ravel())
    for number in np.flatnonzero(counts):
        name = anatomy.labels.names.get(int(number), "")
        if name.startswith(("vertebra", "rib", "disc")):
            yield _layer(anatomy, name, data == number, _hue(int(number)))


def _layer(anatomy: Anatomy, name: str, mask: BoolArray, colour: Colour) -> Layer:
    organ = anatomy.organs.get(name)
    note = "" if organ is None or organ.presence == "present" else f" {organ.presence}"
    if organ is not None and organ.truncated:
        note += " cut"
    return Layer(name, mask, colour, np.count_nonzero(mask) * anatomy.geometry.voxel_ml, note)


def _hue(number: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb((number * _GOLDEN) % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True, slots=True)
class _View:
    """A crop of the working grid as (start, stop) per axis; the native volume is cropped to the same box."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    shape: tuple[int, int, int]

    def section(self, array: Plane, axis: int, share: float) -> Plane:
        """Return the plane of an array at `share` (0–1) of the crop along `axis`; z runs down."""
        scale = [n / m for n, m in zip(array.shape, self.shape, strict=True)]
        low = [round(a * s) for a, s in zip(self.low, scale, strict=True)]
        high = [max(round(b * s), a + 1) for a, b, s in zip(low, self.high, scale, strict=True)]
        place = min(low[axis] + int(share * (high[axis] - low[axis])), array.shape[axis] - 1)
        window = [slice(a, b) for a, b in zip(low, high, strict=True)]
        window[axis] = slice(place, place + 1)
        plane = array[tuple(window)].squeeze(axis=axis)
        return plane if axis == 0 else plane[::-1]


def _view(anatomy: Anatomy) -> _View:
    """Return the body's box with a margin."""
    shape = anatomy.geometry.shape
    body = anatomy.mask("body")
    if not body.any():
        return _View((0, 0, 0), shape, shape)
    margin = round(_MARGIN_MM / anatomy.geometry.spacing_mm[1])
    box = Region.of(body).padded((0, margin, margin), shape)
    low, high = box.start, tuple(s + n for s, n in zip(box.start, box.mask.shape, strict=True))
    return _View((0, low[1], low[2]), (shape[0], high[1], high[2]), shape)


def _sheet(volume: CTVolume, anatomy: Anatomy, layers: list[Layer], window: Window) -> Image.Image:
    """Return axial slices from the head down, then coronal and sagittal planes, then the legend."""
    view = _view(anatomy)
    spacing = anatomy.geometry.spacing_mm
    size = [(b - a) * s for a, b, s in zip(view.low, view.high, spacing, strict=True)]
    width = (SHEET_PX - (_COLUMNS - 1) * _GAP_PX) // _COLUMNS
    count = min(_AXIAL_SLICES, view.shape[0])

    def tile(axis: int, share: float, pixels: tuple[int, int]) -> npt.NDArray[np.uint8]:
        return _tile(volume, layers, view, window, axis=axis, share=share, size=pixels)

    height = max(1, round(width * size[1] / size[2]))
    shares = [(k + 0.5) / count for k in range(count)][::-1]
    tiles = [_named(tile(0, s, (width, height)), _height_text(anatomy, view, s)) for s in shares]
    rows = [_row(tiles[k : k + _COLUMNS]) for k in range(0, count, _COLUMNS)]
    rows.append(_planes(anatomy, view, size, tile))
    picture = np.concatenate([_padded(row) for row in rows])
    return _with_legend(picture, layers)


def _planes(
    anatomy: Anatomy,
    view: _View,
    size: list[float],
    tile: Callable[[int, float, tuple[int, int]], npt.NDArray[np.uint8]],
) -> npt.NDArray[np.uint8]:
    """Return two coronal planes (bodies, in front of them) and two sagittal ones (spine, aside)."""
    line = anatomy.geometry.to_index(np.asarray(anatomy.centreline_lps_mm).reshape(-1, 3))
    middle = np.median(line, axis=0) if len(line) else [(n - 1) / 2 for n in view.shape]
    step = anatomy.geometry.spacing_mm[1]

    def share(axis: int, offset_mm: float) -> float:
        place = middle[axis] + offset_mm / step - view.low[axis]
        return float(np.clip(place / (view.high[axis] - view.low[axis]), 0.0, 0.999))

    wanted = [(1, -24.0, size[2]), (1, -70.0, size[2]), (2, 0.0, size[1]), (2, -60.0, size[1])]
    scale = (SHEET_PX - 3 * _GAP_PX) / sum(w for _, _, w in wanted)
    height = max(1, round(size[0] * scale))
    names = (
        "coronal, vertebral bodies",
        "coronal, 7 cm before the canal",
        "sagittal, canal",
        "sagittal, 6 cm right",
    )
    tiles = []
    for (axis, offset, across), name in zip(wanted, names, strict=True):
        tiles.append(_named(tile(axis, share(axis, offset), (int(across * scale), height)), name))
    return _row(tiles)


def _tile(
    volume: CTVolume,
    layers: list[Layer],
    view: _View,
    window: Window,
    *,
    axis: int,
    share: float,
    size: tuple[int, int],
) -> npt.NDArray[np.uint8]:
    """Return one plane as RGB with the outlines of all layers; `size` is (width, height) in pixels."""
    grey = drawing.windowed(np.asarray(view.section(volume.hu, axis, share), np.int16), window)
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB)
    for layer in layers:
        plane = np.asarray(view.section(layer.mask, axis, share))
        if not plane.any():
            continue
        fine = cv2.resize(plane.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
        found, _ = cv2.findContours((fine > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, found, -1, layer.colour, 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def _height_text(anatomy: Anatomy, view: _View, share: float) -> str:
    z = view.low[0] + share * (view.high[0] - view.low[0]) - 0.5
    middle = [(n - 1) / 2 for n in view.shape[1:]]
    return f"z {anatomy.geometry.to_lps([z, *middle])[2]:.0f} mm"


def _named(picture: npt.NDArray[np.uint8], text: str) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(picture)
    drawing.draw_text(image, (6, 6), text, size=14, colour=drawing.MARK, anchor="lt")
    if not text.startswith("sagittal"):
        drawing.draw_text(image, (6, image.height - 6), "R", size=14, colour=drawing.MARK, anchor="lb")
    return np.asarray(image)


def _row(tiles: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    gap = np.zeros((tiles[0].shape[0], _GAP_PX, 3), np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _padded(row: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    cut = row[:, :SHEET_PX]
    return np.pad(cut, ((0, _GAP_PX), (0, SHEET_PX - cut.shape[1]), (0, 0)))


def _with_legend(picture: npt.NDArray[np.uint8], layers: list[Layer]) -> Image.Image:
    """Return the picture above the names, volumes and states of its layers."""
    rows = -(-len(layers) // _LEGEND_COLUMNS)
    legend = np.zeros((rows * _LEGEND_ROW_PX + 10, SHEET_PX, 3), np.uint8)
    image = Image.fromarray(np.concatenate([picture, legend]))
    across = SHEET_PX // _LEGEND_COLUMNS
    for k, layer in enumerate(layers):
        x = 8 + (k // rows) * across
        y = picture.shape[0] + 8 + (k % rows) * _LEGEND_ROW_PX
        text = f"{layer.name} {layer.millilitres:.0f} mL{layer.note}"
        drawing.draw_text(image, (x, y), text, size=15, colour=layer.colour, anchor="lt")
    return image
