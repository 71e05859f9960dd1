"""Defects of what the images hold: other values, or values that are said to be something else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paraspinal.phantom.defect_images import AIR_HU, Series, Step
from paraspinal.phantom.defect_kinds import Defect
from paraspinal.phantom.plane import Values

PADDING_HU = -3024.0
_CLIP_HU = (-1024.0, 1023.0)
# 1 mg/mL of iodine adds about 25 HU at 120 kVp; the map only has to look like one (engineering default).
_HU_PER_MG_ML = 25.0


def _padding(series: Series, defect: Defect) -> Series:
    def outside(values: Values) -> Values:
        rows, columns = values.shape
        y = (np.arange(rows) - (rows - 1) / 2)[:, None] / (rows / 2)
        x = (np.arange(columns) - (columns - 1) / 2)[None, :] / (columns / 2)
        return np.where(y * y + x * x > 1.0, np.float32(PADDING_HU), values)

    padded = series.valued(outside)
    return padded.tagged(PixelPaddingValue=int(PADDING_HU)) if defect.word() == "tag" else padded


def _clipped(series: Series, defect: Defect) -> Series:
    return series.valued(lambda values: np.clip(values, *_CLIP_HU))


def _iodine_map(series: Series, defect: Defect) -> Series:
    return series.valued(lambda values: np.clip(values - 40.0, 0.0, None) / _HU_PER_MG_ML).tagged(
        ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"],
        SeriesDescription="Iodine map",
        RescaleType="MGML",
    )


def _perfusion_map(series: Series, defect: Defect) -> Series:
    return series.valued(lambda values: np.where(values > -200.0, 0.1 * values + 60.0, 0.0)).tagged(
        ImageType=["DERIVED", "SECONDARY", "AXIAL", "CBF"],
        SeriesDescription="Perfusion CBF",
        RescaleType="US",
    )


def _virtual_energy(series: Series, defect: Defect) -> Series:
    return series.tagged(
        ImageType=["DERIVED", "PRIMARY", "AXIAL", "VMI"],
        SeriesDescription=f"Monoenergetic {defect.number():g} keV",
    )


def _cone_beam(series: Series, defect: Defect) -> Series:
    return series.valued(lambda values: np.maximum(0.85 * values - 50.0, AIR_HU)).tagged(
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        SeriesDescription="CBCT",
        ManufacturerModelName="On-Board Imager",
    )


def _no_kvp(series: Series, defect: Defect) -> Series:
    return series.tagged(KVP=None)


# In the order in which they act.
VALUE_STEPS: Mapping[str, Step] = {
    "clipped": _clipped,
    "iodine-map": _iodine_map,
    "perfusion-map": _perfusion_map,
    "cone-beam": _cone_beam,
    "virtual-energy": _virtual_energy,
    "no-kvp": _no_kvp,
    "padding": _padding,
}
