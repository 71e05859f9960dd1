"""Calcification of the spleen: a share of a spleen that was outlined, or a dense remnant where none was found.

The spleen of sickle cell disease shrinks to a small, dense, calcified body (autosplenectomy), which is no longer like
a spleen by size or density. It is looked for in the bed under the left diaphragm, off ribs, gas and bowel contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import closed, dilate
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.organ import cut_status, organ_depth
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement
from paraspinal.volume import BoolArray, Region

KEY = "splenic_calcification_fraction"

_DEPTH_SHARE_LIMIT = 0.02  # a smaller share of a spleen is no more than a granuloma
_RIM_MM = 2.0  # of mixed tissue
_NOISE_SD = 6.7  # above the lower quartile: 6 above the middle
_DARK_PERCENT, _DARK_SPREAD = (
    (10.0, 25.0),
    0.607,
)  # of soft parts; their distance in SDs of a normal distribution
_OFF_BONE_MM, _OFF_GAS_MM = 5.0, 8.0
_BED_LEFT_MM, _BED_FRONT_MM = (45.0, 150.0), (-45.0, 75.0)  # of the canal's middle
_BED_HEIGHT_MM = (-25.0, 95.0)  # above the middle of L1
_VERTEBRA_MM = 28.0
_LEVELS = (*(f"T{n}" for n in range(8, 13)), *(f"L{n}" for n in range(1, 5)))
_REMNANT_ML = (1.0, 150.0)
_CLOSING_MM = 6.0
_BOWEL_ML = 5.0  # of dense content elsewhere in the abdomen: it may lie in the bed, too
_UNDER_SKIN_MM = 40.0
_HIGHEST_MEDIAN_HU = 700.0  # denser is metal or contrast medium in bowel


@dataclass(frozen=True, slots=True)
class Remnant:
    """A dense body in the bed of the spleen; ``fraction`` of it is dense."""

    volume_ml: float
    fraction: float
    median_hu: float


def measure_splenic_calcium(
    anatomy: Anatomy, quality: ScanQuality, lumen_hu: float | None, config: MeasureConfig
) -> tuple[Measurement, Remnant | None]:
    """Return ``splenic_calcification_fraction``, and the remnant where no spleen but a dense body was found.

    `lumen_hu` is the aorta's: with contrast medium, calcium must be denser than blood.
    """
    level = config.splenic_calcium_hu
    if quality.contrast_state is not False:
        if lumen_hu is None:
            return Measurement.missing("1", "contrast medium cannot be told from calcium"), None
        level = max(level, lumen_hu + config.contrast_margin_hu)
    if level > config.splenic_calcium_visible_hu:
        reason = f"blood is so dense that only calcium above {level:.0f} HU would be told from it"
        return Measurement.missing("1", reason), None
    mask = anatomy.mask("spleen")
    if mask.any():
        return _share_of(anatomy, mask, level), None
    return _in_bed(anatomy, level)


def _share_of(anatomy: Anatomy, mask: BoolArray, level_hu: float) -> Measurement:
    """Return the share of an outlined spleen, off bone, that is dense."""
    region, depth = organ_depth(anatomy, mask)
    own = (depth >= _RIM_MM) & ~dilate(
        anatomy.mask("bone")[region.box], _OFF_BONE_MM, anatomy.geometry.spacing_mm
    )
    values = anatomy.hu[region.box][own]
    if values.size == 0:
        return Measurement.missing("1", "the spleen lies too near to bone")
    low, quarter = (float(v) for v in np.percentile(values, _DARK_PERCENT))
    if quarter < level_hu:  # else even the darkest part is calcified
        level_hu = max(level_hu, quarter + _NOISE_SD * (quarter - low) / _DARK_SPREAD)
    share = float((values > level_hu).mean())
    status, reason = cut_status(anatomy, "spleen")
    if share < _DEPTH_SHARE_LIMIT:
        if status == "lower_bound":
            return Measurement.missing("1", f"none in view, but {reason}")
        return Measurement.below("1", "no calcification of the spleen was seen", limit=_DEPTH_SHARE_LIMIT)
    return Measurement.measured(
        share,
        "1",
        type_a=0.2 * share,
        method="type A: partial volume of patches, a fifth",
        region=f"above {level_hu:.0f} HU on the working grid",
        reason=reason,
    )


def _in_bed(anatomy: Anatomy, level_hu: float) -> tuple[Measurement, Remnant | None]:
    organ = anatomy.organs.get("spleen")
    if organ is None or organ.presence not in ("absent", "indeterminate"):
        reason = (organ.reason if organ is not None else None) or "the spleen's bed is not in view"
        return Measurement.missing("1", f"spleen: {reason}"), None
    bed = _bed(anatomy)
    if bed is None:
        return Measurement.missing("1", "the spleen's bed is not known where no level is"), None
    dense = _dense(anatomy, level_hu)
    abdomen = np.flatnonzero(bed.any(axis=(1, 2)))
    away = (
        _deep_ml(anatomy, dense & ~bed, slice(int(abdomen[0]), int(abdomen[-1]) + 1)) if len(abdomen) else 0.0
    )
    if away > _BOWEL_ML:
        reason = f"{away:.0f} mL of dense content lies elsewhere in the abdomen: contrast medium in bowel"
        return Measurement.missing("1", reason), None
    found = _largest_body(anatomy, dense & bed)
    if found is None:
        none = "no spleen, and no dense remnant in its bed"
        return Measurement.missing("1", none), None
    return (
        Measurement.measured(
            found.fraction,
            "1",
            type_a=0.2 * found.fraction,
            method="type A: partial volume of patches, a fifth",
            region=f"a body of {found.volume_ml:.1f} mL in the spleen's bed, {found.median_hu:.0f} HU",
        ),
        found,
    )


def _bed(anatomy: Anatomy) -> BoolArray | None:
    """Return where the spleen lies in most people, by canal and levels; None where neither is known."""
    line, grid = anatomy.centreline_lps_mm, anatomy.geometry
    known = [v for v in anatomy.vertebrae if v.label in _LEVELS]
    if len(line) == 0 or not known:
        return None
    near = min(known, key=lambda v: abs(_LEVELS.index(v.label) - _LEVELS.index("L1")))
    below = _LEVELS.index("L1") - _LEVELS.index(near.label)
    l1 = near.centroid_lps_mm[2] - below * _VERTEBRA_MM
    order = np.argsort(line[:, 2])
    z, y, x = (grid.to_lps(np.eye(3)[a] * np.arange(n)[:, None])[:, 2 - a] for a, n in enumerate(grid.shape))
    middle = [np.interp(z, line[order, 2], line[order, k]) for k in (0, 1)]
    left = x[None, None, :] - middle[0][:, None, None]
    front = middle[1][:, None, None] - y[None, :, None]
    height = (z - l1)[:, None, None]
    return np.asarray(
        (left > _BED_LEFT_MM[0])
        & (left < _BED_LEFT_MM[1])
        & (front > _BED_FRONT_MM[0])
        & (front < _BED_FRONT_MM[1])
        & (height > _BED_HEIGHT_MM[0])
        & (height < _BED_HEIGHT_MM[1])
    )


def _deep_ml(anatomy: Anatomy, dense: BoolArray, slices: slice) -> float:
    """Return how much (mL) of what is dense lies deep in the abdomen: cartilage and sternum lie under the skin."""
    sz, sy, sx = anatomy.geometry.spacing_mm
    body = np.ascontiguousarray(np.pad(anatomy.mask("body")[slices, ::2, ::2], ((0, 0), (1, 1), (1, 1))))
    depth = edt.edt(body, anisotropy=(sz, 2 * sy, 2 * sx))[:, 1:-1, 1:-1]
    deep = (depth > _UNDER_SKIN_MM) & dense[slices, ::2, ::2]
    return float(np.count_nonzero(deep)) * 4.0 * anatomy.geometry.voxel_ml


def _dense(anatomy: Anatomy, level_hu: float) -> BoolArray:
    """Return dense voxels of the abdomen that are neither bone nor vessel nor urinary tract nor beside gas."""
    spacing = anatomy.geometry.spacing_mm
    cavity = anatomy.mask("body") & ~anatomy.mask("arms")
    hu = np.asarray(anatomy.hu)
    dense = cavity & (hu > level_hu)
    if not dense.any():
        return dense
    shell = _ribs_and_wall(anatomy)
    dense &= ~shell
    for name, reach in (("aorta", 4.0), ("kidney_left", 4.0), ("kidney_right", 4.0)):
        if name in anatomy.masks:
            dense &= ~dilate(anatomy.mask(name), reach, spacing)
    gas = anatomy.mask("gas")
    return np.asarray(dense & ~dilate(gas, _OFF_GAS_MM, spacing)) if gas.any() else dense


def _ribs_and_wall(anatomy: Anatomy) -> BoolArray:
    spacing = anatomy.geometry.spacing_mm
    out = dilate(anatomy.mask("column") | anatomy.mask("ribs") | anatomy.mask("canal"), _OFF_BONE_MM, spacing)
    labels, _ = ndimage.label(anatomy.mask("bone") & ~out)
    large = np.bincount(labels.ravel()) * anatomy.geometry.voxel_ml > _REMNANT_ML[1]
    large[0] = False
    return np.asarray(out | large[labels])


def _largest_body(anatomy: Anatomy, dense: BoolArray) -> Remnant | None:
    """Return the largest body that patches of dense voxels make together."""
    if not dense.any():
        return None
    grid = anatomy.geometry
    region = Region.of(dense).padded((5, 5, 5), grid.shape)
    body = closed(region.mask, _CLOSING_MM, grid.spacing_mm)
    labels, count = ndimage.label(body)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    inside: npt.NDArray[np.intp] = np.bincount(labels[region.mask], minlength=count + 1)
    inside[0] = 0
    k = int(inside.argmax())
    volume, core = sizes[k] * grid.voxel_ml, inside[k] * grid.voxel_ml
    values = anatomy.hu[region.box][region.mask & (labels == k)]
    if not _REMNANT_ML[0] <= core <= _REMNANT_ML[1] or float(np.median(values)) > _HIGHEST_MEDIAN_HU:
        return None
    return Remnant(float(volume), float(core / volume), float(np.median(values)))
