"""The model on cases of known diagnosis: scores with intervals, baselines, calibration, sensitivity."""

from paraspinal.differential.evaluation.evaluate import Evaluation, evaluate
from paraspinal.differential.evaluation.known import KnownCase, known_cases
from paraspinal.differential.evaluation.page import evaluation_page
from paraspinal.differential.evaluation.picture import reliability_picture
from paraspinal.differential.evaluation.sensitivity import Sensitivity, sensitivity, sensitivity_page

__all__ = [
    "Evaluation",
    "KnownCase",
    "Sensitivity",
    "evaluate",
    "evaluation_page",
    "known_cases",
    "reliability_picture",
    "sensitivity",
    "sensitivity_page",
]
