"""The part of a mass that runs through an unwidened foramen into the canal of a real scan.

It takes the place of fat, nerve and vessels in the foramen, then of the epidural space on its side, then of the
thecal sac; bone stays. How far it goes follows from the area that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.phantom.canal_area import CANAL_BESIDE_MM, CANAL_MM, FORAMEN_MM
from paraspinal.phantom.hybrid.blur import as_scanned
from paraspinal.phantom.hybrid.form import Form
from paraspinal.phantom.hybrid.site import Site
from paraspinal.phantom.spec import MassSpec
from paraspinal.volume import BoolArray, CTVolume

Field = npt.NDArray[np.float32]

_UP_SHARES = np.arange(0.1, 0.61, 0.05)  # of the body's height above its caudal end plate, where foramina lie
_HALF_HEIGHT_SHARE = 0.25
_PATH_MM = 5.0  # radius of the way from the foramen to the mass
_ROUND_MM = 12.0  # radius of the advancing front
_FREE_HU = 150.0
_PEDICLES = (0.45, 0.55, 0.65, 0.75)  # of the body's height, where pedicles wall the canal in
_USUAL_HALF_MM = 9.0
_STEPS = 20


@dataclass(frozen=True, slots=True)
class CanalSite:
    """Canal and foramen beside a mass to come, on the box of its site.

    ``lateral`` is the distance (mm) from the canal's middle to the side of the mass, ``ahead`` the one before it,
    ``up`` the one above the foramen's middle; ``half_mm`` half the canal's width.
    """

    lateral: Field
    ahead: Field
    up: Field
    half_mm: float
    half_height_mm: float
    pixel_mm2: float

    def area_mm2(self, mask: BoolArray) -> float:
        """Return the greatest area on an axial slice of a mask inside the canal and its foramina."""
        return float((mask & self.inside).sum(axis=(1, 2)).max(initial=0)) * self.pixel_mm2

    @property
    def inside(self) -> BoolArray:
        """The canal at every height, and its foramina up to the outer border of the pedicles."""
        beside = np.abs(self.lateral) - np.float32(self.half_mm)
        canal = (self.lateral / self.half_mm) ** 2 + (self.ahead / CANAL_MM) ** 2 <= 1.0
        foramen = (beside <= CANAL_BESIDE_MM) & (np.abs(self.ahead) <= FORAMEN_MM)
        return np.asarray(canal | (foramen & (np.abs(self.up) <= self.half_height_mm)))


def canal_site(site: Site, spec: MassSpec, volume: CTVolume, anatomy: Anatomy) -> CanalSite:
    """Return where the canal and the foramen below a mass's vertebra lie on the box of its site."""
    vertebra = next(v for v in anatomy.vertebrae if v.label == spec.level)
    out, ahead, s = site.centre_mm
    height = abs(vertebra.top_mm - vertebra.bottom_mm)
    lateral, before = site.out + np.float32(out), site.ahead + np.float32(ahead)
    bottom = arc_length(anatomy, vertebra.bottom_mm)
    above = site.up + np.float32(s - bottom)
    half = _half_width(anatomy, vertebra)
    up = above - np.float32(height * _widest(volume.hu[site.box], lateral, before, above / height, half))
    _, dy, dx = volume.geometry.spacing_mm
    return CanalSite(lateral, before, up, half, _HALF_HEIGHT_SHARE * height, dy * dx)


def _widest(hu: npt.NDArray[np.int16], lateral: Field, ahead: Field, above: Field, half_mm: float) -> float:
    """Return the height, as a share of the body's, at which the foramen beside a mass holds least bone."""
    beside = (lateral > half_mm) & (lateral < half_mm + CANAL_BESIDE_MM) & (np.abs(ahead) < FORAMEN_MM)
    free = []
    for share in _UP_SHARES:
        there = beside & (np.abs(above - share) < _UP_SHARES[1] - _UP_SHARES[0])
        free.append(float((hu[there] < _FREE_HU).mean()) if there.any() else 0.0)
    return float(_UP_SHARES[int(np.argmax(ndimage.uniform_filter1d(free, 5, mode="nearest")))])


def extended_into_canal(
    form: Form,
    site: Site,
    kept: Field,
    spec: MassSpec,
    volume: CTVolume,
    canal: CanalSite,
    *,
    hu: float,
    fwhm_mm: float,
    slice_mm: float,
) -> tuple[Form, Field]:
    """Return the form with its part in foramen and canal, and the share of every voxel that stays there.

    Parameters
    ----------
    kept : Field
        Share of what does not give way to the mass outside the canal.
    hu : float
        Attenuation of the mass in this scan.
    """
    free = _free(volume.hu[site.box].astype(np.float32), canal)
    way = _way_to_mass(site, canal)
    low, high = -canal.half_mm, canal.half_mm + CANAL_BESIDE_MM
    for _ in range(_STEPS):
        front = 0.5 * (low + high)
        reached = canal.area_mm2(_within(canal, front) & free)
        low, high = (low, front) if reached < spec.canal_mm2 else (front, high)
    part = (_within(canal, low) | way) & free
    drawn = as_scanned(part, volume.geometry.spacing_mm, fwhm_mm=fwhm_mm, slice_mm=slice_mm)
    there = drawn > 0.01
    # Bone's rim on native voxels stays; what the coarse outlines hold (canal, muscles of the back) gives way.
    stays = np.maximum(site.bone, ~ndimage.binary_dilation(free, np.ones((1, 3, 3), bool)))
    share = np.maximum(form.share * (1.0 - kept), drawn * (1.0 - stays))
    over = there & (drawn * (1.0 - stays) >= form.share * (1.0 - kept))
    kept = np.where(over, stays, kept).astype(np.float32)
    share = np.where(over, drawn, form.share).astype(np.float32)
    own = np.where(form.share > 0.05, form.hu, np.float32(hu)).astype(np.float32)
    return replace(form, share=share, hu=own), kept


def _within(canal: CanalSite, front_mm: float) -> BoolArray:
    """Return what lies lateral to a rounded front, between the pedicles."""
    rounded = front_mm + canal.up**2 / (2.0 * _ROUND_MM)
    inside = (canal.lateral > rounded) & (canal.lateral < canal.half_mm + 2.0 * CANAL_BESIDE_MM)
    inside &= np.abs(canal.up) < canal.half_height_mm
    beyond = (canal.lateral > canal.half_mm + CANAL_BESIDE_MM) & (np.abs(canal.ahead) < FORAMEN_MM)
    return np.asarray(inside & (canal.inside | beyond))


def _way_to_mass(site: Site, canal: CanalSite) -> BoolArray:
    """Return the tube from the foramen's mouth to the centre of the mass."""
    out, ahead, _ = site.centre_mm
    rise = float(np.median(canal.up - site.up))  # of the mass's centre above the foramen
    start = np.array([canal.half_mm + CANAL_BESIDE_MM, 0.0, 0.0])
    axis = np.array([out, ahead, rise]) - start
    along = [c - a for c, a in zip((canal.lateral, canal.ahead, canal.up), start, strict=True)]
    t = np.clip(sum(c * a for c, a in zip(along, axis, strict=True)) / float(axis @ axis), 0.0, 1.0)
    off = sum((c - t * a) ** 2 for c, a in zip(along, axis, strict=True))
    return np.asarray(off < _PATH_MM**2)


def _free(hu: Field, canal: CanalSite) -> BoolArray:
    """Return what is no bone and hangs together with the canal's middle."""
    soft = ndimage.gaussian_filter(hu, (0.0, 0.5, 0.5)) < _FREE_HU
    labels = np.asarray(cc3d.connected_components(soft, connectivity=6))
    middle = (np.abs(canal.lateral) < 4.0) & (np.abs(canal.ahead) < 3.0)
    middle &= (np.abs(canal.up) < canal.half_height_mm) & soft
    seen = np.bincount(labels[middle]) if middle.any() else np.zeros(2, int)
    return np.asarray(soft & (labels == int(np.argmax(seen))))


def arc_length(anatomy: Anatomy, z_mm: float) -> float:
    """Return the arc length of the spine at a height of its canal."""
    where = anatomy.spine
    middle = (np.abs(where.left) < 3.0) & (np.abs(where.anterior) < 3.0)
    k = np.nonzero(middle)[0] + where.box[0].start
    z = anatomy.geometry.to_lps(np.column_stack([k, 0 * k, 0 * k]))[:, 2]
    near = np.argsort(np.abs(z - z_mm))[:40]
    return float(np.polyfit(z[near] - z_mm, where.s[middle][near], 1)[1])


def _half_width(anatomy: Anatomy, vertebra: Vertebra) -> float:
    """Return half the width of the canal between the pedicles of a vertebra."""
    geometry, mask = anatomy.geometry, anatomy.mask("canal")
    widths = []
    for share in _PEDICLES:
        z = vertebra.bottom_mm + share * (vertebra.top_mm - vertebra.bottom_mm)
        k = round(float(geometry.to_index(np.array([0.0, 0.0, z]))[0]))
        columns = np.flatnonzero(mask[k].any(axis=0)) if 0 <= k < len(mask) else np.zeros(0, int)
        if columns.size:
            widths.append((columns[-1] - columns[0] + 1) * geometry.spacing_mm[2])
    return 0.5 * float(np.median(widths)) if widths else _USUAL_HALF_MM
