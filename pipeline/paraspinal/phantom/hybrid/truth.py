"""What is known about a mass in a real scan, as plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy
from paraspinal.phantom.hybrid.cortex import inside_bone_mm
from paraspinal.phantom.hybrid.form import Form
from paraspinal.phantom.hybrid.site import Site
from paraspinal.phantom.spec import MassSpec
from paraspinal.volume import BoolArray, CTVolume, Spacing

Field = npt.NDArray[np.float32]


def describe_mass(
    number: int,
    spec: MassSpec,
    form: Form,
    share: Field,
    mask: BoolArray,
    site: Site,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    noise_sd: float,
) -> dict[str, Any]:
    """Return the truth of one mass: LPS millimetres, millilitres, HU before noise.

    ``volume_ml`` sums the shares of all voxels (partial volume counts); ``mean_hu`` is the mean of the core, 2 mm and
    more inside; ``bone_depth_mm`` is how deep it reaches into vertebral bodies and discs; levels are those of the
    scan's own vertebrae. Foci lie whole inside the mass by their places, bone apart.
    """
    g = volume.geometry
    start = np.array([s.start for s in site.box])
    found = np.argwhere(mask)
    core = mask & (form.distance < -2.0) & (site.rigid < 0.05)
    s_mm = _arc_length(site, anatomy, spec)[mask]
    low, high = (float(np.percentile(s_mm, q)) for q in (1, 99))
    centre = g.to_lps(found.mean(axis=0) + start)
    ends = g.to_lps(np.stack([found.min(axis=0), found.max(axis=0)]) + start)
    shape = np.asarray(volume.hu.shape)
    cut = bool((found.min(axis=0) + start == 0).any() or (found.max(axis=0) + start == shape - 1).any())
    return {
        "id": number,
        "side": spec.side,
        "centre_level": spec.level,
        "levels": [_level(anatomy, high), _level(anatomy, low)],
        "volume_ml": round(float(share.sum()) * g.voxel_ml, 3),
        "mask_ml": round(float(mask.sum()) * g.voxel_ml, 3),
        "mean_hu": round(float(form.hu[core].mean()), 2) if core.any() else None,
        "centroid_lps_mm": [round(float(c), 2) for c in centre],
        "craniocaudal_mm": round(abs(float(ends[1][2] - ends[0][2])) + g.spacing_mm[0], 2),
        "key_slice": int(start[0] + np.bincount(found[:, 0]).argmax()),
        "bone_depth_mm": _bone_depth(share, site, g.spacing_mm)
        if spec.bone in ("lytic", "scalloping")
        else 0.0,
        "noise_sd_hu": round(noise_sd, 2),
        "cut": cut,
        "foci": {
            name: {
                "count": len(balls),
                "volume_ml": round(sum(4 / 3 * np.pi * r**3 for _, r in balls) / 1000.0, 4),
            }
            for name, balls in form.foci.items()
            if balls
        },
        "spec": asdict(spec),
    }


def _bone_depth(share: Field, site: Site, spacing_mm: Spacing) -> float:
    """Return how deep (mm) the mass reaches into what was vertebral body or disc, by its border on native voxels."""
    taken = (share > 0.5) & (site.column > 0.5)
    return round(float(inside_bone_mm(site, spacing_mm)[taken].max()), 2) if taken.any() else 0.0


def _arc_length(site: Site, anatomy: Anatomy, spec: MassSpec) -> Field:
    vertebra = next(v for v in anatomy.vertebrae if v.label == spec.level)
    return np.asarray(site.up + np.float32(vertebra.s_mm + spec.offset_mm[2]), np.float32)


def _level(anatomy: Anatomy, s_mm: float) -> str:
    return min(anatomy.vertebrae, key=lambda v: abs(v.s_mm - s_mm)).label
