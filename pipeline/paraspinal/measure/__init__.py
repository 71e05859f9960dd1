"""Measurement records from native voxels."""

from paraspinal.measure.mass import measure_mass
from paraspinal.measure.patient import measure_aortic_lumen, measure_patient
from paraspinal.measure.vertebra import measure_vertebrae

__all__ = ["measure_aortic_lumen", "measure_mass", "measure_patient", "measure_vertebrae"]
