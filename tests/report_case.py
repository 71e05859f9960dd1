"""A small synthetic analysis for the tests of the report: known geometry, known side, no DICOM."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.measure import RibSurvey
from paraspinal.quality.types import ScanQuality
from paraspinal.result import (
    Abstention,
    AnalysisResult,
    AnatomyResult,
    Canal,
    Coverage,
    Differential,
    Evidence,
    ExplainedAway,
    Finding,
    KeySlice,
    LoadCode,
    Loading,
    MassResult,
    Measurement,
    OrganResult,
    Provenance,
    SeriesInfo,
    VertebraResult,
)
from paraspinal.volume import CTVolume, Geometry, LabelMap, Region, SliceRef

SHAPE = (60, 160, 200)
SPACING = (4.0, 1.5, 1.0)
GEOMETRY = Geometry(SHAPE, SPACING, (-100.0, -120.0, -300.0))
HU = "[hnsf'U]"
LEVELS = ("T8", "T9", "T10", "T11", "T12")


@dataclass(frozen=True)
class Case:
    """What the report asks of an analysis."""

    result: AnalysisResult
    volume: CTVolume
    anatomy: Anatomy | None
    search: MassSearch
    quality: ScanQuality
    walls: None = None
    ribs: RibSurvey | None = None


def volume_of(hu: np.ndarray, geometry: Geometry = GEOMETRY) -> CTVolume:
    refs = tuple(SliceRef(f"1.2.{z}", 500 - z) for z in range(hu.shape[0]))
    return CTVolume(hu.astype(np.int16), geometry, slices=refs)


def slanted_canal(geometry: Geometry = GEOMETRY) -> np.ndarray:
    """Centreline (n, 3), cranial first, that leans to the left towards the head and lies at row 100."""
    z = np.arange(geometry.shape[0])[::-1]
    x = 80.0 + 40.0 * z / (geometry.shape[0] - 1)
    return geometry.to_lps(np.stack([z, np.full(len(z), 100.0), x], axis=1))


def anatomy_of(geometry: Geometry = GEOMETRY) -> Anatomy:
    line = slanted_canal(geometry)
    vertebrae = []
    for k, label in enumerate(LEVELS):
        x, y, z = line[6 + 11 * k]
        sure = k != 2
        names = {label: 0.97, "C7": 0.03} if sure else {label: 0.6, "T9": 0.3, "T11": 0.1}
        centre = (float(x), float(y - 25.0), float(z))
        vertebrae.append(
            Vertebra(
                label=label,
                label_probabilities=names,
                centroid_lps_mm=centre,
                top_mm=float(z) + 12,
                bottom_mm=float(z) - 12,
                s_mm=200.0 - 44 * k,
                number=36 - k,
                confidence=names[label],
            )
        )
    empty = LabelMap(np.zeros((1, 1, 1), np.uint16), Geometry((1, 1, 1), (2, 2, 2), (0, 0, 0)), {})
    organs = {"spleen": Organ("not_in_view", 0.9), "liver": Organ("present", 0.97, ("inferior",))}
    hu = np.zeros((1, 1, 1), np.float32)
    spine = SpineCoordinates((slice(1),) * 3, hu, hu, hu)
    return Anatomy(
        geometry=empty.geometry,
        hu=hu,
        masks={},
        labels=empty,
        centreline_lps_mm=line,
        vertebrae=tuple(vertebrae),
        organs=organs,
        spine=spine,
        spine_length_mm=236.0,
    )


def box_mass(mass_id: int = 1, *, left: bool = True, state: str = "present") -> Mass:
    """A box of 40 mm in every direction, beside the canal."""
    start = (20, 88, 130 if left else 30)
    mask = np.ones((10, 27, 40), dtype=bool)
    region = Region(start, mask)
    x, y, z = GEOMETRY.to_lps(region.centroid_index())
    side = "left" if left else "right"
    centre = (float(x), float(y), float(z))
    return Mass(mass_id, state, side, region, ("T9", "T10"), {"T9": 0.7, "T10": 0.3}, centre, 24, 0.9)


MEASUREMENTS = {
    "volume_ml": Measurement.measured(64.8, "mL", type_a=1.2),
    "long_axis_mm": Measurement.measured(41.6, "mm", type_a=0.9),
    "short_axis_mm": Measurement.missing("mm", "the border is open"),
    "craniocaudal_mm": Measurement.measured(40.0, "mm", status="lower_bound", reason="cut off"),
    "attenuation_mean_hu": Measurement.measured(-3.2, HU, type_a=0.6, type_b=4.0),
    "midline_bridging_mm": Measurement.missing("mm", "one mass only"),
    "rim_contrast_hu": Measurement.missing(HU, "no contrast medium", status="failed"),
    "ibsi.glcm.contrast": Measurement.measured(12.5, "1"),
}
FINDINGS = (
    Finding(name="bone_destruction", kind="boolean", state="not_assessed", reason="thick slices"),
    Finding(
        name="bilateral", kind="boolean", state="present", probability=0.998, measurements=("volume_ml",)
    ),
)
DIFFERENTIAL = Differential(
    posterior={"emh": 0.7, "lymphoma": 0.296, "abscess": 0.004},
    interval={"emh": (0.5, 0.82), "lymphoma": (0.1, 0.4), "abscess": (0.0, 0.02)},
    prior={"emh": 0.3, "lymphoma": 0.4, "abscess": 0.3},
    evidence=(
        Evidence(finding="bone_destruction", contribution=-0.7, sentence="A lytic defect speaks against it."),
        Evidence(finding="well_defined", contribution=0.4, sentence="The border is sharp."),
        Evidence(finding="bilateral", contribution=1.1, sentence="Masses lie on both sides."),
    ),
)


def mass_result(mass: Mass, volume: CTVolume) -> MassResult:
    return MassResult(
        id=mass.id,
        state=mass.state,
        side=mass.side,
        levels=mass.levels,
        centroid_lps_mm=mass.centroid_lps_mm,
        key_slice=KeySlice(
            index=mass.key_slice, instance_number=volume.slices[mass.key_slice].instance_number
        ),
        measurements=MEASUREMENTS,
        findings=FINDINGS,
        differential=DIFFERENTIAL,
    )


def anatomy_result(anatomy: Anatomy) -> AnatomyResult:
    missing = Measurement.missing("1", "slices of 4 mm")
    vertebrae = tuple(
        VertebraResult(
            label=v.label,
            label_probabilities=dict(v.label_probabilities),
            centroid_lps_mm=v.centroid_lps_mm,
            confidence=v.confidence,
            measurements={
                "trabecular_hu": Measurement.measured(150.0 + k, HU, type_a=2),
                "coarsening_index": missing,
            },
        )
        for k, v in enumerate(anatomy.vertebrae)
    )
    line = tuple((float(x), float(y), float(z)) for x, y, z in anatomy.centreline_lps_mm)
    organs = {
        name: OrganResult(presence=o.presence, truncated=o.truncated, confidence=o.confidence)
        for name, o in anatomy.organs.items()
    }
    return AnatomyResult(canal=Canal(centreline_lps_mm=line), vertebrae=vertebrae, organs=organs)


def case(masses: tuple[Mass, ...] | None = None, *, text: str = "plain text", noise_hu: float = 12.0) -> Case:
    """Return an analysis; `text` stands wherever a header or a stage may put free text."""
    found = (box_mass(1), box_mass(2, left=False, state="indeterminate")) if masses is None else masses
    hu = np.random.default_rng(1).normal(40, noise_hu, SHAPE)
    volume, anatomy = volume_of(hu), anatomy_of()
    explained = (
        ExplainedAway(
            reason="aorta",
            structure=text,
            volume_ml=61.0,
            centroid_lps_mm=(30.0, 0.0, -200.0),
            confidence=0.9,
        ),
    )
    coverage = tuple(
        Coverage(level=level, side=side, assessed_fraction=0.999 if side == "left" else 0.4, reasons=(text,))
        for level in LEVELS
        for side in ("left", "right")
    )
    result = AnalysisResult(
        provenance=Provenance(
            software_version="9.9.9",
            config=text,
            config_digest="c0ffee",
            model=text,
            input_digest="feed",
            started="2026-01-01T00:00:00+00:00",
            seconds={"loading": 1.0, "anatomy": 2.5},
        ),
        outcome="mass" if found else "no_mass",
        outcome_reason="One mass beside the spine." if found else "No mass beside the spine at T8 to T12.",
        series=SeriesInfo(
            uid_digest="abc", modality="CT", slices=60, spacing_mm=SPACING, kernel=text, manufacturer=text
        ),
        loading=Loading(
            verdict="repaired",
            codes=(LoadCode(code="gap", text=text, numbers={"gap_mm": 5.0}, slices=(3, 4)),),
            chosen_because=text,
            left_out=(text,),
        ),
        coverage=coverage,
        anatomy=anatomy_result(anatomy),
        masses=tuple(mass_result(m, volume) for m in found),
        explained_away=explained,
        measurements={"spleen_volume_ml": Measurement.missing("mL", text, status="not_in_view")},
        findings=(Finding(name="spleen_absent", kind="boolean", state="not_assessed", reason=text),),
        differential=DIFFERENTIAL if found else Differential(posterior=None),
        not_assessed=(f"Not covered: right T8 ({text}).",),
    )
    quality = ScanQuality(12.0, None, "indeterminate", text, None, 10.0, 0.0)
    return Case(result, volume, anatomy, MassSearch(found, explained, coverage), quality)


def without_anatomy() -> Case:
    """Return an analysis in which no spine could be traced."""
    base = case(())
    nothing = Differential(posterior=None, abstained=Abstention(value=True, reason="no anatomy was found"))
    changes = {
        "outcome": "not_assessable",
        "outcome_reason": "No spine could be traced: no bone.",
        "anatomy": None,
        "coverage": (),
        "differential": nothing,
    }
    result = base.result.model_copy(update=changes)
    return replace(base, result=result, anatomy=None, search=MassSearch((), (), ()))
