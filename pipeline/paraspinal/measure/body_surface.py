"""Organ volumes by body surface, where the header tells height and weight."""

from __future__ import annotations

import math

from paraspinal.result import Measurement, Status
from paraspinal.volume import Acquisition

UNIT = "mL/m2"
_RELATIVE_SD = 0.05  # of a surface from a formula and from a header's weight (engineering default)
_NEITHER = "the header does not give height and weight"


def body_surface_m2(acquisition: Acquisition) -> float | None:
    """Return the body surface by Mosteller (N Engl J Med 1987;317:1098): √(height cm · weight kg / 3600)."""
    height, weight = acquisition.patient_height_m, acquisition.patient_weight_kg
    if height is None or weight is None:
        return None
    return math.sqrt(100.0 * height * weight / 3600.0)


def per_surface(volume_ml: Measurement, acquisition: Acquisition) -> Measurement:
    """Return a volume (mL) as mL/m²; what was not measured, or without height and weight, is missing."""
    surface = body_surface_m2(acquisition)
    if volume_ml.value is None:
        status: Status = "not_in_view" if volume_ml.status == "not_in_view" else "not_assessed"
        return Measurement.missing(UNIT, volume_ml.reason or volume_ml.status, status=status)
    if surface is None:
        return Measurement.missing(UNIT, _NEITHER)
    spread = volume_ml.uncertainty
    return Measurement.measured(
        volume_ml.value / surface,
        UNIT,
        status=volume_ml.status,
        type_a=None if spread is None or spread.type_a is None else spread.type_a / surface,
        type_b=_RELATIVE_SD * volume_ml.value / surface,
        method="type A: as the volume; type B: body surface by Mosteller from the header",
        reason=volume_ml.reason,
    )
