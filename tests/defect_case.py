"""A small series with known spheres and what pydicom alone reads of it: no reader of ours is involved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from paraspinal.phantom.defects import SpherePhantom, sphere_volume, write_defective_series
from paraspinal.volume import CTVolume

SHAPE, SPACING = (20, 44, 50), (2.5, 1.5, 1.5)
CENTRE = (1.3, -0.8, 0.6)
SPHERE = SpherePhantom((9.0,), (CENTRE,), body_mm=(36.0, 32.0))


@cache
def volume() -> CTVolume:
    """Return the sphere as an axial volume without defects."""
    return sphere_volume(SPHERE, shape=SHAPE, spacing_mm=SPACING)


def spoil(folder: Path, *defects: str, exact: bool = True) -> list[Path]:
    """Write the sphere with defects; `exact` images it anew in every plane, else the volume is resampled."""
    return list(
        write_defective_series(volume(), folder, defects, uid_seed="test", imager=SPHERE if exact else None)
    )


def hounsfield(ds: Dataset) -> npt.NDArray[np.float64]:
    """Return the values of a single-frame data set, decoded without any code of this project."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and syntax != pydicom.uid.RLELossless:
        frame = next(generate_frames(ds.PixelData, number_of_frames=1))
        decode = {".50": imagecodecs.jpeg_decode, ".70": imagecodecs.jpeg_decode}.get(syntax[-3:])
        stored = (decode or _decoder(syntax))(frame)
    else:
        stored = ds.pixel_array
    if "ModalityLUTSequence" in ds:
        return np.asarray(pydicom.pixels.apply_modality_lut(stored, ds), float) - 1024.0
    return stored.astype(np.float64) * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))


def _decoder(syntax: str):
    return imagecodecs.jpegls_decode if syntax[-3:] in (".80", ".81") else imagecodecs.jpeg2k_decode


@dataclass(frozen=True)
class Read:
    """One written series: data sets in the order of the files' names."""

    datasets: list[Dataset]
    files: list[bytes]

    @classmethod
    def of(cls, paths: list[Path]) -> Read:
        return cls([pydicom.dcmread(path) for path in paths], [path.read_bytes() for path in paths])

    def positions(self) -> npt.NDArray[np.float64]:
        return np.array([d.ImagePositionPatient for d in self.datasets], float)

    def orientation(self, index: int = 0) -> npt.NDArray[np.float64]:
        return np.reshape(np.array(self.datasets[index].ImageOrientationPatient, float), (2, 3))

    def normal(self) -> npt.NDArray[np.float64]:
        return np.cross(*self.orientation())

    def along(self) -> npt.NDArray[np.float64]:
        return self.positions() @ self.normal()

    def sphere(self) -> tuple[float, npt.NDArray[np.float64]]:
        """Return volume (mL) and centre (LPS) of the sphere by partial volume, from the headers alone.

        The distance of slices is that along the normal; it must be even or equal the thickness.
        """
        gaps = np.diff(np.sort(self.along()))
        even = np.ptp(gaps) < 1e-3
        total, moment = 0.0, np.zeros(3)
        for k, ds in enumerate(self.datasets):
            share = (hounsfield(ds) + 100.0) / 140.0
            row, column = self.orientation(k)
            sy, sx = (float(v) for v in ds.PixelSpacing)
            i, j = np.indices(share.shape)
            places = (
                np.array(ds.ImagePositionPatient, float)
                + i[..., None] * sy * column
                + j[..., None] * sx * row
            )
            near = np.linalg.norm(places - CENTRE, axis=-1) < 16.0
            depth = float(gaps.mean()) if even else float(ds.SliceThickness)
            weight = np.where(near, share, 0.0) * sy * sx * depth
            total += weight.sum()
            moment += (weight[..., None] * places).sum(axis=(0, 1))
        return total / 1000.0, moment / total
