"""Measurement records from native voxels."""

from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.bones import Bones, survey_bones
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.interpolated import mark_patient
from paraspinal.measure.lumens import read_lumens
from paraspinal.measure.mass import measure_mass
from paraspinal.measure.patient import measure_patient
from paraspinal.measure.rib import RibSurvey, measure_ribs, survey_ribs
from paraspinal.measure.scan import measure_scan
from paraspinal.measure.vertebra import measure_vertebrae

__all__ = [
    "Bones",
    "CleanWalls",
    "RibSurvey",
    "mark_patient",
    "measure_aortic_lumen",
    "measure_mass",
    "measure_patient",
    "measure_ribs",
    "measure_scan",
    "measure_vertebrae",
    "read_lumens",
    "survey_bones",
    "survey_ribs",
]
