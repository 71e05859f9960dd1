"""Decode the slices of a layout into one preallocated canonical volume, in parallel."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.frames import FrameError, OddBits, decode_frame, split_frames
from paraspinal.dicomio.headers import HeaderError, PixelFormat, plain_bytes
from paraspinal.loading.canonical import Canonical, source_view
from paraspinal.loading.codes import refuse
from paraspinal.loading.hounsfield import check_sign, to_hounsfield
from paraspinal.loading.inplace import fits, read_into, rescale_in_place
from paraspinal.loading.scan import Entry
from paraspinal.loading.sources import DiskFile, SourceFile, shown
from paraspinal.volume import BoolArray, HUArray

_AS_STATED = OddBits()


@dataclass(frozen=True, slots=True)
class SliceReport:
    """What was met while one slice was decoded; ``index`` counts along the layout.

    ``corners_hu`` is the median of its four corners.
    """

    index: int
    clipped: int
    low: int
    high: int
    padded: int
    corners_hu: float
    odd_bits: OddBits = _AS_STATED
    padding_bits: npt.NDArray[np.uint8] | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The canonical volume with its padding, one report per slice, and the digest of the files' bytes.

    The digest is empty where the settings ask for none.
    """

    hu: HUArray
    padding: BoolArray | None
    slices: tuple[SliceReport, ...]
    input_digest: str


_Job = tuple[SourceFile, list[tuple[int, Entry]]]


def decode_stack(entries: Sequence[Entry], canonical: Canonical, *, config: LoadingConfig) -> Decoded:
    """Decode every slice of `entries` (in layout order) to HU, straight into the canonical array.

    Raises
    ------
    LoadError
        If a slice cannot be decoded: a volume with a hole is never returned.
    """
    hu = np.empty(canonical.geometry.shape, dtype=np.int16)
    target = source_view(hu, canonical.axes)
    if len(target) != len(entries):  # an unread slice would be left with whatever was in memory
        raise AssertionError(f"{len(entries)} images do not fill {len(target)} slices")
    jobs = _by_file(entries)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the fragment parser; what is wrong is raised
        with ThreadPoolExecutor(config.threads) as pool:
            futures = [pool.submit(_decode_file, job, target, config) for job in jobs]
            try:
                done = [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # one bad slice ends it; don't decode the rest
                raise
    reports = sorted((report for _, found in done for report in found), key=lambda report: report.index)
    padding = _padding_volume(reports, canonical)
    return Decoded(hu, padding, tuple(reports), _digest([digest for digest, _ in done], config))


def _digest(digests: list[str], config: LoadingConfig) -> str:
    """Return one digest of all files, whatever their order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:16] if config.digest_input else ""


def _by_file(entries: Sequence[Entry]) -> list[_Job]:
    jobs: dict[int, _Job] = {}
    for index, entry in enumerate(entries):
        jobs.setdefault(id(entry.file), (entry.file, []))[1].append((index, entry))
    return list(jobs.values())


def _decode_file(
    job: _Job, target: npt.NDArray[np.generic], config: LoadingConfig
) -> tuple[str, list[SliceReport]]:
    file, wanted = job
    try:
        return _read_in_place(file, wanted, target, config) or _read_whole(file, wanted, target, config)
    except FrameError as error:
        raise refuse(
            error.code, f"{shown(file.name)} cannot be decoded: {error}.", file=shown(file.name)
        ) from error
    except (OSError, HeaderError) as error:
        raise refuse(
            "unreadable_file", f"{shown(file.name)} cannot be read a second time.", file=shown(file.name)
        ) from error


def _read_in_place(
    file: SourceFile, wanted: list[tuple[int, Entry]], target: npt.NDArray[np.generic], config: LoadingConfig
) -> tuple[str, list[SliceReport]] | None:
    """Read a plain slice straight into the volume; None where it has to be decoded or turned round."""
    index, entry = wanted[0]
    plane, form = target[index], _form(entry)
    if not isinstance(file, DiskFile) or not fits(form, plane):
        return None
    digest = read_into(file.path, form, plane, digest=config.digest_input)
    extremes = rescale_in_place(plane, entry.header)
    if extremes is None:
        return digest, [_decode_slice(index, entry, plane.tobytes(), target, config)]
    return digest, [SliceReport(index, 0, *extremes, padded=0, corners_hu=_corners(plane))]


def _read_whole(
    file: SourceFile, wanted: list[tuple[int, Entry]], target: npt.NDArray[np.generic], config: LoadingConfig
) -> tuple[str, list[SliceReport]]:
    blob = file.read()
    plain = plain_bytes(blob, limit=int(config.max_file_mib) << 20)
    frames = split_frames(plain, _form(wanted[0][1]))
    reports = [
        _decode_slice(index, entry, frames[entry.header.frame or 0], target, config)
        for index, entry in wanted
    ]
    return hashlib.sha256(blob).hexdigest() if config.digest_input else "", reports


def _decode_slice(
    index: int,
    entry: Entry,
    coded: bytes | memoryview,
    target: npt.NDArray[np.generic],
    config: LoadingConfig,
) -> SliceReport:
    stored, odd = decode_frame(coded, _form(entry))
    check_sign(odd, entry.header)
    values = to_hounsfield(stored, entry.header, padding_hu=config.padding_hu)
    target[index] = values.hu
    padded = 0 if values.padding is None else int(np.count_nonzero(values.padding))
    bits = None if values.padding is None else np.packbits(values.padding)
    return SliceReport(
        index, values.clipped, values.low, values.high, padded, _corners(values.hu), odd, padding_bits=bits
    )


def _corners(plane: npt.NDArray[np.generic]) -> float:
    return float(np.median(np.asarray(plane[[0, 0, -1, -1], [0, -1, 0, -1]], dtype=np.float64)))


def _form(entry: Entry) -> PixelFormat:
    if entry.header.pixels is None:
        raise FrameError("it holds no pixel data", "no_pixel_data")
    return entry.header.pixels


def _padding_volume(reports: Sequence[SliceReport], canonical: Canonical) -> BoolArray | None:
    """Return the padding of all slices as a canonical mask; None when no slice has any.

    Slices hand over packed bits, so that a scan without padding never pays for a second volume.
    """
    if all(report.padding_bits is None for report in reports):
        return None
    mask = np.zeros(canonical.geometry.shape, dtype=bool)
    target = source_view(mask, canonical.axes)
    for report in reports:
        if report.padding_bits is not None:
            plane = target[report.index]
            plane[...] = np.unpackbits(report.padding_bits, count=plane.size).reshape(plane.shape)
    return mask
