"""Canal and foramina as they are, level by level on one grid, and what each level should look like.

In a spine without disease fat and thecal sac lie at every level as they do at the next one and on the other side.
Levels are read on a grid that follows the canal, so that the typical density of every place is known from the
patient's own levels. What differs from it towards the density of a mass, and hangs together with that mass, is mass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.measure.foramen import Canal, Side, read_canals
from paraspinal.volume import BoolArray, CTVolume, Geometry

Grid = npt.NDArray[np.float32]

CELL_MM = 0.8
UP_MM = np.arange(-4.0, 14.01, 1.0)  # from the caudal end plate; foramina are widest about 6 mm above it
AHEAD_MM = np.arange(12.0, -12.01, -CELL_MM)  # from the canal's middle
OUT_MM = np.arange(-24.0, 24.01, CELL_MM)  # to the side that is looked at
BESIDE_MM = 5.0
"""The foramen belongs to the canal so far beyond its side wall: to the outer border of a thoracic pedicle."""
_CANAL_MM, _FORAMEN_MM = 11.0, 7.0  # half depths of the canal's ellipse and of the foramina
_BONE_HU = 200.0
_LEAST_HU = -160.0
_BLUR_MM = (1.5, 0.8, 0.8)  # SD along the canal, to the front, to the side
_LEAST_SHARE = 0.35  # of soft tissue in what was averaged
_ANATOMY_HU = 10.0  # levels differ by so much where noise and place are the same (engineering default)
_SURE, _TOLD, _STRANGE = 3.0, 0.5, 3.0  # log likelihood ratios; standard deviations
_SAC_MM = 3.0  # from the canal's middle, where nothing but sac and cord lies
_JOIN_MM = 1.0  # places beside each other decide together
_NEIGHBOURS, _FAR_NEIGHBOURS = 2, 4  # the latter where most near ones lie beside a mass
_LEAST_REFERENCES = 3
_IN_VIEW = 0.98
_IQR_TO_SD = 0.74


@dataclass(frozen=True, slots=True)
class Level:
    """Canal and foramina beside one vertebra: HU [up, ahead, out] towards the left, NaN in bone."""

    label: str
    canal: Canal
    hu: Grid

    def towards(self, side: Side) -> Grid:
        """Return the HU with the given side on the positive end of the last axis."""
        return self.hu if side == "left" else self.hu[..., ::-1]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a level should look like from one side: median HU of the references and their spread, NaN unknown.

    ``nearest`` is how many levels away the nearest reference lies.
    """

    hu: Grid
    spread_hu: Grid
    nearest: int


def read_levels(volume: CTVolume, anatomy: Anatomy) -> tuple[Level, ...]:
    """Return canal and foramina beside the thoracic and lumbar vertebrae that lie in the scan, cranial first."""
    found = []
    for canal in read_canals(anatomy):
        hu = _sampled(volume, places_of(canal))
        if hu is not None:
            found.append(Level(canal.label, canal, _averaged(hu)))
    return tuple(found)


def places_of(canal: Canal) -> npt.NDArray[np.float64]:
    """Return the LPS points [up, ahead, out, 3] of a level's grid."""
    return np.asarray(
        canal.middle
        + UP_MM[:, None, None, None] * canal.up
        + AHEAD_MM[None, :, None, None] * canal.anterior
        + OUT_MM[None, None, :, None] * canal.left
    )


def in_canal(canal: Canal) -> BoolArray:
    """Return the places [ahead, out] of the canal alone."""
    return np.asarray((OUT_MM[None, :] / canal.half_mm) ** 2 + (AHEAD_MM[:, None] / _CANAL_MM) ** 2 <= 1.0)


def inside(canal: Canal) -> BoolArray:
    """Return the places [ahead, out] of canal and foramina."""
    ahead, out = AHEAD_MM[:, None], np.abs(OUT_MM)[None, :]
    return np.asarray(in_canal(canal) | ((out <= canal.half_mm + BESIDE_MM) & (np.abs(ahead) <= _FORAMEN_MM)))


def expected(
    levels: Sequence[Level], index: int, side: Side, clean: Mapping[str, frozenset[Side]], *, nearest: int = 0
) -> Expected | None:
    """Return what a level should look like on one side; None where too few sides without a mass are near.

    Parameters
    ----------
    clean : mapping of str to set of sides
        By level, the sides that no mass comes near. A side is never its own reference.
    nearest : int
        References less levels away than this are left out.
    """
    stack: list[Grid] = []
    first = None
    for away in range(nearest, _FAR_NEIGHBOURS + 1):
        if away > _NEIGHBOURS and len(stack) > _LEAST_REFERENCES:
            break
        for k in sorted({index - away, index + away} & set(range(len(levels)))):
            others = clean.get(levels[k].label, frozenset()) - ({side} if k == index else set())
            stack += [levels[k].towards(other) for other in sorted(others)]
        first = away if first is None and stack else first
    if len(stack) < _LEAST_REFERENCES or first is None:
        return None
    told = np.sort(np.stack(stack), axis=0)  # NaN last
    count = np.isfinite(told).sum(axis=0)
    spread = _IQR_TO_SD * (_quantile(told, count, 0.75) - _quantile(told, count, 0.25))
    known = count >= _LEAST_REFERENCES
    middle = np.where(known, _quantile(told, count, 0.5), np.nan)
    return Expected(
        middle.astype(np.float32), np.where(known, spread, np.nan).astype(np.float32), nearest=first
    )


def _quantile(told: Grid, count: npt.NDArray[np.intp], share: float) -> Grid:
    at = np.maximum(np.rint(share * (count - 1)), 0).astype(int)
    return np.asarray(np.take_along_axis(told, at[None], 0)[0])


def evidence(hu: Grid, usual: Expected, canal: BoolArray, *, mass_hu: float, noise_hu: float) -> Grid:
    """Return, per place, how much more a mass of `mass_hu` explains than what is expected: log likelihood ratio.

    0 where mass and expected tissue look alike, negative in bone. In the `canal` [ahead, out] thecal sac is expected,
    too: it is not as wide at every level. Each place counts for `_SURE` at most, and places beside each other decide
    together.
    """
    variance = _variance(usual, noise_hu)
    ratio = _ratio(hu, usual.hu, mass_hu, variance)
    sac_hu = _sac_hu(usual)
    if sac_hu is not None:
        alone = noise_hu**2 + _ANATOMY_HU**2
        ratio = np.where(
            canal, np.minimum(ratio, _ratio(hu, np.full_like(hu, sac_hu), mass_hu, alone)), ratio
        )
    return np.where(np.isfinite(hu), _joined(ratio), -1.0).astype(np.float32)


def _ratio(hu: Grid, usual_hu: Grid, mass_hu: float, variance: Grid | float) -> Grid:
    ratio = (hu - 0.5 * (mass_hu + usual_hu)) * (mass_hu - usual_hu) / variance
    # Far beyond the mass's own density (a vein with contrast medium) nothing speaks for it.
    strange = np.abs(hu - mass_hu) > np.maximum(np.abs(hu - usual_hu), _STRANGE * np.sqrt(variance))
    return np.asarray(np.where(strange, -1.0, ratio), np.float32)


def _sac_hu(usual: Expected) -> float | None:
    """Return the HU in the middle of the canal; None where it is not known."""
    middle = (np.abs(AHEAD_MM)[:, None] < _SAC_MM) & (np.abs(OUT_MM)[None, :] < _SAC_MM)
    values = usual.hu[:, middle]
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def visible(usual: Expected, *, mass_hu: float, noise_hu: float) -> BoolArray:
    """Return the places where a mass of `mass_hu` would be told from what is expected there."""
    return np.asarray(_joined(0.5 * (mass_hu - usual.hu) ** 2 / _variance(usual, noise_hu)) > _TOLD)


def _variance(usual: Expected, noise_hu: float) -> Grid:
    return np.asarray(usual.spread_hu**2 + noise_hu**2 + _ANATOMY_HU**2)


def _joined(ratio: Grid) -> Grid:
    """Average a ratio with those beside it; what is not known counts for neither."""
    clipped = np.where(np.isfinite(ratio), np.clip(ratio, -_SURE, _SURE), 0.0).astype(np.float32)
    sigma = (0.5 * _JOIN_MM, _JOIN_MM / CELL_MM, _JOIN_MM / CELL_MM)
    return np.asarray(ndimage.gaussian_filter(clipped, sigma, truncate=3.0))


def connected(positive: BoolArray, seed: BoolArray) -> BoolArray:
    """Return the part of `positive` that hangs together with a seed."""
    labels = np.asarray(cc3d.connected_components(positive | seed, connectivity=18))
    wanted = np.zeros(int(labels.max()) + 1, bool)
    wanted[np.unique(labels[seed])] = True
    wanted[0] = False
    return np.asarray(wanted[labels] & positive)


def at_places(mask_distance: Grid, geometry: Geometry, start: npt.ArrayLike, canal: Canal) -> Grid:
    """Return a distance field (crop of the native grid from `start`) at a level's places; infinite outside it."""
    places = places_of(canal)
    index = np.rint(geometry.to_index(places.reshape(-1, 3)) - np.asarray(start)).astype(int)
    there = np.all((index >= 0) & (index < np.asarray(mask_distance.shape)), axis=1)
    out = np.full(len(index), np.inf, np.float32)
    z, y, x = index[there].T
    out[there] = mask_distance[z, y, x]
    return out.reshape(places.shape[:-1])


def _sampled(volume: CTVolume, places: npt.NDArray[np.float64]) -> Grid | None:
    index = volume.geometry.to_index(places.reshape(-1, 3))
    seen = np.all((index >= -0.5) & (index <= np.asarray(volume.geometry.shape) - 0.5), axis=1)
    if seen.mean() < _IN_VIEW:
        return None
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(index.max(axis=0)).astype(int) + 2
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    hu = ndimage.map_coordinates(part, (index - low).T, order=1, mode="nearest", output=np.float32)
    return np.asarray(hu.reshape(places.shape[:-1]))


def _averaged(hu: Grid) -> Grid:
    """Return HU averaged over soft tissue only, NaN where bone is."""
    soft = hu < _BONE_HU
    sigma = [b / s for b, s in zip(_BLUR_MM, (1.0, CELL_MM, CELL_MM), strict=True)]
    weight = ndimage.gaussian_filter(soft.astype(np.float32), sigma, mode="nearest", truncate=3.0)
    total = ndimage.gaussian_filter(
        np.where(soft, np.maximum(hu, _LEAST_HU), 0.0).astype(np.float32), sigma, mode="nearest", truncate=3.0
    )
    return np.where(soft & (weight > _LEAST_SHARE), total / np.maximum(weight, 1e-3), np.nan).astype(
        np.float32
    )
