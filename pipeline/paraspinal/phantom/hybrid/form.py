"""The form and contents of a mass on a fine grid, averaged onto the scan's voxels through its point spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.phantom.hybrid.site import Site
from paraspinal.phantom.mass_shape import Ball, distance_to, draw_lobes
from paraspinal.phantom.spec import Foci, MassSpec
from paraspinal.phantom.tissue import FAT_HU

Field = npt.NDArray[np.float32]
_RIM_MM = 3.0
_SHARP_MM = 0.25
_ROOM_MM = 3.0  # foci keep this distance from the surface
SHELL_MM = 1.2
"""Thickness of the cortex of a hollow that a mass pressed into bone (engineering default)."""


@dataclass(frozen=True, slots=True)
class Form:
    """A mass on the scan's voxels: the share that is mass, its HU there, and the distance (mm) to its surface.

    ``shell`` is the share of a layer as thick as a cortex around it. ``foci`` holds the contents by kind:
    low_density, fat, calcification; centres in millimetres around the mass's own (out, ahead, up).
    """

    share: Field
    hu: Field
    distance: Field
    shell: Field
    foci: dict[str, tuple[Ball, ...]]


def make_form(
    site: Site,
    spec: MassSpec,
    hu: float,
    rng: np.random.Generator,
    *,
    spacing_mm: tuple[float, float, float],
    fwhm_mm: float,
    slice_mm: float,
) -> Form:
    """Draw a mass supersampled, blur it by the scan's point spread, and average it onto the voxels.

    Parameters
    ----------
    hu : float
        Attenuation of the mass in this scan (contrast medium included).
    fwhm_mm, slice_mm : float
        Full width at half maximum in the slice, and the slice profile's width.
    """
    foci = _contents(rng, spec)
    fine = tuple(max(1, int(np.ceil(s / f))) for s, f in zip(spacing_mm, (1.0, 0.6, 0.6), strict=True))
    out, ahead, up = (_finer(field, fine) for field in (site.out, site.ahead, site.up))
    lobes = draw_lobes(rng, spec)
    d = distance_to(spec, lobes, out, ahead, up)
    share = _inside(d, max(spec.edge_width_mm, _SHARP_MM))
    if (
        spec.bone == "scalloping"
    ):  # a mass that blends with fat still ends sharply at the cortex of its hollow
        bone = _finer(site.column, fine)
        share = bone * _inside(d, _SHARP_MM) + (1.0 - bone) * share
    inside = np.full(d.shape, hu, np.float32)
    if spec.rim_hu is not None:
        inside[d > -_RIM_MM] = spec.rim_hu
    for name, delta in _deltas(spec, hu).items():
        for centre, radius in foci[name]:
            ball = np.sqrt((out - centre[0]) ** 2 + (ahead - centre[1]) ** 2 + (up - centre[2]) ** 2) - radius
            inside += np.float32(delta) * np.clip(0.5 - ball / 0.5, 0.0, 1.0)
    step = [s / n for s, n in zip(spacing_mm, fine, strict=True)]
    around = _inside(d - SHELL_MM, _SHARP_MM) - _inside(d, _SHARP_MM)
    amount, weighted, shell = (
        _averaged(_blurred(f, step, fwhm_mm, slice_mm), fine) for f in (share, share * inside, around)
    )
    value = weighted / np.maximum(amount, 1e-3)
    distance = distance_to(spec, lobes, site.out, site.ahead, site.up)
    return Form(amount, value.astype(np.float32), distance, shell, foci)


def _inside(distance: Field, width_mm: float) -> Field:
    """Return the share of a mass whose border is a ramp so wide."""
    return np.asarray(np.clip(0.5 - distance / width_mm, 0.0, 1.0), np.float32)


def _contents(rng: np.random.Generator, spec: MassSpec) -> dict[str, tuple[Ball, ...]]:
    taken: list[Ball] = []
    kinds = {"low_density": spec.low_density, "fat": spec.fat, "calcification": spec.calcification}
    return {name: _spread(rng, spec, foci, taken) for name, foci in kinds.items()}


def _spread(
    rng: np.random.Generator, spec: MassSpec, foci: Foci | None, taken: list[Ball]
) -> tuple[Ball, ...]:
    """Draw balls inside the lateral part of the mass, apart from each other."""
    if foci is None:
        return ()
    axes, radius = np.array(spec.semi_axes_mm), foci.diameter_mm / 2
    room = np.maximum(axes - radius - _ROOM_MM, 0.5)
    out: list[Ball] = []
    for _ in range(400):
        if len(out) == foci.count:
            break
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        point = room * direction * rng.uniform() ** (1 / 3) * (0.8, 0.8, 0.6) + (2.5, 0.0, 0.0)
        if all(np.linalg.norm(point - p) > radius + r + 2.0 for p, r in taken):
            out.append((point, radius))
            taken.append((point, radius))
    return tuple(out)


def _deltas(spec: MassSpec, hu: float) -> dict[str, float]:
    return {
        "low_density": spec.low_density.hu_delta if spec.low_density else 0.0,
        "fat": FAT_HU - hu,
        "calcification": spec.calcification.hu_delta if spec.calcification else 0.0,
    }


def _finer(field: Field, factor: tuple[int, ...]) -> Field:
    """Return a smooth field at the middles of the parts into which each voxel is divided."""
    if all(n == 1 for n in factor):
        return field
    index = [(np.arange(size * n) + 0.5) / n - 0.5 for size, n in zip(field.shape, factor, strict=True)]
    grid = np.meshgrid(*index, indexing="ij")
    padded = np.pad(field, 1, mode="reflect", reflect_type="odd")
    return np.asarray(ndimage.map_coordinates(padded, [g + 1.0 for g in grid], order=1), np.float32)


def _blurred(field: Field, step_mm: list[float], fwhm_mm: float, slice_mm: float) -> Field:
    sigma = fwhm_mm / 2.3548
    out = ndimage.gaussian_filter(field, (0.0, sigma / step_mm[1], sigma / step_mm[2]))
    return np.asarray(ndimage.uniform_filter1d(out, max(1, round(slice_mm / step_mm[0])), axis=0))


def _averaged(field: Field, factor: tuple[int, ...]) -> Field:
    """Return every part of a voxel's own middle part: the point spread has averaged over the voxel already."""
    z, y, x = (n // 2 for n in factor)
    fz, fy, fx = factor
    even = [n % 2 == 0 for n in factor]
    out = field
    for axis, is_even in enumerate(even):
        if is_even:  # between two middle parts
            out = 0.5 * (out + np.roll(out, 1, axis))
    return np.asarray(out[z::fz, y::fy, x::fx])
