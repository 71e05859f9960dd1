"""What the loader hands on."""

from __future__ import annotations

from dataclasses import dataclass

from paraspinal.result import Loading
from paraspinal.volume import CTVolume


@dataclass(frozen=True, slots=True)
class LoadedSeries:
    """One accepted series.

    Parameters
    ----------
    volume : CTVolume
        Hounsfield units in canonical order, with geometry and acquisition.
    loading : Loading
        The verdict, with a code for everything that is worth knowing.
    uid : str
        Series Instance UID; ``derived-<16 hex>`` (a digest of geometry and pixels) where the files carry none.
    uid_digest : str
        First 16 hex digits of the SHA-256 of `uid`: the form in which a result names the series.
    input_digest : str
        First 16 hex digits of a SHA-256 over the bytes of all files of the series, whatever their order and names.
    source : str
        ``"dicom"``, ``"nifti"``, ``"nrrd"`` or ``"metaimage"``.
    """

    volume: CTVolume
    loading: Loading
    uid: str
    uid_digest: str
    input_digest: str
    source: str
