"""What the report needs of an analysis."""

from __future__ import annotations

from typing import Protocol

from paraspinal.anatomy.types import Anatomy
from paraspinal.masses.types import MassSearch
from paraspinal.measure import CleanWalls, RibSurvey
from paraspinal.quality.types import ScanQuality
from paraspinal.result import AnalysisResult
from paraspinal.volume import CTVolume


class AnalysisLike(Protocol):
    """The published result together with the value objects that the pictures are made of."""

    @property
    def result(self) -> AnalysisResult:
        """What ``result.json`` holds."""

    @property
    def volume(self) -> CTVolume:
        """The series."""

    @property
    def anatomy(self) -> Anatomy | None:
        """Structures on the working grid; None where no spine could be traced."""

    @property
    def search(self) -> MassSearch:
        """Masses with their regions on the native grid."""

    @property
    def walls(self) -> CleanWalls | None:
        """The walls of the vertebral bodies; None where there are none to compare."""

    @property
    def ribs(self) -> RibSurvey | None:
        """What was read of the ribs; None where there is no anatomy."""

    @property
    def quality(self) -> ScanQuality:
        """Noise, resolution and contrast."""
