"""Paravertebral compartments, coverage and the candidates that nothing explains."""

from paraspinal.masses.given import OUTLINED, GivenMass, read_mass_masks, with_given, without_rejected
from paraspinal.masses.search import find_masses
from paraspinal.masses.types import Mass, MassSearch

__all__ = [
    "OUTLINED",
    "GivenMass",
    "Mass",
    "MassSearch",
    "find_masses",
    "read_mass_masks",
    "with_given",
    "without_rejected",
]
