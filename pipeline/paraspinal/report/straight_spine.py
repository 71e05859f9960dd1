"""The straightened spine: planes that follow the canal, a row for every millimetre of its length."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.report import drawing
from paraspinal.volume import CTVolume, Geometry

_STEP_MM = 0.45
_SAGITTAL_MM = (75.0, 60.0)  # before and behind the canal
_CORONAL_MM = (80.0, 80.0)  # to the right and to the left
_BODY_DEPTH_MM = 25.0
_SMOOTH_MM = 12.0
_NAME_PX = 130
_GAP_PX = 8
_RULER_MM = 50.0

Array = npt.NDArray[np.float64]


def render_straight_spine(volume: CTVolume, anatomy: Anatomy) -> Image.Image:
    """Return sagittal and coronal planes along the canal with the labels' outlines and the names between them.

    Names in doubt carry their probability; without a traced canal the picture is empty.
    """
    line = np.asarray(anatomy.centreline_lps_mm, np.float64).reshape(-1, 3)
    if len(line) < 3:
        return Image.new("RGB", (2 * _NAME_PX, _NAME_PX))
    points, forward, left = _frame(line)
    sagittal = _sagittal(points, forward)
    right_left = np.arange(-_CORONAL_MM[0], _CORONAL_MM[1], _STEP_MM)
    bodies = points + _BODY_DEPTH_MM * forward
    coronal = bodies[:, None] + right_left[None, :, None] * left[:, None]
    parts = [_plane(volume, anatomy, sagittal), _plane(volume, anatomy, coronal)]
    height, names = len(points), np.zeros((len(points), _NAME_PX, 3), np.uint8)
    gap = np.zeros((height, _GAP_PX, 3), np.uint8)
    image = Image.fromarray(np.concatenate([parts[0], names, parts[1], gap], axis=1))
    _write_names(image, anatomy, points, parts[0].shape[1])
    return image


def straight_sagittal(volume: CTVolume, anatomy: Anatomy) -> tuple[Image.Image, dict[str, float]] | None:
    """Return the sagittal plane along the canal, with outlines, and the row of every vertebra's middle.

    None where the canal was not traced.
    """
    line = np.asarray(anatomy.centreline_lps_mm, np.float64).reshape(-1, 3)
    if len(line) < 3:
        return None
    points, forward, _ = _frame(line)
    rows = {
        v.label: float(np.linalg.norm(points - np.asarray(v.centroid_lps_mm), axis=1).argmin())
        for v in anatomy.vertebrae
    }
    return Image.fromarray(_plane(volume, anatomy, _sagittal(points, forward))), rows


def _sagittal(points: Array, forward: Array) -> Array:
    before, behind = _SAGITTAL_MM
    offsets = np.arange(-before, behind, _STEP_MM)
    return np.asarray(points[:, None] - offsets[None, :, None] * forward[:, None])


def _frame(line: Array) -> tuple[Array, Array, Array]:
    """Return points (n, 3), LPS mm, every step along the smoothed canal from the head down, with unit vectors.

    The vectors point to the front and to the patient's left, across the canal.
    """
    line = line[np.argsort(-line[:, 2])]
    spacing = float(np.median(np.linalg.norm(np.diff(line, axis=0), axis=1)))
    smooth = ndimage.gaussian_filter1d(line, _SMOOTH_MM / max(spacing, 1e-3), axis=0, mode="nearest")
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(smooth, axis=0), axis=1))])
    at = np.arange(0.0, length[-1], _STEP_MM)
    points = np.stack([np.interp(at, length, smooth[:, k]) for k in range(3)], axis=1)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    left = np.array([1.0, 0.0, 0.0]) - along * along[:, :1]
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return points, np.cross(along, left), left


def _plane(volume: CTVolume, anatomy: Anatomy, points: Array) -> npt.NDArray[np.uint8]:
    """Return the plane at `points` (row, column, 3), LPS mm, as RGB with the outlines of the labels."""
    hu = _sampled(volume.hu, volume.geometry, points, order=1, outside=-1024)
    grey = drawing.windowed(np.rint(hu).astype(np.int16), drawing.SPINE_WINDOW)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    labels = _sampled(anatomy.labels.data, anatomy.geometry, points, order=0, outside=0)
    for number in np.setdiff1d(labels, [0]):
        inside = (labels == number).astype(np.uint8)
        found, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, found, -1, _colour(int(number)), 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def _sampled(
    data: npt.NDArray[np.generic], grid: Geometry, points: Array, *, order: int, outside: int
) -> npt.NDArray[np.generic]:
    """Sample an array at LPS points inside the box that they span."""
    index = grid.to_index(points)
    flat = index.reshape(-1, 3)
    low = np.clip(np.floor(flat.min(axis=0)).astype(int) - 1, 0, np.array(data.shape) - 1)
    high = np.clip(np.ceil(flat.max(axis=0)).astype(int) + 2, low + 1, data.shape)
    box = data[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return np.asarray(
        ndimage.map_coordinates(
            box, (index - low).transpose(2, 0, 1), order=order, cval=outside, prefilter=False
        )
    )


def _colour(number: int) -> drawing.Colour:
    return drawing.MASS_COLOURS[number % len(drawing.MASS_COLOURS)]


def _write_names(image: Image.Image, anatomy: Anatomy, points: Array, first_px: int) -> None:
    """Write the vertebrae's names between the planes, and millimetres along the canal at the left edge."""
    middle = first_px + _NAME_PX / 2
    for vertebra in anatomy.vertebrae:
        far = np.linalg.norm(points - np.asarray(vertebra.centroid_lps_mm), axis=1)
        sure = not vertebra.level_uncertain
        text = vertebra.label if sure else f"{vertebra.label}? {vertebra.confidence:.2f}"
        colour = drawing.CERTAIN if sure else drawing.UNCERTAIN
        drawing.draw_text(image, (middle, float(far.argmin())), text, size=17, colour=colour)
    step = round(_RULER_MM / _STEP_MM)
    for k, row in enumerate(range(step, len(points), step)):
        drawing.draw_text(
            image, (4, row), f"{(k + 1) * _RULER_MM:.0f} mm", size=12, colour=drawing.MARK, anchor="lm"
        )
