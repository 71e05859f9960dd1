"""The even grid that slices are put on says of every image whether it is used."""

from pathlib import Path

import numpy as np
import pytest

from dicom_factory import stored_body, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import load_series
from paraspinal.loading.spacing import even_grid

STRICT = LoadingConfig(policy="strict")


def along_z(heights: np.ndarray) -> list[tuple[float, float, float]]:
    return [(-10.0, -20.0, float(z)) for z in heights]


def test_images_between_the_slices_of_an_even_series_are_counted(tmp_path: Path) -> None:
    heights = np.sort(np.concatenate([3.0 * np.arange(40), [1.0, 31.0, 61.0, 91.0]]))
    write_series(tmp_path, stored_body(44), positions=along_z(heights))
    loaded = load_series(tmp_path)
    (code,) = [c for c in loaded.loading.codes if c.kind == "repair"]
    used = sum(bool(ref.sop_instance_uid) for ref in loaded.volume.slices)
    assert (used, code.code, code.numbers["unused"], code.numbers["interpolated"]) == (
        40,
        "variable_spacing",
        4,
        0,
    )
    assert "4 of them" in code.text
    assert "put on an even grid" in code.text
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path, config=STRICT)
    assert refusal.value.details["unused"] == 4


def test_a_slice_beside_an_interpolated_position_counts_as_used() -> None:
    along = np.concatenate([np.arange(20) * 2.5, 50.0 + np.arange(10) * 2.5 + 1.0])
    grid = even_grid("series", along, np.full(30, np.nan), config=LoadingConfig())
    assert grid.notes[0].numbers["interpolated"] > 0
    assert grid.notes[0].numbers["unused"] == 0


def test_a_series_that_only_bends_a_little_lacks_no_slice() -> None:
    """Both ends stand off the line of the others by just more than the tolerance: no slice is missing for it."""
    limit = LoadingConfig().spacing_tolerance * 2.5
    along = 2.5 * np.arange(20.0)
    along[[0, -1]] += 1.05 * max(limit, LoadingConfig().even_tolerance_mm)
    grid = even_grid("series", along, np.full(20, np.nan), config=STRICT)
    assert (grid.count, grid.notes) == (20, ())
    assert grid.gap_mm == pytest.approx(2.5, abs=0.01)
    assert grid.jitter_mm > 0
