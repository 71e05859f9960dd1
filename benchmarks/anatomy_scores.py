"""Scores of a found anatomy against a truth: overlap, surface distance, centreline, levels, ribs.

Every function takes arrays or value objects and returns plain numbers, so that unseen scans are scored as the printed
ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy import Anatomy
from paraspinal.volume import BoolArray, Geometry

Record = dict[str, Any]
Array = npt.NDArray[Any]

# TotalSegmentator's `total` task, version 2, by our names. A region that the two define differently is not compared.
GIVEN: Mapping[str, tuple[int, ...]] = {
    "lungs": (10, 11, 12, 13, 14),
    "airway": (16,),
    "heart": (51,),
    "aorta": (52,),
    "liver": (5,),
    "spleen": (1,),
    "kidney_left": (3,),
    "kidney_right": (2,),
    "autochthon_left": (86,),
    "autochthon_right": (87,),
}
CORD = 79
VERTEBRAE = range(26, 51)
RIBS = range(92, 116)
UNNAMED_RIBS = (203, *range(240, 264))
MIN_ML = 5.0
RIB_CLEAR_MM = 30.0
# Rib heads against the canal's middle, in mm: to the side and to the front (half canal, pedicle, facet).
_HEAD_MM = (20.0, 12.0)
_MIN_CORD_MM2 = 25.0
CONFIDENT = 0.9
_ALTERNATIVE = 0.05


def sampled(
    data: Array, grid: Geometry, onto: Geometry, *, move: Callable[[Array], Array] | None = None
) -> Array:
    """Return an array of `grid` at the voxels of `onto` (nearest voxel; 0 outside).

    `move` takes LPS points of the frame of `onto` to that of `grid` where the two differ.
    """
    if move is None and np.allclose(grid.axes_lps, onto.axes_lps, atol=1e-6):
        return _sampled_along_axes(data, grid, onto)
    out = np.zeros(onto.shape, data.dtype)
    plane = np.argwhere(np.ones(onto.shape[1:], bool))
    for z in range(onto.shape[0]):
        at = onto.to_lps(np.column_stack([np.full(len(plane), z), plane]))
        index = np.rint(grid.to_index(at if move is None else move(at))).astype(np.intp)
        inside = ((index >= 0) & (index < np.asarray(data.shape))).all(axis=1)
        row = np.zeros(len(plane), data.dtype)
        row[inside] = data[tuple(index[inside].T)]
        out[z] = row.reshape(onto.shape[1:])
    return out


def _sampled_along_axes(data: Array, grid: Geometry, onto: Geometry) -> Array:
    """Do the same where the axes are parallel, so that each index depends on one index alone."""
    first = grid.to_index(onto.to_lps((0, 0, 0)))
    wanted = [
        np.rint(first[k] + np.arange(onto.shape[k]) * onto.spacing_mm[k] / grid.spacing_mm[k]).astype(np.intp)
        for k in range(3)
    ]
    inside = [(index >= 0) & (index < n) for index, n in zip(wanted, data.shape, strict=True)]
    out = np.zeros(onto.shape, data.dtype)
    out[np.ix_(*inside)] = data[np.ix_(*(i[ok] for i, ok in zip(wanted, inside, strict=True)))]
    return out


def dice(a: BoolArray, b: BoolArray) -> float:
    """Return the Dice coefficient; NaN where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else float("nan")


def surface_95_mm(a: BoolArray, b: BoolArray, spacing_mm: Sequence[float]) -> float:
    """Return the 95th percentile of the distances of both surfaces to each other; infinite where one is empty."""
    if not a.any() or not b.any():
        return float("inf")
    box = ndimage.find_objects((a | b).astype(np.uint8))[0]
    grown = tuple(slice(max(0, s.start - 1), min(n, s.stop + 1)) for s, n in zip(box, a.shape, strict=True))
    surfaces = [m[grown] & ~ndimage.binary_erosion(m[grown], border_value=1) for m in (a, b)]
    if not all(s.any() for s in surfaces):  # one fills its box to the scan's ends
        return float("nan")
    far = [edt.edt(np.ascontiguousarray(~s), anisotropy=tuple(spacing_mm), parallel=2) for s in surfaces]
    return float(np.percentile(np.concatenate([far[1][surfaces[0]], far[0][surfaces[1]]]), 95))


def compare_masks(ours: BoolArray, truth: BoolArray, grid: Geometry) -> Record:
    """Return Dice, both volumes (mL), the 95 % surface distance (mm) and the ends at which the truth is cut."""
    ends = [name for name, plane in (("inferior", truth[0]), ("superior", truth[-1])) if plane.any()]
    return {
        "dice": dice(ours, truth),
        "ours_ml": np.count_nonzero(ours) * grid.voxel_ml,
        "truth_ml": np.count_nonzero(truth) * grid.voxel_ml,
        "surface_95_mm": surface_95_mm(ours, truth, grid.spacing_mm),
        "cut": ends,
    }


def score_structures(found: Anatomy, given: Array, grid: Geometry) -> dict[str, Record]:
    """Return the comparison of every soft structure of at least 5 mL in the given labels."""
    out = {}
    for name, numbers in GIVEN.items():
        truth = np.isin(given, numbers)
        if np.count_nonzero(truth) * grid.voxel_ml < MIN_ML:
            continue
        mask = sampled(found.mask(name), found.geometry, grid)
        out[name] = compare_masks(mask, truth, grid)
        organ = found.organs.get(name)
        out[name]["presence"] = organ.presence if organ else None
    return out


def score_vertebrae(ours: Array, given: Array, grid: Geometry) -> dict[str, Record]:
    """Return the comparison of each given vertebra with the one of ours that overlaps it most, whatever its name.

    Vertebrae of which the scan's end leaves less than half the height of the others are not scored.
    """
    out: dict[str, Record] = {}
    heights = {n: np.flatnonzero((given == n).any(axis=(1, 2))) for n in VERTEBRAE if (given == n).any()}
    whole = [len(z) for z in heights.values() if z[0] > 0 and z[-1] < given.shape[0] - 1]
    typical = float(np.median(whole)) if whole else max((len(z) for z in heights.values()), default=0)
    for number, z in heights.items():
        truth = given == number
        ml = np.count_nonzero(truth) * grid.voxel_ml
        if ml < MIN_ML or len(z) < 0.5 * typical:
            continue
        over = np.bincount(ours[truth])
        numbers = [n for n in np.flatnonzero(over) if n in VERTEBRAE or 210 <= n < 240]
        best = max(numbers, key=lambda n: int(over[n]), default=-1)
        out[str(number)] = compare_masks(ours == best, truth, grid) | {"number": int(best)}
    return out


def beyond_heads(grid: Geometry, centreline: Array) -> BoolArray:
    """Return the voxels farther than 30 mm in the slice from where a rib's head must lie, on either side."""
    line = centreline[np.argsort(centreline[:, 2])]
    middle = np.array([(n - 1) / 2 for n in grid.shape])
    out = np.zeros(grid.shape, bool)
    y, x = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    for z in range(grid.shape[0]):
        height = grid.to_lps([z, middle[1], middle[2]])[2]
        canal = [float(np.interp(height, line[:, 2], line[:, k])) for k in (0, 1)]
        at = grid.to_lps(np.stack([np.full_like(y, z), y, x], axis=-1))
        far = [
            np.hypot(at[..., 0] - canal[0] - side * _HEAD_MM[0], at[..., 1] - canal[1] + _HEAD_MM[1])
            for side in (-1, 1)
        ]
        out[z] = np.minimum(*far) > RIB_CLEAR_MM
    return out


def score_ribs(ours: Array, given: Array, grid: Geometry, centreline: Array, rib_mask: BoolArray) -> Record:
    """Return Dice beyond 30 mm from the heads (all ribs as one; each with ours that overlaps it most), and the names.

    ``right`` counts numbers, and with them sides; ``unnamed`` what we left without a number, or did not find.
    """
    truth = np.isin(given, list(RIBS))
    if np.count_nonzero(truth) * grid.voxel_ml < 1.0:
        return {}
    clear = beyond_heads(grid, centreline)
    each, right, wrong_side, unnamed = {}, 0, 0, 0
    for number in RIBS:
        own = (given == number) & clear
        if np.count_nonzero(own) * grid.voxel_ml < 1.0:
            continue
        over = np.bincount(ours[own], minlength=264)
        over[[n for n in range(len(over)) if not (n in RIBS or n in UNNAMED_RIBS)]] = 0
        best = int(over.argmax()) if over.any() else -1
        named = best in RIBS
        right += best == number
        unnamed += not named
        wrong_side += named and ((best < 104) != (number < 104))
        each[str(number)] = {"dice": dice((ours == best) & clear, own), "ours": best}
    return {
        "dice_all": dice(rib_mask & clear, truth & clear),
        "each": each,
        "right": right,
        "unnamed": unnamed,
        "wrong_side": wrong_side,
        "of": len(each),
    }


def score_centreline(centreline: Array, given: Array, grid: Geometry) -> Record:
    """Return mean and largest distance (mm) in the slice from the middle of the spinal cord label.

    Slices in which the label is a crumb, smaller than any cord, are left out.
    """
    line = centreline[np.argsort(centreline[:, 2])]
    far, beyond = [], 0
    for z in np.flatnonzero((given == CORD).any(axis=(1, 2))):
        y, x = np.nonzero(given[z] == CORD)
        if y.size * grid.spacing_mm[1] * grid.spacing_mm[2] < _MIN_CORD_MM2:
            continue
        middle = grid.to_lps([z, y.mean(), x.mean()])
        if not line[0, 2] - 2.0 <= middle[2] <= line[-1, 2] + 2.0:
            beyond += 1
            continue
        at = [np.interp(middle[2], line[:, 2], line[:, k]) for k in (0, 1)]
        far.append(float(np.hypot(*(middle[:2] - at))))
    if not far:
        return {"slices": 0, "untraced": beyond}
    return {
        "mean_mm": float(np.mean(far)),
        "max_mm": float(np.max(far)),
        "slices": len(far),
        "untraced": beyond,
    }


def judge_level(label: str, probabilities: Mapping[str, float], truth: Iterable[str]) -> str:
    """Return ``right``, ``wrong``, ``uncertain`` (truth among the alternatives) or ``lost`` for one vertebra.

    ``right`` and ``wrong`` are confident statements: the likeliest name has at least 90 %.
    """
    names = set(truth)
    if probabilities.get(label, 0.0) >= CONFIDENT:
        return "right" if label in names else "wrong"
    likely = {name for name, p in probabilities.items() if p >= _ALTERNATIVE} | {label}
    return "uncertain" if names & likely else "lost"


_NO_TRUTH_MM = 20.0  # farther from every true vertebra than half a lumbar one: the truth does not reach there


def score_levels(found: Anatomy, truth: Sequence[tuple[str, float]]) -> Record:
    """Score every vertebra against the nearest true one; those that lie beyond the true ones are left out.

    Parameters
    ----------
    truth : sequence of (str, float)
        Name and LPS z of the body's middle.
    """
    heights = np.array([z for _, z in truth])
    verdicts = {"right": 0, "wrong": 0, "uncertain": 0, "lost": 0, "first": 0}
    seen = 0
    for vertebra in found.vertebrae:
        off = np.abs(heights - vertebra.centroid_lps_mm[2])
        if off.min() > _NO_TRUTH_MM:
            continue
        seen += 1
        name = truth[int(np.argmin(off))][0]
        verdicts[judge_level(vertebra.label, vertebra.label_probabilities, (name,))] += 1
        verdicts["first"] += vertebra.label == name
    return verdicts | {"of": seen}


def score_level_sequence(found: Anatomy, truth: Sequence[str]) -> Record:
    """Score vertebrae against true names listed from the head down, without heights; ends may differ by one."""
    ours = found.vertebrae
    best: Record = {}
    for shift in (0, -1, 1) if len(ours) != len(truth) else (0,):
        verdicts = {"right": 0, "wrong": 0, "uncertain": 0, "lost": 0, "first": 0}
        for k, vertebra in enumerate(ours):
            name = truth[k + shift] if 0 <= k + shift < len(truth) else "(none)"
            verdicts[judge_level(vertebra.label, vertebra.label_probabilities, (name,))] += 1
            verdicts["first"] += vertebra.label == name
        if not best or verdicts["first"] > best["first"]:
            best = verdicts
    return best | {"of": len(ours), "ours": [f"{v.label} {v.confidence:.2f}" for v in ours]}
