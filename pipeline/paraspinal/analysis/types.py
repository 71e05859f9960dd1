"""What an analysis hands on: the published result together with the value objects that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paraspinal.analysis.table import html_table, measurement_rows
from paraspinal.anatomy.types import Anatomy
from paraspinal.errors import UsageError
from paraspinal.masses.types import MassSearch
from paraspinal.measure import CleanWalls, RibSurvey
from paraspinal.quality.types import ScanQuality
from paraspinal.result import AnalysisResult
from paraspinal.saving import result_json, save_analysis
from paraspinal.volume import CTVolume

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Analysis:
    """One analysed series.

    ``result`` is what ``result.json`` holds; the other fields are the value objects of the stages, for pictures
    and for work in a notebook. ``anatomy`` is None where no spine could be traced.
    """

    result: AnalysisResult
    volume: CTVolume
    anatomy: Anatomy | None
    search: MassSearch
    quality: ScanQuality
    walls: CleanWalls | None = None
    ribs: RibSurvey | None = None

    def __repr__(self) -> str:
        """Return one short line: what was found, and in what."""
        counts = [sum(m.state == state for m in self.result.masses) for state in ("present", "indeterminate")]
        shape = "×".join(str(n) for n in self.volume.geometry.shape)
        return f"<Analysis {self.result.outcome}: {counts[0]} present, {counts[1]} indeterminate; {shape} voxels>"

    def to_json(self) -> str:
        """Return the text of ``result.json``."""
        return result_json(self.result)

    def to_dataframe(self) -> pd.DataFrame:
        """Return every measurement as one row: scope, name, value, unit, status, reason, type_a, type_b,
        detection_limit.

        ``scope`` is ``patient``, ``mass 1`` … or a vertebra's level. ``value`` is missing, never 0, where nothing
        was measured.

        Raises
        ------
        UsageError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError(
                "A data frame needs pandas, which is not installed.",
                code="pandas_missing",
                remedy="Install it with: pip install 'paraspinal[dataframe]'",
            ) from error
        return pd.DataFrame([row._asdict() for row in measurement_rows(self.result)])

    def save(self, folder: str | Path, *, force: bool = False, debug_images: bool = False) -> Path:
        """Write the output folder of ``docs/results.md`` and return it.

        Parameters
        ----------
        folder : str or Path
            Appears complete or not at all; other files in it are left alone.
        force : bool
            Replace an existing result.
        debug_images : bool
            Write contact sheets of every structure into the subfolder ``debug``.

        Raises
        ------
        OutputError
            If the folder holds a result and `force` is False, or cannot be written.
        """
        return save_analysis(self, Path(folder), force=force, debug_images=debug_images)

    def _repr_html_(self) -> str:
        return html_table(self.result)
