"""What a scanner does to the truth: slice profile, in-plane blur, beam hardening, correlated noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from paraspinal.phantom.artefacts import metal_streaks, starved_noise
from paraspinal.phantom.sdf import Field
from paraspinal.phantom.spec import PhantomSpec

Vector = npt.NDArray[np.float64]
FWHM_PER_SIGMA = 2.3548
_FINE_SLICE_MM = 1.4  # fine slices are at most this thick
_CUPPING_HU = -3.0
_BONE_SHADE = 0.035
# Of the Nyquist frequency; the sharp kernel keeps what lies beyond.
_NOISE_CUTOFF = {"soft": 0.75, "sharp": 1.6}
_OVERSHOOT, _OVERSHOOT_MM = 0.7, 1.1  # a sharp kernel as an unsharp mask


@dataclass(frozen=True, slots=True)
class SliceProfile:
    """``per_slice`` fine slices make one slice distance; ``weights`` has 2 × halo + 1 entries and sums to 1."""

    per_slice: int
    weights: Vector

    @property
    def halo(self) -> int:
        """Fine slices needed on either side of a slice's centre."""
        return len(self.weights) // 2


def slice_profile(spec: PhantomSpec) -> SliceProfile:
    """Return a Gaussian slice profile whose FWHM is the slice thickness."""
    distance = spec.spacing_mm[0]
    n = max(1, int(np.ceil(distance / _FINE_SLICE_MM)))
    fine = distance / n
    sigma = (spec.slice_thickness_mm or distance) / FWHM_PER_SIGMA
    halo = max(1, int(np.ceil(1.8 * sigma / fine)))
    offsets = np.arange(-halo, halo + 1) * fine
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return SliceProfile(n, weights / weights.sum())


def thick_slices(fine: Field, profile: SliceProfile, count: int) -> Field:
    """Average fine slices to `count` slices; fine slice 0 lies `halo` fine slices below the first centre."""
    out = np.zeros((count, *fine.shape[1:]), np.float32)
    for k, weight in enumerate(profile.weights):
        out += np.float32(weight) * fine[k : k + (count - 1) * profile.per_slice + 1 : profile.per_slice]
    return out


def scan(truth: Field, spec: PhantomSpec, centres: npt.NDArray[np.floating], first_slice: int) -> Field:
    """Return slices as a scanner shows them.

    Parameters
    ----------
    truth : ndarray, shape (z, y, x)
        True HU of whole slices.
    centres : ndarray, shape (z, 2)
        (y, x) index of the spine in each slice, where the noise has its stated SD.
    first_slice : int
        Number of the first slice in the series; the noise of a slice depends on it and on the seed alone.
    """
    pixel = spec.spacing_mm[1]
    # The sampling aperture of one pixel is part of the response already.
    sigma2 = (spec.fwhm_mm / FWHM_PER_SIGMA) ** 2 - pixel**2 / 12
    out = np.empty_like(truth)
    for k, image in enumerate(truth):
        blurred = gaussian(image, np.sqrt(sigma2) / pixel) if sigma2 > 0 else image.copy()
        if spec.scanner.kernel == "sharp":
            blurred = blurred + np.float32(_OVERSHOOT) * (blurred - gaussian(blurred, _OVERSHOOT_MM / pixel))
        attenuation = np.clip(1.0 + blurred / 1000.0, 0.0, 2.2)
        thick = _smooth(attenuation, 45.0 / pixel)
        if spec.beam_hardening > 0:
            blurred = blurred + np.float32(spec.beam_hardening) * _hardening(blurred, thick, pixel)
        streaks = metal_streaks(image, spec.seed, pixel)
        if streaks is not None:
            blurred = blurred + streaks
        if spec.scanner.starvation > 0 and spec.noise_hu > 0:
            blurred = blurred + starved_noise(
                attenuation,
                np.random.default_rng((spec.seed, 79, first_slice + k)),
                noise_hu=spec.noise_hu,
                strength=spec.scanner.starvation,
                pixel_mm=pixel,
            )
        if spec.noise_hu > 0:
            blurred = blurred + _noise(thick, spec, centres[k], first_slice + k)
        out[k] = blurred
    return out


def gaussian(image: Field, sigma_y: float, sigma_x: float | None = None) -> Field:
    """Return a Gaussian mean of one slice, as scipy's (kernel cut at 4 sigma, mirrored border) but faster."""
    kernels = [_kernel(sigma_y if sigma_x is None else sigma_x), _kernel(sigma_y)]
    return np.asarray(
        cv2.sepFilter2D(image, cv2.CV_32F, kernels[0], kernels[1], borderType=cv2.BORDER_REFLECT), np.float32
    )


def _kernel(sigma: float) -> Field:
    reach = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def _smooth(image: Field, sigma: float) -> Field:
    """Return a wide Gaussian mean, computed on every fourth pixel."""
    small = ndimage.gaussian_filter(image[::4, ::4], sigma / 4, mode="constant")
    size = (4 * small.shape[1], 4 * small.shape[0])
    wide = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    pad = [(0, max(0, n - m)) for n, m in zip(image.shape, wide.shape, strict=True)]
    return np.asarray(np.pad(wide, pad, mode="edge")[: image.shape[0], : image.shape[1]], np.float32)


def _hardening(image: Field, thick: Field, pixel: float) -> Field:
    """Return cupping of the thick parts and dark bands between and beside dense bone."""
    bone = np.clip(image - 250.0, 0.0, 1200.0)
    wide = gaussian(bone, 2.5 / pixel, 11.0 / pixel)
    near = gaussian(bone, 4.0 / pixel)
    inside = np.clip((image + 400.0) / 400.0, 0.0, 1.0)
    shade = -_BONE_SHADE * (0.7 * wide + 0.5 * near) * (bone < 1.0)
    return np.asarray(inside * (shade + _CUPPING_HU * np.clip(thick - 0.4, 0.0, 0.6) / 0.6), np.float32)


def _noise(thick: Field, spec: PhantomSpec, centre: npt.NDArray[np.floating], number: int) -> Field:
    """Return noise with a filtered back-projection spectrum, louder where more tissue absorbed the beam."""
    rng = np.random.default_rng((spec.seed, 77, number))
    white = rng.standard_normal(thick.shape, dtype=np.float32)
    gain = _noise_gain((thick.shape[0], thick.shape[1]), _NOISE_CUTOFF[spec.scanner.kernel])
    field = fft.irfft2(fft.rfft2(white) * gain, s=thick.shape)
    field /= field.std()
    loud = np.exp(1.8 * np.clip(thick, 0.0, 1.2))
    i, j = (int(np.clip(c, 0, n - 1)) for c, n in zip(centre, thick.shape, strict=True))
    return np.asarray(field * loud * (spec.noise_hu / loud[i, j]), np.float32)


@lru_cache(maxsize=4)
def _noise_gain(shape: tuple[int, int], cutoff: float) -> Field:
    """Return a ramp, tamed by the kernel; its low end stays above zero because slices are averaged views."""
    fy = fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    radius = np.sqrt(fy * fy + fx * fx)
    return np.asarray(np.sqrt(radius + 0.02) * np.exp(-((radius / (0.5 * cutoff)) ** 2)), np.float32)
