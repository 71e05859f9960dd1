"""The side wall of a vertebral body, unrolled: how far the bone reaches from the body's axis, and its cortex.

Every vertebral body is read along rays that leave its axis at right angles, by angle (0 = anterior, positive to the
patient's left) and by height. On this common grid a body can be compared with its own mirror image and with its
neighbours, which is how a missing piece of it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.masses.average import robust_sd
from paraspinal.measure.body import vertebral_body
from paraspinal.measure.wall_border import RADII_MM as RADII_MM
from paraspinal.measure.wall_border import beside_averaged, change_points
from paraspinal.volume import BoolArray, CTVolume, Geometry, Region

Grid = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

ANGLES = np.deg2rad(np.arange(-132.0, 132.1, 6.0))  # symmetric: the mirror image is the reversed axis
HEIGHTS = np.linspace(-0.36, 0.36, 9)  # of the distance between the end plates: their rims are left out
_TANGENT_MM = 14.0
_CORE_SHARE = 0.5  # the inner half of the radius is read for the body's own density
_SOFT_HU = 50.0
_BEYOND_MM = 5.0
_OUTLINE_SHARE = 0.25
_OTHER_BONE_MM = 3.0  # so far outside the patient's usual outline lies another bone
_CORTEX_MM = (2.5, 1.5)  # the cortical peak lies so far inside and outside the border
_LEAST_HEIGHT_MM = 8.0
_USUAL_MM, _USUAL_SD_HU = 16.0, 35.0
_MET_SHARE = 0.5  # of the rays must meet the outlined body, or the axis is not its
_NEAR_MM = 25.0
_LEVELS = (*(f"T{n}" for n in range(3, 13)), *(f"L{n}" for n in range(1, 6)))
_ALIGNED, _LEAST_ALIGNED = 7, 4  # bodies of a line of centres


@dataclass(frozen=True, slots=True)
class BodyWall:
    """One body's wall on the common grid [height, angle].

    ``profiles`` are HU along the rays, [height, angle, radius], at `RADII_MM`; ``places_lps_mm`` gives the unit
    direction and the foot of every ray so that `points` can place a radius; ``core_hu`` is the median of the inner
    half of the body, ``core_sd_hu`` the SD of its points; ``radius_mm`` how far bone reaches, NaN where that
    could not be told.
    """

    label: str
    profiles: Grid
    feet_lps_mm: Points
    directions: Points
    core_hu: float
    radius_mm: Grid
    peak_hu: Grid
    core_sd_hu: float = _USUAL_SD_HU

    @property
    def typical_mm(self) -> float:
        """Median radius, a usual one where no border was read."""
        known = self.radius_mm[np.isfinite(self.radius_mm)]
        return float(np.median(known)) if known.size else _USUAL_MM

    def points(self, radius_mm: Grid) -> Points:
        """Return the LPS points [height, angle, 3] at a radius per ray."""
        return np.asarray(self.feet_lps_mm[:, None] + radius_mm[..., None] * self.directions[None])


def read_walls(volume: CTVolume, anatomy: Anatomy) -> list[BodyWall]:
    """Return the walls of the vertebrae from T3 to L5 of which enough was found and lies in the scan."""
    found = [
        (v, region)
        for v in anatomy.vertebrae
        if v.label in _LEVELS and abs(v.top_mm - v.bottom_mm) >= _LEAST_HEIGHT_MM
        if (region := vertebral_body(anatomy, v)) is not None
    ]
    centroids = np.array([anatomy.geometry.to_lps(r.centroid_index()) for _, r in found]).reshape(-1, 3)
    centres = _aligned(anatomy, centroids)
    read = [_read(volume, anatomy, v, r, c) for (v, r), c in zip(found, centres, strict=True)]
    return _without_other_bones([wall for wall in read if wall is not None])


def _without_other_bones(walls: list[BodyWall]) -> list[BodyWall]:
    """Return the walls without the rays that end at a rib's head or an osteophyte, outside the usual outline.

    The usual outline is the lower quarter over all bodies, heights and both sides (ribs and osteophytes only add
    bone), by the median radius of each height.
    """
    if not walls:
        return walls
    stack = np.stack([wall.radius_mm for wall in walls])
    level = _known_quantile(stack, 0.5, axis=-1)[..., None]
    relative = (stack / level).reshape(-1, stack.shape[-1])
    outline = _known_quantile(np.concatenate([relative, relative[:, ::-1]]), _OUTLINE_SHARE, axis=0)
    outside = stack > outline * level + _OTHER_BONE_MM
    radii = np.where(outside, np.nan, stack).astype(np.float32)
    return [
        replace(wall, radius_mm=radius, peak_hu=np.where(np.isnan(radius), np.nan, wall.peak_hu))
        for wall, radius in zip(walls, radii, strict=True)
    ]


def _known_quantile(values: Grid, share: float, *, axis: int) -> Grid:
    """Return a quantile of what is finite along an axis, NaN where nothing is."""
    ordered = np.sort(values, axis=axis)  # NaN last
    count = np.isfinite(values).sum(axis=axis, keepdims=True)
    middle = np.take_along_axis(ordered, ((count - 1).clip(0) * share).astype(int), axis)
    return np.asarray(np.where(count > 0, middle, np.nan).squeeze(axis), np.float32)


def _aligned(anatomy: Anatomy, centroids: Points) -> Points:
    """Return centres of bodies that follow the canal as their neighbours do.

    A body that lost a side has its centroid elsewhere, and its walls would then be those of another body. The offset
    from the canal is that of a line through seven neighbours (Theil and Sen), which two of them do not move.
    """
    line = anatomy.centreline_lps_mm
    if len(centroids) < _LEAST_ALIGNED or len(line) == 0:
        return centroids
    order = np.argsort(line[:, 2])
    z = centroids[:, 2]
    canal = np.column_stack([np.interp(z, line[order, 2], line[order, k]) for k in (0, 1)])
    offset = centroids[:, :2] - canal
    out = centroids.copy()
    for k in range(len(centroids)):
        near = np.argsort(np.abs(z - z[k]))[:_ALIGNED]
        for axis in (0, 1):
            _, intercept, *_ = stats.theilslopes(offset[near, axis], z[near] - z[k])
            out[k, axis] = canal[k, axis] + intercept
    return out


def _read(
    volume: CTVolume, anatomy: Anatomy, vertebra: Vertebra, region: Region, centre: Points
) -> BodyWall | None:
    height = abs(vertebra.top_mm - vertebra.bottom_mm)
    up, anterior, left = body_axes(anatomy, centre)
    centre = centre + up * (0.5 * (vertebra.top_mm + vertebra.bottom_mm) - centre[2])
    feet = centre + (HEIGHTS * height)[:, None] * up
    directions = np.cos(ANGLES)[:, None] * anterior + np.sin(ANGLES)[:, None] * left
    places = feet[:, None, None] + RADII_MM[None, None, :, None] * directions[None, :, None]
    if not _in_view(places, volume.geometry):
        return None
    near = _mask_radius(anatomy, region.full(anatomy.geometry.shape), places)
    if near is None:
        return None
    hu = _averaged(_sampled(volume, places))
    inner = max(_CORE_SHARE * float(np.median(near)), RADII_MM[3]) >= RADII_MM
    core = float(np.median(hu[:, :, inner]))
    spread = robust_sd(hu[:, :, inner])
    wall = BodyWall(vertebra.label, hu, feet, directions, core, near, near, spread)
    radius = border_within(wall, near + _BEYOND_MM, outside_hu=_SOFT_HU)
    # Where bone goes on (a rib, an osteophyte, contrast medium in a vessel) the body's own border is not seen.
    radius = np.where(radius > near + _BEYOND_MM - 0.3, np.nan, radius).astype(np.float32)
    return replace(wall, radius_mm=radius, peak_hu=peaks_at(wall, radius))


def body_axes(anatomy: Anatomy, centre_lps_mm: Points) -> tuple[Points, Points, Points]:
    """Return the unit vectors up, anterior and left (LPS) of the spine beside a point."""
    line = anatomy.centreline_lps_mm
    near = line[np.abs(line[:, 2] - centre_lps_mm[2]) <= _TANGENT_MM]
    up = np.array([0.0, 0.0, 1.0])
    if len(near) >= 3:
        z = near[:, 2] - near[:, 2].mean()
        up[:2] = [float((z * (near[:, k] - near[:, k].mean())).sum() / (z**2).sum()) for k in (0, 1)]
    up /= np.linalg.norm(up)
    anterior = np.array([0.0, -1.0, 0.0])
    anterior -= up * (anterior @ up)
    anterior /= np.linalg.norm(anterior)
    left = np.cross(up, anterior)
    return up, anterior, left * np.sign(left[0])


def border_within(wall: BodyWall, limit_mm: Grid, *, outside_hu: float) -> Grid:
    """Return the radius, `limit_mm` at most, up to which bone reaches (`change_points`); NaN where none is told."""
    return change_points(
        wall.profiles, limit_mm, core_hu=wall.core_hu, core_sd_hu=wall.core_sd_hu, outside_hu=outside_hu
    )


def peaks_at(wall: BodyWall, radius_mm: Grid) -> Grid:
    """Return the greatest HU of each ray near a radius: the cortex there, as far as the scan's blur leaves it."""
    off = RADII_MM - radius_mm[..., None]
    near = (off >= -_CORTEX_MM[0]) & (off <= _CORTEX_MM[1])
    return np.where(near.any(-1), np.where(near, wall.profiles, -1e4).max(-1), np.nan).astype(np.float32)


def _in_view(places: Points, geometry: Geometry) -> bool:
    index = geometry.to_index(places[:, ::8, :20:6].reshape(-1, 3))
    inside = np.all((index >= -0.5) & (index <= np.asarray(geometry.shape) - 0.5), axis=1)
    return bool(inside.mean() > 0.98)


def _sampled(volume: CTVolume, places: Points) -> Grid:
    index = volume.geometry.to_index(places.reshape(-1, 3))
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    values = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest", output=np.float32)
    return np.asarray(values.reshape(places.shape[:-1]))


def _averaged(hu: Grid) -> Grid:
    """Average each ray with those beside it: along the wall, so that its border stays sharp."""
    return beside_averaged(hu, 1)


def _mask_radius(anatomy: Anatomy, body: npt.NDArray[np.bool_], places: Points) -> Grid | None:
    """Return how far the outlined body reaches along each ray (mm); None where the rays hardly meet it."""
    index = anatomy.geometry.to_index(places.reshape(-1, 3)).T
    inside = ndimage.map_coordinates(body.astype(np.float32), index, order=1, mode="nearest") > 0.5
    inside = inside.reshape(places.shape[:-1])
    last = inside.shape[-1] - 1 - np.argmax(inside[..., ::-1], axis=-1)
    met = inside.any(axis=-1)
    if met.mean() < _MET_SHARE:
        return None
    found = np.where(met, RADII_MM[last], np.median(RADII_MM[last][met]))
    # Slices whose marrow no outline encloses hold the shell's crumbs only: the other heights tell.
    return np.asarray(np.maximum(found, np.median(found, axis=0)), np.float32)


def rays_at(
    walls: Sequence[BodyWall], region: Region, geometry: Geometry, *, within_mm: float
) -> dict[str, BoolArray]:
    """Return, by vertebra, the rays [height, angle] on whose way out of the body a region (native grid) lies.

    A ray counts where it comes within `within_mm` of the region between half its radius and 4 mm beyond the wall.
    """
    z = geometry.to_lps(np.array([region.start, np.add(region.start, region.mask.shape)], float))[:, 2]
    out: dict[str, BoolArray] = {}
    distance: Grid | None = None
    margin = int(np.ceil((within_mm + 2.0) / min(geometry.spacing_mm[1:])))
    for wall in walls:
        feet = wall.feet_lps_mm[:, 2]
        if feet.max() < z.min() - _NEAR_MM or feet.min() > z.max() + _NEAR_MM:
            continue
        if distance is None:
            around = region.padded((margin, margin, margin), geometry.shape)
            distance = np.minimum(
                edt.edt(~around.mask, anisotropy=geometry.spacing_mm, black_border=False), 1e3
            )
        typical = np.nan_to_num(wall.radius_mm, nan=wall.typical_mm)
        near = np.zeros(typical.shape, bool)
        for share in np.linspace(0.5, 1.0, 6):
            near |= _near(wall, share * typical, distance, around, geometry, within_mm)
        for beyond in (2.0, 4.0):
            near |= _near(wall, typical + beyond, distance, around, geometry, within_mm)
        if near.any():
            out[wall.label] = near
    return out


def _near(
    wall: BodyWall, radius_mm: Grid, distance: Grid, around: Region, geometry: Geometry, within_mm: float
) -> BoolArray:
    points = wall.points(np.asarray(radius_mm, np.float32)).reshape(-1, 3)
    index = np.rint(geometry.to_index(points) - np.asarray(around.start)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(distance.shape)), axis=1)
    out = np.zeros(len(points), bool)
    z, y, x = index[inside].T
    out[inside] = distance[z, y, x] <= within_mm
    return out.reshape(radius_mm.shape)
