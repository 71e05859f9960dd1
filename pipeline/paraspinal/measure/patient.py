"""Whole-patient measurements: spleen, liver, effusions, blood pool, scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.average import robust_sd
from paraspinal.measure import rib
from paraspinal.measure.body_surface import UNIT, per_surface
from paraspinal.measure.foci import Foci, find_foci
from paraspinal.measure.native import native_samples, signed_distance_mm
from paraspinal.measure.scan import measure_scan
from paraspinal.measure.size import max_diameter_mm, mesh_of
from paraspinal.measure.uncertainty import RECTANGULAR, half_range, noise_of_mean
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements, Status
from paraspinal.volume import BoolArray, CTVolume, Region

_HU = "[hnsf'U]"
_FACE_TO_AREA = 2.0 / 3.0  # the faces of a voxel object overstate its surface by 3/2 on average
_METHOD = "type A: border moved by half a working voxel"
_MIN_SAMPLES = 30
_LUMEN_DEPTH_MM = 3.0
_ABSENT_LIMIT_ML = (
    20.0  # an organ that is said to be absent would have been seen from here on (engineering default)
)
_EFFUSION_DEPTH_MM = 2.0
_PARENCHYMAL_LIVER_HU = 85.0  # an enhanced liver has left the arterial phase (engineering default)
_SPLEEN_SMOOTHING_MM = 2.5
_FOLD_MM = 15.0  # half the width of a fold between lobes (engineering default)
_BESIDE_FOLD_MM = 7.0  # the dark core lies so deep under a fold's surface
_FAT_HU, _MIXED_HU = -15.0, 50.0  # of a working voxel, noise apart (engineering default)
_SURE_LESION_MM = 20.0  # a larger dark place is no fold
_SHELL_MM = (0.0, 4.0)  # of tissue around a lesion
_SHELL_SHARE = 0.5  # a lesion under the capsule still has spleen on its inner half


def measure_patient(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, *, config: MeasureConfig
) -> Measurements:
    """Return the whole-patient keys of the contract.

    What was not found is ``not_in_view`` or ``not_assessed`` with the organ's reason, what the scan cuts off a lower
    bound. Organs lie on the working grid; their densities are native voxels at the centres of its voxels.
    """
    out: Measurements = {}
    out |= _spleen(volume, anatomy, quality, config)
    out |= _liver(volume, anatomy, quality, config)
    for side in ("left", "right"):
        out |= _effusion(volume, anatomy, quality, side, config)
    out["aortic_lumen_hu"] = measure_aortic_lumen(volume, anatomy, quality, config=config)
    out["lumen_wall_contrast_hu"] = Measurement.missing(_HU, "this version does not outline the aortic wall")
    out["myocardium_hu"] = Measurement.missing(_HU, "this version does not outline the myocardium")
    out[rib.KEY] = rib.measure_rib_width(volume, anatomy, quality, config)
    out["rib_cortex_mm"] = Measurement.missing("mm", "this version does not fit the cortex of ribs")
    return out | measure_scan(quality)


def measure_aortic_lumen(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality | None = None, *, config: MeasureConfig
) -> Measurement:
    """Return ``aortic_lumen_hu``: the median of native voxels in the middle of the aorta.

    `quality` may be left out when the contrast phase, which needs this figure, is still to be judged; the
    calibration's type B is then left out too.
    """
    mask, missing = _organ(anatomy, "aorta", _HU)
    if missing is not None:
        return missing
    return _density(volume, anatomy, mask, quality, _LUMEN_DEPTH_MM)


def _organ(anatomy: Anatomy, name: str, unit: str) -> tuple[BoolArray, Measurement | None]:
    """Return an organ's mask, and the record that stands in for its measurements where there is none."""
    mask, organ = anatomy.mask(name), anatomy.organs.get(name)
    if mask.any():
        return mask, None
    status: Status = (
        "not_in_view" if organ is not None and organ.presence == "not_in_view" else "not_assessed"
    )
    default = "not in the scanned volume" if status == "not_in_view" else "not found"
    reason = f"{name.replace('_', ' ')}: {(organ.reason if organ is not None else None) or default}"
    if organ is not None and organ.presence == "absent" and unit == "mL":
        return mask, Measurement.below(unit, reason, limit=_ABSENT_LIMIT_ML)
    return mask, Measurement.missing(unit, reason, status=status)


def _without_organ(anatomy: Anatomy, name: str, units: Mapping[str, str]) -> Measurements:
    """Return the records that stand for the measurements (key to unit) of an organ that was not outlined."""
    return {
        key: _organ(anatomy, name, unit)[1] or Measurement.missing(unit, "not outlined")
        for key, unit in units.items()
    }


def _cut(anatomy: Anatomy, name: str) -> tuple[Status, str | None]:
    organ = anatomy.organs.get(name)
    if organ is None or not organ.truncated:
        return "measured", None
    return "lower_bound", f"the scan cuts it off ({', '.join(organ.truncated)})"


def _volume(anatomy: Anatomy, name: str, mask: BoolArray) -> Measurement:
    """Voxel-counted volume (mL); half a working voxel of border as type A."""
    spacing = anatomy.geometry.spacing_mm
    part = np.pad(Region.of(mask).mask, 1)
    faces = [np.count_nonzero(np.diff(part, axis=a)) * np.prod(spacing) / spacing[a] for a in range(3)]
    shift = 0.5 * float(np.prod(spacing)) ** (1.0 / 3.0)
    status, reason = _cut(anatomy, name)
    return Measurement.measured(
        np.count_nonzero(part) * anatomy.geometry.voxel_ml,
        "mL",
        type_a=float(_FACE_TO_AREA * sum(faces) * shift * RECTANGULAR / 1000.0),
        method=_METHOD,
        status=status,
        reason=reason,
    )


def _length(anatomy: Anatomy, name: str, length_mm: float) -> Measurement:
    status, reason = _cut(anatomy, name)
    type_a = anatomy.geometry.spacing_mm[0] * RECTANGULAR
    return Measurement.measured(length_mm, "mm", type_a=type_a, method=_METHOD, status=status, reason=reason)


def _depth(anatomy: Anatomy, mask: BoolArray) -> tuple[Region, npt.NDArray[np.float32]]:
    """Return a mask's region grown by one voxel, and the distance (mm) to its border in it, positive inside."""
    region = Region.of(mask).padded((1, 1, 1), anatomy.geometry.shape)
    return region, signed_distance_mm(region.mask, anatomy.geometry.spacing_mm)


def _density(
    volume: CTVolume,
    anatomy: Anatomy,
    mask: BoolArray,
    quality: ScanQuality | None,
    depth_mm: float,
) -> Measurement:
    """Median HU of native voxels inside an organ (robust against vessels and lesions in it)."""
    half = 0.5 * anatomy.geometry.spacing_mm[0]
    region, depth = _depth(anatomy, mask)
    geometry = anatomy.geometry.crop(region.start, region.mask.shape)
    reads = [native_samples(volume, geometry, depth >= depth_mm + s) for s in (0.0, -half, half)]
    values = reads[0]
    if values.size < _MIN_SAMPLES:
        return Measurement.missing(_HU, "too little of it lies deep enough to be free of partial volume")
    border = half_range(float(np.median(r)) for r in reads if r.size >= _MIN_SAMPLES)
    noise = 0.0
    if quality is not None:
        pixel = anatomy.geometry.spacing_mm[1]  # samples lie one working voxel apart
        noise = 1.2533 * noise_of_mean(float(values.std(dtype=np.float64)), values.size, pixel, quality)
    return Measurement.measured(
        float(np.median(values)),
        _HU,
        type_a=float(np.hypot(border, noise)),
        type_b=None if quality is None else quality.calibration_sd_hu,
        method=f"{_METHOD}, noise; type B: scanner calibration",
        region=f"{depth_mm:g} mm inside the border",
    )


# ---- spleen ----------------------------------------------------------------------------------------------------


def _spleen(volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    units = {
        "spleen_volume_ml": "mL",
        "spleen_length_mm": "mm",
        "splenic_lesions_count": "1",
        "splenic_lesion_max_mm": "mm",
    }
    mask, missing = _organ(anatomy, "spleen", "mL")
    if missing is not None:
        return _without_organ(anatomy, "spleen", units)
    mesh = mesh_of(mask, anatomy.geometry.spacing_mm)
    return {
        "spleen_volume_ml": _volume(anatomy, "spleen", mask),
        "spleen_length_mm": _length(anatomy, "spleen", max_diameter_mm(mesh.vertices_mm)),
        **_splenic_lesions(volume, anatomy, quality, mask, config),
    }


def _splenic_lesions(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, mask: BoolArray, config: MeasureConfig
) -> Measurements:
    """Count focal lesions darker than the spleen, on the averaged grid (noise of one voxel would hide them)."""

    def neither(reason: str) -> Measurements:
        return {
            "splenic_lesions_count": Measurement.missing("1", reason),
            "splenic_lesion_max_mm": Measurement.missing("mm", reason),
        }

    if _arterial_possible(volume, anatomy, quality, config):
        return neither("an arterial phase mottles the normal spleen, and it cannot be excluded here")
    region, depth = _depth(anatomy, mask)
    # A slice averages over its thickness: what lies less deep may hold fat from beside the spleen.
    depth_mm = max(config.organ_depth_mm, volume.effective_slice_mm)
    interior = np.asarray(depth >= depth_mm)
    foci = find_foci(
        np.asarray(anatomy.hu[region.box], dtype=np.float32),
        interior,
        anatomy.geometry.spacing_mm,
        smoothing_mm=_SPLEEN_SMOOTHING_MM,
        min_diameter_mm=0.7 * config.splenic_lesion_min_mm,  # the dark core is smaller than the lesion
        min_contrast_hu=config.splenic_lesion_min_contrast_hu,
        false_rate=config.foci_false_rate,
        noise_fwhm_mm=anatomy.geometry.spacing_mm[1],
    )
    if foci is None:
        return neither("the spleen is too small to tell lesions from it")
    status, reason = _cut(anatomy, "spleen")
    dark = [
        k
        for k in range(1, foci.count + 1)
        if foci.median_hu - foci.means_hu[k - 1] >= config.splenic_lesion_min_contrast_hu
        and _within_spleen(foci, k, interior, anatomy.geometry.spacing_mm)
    ]
    fold = _hilum(anatomy, region) if dark else None
    sizes = {k: _diameter_mm(foci, k, anatomy) for k in dark}
    seen = {k: d for k, d in sizes.items() if d >= config.splenic_lesion_min_mm}
    hu = anatomy.hu[region.box]
    spread = robust_sd(hu[interior])
    kept = [d for k, d in seen.items() if not (_in_fold(foci, k, fold, d) or _holds_fat(hu, foci, k, spread))]
    if seen and not kept:
        return neither("dark places hold fat or lie in a fold of the hilum: whether one is a lesion is open")
    if not kept:
        return neither(reason) if reason else _no_lesion(foci, config)
    half = anatomy.geometry.spacing_mm[0] * RECTANGULAR
    region_read = f"{depth_mm:g} mm inside the border"
    return {
        "splenic_lesions_count": Measurement.measured(
            len(kept), "1", status=status, reason=reason, region=region_read
        ),
        "splenic_lesion_max_mm": Measurement.measured(
            max(kept), "mm", type_a=half, method=_METHOD, status=status, reason=reason
        ),
    }


def _diameter_mm(foci: Foci, label: int, anatomy: Anatomy) -> float:
    return max_diameter_mm(mesh_of(foci.labels == label, anatomy.geometry.spacing_mm).vertices_mm)


def _hilum(anatomy: Anatomy, region: Region) -> BoolArray:
    """Return what lies in and beside the concave side of the spleen (of its region): the hilum and its folds."""
    spacing = anatomy.geometry.spacing_mm
    pad = [int(np.ceil(_FOLD_MM / s)) + 1 for s in spacing]
    mask = np.pad(anatomy.mask("spleen")[region.box], [(n, n) for n in pad])
    closed = ~dilate(~dilate(mask, _FOLD_MM, spacing), _FOLD_MM, spacing)
    fold = dilate(closed & ~mask, _BESIDE_FOLD_MM, spacing)
    inner = tuple(slice(n, -n) for n in pad)
    return np.asarray(fold[inner])


def _in_fold(foci: Foci, label: int, fold: BoolArray | None, diameter_mm: float) -> bool:
    """Tell whether a small dark place lies mostly in a fold of the hilum: fat or a vessel between two lobes."""
    if fold is None or diameter_mm >= _SURE_LESION_MM:
        return False
    return bool(fold[foci.labels == label].mean() > _SHELL_SHARE)


def _holds_fat(hu: npt.NDArray[np.floating], foci: Foci, label: int, spread_hu: float) -> bool:
    """Tell whether a dark place is tissue mixed with fat: its darkest voxel is fat, or far darker than its mean.

    Noise makes the darkest of some dozen voxels about two of its SDs (`spread_hu`) darker.
    """
    darkest = float(hu[foci.labels == label].min()) + 2.0 * spread_hu
    return darkest < _FAT_HU or darkest < float(foci.means_hu[label - 1]) - _MIXED_HU


def _no_lesion(foci: Foci, config: MeasureConfig) -> Measurements:
    """Return the records of a spleen without lesions: below the limit, unless noise would have hidden real ones."""
    if foci.needed_hu > config.foci_visible_hu:
        reason = f"noise hides lesions less than {foci.needed_hu:.0f} HU darker than the spleen"
        count, size = Measurement.missing("1", reason), Measurement.missing("mm", reason)
    else:
        reason = "no splenic lesion was found"
        count = Measurement.below("1", reason, limit=1.0)
        size = Measurement.below("mm", reason, limit=config.splenic_lesion_min_mm)
    return {"splenic_lesions_count": count, "splenic_lesion_max_mm": size}


def _within_spleen(foci: Foci, label: int, interior: BoolArray, spacing_mm: Sequence[float]) -> bool:
    """Tell whether a dark region is mostly surrounded by spleen: stomach taken for spleen is not."""
    lesion = foci.labels == label
    away = -signed_distance_mm(lesion, spacing_mm)
    shell = (away > _SHELL_MM[0]) & (away <= _SHELL_MM[1])
    normal = interior & (foci.labels == 0)
    return bool(np.count_nonzero(shell & normal) >= _SHELL_SHARE * np.count_nonzero(shell))


def _arterial_possible(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> bool:
    """Tell whether the scan may be in an arterial phase; an enhanced liver speaks against it."""
    if quality.contrast_phase != "indeterminate":
        return quality.contrast_phase in ("aortic", "pulmonary_arterial")
    if quality.contrast_state is False:
        return False
    liver = anatomy.mask("liver")
    if not liver.any():
        return True
    density = _density(volume, anatomy, liver, quality, config.organ_depth_mm).value
    return density is None or density < _PARENCHYMAL_LIVER_HU


# ---- liver, effusions ------------------------------------------------------------------------------------------


def _liver(volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig) -> Measurements:
    units = {
        "liver_volume_ml": "mL",
        "liver_ml_per_m2": UNIT,
        "liver_craniocaudal_mm": "mm",
        "liver_hu": _HU,
    }
    mask, missing = _organ(anatomy, "liver", "mL")
    if missing is not None:
        return _without_organ(anatomy, "liver", units)
    height = np.count_nonzero(mask.any(axis=(1, 2))) * anatomy.geometry.spacing_mm[0]
    size = _volume(anatomy, "liver", mask)
    return {
        "liver_volume_ml": size,
        "liver_ml_per_m2": per_surface(size, volume.acquisition),
        "liver_craniocaudal_mm": _length(anatomy, "liver", height),
        "liver_hu": _density(volume, anatomy, mask, quality, config.organ_depth_mm),
    }


def _effusion(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, side: str, config: MeasureConfig
) -> Measurements:
    name = f"effusion_{side}"
    keys = f"{name}_ml", f"{name}_hu"
    organ = anatomy.organs.get(name)
    if organ is not None and organ.presence == "absent":
        limit = config.effusion_limit_ml
        none = Measurement.below("mL", "none seen", limit=limit)
        return {keys[0]: none, keys[1]: Measurement.missing(_HU, "no effusion was seen")}
    mask = anatomy.mask(name)
    if not mask.any():
        return _without_organ(anatomy, name, dict(zip(keys, ("mL", _HU), strict=True)))
    return {
        keys[0]: _volume(anatomy, name, mask),
        keys[1]: _density(volume, anatomy, mask, quality, _EFFUSION_DEPTH_MM),
    }
