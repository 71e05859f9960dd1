"""Star-shaped outlines: closed paths of strongest edge in polar coordinates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def closed_paths(gain: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Path of best gain through [plane, angle, radius], as radius indices [plane, angle].

    Neighbouring angles differ by at most one radius step. Each path is walked twice round and read in the middle, so
    that it closes.
    """
    twice = np.concatenate([gain, gain], axis=1)
    planes, angles, radii = twice.shape
    total = twice[:, 0].copy()
    back = np.zeros((planes, angles, radii), np.int8)
    for a in range(1, angles):
        padded = np.pad(total, ((0, 0), (1, 1)), constant_values=-np.inf)
        options = np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]])
        choice = np.argmax(options, axis=0)
        back[:, a] = choice - 1
        total = np.take_along_axis(options, choice[None], axis=0)[0] + twice[:, a]
    index = np.argmax(total, axis=1)
    path = np.empty((planes, angles), np.int64)
    rows = np.arange(planes)
    for a in range(angles - 1, -1, -1):
        path[:, a] = index
        index = np.clip(index + back[rows, a, index], 0, radii - 1)
    half = angles // 2
    return np.concatenate([path[:, half : half + half // 2], path[:, half // 2 : half]], axis=1)


def open_paths(gain: npt.NDArray[np.float32], *, slope: int) -> npt.NDArray[np.int64]:
    """Path of best gain through [plane, angle, radius] with at most `slope` radius steps between angles.

    Returns
    -------
    ndarray of int, [plane, angle]
        Radius indices.
    """
    planes, angles, radii = gain.shape
    total = gain[:, 0].copy()
    back = np.zeros((planes, angles, radii), np.int8)
    for a in range(1, angles):
        padded = np.pad(total, ((0, 0), (slope, slope)), constant_values=-np.inf)
        options = np.stack([padded[:, k : k + radii] for k in range(2 * slope + 1)])
        options -= 0.02 * np.abs(np.arange(-slope, slope + 1))[:, None, None]
        choice = np.argmax(options, axis=0)
        back[:, a] = choice - slope
        total = np.take_along_axis(options, choice[None], axis=0)[0] + gain[:, a]
    path = np.empty((planes, angles), np.int64)
    index = np.argmax(total, axis=1)
    rows = np.arange(planes)
    for a in range(angles - 1, -1, -1):
        path[:, a] = index
        index = np.clip(index + back[rows, a, index], 0, radii - 1)
    return path
