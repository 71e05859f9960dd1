"""One series from its files to the assembled result: the stages in order, timed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paraspinal import __version__, anatomy, differential, loading, masses, measure, quality
from paraspinal.analysis.assemble import anatomy_result, mass_result, series_info
from paraspinal.analysis.blood import aortic_lumen_hu
from paraspinal.analysis.clock import Progress, StageClock, peak_rss_mib
from paraspinal.analysis.outcome import decide_outcome, not_assessed_sentences
from paraspinal.analysis.types import Analysis
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import Config, load_config
from paraspinal.errors import AnalysisError
from paraspinal.masses.types import MassSearch
from paraspinal.quality.types import ScanQuality
from paraspinal.result import (
    Abstention,
    AnalysisResult,
    Differential,
    Finding,
    MassResult,
    Measurement,
    Measurements,
    Provenance,
)
from paraspinal.volume import CTVolume

NOTHING_SEARCHED = MassSearch(masses=(), explained_away=(), coverage=())


def analyze(
    path: str | Path,
    *,
    series: str | None = None,
    config: Config | str | Path | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyse one CT series.

    Parameters
    ----------
    path : str or Path
        A folder, one DICOM file of a series, a zip, or a NIfTI file.
    series : str, optional
        Series Instance UID, the first digits of its digest, or the series number; without it the best axial
        chest or abdomen CT is taken and the result says why.
    config : Config, str or Path, optional
        Settings, the name of a profile, or the path of a TOML file; ``"default"`` without it.
    progress : callable, optional
        Called with the name of every stage as it begins, and of longer steps within one.

    Returns
    -------
    Analysis
        The published result and the value objects behind it.

    Raises
    ------
    LoadError
        If the input is refused.
    ConfigError
        If the configuration or the model is not valid.
    AnalysisError
        If a stage fails on an accepted input.
    """
    settings = config if isinstance(config, Config) else load_config(config or "default")
    model = differential.load_model(settings.differential.model)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = StageClock(progress)
    with clock.stage("loading"):
        loaded = loading.load_series(Path(path), series=series, config=settings.loading, progress=clock.step)
    scan = _survey(loaded.volume, settings, clock)
    with clock.stage("measurements"):
        measured = _measure(scan, settings)
    with clock.stage("differential"):
        judged = _judge(scan, measured, model, settings)
    outcome, reason = decide_outcome(
        spine_mm=scan.spine_mm,
        search=scan.search,
        config=settings,
        failure=scan.failure,
        uncertain_levels=_uncertain_levels(scan.anatomy, settings),
    )
    provenance = Provenance(
        software_version=__version__,
        config=settings.name,
        config_digest=settings.digest,
        model=f"{model.name} {model.version}",
        input_digest=loaded.input_digest,
        started=started,
        seconds=clock.seconds,
        peak_rss_mib=peak_rss_mib(),
        python=platform.python_version(),
    )
    result = AnalysisResult(
        provenance=provenance,
        outcome=outcome,
        outcome_reason=reason,
        series=series_info(scan.volume, scan.quality, uid_digest=loaded.uid_digest),
        loading=loaded.loading,
        coverage=scan.search.coverage,
        anatomy=None if scan.anatomy is None else anatomy_result(scan.anatomy, measured.vertebrae),
        masses=judged.masses,
        explained_away=scan.search.explained_away,
        measurements=measured.patient,
        findings=judged.findings,
        differential=judged.differential,
    )
    sentences = not_assessed_sentences(result, config=settings, notes=scan.notes)
    return Analysis(
        result=result.model_copy(update={"not_assessed": sentences}),
        volume=scan.volume,
        anatomy=scan.anatomy,
        search=scan.search,
        quality=scan.quality,
    )


def _uncertain_levels(found: Anatomy | None, config: Config) -> frozenset[str]:
    vertebrae = () if found is None else found.vertebrae
    return frozenset(v.label for v in vertebrae if v.confidence < config.outcome.min_level_confidence)


@dataclass(frozen=True, slots=True)
class _Scan:
    """What was seen, before anything is measured."""

    volume: CTVolume
    anatomy: Anatomy | None
    quality: ScanQuality
    search: MassSearch
    spine_mm: float
    failure: str | None

    @property
    def notes(self) -> tuple[str, ...]:
        return (*(self.anatomy.notes if self.anatomy else ()), *self.search.notes)


def _survey(volume: CTVolume, config: Config, clock: StageClock) -> _Scan:
    """Find anatomy, quality and masses; no masses are searched beside a spine too short to judge."""
    found: Anatomy | None = None
    failure = None
    with clock.stage("anatomy"):
        try:
            found = anatomy.segment_anatomy(volume, config=config.anatomy, progress=clock.step)
        except AnalysisError as error:
            failure = error.message
    with clock.stage("quality"):
        lumen = None if found is None else aortic_lumen_hu(found)
        scan_quality = quality.assess_quality(volume, aortic_lumen_hu=lumen, config=config.quality)
    length = 0.0 if found is None else traced_spine_mm(found)
    search = NOTHING_SEARCHED
    if found is not None and length >= config.anatomy.min_spine_mm:
        with clock.stage("masses"):
            search = masses.find_masses(volume, found, config=config.masses)
    return _Scan(volume, found, scan_quality, search, length, failure)


def traced_spine_mm(found: Anatomy) -> float:
    """Return the craniocaudal length of the traced canal, end slices included."""
    if len(found.centreline_lps_mm) == 0:
        return 0.0
    z = found.centreline_lps_mm[:, 2]
    return float(z.max() - z.min()) + found.geometry.spacing_mm[0]


@dataclass(frozen=True, slots=True)
class _Measured:
    patient: Measurements
    vertebrae: Mapping[str, Measurements]
    masses: Mapping[int, Measurements]


def _measure(scan: _Scan, config: Config) -> _Measured:
    if scan.anatomy is None:
        return _Measured(_scan_measurements(scan.quality), {}, {})
    where = (scan.volume, scan.anatomy, scan.quality)
    return _Measured(
        patient={
            **_scan_measurements(scan.quality),
            **measure.measure_patient(*where, config=config.measure),
        },
        vertebrae=measure.measure_vertebrae(*where, config=config.measure),
        masses={
            mass.id: measure.measure_mass(
                *where,
                mass,
                config=config.measure,
                others=[other for other in scan.search.masses if other.id != mass.id],
            )
            for mass in scan.search.masses
        },
    )


def _scan_measurements(found: ScanQuality) -> Measurements:
    """Return noise and edge response as measurements."""
    values = {"noise_sd_hu": (found.noise_sd_hu, "[hnsf'U]"), "edge_fwhm_mm": (found.edge_fwhm_mm, "mm")}
    return {
        name: Measurement.missing(unit, "no region was fit to read it from")
        if value is None
        else Measurement.measured(value, unit)
        for name, (value, unit) in values.items()
    }


@dataclass(frozen=True, slots=True)
class _Judged:
    masses: tuple[MassResult, ...]
    findings: tuple[Finding, ...]
    differential: Differential


def _judge(scan: _Scan, measured: _Measured, model: differential.Model, config: Config) -> _Judged:
    """Derive findings, then one differential per mass and one for the patient."""
    if scan.anatomy is None:
        nothing = Differential(
            posterior=None, abstained=Abstention(value=True, reason="no anatomy was found")
        )
        return _Judged((), (), nothing)
    prior = config.differential.prior
    patient = differential.patient_findings(
        measured.patient,
        measured.vertebrae,
        scan.search.masses,
        config=config.differential,
        contrast_phase=scan.quality.contrast_phase,
    )
    results = []
    for mass in scan.search.masses:
        own = differential.mass_findings(
            mass, measured.masses[mass.id], measured.patient, config=config.differential
        )
        ranked = differential.differential_of(
            (*own, *patient), model, prior=prior, flags=mass.flags, has_mass=True
        )
        results.append(
            mass_result(
                mass,
                scan.volume,
                measurements=measured.masses[mass.id],
                findings=tuple(own),
                differential=ranked,
            )
        )
    judged = [
        (mass, result.findings, _volume_ml(result))
        for mass, result in zip(scan.search.masses, results, strict=True)
    ]
    overall = differential.patient_differential(judged, patient, model, prior=prior)
    return _Judged(tuple(results), tuple(patient), overall)


def _volume_ml(mass: MassResult) -> float:
    volume = mass.measurements.get("volume_ml")
    return volume.value if volume is not None and volume.value is not None else 0.0
