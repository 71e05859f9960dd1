"""The stages of one analysis as functions from value object to value object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from paraspinal import anatomy, differential, masses, measure, quality
from paraspinal.analysis.assemble import mass_result
from paraspinal.analysis.clock import StageClock
from paraspinal.analysis.corrections import UserCorrections, corrected_search
from paraspinal.analysis.finite import check_finite
from paraspinal.anatomy.given.apply import apply_structures
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.anatomy.parallel import both, each
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import Config
from paraspinal.errors import AnalysisError, UsageError
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Abstention, Correction, Differential, Finding, MassResult, Measurements
from paraspinal.volume import CTVolume

NOTHING_SEARCHED = MassSearch(masses=(), explained_away=(), coverage=())


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, before anything is measured; ``failure`` tells why there is no anatomy."""

    volume: CTVolume
    anatomy: Anatomy | None
    quality: ScanQuality
    search: MassSearch
    spine_mm: float
    failure: str | None
    corrections: tuple[Correction, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks of the anatomy and of the search."""
        return (*(self.anatomy.notes if self.anatomy else ()), *self.search.notes)


def survey(
    volume: CTVolume,
    config: Config,
    clock: StageClock,
    *,
    doubt: str | None = None,
    given: StructureSet | None = None,
    set_levels: Mapping[str, float] | None = None,
    series_uid: str | None = None,
    corrections: UserCorrections | None = None,
) -> Survey:
    """Find anatomy, quality and masses; no masses are searched beside a spine too short to judge.

    With a `doubt` about the volume as a whole (its orientation) no anatomy is sought. Structures that are `given`
    by another segmenter take the place of the built-in ones; `series_uid` is compared with what they refer to.
    `set_levels` fixes the names of vertebrae, against any other opinion; `corrections` add outlines of masses and
    take candidates away.
    """
    found: Anatomy | None = None
    failure = doubt
    with clock.stage("anatomy"):
        try:
            if doubt is None:
                found = anatomy.segment_anatomy(
                    volume,
                    config=config.anatomy,
                    given=given,
                    set_levels=set_levels,
                    progress=clock.step,
                )
        except AnalysisError as error:
            failure = f"No spine could be traced: {error.message}"
        if found is not None and given is not None:
            found = apply_structures(
                found,
                given,
                volume,
                series_uid=series_uid,
                levels_fixed=bool(set_levels),
                config=config.anatomy,
            )
    with clock.stage("quality"):
        lumens = None if found is None else measure.read_lumens(volume, found, config=config.measure)
        scan_quality = quality.assess_quality(volume, lumens=lumens, config=config.quality)
    length = 0.0 if found is None else traced_spine_mm(found)
    search = NOTHING_SEARCHED
    if found is not None and length >= config.anatomy.min_spine_mm:
        with clock.stage("masses"):
            search = masses.find_masses(volume, found, config=config.masses)
    records: tuple[Correction, ...] = ()
    if corrections is not None and (corrections.outlines or corrections.rejected):
        if found is None or search is NOTHING_SEARCHED:
            raise UsageError(
                "Nothing was searched beside the spine, so that no mass can be corrected.",
                code="nothing_to_correct",
                remedy=failure or "More of the spine must be in view.",
            )
        search, records = corrected_search(search, corrections, volume, found, config=config.masses)
    return Survey(volume, found, scan_quality, search, length, failure, records)


def traced_spine_mm(found: Anatomy) -> float:
    """Return the craniocaudal length of the traced canal, end slices included."""
    if len(found.centreline_lps_mm) == 0:
        return 0.0
    z = found.centreline_lps_mm[:, 2]
    return float(z.max() - z.min()) + found.geometry.spacing_mm[0]


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of the patient, of every vertebra (by label), mass (by id) and rib (by its number).

    ``bones`` is what was read of walls, foramina and interspaces, by which the bone beside the masses was judged.
    """

    patient: Measurements
    vertebrae: Mapping[str, Measurements]
    masses: Mapping[int, Measurements]
    bones: measure.Bones | None = None
    ribs: Mapping[int, Measurements] = field(default_factory=dict)


def measure_all(scan: Survey, config: Config) -> Measured:
    """Measure everything that was seen.

    Raises
    ------
    AnalysisError
        If a computation gave no finite number (``not_finite``).
    """
    if scan.anatomy is None:
        measured = Measured(measure.measure_scan(scan.quality), {}, {})
    else:
        measured = _measure(scan, scan.anatomy, config)
    scopes = {"patient": measured.patient, **measured.vertebrae}
    scopes |= {f"mass {number}": own for number, own in measured.masses.items()}
    scopes |= {f"rib {number}": own for number, own in measured.ribs.items()}
    check_finite("measurements", scopes)
    return measured


def _measure(scan: Survey, found: Anatomy, config: Config) -> Measured:
    where = (scan.volume, found, scan.quality)
    every = scan.search.masses
    bones = measure.survey_bones(*where, every, config=config.measure)

    def one(mass: Mass) -> Measurements:
        others = [other for other in every if other.id != mass.id]
        return measure.measure_mass(*where, mass, config=config.measure, others=others, bones=bones)

    def rest() -> tuple[Measurements, Mapping[str, Measurements]]:
        patient = measure.measure_patient(*where, config=config.measure, ribs=bones.ribs)
        vertebrae = measure.measure_vertebrae(
            *where, config=config.measure, walls=bones.walls, cortex_hu=bones.ribs.cortex_hu
        )
        return measure.mark_patient(patient, scan.volume, found), vertebrae

    own, (patient, vertebrae) = both(lambda: each(one, every), rest)
    return Measured(
        patient=patient,
        vertebrae=vertebrae,
        masses=dict(zip([mass.id for mass in every], own, strict=True)),
        bones=bones,
        ribs=measure.measure_ribs(bones.ribs, *where, config=config.measure),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """The published masses (present ones first, the larger first), and the patient's findings and differential.

    ``with_context`` is the differential with clinical context, none where no context was given.
    """

    masses: tuple[MassResult, ...]
    findings: tuple[Finding, ...]
    differential: Differential
    corrections: tuple[Correction, ...] = ()
    with_context: Differential | None = None


def judge(
    scan: Survey,
    measured: Measured,
    model: differential.Model,
    config: Config,
    *,
    overrides: Sequence[differential.Override] = (),
    context: Sequence[Finding] = (),
) -> Judged:
    """Derive findings, put those that the user states in place, then judge every mass or pair, and the patient.

    With clinical `context` everything is judged twice, from imaging and with the context beside it.
    """
    settings, prior = config.differential, config.differential.prior
    patient = differential.patient_findings(
        measured.patient, measured.vertebrae, scan.search, quality=scan.quality, config=settings
    )
    if scan.anatomy is None:
        nothing = Differential(
            posterior=None, abstained=Abstention(value=True, reason="no anatomy was found")
        )
        return Judged((), patient, nothing, with_context=nothing if context else None)
    derived = {
        mass.id: differential.mass_findings(
            mass, measured.masses[mass.id], search=scan.search, patient=patient, config=settings
        )
        for mass in scan.search.masses
    }
    stated = differential.apply_overrides(overrides, patient, derived, model)
    patient = stated.patient
    judged = [
        (mass, stated.masses[mass.id], _volume_ml(measured.masses[mass.id])) for mass in scan.search.masses
    ]
    ranked = differential.mass_differentials(judged, patient, model, prior=prior)
    wider = differential.with_context(patient, context)
    more = differential.mass_differentials(judged, wider, model, prior=prior) if context else {}
    results = [
        mass_result(
            mass,
            scan.volume,
            measurements=measured.masses[mass.id],
            findings=findings,
            differential=ranked[mass.id],
            differential_with_context=more.get(mass.id),
        )
        for mass, findings, _ in sorted(judged, key=lambda j: (j[0].state != "present", -j[2], j[0].id))
    ]
    overall = differential.patient_differential(judged, patient, model, prior=prior)
    told = differential.patient_differential(judged, wider, model, prior=prior) if context else None
    return Judged(tuple(results), patient, overall, stated.records, told)


def _volume_ml(measurements: Measurements) -> float:
    volume = measurements.get("volume_ml")
    return volume.value if volume is not None and volume.value is not None else 0.0
