"""What contrast medium has reached: readings of vessels, liver and kidneys on the working grid, for the phase."""

from __future__ import annotations

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.native import signed_distance_mm
from paraspinal.quality.types import LumenReadings
from paraspinal.volume import BoolArray, CTVolume, FloatArray, Region, Spacing

_MIN_SAMPLES = 30
_DEEP_MM = 5.0
_LIVER_DEPTH_MM = 8.0
# A kidney's cortex is 6–10 mm thick; its pyramids begin below and end at the sinus.
_CORTEX_MM = (2.0, 6.0)
_MEDULLA_MM = (9.0, 15.0)
_MEDULLA_PERCENTILE = 25.0  # columns of cortex pass between the pyramids
_SINUS_BOX_MARGIN = 1
_HOLLOW_VOXELS = 5  # hollows up to 20 mm wide
_PELVIS_SAMPLES = 12  # voxels of 8 mm³: a calyx or more, and more than a stone's noise
_RIGHT_PART = 0.35  # the right atrium makes the heart's right border


def read_lumens(volume: CTVolume, anatomy: Anatomy, *, config: MeasureConfig) -> LumenReadings:
    """Return mean HU of what contrast medium fills in turn; None for what was not found.

    The aorta is read from native voxels; the others are medians on the working grid, well inside their borders.
    """
    kidneys = [_kidney(anatomy, f"kidney_{side}") for side in ("left", "right")]
    # A kidney that does not work takes up nothing: the brighter one tells the time.
    cortex, medulla, pelvis = max(kidneys, key=lambda k: -np.inf if k[0] is None else k[0])
    return LumenReadings(
        aorta=measure_aortic_lumen(volume, anatomy, config=config).value,
        right_heart=_right_heart(anatomy),
        heart_in_view=_heart_in_view(anatomy),
        liver=_middle(anatomy, "liver", _LIVER_DEPTH_MM),
        renal_cortex=cortex,
        renal_medulla=medulla,
        renal_pelvis=pelvis,
    )


def _heart_in_view(anatomy: Anatomy) -> bool:
    """Tell whether the scan shows the heart, as its own record says, or as both lungs tell where there is none."""
    heart = anatomy.organs.get("heart")
    if heart is not None:
        return heart.presence in ("present", "indeterminate")
    lungs = [anatomy.organs.get(f"lung_{side}") for side in ("left", "right")]
    return all(lung is not None and lung.presence == "present" for lung in lungs)


def _inside(anatomy: Anatomy, name: str) -> tuple[FloatArray, npt.NDArray[np.float32]] | None:
    """Return the HU of a structure's box and the depth (mm) below its border; None where it was not found."""
    mask = anatomy.mask(name)
    if not mask.any():
        return None
    region = Region.of(mask).padded((_SINUS_BOX_MARGIN,) * 3, anatomy.geometry.shape)
    return anatomy.hu[region.box], signed_distance_mm(region.mask, anatomy.geometry.spacing_mm)


def _middle(anatomy: Anatomy, name: str, depth_mm: float) -> float | None:
    """Return the median well inside a large organ, of every second voxel along each axis."""
    mask = anatomy.mask(name)
    if not mask.any():
        return None
    region = Region.of(mask)
    every = (slice(None, None, 2),) * 3
    part = np.ascontiguousarray(np.pad(region.mask[every], 1))
    spacing = tuple(2.0 * s for s in anatomy.geometry.spacing_mm)
    depth = edt.edt(part, anisotropy=spacing, parallel=2)[1:-1, 1:-1, 1:-1]
    return _median(anatomy.hu[region.box][every], depth >= depth_mm)


def _median(hu: FloatArray, where: BoolArray) -> float | None:
    return float(np.median(hu[where])) if np.count_nonzero(where) >= _MIN_SAMPLES else None


def _right_heart(anatomy: Anatomy) -> float | None:
    """Return the median of the right part of the heart: the right atrium with the mouths of both venae cavae."""
    found = _inside(anatomy, "heart")
    organ = anatomy.organs.get("heart")
    if found is None or (organ is not None and organ.presence != "present"):
        return None
    hu, depth = found
    deep = depth >= _DEEP_MM
    columns = np.flatnonzero(deep.any(axis=(0, 1)))
    if columns.size == 0:
        return None
    right = np.zeros_like(deep)
    last = columns[0] + int(_RIGHT_PART * (columns[-1] - columns[0] + 1))
    right[:, :, : last + 1] = True
    return _median(hu, deep & right)


def _kidney(anatomy: Anatomy, name: str) -> tuple[float | None, float | None, float | None]:
    """Return cortex, medulla and renal pelvis of one kidney."""
    organ = anatomy.organs.get(name)
    found = _inside(anatomy, name)
    if found is None or (organ is not None and organ.presence != "present"):
        return None, None, None
    hu, depth = found
    cortex = _median(hu, (depth >= _CORTEX_MM[0]) & (depth <= _CORTEX_MM[1]))
    deep = hu[(depth >= _MEDULLA_MM[0]) & (depth <= _MEDULLA_MM[1])]
    medulla = float(np.percentile(deep, _MEDULLA_PERCENTILE)) if deep.size >= _MIN_SAMPLES else None
    return cortex, medulla, _pelvis(hu, depth, anatomy.geometry.spacing_mm, organ.truncated if organ else ())


def _pelvis(
    hu: FloatArray, depth: npt.NDArray[np.float32], spacing_mm: Spacing, cut: tuple[str, ...]
) -> float | None:
    """Return the densest of the sinus: the deep kidney and the narrow hollows of its outline, away from neighbours.

    None where the scan cuts the kidney: the pelvis may lie beyond.
    """
    if cut:
        return None
    kidney = np.pad(depth > 0, _HOLLOW_VOXELS)
    closed = ndimage.binary_closing(
        kidney, ndimage.generate_binary_structure(3, 1), iterations=_HOLLOW_VOXELS
    )
    inner = (slice(_HOLLOW_VOXELS, -_HOLLOW_VOXELS),) * 3
    within = edt.edt(np.ascontiguousarray(closed), anisotropy=spacing_mm)[inner]
    values = hu[(within >= _CORTEX_MM[1]) & ((depth <= 0) | (depth >= _CORTEX_MM[1]))]
    if values.size < _PELVIS_SAMPLES:
        return None
    return float(np.partition(values, -_PELVIS_SAMPLES)[-_PELVIS_SAMPLES])
