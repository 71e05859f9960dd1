"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return _ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real CT series, or skip with the reason."""
    folder = Path(os.environ.get("PARASPINAL_DATA", _ROOT.parent / "shared" / "data"))
    if not (folder / "ct").is_dir():
        pytest.skip(f"no real CT data at {folder} (set PARASPINAL_DATA)")
    return folder
