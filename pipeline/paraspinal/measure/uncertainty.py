"""How type A and type B standard uncertainties are obtained.

Type A has two parts. The border: every reading is repeated with the border moved by half a voxel in and out; a
border that may lie anywhere in between has a standard uncertainty of the half range divided by √3 (rectangular
distribution, JCGM 100:2008, 4.3.7). Where soft tissue or bone lies outside, the border itself is a judgement:
volumes and lengths carry what known masses in real scans showed that to be worth (`measure.outline`). The noise:
its SD divided by the root of the number of independent voxels, which is smaller than the number of voxels because
the reconstruction spreads each one over the line spread. Type B is the scanner's calibration.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from paraspinal.quality.types import ScanQuality

RECTANGULAR = 3.0**-0.5
_FWHM_PER_SD = 2.3548
_UNKNOWN_FWHM_MM = 1.5
_AXIAL_CORRELATION = 1.5  # neighbouring slices share noise where the slice is thicker than its spacing

BORDER_METHOD = "type A: border moved by half a voxel in and out"
OUTLINE_METHOD = BORDER_METHOD + ", and by more where soft tissue or bone outlines the mass"
DENSITY_METHOD = BORDER_METHOD + ", noise over independent voxels; type B: scanner calibration"


def half_range(readings: Iterable[float | None]) -> float:
    """Return the standard uncertainty of repeated readings that bound the value (rectangular distribution)."""
    known = [r for r in readings if r is not None and np.isfinite(r)]
    return float((max(known) - min(known)) / 2.0 * RECTANGULAR) if len(known) > 1 else 0.0


def noise_of_mean(sd_hu: float, voxels: float, pixel_mm: float, quality: ScanQuality) -> float:
    """Return the standard uncertainty (HU) that noise of `sd_hu` leaves on a mean over `voxels`.

    The noise's correlation area is taken as that of a Gaussian of the scan's line spread, 4π·SD², at least one
    pixel.
    """
    fwhm = quality.edge_fwhm_mm or _UNKNOWN_FWHM_MM
    area = 4.0 * np.pi * (fwhm / _FWHM_PER_SD) ** 2
    independent = voxels / (max(1.0, area / pixel_mm**2) * _AXIAL_CORRELATION)
    return float(sd_hu / np.sqrt(max(independent, 1.0)))
