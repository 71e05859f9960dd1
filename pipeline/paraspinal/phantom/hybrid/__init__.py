"""Known masses put into real series: the truth of a phantom in the noise and anatomy of a scan."""

from paraspinal.phantom.hybrid.insert import Hybrid, insert_masses
from paraspinal.phantom.hybrid.save import write_hybrid
from paraspinal.phantom.hybrid.series import insert_into_series
from paraspinal.phantom.hybrid.text import parse_mass

__all__ = ["Hybrid", "insert_into_series", "insert_masses", "parse_mass", "write_hybrid"]
