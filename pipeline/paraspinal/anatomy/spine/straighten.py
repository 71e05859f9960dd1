"""The spine straightened along its canal: sampling planes at right angles to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.volume import Geometry

Points = npt.NDArray[np.float64]

STEP_MM = 1.0


@dataclass(frozen=True, slots=True)
class SpineFrame:
    """A frame at every millimetre of the canal, caudal first.

    Points and directions are (z, y, x) in millimetres of the working grid (index × spacing): ``tangent`` points
    cranially along the canal, ``anterior`` and ``left`` complete it.
    """

    points: Points
    tangent: Points
    anterior: Points
    left: Points

    @property
    def length_mm(self) -> float:
        """Arc length of the traced canal."""
        return (len(self.points) - 1) * STEP_MM

    def position(self, s_mm: npt.ArrayLike, anterior_mm: float = 0.0) -> Points:
        """Point `anterior_mm` in front of the canal at arc length `s_mm`; extrapolated along the end tangents."""
        s = np.atleast_1d(np.asarray(s_mm, float)) / STEP_MM
        index = np.clip(s, 0, len(self.points) - 1)
        i = np.rint(index).astype(int)
        beyond = (s - index) * STEP_MM
        out: Points = self.points[i] + (index - i)[:, None] * STEP_MM * self.tangent[i]
        return np.asarray(out + beyond[:, None] * self.tangent[i] + anterior_mm * self.anterior[i])


def _smooth(values: Points, sigma: float) -> Points:
    pad = min(len(values) - 1, int(3 * sigma) + 1)
    out = np.empty_like(values)
    for k in range(values.shape[1]):
        extended = np.pad(values[:, k], pad, mode="reflect", reflect_type="odd")
        out[:, k] = ndimage.gaussian_filter1d(extended, sigma)[pad : pad + len(values)]
    return out


def spine_frame(trace: CanalTrace, grid: Geometry) -> SpineFrame:
    """Resample the canal to 1 mm steps and give each step a frame; directions are smoothed over 15 mm."""
    z = np.arange(trace.first, trace.last + 1)
    path = np.column_stack([z, trace.points_yx]) * np.asarray(grid.spacing_mm)
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    steps = np.arange(0.0, s[-1] + 1e-6, STEP_MM)
    points = np.column_stack([np.interp(steps, s, path[:, k]) for k in range(3)])
    tangent = np.gradient(_smooth(points, 15.0 / STEP_MM), axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    forward = np.array([0.0, -1.0, 0.0])
    anterior = forward - tangent * (tangent @ forward)[:, None]
    anterior /= np.linalg.norm(anterior, axis=1, keepdims=True)
    left = np.cross(tangent, anterior)
    left *= np.sign(left[:, 2:3])
    return SpineFrame(_smooth(points, 3.0 / STEP_MM), tangent, anterior, left)


def sample_planes(
    values: npt.NDArray[np.float32],
    frame: SpineFrame,
    grid: Geometry,
    *,
    anterior_mm: npt.ArrayLike,
    left_mm: npt.ArrayLike,
    order: int = 1,
) -> npt.NDArray[np.float32]:
    """Sample [s, anterior, left] from a working-grid array along the straightened spine."""
    a = np.asarray(anterior_mm, float)[None, :, None, None]
    lateral = np.asarray(left_mm, float)[None, None, :, None]
    points = (
        frame.points[:, None, None] + a * frame.anterior[:, None, None] + lateral * frame.left[:, None, None]
    )
    index = np.moveaxis(points / np.asarray(grid.spacing_mm), -1, 0)
    return np.asarray(ndimage.map_coordinates(values, index, order=order, mode="nearest"), np.float32)
