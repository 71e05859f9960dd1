"""Runs cases, each to a plain record; what was done is kept and not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import paraspinal
from paraspinal import __version__
from paraspinal.analysis.clock import StageClock
from paraspinal.analysis.outcome import decide_outcome, uncertain_levels
from paraspinal.analysis.stages import Survey, measure_all, survey
from paraspinal.anatomy import segment_anatomy
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import Config, load_config
from paraspinal.differential import load_model, patient_findings
from paraspinal.errors import ParaspinalError, UsageError
from paraspinal.loading import load_series
from paraspinal.phantom import insert_masses, make_phantom
from paraspinal.quality.types import ScanQuality
from paraspinal.validation.bone import draw_bilateral_masses, draw_bone_masses
from paraspinal.validation.differential import run_entity_patient
from paraspinal.validation.draw import draw_masses
from paraspinal.validation.draw_entity import draw_entity_patient, entity_of
from paraspinal.validation.patient import score_patient
from paraspinal.validation.score import Record, score_masses
from paraspinal.validation.suites import Case
from paraspinal.validation.surroundings import surroundings
from paraspinal.validation.trabeculae import trabecular_record
from paraspinal.volume import CTVolume, LabelMap

_LEVELS = (*(f"T{n}" for n in range(3, 13)), "L1", "L2")
_SLAB_MM = 80.0  # a shorter scan holds no mass above 25 mm whole
_SLAB_DIAMETER = (15.0, 25.0)


def run_suite(
    cases: Sequence[Case],
    folder: Path,
    *,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[Record]:
    """Run the cases and return their records; those that `folder` holds from this very code are not run again.

    Every record is appended to ``records.jsonl`` when its case ends, so that nothing is lost on interruption.
    """
    tell = progress or (lambda _: None)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.jsonl"
    done = {r["key"]: r for r in _read(path) if r.get("code") == code_digest()}
    todo = [case for case in cases if _key(case) not in done]
    if len(todo) < len(cases):
        tell(f"{len(cases) - len(todo)} of {len(cases)} cases are in {path} already")
    with path.open("a", encoding="utf-8") as file:
        for k, record in enumerate(_run(todo, jobs), 1):
            file.write(json.dumps(record) + "\n")
            file.flush()
            done[record["key"]] = record
            tell(f"{k}/{len(todo)} {record['name']}: {_short(record)}")
    return [done[_key(case)] for case in cases]


def _run(cases: Sequence[Case], jobs: int) -> Iterator[Record]:
    if jobs <= 1:
        yield from map(run_case, cases)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_case, cases)


def _key(case: Case) -> str:
    return f"{case.name} seed {case.seed}"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return a digest of the package's own sources and settings: another one makes other records."""
    root = Path(paraspinal.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in (".py", ".toml"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:  # a line that an interruption cut
            continue
    return records


def _short(record: Record) -> str:
    if "error" in record:
        return f"error {record['error']}"
    if "trabeculae" in record:
        return str(record["trabeculae"]["state"])
    rows = [f"{r['state']} {r['diameter_mm']:.0f} mm IoU {r['iou']:.2f}" for r in record["masses"]]
    return f"{'; '.join(rows) or 'no mass put in'}; others {len(record['others'])}; {record['outcome']}"


def run_case(case: Case) -> Record:
    """Make or load the scan of a case, analyse it as `analyze` does, and compare; errors are part of the record."""
    begin = time.perf_counter()
    record: Record = {
        "key": _key(case),
        "name": case.name,
        "kind": case.kind,
        "seed": case.seed,
        "version": __version__,
        "code": code_digest(),
        "masses": [],
        "others": [],
        "outcome": "",
    }
    try:
        if case.kind == "patient":
            record |= _whole_body(case)
        elif case.kind == "differential":
            record |= _entity(case)
        elif case.kind == "trabeculae":
            assert case.spec is not None
            record |= trabecular_record(case.spec.name, case.spec, load_config("default"))
        else:
            record |= _analysed(*_scan_of(case))
    except ParaspinalError as error:
        record["error"] = error.code
    record["seconds"] = round(time.perf_counter() - begin, 2)
    return record


def _whole_body(case: Case) -> Record:
    """Make a body, measure it, derive the patient's findings, and compare both with what is true of it."""
    assert case.spec is not None
    made = make_phantom(case.spec)
    config = load_config("default")
    scan = survey(made.volume, config, StageClock(None))
    measured = measure_all(scan, config)
    findings = patient_findings(
        measured.patient, measured.vertebrae, scan.search, quality=scan.quality, config=config.differential
    )
    outcome, reason = _outcome(scan, config)
    scored = score_patient(made.truth["patient"], measured.patient, measured.vertebrae, findings)
    return {
        "patient": scored,
        "outcome": outcome,
        "reason": reason,
        "noise_hu": case.spec.noise_hu,
        "slice_mm": case.spec.spacing_mm[0],
    }


def _entity(case: Case) -> Record:
    config = load_config("default")
    model = load_model(config.differential.model)
    patient = draw_entity_patient(model, entity_of(case.seed % 1000), case.seed)
    return {"differential": run_entity_patient(patient, model, config, seed=case.seed), "outcome": ""}


def _scan_of(case: Case) -> tuple[CTVolume, LabelMap, list[dict[str, Any]]]:
    if case.spec is not None:
        made = make_phantom(case.spec)
        return made.volume, made.masses, [_with_mean(mass) for mass in made.truth["masses"]]
    assert case.series is not None
    volume, anatomy, quality = _base(case.series)
    if case.kind == "untouched":
        return volume, LabelMap(np.zeros(volume.hu.shape, np.uint16), volume.geometry, {}), []
    rng = np.random.default_rng([case.seed, 11])
    short = volume.geometry.extent_mm[0] < _SLAB_MM
    levels = [v.label for v in anatomy.vertebrae if v.label in _LEVELS and (short or not v.truncated)]
    if case.kind in ("bone", "bilateral"):
        _refuse_thick(volume)
        draw = draw_bone_masses if case.kind == "bone" else draw_bilateral_masses
        specs = draw(rng, levels)
    else:
        specs = draw_masses(rng, levels, diameter_mm=_SLAB_DIAMETER if short else case.diameter_mm)
    hybrid = insert_masses(volume, anatomy, quality, specs, seed=case.seed)
    return hybrid.volume, hybrid.masses, list(hybrid.truth["masses"])


def _refuse_thick(volume: CTVolume) -> None:
    limit = load_config("default").measure.erosion_max_slice_mm
    if volume.effective_slice_mm > limit:
        raise UsageError(
            f"Slices are thicker than {limit:g} mm: bone is not judged there.",
            code="slices_too_thick",
            remedy="Give series with thinner slices.",
        )


def _with_mean(mass: dict[str, Any]) -> dict[str, Any]:
    """Return a phantom's mass with the mean of its core, which is its own HU where nothing lies inside."""
    plain = not (mass["low_density_foci"] or mass["fat_foci"] or mass["calcifications"] or mass["rim_hu"])
    return {**mass, "mean_hu": mass["hu"] if plain else None}


@lru_cache(maxsize=1)
def _base(path: Path) -> tuple[CTVolume, Anatomy, ScanQuality]:
    """Return a series as it is, with its anatomy and quality: the cases of one series follow each other."""
    volume = load_series(path).volume
    scan = survey(volume, load_config("default"), StageClock(None))
    return volume, segment_anatomy(volume) if scan.anatomy is None else scan.anatomy, scan.quality


def _analysed(volume: CTVolume, labels: LabelMap, truth: list[dict[str, Any]]) -> Record:
    config = load_config("default")
    scan = survey(volume, config, StageClock(None))
    begin = time.perf_counter()
    measured = measure_all(scan, config)
    measuring = time.perf_counter() - begin
    rows, extra = score_masses(truth, labels, scan.search, measured.masses)
    by_id = {int(t["id"]): surroundings(t, labels, scan.anatomy) for t in truth}
    rows = [row | by_id[row["id"]] for row in rows]
    outcome, reason = _outcome(scan, config)
    return {
        "masses": rows,
        "others": extra,
        "outcome": outcome,
        "reason": reason,
        "measuring_s": round(measuring, 2),
        "noise_hu": scan.quality.noise_sd_hu,
        "slice_mm": volume.geometry.spacing_mm[0],
    }


def _outcome(scan: Survey, config: Config) -> tuple[str, str]:
    return decide_outcome(
        search=scan.search,
        config=config,
        spine_mm=scan.spine_mm,
        failure=scan.failure,
        uncertain_levels=uncertain_levels(scan.anatomy, config),
    )
