"""What is true of the organs that EMH keeps company with, beyond their volumes: blood pool, spleen, effusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paraspinal.phantom.spec import PhantomSpec

Organs = Mapping[str, Mapping[str, Any]]

_LOW_HU, _USUAL_HU = 34.0, 42.0  # blood pool that is surely low, and surely not
_LARGE_ML = 50.0  # effusions from here on have an inside that can be read
_SMALL_ML = (40.0, 70.0)  # a spleen that is surely small, and surely not
_CALCIFIED = 0.3
_IRON_HU, _NO_IRON_HU = 72.0, 52.0  # myocardium of the same kind


def company_measurements(spec: PhantomSpec, organs: Organs) -> dict[str, float]:
    """Return the HU of wall and heart, which hold in an unenhanced scan at 120 kVp."""
    o = spec.organs
    if spec.phase != "unenhanced" or spec.kvp != 120:
        return {}
    out = {}
    if "aorta" in organs:
        out["lumen_wall_contrast_hu"] = round(o.aorta_wall_hu - o.blood_hu, 2)
    if "heart" in organs and o.myocardium_hu > o.blood_hu:
        out["myocardium_hu"] = o.myocardium_hu
    for side in ("left", "right"):
        if (
            organs.get(f"effusion_{side}", {}).get("volume_ml", 0.0) >= _LARGE_ML
            and o.effusion_layer_hu is None
        ):
            out[f"effusion_{side}_hu"] = o.effusion_hu
    return out


def company_findings(spec: PhantomSpec, organs: Organs) -> dict[str, bool]:
    """Return the findings that surely hold, or surely do not."""
    o = spec.organs
    out = {}
    if spec.phase == "unenhanced" and spec.kvp == 120:
        if "aorta" in organs and not _LOW_HU < o.blood_hu < _USUAL_HU:
            out["blood_pool_low"] = o.blood_hu <= _LOW_HU
        if "heart" in organs and not _NO_IRON_HU < o.myocardium_hu < _IRON_HU:
            out["myocardial_iron"] = o.myocardium_hu >= _IRON_HU
    spleen = organs.get("spleen")
    if spleen is not None and not spleen["truncated"]:
        small, calcified = spleen["volume_ml"] < _SMALL_ML[0], o.spleen_calcium >= _CALCIFIED
        if small or calcified or (spleen["volume_ml"] > _SMALL_ML[1] and o.spleen_calcium == 0.0):
            out["spleen_small_or_calcified"] = small or calcified
    return out
