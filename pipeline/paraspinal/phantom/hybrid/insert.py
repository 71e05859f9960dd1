"""Puts masses into a real CT: tissue gives way, the mass takes the scan's point spread and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.errors import UsageError
from paraspinal.phantom.hybrid.canal import CanalSite, canal_site, extended_into_canal
from paraspinal.phantom.hybrid.cortex import cortex_hu_mm
from paraspinal.phantom.hybrid.disc import dissolved_disc
from paraspinal.phantom.hybrid.form import SHELL_MM, Form, make_form
from paraspinal.phantom.hybrid.noise import resampled_noise
from paraspinal.phantom.hybrid.site import Site, find_site
from paraspinal.phantom.hybrid.truth import describe_mass
from paraspinal.phantom.spec import BREAKTHROUGH_MM, MassSpec
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import CTVolume, LabelMap

Field = npt.NDArray[np.float32]

_PUSH_MM = 28.0  # tissue farther from the mass stays where it was
_HELD_MM = 7.0  # tissue nearer to bone and vessels moves less
_AIR_HU = -400.0  # lung is compressed, not pushed
_DEFAULT_FWHM_MM = 1.4
_UNEVEN = 1.4
_MARROW_MM = 6.0  # so deep inside the column lies marrow
_OUTLINE_ERR_MM = 1.0  # the coarse outline of bone errs so far
BONE_EFFECTS = ("none", "lytic", "scalloping", "breakthrough", "canal", "discitis")


@dataclass(frozen=True, slots=True)
class Hybrid:
    """A real scan with known masses: ``masses`` numbers them 1…n on the native grid; ``truth`` is plain JSON."""

    volume: CTVolume
    masses: LabelMap
    truth: dict[str, Any]


def insert_masses(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    specs: Sequence[MassSpec],
    *,
    seed: int = 0,
) -> Hybrid:
    """Put masses beside the spine of a scan.

    Fat, muscle and organs within 28 mm are pushed away from the mass, lung is replaced, bone, aorta, canal and the
    muscles of the back stay (the mass ends there). Its border is blurred by the edge response and the slice profile
    measured in the scan; its noise is laid together from residuals of the scan's own soft tissue.

    Parameters
    ----------
    volume : CTVolume
        HU int16 [z, y, x], canonical order.
    specs : sequence of MassSpec
        ``bone`` "lytic" lets the mass take the place of vertebral bone as deep as ``overlap_mm`` says, "scalloping"
        gives the hollow a cortex; with "breakthrough" bone keeps its form, but the cortex beside the mass becomes
        as dense as the marrow behind it; with "canal" the mass runs through the foramen below its vertebra, with
        "discitis" it takes the place of the disc there; with "none" bone stays and the mass ends at it.
    seed : int
        Varies lobes, foci and noise.

    Raises
    ------
    UsageError
        ``hybrid_level_outside``; ``hybrid_bone_effect`` (a foramen is not widened); ``hybrid_no_room`` where nothing
        of a mass can lie.
    """
    for spec in specs:
        if spec.bone not in BONE_EFFECTS:
            raise UsageError(
                f"A mass in a real scan cannot have the bone effect {spec.bone!r}.",
                code="hybrid_bone_effect",
                remedy=f"Use {', '.join(BONE_EFFECTS)}, or make a phantom with `paraspinal phantom`.",
            )
    rng = np.random.default_rng(seed)
    hu = volume.hu.astype(np.float32)
    labels = np.zeros(volume.hu.shape, np.uint16)
    described = []
    for number, spec in enumerate(specs, 1):
        site = find_site(volume, anatomy, spec)
        form = make_form(
            site,
            spec,
            _hu_of(spec, quality),
            rng,
            spacing_mm=volume.geometry.spacing_mm,
            fwhm_mm=quality.edge_fwhm_mm or _DEFAULT_FWHM_MM,
            slice_mm=max(quality.slice_fwhm_mm or 0.0, volume.geometry.spacing_mm[0]),
        )
        kept = site.rigid - site.column if spec.bone in ("lytic", "scalloping") else site.rigid
        canal = canal_site(site, spec, volume, anatomy)
        form, kept = _beyond_the_gutter(form, site, kept, spec, volume, anatomy, quality, canal)
        share = form.share * (1.0 - kept)
        mask = (share > 0.5) & (labels[site.box] == 0)
        if not mask.any():
            raise UsageError(
                f"There is no room for a mass at {spec.level} on the {spec.side}.",
                code="hybrid_no_room",
                remedy="Choose another level or side, or a larger mass.",
            )
        noise, noise_sd = resampled_noise(volume, anatomy, _shape(mask), rng)
        noise *= _local_noise(quality, volume, site, noise_sd) / max(noise_sd, 1e-3)
        composed = _composed(hu[site.box], form, site, kept, share, noise, volume.geometry.spacing_mm)
        if spec.bone == "scalloping":
            composed += _floor_cortex(hu[site.box], form, site, spec, volume.geometry.spacing_mm)
        if spec.bone == "breakthrough":
            composed -= _cortex_above_marrow(composed, mask, site, volume.geometry.spacing_mm)
        hu[site.box] = composed
        labels[site.box][mask] = number
        described.append(
            describe_mass(number, spec, form, share, mask, site, volume, anatomy, noise_sd=float(noise.std()))
            | {"canal_extension_mm2": round(canal.area_mm2(mask), 1)}
        )
    names = {number: f"mass_{number}" for number in range(1, len(specs) + 1)}
    truth = {
        "research_use_only": "A real series with synthetic masses.",
        "seed": seed,
        "masses": described,
    }
    stored = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    stored = np.where(volume.hu < -1024, volume.hu, stored)
    return Hybrid(replace(volume, hu=stored), LabelMap(labels, volume.geometry, names), truth)


def _beyond_the_gutter(
    form: Form,
    site: Site,
    kept: Field,
    spec: MassSpec,
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    canal: CanalSite,
) -> tuple[Form, Field]:
    """Return form and what stays where a mass also runs into the canal or has dissolved a disc."""
    scan = {
        "hu": _hu_of(spec, quality),
        "fwhm_mm": quality.edge_fwhm_mm or _DEFAULT_FWHM_MM,
        "slice_mm": max(quality.slice_fwhm_mm or 0.0, volume.geometry.spacing_mm[0]),
    }
    if spec.bone == "canal":
        return extended_into_canal(form, site, kept, spec, volume, canal, **scan)
    if spec.bone == "discitis":
        return dissolved_disc(form, site, kept, spec, volume, anatomy, **scan)
    return form, kept


def _hu_of(spec: MassSpec, quality: ScanQuality) -> float:
    return spec.hu + (spec.enhancement_hu if quality.contrast_state else 0.0)


def _shape(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    z, y, x = mask.shape
    return (z, y, x)


def _local_noise(quality: ScanQuality, volume: CTVolume, site: Site, sd: float) -> float:
    """Return the noise that the scan has there: its map's where it was read, else that of the tiles."""
    if quality.noise is None:
        return sd
    middle = np.array([(s.start + s.stop - 1) / 2 for s in site.box])
    x, y, z = (float(v) for v in volume.geometry.to_lps(middle))
    local = quality.noise.at((x, y, z)) or sd
    return float(np.clip(local, sd / _UNEVEN, sd * _UNEVEN))  # bone in the block makes it read high


def _composed(
    hu: Field,
    form: Form,
    site: Site,
    kept: Field,
    share: Field,
    noise: Field,
    spacing_mm: tuple[float, float, float],
) -> Field:
    """Return the scan with the mass in it: pushed surroundings, and the mass over them.

    Bone that stays keeps its share of every voxel, and its noise; what it shared the voxel with becomes mass.
    """
    pushed = _pushed(hu, form.distance, site.rigid, spacing_mm)
    over = (1.0 - share) * pushed + share * (form.hu + noise)
    rim = np.isfinite(site.beside_hu) & (kept > 0.0)
    beside = pushed + share * (form.hu - np.nan_to_num(site.beside_hu))
    return np.where(rim, beside, over).astype(np.float32)


def _floor_cortex(
    hu: Field, form: Form, site: Site, spec: MassSpec, spacing_mm: tuple[float, float, float]
) -> Field:
    """Return what the cortex of a hollow's floor adds (HU): as much as the intact wall of this vertebra has."""
    excess = cortex_hu_mm(hu, site, spec, spacing_mm) / SHELL_MM
    return np.asarray(form.shell * site.column * np.float32(excess), np.float32)


def _cortex_above_marrow(
    hu: Field, mask: npt.NDArray[np.bool_], site: Site, spacing_mm: tuple[float, float, float]
) -> Field:
    """Return how far (HU) the cortex beside a mass stands above the marrow of its vertebrae; noise stays."""
    deep = site.column_depth_mm > _MARROW_MM
    if not deep.any():
        raise UsageError(
            "No marrow lies beside the mass, so that none can have broken through.",
            code="hybrid_no_room",
            remedy="Choose a level at the middle of a vertebral body, or a larger mass.",
        )
    smooth = ndimage.gaussian_filter(hu, (0.0, 0.7, 0.7))
    beside = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    near = np.clip(0.5 + BREAKTHROUGH_MM - beside, 0.0, 1.0)
    near *= np.clip(0.5 + BREAKTHROUGH_MM + _OUTLINE_ERR_MM - site.column_depth_mm, 0.0, 1.0)
    return np.asarray(near * site.column * np.maximum(smooth - np.median(hu[deep]), 0.0), np.float32)


def _pushed(hu: Field, distance: Field, rigid: Field, spacing_mm: tuple[float, float, float]) -> Field:
    """Return HU displaced outwards from the mass: at its surface lies what was half its depth inside."""
    depth = float(-distance.min())
    most = min(0.45 * _PUSH_MM, 0.5 * depth)
    fade = np.clip(1.0 - np.maximum(distance, 0.0) / _PUSH_MM, 0.0, 1.0) ** 2
    held = ndimage.distance_transform_edt(rigid < 0.5, sampling=spacing_mm)
    free = np.clip((held - 1.5) / _HELD_MM, 0.0, 1.0)
    free = ndimage.gaussian_filter(np.where(hu < _AIR_HU, 0.0, free), [1.5 / s for s in spacing_mm])
    along = np.gradient(distance, *spacing_mm)
    length = np.maximum(np.sqrt(sum(g**2 for g in along)), 1e-3)
    grid = np.indices(hu.shape, dtype=np.float32)
    amount = most * fade * free
    index = [g - amount * a / length / s for g, a, s in zip(grid, along, spacing_mm, strict=True)]
    moved = ndimage.map_coordinates(hu, index, order=1, mode="nearest")
    # Interpolation evens noise out: where nothing moves, the scan's own voxels stay.
    still = np.clip(amount / 0.5, 0.0, 1.0)
    return np.asarray(np.where((moved < _AIR_HU) | (hu < _AIR_HU), hu, hu + still * (moved - hu)), np.float32)
