"""How a series was made, from header values that are checked for range and cleaned of anything unprintable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom.dataset import Dataset

from paraspinal.dicomio import values
from paraspinal.dicomio.values import Attributes
from paraspinal.volume import Acquisition

# Years per unit of the DICOM age string (PS3.5, value representation AS).
_AGE_UNITS = {"Y": 1.0, "M": 1.0 / 12.0, "W": 7.0 / 365.25, "D": 1.0 / 365.25}

# Defined terms of Reconstruction Algorithm (0018,9315), PS3.3 C.8.15.3.7.
_RECONSTRUCTIONS = {"FILTER_BACK_PROJ": "FBP", "ITERATIVE": "iterative"}


def read_acquisition(dataset: Attributes) -> Acquisition:
    """Return the acquisition facts of one single-frame object."""
    return Acquisition(
        modality=values.text(dataset, "Modality", limit=16),
        manufacturer=values.text(dataset, "Manufacturer"),
        kvp=values.number(dataset, "KVP", low=20, high=250),
        kernel=values.text(dataset, "ConvolutionKernel"),
        exposure_mas=_exposure_mas(dataset),
        slice_thickness_mm=values.number(dataset, "SliceThickness", low=0.05, high=100),
        reconstruction=_RECONSTRUCTIONS.get(values.text(dataset, "ReconstructionAlgorithm") or ""),
        contrast_agent=values.text(dataset, "ContrastBolusAgent"),
        series_description=values.text(dataset, "SeriesDescription"),
        image_type=values.texts(dataset, "ImageType"),
        patient_age_years=_age_years(values.text(dataset, "PatientAge", limit=8)),
        patient_sex=_sex(values.text(dataset, "PatientSex", limit=8)),
        patient_height_m=values.number(dataset, "PatientSize", low=0.3, high=2.6),
        patient_weight_kg=values.number(dataset, "PatientWeight", low=1, high=400),
    )


def frame_acquisition(common: Acquisition, group: Callable[[str], Dataset]) -> Acquisition:
    """Return `common` with what the functional groups of one enhanced frame add; `group` finds one by name."""
    reconstruction = group("CTReconstructionSequence")
    return replace(
        common,
        kvp=values.number(group("CTXRayDetailsSequence"), "KVP", low=20, high=250) or common.kvp,
        kernel=values.text(reconstruction, "ConvolutionKernel") or common.kernel,
        reconstruction=_RECONSTRUCTIONS.get(values.text(reconstruction, "ReconstructionAlgorithm") or "")
        or common.reconstruction,
        exposure_mas=values.number(group("CTExposureSequence"), "ExposureInmAs", low=0.01, high=1e5)
        or common.exposure_mas,
        slice_thickness_mm=values.number(group("PixelMeasuresSequence"), "SliceThickness", low=0.05, high=100)
        or common.slice_thickness_mm,
    )


def _exposure_mas(dataset: Attributes) -> float | None:
    """Return the exposure in mAs; the micro-ampere form carries decimals that the plain one rounds off."""
    micro = values.number(dataset, "ExposureInuAs", low=1, high=1e8)
    if micro is not None:
        return micro / 1000.0
    plain = values.number(dataset, "Exposure", low=0.01, high=1e5)
    if plain is not None:
        return plain
    current = values.number(dataset, "XRayTubeCurrent", low=1, high=1e4)
    time_ms = values.number(dataset, "ExposureTime", low=1, high=1e6)
    return current * time_ms / 1000.0 if current is not None and time_ms is not None else None


def _age_years(age: str | None) -> float | None:
    if age is None or len(age) < 2 or not age[:-1].isascii() or not age[:-1].isdigit():
        return None
    unit = _AGE_UNITS.get(age[-1].upper())
    years = None if unit is None else int(age[:-1]) * unit
    return years if years is not None and 0 < years <= 130 else None


def _sex(sex: str | None) -> str | None:
    return sex if sex in ("F", "M", "O") else None
