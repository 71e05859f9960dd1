"""The public names of the package."""

import subprocess
import sys

import pytest

import paraspinal


def test_export_list_is_sorted_and_complete() -> None:
    assert set(paraspinal.__all__) == {*paraspinal._HOMES, "__version__"}
    assert paraspinal.__all__ == sorted(paraspinal.__all__)
    assert len(set(paraspinal.__all__)) == len(paraspinal.__all__)


@pytest.mark.parametrize("name", paraspinal.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(paraspinal, name) is not None
    assert name in dir(paraspinal)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = paraspinal.analyse


def test_import_loads_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "pydantic", "SimpleITK")
    code = f"import paraspinal, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
