"""One series from its files to the assembled result: the stages in order, timed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from paraspinal import __version__, differential, loading
from paraspinal.analysis.assemble import anatomy_result, series_info
from paraspinal.analysis.clock import Progress, StageClock, peak_rss_mib
from paraspinal.analysis.corrections import read_corrections
from paraspinal.analysis.finite import finite_stage
from paraspinal.analysis.identifiers import with_identifiers
from paraspinal.analysis.outcome import (
    decide_outcome,
    not_assessed_sentences,
    orientation_doubt,
    uncertain_levels,
)
from paraspinal.analysis.stages import Judged, Measured, Survey, judge, measure_all, survey
from paraspinal.analysis.types import Analysis
from paraspinal.anatomy.given.segmenters import check_segmenter, parse_segmenter, run_segmenter
from paraspinal.config import Config, load_config
from paraspinal.loading import LoadedSeries
from paraspinal.loading.opening import Source
from paraspinal.result import AnalysisResult, Finding, Provenance


def analyze(
    path: str | Path | Source,
    *,
    series: str | None = None,
    config: Config | str | Path | None = None,
    policy: Literal["strict", "repair"] | None = None,
    identifiers: bool = False,
    anatomy: str = "classical",
    anatomy_names: str | Path | None = None,
    set_levels: Mapping[str, float] | None = None,
    mass_mask: str | Path | None = None,
    reject_masses: Sequence[int] = (),
    overrides: Sequence[str] = (),
    context: str | Path | Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Analyse one CT series.

    Parameters
    ----------
    path : str, Path or Source
        A folder, one DICOM file of a series, a DICOMDIR, a zip, or a NIfTI, NRRD or MetaImage file; or a source that
        was opened.
    series : str, optional
        Series Instance UID, the first digits of its digest, or the series number; without it the best axial
        chest or abdomen CT is taken and the result says why.
    config : Config, str or Path, optional
        Settings, the name of a profile, or the path of a TOML file; ``"default"`` without it.
    policy : {"strict", "repair"}, optional
        Refuse a defective series, or repair what is geometrically certain; the configuration says without it.
    identifiers : bool
        Write the Series Instance UID and those of the key slices into the result beside their digests.
    anatomy : str
        Who segments: ``"classical"`` (built in), ``"masks:PATH"`` (made elsewhere: a label map, a folder of masks,
        DICOM SEG or RTSTRUCT) or ``"totalsegmentator"`` (an installed one; ``"totalsegmentator:fast"`` takes its 3 mm
        model). The built-in segmenter fills what the others lack.
    anatomy_names : str or Path, optional
        Names file for the numbers of a label map.
    set_levels : mapping of str to float, optional
        {vertebra: LPS z in mm} that the user knows, such as ``{"T9": -412.5}``; the built-in segmenter's naming
        follows it, and the result says so.
    mass_mask : str or Path, optional
        Outlines of masses (NIfTI, DICOM SEG or RTSTRUCT); they take the place of candidates they share voxels with.
    reject_masses : sequence of int
        Ids of candidates that are no masses.
    overrides : sequence of str
        Findings that the user states, such as ``"2:calcification=absent"`` or ``"nf1=present"``; what follows from
        them is judged again. All three are on record in ``result.corrections``.
    context : str, Path or mapping, optional
        Clinical context: a JSON or TOML file, or a table such as ``{"age": 44, "known_anemia": True}``. The
        differential from imaging stays as it is; that with context stands beside it.
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
    UsageError
        If masks or outlines cannot be taken or do not fit the CT, TotalSegmentator is not installed, the levels that
        were set contradict each other or lie outside the scan, a mass or finding that is corrected does not exist,
        or the context cannot be read.
    AnalysisError
        If a stage fails on an accepted input, or computes no finite number.
    """
    settings = config if isinstance(config, Config) else load_config(config or "default")
    if policy is not None:
        settings = settings.model_copy(
            update={"loading": settings.loading.model_copy(update={"policy": policy})}
        )
    model = differential.load_model(settings.differential.model)
    segmenter = parse_segmenter(anatomy, names=anatomy_names)
    masks = check_segmenter(segmenter)
    corrections = read_corrections(mass_mask=mass_mask, reject_masses=reject_masses, overrides=overrides)
    known = () if context is None else differential.read_context(context)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = StageClock(progress)
    with clock.stage("loading"):
        loaded = loading.load_series(path, series=series, config=settings.loading, progress=clock.step)
    doubt = None if settings.outcome.trust_orientation else orientation_doubt(loaded.loading)
    if segmenter.kind == "totalsegmentator" and doubt is None:
        with clock.stage("totalsegmentator"):
            masks = run_segmenter(segmenter, loaded.volume)
    scan = survey(
        loaded.volume,
        settings,
        clock,
        doubt=doubt,
        given=masks,
        set_levels=set_levels,
        series_uid=loaded.uid,
        corrections=corrections,
    )
    with clock.stage("measurements"):
        measured = measure_all(scan, settings)
    with clock.stage("differential"):
        judged = judge(scan, measured, model, settings, overrides=corrections.overrides, context=known)
    provenance = _provenance(settings, model, loaded, started, clock)
    with finite_stage("assembly"):
        result = _result(loaded, scan, measured, judged, settings, provenance, known)
    if identifiers:
        result = with_identifiers(result, scan.volume, series_uid=loaded.uid)
    return Analysis(
        result=result,
        volume=scan.volume,
        anatomy=scan.anatomy,
        search=scan.search,
        quality=scan.quality,
        walls=None if measured.bones is None else measured.bones.walls,
        ribs=None if measured.bones is None else measured.bones.ribs,
    )


def _provenance(
    config: Config, model: differential.Model, loaded: LoadedSeries, started: str, clock: StageClock
) -> Provenance:
    return Provenance(
        software_version=__version__,
        config=config.name,
        config_digest=config.digest,
        model=f"{model.name} {model.version}",
        input_digest=loaded.input_digest,
        started=started,
        seconds=clock.seconds,
        peak_rss_mib=peak_rss_mib(),
        python=platform.python_version(),
    )


def _result(
    loaded: LoadedSeries,
    scan: Survey,
    measured: Measured,
    judged: Judged,
    config: Config,
    provenance: Provenance,
    context: tuple[Finding, ...],
) -> AnalysisResult:
    """Put the result together; its last part, what could not be assessed, is told from the rest."""
    outcome, reason = decide_outcome(
        spine_mm=scan.spine_mm,
        search=scan.search,
        config=config,
        failure=scan.failure,
        rejected=sum(c.kind == "reject_mass" for c in scan.corrections),
        uncertain_levels=uncertain_levels(scan.anatomy, config),
    )
    result = AnalysisResult(
        provenance=provenance,
        outcome=outcome,
        outcome_reason=reason,
        series=series_info(scan.volume, scan.quality, uid_digest=loaded.uid_digest),
        loading=loaded.loading,
        coverage=scan.search.coverage,
        anatomy=None
        if scan.anatomy is None
        else anatomy_result(scan.anatomy, measured.vertebrae, measured.ribs),
        masses=judged.masses,
        explained_away=scan.search.explained_away,
        measurements=measured.patient,
        findings=judged.findings,
        differential=judged.differential,
        differential_with_context=judged.with_context,
        context=context,
        corrections=(*scan.corrections, *judged.corrections),
    )
    sentences = not_assessed_sentences(result, config=config, notes=scan.notes)
    return result.model_copy(update={"not_assessed": sentences})
