"""NIfTI: a voxel keeps its value and its place through a file."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from paraspinal.dicomio.nifti import NiftiError, read_nifti, read_nifti_values, write_nifti
from paraspinal.volume import Geometry

SHAPE = (3, 4, 5)


def frames() -> list[np.ndarray]:
    """Return the 48 right- and left-handed frames along the patient's axes, and one oblique one of each hand."""
    found = [
        np.eye(3)[list(order)] * np.array(signs)
        for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3))
    ]
    c, s = np.cos(0.2), np.sin(0.2)
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return [*found, turned, turned[:, ::-1]]


@pytest.mark.parametrize("number", range(50))
def test_every_voxel_keeps_its_place(tmp_path: Path, number: int) -> None:
    geometry = Geometry(SHAPE, (2.5, 0.8, 0.7), (10.0, -20.0, 30.0), frames()[number])
    array = np.arange(60, dtype=np.int16).reshape(SHAPE)
    write_nifti(tmp_path / "a.nii.gz", array, geometry)
    back, place = read_nifti(tmp_path / "a.nii.gz")

    def located(values: np.ndarray, grid: Geometry) -> dict[int, np.ndarray]:
        index = np.argwhere(np.ones(values.shape, bool))
        return {int(values[tuple(i)]): grid.to_lps(i) for i in index}

    before, after = located(array, geometry), located(back, place)
    assert before.keys() == after.keys()
    for value, point in before.items():
        np.testing.assert_allclose(after[value], point, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_types_survive(tmp_path: Path, dtype: type, name: str) -> None:
    array = (np.arange(60).reshape(SHAPE) % 2).astype(dtype)
    write_nifti(tmp_path / name, array, Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    values, _ = read_nifti_values(tmp_path / name)
    assert values.dtype == (np.uint8 if dtype is np.bool_ else dtype)
    np.testing.assert_array_equal(values, array.astype(values.dtype))


def test_large_labels_are_not_wrapped(tmp_path: Path) -> None:
    array = np.full(SHAPE, 40_000, dtype=np.uint16)
    write_nifti(tmp_path / "a.nii.gz", array, Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))
    assert read_nifti_values(tmp_path / "a.nii.gz")[0].max() == 40_000
    assert read_nifti(tmp_path / "a.nii.gz")[0].max() == 32_767  # limited, never wrapped


def test_shape_and_geometry_must_agree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        write_nifti(
            tmp_path / "a.nii", np.zeros((2, 2, 2)), Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        )


def test_the_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    write_nifti(
        tmp_path / "a.nii.gz", np.ones(SHAPE, np.int16), Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    )
    (tmp_path / "a.nii.gz").rename(tmp_path / "scan.bin")
    assert read_nifti(tmp_path / "scan.bin")[0].shape == SHAPE


def test_what_is_no_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"x" * 400)
    (tmp_path / "b.nii.gz").write_bytes(b"\x1f\x8b" + b"x" * 400)
    for name, code in (("a.nii", "unsupported_format"), ("b.nii.gz", "unreadable_file")):
        with pytest.raises(NiftiError) as error:
            read_nifti(tmp_path / name)
        assert error.value.code == code
