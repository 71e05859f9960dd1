"""Files to one CT volume in Hounsfield units with a verdict, or a refusal with a code."""

from paraspinal.loading.load import load_series
from paraspinal.loading.types import LoadedSeries

__all__ = ["LoadedSeries", "load_series"]
