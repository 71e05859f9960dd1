"""What an input holds, one row a series, without reading pixels that are not needed."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.catalogue import Catalogue
from paraspinal.loading.grid_input import grid_summary
from paraspinal.loading.opening import GRID_KINDS, Source, open_source
from paraspinal.loading.report import header_notes
from paraspinal.loading.suitability import Candidate
from paraspinal.loading.survey import survey, unreadable_lines
from paraspinal.result import LoadCode

_REGIONS = (
    ("abdomen", r"abd|liver|pelvi|kidney|renal"),
    ("chest", r"chest|thora|lung|heart|card"),
    ("spine", r"spine|t-?spine|l-?spine|lumb|dorsal"),
    ("neck", r"neck|cerv"),
    ("head", r"head|brain|skull|sinus|face|orbit"),
    ("limb", r"knee|ankle|foot|hand|wrist|elbow|shoulder|hip|femur|extrem"),
)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class SeriesRow(_Row):
    """One series of an input."""

    name: str = Field(description="what --series takes; a digest, never the UID")
    number: int | None = Field(None, description="Series Number")
    modality: str = Field(description="DICOM Modality")
    region: str | None = Field(None, description="part of the body that the headers state")
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
    score: float | None = Field(
        None, description="how well it suits a search beside the spine; none if refused"
    )
    reasons: dict[str, float] = Field(default_factory=dict, description="what the score is made of")
    codes: tuple[LoadCode, ...] = Field((), description="what the headers show; pixels may add to it")
    refusal: str | None = Field(None, description="why it would be refused")
    remedy: str | None = Field(None, description="what to do about that")


class Inspection(_Row):
    """All series of an input, best first; the first one that is not refused is what `analyze` would take."""

    source: str = Field(description="folder, file, zip, dicomdir, nifti, nrrd or metaimage")
    series: tuple[SeriesRow, ...]
    notes: tuple[LoadCode, ...] = ()
    unreadable: tuple[str, ...] = Field((), description="files that could not be read, and why")


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
        return Inspection(source=source.kind, series=(_grid_row(source, config),), notes=source.notes)
    found = survey(source, config=config, catalogue=catalogue)
    return Inspection(
        source=source.kind,
        series=tuple(_row(candidate) for candidate in found.candidates),
        notes=(*source.notes, *found.scan.notes()),
        unreadable=tuple(unreadable_lines(found.scan)),
    )


def _row(candidate: Candidate) -> SeriesRow:
    header = candidate.stack.header
    acquired = header.acquisition
    error = candidate.refusal or candidate.defect
    codes = tuple(header_notes(candidate))
    spacing = None if candidate.canonical is None else candidate.canonical.geometry.spacing_mm
    repaired = any(code.kind == "repair" for code in codes)
    return SeriesRow(
        name=candidate.stack.name,
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
        score=None if candidate.refusal is not None else round(candidate.score, 2),
        reasons=dict(candidate.reasons),
        codes=codes,
        refusal=None if error is None else error.code,
        remedy=None if error is None else error.remedy,
    )


def _grid_row(source: Source, config: LoadingConfig) -> SeriesRow:
    try:
        summary = grid_summary(source, config=config)
    except LoadError as error:
        return SeriesRow(
            name="", modality="not stated", slices=0, plane="not known", verdict="refused",
            refusal=error.code, remedy=error.remedy,
        )  # fmt: skip
    return SeriesRow(
        name="", modality="not stated", slices=summary.shape[0], spacing_mm=summary.spacing_mm,
        plane="axial", verdict="ok",
    )  # fmt: skip


def _region(*texts: str | None) -> str | None:
    """Return the region that Body Part Examined or the description names; the first text that names one wins."""
    for text in texts:
        for region, words in _REGIONS:
            if text and re.search(words, text, re.IGNORECASE):
                return region
    return None
