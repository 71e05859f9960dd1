"""Where a mass goes in a real scan: coordinates of the gutter beside one vertebra, and what does not give way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.morphology import dilate, distance_inside
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.errors import UsageError
from paraspinal.phantom.spec import MassSpec
from paraspinal.volume import BoolArray, CTVolume, FloatArray, Geometry

Field = npt.NDArray[np.float32]

_LEAN_BACK_MM = 14.0  # the back of a mass reaches the rib necks, this far behind the body's middle at most
_REACH_BACK_MM = 4.0  # and this far behind the canal's front
_AORTA_WALL_MM = 1.5
_SOFT_HU, _BONE_HU = 100.0, 250.0  # on native voxels: soft tissue lies below, a bone's interior rises above
_LUNG_HU = -850.0
_RIM_VOXELS = 5
_RIM_SHARE = 0.02  # with less bone than this a voxel is what lies beside it
_RIGID = ("column", "canal", "aorta", "airway", "autochthon_left", "autochthon_right", "ribs")
_HALF_LEVEL_MM = 6.0
_ACROSS_MM = 26.0
_COLUMN_RIM_MM = 3.0
_WALL_AHEAD_MM = 30.0  # farther in front lies mediastinum, which gives way


@dataclass(frozen=True, slots=True)
class Site:
    """A box of the native grid around a mass to come.

    ``out``, ``ahead`` and ``up`` are the distances (mm) of every voxel from the mass's centre: away from the midline,
    forwards, and along the spine towards the head. ``rigid`` is the share of what does not give way, 0 to 1: bone,
    canal, aorta, the muscles of the back, the chest wall. ``column`` is the part of it that is vertebral body or
    disc, and ``column_depth_mm`` how deep inside the column a voxel lies. ``bone`` is the share of bone that native
    voxels show, and ``centre_mm`` the mass's centre: to its side of the canal's middle, before it, along the spine.
    ``body_mm`` tells how far the body reaches to that side and how far its middle lies before the canal's.
    """

    box: tuple[slice, slice, slice]
    out: Field
    ahead: Field
    up: Field
    rigid: Field
    column: Field
    column_depth_mm: Field
    beside_hu: Field
    bone: Field
    centre_mm: tuple[float, float, float]
    body_mm: tuple[float, float]


def find_site(volume: CTVolume, anatomy: Anatomy, spec: MassSpec) -> Site:
    """Return the site of a mass: beside the body of its vertebra, just before the costovertebral joint.

    Raises
    ------
    UsageError
        ``hybrid_level_outside`` where the scan does not show the vertebra.
    """
    vertebra = _vertebra(anatomy, spec)
    sign = 1.0 if spec.side == "left" else -1.0
    ax, ay, _ = spec.semi_axes_mm
    side_mm, ahead_mm = _body(anatomy, vertebra, sign)
    out_mm = side_mm + ax - spec.overlap_mm + spec.offset_mm[0]
    back = min(ahead_mm + _REACH_BACK_MM - 0.72 * ay, _LEAN_BACK_MM)
    centre = (out_mm, ahead_mm - back - spec.offset_mm[1], vertebra.s_mm + spec.offset_mm[2])
    where = anatomy.spine
    reach = 1.25 * max(spec.semi_axes_mm) + 14.0 + spec.edge_width_mm
    if spec.bone in ("canal", "discitis"):  # what it does lies on the other side of the midline, too
        reach = max(reach, out_mm + _ACROSS_MM)
    near = (np.abs(sign * where.left - centre[0]) < reach) & (np.abs(where.anterior - centre[1]) < reach)
    near &= np.abs(where.s - centre[2]) < reach
    if not near.any():
        raise _outside(spec)
    box = _native_box(near, anatomy, volume)
    index = _working_index(box, anatomy, volume.geometry)
    fields = [
        _read(field, index) - np.float32(middle)
        for field, middle in zip((sign * where.left, where.anterior, where.s), centre, strict=True)
    ]
    bone, beside = _bone_rim(volume.hu[box].astype(np.float32))
    rigid = np.maximum(_rigid(anatomy, index), bone)
    body, spacing = anatomy.mask("column")[where.box], anatomy.geometry.spacing_mm
    depth = _read(distance_inside(body, spacing), index) - np.float32(0.5 * spacing[0])
    # The bone's rim on native voxels belongs to the column as far as the coarse outline errs.
    near = _read(dilate(body, _COLUMN_RIM_MM, spacing), index) > 0.5
    column = np.where(near, rigid, 0.0).astype(np.float32)
    return Site(
        box,
        fields[0],
        fields[1],
        fields[2],
        rigid,
        column,
        np.maximum(depth, 0.0),
        beside,
        bone,
        centre,
        (side_mm, ahead_mm),
    )


def _vertebra(anatomy: Anatomy, spec: MassSpec) -> Vertebra:
    for vertebra in anatomy.vertebrae:
        if vertebra.label == spec.level:
            return vertebra
    raise _outside(spec)


def _outside(spec: MassSpec) -> UsageError:
    return UsageError(
        f"The series does not show {spec.level}.",
        code="hybrid_level_outside",
        remedy="Choose a level that `paraspinal analyze` names in this series.",
    )


def _body(anatomy: Anatomy, vertebra: Vertebra, sign: float) -> tuple[float, float]:
    """Return how far the body reaches to a side, and how far its middle lies before the canal's."""
    where = anatomy.spine
    body = anatomy.mask("column")[where.box] & (np.abs(where.s - vertebra.s_mm) < _HALF_LEVEL_MM)
    if not body.any():
        return 17.0, 20.0
    ahead = float(np.median(where.anterior[body]))
    beside = body & (np.abs(where.anterior - ahead) < 6.0)
    return float(np.percentile(sign * where.left[beside], 98)), ahead


def _native_box(near: BoolArray, anatomy: Anatomy, volume: CTVolume) -> tuple[slice, slice, slice]:
    found = np.argwhere(near)
    parts = []
    for axis, (native, coarse) in enumerate(zip(volume.geometry.shape, anatomy.geometry.shape, strict=True)):
        start = anatomy.spine.box[axis].start
        low, high = found[:, axis].min() + start, found[:, axis].max() + start + 1
        parts.append(
            slice(
                max(0, int(np.floor(low * native / coarse))),
                min(native, int(np.ceil(high * native / coarse))),
            )
        )
    return (parts[0], parts[1], parts[2])


def _working_index(
    box: tuple[slice, slice, slice], anatomy: Anatomy, native: Geometry
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Indices, in the spine's box of the working grid, of the native slices, rows and columns."""
    axes = []
    for axis, part in enumerate(box):
        ratio = anatomy.geometry.shape[axis] / native.shape[axis]
        axes.append((np.arange(part.start, part.stop) + 0.5) * ratio - 0.5 - anatomy.spine.box[axis].start)
    return (axes[0], axes[1], axes[2])


def _read(field: npt.NDArray[np.generic], index: tuple[FloatArray, ...]) -> Field:
    grid = np.meshgrid(*index, indexing="ij")
    return np.asarray(ndimage.map_coordinates(field.astype(np.float32), grid, order=1, mode="nearest"))


def _rigid(anatomy: Anatomy, index: tuple[FloatArray, ...]) -> Field:
    spacing = anatomy.geometry.spacing_mm
    spine_box = anatomy.spine.box
    held = ~anatomy.mask("body")[spine_box]
    for name in _RIGID:
        if name in anatomy.masks:
            mask = anatomy.masks[name][spine_box]
            held |= dilate(mask, _AORTA_WALL_MM, spacing) if name == "aorta" else mask
    cage = anatomy.mask("thoracic_cavity")[spine_box]
    caged = cage.any(axis=(1, 2), keepdims=True)
    held |= (
        caged
        & ~dilate(cage | (anatomy.mask("column")[spine_box]), 2.0, spacing)
        & (anatomy.spine.anterior < 30.0)
    )
    share = _read(ndimage.gaussian_filter(held.astype(np.float32), 0.6), index)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float32)


def _bone_rim(hu: Field) -> tuple[Field, Field]:
    """Return the share of bone in every native voxel next to bone, and the HU of what fills the rest of it.

    A voxel at the rim is a mixture of the bone's brightest neighbour and of the darkest one, taken within the slice:
    there the scan's blur is known to be smallest.
    """
    size = (1, _RIM_VOXELS, _RIM_VOXELS)
    peak = ndimage.maximum_filter(hu, size)
    calm = ndimage.gaussian_filter(hu, (0.0, 0.7, 0.7))  # or noise would be the darkest neighbour
    beside = np.clip(ndimage.minimum_filter(calm, size), _LUNG_HU, _SOFT_HU)
    share = np.where(peak > _BONE_HU, (hu - beside) / np.maximum(peak - beside, 1.0), 0.0)
    share = np.clip(share, 0.0, 1.0)
    return share.astype(np.float32), np.where(share > _RIM_SHARE, beside, np.nan).astype(np.float32)
