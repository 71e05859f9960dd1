"""Where a mass could have been seen, and where not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import distance_inside
from paraspinal.anatomy.types import Anatomy, Vertebra
from paraspinal.config import MassConfig
from paraspinal.masses.compartments import Compartments
from paraspinal.masses.heights import psoas_top_s
from paraspinal.result import Coverage, Side
from paraspinal.volume import BoolArray, CTVolume

_LISTED = 0.05  # smaller shares are not worth a word
_SIDES: tuple[Side, Side] = ("left", "right")


def assess_coverage(
    volume: CTVolume,
    anatomy: Anatomy,
    places: Compartments,
    hidden: Mapping[str, BoolArray],
    noise_hu: npt.NDArray[np.float32],
    *,
    config: MassConfig,
) -> tuple[Coverage, ...]:
    """Return the assessed share of the compartment per vertebra and side.

    A part of a compartment is not assessed where it lies outside the scan (the vertebra is cut, the field of view or
    its padding ends beside the spine), or where something of `hidden` (reason → mask in the spine box) fills it. Two
    parts are judged, and the worse one counts: what lies next to the column, where every paraspinal mass begins, and
    the whole compartment, into which it grows.
    """
    where = anatomy.spine
    zone = places.zone & ~anatomy.mask("padding")[where.box]
    s, left, near = where.s[zone], where.left[zone], places.to_column_mm[zone] < config.near_column_mm
    taken = {reason: mask[zone] for reason, mask in hidden.items()}
    limits = _detectable_mm(volume, anatomy, s, noise_hu[zone], config=config)
    beyond = _outside_scan(anatomy, places, config=config)
    out = []
    for vertebra in anatomy.vertebrae:
        if vertebra.label[0] not in "TL":  # the compartment reaches from the lung's apex to L5
            continue
        low, high = _extent(vertebra)
        shown = (min(high, anatomy.spine_length_mm) - max(low, 0.0)) / max(high - low, 1e-6)
        shown = float(np.clip(shown, 0.0, 1.0))
        for side in _SIDES:
            here = (s > low) & (s < high) & ((left > 0) if side == "left" else (left < 0))
            missing = beyond.between(low, high, side)
            parts = [
                _judged(part, taken, shown, lost)
                for part, lost in (
                    (near & here, int((missing < config.near_column_mm).sum())),
                    (here, missing.size),
                )
            ]
            detectable = limits[near & here]
            out.append(_row(vertebra, side, min(parts, key=lambda part: part.assessed), detectable))
    return tuple(out)


def _extent(vertebra: Vertebra) -> tuple[float, float]:
    half = 0.5 * abs(vertebra.top_mm - vertebra.bottom_mm)
    return vertebra.s_mm - half, vertebra.s_mm + half


@dataclass(frozen=True, slots=True)
class _Part:
    """The assessed share of a part of one compartment, and what took the rest."""

    assessed: float
    reasons: tuple[str, ...]


def _judged(zone: BoolArray, hidden: Mapping[str, BoolArray], shown: float, beyond: int) -> _Part:
    """Judge one part, voxels of the compartment in a row.

    `shown` is the share of the level along the spine, `beyond` its voxels beside the scan.
    """
    size = int(zone.sum())
    seen = shown * size / max(1, size + beyond)
    reasons = []
    if seen < 1.0 - _LISTED and size + beyond:
        reasons.append(f"{1 - seen:.0%} of the level lies outside the scan")
    lost = np.zeros(size, bool)
    for reason, mask in hidden.items():
        inside = mask[zone]
        share = float(inside.sum()) / max(1, size)
        if share > _LISTED:
            reasons.append(f"{share:.0%} {_HOW.get(reason, 'filled by')} {reason}")
        lost |= inside
    if size + beyond == 0:
        reasons.append("no paravertebral space was found at this level")
    return _Part(seen * (1.0 - float(lost.sum()) / max(1, size)), tuple(reasons))


def _row(vertebra: Vertebra, side: Side, part: _Part, detectable_mm: npt.NDArray[np.float32]) -> Coverage:
    return Coverage(
        level=vertebra.label,
        level_confidence=vertebra.confidence,
        side=side,
        assessed_fraction=round(float(np.clip(part.assessed, 0.0, 1.0)), 3),
        reasons=part.reasons,
        min_detectable_mm=round(float(np.median(detectable_mm)), 1) if detectable_mm.size else None,
    )


_HOW = {"metal": "near", "noise": "lost in", "interpolated_slices": "on"}
"""How a reason hides, where it does not fill the space."""


def _detectable_mm(
    volume: CTVolume,
    anatomy: Anatomy,
    s: npt.NDArray[np.float32],
    noise_hu: npt.NDArray[np.float32],
    *,
    config: MassConfig,
) -> npt.NDArray[np.float32]:
    """Diameter (mm) of the smallest mass that would be a candidate, at arc lengths `s` with noise SD `noise_hu`.

    Twice the smallest inscribed radius (larger beside psoas) and what the search itself takes from it, a voxel of the
    working grid, what a thick slice averages away beyond that, and what noise frays from the border.
    """
    spacing = max(anatomy.geometry.spacing_mm)
    below = psoas_top_s(anatomy) - s
    # A mass within psoas is told from it where both together are thicker than a psoas can be.
    thickest = np.maximum(config.lumbar_min_radius_mm, config.psoas_radius_mm + config.psoas_widens * below)
    radius = np.where(below > 0.0, thickest, config.min_radius_mm)
    slice_mm = max(0.0, volume.effective_slice_mm - spacing)
    noise = np.nan_to_num(noise_hu)
    return np.asarray(
        2.0 * (radius + config.depth_loss_mm) + spacing + slice_mm + config.noise_frays_mm * noise, np.float32
    )


@dataclass(frozen=True, slots=True)
class _Beyond:
    """The voxels of the compartment beside the field of view: arc length, left, distance to the column (mm)."""

    s: npt.NDArray[np.float32]
    left: npt.NDArray[np.float32]
    to_column_mm: npt.NDArray[np.float32]

    def between(self, low: float, high: float, side: Side) -> npt.NDArray[np.float32]:
        """Distances to the column of the voxels of one level and side."""
        inside = (self.s > low) & (self.s < high) & ((self.left > 0) if side == "left" else (self.left < 0))
        return np.asarray(self.to_column_mm[inside])


def _outside_scan(anatomy: Anatomy, places: Compartments, *, config: MassConfig) -> _Beyond:
    """Find the part of the compartment that the scan should show and does not: beside the grid, or padding.

    The coordinates are continued beyond the grid by odd reflection, which is linear extrapolation.
    """
    where, spacing = anatomy.spine, anatomy.geometry.spacing_mm
    pad = [(0, 0)]
    for cut, n, h in zip(where.box[1:], anatomy.geometry.shape[1:], spacing[1:], strict=True):
        reach = int(np.ceil(config.lateral_mm / h))
        pad.append((reach if cut.start == 0 else 0, reach if cut.stop == n else 0))

    def continued(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.pad(field, pad, mode="reflect", reflect_type="odd")

    s, left, anterior = (continued(f) for f in (where.s, where.left, where.anterior))
    column = np.pad(anatomy.mask("column")[where.box], pad)
    outside = np.pad(anatomy.mask("padding")[where.box], pad, constant_values=True)
    expected = outside & ~column & (np.abs(left) < config.lateral_mm)
    expected &= (anterior > config.posterior_limit_mm) & (anterior < places.front_mm + config.anterior_mm)
    expected &= (s > 0) & (s < anatomy.spine_length_mm)
    distance = distance_inside(~column, spacing) if expected.any() else np.zeros(column.shape, np.float32)
    return _Beyond(s[expected], left[expected], distance[expected])
