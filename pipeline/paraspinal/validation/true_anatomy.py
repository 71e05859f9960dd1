"""The anatomy of a phantom as its labels tell it: a measure is then judged without the segmenter's errors."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.grid import to_working_grid, working_grid
from paraspinal.anatomy.spine.canal import CanalTrace
from paraspinal.anatomy.spine.coordinates import spine_coordinates
from paraspinal.anatomy.spine.straighten import SpineFrame, spine_frame
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.phantom import Phantom, structure_masks
from paraspinal.phantom.labels import vertebra_number
from paraspinal.volume import Geometry, LabelMap

_Kind = TypeVar("_Kind", bound=np.generic)

_WORKING_MM = 2.0
_STRUCTURES = ("canal", "autochthon_left", "autochthon_right", "psoas_left", "psoas_right", "aorta")


def true_anatomy(phantom: Phantom) -> Anatomy:
    """Return bodies, canal and muscles of a phantom on a working grid of 2 mm; only whole vertebrae are listed."""
    native = phantom.volume.geometry
    grid = working_grid(native, spacing_mm=_WORKING_MM)
    labels = _picked(phantom.labels.data, native, grid)
    names = {n: name for n, name in phantom.labels.names.items() if (labels == n).any()}
    masks = {
        name: _picked(mask, native, grid) for name, mask in structure_masks(phantom, _STRUCTURES).items()
    }
    line = np.asarray(phantom.truth["canal"]["centreline_lps_mm"], float)
    frame = _frame(line, grid)
    levels = [v for v in phantom.truth["vertebrae"] if not v["truncated"]]
    numbers = [vertebra_number(v["label"]) for v in levels]
    masks["vertebrae"] = np.isin(labels, numbers)
    masks["bone"] = masks["vertebrae"]
    return Anatomy(
        geometry=grid,
        hu=to_working_grid(phantom.volume, grid, threads=1),
        masks=masks,
        labels=LabelMap(labels, grid, names),
        centreline_lps_mm=line,
        vertebrae=tuple(_vertebra(v, frame, grid) for v in levels),
        organs={},
        spine=spine_coordinates(frame, grid),
        spine_length_mm=frame.length_mm,
    )


def _picked(values: npt.NDArray[_Kind], native: Geometry, grid: Geometry) -> npt.NDArray[_Kind]:
    """Return what lies at the middles of the working grid's voxels."""
    index = [
        np.clip(np.rint((np.arange(n) + 0.5) * old / n - 0.5).astype(int), 0, old - 1)
        for n, old in zip(grid.shape, native.shape, strict=True)
    ]
    return np.ascontiguousarray(values[np.ix_(*index)])


def _frame(line: npt.NDArray[np.float64], grid: Geometry) -> SpineFrame:
    index = grid.to_index(line)
    index = index[np.argsort(index[:, 0])]
    z = np.arange(grid.shape[0])
    yx = np.column_stack([np.interp(z, index[:, 0], index[:, k]) for k in (1, 2)])
    return spine_frame(CanalTrace(0, yx, np.ones(len(z))), grid)


def _vertebra(truth: dict[str, object], frame: SpineFrame, grid: Geometry) -> Vertebra:
    x, y, z = (float(c) for c in np.asarray(truth["centroid_lps_mm"], float))
    label = str(truth["label"])
    here = (np.asarray(grid.to_index((x, y, z))) * np.asarray(grid.spacing_mm))[None]
    s = int(np.argmin(np.abs(((here - frame.points) * frame.tangent).sum(axis=1))))
    return Vertebra(
        label=label,
        label_probabilities={label: 1.0},
        centroid_lps_mm=(x, y, z),
        top_mm=float(str(truth["top_mm"])),
        bottom_mm=float(str(truth["bottom_mm"])),
        s_mm=float(s),
        number=vertebra_number(label),
        confidence=1.0,
    )
