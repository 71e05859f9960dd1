"""The aortic lumen on the working grid: what the contrast phase is judged by."""

from __future__ import annotations

import edt
import numpy as np

from paraspinal.anatomy.types import Anatomy

INSIDE_MM = 4.0
"""Depth below the aorta's outline: its wall (2–3 mm) and half a working voxel of partial volume lie above it."""
MIN_LUMEN_ML = 1.0


def aortic_lumen_hu(found: Anatomy) -> float | None:
    """Return the median HU of the aortic lumen, or None where there is too little of it."""
    aorta = found.mask("aorta")
    if not aorta.any():
        return None
    depth = edt.edt(np.ascontiguousarray(aorta), anisotropy=found.geometry.spacing_mm)
    lumen = found.hu[depth > INSIDE_MM]
    if lumen.size * found.geometry.voxel_ml < MIN_LUMEN_ML:
        return None
    return float(np.median(lumen))
