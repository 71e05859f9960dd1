"""The spleen: size, calcification, and focal lesions darker than it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.morphology import dilate
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.average import robust_sd
from paraspinal.measure import splenic_calcium
from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.foci import Foci, find_foci
from paraspinal.measure.native import signed_distance_mm
from paraspinal.measure.organ import (
    BORDER_METHOD,
    cut_status,
    organ_density,
    organ_depth,
    organ_length,
    organ_mask,
    organ_volume,
    without_organ,
)
from paraspinal.measure.size import max_diameter_mm, mesh_of
from paraspinal.measure.uncertainty import RECTANGULAR
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurement, Measurements
from paraspinal.volume import BoolArray, CTVolume, Region

_PARENCHYMAL_LIVER_HU = 85.0  # an enhanced liver has left the arterial phase (engineering default)
_SPLEEN_SMOOTHING_MM = 2.5
_BACKGROUND_MM = 15.0  # a lesion is darker than the spleen within about this distance
_FOLD_MM = 15.0  # half the width of a fold between lobes (engineering default)
_BESIDE_FOLD_MM = 7.0  # the dark core lies so deep under a fold's surface
_FAT_HU, _MIXED_HU = -15.0, 50.0  # of a working voxel, noise apart (engineering default)
_SURE_LESION_MM = 20.0  # a larger dark place is no fold
_SHELL_MM = (1.0, 8.0)  # of tissue around a lesion
_COMPACT = 0.55  # of its length is the diameter of a ball of its volume
_SHELL_SHARE = 0.5  # a lesion under the capsule still has spleen on its inner half


def measure_spleen(
    volume: CTVolume, anatomy: Anatomy, quality: ScanQuality, config: MeasureConfig
) -> Measurements:
    """Return volume and length of the spleen, and number and size of its focal lesions."""
    units = {
        "spleen_volume_ml": "mL",
        "spleen_length_mm": "mm",
        "splenic_lesions_count": "1",
        "splenic_lesion_max_mm": "mm",
    }
    mask, missing = organ_mask(anatomy, "spleen", "mL")
    lumen = measure_aortic_lumen(volume, anatomy, quality, config=config).value
    calcium, remnant = splenic_calcium.measure_splenic_calcium(anatomy, quality, lumen, config)
    if missing is not None:
        out = {**without_organ(anatomy, "spleen", units), splenic_calcium.KEY: calcium}
        return out if remnant is None else out | {"spleen_volume_ml": _remnant_volume(remnant)}
    mesh = mesh_of(mask, anatomy.geometry.spacing_mm)
    return {
        "spleen_volume_ml": organ_volume(anatomy, "spleen", mask),
        "spleen_length_mm": organ_length(anatomy, "spleen", max_diameter_mm(mesh.vertices_mm)),
        splenic_calcium.KEY: calcium,
        **_splenic_lesions(volume, anatomy, quality, mask, config),
    }


def _remnant_volume(remnant: splenic_calcium.Remnant) -> Measurement:
    return Measurement.measured(
        remnant.volume_ml,
        "mL",
        type_a=0.3 * remnant.volume_ml,
        method="type A: the border of a calcified remnant, of which soft parts may be missing",
        reason="a calcified remnant",
    )


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
    region, depth = organ_depth(anatomy, mask)
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
        background_mm=_BACKGROUND_MM,
    )
    if foci is None:
        return neither("the spleen is too small to tell lesions from it")
    status, reason = cut_status(anatomy, "spleen")
    hu, inside = anatomy.hu[region.box], (interior, np.asarray(depth > 0.0))
    dark = [
        k
        for k in range(1, foci.count + 1)
        if _within_spleen(foci, k, hu, inside, anatomy.geometry.spacing_mm)
        >= config.splenic_lesion_min_contrast_hu
    ]
    fold = _hilum(anatomy, region) if dark else None
    sizes = {k: _diameter_mm(foci, k, anatomy) for k in dark}
    spread = robust_sd(hu[interior])
    seen = {
        k: d
        for k, d in sizes.items()
        if d >= config.splenic_lesion_min_mm and _compact(foci, k, d) and not _holds_fat(hu, foci, k, spread)
    }
    kept = [d for k, d in seen.items() if not _in_fold(foci, k, fold, d)]
    if seen and not kept:
        return neither("dark places lie in a fold of the hilum: whether one is a lesion is open")
    if not kept:
        return neither(reason) if reason else _no_lesion(foci, config)
    half = anatomy.geometry.spacing_mm[0] * RECTANGULAR
    region_read = f"{depth_mm:g} mm inside the border"
    return {
        "splenic_lesions_count": Measurement.measured(
            len(kept), "1", status=status, reason=reason, region=region_read
        ),
        "splenic_lesion_max_mm": Measurement.measured(
            max(kept), "mm", type_a=half, method=BORDER_METHOD, status=status, reason=reason
        ),
    }


def _diameter_mm(foci: Foci, label: int, anatomy: Anatomy) -> float:
    return max_diameter_mm(mesh_of(foci.labels == label, anatomy.geometry.spacing_mm).vertices_mm)


def _compact(foci: Foci, label: int, diameter_mm: float) -> bool:
    """Tell whether a dark place is a body; a sheet of fat along the wall or in a fold is long and thin."""
    return bool(np.cbrt(6.0 * foci.volumes_mm3[label - 1] / np.pi) >= _COMPACT * diameter_mm)


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


def _within_spleen(
    foci: Foci,
    label: int,
    hu: npt.NDArray[np.floating],
    inside: tuple[BoolArray, BoolArray],
    spacing_mm: Sequence[float],
) -> float:
    """Return how much darker a place is than the spleen about it (HU); 0 where it is not mostly surrounded by spleen.

    `inside` are the interior and the whole spleen. Its rim, where tissue is mixed, counts neither way: a lesion may
    lie under the capsule. Stomach taken for spleen meets the outside on most sides.
    """
    interior, spleen = inside
    lesion = foci.labels == label
    away = -signed_distance_mm(lesion, spacing_mm)
    shell = (away > _SHELL_MM[0]) & (away <= _SHELL_MM[1])
    normal = shell & interior & (foci.labels == 0)
    beyond = np.count_nonzero(shell & ~spleen) + np.count_nonzero(shell & interior & (foci.labels > 0))
    if np.count_nonzero(normal) < _SHELL_SHARE * (np.count_nonzero(normal) + beyond) or not normal.any():
        return 0.0
    return float(np.median(hu[normal])) - float(foci.means_hu[label - 1])


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
    density = organ_density(volume, anatomy, liver, quality, config.organ_depth_mm).value
    return density is None or density < _PARENCHYMAL_LIVER_HU
