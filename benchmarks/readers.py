"""Measures spheres of known volume through several DICOM readers, one defect of the series at a time.

    python benchmarks/readers.py                          # prints the tables (about 15 minutes on two cores)
    python benchmarks/readers.py --defects tilt:15 missing:3
    python benchmarks/readers.py --write docs/loading.md  # puts them between the markers there

Needs ``pip install paraspinal[benchmark]``. Each reader reads each series in a process of its own, with limits of
time and memory, by the call that its documentation gives for a folder. All are measured alike, on their own voxels
and their own geometry. With ``--results FILE`` what was measured is kept, and only what is missing there is run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.defects import SpherePhantom, parse_defect, sphere_volume, write_defective_series

Array = npt.NDArray[Any]

RADII_MM = (10.0, 20.0, 30.0)
CENTRES_MM = ((-32.0, 30.0, 0.0), (-30.0, -22.0, 0.0), (32.0, 0.0, 0.0))
# Three positions against the grid, the same for all spheres, in mm.
SHIFTS_MM = ((0.0, 0.0, 0.0), (0.31, 0.17, 0.83), (-0.23, 0.41, 1.67))
SHAPE, SPACING_MM = (40, 256, 344), (2.5, 0.8, 0.8)
SPHERE_HU, BACKGROUND_HU = 40.0, -100.0
DEFECTS = (
    *("", "tilt:15", "tilt:-15", "tilt:-18.5", "missing:1", "missing:2", "missing:3", "missing:5"),
    *(
        "spacing:2.5/5/2.5",
        "spacing:1.25/2.5",
        "jitter:0.05",
        "jitter:0.3",
        "overlap",
        "duplicate",
        "duplicate:5",
    ),
    *(
        "tilt:15+missing:1",
        "tilt:15+duplicate",
        "duplicate-other",
        "two-phases",
        "four-d:3",
        "two-scans",
        "mixed-orientation",
        "localizer",
    ),
    *("shuffled", "reversed", "empty-position", "one-position", "few:2", "flipped-rows", "flipped-columns"),
    *(
        "oblique:10",
        "coronal",
        "sagittal",
        "non-square",
        "cut-field-of-view",
        "padding:tag",
        "padding:no-tag",
    ),
    *(
        "clipped",
        "no-rescale",
        "odd-rescale",
        "negative-slope",
        "modality-lut",
        "unsigned",
        "bits:12",
        "bits:8",
    ),
    *("monochrome1", "syntax:implicit", "syntax:big-endian", "syntax:deflated", "syntax:rle"),
    *("syntax:jpeg-lossless", "syntax:jpeg-ls", "syntax:jpeg2000", "syntax:htj2k", "unknown-syntax"),
    *(
        "lossy:jpeg-ls",
        "lossy:jpeg",
        "enhanced",
        "legacy-enhanced",
        "empty-uids",
        "truncated-pixels",
        "malformed",
    ),
    *("iodine-map", "perfusion-map", "mip", "virtual-energy:70", "cone-beam", "modality:MR", "no-kvp"),
)
SECONDS, MEMORY_GIB = 90, 6
MARKERS = ("<!-- readers: begin -->", "<!-- readers: end -->")
# Spheres of a later time are brighter, and any one of the times is a right answer; steps of 16 HU meet 32.
_OTHER_HU = {
    "two-phases": (65.0,),
    "four-d:3": (65.0, 90.0),
    "two-scans": (65.0,),
    "duplicate-other": (65.0,),
    "bits:8": (32.0,),
    "lossy:jpeg": (32.0,),
}
_HU_TOLERANCE = 5.0
_TOLERANCE_PERCENT = (1.0, 0.6, 0.3)  # for radius 10, 20 and 30 mm


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reader made of one series: errors in per cent per radius, or the code of its refusal."""

    refusal: str = ""
    by_threshold: tuple[float | None, ...] = ()
    by_weight: tuple[float | None, ...] = ()
    sphere_hu: float | None = None
    warned: int = 0
    codes: tuple[str, ...] = ()


# --- the readers: (voxels, 3 × 3 matrix whose column k is the step along array axis k in mm, codes) -----------------

Reading = tuple[Array, Array, tuple[str, ...]]


def read_paraspinal(folder: Path) -> Reading:
    """`load_series` of this package."""
    from paraspinal.loading import load_series

    loaded = load_series(folder)
    codes = tuple(code.code for code in loaded.loading.codes)
    return loaded.volume.hu.astype(np.float64), loaded.volume.geometry.matrix[:3, :3], codes


def read_simpleitk(folder: Path) -> Reading:
    """SimpleITK's series reader, on the series of a folder that has the most files."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(str(folder))
    names = max((reader.GetGDCMSeriesFileNames(str(folder), uid) for uid in series), key=len, default=())
    if not names:
        raise ValueError("no series")
    reader.SetFileNames(names)
    image = reader.Execute()
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return SimpleITK.GetArrayFromImage(image).astype(np.float64), axes[:, ::-1], ()


def read_dicom2nifti(folder: Path) -> Reading:
    """dicom2nifti's conversion of a folder; the largest file that it makes."""
    import dicom2nifti
    import SimpleITK

    with tempfile.TemporaryDirectory() as temporary:
        dicom2nifti.convert_directory(str(folder), temporary, reorient=False)
        made = sorted(Path(temporary).glob("*.nii.gz"), key=lambda path: path.stat().st_size)
        if not made:  # the reason went to the log only: this call raises it
            dicom2nifti.dicom_series_to_nifti(str(folder), f"{temporary}/x.nii.gz", reorient_nifti=False)
            raise ValueError("nothing was written")
        image = SimpleITK.ReadImage(str(made[-1]))
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return SimpleITK.GetArrayFromImage(image).astype(np.float64), axes[:, ::-1], ()


def read_highdicom(folder: Path) -> Reading:
    """highdicom's volume of the largest series of a folder."""
    import highdicom
    import pydicom

    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    by_series = [
        list(g)
        for _, g in groupby(
            sorted(datasets, key=lambda d: str(d.get("SeriesInstanceUID"))),
            key=lambda d: str(d.get("SeriesInstanceUID")),
        )
    ]
    largest = max(by_series, key=lambda s: sum(int(d.get("NumberOfFrames", 1)) for d in s))
    if "NumberOfFrames" in largest[0]:
        volume = highdicom.Image.from_dataset(largest[0]).get_volume()
    else:
        volume = highdicom.get_volume_from_series(largest)
    return np.asarray(volume.array, np.float64), np.asarray(volume.affine)[:3, :3], ()


READERS: dict[str, Callable[[Path], Reading]] = {
    "paraspinal": read_paraspinal,
    "SimpleITK": read_simpleitk,
    "dicom2nifti": read_dicom2nifti,
    "highdicom": read_highdicom,
}


# --- measuring ------------------------------------------------------------------------------------------------------


def measure(hu: Array, axes: Array) -> tuple[list[float | None], list[float | None], float | None]:
    """Return the errors in per cent by threshold and by weight per sphere, and the HU of the largest."""
    from scipy import ndimage

    labels, count = ndimage.label(hu > (SPHERE_HU + BACKGROUND_HU) / 2)
    if not count:
        return [None] * 3, [None] * 3, None
    sizes = np.bincount(labels.ravel())[1:]
    found = sorted(np.argsort(sizes)[-3:] + 1, key=lambda label: sizes[label - 1])
    if len(found) < 3 or sizes[found[0] - 1] < 50:
        return [None] * 3, [None] * 3, None
    pairs = [
        _errors(hu, axes, labels == label, radius) for label, radius in zip(found, RADII_MM, strict=True)
    ]
    return [p[0] for p in pairs], [p[1] for p in pairs], pairs[-1][2]


def _errors(hu: Array, axes: Array, body: Array, radius: float) -> tuple[float, float, float]:
    """Measure one sphere: by its own midpoint between inside and outside, and by partial volume."""
    voxel = abs(float(np.linalg.det(axes)))
    centre = np.argwhere(body).mean(axis=0)
    offsets = np.moveaxis(np.indices(hu.shape, dtype=np.float32), 0, -1) - centre.astype(np.float32)
    distance = np.linalg.norm(offsets @ axes.T.astype(np.float32), axis=-1)
    inside = float(np.median(hu[distance < 0.6 * radius]))
    near = 1.1 * radius + 3.0
    outside = float(np.median(hu[(distance > near) & (distance < near + 3.0)]))
    box = distance < near
    by_threshold = float(np.count_nonzero(box & (hu > (inside + outside) / 2))) * voxel
    by_weight = float(((hu[box] - outside) / (inside - outside)).sum()) * voxel
    truth = 4 / 3 * np.pi * radius**3
    return 100 * (by_threshold / truth - 1), 100 * (by_weight / truth - 1), inside


def worst(values: Iterable[float | None]) -> float | None:
    """Return the value that is furthest from 0; None if any is missing."""
    known = list(values)
    return None if any(v is None for v in known) else max((v for v in known if v is not None), key=abs)


# --- one reader, one defect: a process of its own -------------------------------------------------------------------


class _Counter(logging.Handler):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one log record."""
        self.count += record.levelno >= logging.WARNING


def child(reader: str, folders: Sequence[str]) -> None:
    """Read and measure; print one JSON object."""
    counter = _Counter()
    logging.getLogger().addHandler(counter)
    read = READERS[reader]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB << 30, MEMORY_GIB << 30))
    rows = []
    codes: tuple[str, ...] = ()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for folder in folders:
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    hu, axes, codes = read(Path(folder))
            except Exception as error:  # whatever a reader raises is its refusal
                print(json.dumps(asdict(Outcome(refusal=_refusal(error)))))
                return
            rows.append(measure(hu, axes))
    print(
        json.dumps(
            asdict(
                Outcome(
                    by_threshold=tuple(worst(row[0][k] for row in rows) for k in range(3)),
                    by_weight=tuple(worst(row[1][k] for row in rows) for k in range(3)),
                    sphere_hu=worst(row[2] for row in rows),
                    warned=len(caught) + counter.count,
                    codes=codes,
                )
            )
        )
    )


def _refusal(error: Exception) -> str:
    """Return the code of an error where it has one, else its kind."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    text = str(error.args[0]) if error.args else ""
    return text if text.isupper() and " " not in text else type(error).__name__


def run_reader(reader: str, folders: Sequence[Path]) -> Outcome:
    """Run one reader over the folders of one defect, within limits of time and memory."""
    command = [sys.executable, __file__, "--child", reader, *map(str, folders)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Outcome(refusal=f"no answer in {SECONDS} s")
    if done.returncode:
        return Outcome(refusal="crash" if done.returncode < 0 else "error")
    answer = _outcome(json.loads(done.stdout.strip().splitlines()[-1]))
    told = sum("warning" in line.lower() for line in done.stderr.splitlines())
    return replace(answer, warned=answer.warned + told)


def _outcome(values: dict[str, Any]) -> Outcome:
    return Outcome(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def run_all(defects: Sequence[str], kept: Path | None, jobs: int) -> dict[str, dict[str, Outcome]]:
    """Run all defects but those whose results are kept, and keep theirs."""
    for name in filter(None, "+".join(defects).split("+")):
        parse_defect(name)
    known: dict[str, dict[str, Any]] = {}
    if kept is not None and kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
    missing = [defect for defect in defects if defect not in known]
    with ThreadPoolExecutor(jobs) as pool:
        for defect, row in zip(missing, pool.map(run_defect, missing), strict=True):
            known[defect] = {reader: asdict(outcome) for reader, outcome in row.items()}
            print(defect or "none", file=sys.stderr, flush=True)
            if kept is not None:
                kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return {d: {reader: _outcome(v) for reader, v in known[d].items()} for d in defects}


def run_defect(defect: str) -> dict[str, Outcome]:
    """Write the spheres with one defect and run all readers over them."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = []
        for k, shift in enumerate(SHIFTS_MM):
            centres = tuple((x + shift[0], y + shift[1], z + shift[2]) for x, y, z in CENTRES_MM)
            spheres = SpherePhantom(RADII_MM, centres, body_mm=(120.0, 85.0))
            volume = sphere_volume(spheres, shape=SHAPE, spacing_mm=SPACING_MM)
            folders.append(Path(temporary) / str(k))
            defects = [name for name in defect.split("+") if name]
            write_defective_series(volume, folders[-1], defects, uid_seed=f"readers {k}", imager=spheres)
        return {reader: run_reader(reader, folders) for reader in READERS}


# --- the tables -----------------------------------------------------------------------------------------------------


def cell(outcome: Outcome, errors: Sequence[float | None], defect: str, clean: Sequence[float | None]) -> str:
    """Return one cell: errors for radius 10, 20 and 30 mm, or the refusal; what is wrong is bold.

    `clean` are the errors of the same reader and measure without a defect.
    """
    if outcome.refusal:
        return f"refused: {outcome.refusal}"
    known = [e for e in errors if e is not None and np.isfinite(e)]
    text = " / ".join(f"{round(e, 1) + 0.0:+.1f}" for e in known) if len(known) == 3 else "no spheres"
    limits = zip(known, clean or (0.0,) * 3, _TOLERANCE_PERCENT, strict=False)
    wrong = len(known) < 3 or any(abs(e - (good or 0.0)) > limit for e, good, limit in limits)
    right_hu = (SPHERE_HU, *_OTHER_HU.get(defect, ()))
    if outcome.sphere_hu is not None and all(abs(outcome.sphere_hu - h) > _HU_TOLERANCE for h in right_hu):
        text, wrong = f"{text}, {outcome.sphere_hu:.0f} HU", True
    told = bool(outcome.warned or outcome.codes)
    return f"**{text}** ({'told' if told else 'silent'})" if wrong else text


def tables(results: dict[str, dict[str, Outcome]]) -> str:
    """Return both tables as markdown."""
    clean = results.get("")
    parts = [
        "Error of the volume in per cent for radius 10 / 20 / 30 mm, the worst of three positions against the grid"
        " (2.5 mm slices, no noise). Bold: more than 1 / 0.6 / 0.3 % from the series without defects, no spheres"
        " to be found, or a density more than 5 HU off; `told` when the reader gave a code or a warning of any kind,"
        " `silent` when it gave none."
    ]
    for title, pick in (
        ("By partial volume (exact on a perfect volume)", lambda o: o.by_weight),
        (
            "Voxels above the midpoint (whole voxels: compare with the first row)",
            lambda o: o.by_threshold,
        ),
    ):
        lines = [
            f"| defect | {' | '.join(READERS)} | what paraspinal said |",
            "|---" * (len(READERS) + 2) + "|",
        ]
        for defect, row in results.items():
            cells = [
                cell(row[reader], pick(row[reader]), defect, pick(clean[reader]) if clean else ())
                for reader in READERS
            ]
            said = ", ".join(dict.fromkeys(row["paraspinal"].codes))
            lines.append(f"| {defect or 'none'} | {' | '.join(cells)} | {said} |")
        parts.append(f"**{title}**\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def insert(path: Path, text: str) -> None:
    """Put the tables between the markers of a page."""
    page = path.read_text(encoding="utf-8")
    if any(page.count(marker) != 1 for marker in MARKERS):
        raise SystemExit(f"{path} lacks the markers {MARKERS[0]} and {MARKERS[1]}")
    before, _, rest = page.partition(MARKERS[0])
    _, _, after = rest.partition(MARKERS[1])
    path.write_text(f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Run the readers and print or write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--defects", nargs="+", default=list(DEFECTS), help="as `paraspinal phantom --defect`"
    )
    parser.add_argument("--jobs", type=int, default=2, help="defects at a time")
    parser.add_argument("--results", type=Path, help="JSON file that keeps what was measured")
    parser.add_argument("--write", type=Path, help="markdown page to put the tables into")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], given.child[1:])
        return
    text = tables(run_all(given.defects, given.results, given.jobs))
    if given.write:
        insert(given.write, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
