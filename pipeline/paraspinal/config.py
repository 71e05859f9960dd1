"""Validated settings, one frozen section per stage, read from ``configs/*.toml``.

Every threshold of the analysis is a field here. ``setting`` records where a default comes from: a source code of
the evidence base, or "engineering default", which is never presented as a clinical cut-off.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paraspinal.data import data_folder
from paraspinal.errors import ConfigError

ENGINEERING = "engineering default"


def setting(default: Any, meaning: str, *, source: str = ENGINEERING, **limits: Any) -> Any:
    """Return a field with its meaning and the source of its default."""
    return Field(default, description=f"{meaning} ({source})", **limits)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LoadingConfig(_Section):
    """Limits of the reader."""

    min_slices: int = setting(3, "fewer slices are refused", ge=2)
    max_file_mib: float = setting(1024.0, "larger single files are not opened", gt=0)
    max_volume_gib: float = setting(4.0, "larger decoded volumes are refused", gt=0)
    max_files: int = setting(200_000, "more files in one input are refused", ge=1)
    max_zip_ratio: float = setting(200.0, "zip members that expand more are refused", gt=1)
    position_tolerance_mm: float = setting(0.05, "slice positions closer than this are one position", gt=0)
    spacing_tolerance: float = setting(0.02, "relative deviation of a slice gap that is still uniform", gt=0)
    orientation_tolerance: float = setting(1e-3, "difference of direction cosines within one stack", gt=0)
    tilt_tolerance: float = setting(0.005, "tangent of a gantry tilt that is ignored", gt=0)
    threads: int = setting(2, "threads that decode frames", ge=1)


class AnatomyConfig(_Section):
    """Limits of the classical segmenter."""

    working_spacing_mm: float = setting(2.0, "edge of the isotropic working grid", gt=0.5, le=3.0)
    min_spine_mm: float = setting(40.0, "less traced spine than this is not assessable", gt=0)


class MassConfig(_Section):
    """Limits of the search for masses."""


class MeasureConfig(_Section):
    """Limits of the measurements."""

    calibration_sd_hu: float = setting(4.0, "type B standard uncertainty of a mean HU at known kVp", gt=0)
    calibration_sd_unknown_kvp_hu: float = setting(10.0, "the same at unknown kVp", gt=0)
    core_depth_mm: float = setting(2.0, "attenuation is read this far inside the border", ge=0)


class DifferentialConfig(_Section):
    """Which model, which prior."""

    model: str = setting("emh-differential-1", "folder under models/, or a path")
    prior: str = setting("uniform", "named prior of the model")


class Config(_Section):
    """All settings of one analysis."""

    name: str = "default"
    loading: LoadingConfig = LoadingConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    masses: MassConfig = MassConfig()
    measure: MeasureConfig = MeasureConfig()
    differential: DifferentialConfig = DifferentialConfig()

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of all values: two results with one digest used the same settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def config_names() -> list[str]:
    """Return the names of the profiles that ship with the package."""
    return sorted(path.stem for path in data_folder("configs").glob("*.toml"))


def load_config(name_or_path: str | Path = "default") -> Config:
    """Read a profile by name (``configs/NAME.toml``) or from a TOML file.

    Raises
    ------
    ConfigError
        If there is no such profile, or a value in it is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = data_folder("configs") / f"{name_or_path}.toml"
    if not path.is_file():
        raise ConfigError(
            f"There is no configuration {str(name_or_path)!r}.",
            code="config_not_found",
            remedy=f"Use one of {', '.join(config_names())}, or the path of a .toml file.",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Config.model_validate({"name": path.stem, **values})
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        first = (
            "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise ConfigError(
            f"Configuration {path.name} is not valid: {first}.",
            code="config_invalid",
            remedy="Correct the named field; docs/configuration.md lists all of them.",
        ) from error
