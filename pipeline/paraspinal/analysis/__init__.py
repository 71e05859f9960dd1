"""Runs the stages from loading to the differential and assembles the published result."""

from paraspinal.analysis.run import analyze
from paraspinal.analysis.types import Analysis

__all__ = ["Analysis", "analyze"]
