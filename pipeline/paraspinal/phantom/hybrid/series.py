"""From the files of a series to a hybrid: load, segment, judge, insert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from paraspinal.anatomy import segment_anatomy
from paraspinal.anatomy.morphology import erode
from paraspinal.anatomy.types import Anatomy
from paraspinal.loading import load_series
from paraspinal.phantom.hybrid.insert import Hybrid, insert_masses
from paraspinal.phantom.spec import MassSpec
from paraspinal.quality import assess_quality

_WALL_MM = 4.0
_LEAST_VOXELS = 50


def insert_into_series(
    path: str | Path,
    specs: Sequence[MassSpec],
    *,
    series: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Hybrid:
    """Load a CT series and put masses into it; see `insert_masses`.

    Raises
    ------
    LoadError
        If the input is refused.
    AnalysisError
        If no spine is found.
    UsageError
        If a mass cannot be put there.
    """
    tell = progress or (lambda _: None)
    tell("loading")
    volume = load_series(Path(path), series=series).volume
    anatomy = segment_anatomy(volume, progress=tell)
    tell("quality")
    quality = assess_quality(volume, aortic_lumen_hu=_lumen_hu(anatomy))
    tell("masses")
    return insert_masses(volume, anatomy, quality, specs, seed=seed)


def _lumen_hu(anatomy: Anatomy) -> float | None:
    """Return the median HU well inside the aorta, which tells whether there is contrast medium; None without it."""
    lumen = erode(anatomy.mask("aorta"), _WALL_MM, anatomy.geometry.spacing_mm)
    return float(np.median(anatomy.hu[lumen])) if np.count_nonzero(lumen) > _LEAST_VOXELS else None
