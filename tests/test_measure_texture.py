"""IBSI features equal the digital phantom's reference values, every one that is offered."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from measure_scene import Scene, ball, ellipsoid
from paraspinal.config import MeasureConfig
from paraspinal.measure.size import mesh_of
from paraspinal.measure.texture import glcm, glrlm, intensity, shape
from paraspinal.measure.texture.features import discretised, measure_ibsi
from paraspinal.measure.view import mass_view
from paraspinal.result import Measurements

CODES: Mapping[str, Mapping[str, str]] = {
    "intensity": {
        **{
            "mean": "Q4LE",
            "variance": "ECT3",
            "skewness": "KE2A",
            "excess_kurtosis": "IPH6",
            "median": "Y12H",
        },
        **{"minimum": "1GSF", "p10": "QG58", "p90": "8DWT", "maximum": "84IY", "interquartile_range": "SALO"},
        **{"range": "2OJQ", "mean_absolute_deviation": "4FUA", "robust_mean_absolute_deviation": "1128"},
        **{"median_absolute_deviation": "N72L", "root_mean_square": "5ZWQ"},
    },
    "shape": {
        **{"mesh_volume": "RNU0", "voxel_volume": "YEKZ", "surface_area": "C0JK"},
        **{"surface_to_volume_ratio": "2PR5", "compactness_1": "SKGS", "compactness_2": "BQWJ"},
        **{"spherical_disproportion": "KRCK", "sphericity": "QCFX", "asphericity": "25C7"},
        **{"max_3d_diameter": "L0JK", "major_axis_length": "TDIC", "minor_axis_length": "P9VJ"},
        **{"least_axis_length": "7J51", "elongation": "Q3CK", "flatness": "N17B"},
        **{"volume_density_box": "PBX1", "area_density_box": "R59B"},
        **{"volume_density_hull": "R3ER", "area_density_hull": "7T7F"},
    },
    "glcm": dict(
        zip(
            glcm.FEATURES,
            (
                *(
                    "GYBY",
                    "60VM",
                    "UR99",
                    "TU9B",
                    "TF7R",
                    "D3YU",
                    "NTRS",
                    "ZGXS",
                    "OEEB",
                    "P6QZ",
                    "8ZQL",
                    "ACUI",
                ),
                *(
                    "8S9J",
                    "IB1Z",
                    "NDRX",
                    "WF0Z",
                    "1QCO",
                    "E8JP",
                    "NI2N",
                    "QWB0",
                    "DG8W",
                    "7NFM",
                    "AE86",
                    "R8DG",
                ),
                "JN9H",
            ),
            strict=True,
        )
    ),
    "glrlm": dict(
        zip(
            glrlm.FEATURES,
            (
                *("22OV", "W4KF", "V3SW", "G3QZ", "HTZT", "GD3A", "IVPO", "3KUM"),
                *("R5YN", "OVBL", "W92Y", "IC23", "9ZK5", "8CE5", "SXLW", "HJ9O"),
            ),
            strict=True,
        )
    ),
}


def _reference(path: Path) -> dict[str, tuple[float, float]]:
    """Value and tolerance by code; half a unit of the third figure where the table states none."""
    out = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["data"] == "dig. phantom" and row["aggregation"] in ("", "3D, merged"):
                value = float(row["value"])
                rounding = 0.5 * 10.0 ** (np.floor(np.log10(abs(value))) - 2) if value else 0.0
                out.setdefault(row["ibsi_code"], (value, float(row["tol"] or 0.0) or 1.01 * rounding))
    return out


@pytest.mark.realdata
def test_every_offered_feature_equals_the_digital_phantoms(real_data: Path) -> None:
    folder = real_data.parent / "reference" / "ibsi"
    if not folder.is_dir():
        pytest.skip(f"no IBSI phantom at {folder}")
    image = SimpleITK.ReadImage(str(folder / "digital_phantom_image.nii.gz"))
    grey = SimpleITK.GetArrayFromImage(image).astype(np.int64)
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "digital_phantom_mask.nii.gz"))) > 0
    spacing = tuple(reversed(image.GetSpacing()))
    levels = np.where(mask, grey, 0)
    read = {
        "intensity": intensity.intensity_features(grey[mask]),
        "shape": shape.shape_features(mask, mesh_of(mask, spacing), spacing),
        "glcm": glcm.glcm_features(levels),
        "glrlm": glrlm.glrlm_features(levels),
    }
    known = _reference(folder / "reference_values.csv")
    wrong = {}
    for family, codes in CODES.items():
        assert read[family] is not None
        assert set(read[family]) == set(codes), family
        for name, code in codes.items():
            value, tolerance = known[code]
            if abs(read[family][name] - value) > tolerance:
                wrong[f"{family}.{name}"] = (read[family][name], value, tolerance)
    assert wrong == {}
    assert sum(map(len, CODES.values())) == 75


def test_a_coarse_texture_has_longer_runs_than_a_fine_one() -> None:
    rng = np.random.default_rng(2)
    fine = rng.integers(1, 5, (24, 24, 24))
    coarse = np.kron(fine[:6, :6, :6], np.ones((4, 4, 4), int))
    a, b = glrlm.glrlm_features(fine), glrlm.glrlm_features(coarse)
    assert b["long_runs_emphasis"] > 2 * a["long_runs_emphasis"]
    assert (
        glcm.glcm_features(coarse)["correlation"] > 0.5 > abs(glcm.glcm_features(fine)["correlation"]) + 0.4
    )


def _read(spacing: tuple[float, float, float]) -> Measurements:
    whole = ellipsoid((3.0, -2.0, 1.0), (18.0, 14.0, 16.0))
    inner = ball((8.0, -2.0, 1.0), 14.0)
    paint = ((whole, 45.0), (inner, 130.0))
    scene = Scene(paint=paint, mass=whole, extent_mm=(60.0, 60.0, 70.0), spacing=spacing)
    volume = scene.volume()
    view = mass_view(volume, scene.anatomy(volume), scene.candidate(), context_mm=8.0)
    return measure_ibsi(view, mesh_of(view.mask, view.spacing_mm), MeasureConfig())


def test_textures_do_not_depend_on_the_spacing() -> None:
    fine, coarse = _read((1.0, 0.8, 0.8)), _read((2.0, 1.2, 1.2))
    names = (
        "glcm.joint_average",
        "glcm.correlation",
        "glrlm.run_percentage",
        "intensity.mean",
        "shape.elongation",
    )
    for name in names:
        a, b = fine[f"ibsi.{name}"], coarse[f"ibsi.{name}"]
        assert a.value == pytest.approx(b.value, rel=0.12), name
    stated = fine["ibsi.glcm.contrast"]
    assert "2 mm voxels" in stated.uncertainty.method
    assert stated.uncertainty.type_a > 0.0


def test_a_small_mass_carries_no_texture() -> None:
    shape_of_mass = ball((0.0, 0.0, 0.0), 8.0)
    scene = Scene(paint=((shape_of_mass, 45.0),), mass=shape_of_mass, extent_mm=(40.0, 40.0, 40.0))
    volume = scene.volume()
    view = mass_view(volume, scene.anatomy(volume), scene.candidate(), context_mm=8.0)
    read = measure_ibsi(view, mesh_of(view.mask, view.spacing_mm), MeasureConfig())
    assert read["ibsi.glcm.contrast"].status == "not_assessed"
    assert read["ibsi.shape.sphericity"].status == "measured"


def test_values_outside_the_range_do_not_count() -> None:
    config = MeasureConfig(texture_range_hu=(0.0, 100.0), texture_bin_hu=25.0)
    levels = discretised(
        np.array([[[-1.0, 0.0, 24.9, 25.0, 100.0, 101.0]]]), np.ones((1, 1, 6), bool), config
    )
    assert levels.ravel().tolist() == [0, 1, 1, 2, 5, 0]


def test_a_region_without_neighbours_has_no_texture() -> None:
    alone = np.zeros((5, 5, 5), np.int64)
    alone[2, 2, 2] = 3
    assert glcm.glcm_features(alone) is None
    assert glrlm.glrlm_features(np.zeros((3, 3, 3), np.int64)) is None
