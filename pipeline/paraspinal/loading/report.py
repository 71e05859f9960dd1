"""The load report of an accepted series: everything about it that a reader of the result should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from paraspinal.dicomio.frames import is_lossy
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.decode import Decoded, SliceReport
from paraspinal.loading.hounsfield import AIR_FLOOR_HU, padding_range_hu
from paraspinal.loading.scan import Entry
from paraspinal.loading.suitability import Candidate
from paraspinal.result import LoadCode
from paraspinal.volume import Acquisition

# Fat reads about -100 HU, lung and air less; a volume without such values is no body or no HU.
_LOW_DENSITY_HU = -30
# Without a stated conversion, values are taken as HU only when air reads as air.
_AIR_HU = (-3100, -900)
# An angle below this is rounding of the direction cosines.
_OBLIQUE_DEG = 0.1


def acquisition_of(entries: Sequence[Entry]) -> Acquisition:
    """Return the acquisition of the middle slice, with the median exposure of all."""
    middle = entries[len(entries) // 2].header.acquisition
    exposures = [e.header.acquisition.exposure_mas for e in entries]
    known = [value for value in exposures if value is not None]
    return replace(middle, exposure_mas=median(known) if known else None)


def check_values(entries: Sequence[Entry], decoded: Decoded) -> None:
    """Refuse values that cannot be Hounsfield units where no conversion to them is stated.

    Raises
    ------
    LoadError
        ``not_hounsfield``.
    """
    low = min(s.low for s in decoded.slices)
    if not entries[0].header.rescale.known and not _AIR_HU[0] <= low <= _AIR_HU[1]:
        raise refuse(
            "not_hounsfield",
            f"No conversion to Hounsfield units is stated, and the lowest value is {low}.",
            lowest=low,
        )


def series_notes(candidate: Candidate, decoded: Decoded) -> list[LoadCode]:
    """Return the entries of the load report that a chosen and decoded series gives rise to."""
    if candidate.layout is None or candidate.canonical is None:
        return []
    entries = candidate.layout.entries
    canonical_slices = _slice_numbers(candidate)
    found = list(candidate.layout.notes)
    if candidate.canonical.oblique_deg > _OBLIQUE_DEG:
        found.append(note("oblique", angle_deg=round(candidate.canonical.oblique_deg, 3)))
    if candidate.canonical.axes.order[0] != 0:
        found.append(note("non_axial"))
    found += _header_notes(entries)
    found += _value_notes(entries, decoded.slices, canonical_slices)
    return found


def _slice_numbers(candidate: Candidate) -> dict[int, int]:
    """Map slices of the layout to canonical slices; empty where these are not the same planes."""
    if candidate.layout is None or candidate.canonical is None or candidate.canonical.axes.order[0] != 0:
        return {}
    count = len(candidate.layout.entries)
    flipped = candidate.canonical.axes.flipped[0]
    return {i: count - 1 - i if flipped else i for i in range(count)}


def _header_notes(entries: Sequence[Entry]) -> list[LoadCode]:
    headers = [entry.header for entry in entries]
    first = headers[0]
    found = []
    if not first.series_uid:
        found.append(note("uid_missing"))
    if not first.sop_class:
        found.append(note("sop_class_missing"))
    if len({h.frame_of_reference for h in headers}) > 1:
        found.append(note("frame_of_reference_differs"))
    if first.frame is not None:
        found.append(note("enhanced_multiframe", frames=len(entries)))
    lossy = sum(h.lossy or (h.pixels is not None and is_lossy(h.pixels.transfer_syntax)) for h in headers)
    if lossy:
        found.append(note("lossy_compression", images=lossy))
    return found + _acquisition_notes(entries)


def _acquisition_notes(entries: Sequence[Entry]) -> list[LoadCode]:
    headers = [entry.header for entry in entries]
    first = headers[0]
    found = []
    voltages = {h.acquisition.kvp for h in headers}
    if voltages == {None}:
        found.append(note("kvp_unknown"))
    if len(voltages) > 1 or len({h.acquisition.kernel for h in headers}) > 1:
        found.append(note("mixed_acquisition"))
    if not first.rescale.known:
        found.append(note("rescale_missing"))
    elif len({(h.rescale.slope, h.rescale.intercept) for h in headers}) > 1:
        found.append(note("varying_rescale"))
    stated = padding_range_hu(first)
    if stated is not None and stated[1] > AIR_FLOOR_HU:
        found.append(note("padding_value_ignored", stated_hu=stated[1]))
    return found


def _value_notes(
    entries: Sequence[Entry], reports: Sequence[SliceReport], numbers: dict[int, int]
) -> list[LoadCode]:
    def slices(kept: Sequence[SliceReport]) -> list[int]:
        return sorted(numbers[r.index] for r in kept) if numbers else []

    found = []
    padded = [r for r in reports if r.padded]
    if padded:
        found.append(note("padding", voxels=sum(r.padded for r in padded), slices_affected=len(padded)))
    clipped = [r for r in reports if r.clipped]
    if clipped:
        found.append(note("clipped_to_int16", voxels=sum(r.clipped for r in clipped), slices=slices(clipped)))
    unused = [r for r in reports if r.unused_bits]
    if unused:
        found.append(note("unused_bits", images=len(unused), slices=slices(unused)))
    low = min(r.low for r in reports)
    if low > _LOW_DENSITY_HU:
        found.append(note("values_unusual", lowest_hu=low, highest_hu=max(r.high for r in reports)))
    return found
