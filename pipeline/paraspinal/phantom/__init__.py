"""Synthetic CT series with known truth."""

from paraspinal.phantom.build import Phantom, make_phantom
from paraspinal.phantom.defects import (
    Defect,
    apply_defects,
    defect_names,
    parse_defect,
    write_defective_series,
)
from paraspinal.phantom.hybrid import Hybrid, insert_into_series, insert_masses, parse_mass, write_hybrid
from paraspinal.phantom.patient import PatientSpec, ScannerSpec
from paraspinal.phantom.presets import PRESETS, preset
from paraspinal.phantom.random_body import Wish, anatomy_suite, random_spec
from paraspinal.phantom.save import write_phantom
from paraspinal.phantom.spec import BoneSpec, Foci, MassSpec, OrganSpec, PhantomSpec
from paraspinal.phantom.sphere import SpherePhantom, sphere_phantom, sphere_volume
from paraspinal.phantom.structures import structure_masks

__all__ = [
    "PRESETS",
    "BoneSpec",
    "Defect",
    "Foci",
    "Hybrid",
    "MassSpec",
    "OrganSpec",
    "PatientSpec",
    "Phantom",
    "PhantomSpec",
    "ScannerSpec",
    "SpherePhantom",
    "Wish",
    "anatomy_suite",
    "apply_defects",
    "defect_names",
    "insert_into_series",
    "insert_masses",
    "make_phantom",
    "parse_defect",
    "parse_mass",
    "preset",
    "random_spec",
    "sphere_phantom",
    "sphere_volume",
    "structure_masks",
    "write_defective_series",
    "write_hybrid",
    "write_phantom",
]
