"""Paravertebral compartments, coverage and the candidates that nothing explains."""

from paraspinal.masses.search import find_masses
from paraspinal.masses.types import Mass, MassSearch

__all__ = ["Mass", "MassSearch", "find_masses"]
