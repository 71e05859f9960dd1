"""Synthetic CT series with known truth."""

from paraspinal.phantom.build import Phantom, make_phantom
from paraspinal.phantom.presets import PRESETS, preset
from paraspinal.phantom.save import write_phantom
from paraspinal.phantom.spec import BoneSpec, Foci, MassSpec, OrganSpec, PhantomSpec

__all__ = [
    "PRESETS",
    "BoneSpec",
    "Foci",
    "MassSpec",
    "OrganSpec",
    "Phantom",
    "PhantomSpec",
    "make_phantom",
    "preset",
    "write_phantom",
]
