"""`load_series`: from a path to one CT volume, or to a refusal that says why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.headers import plain_bytes, short_digest
from paraspinal.errors import LoadError
from paraspinal.loading.canonical import Canonical, to_canonical
from paraspinal.loading.choose import Choice, choose_series
from paraspinal.loading.codes import note, refuse, repaired
from paraspinal.loading.decode import Decoded, decode_stack
from paraspinal.loading.doubles import pixel_digests
from paraspinal.loading.grid_input import load_grid
from paraspinal.loading.layout import Layout
from paraspinal.loading.opening import GRID_KINDS, Source, open_source
from paraspinal.loading.regrid import regrid
from paraspinal.loading.report import acquisition_of, canonical_slices, check_values, series_notes
from paraspinal.loading.sanity import check_orientation
from paraspinal.loading.sources import shown
from paraspinal.loading.stacks import Stack
from paraspinal.loading.suitability import Candidate, candidate_of
from paraspinal.loading.survey import Survey, holding, survey, unreadable_lines
from paraspinal.loading.types import LoadedSeries
from paraspinal.loading.voxels import voxel_notes
from paraspinal.result import LoadCode, Loading
from paraspinal.volume import CTVolume, Geometry, SliceRef, SourceAxes

Progress = Callable[[str], None]

# More damaged images than this are a damaged series; each costs one more attempt.
_MAX_DAMAGED = 4
_DAMAGE = frozenset({"truncated_pixel_data", "pixel_data_mismatch", "undecodable", "unreadable_file"})


def load_series(
    path: Path | str | Source,
    *,
    series: str | None = None,
    config: LoadingConfig = LoadingConfig(),  # noqa: B008  (frozen)
    progress: Progress | None = None,
) -> LoadedSeries:
    """Load one CT series.

    Parameters
    ----------
    path : Path, str or Source
        A folder (searched through), one DICOM file (the rest of its series is found beside it), a DICOMDIR, a zip,
        or a NIfTI, NRRD or MetaImage file. What a file is, is told from its content. Or a source that was opened.
    series : str, optional
        Series Instance UID, series number, or first digits of the UID's digest; without it the best axial chest
        or abdomen CT is taken, and ``loading.chosen_because`` says why.
    config : LoadingConfig
        Limits, and the policy towards defects.
    progress : callable, optional
        Called with a sentence when a step begins.

    Returns
    -------
    LoadedSeries
        The volume in Hounsfield units, canonical order, with the verdict.

    Raises
    ------
    LoadError
        If the input is refused; ``code`` is one of docs/loading.md.
    UsageError
        If `series` names no series of the input, or several.
    """
    tell = progress if progress is not None else _silent
    source = open_source(Path(path), config=config) if isinstance(path, str | Path) else path
    if source.kind in GRID_KINDS:
        tell(f"reading {source.kind}")
        return _with_orientation(load_grid(source, config=config), source.notes, config)
    tell(f"reading {len(source.files)} headers")
    found = survey(source, config=config)
    candidates = found.candidates
    if source.only is not None and series is None:
        candidates = holding(candidates, source.only)
    choice = choose_series(candidates, wanted=series, uid_of=partial(series_uid, config=config))
    return _with_orientation(_load_choice(choice, found, config, tell), source.notes, config)


def _silent(step: str) -> None:
    """Tell nobody."""


def _with_orientation(
    loaded: LoadedSeries, source_notes: tuple[LoadCode, ...], config: LoadingConfig
) -> LoadedSeries:
    """Add what the source and the anatomy say; a volume that looks mirrored is never flipped here."""
    codes = (
        *source_notes,
        *loaded.loading.codes,
        *check_orientation(loaded.volume, config=config),
    )
    return replace(
        loaded, loading=loaded.loading.model_copy(update={"codes": codes, "policy": config.policy})
    )


@dataclass(frozen=True, slots=True)
class _Pixels:
    """A decoded candidate: what was left of it, and its volume in canonical order."""

    candidate: Candidate
    decoded: Decoded
    codes: tuple[LoadCode, ...]


def _load_choice(choice: Choice, found: Survey, config: LoadingConfig, tell: Progress) -> LoadedSeries:
    pixels = _decode(choice.candidate, config, tell)
    candidate, decoded = pixels.candidate, pixels.decoded
    layout, canonical = _placed(candidate)
    uid = series_uid(candidate.stack, config=config)
    if config.policy == "strict":
        _refuse_if_slices_may_be_missing(choice, found)
    codes = (
        *found.scan.notes(),
        *_sibling_notes(choice),
        *pixels.codes,
        *series_notes(candidate, decoded),
        *voxel_notes(decoded.hu, decoded.padding, canonical.geometry),
    )
    return LoadedSeries(
        volume=CTVolume(
            hu=decoded.hu,
            geometry=canonical.geometry,
            acquisition=acquisition_of(layout.entries),
            slices=_slice_refs(layout, canonical),
            padding=decoded.padding,
            interpolated=_interpolated(candidate),
            source_axes=canonical.axes,
        ),
        loading=Loading(
            verdict="repaired" if any(code.kind == "repair" for code in codes) else "ok",
            policy=config.policy,
            codes=codes,
            chosen_because=choice.because,
            left_out=(*choice.left_out, *unreadable_lines(found.scan)),
        ),
        uid=uid,
        uid_digest=short_digest(uid, 16),
        input_digest=decoded.input_digest,
        source="dicom",
    )


def _decode(candidate: Candidate, config: LoadingConfig, tell: Progress) -> _Pixels:
    """Decode a candidate; under the policy "repair" a few images that are damaged are left out of it."""
    damaged: list[str] = []
    images = 0
    while True:
        layout, canonical = _placed(candidate)
        tell(f"decoding {len(layout.entries)} slices")
        try:
            decoded = _decode_layout(layout, canonical, config)
        except LoadError as error:
            rest = _without_damaged(candidate, error, config)
            if rest is None or len(damaged) == _MAX_DAMAGED:
                raise
            damaged.append(str(error.details["file"]))
            images += len(candidate.stack.entries) - len(rest.stack.entries)
            candidate = rest
            continue
        check_values(layout.entries, decoded)
        codes: tuple[LoadCode, ...] = ()
        if damaged:
            text = f"Images that cannot be decoded were left out: {', '.join(damaged)}."
            codes = (repaired("damaged_slices", text, config=config, images=images),)
        return _Pixels(candidate, decoded, codes)


def _decode_layout(layout: Layout, canonical: Canonical, config: LoadingConfig) -> Decoded:
    plan = layout.regrid
    if plan is None:
        return decode_stack(layout.entries, canonical, config=config)
    as_stored = Canonical(Geometry(plan.source_shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), SourceAxes(), 0.0)
    stored = decode_stack(layout.entries, as_stored, config=config)
    hu, padding = regrid(stored.hu, stored.padding, plan, threads=config.threads)
    return replace(
        stored,
        hu=np.ascontiguousarray(to_canonical(hu, canonical.axes)),
        padding=None if padding is None else np.ascontiguousarray(to_canonical(padding, canonical.axes)),
    )


def _without_damaged(candidate: Candidate, error: LoadError, config: LoadingConfig) -> Candidate | None:
    """Return the candidate without the file that `error` names; None if that is no volume, or not allowed."""
    if config.policy == "strict" or error.code not in _DAMAGE or "file" not in error.details:
        return None
    entries = candidate.stack.entries
    damaged = [e for e in entries if shown(e.file.name) == error.details["file"]]
    if len({id(e.file) for e in damaged}) > 1:  # files of several folders that go by one name
        sound = pixel_digests(damaged, config)
        damaged = [e for e in damaged if id(e) not in sound]
    left_out = {id(e) for e in damaged}
    kept = tuple(e for e in entries if id(e) not in left_out)
    if not config.min_slices <= len(kept) < len(entries):
        return None
    rest = candidate_of(replace(candidate.stack, entries=kept), config=config)
    return rest if rest.loadable else None


def _placed(candidate: Candidate) -> tuple[Layout, Canonical]:
    if candidate.layout is None or candidate.canonical is None:
        raise AssertionError("a candidate without defect has a layout")
    return candidate.layout, candidate.canonical


def _interpolated(candidate: Candidate) -> tuple[int, ...]:
    plan = _placed(candidate)[0].regrid
    return () if plan is None else canonical_slices(candidate, plan.interpolated)


def _refuse_if_slices_may_be_missing(choice: Choice, found: Survey) -> None:
    """Refuse a volume of which images may have been left out: what the policy "repair" only puts on record."""
    if found.scan.unreadable:
        count = len(found.scan.unreadable)
        raise refuse(
            "unreadable_file",
            f"{count} files of the input cannot be read. The policy is strict: any of them may be a slice.",
            files=count,
        )
    if choice.parallel_siblings:
        raise refuse(
            "images_left_out",
            f"{choice.parallel_siblings} slices under the same Series Instance UID do not fit the others."
            " The policy is strict: none is left out.",
            images=choice.parallel_siblings,
        )


def _sibling_notes(choice: Choice) -> list[LoadCode]:
    return [note("images_left_out", images=choice.siblings)] if choice.siblings else []


def _slice_refs(layout: Layout, canonical: Canonical) -> tuple[SliceRef, ...]:
    """Name the object behind every canonical slice; none where canonical slices are not the file's images."""
    if canonical.axes.order[0] != 0:
        return ()
    refs = [
        SliceRef(e.header.sop_instance_uid, e.header.instance_number, e.header.frame) for e in layout.entries
    ]
    if layout.regrid is not None:
        nobody = SliceRef("", None)
        refs = [refs[i] if i >= 0 else nobody for i in layout.regrid.grid.source_of]
    return tuple(reversed(refs) if canonical.axes.flipped[0] else refs)


def series_uid(stack: Stack, *, config: LoadingConfig) -> str:
    """Return the Series Instance UID of a stack, or a key derived from geometry and coded pixels without one.

    The derived key does not depend on names, order or any text in the files.
    """
    if stack.uid:
        return stack.uid
    parts = []
    coded: dict[int, bytes] = {}  # frames share a file, which is read once
    for entry in stack.entries:
        form, plane, file = entry.header.pixels, entry.header.plane, entry.file
        if id(file) not in coded:
            blob = b"" if form is None else plain_bytes(file.read(), limit=int(config.max_file_mib) << 20)
            coded[id(file)] = hashlib.sha256(b"" if form is None else blob[form.offset :]).digest()
        place = f"{plane.orientation}{plane.position}{plane.spacing}{entry.header.frame}"
        parts.append(hashlib.sha256(place.encode() + coded[id(file)]).hexdigest())
    return "derived-" + hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()[:16]
