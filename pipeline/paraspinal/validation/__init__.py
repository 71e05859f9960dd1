"""Measured against known: seeded suites of synthetic bodies and of real series with known masses."""

from paraspinal.validation.run import run_case, run_suite
from paraspinal.validation.suites import SUITES, Case, suite_cases
from paraspinal.validation.summary import summarise

__all__ = ["SUITES", "Case", "run_case", "run_suite", "suite_cases", "summarise"]
