"""Times reading and indexing against `cat`, SimpleITK and a plain pydicom loop, as ratios of one run.

    python benchmarks/reading.py                  # everything; needs about 2.5 GB of temporary space
    python benchmarks/reading.py --parts series   # one part: series, codecs or index
    python benchmarks/reading.py --repeat 5 --work FOLDER

Every measurement runs in a process of its own after its imports, so that seconds and peak memory are its own; jobs
alternate and medians are shown. Files are read once before, so the cache is warm. The input's digest is switched off,
as `cat` and SimpleITK compute none.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Record = dict[str, float]
Job = Callable[[Path], None]

SHAPE = (600, 512, 512)
CODED_SLICES = 120
SMALL_FILES = 20_000
FILES_A_FOLDER = 200


def status_mib(key: str) -> float:
    """Return a figure of /proc/self/status in MiB (VmHWM: unlike ru_maxrss, not inherited)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this benchmark reads memory from /proc and needs Linux")


def files_of(folder: Path) -> list[Path]:
    """Return the files of a tree in a stable order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- jobs: everything that is imported at the top of one is imported before the clock starts -----------------------


def cat(folder: Path) -> None:
    """Read the bytes: the floor of any reader."""
    subprocess.run(["cat", *map(str, files_of(folder))], stdout=subprocess.DEVNULL, check=True)


def simpleitk_series(folder: Path) -> None:
    """SimpleITK's series reader, the sorted files given to it."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in files_of(folder)])
    image = reader.Execute()
    SimpleITK.GetArrayViewFromImage(image)


def load_series(folder: Path) -> None:
    """Grouped, sorted, checked, in Hounsfield units."""
    from paraspinal.config import LoadingConfig
    from paraspinal.loading import load_series

    load_series(folder, config=LoadingConfig(digest_input=False))


def load_series_with_digest(folder: Path) -> None:
    """The same with the digest of the input."""
    from paraspinal.loading import load_series

    load_series(folder)


def pydicom_loop(folder: Path) -> None:
    """Read every header of a tree in a plain loop."""
    import pydicom

    for path in files_of(folder):
        pydicom.dcmread(path, stop_before_pixels=True)


def index(folder: Path) -> None:
    """Read every header of a tree, without a catalogue."""
    _index(folder, None)


def index_into_catalogue(folder: Path) -> None:
    """The same into an empty catalogue."""
    _catalogue_path(folder).unlink(missing_ok=True)
    _index(folder, _catalogue_path(folder))


def index_again(folder: Path) -> None:
    """The same from the catalogue, nothing having changed."""
    _index(folder, _catalogue_path(folder))


def _catalogue_path(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.catalogue.sqlite"


def _index(folder: Path, catalogue_path: Path | None) -> None:
    from contextlib import nullcontext

    from paraspinal.config import LoadingConfig
    from paraspinal.loading.catalogue import open_catalogue
    from paraspinal.loading.scan import scan_files
    from paraspinal.loading.sources import folder_files

    config = LoadingConfig()
    files = folder_files(folder, config=config)
    with nullcontext() if catalogue_path is None else open_catalogue(catalogue_path) as catalogue:
        scan = scan_files(files, config=config, catalogue=catalogue)
    if len(scan.entries) != len(files):
        raise RuntimeError(f"{len(files) - len(scan.entries)} files were not read")


def import_for(job: Job) -> None:
    """Import what a job needs, so that it is in memory before the clock starts."""
    if job in (cat,):
        return
    if job is simpleitk_series:
        import SimpleITK

        SimpleITK.ImageSeriesReader()
    elif job is pydicom_loop:
        import pydicom

        pydicom.dcmread  # noqa: B018
    else:
        import paraspinal.loading.catalogue
        import paraspinal.loading.scan  # noqa: F401


# --- measuring -----------------------------------------------------------------------------------------------------


def _child(job: Job, folder: Path, pipe: Any) -> None:
    warnings.simplefilter("ignore")
    import_for(job)
    before = status_mib("VmRSS")
    begin = time.perf_counter()
    job(folder)
    seconds = time.perf_counter() - begin
    pipe.send({"seconds": seconds, "mib": status_mib("VmHWM") - before})


def run_once(job: Job, folder: Path) -> Record:
    """Run a job in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, folder, send))
    process.start()
    send.close()
    try:
        record: Record = receive.recv()
    finally:
        process.join()
    return record


def compare(jobs: Iterable[Job], folder: Path, repeat: int) -> dict[str, Record]:
    """Run every job `repeat` times, alternating, and return medians."""
    jobs = tuple(jobs)
    cat(folder)
    runs: dict[str, list[Record]] = {job.__name__: [] for job in jobs}
    for _ in range(repeat):
        for job in jobs:
            runs[job.__name__].append(run_once(job, folder))
    return {
        name: {key: statistics.median(r[key] for r in records) for key in records[0]}
        for name, records in runs.items()
    }


# --- inputs --------------------------------------------------------------------------------------------------------


def synthetic_volume(slices: int) -> Any:
    """Return a CTVolume that compresses like a chest: an ellipse with two lungs, in noise."""
    import numpy as np

    from paraspinal.volume import Acquisition, CTVolume, Geometry

    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    plane = np.where((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1, 45, -1000).astype(np.float32)
    plane[((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.5) ** 2 < 1] = -860
    generator = np.random.default_rng(1)
    hu = np.empty((slices, 512, 512), np.int16)
    for layer in hu:
        layer[...] = np.clip(plane + generator.normal(0, 15, plane.shape), -1024, 3071)
    geometry = Geometry(hu.shape, (0.7, 0.75, 0.75), (-190.0, -190.0, 0.0))
    return CTVolume(hu, geometry, Acquisition(modality="CT", kvp=120, slice_thickness_mm=0.7))


def write_series(folder: Path, slices: int) -> Path:
    """Write an uncompressed series."""
    from paraspinal.dicomio.write import write_ct_series

    write_ct_series(synthetic_volume(slices), folder, uid_seed="benchmark")
    return folder


def write_coded(folder: Path, codec: str, source: Path) -> Path:
    """Write the slices of `source` compressed, unsigned with an intercept of -1024."""
    import imagecodecs
    import numpy as np
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, RLELossless

    syntaxes = {"jpeg-ls": "1.2.840.10008.1.2.4.80", "jpeg-lossless": "1.2.840.10008.1.2.4.70"}
    folder.mkdir(parents=True)
    for path in files_of(source):
        ds = pydicom.dcmread(path)
        stored = (ds.pixel_array.astype(np.int32) + 1024).astype(np.uint16)
        ds.PixelRepresentation, ds.RescaleIntercept = 0, "-1024"
        ds.PixelData = stored.tobytes()
        if codec == "rle":
            ds.compress(RLELossless, generate_instance_uid=False)
        else:
            code = imagecodecs.jpegls_encode if codec == "jpeg-ls" else imagecodecs.ljpeg_encode
            options = {} if codec == "jpeg-ls" else {"bitspersample": 16}
            ds.PixelData = encapsulate([bytes(code(stored, **options))])
            ds["PixelData"].VR = "OB"
            ds["PixelData"].is_undefined_length = True
            ds.file_meta.TransferSyntaxUID = UID(syntaxes[codec])
        ds.save_as(folder / path.name, enforce_file_format=True)
    return folder


def write_small_files(root: Path, count: int) -> Path:
    """Write files of 91 elements with a sequence and 4 kB of private bytes, 8 × 8 pixels, 200 to a folder."""
    template, marks = _small_file()
    for number in range(count):
        folder = root / f"{number // FILES_A_FOLDER:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        blob = template
        for mark in marks:
            blob = blob.replace(mark, b"%0*d" % (len(mark), number + 10 ** (len(mark) - 1)))
        (folder / f"{number % FILES_A_FOLDER:04d}.dcm").write_bytes(blob)
    return root


def _small_file() -> tuple[bytes, list[bytes]]:
    from io import BytesIO

    import numpy as np
    import pydicom
    from pydicom.datadict import dictionary_VR, keyword_dict
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    with tempfile.TemporaryDirectory() as folder:
        from dataclasses import replace

        from paraspinal.dicomio.write import write_ct_series

        volume = synthetic_volume(1)
        small = replace(
            volume,
            hu=np.ascontiguousarray(volume.hu[:, :8, :8]),
            geometry=replace(volume.geometry, shape=(1, 8, 8)),
        )
        (path,) = write_ct_series(small, Path(folder), uid_seed="small")
        ds = pydicom.dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1111111111"
    ds.ImagePositionPatient = ["-190", "-190", "777.777777"]
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3"
    ds.ReferencedImageSequence = Sequence([item])
    block = ds.private_block(0x0029, "BENCHMARK", create=True)
    block.add_new(0x10, "OB", bytes(4096))
    for keyword in sorted(keyword_dict):
        tag = keyword_dict[keyword]
        if len(ds) >= 91:
            break
        if tag >> 16 == 0x0018 and dictionary_VR(tag) in ("SH", "LO", "CS") and keyword not in ds:
            setattr(ds, keyword, "SYNTHETIC")
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue(), [b"1111111111", b"777.777777"]


# --- output --------------------------------------------------------------------------------------------------------


def show(title: str, found: dict[str, Record], against: Iterable[str]) -> None:
    """Print one comparison; ratios are a job's seconds in units of another's."""
    against = tuple(against)
    print(f"\n{title}\n{'job':<26}{'seconds':>9}{'MiB':>8}" + "".join(f"{f'x {a}':>20}" for a in against))
    for name, record in found.items():
        ratios = "".join(f"{record['seconds'] / found[a]['seconds']:>20.3f}" for a in against)
        print(f"{name:<26}{record['seconds']:>9.3f}{record['mib']:>8.0f}{ratios}", flush=True)


def series_part(work: Path, repeat: int) -> dict[str, dict[str, Record]]:
    """Uncompressed series against `cat` and SimpleITK."""
    folder = write_series(work / "series", SHAPE[0])
    found = compare((cat, simpleitk_series, load_series, load_series_with_digest), folder, repeat)
    show(f"uncompressed series {SHAPE}", found, ("cat", "simpleitk_series"))
    volume = 2 * SHAPE[0] * SHAPE[1] * SHAPE[2] / 2**20
    print(f"peak memory above the interpreter: {found['load_series']['mib'] / volume:.2f} x the int16 volume")
    return {"series": found}


def codecs_part(work: Path, repeat: int) -> dict[str, dict[str, Record]]:
    """Compressed series against SimpleITK."""
    plain, found = write_series(work / "plain", CODED_SLICES), {}
    for codec in ("jpeg-ls", "jpeg-lossless", "rle"):
        folder = write_coded(work / codec, codec, plain)
        found[codec] = compare((simpleitk_series, load_series), folder, repeat)
        show(f"{codec}, {CODED_SLICES} slices", found[codec], ("simpleitk_series",))
    return found


def index_part(work: Path, repeat: int) -> dict[str, dict[str, Record]]:
    """Headers of many small files against a plain pydicom loop."""
    folder = write_small_files(work / "small", SMALL_FILES)
    found = compare((pydicom_loop, index, index_into_catalogue, index_again), folder, repeat)
    show(f"{SMALL_FILES} small files", found, ("pydicom_loop", "index_into_catalogue"))
    return {"index": found}


PARTS = {"series": series_part, "codecs": codecs_part, "index": index_part}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeat", type=int, default=3, help="runs of each job; medians are shown")
    parser.add_argument("--work", type=Path, help="folder for the inputs (a temporary one by default)")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found: dict[str, dict[str, Record]] = {}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for part in options.parts:
            found |= PARTS[part](Path(work), options.repeat)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
