"""Findings to a ranked differential, with the evidence line by line."""

from paraspinal.differential.cases import findings_from_case
from paraspinal.differential.context import read_context, with_context
from paraspinal.differential.derive_mass import mass_findings
from paraspinal.differential.derive_patient import patient_findings
from paraspinal.differential.explain import differential_of, differentials_of
from paraspinal.differential.model import DifferentialModel, load_model
from paraspinal.differential.names import CATALOGUE
from paraspinal.differential.override import Override, apply_overrides, parse_override
from paraspinal.differential.patient import mass_differentials, patient_differential

Model = DifferentialModel

__all__ = [
    "CATALOGUE",
    "DifferentialModel",
    "Model",
    "Override",
    "apply_overrides",
    "differential_of",
    "differentials_of",
    "findings_from_case",
    "load_model",
    "mass_differentials",
    "mass_findings",
    "parse_override",
    "patient_differential",
    "patient_findings",
    "read_context",
    "with_context",
]
