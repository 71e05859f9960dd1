"""What a case will take, before it runs: rough figures for plans, from measured series (docs/scaling.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BASE_S, _PER_MVOXEL_S = 3.5, 0.06  # one core; phantoms of 20 to 160 million voxels
_BASE_MIB, _PER_MVOXEL_MIB = 420.0, 6.5
_UNKNOWN_MVOXEL = 60.0


def expected_seconds(row: Mapping[str, Any]) -> float:
    """Return the seconds that one core takes for a series of the catalogue."""
    return _BASE_S + _PER_MVOXEL_S * _mvoxels(row)


def expected_mib(row: Mapping[str, Any]) -> float:
    """Return the largest resident memory of its analysis."""
    return _BASE_MIB + _PER_MVOXEL_MIB * _mvoxels(row)


def _mvoxels(row: Mapping[str, Any]) -> float:
    return float(row.get("voxels", _UNKNOWN_MVOXEL * 1e6)) / 1e6
