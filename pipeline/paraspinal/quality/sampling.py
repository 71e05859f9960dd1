"""Which slices a quality figure is read from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from paraspinal.volume import CTVolume

_FIRST, _LAST = 0.08, 0.92  # the ends of a scan often show shoulders, arms or a warming-up table


def sampled_slices(volume: CTVolume, count: int) -> npt.NDArray[np.intp]:
    """Return up to `count` slice indices, evenly spread over the middle of the volume."""
    n = volume.geometry.shape[0]
    return np.unique(np.rint(np.linspace(_FIRST * (n - 1), _LAST * (n - 1), min(count, n))).astype(np.intp))
