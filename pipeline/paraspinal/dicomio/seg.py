"""DICOM Segmentation objects (PS3.3 A.51): binary, fractional and label maps, as one region of a grid per segment.

Read with pydicom and the frame decoders of this package, so that a hostile file meets the same limits as an image.
Frames may come in any order, empty ones are usually left out, and each says by itself where it lies and which
segment it shows; nothing is taken from the order of frames or from the images that the object refers to.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ImplicitVRLittleEndian
from scipy import ndimage

from paraspinal.dicomio import values
from paraspinal.dicomio.bounded import BoundedStream, HeaderError
from paraspinal.dicomio.frames import FrameError, decode_frame, split_frames
from paraspinal.dicomio.headers import BIG_ENDIAN, PixelFormat, pixel_element, plain_bytes
from paraspinal.volume import BoolArray, Geometry, Region

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
SEG_CLASSES = frozenset({SEGMENTATION, LABEL_MAP_SEGMENTATION})

# 117 segments of 300 slices are 35,000 frames of some 40 elements each.
_MAX_READS = 4_000_000
_MAX_GROUPS_BYTES = 128 << 20
_MAX_BYTES = 4 << 30
_MAX_FRAMES = 200_000
_OFF_PLANE_MM = 0.1
_OFF_PLANE_SHARE = 0.1
"""A frame may lie this share of the spacing (and at least 0.1 mm) beside its plane: decimal strings are rounded."""


class SegError(ValueError):
    """A segmentation object that cannot be taken; ``code`` is the stable code of the reason."""

    def __init__(self, message: str, code: str = "seg_unreadable") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; ``codes`` are SNOMED CT: property type, its modifiers, anatomic region and its modifiers."""

    number: int
    label: str
    codes: tuple[str, ...]
    region: Region | None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The segments of one object on one grid [z, y, x]; a segment without a voxel has no region.

    ``grid`` spans the frames that are there and no more. ``series_uid`` is the series that was segmented.
    """

    segments: tuple[Segment, ...]
    grid: Geometry
    frame_of_reference_uid: str | None
    series_uid: str | None


@dataclass(frozen=True, slots=True)
class _Frames:
    """Where the frames lie: index of each in the stack, segment of each (0 in label maps), and the stack's grid."""

    plane: npt.NDArray[np.intp]
    segment: npt.NDArray[np.intp]
    grid: Geometry


def read_seg(path: Path) -> Segmentation:
    """Read one segmentation object.

    Fractional segments (probability or occupancy) hold what is at least half the maximum.

    Raises
    ------
    SegError
        If it is no segmentation, is damaged, or does not say where its frames lie.
    """
    try:
        return _read(path)
    except SegError:
        raise
    except (HeaderError, FrameError) as error:
        raise SegError(str(error)) from error
    except MemoryError:
        raise
    except Exception as error:
        # What pydicom raises on malformed bytes is not limited to any type; one file is isolated here.
        raise SegError("it is no readable DICOM object") from error


def _read(path: Path) -> Segmentation:
    if path.stat().st_size > _MAX_BYTES:
        raise SegError(f"it is larger than {_MAX_BYTES >> 30} GiB")
    blob = plain_bytes(path.read_bytes(), limit=_MAX_BYTES)
    stream = BoundedStream(io.BytesIO(blob), reads=_MAX_READS)
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    if values.text(dataset, "SOPClassUID") not in SEG_CLASSES:
        raise SegError("it is no DICOM segmentation", "seg_other_object")
    syntax = values.text(dataset.file_meta, "TransferSyntaxUID") or str(ImplicitVRLittleEndian)
    at = stream.tell()
    form = _pixel_format(dataset, syntax, pixel_element(blob[at : at + 12], at, syntax))
    if at > _MAX_GROUPS_BYTES:
        raise SegError(f"the headers of its frames take more than {_MAX_GROUPS_BYTES >> 20} MiB")
    frames = _frames(dataset, form)
    kind = values.text(dataset, "SegmentationType") or "BINARY"
    if kind == "LABELMAP":
        regions = _label_map(blob, form, frames)
    elif kind in ("BINARY", "FRACTIONAL"):
        threshold = (values.whole(dataset, "MaximumFractionalValue") or 255) / 2.0
        regions = _by_segment(blob, form, frames, threshold=0.5 if kind == "BINARY" else threshold)
    else:
        raise SegError(f"its segmentation type {kind} is not known")
    background = kind == "LABELMAP"
    segments = tuple(_segments(dataset, regions, background=background))
    referenced = values.items(dataset, "ReferencedSeriesSequence")
    return Segmentation(
        segments,
        frames.grid,
        values.text(dataset, "FrameOfReferenceUID"),
        values.text(referenced[0], "SeriesInstanceUID") if len(referenced) == 1 else None,
    )


def _pixel_format(dataset: Dataset, syntax: str, place: tuple[int, int | None] | None) -> PixelFormat:
    numbers = [values.whole(dataset, k) for k in ("Rows", "Columns", "NumberOfFrames", "BitsAllocated")]
    rows, columns, frames, bits = (n or 0 for n in numbers)
    if place is None or min(rows, columns, frames) < 1 or bits not in (1, 8, 16):
        raise SegError("its header does not describe pixels of a segmentation")
    if frames > _MAX_FRAMES or rows * columns * frames * bits // 8 > _MAX_BYTES:
        raise SegError(f"{frames} frames of {rows}×{columns} are more than can be taken")
    return PixelFormat(
        rows, columns, frames, 1, bits, bits, bits - 1, False, "MONOCHROME2", syntax, place[0], place[1]
    )


def _frames(dataset: Dataset, form: PixelFormat) -> _Frames:
    per_frame = values.items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = (values.items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if len(per_frame) != form.frames:
        raise SegError(f"it describes {len(per_frame)} of its {form.frames} frames")

    def group(frame: Dataset, name: str) -> Dataset:
        return (values.items(frame, name) or values.items(shared, name) or [Dataset()])[0]

    positions, orientations, segments = [], set(), []
    for frame in per_frame:
        positions.append(values.numbers(group(frame, "PlanePositionSequence"), "ImagePositionPatient"))
        orientations.add(values.numbers(group(frame, "PlaneOrientationSequence"), "ImageOrientationPatient"))
        identification = group(frame, "SegmentIdentificationSequence")
        segments.append(values.whole(identification, "ReferencedSegmentNumber") or 0)
    if len(orientations) != 1 or any(len(p) != 3 for p in positions):
        raise SegError("its frames do not say how they lie in the patient", "seg_without_place")
    measures = group(per_frame[0], "PixelMeasuresSequence")
    plane, grid = _stack(np.array(positions), orientations.pop(), measures, form)
    return _Frames(plane, np.array(segments, dtype=np.intp), grid)


def _stack(
    positions: npt.NDArray[np.float64], orientation: tuple[float, ...], measures: Dataset, form: PixelFormat
) -> tuple[npt.NDArray[np.intp], Geometry]:
    """Return the plane of each frame and the grid that they span, gaps included."""
    spacing = values.numbers(measures, "PixelSpacing")
    axes = np.array(orientation[:6], dtype=float).reshape(2, 3) if len(orientation) == 6 else np.zeros((2, 3))
    if len(spacing) != 2 or min(spacing) <= 0 or np.abs(axes @ axes.T - np.eye(2)).max() > 1e-3:
        raise SegError("its frames do not say how they lie in the patient", "seg_without_place")
    row, column = axes
    normal = np.cross(row, column)
    along = positions @ normal
    stated = [values.numbers(measures, k)[:1] for k in ("SpacingBetweenSlices", "SliceThickness")]
    step = _step(along, [s[0] for s in stated if s and s[0] > 0])
    first = int(np.argmin(along))
    index = np.rint((along - along[first]) / step).astype(np.intp)
    on_grid = positions[first] + index[:, None] * step * normal
    allowed = max(_OFF_PLANE_MM, _OFF_PLANE_SHARE * step)
    if np.abs(positions - on_grid).max() > allowed:
        raise SegError(
            "its frames lie on no regular grid (gaps of other lengths, or a tilted stack)", "seg_irregular"
        )
    shape = (int(index.max()) + 1, form.rows, form.columns)
    x, y, z = (float(v) for v in positions[first])
    axes_lps = np.column_stack([normal, column, row])
    # Pixel Spacing is (between rows, between columns); rows run along the column direction.
    return index, Geometry(shape, (float(step), float(spacing[0]), float(spacing[1])), (x, y, z), axes_lps)


def _step(along: npt.NDArray[np.float64], stated: Sequence[float]) -> float:
    """Distance of neighbouring planes: the smallest that occurs, unless the stated one divides all of them."""
    planes = np.unique(np.round(along, 3))
    if len(planes) == 1:
        if not stated:
            raise SegError("it has one plane and does not say how thick it is", "seg_without_place")
        return float(stated[0])
    gaps = np.diff(planes)
    for step in stated[:1]:
        whole = np.rint(gaps / step)
        if whole.min() >= 1 and np.abs(gaps - whole * step).max() <= max(_OFF_PLANE_MM, 0.1 * step):
            # The mean over the whole stack is the better number: stated spacings are often rounded.
            return float((planes[-1] - planes[0]) / whole.sum())
    smallest = float(gaps.min())
    return float((planes[-1] - planes[0]) / max(1.0, np.rint(gaps / smallest).sum()))


def _pixels(blob: bytes, form: PixelFormat) -> Iterator[npt.NDArray[np.generic]]:
    """Yield the stored values of one frame after the other, [y, x]."""
    if form.bits_allocated > 1:
        for coded in split_frames(blob, form):
            yield decode_frame(coded, form)[0]
        return
    size = form.rows * form.columns
    if form.length is None or form.transfer_syntax == BIG_ENDIAN:
        raise SegError("its bits are coded in a form that is not read here", "seg_coding")
    data = np.frombuffer(blob, np.uint8, offset=form.offset)
    if len(data) * 8 < size * form.frames:
        raise SegError("its pixel data is cut off")
    for k in range(form.frames):
        # Frames follow each other bit by bit, so that one may begin inside a byte (PS3.5 8.1.1).
        start = k * size
        bits = np.unpackbits(data[start // 8 : (start + size + 7) // 8], bitorder="little")
        yield bits[start % 8 : start % 8 + size].reshape(form.rows, form.columns)


def _by_segment(blob: bytes, form: PixelFormat, frames: _Frames, *, threshold: float) -> dict[int, Region]:
    """Collect the frames of every segment into one region each."""
    planes: dict[int, list[tuple[int, BoolArray, tuple[int, int]]]] = {}
    for k, pixels in enumerate(_pixels(blob, form)):
        mask = np.asarray(pixels) > threshold if threshold < 1 else np.asarray(pixels) >= threshold
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size:
            y, x = int(rows[0]), int(columns[0])
            tight = mask[y : int(rows[-1]) + 1, x : int(columns[-1]) + 1].copy()
            planes.setdefault(int(frames.segment[k]), []).append((int(frames.plane[k]), tight, (y, x)))
    return {number: _region(found) for number, found in planes.items()}


def _region(planes: list[tuple[int, BoolArray, tuple[int, int]]]) -> Region:
    low = [min(z for z, _, _ in planes), min(p[0] for _, _, p in planes), min(p[1] for _, _, p in planes)]
    high = [
        max(z for z, _, _ in planes) + 1,
        max(p[0] + m.shape[0] for _, m, p in planes),
        max(p[1] + m.shape[1] for _, m, p in planes),
    ]
    out = np.zeros([h - lo for h, lo in zip(high, low, strict=True)], bool)
    for z, mask, (y, x) in planes:
        out[z - low[0], y - low[1] : y - low[1] + mask.shape[0], x - low[2] : x - low[2] + mask.shape[1]] |= (
            mask
        )
    return Region((low[0], low[1], low[2]), out)


def _label_map(blob: bytes, form: PixelFormat, frames: _Frames) -> dict[int, Region]:
    data = np.zeros(frames.grid.shape, np.uint8 if form.bits_allocated == 8 else np.uint16)
    for k, pixels in enumerate(_pixels(blob, form)):
        data[frames.plane[k]] = pixels
    found = {}
    for number, box in enumerate(ndimage.find_objects(data), start=1):
        if box is not None:
            z, y, x = (int(s.start) for s in box)
            found[number] = Region((z, y, x), np.asarray(data[box] == number))
    return found


def _segments(dataset: Dataset, regions: dict[int, Region], *, background: bool) -> Iterator[Segment]:
    for item in values.items(dataset, "SegmentSequence"):
        number = values.whole(item, "SegmentNumber")
        if number is None or (background and number == 0):
            continue
        codes = list(
            _codes(item, "SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence")
        )
        codes += _codes(item, "AnatomicRegionSequence", "AnatomicRegionModifierSequence")
        label = values.text(item, "SegmentLabel") or f"segment {number}"
        yield Segment(number, label, tuple(codes), regions.get(number))


def _codes(item: Dataset, name: str, modifiers: str) -> Iterator[str]:
    """Yield the SNOMED CT codes of a coded concept and of its modifiers, which stand within it or beside it."""
    for concept in values.items(item, name):
        yield from _snomed(concept)
        for modifier in values.items(concept, modifiers):
            yield from _snomed(modifier)
    for modifier in values.items(item, modifiers):
        yield from _snomed(modifier)


def _snomed(concept: Dataset) -> Iterator[str]:
    """Yield a concept's SNOMED CT code; the older SRT codes (``T-62000``) are translated."""
    code, scheme = values.text(concept, "CodeValue"), values.text(concept, "CodingSchemeDesignator")
    if code is None:
        return
    if scheme == "SCT":
        yield code
    elif scheme in ("SRT", "SNM3", "99SDM"):
        given = Code(code, "SRT", "")
        yield from (sct for sct in _SRT_TRANSLATED.split() if Code(sct, "SCT", "") == given)


# SNOMED CT codes of structures and sides that older objects name by SRT codes.
_SRT_TRANSLATED = """
15825003 10200004 78961009 64033007 32849002 44567001 80891009 2748008 61853006 54735007
39607008 113197003 60046008 7771000 24028007 69695003 15776009 64131007
"""
