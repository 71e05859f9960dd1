"""A cortex thinner than the scan's blur, fitted: a rectangular profile of fixed density, blurred by a Gaussian.

Across a wall the CT shows marrow, cortex and soft tissue, each of one density, convolved with the scan's response
along that line (Treece, Gee, Mayhew and Poole, Med Image Anal 2010;14:276, "High resolution cortical bone thickness
measurement from clinical CT data"). Thickness and density of the cortex trade off below the blur: only their product,
the cortical mass per area, survives it (Treece, Poole and Gee, Med Image Anal 2012;16:952, "Imaging the femoral
cortex: thickness, density and mass from clinical CT"). The density is therefore given, not fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Profiles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float64]

_STEPS = 9
_LOOSE = np.array(
    [0.6, 2.0, 150.0, 150.0]
)  # SD of border (mm), thickness (mm) and levels (HU) about their start
_LEAST_SCALE_SD = 1e-6
_DAMPING = 1e-3
_MOST_MM = 6.0
_LEAST_SAMPLES = 8
_MISFIT_HU = 60.0  # by which a profile may differ from its model, noise included
_ALIKE = 60.0  # samples that share one deviation from the model: those of a section, in steps below the blur
_ROOT_2PI = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the cortex's density (HU) and of the blur against the stated one, with SDs."""

    cortex_hu: float
    cortex_sd_hu: float
    blur_scale_sd: float


@dataclass(frozen=True, slots=True)
class FittedWalls:
    """Fits of n profiles: outer border (mm, along the profile), thickness (mm), HU outside and inside, residual SD.

    ``cortex_hu`` is the density that all share, ``cortex_sd_hu`` its standard uncertainty (prior and profiles),
    ``blur_mm`` the SD of the blur per profile as it was fitted.
    """

    border_mm: Rows
    thickness_mm: Rows
    outside_hu: Rows
    inside_hu: Rows
    residual_hu: Rows
    blur_mm: Rows
    cortex_hu: float
    cortex_sd_hu: float
    blur_scale: float

    def model(self, places_mm: Rows) -> Profiles:
        """Return the fitted HU (n, samples) at places along the profiles."""
        at = np.stack([self.border_mm, self.thickness_mm, self.outside_hu, self.inside_hu], axis=1)
        return _slopes(places_mm, at, self.cortex_hu, self.blur_mm)[0]


def fit_walls(
    hu: Profiles,
    places_mm: Rows,
    weights: Profiles,
    blur_mm: Rows,
    *,
    prior: Prior,
    outside_hu: Rows,
    inside_hu: Rows,
    start_mm: float = 1.0,
) -> FittedWalls:
    """Fit border, thickness and levels of every profile, and the density and blur that all share.

    Damped Gauss-Newton steps; the shared two are solved for through the Schur complement of the others. Thin walls
    leave the density where the prior puts it; thick ones, whose plateau the blur leaves, tell it.

    Parameters
    ----------
    hu, weights : float arrays (n, samples)
        Profiles from inside to outside; weight 0 leaves a sample out (lung behind a thin layer, another bone).
    places_mm : float array (samples,)
        Along the profile, 0 where the border is expected, positive outside.
    blur_mm : float array (n,)
        SD of the scan's response along each profile.
    prior : Prior
        Density and blur before the profiles are seen.
    outside_hu, inside_hu : float arrays (n,)
        Where the levels are expected; they are drawn there weakly (SD 150 HU).
    """
    n = len(hu)
    expected = np.stack([np.zeros(n), np.full(n, start_mm), outside_hu, inside_hu], axis=1)
    at = expected.copy()
    known = np.array([prior.cortex_hu, 1.0])
    shared, hold = (
        known.copy(),
        np.array([prior.cortex_sd_hu, max(prior.blur_scale_sd, _LEAST_SCALE_SD)]) ** -2.0,
    )
    for _ in range(_STEPS):
        value, slopes, common = _slopes(places_mm, at, shared[0], blur_mm * shared[1])
        left = (hu - value) * weights
        scaled = slopes * weights[..., None]
        normal = np.einsum("nsp,nsq->npq", scaled, slopes) / _MISFIT_HU**2
        towards = np.einsum("nsp,ns->np", slopes, left) / _MISFIT_HU**2 - (at - expected) / _LOOSE**2
        normal += np.eye(4) * (_LOOSE**-2.0 + _DAMPING * np.einsum("npp->np", normal)[..., None])
        cross = np.einsum("nsp,nsq->npq", scaled, common) / _MISFIT_HU**2
        solved = np.linalg.solve(normal, np.concatenate([towards[..., None], cross], axis=2))
        own = np.einsum("nsp,nsq,ns->pq", common, common, weights) / _MISFIT_HU**2
        information = (own - np.einsum("npq,npr->qr", cross, solved[..., 1:])) / _ALIKE + np.diag(hold)
        pull = np.einsum("nsp,ns->p", common, left) / _MISFIT_HU**2 - np.einsum(
            "npq,np->q", cross, solved[..., 0]
        )
        move = np.linalg.solve(information, pull / _ALIKE - hold * (shared - known))
        shared = shared + np.clip(move, [-150.0, -0.1], [150.0, 0.1])
        step = solved[..., 0] - solved[..., 1:] @ move
        step[:, :2] = np.clip(step[:, :2], -0.5, 0.5)
        at = at + step
        at[:, 1] = np.clip(at[:, 1], 0.02, _MOST_MM)
    blur = blur_mm * shared[1]
    value = _slopes(places_mm, at, shared[0], blur)[0]
    used = weights.sum(axis=1)
    residual = np.sqrt((weights * (hu - value) ** 2).sum(axis=1) / np.maximum(used, 1.0))
    residual[used < _LEAST_SAMPLES] = np.inf
    spread = float(np.sqrt(np.linalg.inv(information)[0, 0]))
    return FittedWalls(
        at[:, 0],
        at[:, 1],
        at[:, 2],
        at[:, 3],
        residual,
        blur,
        cortex_hu=float(shared[0]),
        cortex_sd_hu=spread,
        blur_scale=float(shared[1]),
    )


def _slopes(
    places_mm: Rows, at: npt.NDArray[np.float64], cortex: float, blur_mm: Rows
) -> tuple[Profiles, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the model (n, samples), its slopes by border, thickness, outside, inside, and by density and blur."""
    border, thickness, outside, inside = (at[:, k, None] for k in range(4))
    blur = blur_mm[:, None]
    outer = (places_mm[None] - border) / blur
    inner = outer + thickness / blur
    rise, fall = ndtr(inner), ndtr(outer)
    into, out_of = (np.exp(-0.5 * d**2) / (_ROOT_2PI * blur) for d in (inner, outer))
    up, down = (cortex - inside) * into, (outside - cortex) * out_of
    value = inside + (cortex - inside) * rise + (outside - cortex) * fall
    by_blur = -blur * (up * inner + down * outer)
    own = np.stack([-up - down, up, fall, 1.0 - rise], axis=-1)
    return value, own, np.stack([rise - fall, by_blur], axis=-1)
