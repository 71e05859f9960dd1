"""The load report of an accepted series: everything about it that a reader of the result should know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median

from paraspinal.dicomio.frames import is_lossy
from paraspinal.dicomio.headers import ImageHeader
from paraspinal.loading.canonical import OBLIQUE_DEG
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.decode import Decoded, SliceReport
from paraspinal.loading.hounsfield import (
    AIR_FLOOR_HU,
    AIR_HU,
    LOW_DENSITY_HU,
    conversion,
    padding_range_hu,
)
from paraspinal.loading.refusals import virtual_energy_kev
from paraspinal.loading.scan import Entry
from paraspinal.loading.suitability import Candidate
from paraspinal.result import LoadCode
from paraspinal.volume import Acquisition

# Steps as wide as this begin to count beside the noise of a body scan (engineering default: rounding to steps of
# 2 HU is noise of 2/√12 = 0.6 HU, where every scan has rounding to 1 HU).
_COARSE_HU = 2.0


def acquisition_of(entries: Sequence[Entry]) -> Acquisition:
    """Return the acquisition of the middle slice, with the median exposure of all."""
    middle = entries[len(entries) // 2].header.acquisition
    exposures = [e.header.acquisition.exposure_mas for e in entries]
    known = [value for value in exposures if value is not None]
    return replace(
        middle,
        exposure_mas=median(known) if known else None,
        # A virtual energy is no tube voltage: nothing that was calibrated at one may be read off such values.
        kvp=middle.kvp if virtual_energy_kev(entries[0].header) is None else None,
    )


def check_values(entries: Sequence[Entry], decoded: Decoded) -> None:
    """Refuse values that cannot be Hounsfield units where the headers leave it open.

    Raises
    ------
    LoadError
        ``not_hounsfield`` or ``monochrome1``.
    """
    low = min(s.low for s in decoded.slices)
    known = entries[0].header.rescale.known
    if not known and not AIR_HU[0] <= low <= AIR_HU[1]:
        raise refuse(
            "not_hounsfield",
            f"No conversion to Hounsfield units is stated, and the lowest value is {low}.",
            lowest=low,
        )
    if sum(s.padded for s in decoded.slices) >= decoded.hu.size:
        raise refuse("not_hounsfield", "Every voxel reads as padding.")
    _check_upright([s for s in decoded.slices if _inverted_display(entries[s.index])])


def _inverted_display(entry: Entry) -> bool:
    return entry.header.pixels is not None and entry.header.pixels.photometric == "MONOCHROME1"


def _check_upright(reports: Sequence[SliceReport]) -> None:
    """Refuse inverted values: MONOCHROME1 is about display (PS3.3 C.7.6.3.1.2), but some writers invert the pixels.

    Around a body there is air, or padding; inverted, it reads as the densest matter of the scan. Each image is judged
    by itself: those of one series may come from two writers.
    """
    inverted = [report for report in reports if report.corners_hu > AIR_HU[1]]
    if inverted:
        air = median(report.corners_hu for report in inverted)
        raise refuse(
            "monochrome1",
            f"The grey scale of {len(inverted)} images is inverted, and so are the values: the corners read"
            f" {air:.0f} HU.",
            corners_hu=air,
            images=len(inverted),
        )


def series_notes(candidate: Candidate, decoded: Decoded) -> list[LoadCode]:
    """Return the entries of the load report that a chosen and decoded series gives rise to."""
    if candidate.layout is None or candidate.canonical is None:
        return []
    return [
        *header_notes(candidate),
        *_value_notes(candidate.layout.entries, decoded.slices, _slice_numbers(candidate)),
    ]


def header_notes(candidate: Candidate) -> list[LoadCode]:
    """Return what can be said of a series without its pixels."""
    if candidate.layout is None or candidate.canonical is None:
        return []
    numbers = _target_numbers(candidate)
    found = [
        code.model_copy(update={"slices": tuple(sorted(numbers[i] for i in code.slices)) if numbers else ()})
        for code in candidate.layout.notes
    ]
    if candidate.canonical.oblique_deg > OBLIQUE_DEG:
        found.append(note("oblique", angle_deg=round(candidate.canonical.oblique_deg, 3)))
    if candidate.canonical.axes.order[0] != 0:
        found.append(note("non_axial"))
    return found + _header_notes(candidate.layout.entries)


def canonical_slices(candidate: Candidate, indices: Iterable[int]) -> tuple[int, ...]:
    """Return canonical slice numbers of slices of the layout's grid; all of them where these are other planes."""
    layout, canonical = candidate.layout, candidate.canonical
    wanted = tuple(indices)
    if layout is None or canonical is None or not wanted:
        return ()
    numbers = _target_numbers(candidate)
    return tuple(sorted(numbers[i] for i in wanted)) if numbers else tuple(range(canonical.geometry.shape[0]))


def _target_numbers(candidate: Candidate) -> dict[int, int]:
    """Map slices of the layout's grid to canonical slices; empty where these are not the same planes."""
    if candidate.layout is None or candidate.canonical is None or candidate.canonical.axes.order[0] != 0:
        return {}
    count = candidate.layout.geometry.shape[0]
    flipped = candidate.canonical.axes.flipped[0]
    return {i: count - 1 - i if flipped else i for i in range(count)}


def _slice_numbers(candidate: Candidate) -> dict[int, int]:
    """Map the images of the layout to canonical slices; empty where these are not the same planes."""
    targets = _target_numbers(candidate)
    if not targets or candidate.layout is None:
        return {}
    plan = candidate.layout.regrid
    if plan is None:
        return targets
    stands = {int(source): target for target, source in enumerate(plan.grid.source_of) if source >= 0}
    return {source: targets[target] for source, target in stands.items()}


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
    kev = virtual_energy_kev(first)
    if kev is not None:
        found.append(note("virtual_energy", energy_kev=kev) if kev else note("virtual_energy"))
    elif voltages == {None}:
        found.append(note("kvp_unknown"))
    inverted = sum(_inverted_display(entry) for entry in entries)
    if inverted:
        found.append(note("monochrome1", images=inverted))
    if len(voltages) > 1 or len({h.acquisition.kernel for h in headers}) > 1:
        found.append(note("mixed_acquisition"))
    found += _conversion_notes(headers)
    stated = padding_range_hu(first)
    if stated is not None and stated[1] > AIR_FLOOR_HU:
        found.append(note("padding_value_ignored", stated_hu=stated[1]))
    return found


def _conversion_notes(headers: Sequence[ImageHeader]) -> list[LoadCode]:
    found = []
    applied = {conversion(h.rescale) for h in headers}
    if not headers[0].rescale.known:
        partly = any(intercept for _, intercept in applied)
        text = "Rescale Slope is not stated, or 0, and was taken as 1; Rescale Intercept was added as stated."
        found.append(note("rescale_missing", text if partly else None))
    if len(applied) > 1:
        found.append(note("varying_rescale", conversions=len(applied)))
    step = max(slope for slope, _ in applied)
    if step >= _COARSE_HU:
        found.append(note("coarse_values", step_hu=step))
    if any(slope % 1 or intercept % 1 for slope, intercept in applied):
        found.append(note("fractional_values"))
    return found


def _bit_notes(
    reports: Sequence[SliceReport], slices: Callable[[Sequence[SliceReport]], list[int]]
) -> list[LoadCode]:
    found = []
    cleared, beyond, narrow = ([r for r in reports if r.odd_bits[kind]] for kind in range(3))
    if cleared:
        voxels = sum(r.odd_bits.cleared for r in cleared)
        found.append(note("unused_bits", images=len(cleared), voxels=voxels, slices=slices(cleared)))
    if beyond:
        voxels = sum(r.odd_bits.beyond for r in beyond)
        found.append(note("beyond_bits_stored", images=len(beyond), voxels=voxels, slices=slices(beyond)))
    if narrow:
        voxels = sum(r.odd_bits.narrow for r in narrow)
        found.append(note("narrow_stream", images=len(narrow), voxels=voxels, slices=slices(narrow)))
    return found


def _value_notes(
    entries: Sequence[Entry], reports: Sequence[SliceReport], numbers: dict[int, int]
) -> list[LoadCode]:
    def slices(kept: Sequence[SliceReport]) -> list[int]:
        return sorted(numbers[r.index] for r in kept if r.index in numbers)

    found = []
    padded = [r for r in reports if r.padded]
    if padded:
        found.append(note("padding", voxels=sum(r.padded for r in padded), slices_affected=len(padded)))
    clipped = [r for r in reports if r.clipped]
    if clipped:
        found.append(note("clipped_to_int16", voxels=sum(r.clipped for r in clipped), slices=slices(clipped)))
    found += _bit_notes(reports, slices)
    low = min(r.low for r in reports)
    if low > LOW_DENSITY_HU:
        found.append(note("values_unusual", lowest_hu=low, highest_hu=max(r.high for r in reports)))
    return found
