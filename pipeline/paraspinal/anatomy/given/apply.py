"""Masks of another segmenter take the place of what the built-in one found; it fills what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.compare import dice
from paraspinal.anatomy.extent import cut_sides
from paraspinal.anatomy.given.fit import (
    check_density,
    check_order,
    check_sides,
    on_working_grid,
    outside_share,
)
from paraspinal.anatomy.given.grid import OnGrid, common_box, nearest
from paraspinal.anatomy.given.names import TOTAL_NAMES, VERTEBRA_PREFIX
from paraspinal.anatomy.given.place import check_place
from paraspinal.anatomy.given.ribs import RIB_NUMBERS, renamed_ribs
from paraspinal.anatomy.given.types import StructureSet, merged, structure
from paraspinal.anatomy.given.vertebrae import counted_on, given_vertebrae
from paraspinal.anatomy.labels import STRUCTURE_NUMBERS
from paraspinal.anatomy.spine.levels import VERTEBRA_NUMBERS
from paraspinal.anatomy.types import Anatomy, GivenLabel, Organ, Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, CTVolume, Geometry, LabelMap

CLASSICAL = "classical"
ORGANS = (
    *("liver", "spleen", "kidney_left", "kidney_right", "lung_left", "lung_right", "aorta", "heart"),
    *("autochthon_left", "autochthon_right", "effusion_left", "effusion_right", "psoas_left", "psoas_right"),
)
"""Structures that a given mask replaces as it is. The trachea alone is less than our airway, iliopsoas more than our
psoas and the cord less than our canal: those stay the built-in ones."""
_LOBES = {
    "lung_left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "lung_right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
}
_TOTAL_NUMBERS = {name: number for number, name in TOTAL_NAMES.items()}


def apply_structures(
    found: Anatomy,
    given: StructureSet,
    volume: CTVolume,
    *,
    series_uid: str | None = None,
    levels_fixed: bool = False,
    config: AnatomyConfig | None = None,
) -> Anatomy:
    """Return the anatomy with the given structures in place of the built-in ones.

    Parameters
    ----------
    found : Anatomy
        What the built-in segmenter found.
    given : StructureSet
        On any grid; it is mapped through geometry.
    volume : CTVolume
        The series that `found` belongs to.
    series_uid : str, optional
        Its Series Instance UID, to compare with the one that the masks refer to.
    levels_fixed : bool
        Leave the vertebrae as they are: the user has said which is which, and given names do not overrule that.

    Raises
    ------
    UsageError
        If the masks lie elsewhere, are mirrored, out of order, or do not have the densities of what they name.
    """
    config = config or AnatomyConfig()
    given = _with_lungs(given)
    check_sides(given)
    check_order(given)
    here = on_working_grid(given, found.geometry, min_ml=config.given_min_ml)
    misfit = check_density(here, np.asarray(found.hu), numbers_assumed=given.numbers_assumed, config=config)
    away = check_place(here, np.asarray(found.hu), found.geometry, config=config)
    lobes_missing = _incomplete_lungs(here, given, found, config)
    here = _sided_effusion(here.kept(lambda n: n not in misfit and n not in lobes_missing), found)
    organs = _organs(here, given, found, config)
    if levels_fixed:
        here = here.kept(lambda n: not n.startswith(VERTEBRA_PREFIX))
    vertebrae, numbers, names = _vertebrae(here, found, source_of(given), config)
    ribs, rib_numbers = renamed_ribs(
        found.ribs, found.labels.data, here, names, confidence=config.given_confidence
    )
    masks, sources = _masks(here, found, source_of(given), own_vertebrae=vertebrae is not found.vertebrae)
    plan = _plan(here, given, found)
    notes = _notes(given, volume, found, here, misfit, series_uid, config)
    notes += [
        f"The given lobes are less than the whole {name}; the built-in one was kept."
        for name in lobes_missing
    ]
    if away > 0.0:
        notes.append(
            f"The given bones and lungs fit the CT best {away:.0f} mm away from where they were put."
        )
    return replace(
        found,
        masks={**found.masks, **masks},
        organs={**found.organs, **organs},
        vertebrae=vertebrae,
        ribs=ribs,
        labels=_relabelled(found, plan, here, numbers | rib_numbers),
        notes=(*found.notes, *notes),
        sources=sources,
        given=plan,
    )


def source_of(given: StructureSet) -> str:
    """Return how a result names the segmenter behind given structures."""
    return "totalsegmentator" if given.kind == "totalsegmentator" else "masks"


def _with_lungs(given: StructureSet) -> StructureSet:
    """Unite lobes to lungs."""
    structures = dict(given.structures)
    for name, lobes in _LOBES.items():
        parts = [structures[lobe] for lobe in lobes if lobe in structures]
        if name not in structures and parts and all(p.grid.same_grid(parts[0].grid) for p in parts):
            structures[name] = merged(name, parts)
    return replace(given, structures=structures)


def _incomplete_lungs(
    here: OnGrid, given: StructureSet, found: Anatomy, config: AnatomyConfig
) -> tuple[str, ...]:
    """Name the lungs of which some lobes only were given: a part must not pass for the whole."""
    out = []
    for name, lobes in _LOBES.items():
        missing = [lobe for lobe in lobes if lobe not in given.structures]
        if name not in here or not missing or len(missing) == len(lobes):
            continue
        if np.count_nonzero(here[name]) < config.given_agreement * np.count_nonzero(found.mask(name)):
            out.append(name)
    return tuple(out)


def _sided_effusion(here: OnGrid, found: Anatomy) -> OnGrid:
    """Part an effusion without side at the canal's plane."""
    whole = here.get("pleural_effusion")
    if whole is None or {"effusion_left", "effusion_right"} & here.keys() or not len(found.centreline_lps_mm):
        return here
    grid = found.geometry
    index = grid.to_index(found.centreline_lps_mm)
    order = np.argsort(index[:, 0])
    middle = np.interp(np.arange(grid.shape[0]), index[order, 0], index[order, 2])
    left = np.arange(grid.shape[2])[None, None, :] > middle[:, None, None]
    sides = {"effusion_left": whole & left, "effusion_right": whole & ~left}
    return here.with_masks(sides)


def _masks(
    here: OnGrid, found: Anatomy, source: str, *, own_vertebrae: bool
) -> tuple[dict[str, BoolArray], dict[str, str]]:
    """Return the masks that take the place of the built-in ones, and the source of every structure."""
    masks = {name: here[name] for name in ORGANS if name in here}
    ribs = here.kept(RIB_NUMBERS.__contains__)
    if own_vertebrae:
        masks["vertebrae"] = _union(here.kept(lambda n: n.startswith(VERTEBRA_PREFIX)))
    if ribs:
        # TotalSegmentator's ribs end before the spine; ours begin at it.
        masks["ribs"] = found.mask("ribs") | _union(ribs)
    if {"lung_left", "lung_right"} <= masks.keys():
        masks["lungs"] = masks["lung_left"] | masks["lung_right"]
    sources = dict.fromkeys([*found.masks, *found.organs, "vertebrae"], CLASSICAL)
    sources |= {**found.sources, **dict.fromkeys(masks, source)}
    if ribs:
        sources["ribs"] = f"{source} and {CLASSICAL}"
    return masks, sources


def _union(here: OnGrid) -> BoolArray:
    out = np.zeros(here.shape, bool)
    for region in here.regions.values():
        out[region.box] |= region.mask
    return out


def _organs(here: OnGrid, given: StructureSet, found: Anatomy, config: AnatomyConfig) -> dict[str, Organ]:
    """Return presence and cut sides; where the masks' own grid ends inside the scan, that is a cut, too."""
    organs = {}
    for name in (n for n in ORGANS if n in here):
        reach = config.cut_margin_voxels
        cut = set(cut_sides(here.regions[name], here.shape, found.mask("padding"), margin=(reach,) * 3))
        one = given.structures.get(name)
        if given.bounded and one is not None:
            cut |= set(cut_sides(one.region, one.grid.shape))
        organs[name] = Organ("present", config.given_confidence, tuple(sorted(cut)))
    return organs


def _vertebrae(
    here: OnGrid, found: Anatomy, source: str, config: AnatomyConfig
) -> tuple[tuple[Vertebra, ...], dict[int, int], dict[str, str]]:
    own = given_vertebrae(here, found, source=source, config=config)
    if not own:
        return found.vertebrae, {}, {}
    rest, numbers, names = counted_on(own, found.vertebrae)
    return tuple(sorted((*own, *rest), key=lambda v: -v.s_mm)), numbers, names


def _plan(here: OnGrid, given: StructureSet, found: Anatomy) -> tuple[GivenLabel, ...]:
    """Return the given structures that the label map shows, the last one winning: organs, ribs, vertebrae."""
    numbers = {name: STRUCTURE_NUMBERS.get(name, _TOTAL_NUMBERS.get(name)) for name in ORGANS} | RIB_NUMBERS
    numbers |= {f"{VERTEBRA_PREFIX}{level}": number for level, number in VERTEBRA_NUMBERS.items()}
    out = []
    for name, number in numbers.items():
        if name in here and number is not None:
            one = given.structures.get(name) or structure(name, here[name], found.geometry)
            if one is not None:
                out.append(GivenLabel(number, one))
    return tuple(out)


def _relabelled(
    found: Anatomy, plan: tuple[GivenLabel, ...], here: OnGrid, numbers: Mapping[int, int]
) -> LabelMap:
    """Renumber the built-in vertebrae and ribs, and paint the given structures over the rest."""
    data = found.labels.data.copy()
    if numbers:
        table = np.arange(np.iinfo(np.uint16).max + 1, dtype=np.uint16)
        for old, new in numbers.items():
            table[old] = new
        data = table[data]
    cleared = _cleared(data, plan)
    for item in plan:
        region = here.regions[item.structure.name]
        cleared[region.box][region.mask] = item.number
    extra = {item.number: item.structure.name for item in plan}
    return LabelMap(cleared, found.labels.geometry, {**extra, **found.labels.names})


def _cleared(data: npt.NDArray[np.uint16], plan: Iterable[GivenLabel]) -> npt.NDArray[np.uint16]:
    """Take out what the built-in segmenter put under the numbers of the given organs; ribs are only added to."""
    gone = [item.number for item in plan if item.number not in RIB_NUMBERS.values()]
    data[np.isin(data, gone)] = 0
    return data


def paint_given(
    native: npt.NDArray[np.uint16], given: Iterable[GivenLabel], geometry: Geometry
) -> npt.NDArray[np.uint16]:
    """Paint the given structures voxel by voxel into a label array on the CT's own grid, in place."""
    plan = list(given)
    if not plan:
        return native
    native = _cleared(native, plan)
    for item in plan:
        box = common_box([item.structure], geometry)
        if box is None:
            continue
        start = np.rint(geometry.to_index(box.origin_lps_mm)).astype(int)
        part = native[tuple(slice(a, a + n) for a, n in zip(start, box.shape, strict=True))]
        part[nearest(item.structure, box)] = item.number
    return native


def _notes(
    given: StructureSet,
    volume: CTVolume,
    found: Anatomy,
    here: OnGrid,
    misfit: Mapping[str, float],
    series_uid: str | None,
    config: AnatomyConfig,
) -> list[str]:
    """What has to be known about the masks: doubts about what they belong to, what was left out, and disagreement."""
    notes = [f"Masks: {note}" for note in given.notes]
    if (
        given.series_uid
        and series_uid
        and not series_uid.startswith("derived-")
        and given.series_uid != series_uid
    ):
        notes.append(
            "The masks were made on another series, as they say; they were taken because they fit this one."
        )
    if given.numbers_assumed:
        notes.append(
            "The numbers of the masks were taken for TotalSegmentator's: nothing says what they mean."
        )
    if given.unknown:
        listed = ", ".join(given.unknown[:6])
        notes.append(f"{len(given.unknown)} given labels stand for no structure known here ({listed}).")
    for name, median in misfit.items():
        notes.append(
            f"The given {name} was left out: its median of {median:.0f} HU is not that of the structure."
        )
    notes += _partial(given, volume, here, config)
    notes += _disagreements(found, here, config)
    return notes


def _partial(given: StructureSet, volume: CTVolume, here: OnGrid, config: AnatomyConfig) -> list[str]:
    out = []
    for name in (n for n in ORGANS if n in here and n in given.structures):
        share = outside_share(given.structures[name], volume.geometry)
        if share > 1.0 - config.given_inside_share:
            out.append(f"{100 * share:.0f} % of the given {name} lies outside the scan.")
    return out


def _disagreements(found: Anatomy, here: OnGrid, config: AnatomyConfig) -> list[str]:
    out = []
    for name in (n for n in ORGANS if n in here and n in found.masks):
        organ = found.organs.get(name)
        if organ is None or organ.presence != "present":
            continue
        overlap = dice(here[name], found.mask(name))
        if overlap is not None and overlap < config.given_agreement:
            out.append(f"The given {name} and the built-in segmenter's agree poorly (Dice {overlap:.2f}).")
    return out
