"""Writes the identifiers of the files into a result, for those who ask for them; digests stand there anyway."""

from __future__ import annotations

from paraspinal.result import AnalysisResult, KeySlice
from paraspinal.volume import CTVolume

_DERIVED = "derived-"
"""How the loader's keys begin that stand in for a UID where the files carry none."""


def with_identifiers(result: AnalysisResult, volume: CTVolume, *, series_uid: str) -> AnalysisResult:
    """Return the result with the Series Instance UID and the SOP Instance UID of every key slice.

    Parameters
    ----------
    result : AnalysisResult
        With digests alone.
    volume : CTVolume
        The series, with the origin of its slices.
    series_uid : str
        As the loader gives it; a key that it derived is no UID and is not written.
    """
    uid = None if series_uid.startswith(_DERIVED) else series_uid
    masses = tuple(
        mass.model_copy(update={"key_slice": _named(mass.key_slice, volume)}) for mass in result.masses
    )
    series = result.series.model_copy(update={"uid": uid})
    return result.model_copy(update={"series": series, "masses": masses})


def _named(key_slice: KeySlice, volume: CTVolume) -> KeySlice:
    if key_slice.index >= len(volume.slices):
        return key_slice
    uid = volume.slices[key_slice.index].sop_instance_uid
    return key_slice.model_copy(update={"sop_instance_uid": uid or None})
