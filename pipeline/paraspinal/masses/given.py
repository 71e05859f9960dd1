"""Masses that a user outlined: NIfTI, DICOM SEG or RTSTRUCT, one instance per number, segment or region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cc3d
import numpy as np

from paraspinal.anatomy.given.grid import region_on
from paraspinal.anatomy.given.read import dicom_regions, read_values, whole_numbers
from paraspinal.anatomy.given.types import StructureMask, boxes_of_labels, in_box
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MassConfig
from paraspinal.dicomio.sniff import HEAD_BYTES, file_kind
from paraspinal.errors import UsageError
from paraspinal.masses.place import along_spine, paired, placed, without
from paraspinal.masses.types import Mass, MassSearch
from paraspinal.result import Correction
from paraspinal.volume import CTVolume, Region

OUTLINED = "outlined_by_user"
"""Flag of a mass whose outline a user gave."""

_FORMS = "a NIfTI label map (a number per mass, or one number for all), a DICOM SEG or an RTSTRUCT"
_MOST = 99
_LEAST_ML = 0.05  # smaller pieces of a one-number map are slips of a brush
_TISSUE_HU = (-200.0, 700.0)  # from fat to heavily calcified
_SAME = 0.1  # a candidate that shares this much with an outline is that mass


@dataclass(frozen=True, slots=True)
class GivenMass:
    """One outline on the grid of its source; `name` says where it comes from."""

    name: str
    mask: StructureMask


def read_mass_masks(path: Path) -> tuple[GivenMass, ...]:
    """Read the outlines of masses.

    A NIfTI map with several numbers holds a mass per number; with one number, a mass per connected piece. Of SEG and
    RTSTRUCT every segment or region is a mass.

    Raises
    ------
    UsageError
        ``not_found``, ``masks_unreadable``, ``masks_format``, or ``mass_mask_empty`` if nothing is outlined.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", code="not_found", remedy="Check the path.")
    with path.open("rb") as stream:
        kind = file_kind(stream.read(HEAD_BYTES))
    if kind == "nifti":
        found = _label_map(path)
    elif kind == "dicom":
        found = [GivenMass(name, mask) for name, mask in dicom_regions(path)]
    else:
        raise UsageError(
            f"{path.name} holds no outline that can be read.", code="masks_format", remedy=f"Give {_FORMS}."
        )
    if not found:
        raise UsageError(
            f"{path.name} outlines nothing.", code="mass_mask_empty", remedy="Outline at least one mass."
        )
    if len(found) > _MOST:
        raise UsageError(
            f"{path.name} outlines {len(found)} masses; at most {_MOST} are taken.",
            code="masks_format",
            remedy="Give an outline of the masses alone, not of the anatomy.",
        )
    return tuple(found)


def _label_map(path: Path) -> list[GivenMass]:
    values, grid = read_values(path)
    data = whole_numbers(values, path)
    boxes = boxes_of_labels(data)
    if len(boxes) == 1:  # one number for all masses: each connected piece is one
        pieces = np.asarray(cc3d.connected_components(data > 0, connectivity=26))
        sizes = np.bincount(pieces.ravel())
        data = pieces.astype(np.int32)
        boxes = {n: box for n, box in boxes_of_labels(data).items() if sizes[n] * grid.voxel_ml >= _LEAST_ML}
    out = []
    for number, box in boxes.items():
        z, y, x = (int(part.start) for part in box)
        region = Region((z, y, x), np.asarray(data[box] == number))
        out.append(GivenMass(f"number {number}", in_box(f"mass {number}", region, grid)))
    return out


def with_given(
    search: MassSearch,
    given: Sequence[GivenMass],
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig | None = None,
) -> tuple[MassSearch, tuple[Correction, ...]]:
    """Return the search with outlines in the place of the candidates that they share voxels with.

    An outline takes the id of the largest candidate that it replaces, or the next free one; other candidates stay,
    without the voxels that are now somebody else's.

    Raises
    ------
    UsageError
        ``mass_mask_outside`` if an outline lies outside the scan or beyond the traced spine, ``mass_mask_tissue`` if
        it holds air or bone, ``mass_mask_overlap`` if two of them share voxels.
    """
    config = config or MassConfig()
    regions = [_native(item, volume) for item in given]
    for item, region in zip(given, regions, strict=True):
        _check_tissue(item, region, volume)
    _check_apart(given, regions)
    left = list(search.masses)
    masses: list[Mass] = []
    records: list[Correction] = []
    free = max((mass.id for mass in left), default=0) + 1
    for item, region in zip(given, regions, strict=True):
        same = [mass for mass in left if _shared(mass.region, region) > _SAME]
        left = [mass for mass in left if mass not in same]
        number = max(same, key=lambda mass: mass.region.voxels).id if same else free
        free += not same
        masses.append(_mass(number, item, region, volume, anatomy, config=config))
        replaced = ", ".join(f"candidate {mass.id}" for mass in same) or "nothing"
        records.append(
            Correction(
                kind="mass_mask", target=f"mass {number}", before=replaced, after=f"outline {item.name}"
            )
        )
    for mass in left:
        rest = without(regions, mass.region)
        if rest is mass.region:
            masses.append(mass)
            continue
        records.append(_clipped(mass, rest, volume))
        if rest is not None:
            masses.append(
                placed(
                    mass.id,
                    rest,
                    volume,
                    anatomy,
                    state=mass.state,
                    confidence=mass.confidence,
                    config=config,
                )
            )
    by_size = sorted(masses, key=lambda mass: -mass.region.voxels)
    return replace(search, masses=paired(by_size)), tuple(records)


def _clipped(mass: Mass, rest: Region | None, volume: CTVolume) -> Correction:
    """Record what an outline that shares voxels with a candidate, but is another mass, leaves of it."""
    before, after = (0.0 if r is None else r.voxels * volume.geometry.voxel_ml for r in (mass.region, rest))
    return Correction(
        kind="mass_mask",
        target=f"mass {mass.id}",
        before=f"candidate {mass.id}, {before:.1f} mL",
        after=f"{after:.1f} mL outside the outlines" if rest is not None else "nothing outside the outlines",
    )


def without_rejected(search: MassSearch, ids: Iterable[int]) -> tuple[MassSearch, tuple[Correction, ...]]:
    """Return the search without the masses that a user rejects; ids of the others stay as they are.

    Raises
    ------
    UsageError
        ``mass_unknown`` if there is no mass of that id.
    """
    wanted = sorted(set(ids))
    known = {mass.id: mass for mass in search.masses}
    for number in wanted:
        if number not in known:
            listed = ", ".join(map(str, sorted(known))) or "none"
            raise UsageError(
                f"There is no mass {number} to reject.",
                code="mass_unknown",
                remedy=f"Masses found: {listed}.",
            )
    kept = [mass for mass in search.masses if mass.id not in wanted]
    records = tuple(
        Correction(
            kind="reject_mass",
            target=f"mass {number}",
            before=f"{known[number].state}, {known[number].side}, {'–'.join(known[number].levels)}",
            after="rejected",
        )
        for number in wanted
    )
    return replace(search, masses=paired(kept)), records


def _native(item: GivenMass, volume: CTVolume) -> Region:
    region = region_on(item.mask, volume.geometry)
    if region is None:
        raise _outside(item)
    if region.voxels * volume.geometry.voxel_ml < _LEAST_ML:
        raise UsageError(
            f"The outline {item.name} holds less than {_LEAST_ML:g} mL.",
            code="mass_mask_empty",
            remedy="Outline the whole mass, and remove stray voxels.",
        )
    return region


def _outside(item: GivenMass) -> UsageError:
    return UsageError(
        f"The outline {item.name} lies outside the scan or beyond the spine that could be traced.",
        code="mass_mask_outside",
        remedy="Give outlines that were made on this series; coordinates must be the patient's.",
    )


def _check_tissue(item: GivenMass, region: Region, volume: CTVolume) -> None:
    """An outline of another series, or mirrored, lies in lung or bone: its numbers would be another thing's."""
    middle = float(np.median(volume.hu[region.box][region.mask]))
    low, high = _TISSUE_HU
    if not low < middle < high:
        raise UsageError(
            f"The outline {item.name} does not hold soft tissue (median {middle:.0f} HU).",
            code="mass_mask_tissue",
            remedy="Check that it was made on this series, and is not mirrored or shifted.",
        )


def _check_apart(given: Sequence[GivenMass], regions: Sequence[Region]) -> None:
    for k, region in enumerate(regions):
        for item, other in zip(given[:k], regions[:k], strict=True):
            if _shared(other, region):
                raise UsageError(
                    f"The outlines {item.name} and {given[k].name} share voxels.",
                    code="mass_mask_overlap",
                    remedy="Outline every mass once, or give the two as one.",
                )


def _shared(a: Region, b: Region) -> float:
    """Voxels of both regions, relative to the smaller one."""
    return float((a.mask & b.on(a.box)).sum()) / max(1, min(a.voxels, b.voxels))


def _mass(
    number: int,
    item: GivenMass,
    region: Region,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    config: MassConfig,
) -> Mass:
    if not along_spine(region, volume, anatomy)[0].size:
        raise _outside(item)
    mass = placed(number, region, volume, anatomy, state="present", confidence=1.0, config=config)
    return replace(mass, flags=(*mass.flags, OUTLINED))
