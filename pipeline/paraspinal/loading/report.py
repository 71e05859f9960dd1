"""The load report of an accepted series: everything about it that a reader of the result should know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from paraspinal.dicomio.frames import is_lossy
from paraspinal.loading.codes import note, refuse
from paraspinal.loading.decode import Decoded, SliceReport
from paraspinal.loading.hounsfield import AIR_FLOOR_HU, padding_range_hu
from paraspinal.loading.refusals import virtual_energy_kev
from paraspinal.loading.scan import Entry
from paraspinal.loading.suitability import Candidate
from paraspinal.result import LoadCode
from paraspinal.volume import Acquisition

# Fat reads about -100 HU, lung and air less; a volume without such values is no body or no HU.
_LOW_DENSITY_HU = -30
# Without a stated conversion, values are taken as HU only when air reads as air.
_AIR_HU = (-3100, -900)
# Steps as wide as this are no longer small beside the noise of a body scan.
_COARSE_HU = 2.0
# An angle below this is rounding of the direction cosines.
_OBLIQUE_DEG = 0.1


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
    if not known and not _AIR_HU[0] <= low <= _AIR_HU[1]:
        raise refuse(
            "not_hounsfield",
            f"No conversion to Hounsfield units is stated, and the lowest value is {low}.",
            lowest=low,
        )
    form = entries[0].header.pixels
    if form is not None and form.photometric == "MONOCHROME1":
        _check_upright(decoded)


def _check_upright(decoded: Decoded) -> None:
    """Refuse inverted values: MONOCHROME1 is about display (PS3.3 C.7.6.3.1.2), but some writers invert the pixels.

    Around a body there is air, or padding; inverted, it reads as the densest matter of the scan.
    """
    hu = decoded.hu[:: max(1, len(decoded.hu) // 16)]
    corners = np.concatenate([hu[:, y, x].ravel() for y in (0, -1) for x in (0, -1)])
    air = float(np.median(corners))
    if air > _AIR_HU[1]:
        raise refuse(
            "monochrome1",
            f"The grey scale is inverted, and so are the values: the corners read {air:.0f} HU.",
            corners_hu=air,
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
    if candidate.canonical.oblique_deg > _OBLIQUE_DEG:
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
    if first.pixels is not None and first.pixels.photometric == "MONOCHROME1":
        found.append(note("monochrome1"))
    if len(voltages) > 1 or len({h.acquisition.kernel for h in headers}) > 1:
        found.append(note("mixed_acquisition"))
    if not first.rescale.known:
        found.append(note("rescale_missing"))
    elif len({(h.rescale.slope, h.rescale.intercept) for h in headers}) > 1:
        found.append(note("varying_rescale"))
    steps = [abs(h.rescale.slope) for h in headers if h.rescale.slope is not None]
    if steps and max(steps) >= _COARSE_HU:
        found.append(note("coarse_values", step_hu=max(steps)))
    stated = padding_range_hu(first)
    if stated is not None and stated[1] > AIR_FLOOR_HU:
        found.append(note("padding_value_ignored", stated_hu=stated[1]))
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
    unused = [r for r in reports if r.unused_bits]
    if unused:
        found.append(note("unused_bits", images=len(unused), slices=slices(unused)))
    low = min(r.low for r in reports)
    if low > _LOW_DENSITY_HU:
        found.append(note("values_unusual", lowest_hu=low, highest_hu=max(r.high for r in reports)))
    return found
