"""What is known about a phantom, as plain JSON."""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.phantom.canal_area import canal_area_mm2
from paraspinal.phantom.deform import Warp
from paraspinal.phantom.labels import vertebra_number
from paraspinal.phantom.lesions import MassPlan
from paraspinal.phantom.patient_truth import patient_truth
from paraspinal.phantom.spec import BoneSpec, PhantomSpec
from paraspinal.phantom.spine import SpinePlan
from paraspinal.phantom.vertebral_column import CANAL_TOP_MM
from paraspinal.volume import CTVolume, LabelMap


def describe(
    spec: PhantomSpec,
    spine: SpinePlan,
    masses: tuple[MassPlan, ...],
    volume: CTVolume,
    labels: LabelMap,
    mass_map: LabelMap,
    *,
    warp: Warp | None = None,
) -> dict[str, Any]:
    """Return the truth: spec, masses, vertebrae, canal and organ volumes, LPS millimetres and millilitres.

    HU of a mass are those of its spec (before blur and noise), not read from the image. Volumes count what is in
    view; ``cut`` names what the scan's ends cut.
    """
    g = volume.geometry
    z_low = g.origin_lps_mm[2] - g.spacing_mm[0] / 2
    z_high = z_low + g.extent_mm[0]
    heights = g.origin_lps_mm[2] + np.arange(g.shape[0])[::-1] * g.spacing_mm[0]
    heights = heights[(heights > spine.canal_end_mm) & (heights < CANAL_TOP_MM)]
    canal = _seen(np.column_stack([spine.canal_xy(heights), heights]), warp)
    vertebrae, organs = _vertebrae(spine, z_low, z_high, warp), _organs(labels, volume.padding)
    whole = [v["label"] for v in vertebrae if not v["truncated"]]
    return {
        "research_use_only": "Synthetic data; no patient.",
        "spec": spec.to_json(),
        "masses": [
            _mass(m, spine, mass_map, spec)
            | {
                "canal_extension_mm2": round(
                    canal_area_mm2(mass_map.data == m.number, mass_map.geometry, spine, canal), 1
                )
            }
            for m in masses
        ],
        "vertebrae": vertebrae,
        "canal": {
            "centreline_lps_mm": [
                [round(float(x), 2), round(float(y), 2), round(float(z), 2)] for x, y, z in canal
            ]
        },
        "variants": {
            "rib_pairs": spec.patient.rib_pairs,
            "cervical_ribs": list(spec.patient.cervical_ribs),
            "transition": spec.patient.transition,
        },
        "organs": organs,
        "patient": patient_truth(spec, organs=organs, levels=whole),
        "noise_hu": spec.noise_hu,
        "trabecular_hu": _trabecular_hu(spec.bone),
        "strut_spacing_mm": _strut_spacing_mm(spec.bone),
    }


def _trabecular_hu(bone: BoneSpec) -> float | None:
    if bone.trabeculae is not None:
        return bone.trabeculae.mean_hu
    return bone.trabecular_hu if bone.strut_spacing_mm <= 0 else None


def _strut_spacing_mm(bone: BoneSpec) -> float | None:
    return bone.trabeculae.spacing_mm if bone.trabeculae is not None else bone.strut_spacing_mm or None


def _seen(points: npt.NDArray[np.float64], warp: Warp | None) -> npt.NDArray[np.float64]:
    """Return where points of the laid-out body are seen in the volume."""
    return points if warp is None else warp.to_image(points)


def _vertebrae(spine: SpinePlan, z_low: float, z_high: float, warp: Warp | None) -> list[dict[str, Any]]:
    out = []
    for v in spine.vertebrae:
        top, bottom = v.end_plate_mm(1), v.end_plate_mm(-1)
        if top < z_low or bottom > z_high:
            continue
        cut = [name for name, is_cut in (("superior", top > z_high), ("inferior", bottom < z_low)) if is_cut]
        out.append(
            {
                "label": v.level,
                "number": vertebra_number(v.level),
                "centroid_lps_mm": [round(float(c), 2) for c in _seen(v.centre[None], warp)[0]],
                "top_mm": round(top, 2),
                "bottom_mm": round(bottom, 2),
                "truncated": cut,
            }
        )
    return out


def level_at(spine: SpinePlan, z: float) -> str:
    """Return the vertebra whose body, with half of each neighbouring disc, holds the height z."""
    return min(spine.vertebrae, key=lambda v: abs(v.centre[2] - z) / (v.size.height + v.size.disc)).level


def _mass(plan: MassPlan, spine: SpinePlan, mass_map: LabelMap, spec: PhantomSpec) -> dict[str, Any]:
    zz, yy, xx = np.nonzero(mass_map.data == plan.number)
    g, s = mass_map.geometry, plan.spec
    hu = s.hu + (s.enhancement_hu if spec.phase != "unenhanced" else 0.0)
    out: dict[str, Any] = {
        "id": plan.number,
        "side": s.side,
        "in_view": bool(len(zz)),
        "centre_level": s.level,
        "hu": hu,
        "margin": "well" if s.edge_width_mm <= 2 else "ill",
        "edge_width_mm": s.edge_width_mm,
        "bone": s.bone,
        "low_density_foci": len(plan.low_density),
        "fat_foci": len(plan.fat),
        "calcifications": len(plan.calcification),
        "rim_hu": s.rim_hu,
    }
    if len(zz):
        low, high = (g.to_lps((k, 0, 0))[2] for k in (zz.min(), zz.max()))
        # The outermost hundredth at either end makes no level, as in the search.
        most = [float(g.to_lps((k, 0, 0))[2]) for k in np.percentile(zz, (1, 99))]
        centre = g.to_lps(np.array([zz.mean(), yy.mean(), xx.mean()]))
        out |= {
            "volume_ml": round(len(zz) * g.voxel_ml, 3),
            "centroid_lps_mm": [round(float(c), 2) for c in centre],
            "levels": [level_at(spine, z) for z in reversed(most)],
            "craniocaudal_mm": round(float(high - low) + g.spacing_mm[0], 2),
            "key_slice": int(np.bincount(zz).argmax()),
            "low_density_lps_mm": [[round(float(c), 2) for c in p] for p, _ in plan.low_density],
            "cut": bool(zz.min() == 0 or zz.max() == g.shape[0] - 1),
        }
    return out


_SIDES = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))


def _organs(labels: LabelMap, padding: npt.NDArray[np.bool_] | None) -> dict[str, Any]:
    stats = cc3d.statistics(labels.data)
    at_rim = {} if padding is None else _beside_padding(labels, padding)
    out = {}
    for number, name in labels.names.items():
        if number >= len(stats["voxel_counts"]) or stats["voxel_counts"][number] == 0:
            continue
        box = stats["bounding_boxes"][number]
        cut = at_rim.get(number, set())
        for part, length, (low, high) in zip(box, labels.data.shape, _SIDES, strict=True):
            cut |= {low} if part.start == 0 else set()
            cut |= {high} if part.stop == length else set()
        out[name] = {
            "volume_ml": round(int(stats["voxel_counts"][number]) * labels.geometry.voxel_ml, 3),
            "truncated": [side for pair in _SIDES for side in pair if side in cut],
        }
    return out


def _beside_padding(labels: LabelMap, padding: npt.NDArray[np.bool_]) -> dict[int, set[str]]:
    """Return the sides at which each structure meets the rim of a round field."""
    rim = ndimage.binary_dilation(padding[0], iterations=1) & ~padding[0]
    rows, columns = np.nonzero(rim)
    ny, nx = rim.shape
    back, left = rows / (ny - 1) - 0.5, columns / (nx - 1) - 0.5
    out: dict[int, set[str]] = {}
    for (low, high), along, across in ((_SIDES[1], back, left), (_SIDES[2], left, back)):
        for side, towards in ((low, -along), (high, along)):
            here = towards >= np.abs(across)
            for number in np.unique(labels.data[:, rows[here], columns[here]]):
                out.setdefault(int(number), set()).add(side)
    return out
