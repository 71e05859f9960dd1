"""Synthetic CT series with known truth."""

from paraspinal.phantom.build import Phantom, make_phantom
from paraspinal.phantom.defects import (
    Defect,
    apply_defects,
    defect_names,
    parse_defect,
    write_defective_series,
)
from paraspinal.phantom.presets import PRESETS, preset
from paraspinal.phantom.save import write_phantom
from paraspinal.phantom.spec import BoneSpec, Foci, MassSpec, OrganSpec, PhantomSpec
from paraspinal.phantom.sphere import SpherePhantom, sphere_phantom, sphere_volume

__all__ = [
    "PRESETS",
    "BoneSpec",
    "Defect",
    "Foci",
    "MassSpec",
    "OrganSpec",
    "Phantom",
    "PhantomSpec",
    "SpherePhantom",
    "apply_defects",
    "defect_names",
    "make_phantom",
    "parse_defect",
    "preset",
    "sphere_phantom",
    "sphere_volume",
    "write_defective_series",
    "write_phantom",
]
