"""What an archive of size costs beside the analyses: indexing, overhead per case, memory of the parent, collecting.

    python benchmarks/archive_scale.py index     --files 100000
    python benchmarks/archive_scale.py overhead  --cases 100 1000 10000
    python benchmarks/archive_scale.py workers   --cases 40 --seconds 2
    python benchmarks/archive_scale.py collect   --cases 10000 --result FILE

Every line is a ratio or a rate within one run; the machine's load matters. Rehearsed cases have loaded what real ones
have (`archive_loaded`), and those of `workers` work: the processor, and memory beyond its cache.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from archive_chaos import options, prepare

from paraspinal.archive import Options, Workers, batch, index_archive, load_key
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, open_ledger

_SLICES = 100


def peak_mib(process: int | str = "self") -> float:
    """Return the largest resident memory of a process since it began."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this benchmark reads peak memory from /proc and needs Linux")


def image(series: int, index: int) -> Any:
    """Return a small CT image."""
    # Here and below: what is imported above is imported by every rehearsed case, too, and would be measured with it.
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.Modality, ds.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[f"{series} {index}"]
    )
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[f"study {series}"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[f"series {series}"])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=[f"frame {series}"])
    ds.PatientID, ds.SeriesNumber, ds.InstanceNumber, ds.KVP = f"P{series}", 2, index + 1, "120"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 2.0 * index], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.7, 0.7], "2.0"
    ds.Rows = ds.Columns = 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
    ds.PixelData = bytes(512)
    return ds


def write_archive(root: Path, files: int) -> None:
    """Write series of a hundred images each."""
    import pydicom

    for series in range(files // _SLICES):
        folder = root / f"{series // 100:03d}" / f"{series:06d}"
        folder.mkdir(parents=True)
        for index in range(_SLICES):
            pydicom.dcmwrite(folder / f"{index:04d}", image(series, index), enforce_file_format=True)


def index(files: int) -> None:
    """Index an archive twice."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_archive(folder / "archive", files)
        time.sleep(3.0)  # stamps of files this new would not be trusted
        key = load_key(folder / "key")
        begin = time.perf_counter()
        read = sum(len(path.read_bytes()) > 0 for path in (folder / "archive").rglob("*") if path.is_file())
        floor = time.perf_counter() - begin
        seconds = []
        for _ in range(2):
            begin = time.perf_counter()
            done = index_archive(folder / "archive", folder / "catalogue", key=key)
            seconds.append(time.perf_counter() - begin)
        size = sum(path.stat().st_size for path in folder.glob("catalogue*"))
        print(
            f"index of {read} files, {done.counts['series']} series: {read / seconds[0]:.0f} files/s"
            f" ({seconds[0] / floor:.1f} x reading all bytes); again {seconds[1]:.2f} s,"
            f" {seconds[0] / seconds[1]:.0f} x faster; catalogue {size / files:.0f} bytes a file;"
            f" peak {peak_mib():.0f} MiB"
        )


def rehearse(cases: int, workers: int, rounds: int) -> tuple[float, float, float]:
    """Rehearse a batch in a process of its own.

    Return its seconds, the parent's largest memory, and the median of the cases' largest, in MiB.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_rehearse, args=(there, cases, workers, rounds))
    process.start()
    found: tuple[float, float, float] = here.recv()
    process.join()
    return found


def _rehearse(link: multiprocessing.connection.Connection, cases: int, workers: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, cases)
        plain = options(folder, workers, None)
        own = Options(
            limits=plain.limits,
            workers=Workers(workers),
            key=plain.key,
            task="archive_loaded:rehearse",
            settings={"rounds": rounds},
        )
        ticks: list[float] = []
        batch(
            folder / "catalogue",
            folder / "out",
            own,
            on_tick=lambda tick: ticks.append(tick.seconds if tick.done else 0),
        )
        first = next((t for t in ticks if t), 0.0)
        parent = peak_mib()
        with open_ledger(folder / "out" / "ledger.sqlite") as ledger:
            peaks = sorted(row.peak_mib for row in ledger.rows("done"))
        link.send((ticks[-1] - first, parent, peaks[len(peaks) // 2]))


def overhead(cases: list[int]) -> None:
    """Measure what a case costs that does nothing, and the parent's memory."""
    for number in cases:
        seconds, peak, own = rehearse(number, 2, 0)
        print(
            f"{number} empty cases of {own:.0f} MiB, 2 workers: {1000 * 2 * seconds / number:.0f} ms a case and"
            f" worker; parent {peak:.0f} MiB"
        )


def workers(cases: int, seconds: float) -> None:
    """Compare two workers with one on cases that work as long as takes some seconds alone."""
    rounds = rounds_of(seconds)
    one, _, _ = rehearse(cases, 1, rounds)
    two, _, _ = rehearse(cases, 2, rounds)
    print(
        f"{cases} cases of {rounds} rounds ({seconds:g} s alone): {one:.1f} s with one worker, {two:.1f} s with"
        f" two: {one / two:.2f} x"
    )


def rounds_of(seconds: float) -> int:
    """Return how many rounds of the rehearsal's work take so long here."""
    from paraspinal.archive.rehearsal import work

    tried = 20
    work(1)
    begin = time.perf_counter()
    work(tried)
    return max(1, round(tried * seconds / (time.perf_counter() - begin)))


@contextmanager
def family_peaks(every_s: float = 0.1) -> Iterator[dict[int, float]]:
    """Yield the largest resident memory (MiB) by process of this one and all that it starts meanwhile."""
    peaks: dict[int, float] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(every_s):
            for pid in [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]:
                try:
                    peaks[pid] = max(peaks.get(pid, 0.0), peak_mib(pid))
                except (OSError, RuntimeError):
                    continue  # it ended meanwhile

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        yield peaks
    finally:
        over.set()
        watch.join()
        peaks[os.getpid()] = peak_mib()


def gather(cases: int, result: Path) -> None:
    """Collect copies of one result, and query them."""
    import duckdb

    from paraspinal.archive.collect import collect
    from paraspinal.archive.receipt import write_receipt

    with tempfile.TemporaryDirectory() as temporary:
        layout = Layout(Path(temporary) / "out")
        layout.root.mkdir()
        names = [f"{k * 2654435761 % 2**64:016x}" for k in range(1, cases + 1)]
        for name in names:
            layout.case(name).mkdir(parents=True)
            shutil.copy(result, layout.case(name) / "result.json")
            write_receipt(layout.case(name), case=name, recipe="r", stamp="s", facts={})
        with open_ledger(layout.ledger) as ledger:
            ledger.put(CaseRow(name, name, "done", recipe="r", attempts=1) for name in names)
        begin = time.perf_counter()
        with family_peaks() as peaks:
            done = collect(layout.root)
        seconds = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in layout.cohort.rglob("*.parquet"))
        begin = time.perf_counter()
        sql = (
            f"SELECT scope, count(*), median(value) FROM '{layout.cohort}/measurements/scope_kind=vertebra/*.parquet'"
            " WHERE name = 'trabecular_hu' AND status = 'measured' GROUP BY scope"
        )
        rows = len(duckdb.sql(sql).fetchall())
        query = time.perf_counter() - begin
        print(
            f"collect of {cases} results of {result.stat().st_size // 1024} KiB: {seconds:.1f} s,"
            f" peaks {sum(peaks.values()):.0f} MiB in {len(peaks)} processes, {len(done.unreadable)} not taken,"
            f" {json.dumps(done.rows)},"
            f" Parquet {size / 2**20:.0f} MiB; query {query:.2f} s ({rows} rows)"
        )


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["index", "overhead", "workers", "collect"])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--cases", type=int, nargs="+", default=[])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--result", type=Path, help="result.json to copy (for collect)")
    given = parser.parse_args()
    os.chdir(Path(__file__).parent)
    runs: dict[str, Callable[[], None]] = {
        "index": lambda: index(given.files),
        "overhead": lambda: overhead(given.cases or [100, 1000, 10000]),
        "workers": lambda: workers((given.cases or [40])[0], given.seconds),
        "collect": lambda: gather((given.cases or [10000])[0], given.result.resolve()),
    }
    runs[given.what]()


if __name__ == "__main__":
    main()
