"""Every defect that archives send: repaired exactly, refused by its code, or read as if it were not there."""

from pathlib import Path

import numpy as np
import pytest

from defect_case import SPHERE, spoil, volume
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series
from paraspinal.volume import CTVolume

# What a series with this defect loads as: the codes that must be there. The sphere has to keep its volume.
HARMLESS: dict[str, set[str]] = {
    "shuffled": set(),
    "reversed": set(),
    "flipped-rows": set(),
    "flipped-columns": set(),
    "unsigned": set(),
    "bits:12": set(),
    "odd-rescale": set(),
    "localizer": set(),
    "two-scans": set(),
    "malformed": set(),
    "padding": {"padding"},
    "oblique:10": {"oblique"},
    "coronal": {"non_axial"},
    "sagittal": {"non_axial"},
    "non-square": {"non_square_pixels"},
    "overlap": {"overlapping_slices"},
    "no-rescale": {"rescale_missing"},
    "no-kvp": {"kvp_unknown"},
    "virtual-energy:70": {"virtual_energy"},
    "empty-uids": {"uid_missing"},
    "jitter:0.05": {"position_jitter"},
    "monochrome1": {"monochrome1"},
    "lossy": {"lossy_compression"},
    "enhanced": {"enhanced_multiframe"},
    "legacy-enhanced": {"enhanced_multiframe"},
    "mixed-orientation": {"images_left_out"},
    **{
        f"syntax:{name}": set()
        for name in (
            *("implicit", "big-endian", "deflated", "rle", "jpeg-lossless", "jpeg-ls", "jpeg2000", "htj2k"),
        )
    },
}
REPAIRED: dict[str, set[str]] = {
    "tilt:15": {"gantry_tilt"},
    "tilt:-12": {"gantry_tilt"},
    "missing:1": {"missing_slices"},
    "missing:2": {"missing_slices"},
    "duplicate": {"duplicate_slices"},
    "duplicate:3": {"duplicate_slices"},
    "duplicate-other": {"repeated_positions"},
    "two-phases": {"repeated_positions"},
    "four-d:3": {"repeated_positions"},
    "empty-position:2": {"position_inferred"},
    "truncated-pixels": {"damaged_slices", "missing_slices"},
    "jitter:0.3": {"variable_spacing"},
}
REFUSED: dict[str, str] = {
    "missing:3": "missing_slices",
    "oblique:35": "too_oblique",
    "negative-slope": "not_hounsfield",
    "modality-lut": "not_hounsfield",
    "iodine-map": "not_hounsfield",
    "perfusion-map": "not_hounsfield",
    "mip": "projection_image",
    "cone-beam": "cone_beam",
    "modality:MR": "not_ct",
    "unknown-syntax": "undecodable",
    "one-position": "one_position",
    "few:2": "too_few_slices",
    "truncated-pixels:3": "truncated_pixel_data",
}
# Two slices lost from a sphere of seven, or every slice a little out of place, cannot be had back exactly.
LIMIT_PER_CENT = {
    "missing:2": 4.0,
    "jitter:0.3": 2.0,
    "truncated-pixels": 1.5,
    "missing:1": 1.5,
    "lossy": 2.0,
}


def sphere_ml(found: CTVolume) -> float:
    """Return the volume of the sphere by partial volume, within twice its radius of its centre."""
    share = (found.hu.astype(np.float64) - SPHERE.background_hu) / (SPHERE.sphere_hu - SPHERE.background_hu)
    points = found.geometry.to_lps(np.moveaxis(np.indices(found.hu.shape), 0, -1))
    centre, radius = SPHERE.centres_lps_mm[0], SPHERE.radii_mm[0]
    near = np.linalg.norm(points - centre, axis=-1) < 1.5 * radius
    return float(share[near].sum() * found.geometry.voxel_ml)


def repairs(loaded: LoadedSeries) -> set[str]:
    return {c.code for c in loaded.loading.codes if c.kind == "repair"}


def assert_sphere_kept(loaded: LoadedSeries, defect: str) -> None:
    error = 100.0 * (sphere_ml(loaded.volume) / sphere_ml(volume()) - 1.0)
    assert abs(error) < LIMIT_PER_CENT.get(defect, 0.7), error


@pytest.mark.parametrize("defect", HARMLESS)
def test_what_is_harmless_loads_and_is_named(tmp_path: Path, defect: str) -> None:
    spoil(tmp_path, defect)
    loaded = load_series(tmp_path)
    assert loaded.loading.verdict == "ok"
    assert HARMLESS[defect] <= {c.code for c in loaded.loading.codes}
    assert_sphere_kept(loaded, defect)
    strict = load_series(tmp_path, config=LoadingConfig(policy="strict"))
    np.testing.assert_array_equal(strict.volume.hu, loaded.volume.hu)


@pytest.mark.parametrize("defect", REPAIRED)
def test_what_is_repaired_keeps_its_volume_and_is_refused_when_strict(tmp_path: Path, defect: str) -> None:
    spoil(tmp_path, defect)
    loaded = load_series(tmp_path)
    assert loaded.loading.verdict == "repaired"
    assert repairs(loaded) == REPAIRED[defect]
    assert_sphere_kept(loaded, defect)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path, config=LoadingConfig(policy="strict"))
    assert refusal.value.code in REPAIRED[defect] | {"truncated_pixel_data"}


@pytest.mark.parametrize("defect", REFUSED)
def test_what_is_not_certain_is_refused_by_its_code(tmp_path: Path, defect: str) -> None:
    spoil(tmp_path, defect)
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == REFUSED[defect]
    assert refusal.value.remedy


def test_eight_bits_are_coarse_on_record(tmp_path: Path) -> None:
    spoil(tmp_path, "bits:8")
    found = {c.code: c.numbers for c in load_series(tmp_path).loading.codes}
    assert found["coarse_values"]["step_hu"] >= 2.0


@pytest.mark.parametrize(
    "both",
    [
        ("tilt:15", "missing:1"),
        ("tilt:-12", "flipped-rows"),
        ("missing:1", "syntax:rle"),
        ("reversed", "duplicate"),
    ],
)
def test_defects_that_come_together_are_all_dealt_with(tmp_path: Path, both: tuple[str, str]) -> None:
    spoil(tmp_path, *both)
    loaded = load_series(tmp_path)
    assert repairs(loaded) == set().union(*(REPAIRED.get(defect, set()) for defect in both))
    assert_sphere_kept(loaded, "missing:1")
