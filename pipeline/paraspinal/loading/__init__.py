"""Files to one CT volume in Hounsfield units with a verdict, or a refusal with a code."""

from paraspinal.loading.inspection import Inspection, inspect_source
from paraspinal.loading.load import load_series
from paraspinal.loading.types import LoadedSeries

__all__ = ["Inspection", "LoadedSeries", "inspect_source", "load_series"]
