"""The installed wheel does the main job from any folder, with nothing of the checkout in reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(folder),
        str(repository),
    ]
    subprocess.run(command, check=True)
    (path,) = folder.glob("paraspinal-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into an empty environment and return its folder of commands."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([commands / "python", "-m", "pip", "install", "-qq", str(wheel)], check=True)
    return commands


def clean_environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PARASPINAL"))
    }


def test_the_wheel_holds_the_data_and_only_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "paraspinal/py.typed" in names
    assert "paraspinal/_data/configs/default.toml" in names
    assert any(name.startswith("paraspinal/_data/models/") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"paraspinal"}


def test_the_main_job_runs_from_another_folder(installed: Path, repository: Path, tmp_path: Path) -> None:
    command = [installed / "paraspinal", "analyze", repository / "sample_data" / "emh", "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["outcome"] == "mass"
    assert result["provenance"]["config"] == "default"
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_it_really_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    code = (
        "import paraspinal, paraspinal.data as d; print(paraspinal.__file__); print(d.data_folder('models'))"
    )
    done = subprocess.run(
        [installed / "python", "-c", code],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(installed.parent)
        assert "site-packages" in line
