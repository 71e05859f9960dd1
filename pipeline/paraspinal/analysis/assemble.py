"""From the stages' value objects to the published models."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from paraspinal.anatomy.types import Anatomy, Rib, Vertebra
from paraspinal.masses.types import Mass
from paraspinal.quality.types import ScanQuality
from paraspinal.result import (
    AnatomyResult,
    Canal,
    Differential,
    Finding,
    KeySlice,
    MassResult,
    Measurements,
    OrganResult,
    RibResult,
    SeriesInfo,
    VertebraResult,
)
from paraspinal.volume import CTVolume


def series_info(volume: CTVolume, quality: ScanQuality, *, uid_digest: str) -> SeriesInfo:
    """Return the acquisition block; free text of the headers appears as a digest only."""
    a = volume.acquisition
    description = a.series_description
    return SeriesInfo(
        uid_digest=uid_digest,
        modality=a.modality or "unknown",
        slices=volume.geometry.shape[0],
        spacing_mm=volume.geometry.spacing_mm,
        thickness_mm=a.slice_thickness_mm,
        kvp=quality.kvp,
        kernel=a.kernel,
        exposure_mas=a.exposure_mas,
        reconstruction=quality.reconstruction,
        contrast_phase=quality.contrast_phase,
        contrast_evidence=quality.contrast_evidence,
        manufacturer=a.manufacturer,
        description_digest=hashlib.sha256(description.encode()).hexdigest()[:16] if description else None,
    )


def anatomy_result(
    anatomy: Anatomy,
    measurements: Mapping[str, Measurements],
    ribs: Mapping[int, Measurements] | None = None,
) -> AnatomyResult:
    """Return the published anatomy; `measurements` are those of vertebrae by label, `ribs` those by number."""
    line = tuple((float(x), float(y), float(z)) for x, y, z in anatomy.centreline_lps_mm)
    return AnatomyResult(
        canal=Canal(centreline_lps_mm=line),
        vertebrae=tuple(_vertebra(v, measurements.get(v.label, {})) for v in anatomy.vertebrae),
        ribs=tuple(_rib(r, (ribs or {}).get(r.number, {})) for r in anatomy.ribs),
        organs={
            name: OrganResult(
                presence=o.presence, truncated=o.truncated, confidence=o.confidence, reason=o.reason
            )
            for name, o in anatomy.organs.items()
        },
        sources=_sources(anatomy),
    )


def _sources(anatomy: Anatomy) -> dict[str, str]:
    """Name the segmenter of every structure: the built-in one where nothing else is said."""
    names = {*anatomy.masks, *anatomy.organs, "vertebrae"} - {"padding"}
    return {name: anatomy.sources.get(name, "classical") for name in sorted(names)}


def _vertebra(vertebra: Vertebra, measurements: Measurements) -> VertebraResult:
    return VertebraResult(
        label=vertebra.label,
        label_probabilities=dict(vertebra.label_probabilities),
        centroid_lps_mm=vertebra.centroid_lps_mm,
        confidence=vertebra.confidence,
        evidence=vertebra.evidence,
        truncated=vertebra.truncated,
        measurements=measurements,
    )


def _rib(rib: Rib, measurements: Measurements) -> RibResult:
    return RibResult(
        label=rib.label,
        side=rib.side,
        bearer=rib.bearer,
        confidence=rib.confidence,
        truncated=rib.truncated,
        measurements=measurements,
    )


def mass_result(
    mass: Mass,
    volume: CTVolume,
    *,
    measurements: Measurements,
    findings: tuple[Finding, ...],
    differential: Differential,
    differential_with_context: Differential | None = None,
) -> MassResult:
    """Return one published mass."""
    has_instances = mass.key_slice < len(volume.slices)
    number = volume.slices[mass.key_slice].instance_number if has_instances else None
    return MassResult(
        id=mass.id,
        state=mass.state,
        side=mass.side,
        pair_id=mass.pair_id,
        levels=mass.levels,
        level_probabilities=dict(mass.level_probabilities),
        centroid_lps_mm=mass.centroid_lps_mm,
        key_slice=KeySlice(index=mass.key_slice, instance_number=number),
        flags=mass.flags,
        confidence=mass.confidence,
        measurements=measurements,
        findings=findings,
        differential=differential,
        differential_with_context=differential_with_context,
    )
