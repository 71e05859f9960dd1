"""What an input holds, one row a series, without reading pixels that are not needed."""

from __future__ import annotations

import re
from functools import partial
from math import prod
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import HeaderError, short_digest
from paraspinal.errors import LoadError
from paraspinal.loading.catalogue import Catalogue
from paraspinal.loading.choose import choose_series
from paraspinal.loading.grid_input import GridSummary, grid_summary
from paraspinal.loading.load import series_uid
from paraspinal.loading.opening import GRID_KINDS, Source, open_source
from paraspinal.loading.report import header_notes
from paraspinal.loading.sources import DiskFile
from paraspinal.loading.suitability import Candidate
from paraspinal.loading.survey import holding, survey, unreadable_lines
from paraspinal.result import LoadCode

BETWEEN_REGIONS = "+"
# In the order of the body. Short words count at their beginning only: "lung" ends half of all German nouns.
_REGIONS = (
    ("head", r"(?<![a-z])(head|face|orbit)|brain|skull|sinus"),
    ("neck", r"neck|cerv"),
    ("chest", r"chest|thora|(?<![a-z])(lung|heart|card)"),
    ("abdomen", r"abd|liver|pelv|kidney|renal"),
    ("spine", r"spine|lumb|dorsal"),
    ("limb", r"(?<![a-z])(hand|hip|foot)|knee|ankle|wrist|elbow|shoulder|femur|extrem"),
)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class CatalogueFacts(_Row):
    """What the catalogue of an archive needs to know of a series. It may lead to somebody, and is never shown.

    ``study_key`` and ``day`` are those of `ImageHeader`; ``data_file`` holds the voxels where the input does not.
    """

    study_key: str = ""
    day: str | None = None
    voxels: int | None = None
    bytes: int = 0
    data_file: Path | None = None


class SeriesRow(_Row):
    """One series of an input."""

    name: str = Field(description="what --series takes; a digest, never the UID")
    number: int | None = Field(None, description="Series Number")
    modality: str = Field(description="DICOM Modality")
    region: str | None = Field(None, description="parts of the body that the headers state")
    slices: int = Field(description="images, or slices of the volume")
    spacing_mm: tuple[float, float, float] | None = Field(None, description="(z, y, x) of the volume to load")
    thickness_mm: float | None = Field(
        None, description="Slice Thickness of the headers; never used as spacing"
    )
    plane: str = Field(description="axial, coronal, sagittal or not known")
    kvp: float | None = Field(None, description="tube voltage")
    kernel: str | None = Field(None, description="reconstruction kernel")
    reconstruction: str | None = Field(None, description="FBP or iterative, where the headers say")
    contrast: bool | None = Field(None, description="whether a contrast agent is stated; none for unknown")
    verdict: str = Field(description="ok, repaired or refused")
    taken: bool = Field(False, description="whether `analyze` takes this one if none is asked for")
    score: float | None = Field(
        None, description="how well it suits a search beside the spine; none if refused"
    )
    reasons: dict[str, float] = Field(default_factory=dict, description="what the score is made of")
    codes: tuple[LoadCode, ...] = Field((), description="what the headers show; pixels may add to it")
    refusal: str | None = Field(None, description="why it would be refused")
    remedy: str | None = Field(None, description="what to do about that")
    facts: CatalogueFacts = Field(CatalogueFacts(), exclude=True, repr=False)


class Inspection(_Row):
    """All series of an input, best first.

    ``refusal`` is the code under which the input is refused if no series is asked for: the best series has a
    defect, or there is none. Otherwise one row is ``taken``. Pixels may still lead to a refusal.
    """

    source: str = Field(description="folder, file, zip, dicomdir, nifti, nrrd or metaimage")
    series: tuple[SeriesRow, ...]
    refusal: str | None = Field(
        None, description="why `analyze` would refuse the input; none if a row is taken"
    )
    message: str | None = Field(None, description="the same in words, with what to do about it")
    notes: tuple[LoadCode, ...] = ()
    unreadable: tuple[str, ...] = Field((), description="files that could not be read, and why")
    passing: bool = Field(False, exclude=True, description="whether one of these may be read another time")


def inspect_source(
    path: Path | str,
    *,
    config: LoadingConfig = LoadingConfig(),  # noqa: B008  (frozen)
    catalogue: Catalogue | None = None,
) -> Inspection:
    """List the series of an input with what speaks for and against each.

    Parameters
    ----------
    path : Path or str
        Anything that `load_series` takes.
    config : LoadingConfig
        Limits and policy.
    catalogue : Catalogue, optional
        Remembers headers of files that have not changed.

    Raises
    ------
    LoadError
        If there is no image in the input.
    """
    source = open_source(Path(path), config=config)
    if source.kind in GRID_KINDS:
        return _grid(source, config)
    found = survey(source, config=config, catalogue=catalogue)
    meant = found.candidates if source.only is None else holding(found.candidates, source.only)
    taken, refusal = _choice(meant, config)
    others = [c for c in found.candidates if all(c is not m for m in meant)]
    return Inspection(
        source=source.kind,
        series=tuple(series_row(c, config, taken=c is taken) for c in (*meant, *others)),
        refusal=None if refusal is None else refusal.code,
        message=None if refusal is None else f"{refusal.message} {refusal.remedy}",
        notes=(*source.notes, *found.scan.notes()),
        unreadable=tuple(unreadable_lines(found.scan)),
        passing=found.scan.passing,
    )


def _choice(
    candidates: tuple[Candidate, ...], config: LoadingConfig
) -> tuple[Candidate | None, LoadError | None]:
    """Return what `load_series` would choose, or why it would refuse."""
    try:
        chosen = choose_series(candidates, wanted=None, uid_of=partial(series_uid, config=config))
    except LoadError as error:
        return None, error
    return chosen.candidate, None


def _name(candidate: Candidate, config: LoadingConfig) -> str:
    """Return what `--series` takes; the files of a series without a UID are read for it."""
    if candidate.stack.uid or candidate.refusal is not None:
        return candidate.stack.name
    try:
        return short_digest(series_uid(candidate.stack, config=config))
    except (OSError, HeaderError):
        return ""


def series_row(candidate: Candidate, config: LoadingConfig, *, taken: bool = False) -> SeriesRow:
    """Return what the headers say of one series."""
    header = candidate.stack.header
    acquired = header.acquisition
    error = candidate.refusal or candidate.defect
    codes = tuple(header_notes(candidate))
    spacing = None if candidate.canonical is None else candidate.canonical.geometry.spacing_mm
    repaired = any(code.kind == "repair" for code in codes)
    return SeriesRow(
        name=_name(candidate, config),
        number=header.series_number,
        modality=header.modality or "not stated",
        region=_region(header.body_part, acquired.series_description),
        slices=len(candidate.stack.entries),
        spacing_mm=spacing,
        thickness_mm=acquired.slice_thickness_mm,
        plane=candidate.plane,
        kvp=acquired.kvp,
        kernel=acquired.kernel,
        reconstruction=acquired.reconstruction,
        contrast=True if acquired.contrast_agent else None,
        verdict="refused" if error is not None else "repaired" if repaired else "ok",
        taken=taken,
        score=None if candidate.refusal is not None else round(candidate.score, 2),
        reasons=dict(candidate.reasons),
        codes=codes,
        refusal=None if error is None else error.code,
        remedy=None if error is None else error.remedy,
        facts=_facts(candidate),
    )


def _facts(candidate: Candidate) -> CatalogueFacts:
    header, layout = candidate.stack.header, candidate.layout
    files = {id(entry.file): entry.file for entry in candidate.stack.entries}  # frames share one
    return CatalogueFacts(
        study_key=header.study_key,
        day=header.day,
        voxels=None if layout is None else prod(layout.geometry.shape),
        bytes=sum(file.size for file in files.values()),
    )


def _grid(source: Source, config: LoadingConfig) -> Inspection:
    """Return the only volume of a source, told from its header."""
    try:
        summary = grid_summary(source, config=config)
    except LoadError as error:
        row = SeriesRow(
            name="", modality="not stated", slices=0, plane="not known", verdict="refused",
            refusal=error.code, remedy=error.remedy,
        )  # fmt: skip
        return Inspection(
            source=source.kind,
            series=(row,),
            refusal=error.code,
            message=f"{error.message} {error.remedy}",
            notes=source.notes,
        )
    row = SeriesRow(
        name="", modality="not stated", slices=summary.shape[0], spacing_mm=summary.spacing_mm,
        plane=summary.plane, verdict="ok", taken=True, codes=summary.codes, facts=_grid_facts(source, summary),
    )  # fmt: skip
    return Inspection(source=source.kind, series=(row,), notes=source.notes)


def _grid_facts(source: Source, summary: GridSummary) -> CatalogueFacts:
    data = summary.data_file
    return CatalogueFacts(
        voxels=prod(summary.shape),
        bytes=sum(file.size for file in (source.only, data) if file is not None),
        data_file=data.path if isinstance(data, DiskFile) else None,
    )


def _region(*texts: str | None) -> str | None:
    """Return the regions that Body Part Examined and the description name, from the head down."""
    named = [
        region
        for region, words in _REGIONS
        if any(text and re.search(words, text, re.IGNORECASE) for text in texts)
    ]
    return BETWEEN_REGIONS.join(named) or None
