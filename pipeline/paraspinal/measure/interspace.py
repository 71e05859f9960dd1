"""The interspaces between vertebral bodies: where soft tissue takes the place of end plates.

A healthy interspace shows, from end plate to end plate, no more soft tissue than its disc; thin discs show none,
because their end plates blur over them. Spondylodiscitis dissolves the end plates, so that soft tissue reaches into
both bodies. How thick it is at every place of the interspace is compared with the patient's other interspaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.measure.wall import ANGLES, BodyWall, body_axes
from paraspinal.volume import BoolArray, CTVolume

Grid = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

RINGS = np.array([0.0, 0.2, 0.4, 0.6])
"""Distance from the middle, as a share of the body's radius; the rim, where osteophytes bridge, is left out."""
AROUND = np.deg2rad(np.arange(0.0, 360.0, 15.0))  # 0 = anterior, positive to the left
STEP_MM = 0.5
ALONG_MM = np.arange(-14.0, 14.01, STEP_MM)
_DISC_MM = 6.0  # the darkest place lies so near to the middle between the outlined bodies
_AREAS = np.array([0.1, 0.2, 0.4, 0.6])  # of the rings
_BACK = np.deg2rad(126.0)  # behind this angle no wall was read
_BACK_SHARE = 0.8  # of the typical radius
_AVERAGE = np.array([0.25, 0.5, 0.25], np.float32)
_IN_VIEW = 0.98


@dataclass(frozen=True, slots=True)
class Interspace:
    """One interspace, named by the vertebra above and below.

    ``profiles`` are HU [ring, angle, step] along the spine, caudal first; ``core_hu`` of the body above and below;
    ``rim_lps_mm`` (n, 3) the places where its disc ends at the side.
    """

    upper: str
    lower: str
    profiles: Grid
    core_hu: tuple[float, float]
    rim_lps_mm: Points

    @property
    def name(self) -> str:
        """As ``T8/T9``."""
        return f"{self.upper}/{self.lower}"

    def soft_mm(self, soft_hu: float) -> Grid:
        """Return how thick [ring, angle] the soft tissue of `soft_hu` between the bodies is.

        Bone begins half way between the body's own density and the soft tissue's.
        """
        above, below = (0.5 * (soft_hu + core) for core in self.core_hu)
        step = np.arange(len(ALONG_MM))
        near = np.abs(ALONG_MM) <= _DISC_MM
        # Where a disc is hardly darker than the bodies a single noisy step would end it.
        hu = ndimage.correlate1d(self.profiles, _AVERAGE, axis=-1, mode="nearest")
        darkest = np.where(near, hu, np.inf).argmin(axis=-1)[..., None]
        upper = (hu >= above) & (step >= darkest)
        lower = (hu >= below) & (step <= darkest)
        top = np.where(upper.any(-1), upper.argmax(-1), len(step))
        bottom = np.where(lower.any(-1), len(step) - 1 - lower[..., ::-1].argmax(-1), -1)
        return np.asarray(np.maximum(top - bottom - 1, 0) * STEP_MM, np.float32)


@dataclass(frozen=True, slots=True)
class Gap:
    """Where an interspace lies: vertebrae above and below, centre, axes, radius (mm) by angle (`AROUND`)."""

    upper: BodyWall
    lower: BodyWall
    centre: Points
    up: Points
    anterior: Points
    left: Points
    radius_mm: npt.NDArray[np.float64]

    def places(self, rings: npt.NDArray[np.float64]) -> Points:
        """Return the LPS points [ring, angle, 3] of its middle plane at shares of the radius."""
        out = np.cos(AROUND)[:, None] * self.anterior + np.sin(AROUND)[:, None] * self.left
        return np.asarray(self.centre + (rings[:, None] * self.radius_mm)[..., None] * out)

    def profiles(self, volume: CTVolume, rings: npt.NDArray[np.float64]) -> Grid | None:
        """Return HU [ring, angle, step] along the spine at `ALONG_MM`, caudal first; None outside the scan."""
        return _profiles(volume, self.places(rings)[:, :, None] + ALONG_MM[:, None] * self.up)


def find_gaps(anatomy: Anatomy, walls: Sequence[BodyWall]) -> tuple[Gap, ...]:
    """Return the interspaces between neighbours of which both walls were read, cranial first."""
    by_label = {wall.label: wall for wall in walls}
    order = sorted(anatomy.vertebrae, key=lambda v: -v.bottom_mm)
    return tuple(
        _gap(anatomy, pair, by_label)
        for pair in pairwise(order)
        if {v.label for v in pair} <= by_label.keys()
    )


def read_interspaces(volume: CTVolume, anatomy: Anatomy, walls: Sequence[BodyWall]) -> tuple[Interspace, ...]:
    """Return the interspaces between neighbours of which both walls were read, cranial first."""
    read = [_read(volume, gap) for gap in find_gaps(anatomy, walls)]
    return tuple(i for i in read if i is not None)


def excess_share(soft_mm: Grid, expected_mm: Grid, *, least_mm: float) -> float:
    """Return the share of the interspace's area where soft tissue is `least_mm` thicker than expected."""
    over = soft_mm - expected_mm >= least_mm
    return min(1.0, float((_AREAS[:, None] * over).sum() / (_AREAS.sum() * over.shape[1])))


def _read(volume: CTVolume, gap: Gap) -> Interspace | None:
    profiles = gap.profiles(volume, RINGS)
    if profiles is None:
        return None
    core = (gap.upper.core_hu, gap.lower.core_hu)
    return Interspace(gap.upper.label, gap.lower.label, profiles, core, gap.places(np.ones(1))[0])


def _gap(anatomy: Anatomy, pair: tuple[Vertebra, Vertebra], walls: Mapping[str, BodyWall]) -> Gap:
    upper, lower = (walls[v.label] for v in pair)
    from_feet, to_feet = lower.feet_lps_mm[-1], upper.feet_lps_mm[0]
    middle = 0.5 * (pair[0].bottom_mm + pair[1].top_mm)
    part = (middle - from_feet[2]) / max(to_feet[2] - from_feet[2], 1.0)
    centre = from_feet + part * (to_feet - from_feet)
    return Gap(upper, lower, centre, *body_axes(anatomy, centre), _radius(upper, lower))


def _radius(upper: BodyWall, lower: BodyWall) -> npt.NDArray[np.float64]:
    """Return the radius of the interspace by angle, from the walls that face it."""
    near = np.concatenate([upper.radius_mm[:3], lower.radius_mm[-3:]])
    known: BoolArray = np.isfinite(near).any(axis=0)
    typical = 0.5 * (upper.typical_mm + lower.typical_mm)
    at = np.angle(np.exp(1j * AROUND))
    radius = np.full(len(at), typical)
    if known.any():
        radius = np.interp(at, ANGLES[known], np.nanmedian(near[:, known], axis=0))
    return np.where(np.abs(at) > _BACK, np.minimum(radius, _BACK_SHARE * typical), radius)


def _profiles(volume: CTVolume, places: Points) -> Grid | None:
    """Return HU at the places, averaged with those beside them; None where they leave the scan."""
    index = volume.geometry.to_index(places.reshape(-1, 3))
    inside = np.all((index >= -0.5) & (index <= np.asarray(volume.geometry.shape) - 0.5), axis=1)
    if inside.mean() < _IN_VIEW:
        return None
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    hu = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest", output=np.float32)
    hu = ndimage.correlate1d(hu.reshape(places.shape[:-1]), _AVERAGE, axis=1, mode="wrap")
    return np.asarray(ndimage.correlate1d(hu, _AVERAGE, axis=0, mode="nearest"))
