"""The form of end plates: slightly hollow, sunk in their middle, hollow as a whole, or with a node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paraspinal.phantom.levels import LEVELS
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import BoneSpec
from paraspinal.phantom.spine import VertebraPlan

_USUAL_MM = 1.1  # hollow of a healthy plate
_STEP_MM = 0.8  # over which a sunken middle falls
_NODE_MM = 4.0  # radius of a Schmorl node
_NODE_OFF_MM = 5.0
_NODE_EVERY = 3  # plates
_INNER, _RIM = 0.5, (0.65, 0.85)  # of the radius
_AROUND = np.deg2rad(np.arange(0.0, 360.0, 10.0))  # 0 = anterior
_SECTOR = np.deg2rad(40.0)


def plate_hollow(u: Field, v: Field, w: Field, plan: VertebraPlan, bone: BoneSpec) -> Field:
    """Return how far (mm) the end plate above or below lies under a flat one, at places left, back, up of a body."""
    s = plan.size
    x, y = u / (s.width / 2), v / (s.depth / 2)
    radius2 = np.minimum(x**2 + y**2, 1.0)
    usual = _USUAL_MM * (1.0 - radius2)
    if bone.endplates == "biconcave":
        return np.asarray(np.maximum(usual, bone.endplate_mm * (1.0 - radius2)), np.float32)
    if bone.endplates == "h_shaped":
        off = np.maximum(np.abs(u) - s.width / 6, np.abs(v) - s.depth / 6)
        return np.asarray(usual + bone.endplate_mm * np.clip(0.5 - off / _STEP_MM, 0.0, 1.0), np.float32)
    if bone.endplates == "schmorl":
        return np.asarray(np.maximum(usual, _node(u, v, w, plan, bone)), np.float32)
    return np.asarray(usual, np.float32)


def _node(u: Field, v: Field, w: Field, plan: VertebraPlan, bone: BoneSpec) -> Field:
    """Return the hollow of one node in every third plate, to either side of the middle."""
    number = 2 * LEVELS.index(plan.level) if plan.level in LEVELS else 0
    out = np.zeros(np.broadcast_shapes(u.shape, v.shape, w.shape), np.float32)
    for k, sign in ((number, 1.0), (number + 1, -1.0)):
        if k % _NODE_EVERY:
            continue
        turn = 2.4 * k
        off = np.hypot(u - _NODE_OFF_MM * np.cos(turn), v - _NODE_OFF_MM * np.sin(turn))
        depth = bone.endplate_mm * np.clip(1.2 * (1.0 - (off / _NODE_MM) ** 2), 0.0, 1.0)
        out = np.where(sign * w > 0.0, np.maximum(out, depth), out)
    return out


def deepest_mm(bone: BoneSpec) -> float:
    """Return how far a disc reaches into a body."""
    return 0.0 if bone.endplates == "normal" else bone.endplate_mm


def plate_truth(plans: Sequence[VertebraPlan], bone: BoneSpec) -> dict[str, dict[str, float]]:
    """Return ``endplate_depression_mm`` and ``height_ratio`` of every vertebra (`docs/measurements.md`).

    `plans` are neighbours in their order; the expected height is the greatest that the vertebra itself or, by their
    median, its two neighbours on either side show.
    """
    heights = [_heights(plan, bone) for plan in plans]
    most = [float(own.max()) for own in heights]
    out = {}
    for k, (plan, own) in enumerate(zip(plans, heights, strict=True)):
        near = [most[j] for j in range(max(0, k - 2), min(len(most), k + 3)) if j != k]
        usual = max(most[k], float(np.median(near))) if near else most[k]
        depth = max(_depression(plan, bone, sign) for sign in (1.0, -1.0))
        out[plan.level] = {
            "endplate_depression_mm": round(depth, 3),
            "height_ratio": round(float(own.min()) / usual, 3),
        }
    return out


def _at(plan: VertebraPlan, bone: BoneSpec, share: Field, turn: Field, sign: float) -> Field:
    u = np.asarray(share * np.sin(turn) * plan.size.width / 2, np.float32)
    v = np.asarray(-share * np.cos(turn) * plan.size.depth / 2, np.float32)
    return plate_hollow(u, v, np.full(u.shape, sign, np.float32), plan, bone)


def _depression(plan: VertebraPlan, bone: BoneSpec, sign: float) -> float:
    shares, turns = np.meshgrid(np.linspace(0.0, _INNER, 6), _AROUND, indexing="ij")
    rim, around = np.meshgrid(np.linspace(*_RIM, 5), _AROUND, indexing="ij")
    inner, outer = (
        _at(plan, bone, np.asarray(r), np.asarray(t), sign) for r, t in ((shares, turns), (rim, around))
    )
    return float(inner.max() - outer.mean())


def _heights(plan: VertebraPlan, bone: BoneSpec) -> Field:
    """Return the anterior, middle and posterior height (mm)."""
    out = []
    for low, high, turn in ((*_RIM, 0.0), (0.0, 0.3, None), (*_RIM, np.pi)):
        turns = _AROUND if turn is None else turn + np.linspace(-_SECTOR, _SECTOR, 9)
        share, around = np.meshgrid(np.linspace(low, high, 5), turns, indexing="ij")
        gone = sum(
            float(_at(plan, bone, np.asarray(share), np.asarray(around), s).mean()) for s in (1.0, -1.0)
        )
        out.append(plan.size.height - gone)
    return np.asarray(out)
