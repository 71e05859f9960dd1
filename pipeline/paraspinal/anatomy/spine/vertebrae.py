"""Vertebrae along the traced canal: borders, level evidence, names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import components
from paraspinal.anatomy.ribs.instances import RibTrack
from paraspinal.anatomy.spine.coordinates import SpineCoordinates
from paraspinal.anatomy.spine.discs import DiscBorders
from paraspinal.anatomy.spine.levels import (
    UNCERTAIN_NUMBERS,
    VERTEBRA_NUMBERS,
    LevelEvidence,
    Naming,
    label_probabilities,
)
from paraspinal.anatomy.spine.straighten import SpineFrame
from paraspinal.anatomy.types import Vertebra
from paraspinal.config import AnatomyConfig
from paraspinal.volume import BoolArray, Geometry

_PEDICLE_HEIGHT = (
    0.68  # of the distance from the lower to the upper disc; where a rib's neck meets its vertebra
)

_SLOPES_OUT_MM = 25.0  # a rib falls up to this much between its head and the sheet where it is picked up
_AT_EDGE_MM = 4.0  # two working voxels: bone that ends this close to the edge of the field is cut by it


def read_level_evidence(
    borders: DiscBorders,
    ribs: Sequence[RibTrack],
    bone: BoolArray,
    lungs: BoolArray,
    padding: BoolArray,
    carina_z: float | None,
    frame: SpineFrame,
    where: SpineCoordinates,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> LevelEvidence:
    """Read ribs, sacral wings, spacing, lung ends and carina per vertebra (caudal first).

    What the field of view does not show says nothing: ribs and lung ends are read only where it reaches as far to the
    side as a rib must (``rib_sure_reach_mm``).
    """
    low, high = borders.s_mm[:-1], borders.s_mm[1:]
    pedicle = low + _PEDICLE_HEIGHT * (high - low)
    sacral = _sacral_wings(bone[where.box], where, low, high)
    field = _field_mm(pedicle, padding[where.box], where)
    reach, reach_cut = _reaches(pedicle, ribs, field, frame.length_mm, config=config)
    rib = _rib_likely(reach[:, : len(low)], field, config=config)
    whole = (low >= -3.0) & (high <= frame.length_mm + 3.0)
    wide = np.all(field >= config.rib_sure_reach_mm, axis=0)
    apex, recess = _lung_ends(lungs[where.box], frame, where, borders)
    apex, recess = (_if_wide(end, wide) for end in (apex, recess))
    carina = float("nan")
    if carina_z is not None:
        carina = _vertebra_index(carina_z * grid.spacing_mm[0], frame, borders)
    return LevelEvidence(
        spacing_mm=np.where(whole, high - low, np.nan),
        rib=rib,
        sacral=sacral,
        apex=apex,
        recess=recess,
        carina=carina,
        crest=_crest(bone, lungs, frame, borders, grid),
        reach_mm=reach,
        reach_cut=reach_cut,
        loose=not any(rib.headed and rib.reach_mm > config.rib_min_reach_mm for rib in ribs),
    )


def _reaches(
    pedicle: npt.NDArray[np.float64],
    ribs: Sequence[RibTrack],
    field_mm: npt.NDArray[np.float64],
    length_mm: float,
    *,
    config: AnatomyConfig,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return how far bone reaches to the left and right per place, and whether that is a lower bound.

    No bone beyond the sheet counts as 0 where the scan would show a rib: wide enough, and high enough above its lower
    end, which ribs slope out of.
    """
    count = max([len(pedicle), *(t.place + 1 for t in ribs if t.place is not None)])
    reach = np.full((2, count), np.nan)
    cut = np.zeros((2, count), bool)
    inside = (pedicle > _SLOPES_OUT_MM) & (pedicle < length_mm - 2.0)
    reach[:, : len(pedicle)][(field_mm >= config.rib_min_reach_mm) & inside] = 0.0
    for track in ribs:
        if track.place is None or track.place < 0:
            continue
        side = 0 if track.side == "left" else 1
        if not np.isfinite(reach[side, track.place]) or track.reach_mm > reach[side, track.place]:
            reach[side, track.place] = track.reach_mm
            edge = field_mm[side, track.place] if track.place < len(pedicle) else np.inf
            at_edge = edge < config.rib_sure_reach_mm and track.reach_mm > edge - _AT_EDGE_MM
            cut[side, track.place] = track.cut or at_edge
    return reach, cut


def _rib_likely(
    reach: npt.NDArray[np.float64], field_mm: npt.NDArray[np.float64], *, config: AnatomyConfig
) -> npt.NDArray[np.float64]:
    """Probability that each vertebra bears ribs, from how far its bone reaches beyond a process.

    Short bone says nothing where the field of view is too narrow to show a longer one.
    """
    lowest, sure = config.rib_min_reach_mm, config.rib_sure_reach_mm
    known = np.isfinite(reach) & ((reach >= lowest) | (field_mm >= lowest))
    each = np.where(known, np.clip((reach - lowest + 2.0) / (sure - lowest), 0.0, 1.0), 0.0)
    return np.where(known.any(axis=0), each.sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _field_mm(
    pedicle: npt.NDArray[np.float64], padding: BoolArray, where: SpineCoordinates
) -> npt.NDArray[np.float64]:
    """How far the scan reaches to the left and right of the canal at each pedicle, [side, vertebra], mm."""
    out = np.zeros((2, len(pedicle)))
    depth = ~padding & (np.abs(where.anterior) < 20.0)
    for k, s in enumerate(pedicle):
        lateral = where.left[depth & (np.abs(where.s - s) < 4.0)]
        if lateral.size:
            out[:, k] = max(0.0, float(lateral.max())), max(0.0, -float(lateral.min()))
    return out


def _if_wide(end: float, wide: npt.NDArray[np.bool_]) -> float:
    """Return the place of a lung's end, NaN where the field of view is too narrow there to show it."""
    if not np.isfinite(end):
        return end
    near = wide[np.clip([int(np.floor(end)), int(np.ceil(end))], 0, len(wide) - 1)]
    return end if near.all() else float("nan")


def _sacral_wings(
    bone: BoolArray, where: SpineCoordinates, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Share of bone where the sacral wings would be, beside the body; the smaller side counts."""
    lateral = np.abs(where.left)
    region = (lateral > 24.0) & (lateral < 38.0) & (where.anterior > 0.0) & (where.anterior < 14.0)
    out = np.full(len(low), np.nan)
    for k, (lo, hi) in enumerate(zip(low, high, strict=True)):
        here = region & (where.s > lo + 0.3 * (hi - lo)) & (where.s < hi)
        sides = [here & (where.left > 0), here & (where.left < 0)]
        if min(int(side.sum()) for side in sides) < 20:
            continue
        share = min(float(bone[side].mean()) for side in sides)
        out[k] = np.clip((share - 0.1) / 0.25, 0.0, 1.0)
    return out


def _lung_ends(
    lungs: BoolArray, frame: SpineFrame, where: SpineCoordinates, borders: DiscBorders
) -> tuple[float, float]:
    """Fractional vertebra index of the top and bottom of the lung beside the spine; NaN where the trace ends."""
    beside = (
        lungs & (np.abs(where.left) > 22.0) & (np.abs(where.left) < 75.0) & (np.abs(where.anterior) < 35.0)
    )
    arc = where.s[beside]
    if arc.size < 200:
        return float("nan"), float("nan")
    ends = []
    for s, limit in ((np.percentile(arc, 99.9), frame.length_mm - 6.0), (np.percentile(arc, 0.1), 6.0)):
        cut = s > limit if limit > 6.0 else s < limit
        ends.append(float("nan") if cut else _index_at(float(s), borders))
    return ends[0], ends[1]


def _vertebra_index(z_mm: float, frame: SpineFrame, borders: DiscBorders) -> float:
    """Fractional vertebra index at a height of the working grid; NaN outside the trace."""
    if not frame.points[0, 0] <= z_mm <= frame.points[-1, 0]:
        return float("nan")
    return _index_at(float(np.interp(z_mm, frame.points[:, 0], np.arange(len(frame.points)))), borders)


_CREST_LATERAL_MM, _CREST_MIN_ML, _CREST_APART_MM = 45.0, 15.0, 16.0
"""The iliac crest lies farther from the midline; each side shows so much bone; their tops differ by no more."""


def _crest(
    bone: BoolArray, lungs: BoolArray, frame: SpineFrame, borders: DiscBorders, grid: Geometry
) -> float:
    """Fractional vertebra index of the top of the iliac crests; NaN where both are not in view.

    The pelvis is the largest bone far from the midline that begins below all lung, on both sides at one height.
    """
    below = int(np.flatnonzero(lungs.any(axis=(1, 2)))[0]) if lungs.any() else bone.shape[0]
    part = bone[:below]
    if len(part) == 0:
        return float("nan")
    z = np.arange(len(part)) * grid.spacing_mm[0]
    x = np.arange(bone.shape[2]) * grid.spacing_mm[2]
    offset = x[None, :] - np.interp(z, frame.points[:, 0], frame.points[:, 2])[:, None]
    tops = []
    for sign in (1.0, -1.0):
        labels, counts = components(part & (sign * offset > _CREST_LATERAL_MM)[:, None, :])
        if counts.size < 2 or counts[1:].max() * grid.voxel_ml < _CREST_MIN_ML:
            return float("nan")
        slices = (labels == 1 + int(np.argmax(counts[1:]))).any(axis=(1, 2))
        tops.append(float(np.flatnonzero(slices)[-1]) * grid.spacing_mm[0])
        if slices[-1] or not slices[: max(1, len(slices) // 2)].any():
            return float("nan")  # it goes on upwards, beside the lung: ribs or shoulder
    if abs(tops[0] - tops[1]) > _CREST_APART_MM:
        return float("nan")
    return _vertebra_index(0.5 * (tops[0] + tops[1]), frame, borders)


def _index_at(s: float, borders: DiscBorders) -> float:
    return float(np.interp(s, borders.s_mm, np.arange(len(borders.s_mm)))) - 0.5


def name_vertebrae(
    borders: DiscBorders,
    evidence: LevelEvidence,
    posterior: tuple[Naming, ...],
    frame: SpineFrame,
    grid: Geometry,
    *,
    config: AnatomyConfig,
) -> tuple[Vertebra, ...]:
    """Return the vertebrae, cranial first, each with its label probabilities and the evidence in words."""
    named = label_probabilities(posterior, len(evidence.rib))
    out = []
    for k, probabilities in enumerate(named):
        low, high = float(borders.s_mm[k]), float(borders.s_mm[k + 1])
        if not probabilities:
            continue
        if min(high, frame.length_mm) - max(low, 0.0) < config.min_vertebra_share * (high - low):
            continue
        label = max(probabilities, key=lambda name: probabilities[name])
        middle, bottom, top = (
            grid.to_lps(frame.position(s, config.column_centre_mm)[0] / np.asarray(grid.spacing_mm))
            for s in ((max(low, 0.0) + min(high, frame.length_mm)) / 2, low, high)
        )
        cut = tuple(
            side
            for side, hit in (("inferior", low < -3.0), ("superior", high > frame.length_mm + 3.0))
            if hit
        )
        out.append(
            Vertebra(
                label=label,
                label_probabilities=probabilities,
                centroid_lps_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
                top_mm=float(top[2]),
                bottom_mm=float(bottom[2]),
                s_mm=0.5 * (low + high),
                number=label_number(label, float(probabilities[label]), k, config=config),
                confidence=float(probabilities[label]),
                evidence=_evidence_words(evidence, k),
                truncated=cut,
            )
        )
    return tuple(out[::-1])


def label_number(label: str, probability: float, place: int, *, config: AnatomyConfig) -> int:
    """Return the label-map number: the name's own, or one that says that the level is uncertain.

    A wrong vertebra number in a label map is used without anybody asking for its probability.
    """
    sure = probability >= config.min_level_confidence
    return VERTEBRA_NUMBERS[label] if sure else UNCERTAIN_NUMBERS[min(place, len(UNCERTAIN_NUMBERS) - 1)]


def _evidence_words(evidence: LevelEvidence, k: int) -> tuple[str, ...]:
    words = ["set by the user"] if k in evidence.fixed else []
    rib, sacral = evidence.rib[k], evidence.sacral[k]
    if np.isfinite(rib):
        words.append(
            "ribs on both sides" if rib > 0.9 else f"rib evidence {rib:.2f}" if rib > 0.1 else "no rib"
        )
    if np.isfinite(sacral) and sacral > 0.3:
        words.append(f"sacral wings {sacral:.2f}")
    for name, index in (
        ("lung apex", evidence.apex),
        ("lowest lung", evidence.recess),
        ("carina", evidence.carina),
        ("iliac crest", evidence.crest),
    ):
        if np.isfinite(index) and round(index) == k:
            words.append(f"{name} at this level")
    if np.isfinite(evidence.spacing_mm[k]):
        words.append(f"disc-to-disc {evidence.spacing_mm[k]:.0f} mm")
    return tuple(words)
