"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest

from made_once import shared_folder

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


def pytest_configure(config: pytest.Config) -> None:
    """Name the run, so that its processes share a folder (`made_once`) and the one that leads it can remove it."""
    if hasattr(config.option, "testrunuid") and not hasattr(config, "workerinput"):
        config.option.testrunuid = config.option.testrunuid or uuid.uuid4().hex


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the processes of this run shared, once all of them have ended."""
    uid = getattr(session.config.option, "testrunuid", None)
    if uid and not hasattr(session.config, "workerinput"):
        shutil.rmtree(shared_folder(uid), ignore_errors=True)
