"""paraspinal: from a CT series to measured findings and a ranked differential of a paraspinal mass.

Research use only. The public names below are loaded on first use, so that ``import paraspinal`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "analysis",
    "AnalysisError": "errors",
    "AnalysisResult": "result",
    "Anatomy": "anatomy.types",
    "CTVolume": "volume",
    "Config": "config",
    "ConfigError": "errors",
    "Differential": "result",
    "Finding": "result",
    "Geometry": "volume",
    "Inspection": "loading",
    "LabelMap": "volume",
    "LoadError": "errors",
    "LoadedSeries": "loading",
    "Mass": "masses.types",
    "MassSearch": "masses.types",
    "Measurement": "result",
    "OutputError": "errors",
    "ParaspinalError": "errors",
    "Region": "volume",
    "ScanQuality": "quality.types",
    "UsageError": "errors",
    "analyze": "analysis",
    "batch": "archive.batch",
    "collect": "archive.collect",
    "index_archive": "archive.index",
    "assess_quality": "quality",
    "differential_of": "differential",
    "find_masses": "masses",
    "inspect_source": "loading",
    "load_config": "config",
    "load_model": "differential",
    "load_series": "loading",
    "mass_findings": "differential",
    "measure_mass": "measure",
    "measure_patient": "measure",
    "measure_vertebrae": "measure",
    "patient_findings": "differential",
    "segment_anatomy": "anatomy",
}

__all__ = [
    "Analysis",
    "AnalysisError",
    "AnalysisResult",
    "Anatomy",
    "CTVolume",
    "Config",
    "ConfigError",
    "Differential",
    "Finding",
    "Geometry",
    "Inspection",
    "LabelMap",
    "LoadError",
    "LoadedSeries",
    "Mass",
    "MassSearch",
    "Measurement",
    "OutputError",
    "ParaspinalError",
    "Region",
    "ScanQuality",
    "UsageError",
    "__version__",
    "analyze",
    "assess_quality",
    "batch",
    "collect",
    "differential_of",
    "find_masses",
    "index_archive",
    "inspect_source",
    "load_config",
    "load_model",
    "load_series",
    "mass_findings",
    "measure_mass",
    "measure_patient",
    "measure_vertebrae",
    "patient_findings",
    "segment_anatomy",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'paraspinal' has no attribute {name!r}")
    return getattr(import_module(f"paraspinal.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from paraspinal.analysis import Analysis, analyze
    from paraspinal.anatomy import segment_anatomy
    from paraspinal.anatomy.types import Anatomy
    from paraspinal.archive.batch import batch
    from paraspinal.archive.collect import collect
    from paraspinal.archive.index import index_archive
    from paraspinal.config import Config, load_config
    from paraspinal.differential import differential_of, load_model, mass_findings, patient_findings
    from paraspinal.errors import (
        AnalysisError,
        ConfigError,
        LoadError,
        OutputError,
        ParaspinalError,
        UsageError,
    )
    from paraspinal.loading import Inspection, LoadedSeries, inspect_source, load_series
    from paraspinal.masses import find_masses
    from paraspinal.masses.types import Mass, MassSearch
    from paraspinal.measure import measure_mass, measure_patient, measure_vertebrae
    from paraspinal.quality import assess_quality
    from paraspinal.quality.types import ScanQuality
    from paraspinal.result import AnalysisResult, Differential, Finding, Measurement
    from paraspinal.volume import CTVolume, Geometry, LabelMap, Region
