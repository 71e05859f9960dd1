"""Whole archives: a catalogue of what is there, a batch that loses nothing, and the cohort that comes of it."""

from paraspinal.archive.batch import Summary, batch
from paraspinal.archive.engine import Workers
from paraspinal.archive.index import Indexed, index_archive
from paraspinal.archive.job import Job, Limits, Report
from paraspinal.archive.keys import Key, load_key
from paraspinal.archive.options import Options
from paraspinal.archive.rules import Rules
from paraspinal.archive.running import Tick

__all__ = [
    "Indexed",
    "Job",
    "Key",
    "Limits",
    "Options",
    "Report",
    "Rules",
    "Summary",
    "Tick",
    "Workers",
    "batch",
    "index_archive",
    "load_key",
]
