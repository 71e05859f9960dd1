"""The cases that `benchmarks/anatomy.py` runs, each a function from plain arguments to a plain record.

They run in processes of their own: peak memory is their own, and what one case breaks is lost to that case alone.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import re
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from anatomy_scores import (
    MIN_ML,
    RIBS,
    UNNAMED_RIBS,
    Record,
    compare_masks,
    dice,
    sampled,
    score_centreline,
    score_level_sequence,
    score_levels,
    score_ribs,
    score_structures,
    score_vertebrae,
)

from paraspinal import measure, quality
from paraspinal.anatomy import Anatomy, native_labels, segment_anatomy
from paraspinal.config import MeasureConfig
from paraspinal.dicomio.nifti import read_nifti, write_nifti
from paraspinal.loading import load_series
from paraspinal.volume import CTVolume, Geometry

TESTS = Path(__file__).parents[1] / "tests"
SERIES = {
    "lidc-0314": "ct/lidc-0314.zip",
    "cmb-crc-chest": "ct/cmb-crc-chest.zip",
    "crlm-1006": "ct/crlm-1006.zip",
    "medimages-flipped": "ct/medimages-flipped.zip",
    "totalseg-slab": "ct/totalseg-slab",
    "totalseg-lumbar-3mm": "nifti/totalseg-lumbar-3mm.nii.gz",
}
LABELLED = {
    "totalseg-slab": "labels/totalseg-slab.nii.gz",
    "totalseg-lumbar-3mm": "labels/totalseg-lumbar-3mm.nii.gz",
}
CHANGES = ("flip", "mirror", "shift", "reversed", "half", "noise")
"""Flip stores the columns the other way round and says so; mirror makes a patient with the liver on the left."""
_SHIFT = 7
_NOISE_HU = 10.0
_HALF_MAX_MM = 5.0  # slices are averaged in pairs only where the pair is no thicker than a routine slice
_PADDING_HU = -2000
_CASE_LIMIT_S = 600.0
_SAME_MM = 12.0  # less than half a thoracic vertebra's height with its disc
Move = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def run_alone(job: Callable[..., Record], *arguments: Any) -> Record:
    """Run a case in a fresh process; a failure becomes a record with its reason."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, arguments, send))
    process.start()
    send.close()
    try:
        record: Record = (
            receive.recv()
            if receive.poll(_CASE_LIMIT_S)
            else {"failed": f"no end within {_CASE_LIMIT_S:g} s"}
        )
    except EOFError:
        record = {"failed": "the process died"}
    if process.is_alive():
        process.terminate()
    process.join()
    return record


def _child(job: Callable[..., Record], arguments: tuple[Any, ...], pipe: Any) -> None:
    try:
        record = job(*arguments)
    except Exception as error:  # the table must say which case failed and why, and go on
        record = {"failed": f"{type(error).__name__}: {error}"}
    pipe.send(record)


def quality_and_anatomy(volume: CTVolume) -> tuple[Anatomy, quality.ScanQuality, Record]:
    """Run both stages as an analysis does and time them."""
    begin = time.perf_counter()
    found = segment_anatomy(volume)
    middle = time.perf_counter()
    judged = quality.assess_quality(volume, lumens=measure.read_lumens(volume, found, config=MeasureConfig()))
    end = time.perf_counter()
    return found, judged, {"anatomy_s": middle - begin, "quality_s": end - middle}


def series_case(data: Path, name: str) -> Record:
    """Segment one series and score it against everything that is known about it."""
    volume = load_series(data / SERIES[name]).volume
    found, judged, seconds = quality_and_anatomy(volume)
    record: Record = {
        **seconds,
        "shape": list(volume.hu.shape),
        "volumes_ml": volumes_ml(found),
        "presence": {key: organ.presence for key, organ in found.organs.items()},
        "phase": [judged.contrast_phase, judged.contrast_evidence],
        "noise_sd_hu": judged.noise_sd_hu,
        "edge_fwhm_mm": judged.edge_fwhm_mm,
        "centreline_mm": float(np.ptp(found.centreline_lps_mm[:, 2])),
        "levels": _levels(found, name),
    }
    if name in LABELLED:
        given, grid = read_nifti(data / LABELLED[name])
        ours = sampled(native_labels(found, volume), volume.geometry, grid)
        ribs = np.isin(ours, [*RIBS, *UNNAMED_RIBS])
        record["structures"] = score_structures(found, given, grid)
        record["vertebrae"] = score_vertebrae(ours, given, grid)
        record["ribs"] = score_ribs(ours, given, grid, found.centreline_lps_mm, ribs)
        record["centreline"] = score_centreline(found.centreline_lps_mm, given, grid)
    return record


def volumes_ml(found: Anatomy) -> dict[str, float]:
    """Return the volume of every mask."""
    voxel = found.geometry.voxel_ml
    return {key: float(np.count_nonzero(mask)) * voxel for key, mask in sorted(found.masks.items())}


def true_levels() -> dict[str, list[Any]]:
    """Return the table of true levels by series name, from the tests; empty where it is not there."""
    for module in ("levels_truth.py", "test_anatomy_real.py"):
        path = TESTS / module
        if not path.exists():
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            continue
        loaded = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(loaded)
        except ImportError:
            continue
        table = getattr(loaded, "LEVELS", None)
        if isinstance(table, dict):
            return {re.sub(r"\.(zip|nii\.gz)$", "", key).split("/")[-1]: list(v) for key, v in table.items()}
    return {}


def _levels(found: Anatomy, name: str) -> Record:
    truth = true_levels().get(name)
    ours = [f"{v.label} {v.confidence:.2f}" for v in found.vertebrae]
    if not truth:
        return {"of": len(ours), "ours": ours, "no_truth": True}
    if not isinstance(truth[0], str):
        return score_levels(found, [(str(t[0]), float(t[1])) for t in truth]) | {"ours": ours}
    return score_level_sequence(found, truth)


# --- robustness -----------------------------------------------------------------------------------------------


def robustness_case(data: Path, name: str, change: str) -> Record:
    """Segment a series and a changed copy; return the Dice of each structure with itself and what the levels did."""
    volume = load_series(data / SERIES[name]).volume
    return compare_changed(volume, change)


def compare_changed(volume: CTVolume, change: str) -> Record:
    """Compare the anatomy of a volume with that of its changed copy, mapped back.

    Labels are compared on the native grid, as they are written; masks that the label map lacks on the working grid.
    """
    copy = changed(volume, change)
    before, after = segment_anatomy(volume), segment_anatomy(copy)
    mirrored = change == "mirror"
    scores = {}
    was, now = native_labels(before, volume), native_labels(after, copy)
    move = _move(volume.geometry, change)
    now = sampled(now, copy.geometry, volume.geometry, move=move)
    for name, numbers in _names(before).items():
        own = np.isin(was, numbers)
        if np.count_nonzero(own) * volume.geometry.voxel_ml >= MIN_ML:
            other = _names(after).get(_swapped(name) if mirrored else name, [])
            scores[name] = dice(own, np.isin(now, other))
    for key in sorted(set(before.masks) - set(scores) - {"padding"}):
        mask = before.mask(key)
        if np.count_nonzero(mask) * before.geometry.voxel_ml >= MIN_ML:
            other = after.mask(_swapped(key) if mirrored else key)
            scores[key] = dice(mask, sampled(other, after.geometry, before.geometry, move=move))
    return {"dice": scores, "levels": _levels_stay(before, after, move)}


def _names(found: Anatomy) -> dict[str, list[int]]:
    """Return the numbers of each name; all vertebrae are one structure, and so are the ribs."""
    out: dict[str, list[int]] = {}
    for number, name in found.labels.names.items():
        whole = name.startswith("vertebra"), name.startswith("rib_")
        key = "vertebrae" if whole[0] else "rib instances" if whole[1] else name
        out.setdefault(key, []).append(number)
    return out


def changed(volume: CTVolume, change: str) -> CTVolume:
    """Return a copy of a volume, changed as `CHANGES` names it."""
    hu, padding = volume.hu, volume.padding
    if change == "mirror":
        mirrored = None if padding is None else np.ascontiguousarray(padding[:, :, ::-1])
        return replace(volume, hu=np.ascontiguousarray(hu[:, :, ::-1]), padding=mirrored)
    if change == "shift":
        return _shifted(volume)
    if change in ("reversed", "flip"):
        return _through_loader(volume, 0 if change == "reversed" else 2)
    if change == "half":
        return _halved(volume)
    noise = np.random.default_rng(4).standard_normal(hu.shape, dtype=np.float32)
    noisy = np.rint(hu + _NOISE_HU * noise).clip(-1024, 32767).astype(np.int16)
    return replace(volume, hu=noisy if padding is None else np.where(padding, hu, noisy))


def _shifted(volume: CTVolume) -> CTVolume:
    """Move the picture by 7 voxels to the back and to the left within a field that is larger by as much.

    Nothing is lost; what the field shows beyond the old one is padding.
    """
    wider = ((0, 0), (_SHIFT, 0), (_SHIFT, 0))
    padding = np.zeros(volume.hu.shape, bool) if volume.padding is None else volume.padding
    hu = np.pad(volume.hu, wider, constant_values=-1024)
    g = volume.geometry
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    return replace(
        volume,
        hu=hu,
        padding=np.pad(padding, wider, constant_values=True),
        geometry=Geometry(shape, g.spacing_mm, g.origin_lps_mm, g.axes_lps),
    )


def _through_loader(volume: CTVolume, axis: int) -> CTVolume:
    """Write an axis the other way round, with a geometry that says so, and let the loader read it."""
    hu = volume.hu if volume.padding is None else np.where(volume.padding, _PADDING_HU, volume.hu)
    g = volume.geometry
    last = [0, 0, 0]
    last[axis] = g.shape[axis] - 1
    x, y, z = (float(v) for v in g.to_lps(last))
    signs = np.ones(3)
    signs[axis] = -1.0
    turned = Geometry(g.shape, g.spacing_mm, (x, y, z), g.axes_lps * signs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turned.nii"
        write_nifti(path, np.ascontiguousarray(np.flip(hu, axis)).astype(np.int16), turned)
        return replace(load_series(path).volume, acquisition=volume.acquisition)


def _halved(volume: CTVolume) -> CTVolume:
    nz, ny, nx = volume.hu.shape
    fz = 2 if 2 * volume.geometry.spacing_mm[0] <= _HALF_MAX_MM else 1
    shape = (nz // fz, ny // 2, nx // 2)
    cut = volume.hu[: shape[0] * fz, : shape[1] * 2, : shape[2] * 2]
    blocks = (shape[0], fz, shape[1], 2, shape[2], 2)
    hu = np.rint(cut.reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32)).astype(np.int16)
    geometry = volume.geometry.crop((0, 0, 0), (shape[0] * fz, shape[1] * 2, shape[2] * 2)).resampled(shape)
    padding = None
    if volume.padding is not None:
        cut_padding = volume.padding[: shape[0] * fz, : shape[1] * 2, : shape[2] * 2]
        padding = cut_padding.reshape(blocks).any(axis=(1, 3, 5))
        hu[padding] = -1024
    return replace(volume, hu=hu, geometry=geometry, padding=padding, slices=(), interpolated=())


def _move(native: Geometry, change: str) -> Move | None:
    """Return the function from LPS points of the original to those of the changed copy, both (…, 3).

    None where both show everything in the same place.
    """
    if change not in ("mirror", "shift"):
        return None

    def move(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        index = native.to_index(points)
        if change == "mirror":
            index[..., 2] = native.shape[2] - 1 - index[..., 2]
        else:
            index[..., 1:] += _SHIFT
        return native.to_lps(index)

    return move


def _levels_stay(before: Anatomy, after: Anatomy, move: Move | None) -> Record:
    if not after.vertebrae:
        return {"same": 0, "of": len(before.vertebrae), "before": [], "after": []}
    centres = np.array([v.centroid_lps_mm for v in after.vertebrae])
    same = 0
    for vertebra in before.vertebrae:
        here = np.array(vertebra.centroid_lps_mm)
        far = np.linalg.norm(centres - (here if move is None else move(here)), axis=1)
        same += after.vertebrae[int(far.argmin())].label == vertebra.label and float(far.min()) < _SAME_MM
    names = [[f"{v.label} {v.confidence:.2f}" for v in a.vertebrae] for a in (before, after)]
    return {"same": same, "of": len(before.vertebrae), "before": names[0], "after": names[1]}


def _swapped(name: str) -> str:
    for a, b in (("left", "right"), ("right", "left")):
        if name.endswith(f"_{a}"):
            return name.removesuffix(a) + b
    return name


# --- time and phantoms ----------------------------------------------------------------------------------------


def write_chest(path: Path) -> Record:
    """Make a 512 x 512 x 600 phantom (0.75 mm) and keep its voxels."""
    from paraspinal.phantom import make_phantom, preset

    spec = replace(preset("emh"), shape=(600, 512, 512), spacing_mm=(0.75, 0.75, 0.75), name="chest-600")
    np.save(path, make_phantom(spec).volume.hu)
    return {}


def time_case(path: Path) -> Record:
    """Time quality and anatomy of kept voxels; the peak is this process's own, the volume included."""
    hu = np.load(path)
    volume = CTVolume(hu, Geometry(hu.shape, (0.75, 0.75, 0.75), (-192.0, -192.0, 0.0)))
    _, _, seconds = quality_and_anatomy(volume)
    return seconds | {"peak_mib": peak_mib()}


def peak_mib() -> float:
    """Peak resident memory of this process (VmHWM; where /proc is missing, ru_maxrss)."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def phantom_specs(count: int, seed: int, matrix: int) -> list[Any]:
    """Return the specs of varied bodies."""
    from paraspinal import phantom

    return list(phantom.anatomy_suite(count, seed, matrix=matrix))


def phantom_case(count: int, seed: int, matrix: int, k: int) -> Record:
    """Make body `k` of a suite and score what is found in it."""
    from paraspinal.phantom import make_phantom, structure_masks

    spec = phantom_specs(count, seed, matrix)[k]
    begin = time.perf_counter()
    made = make_phantom(spec)
    making = time.perf_counter() - begin
    found, judged, seconds = quality_and_anatomy(made.volume)
    grid = made.volume.geometry
    truth = structure_masks(made)
    lines = np.asarray(made.truth["canal"]["centreline_lps_mm"])
    record: Record = {
        **seconds,
        "making_s": making,
        "name": spec.name,
        "structures": {},
        "presence": {},
        "levels": score_levels(
            found, [(v["label"], v["centroid_lps_mm"][2]) for v in made.truth["vertebrae"]]
        ),
        "centreline": _to_line(found.centreline_lps_mm, lines),
        "phase": [spec.phase, judged.contrast_phase],
        "noise": [spec.noise_hu, judged.noise_sd_hu],
        "edge": [spec.fwhm_mm, judged.edge_fwhm_mm],
        "volumes_ml": {
            key: [
                float(np.count_nonzero(found.mask(key))) * found.geometry.voxel_ml,
                float(np.count_nonzero(truth[key])) * grid.voxel_ml if key in truth else 0.0,
            ]
            for key in ("effusion_left", "effusion_right")
        },
    }
    for key, mask in truth.items():
        if np.count_nonzero(mask) * grid.voxel_ml < MIN_ML:
            continue
        ours = sampled(found.mask(key), found.geometry, grid)
        record["structures"][key] = compare_masks(ours, mask, grid) | {"found": key in found.masks}
    record["structures"] |= _phantom_vertebrae(found, made)
    for key, organ in found.organs.items():
        if key in truth or key in ("liver", "spleen", "kidney_left", "kidney_right"):
            record["presence"][key] = [organ.presence, key in truth]
    return record


def _phantom_vertebrae(found: Anatomy, made: Any) -> Record:
    grid = made.volume.geometry
    ours = sampled(native_labels(found, made.volume), made.volume.geometry, grid)
    scores = score_vertebrae(ours, made.labels.data, grid)
    return {f"vertebra {number}": score | {"found": score["number"] > 0} for number, score in scores.items()}


def _to_line(ours: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]) -> Record:
    line = truth[np.argsort(truth[:, 2])]
    inside = ours[(ours[:, 2] >= line[0, 2]) & (ours[:, 2] <= line[-1, 2])]
    at = np.stack([np.interp(inside[:, 2], line[:, 2], line[:, k]) for k in (0, 1)], axis=1)
    far = np.hypot(*(inside[:, :2] - at).T)
    beyond = len(ours) - len(inside)
    if not len(far):
        return {"slices": 0, "beyond": beyond}
    return {"mean_mm": float(far.mean()), "max_mm": float(far.max()), "slices": len(far), "beyond": beyond}
