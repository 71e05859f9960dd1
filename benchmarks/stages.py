"""Times the stages of an analysis, and compares them with reading the bytes and with SimpleITK's series reader.

    python benchmarks/stages.py                    # a phantom of 512 × 512 × 600
    python benchmarks/stages.py SERIES [SERIES …]  # DICOM series folders of your own
    python benchmarks/stages.py --repeat 3 SERIES

Every measurement runs in a process of its own, so that its peak memory is its own. The machine's load matters: ratios
within one run say more than seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

Record = dict[str, Any]
BUDGET_SECONDS, BUDGET_MIB = 10.0, 1536.0


def peak_mib() -> float:
    """Peak resident memory of this process since it began (VmHWM: unlike ru_maxrss, not inherited)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this benchmark reads peak memory from /proc and needs Linux")


def series_files(folder: Path) -> list[Path]:
    """Return the files of a series folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_bytes(folder: Path) -> Record:
    """Read every file: the floor of any reader."""
    total = sum(len(path.read_bytes()) for path in series_files(folder))
    return {"mib": total / 2**20}


def read_simpleitk(folder: Path) -> Record:
    """Read with SimpleITK's own series reader, GDCM finding and sorting the files."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(max(_gdcm_series(SimpleITK, folder), key=len))
    image = reader.Execute()
    return {"voxels": list(image.GetSize())}


def _gdcm_series(simpleitk: Any, folder: Path) -> list[tuple[str, ...]]:
    reader = simpleitk.ImageSeriesReader
    folders = sorted({path.parent for path in series_files(folder)})
    return [
        reader.GetGDCMSeriesFileNames(str(place), uid)
        for place in folders
        for uid in reader.GetGDCMSeriesIDs(str(place))
    ]


def read_paraspinal(folder: Path) -> Record:
    """Load to Hounsfield units with geometry."""
    from paraspinal import load_config, load_series

    volume = load_series(folder, config=load_config().loading).volume
    return {"voxels": list(volume.hu.shape)}


def whole_analysis(folder: Path) -> Record:
    """Run everything and write the output folder."""
    from paraspinal import analyze

    analysis = analyze(folder)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        analysis.save(Path(out) / "out")
    saving = time.perf_counter() - begin
    result = analysis.result
    return {"stages": {**result.provenance.seconds, "saving": saving}, "outcome": result.outcome}


def write_large_phantom(folder: Path) -> Path:
    """Write the case of EMH as 600 uncompressed slices of 512 × 512 (0.75 mm) and return the series folder."""
    from paraspinal.phantom import make_phantom, preset, write_phantom

    spec = replace(preset("emh"), shape=(600, 512, 512), spacing_mm=(0.75, 0.75, 0.75), name="emh-600")
    return write_phantom(make_phantom(spec), folder, syntax="explicit") / "dicom"


def _child(job: Callable[[Path], Record], folder: Path, pipe: Any) -> None:
    begin = time.perf_counter()
    record = job(folder)
    pipe.send({"seconds": time.perf_counter() - begin, "peak_mib": peak_mib(), **record})


def measure(job: Callable[[Path], Record], folder: Path) -> Record:
    """Run a job in a fresh process and return what it reports with its seconds (imports included)."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, folder, send))
    process.start()
    send.close()
    try:
        record: Record = receive.recv()
    except EOFError:
        record = {"failed": True}
    process.join()
    return record


def benchmark(folder: Path, repeat: int) -> Record:
    """Run every job `repeat` times, alternating, and keep the run of median seconds."""
    jobs = (read_bytes, read_simpleitk, read_paraspinal, whole_analysis)
    runs: dict[str, list[Record]] = {job.__name__: [] for job in jobs}
    for _ in range(repeat):
        for job in jobs:
            runs[job.__name__].append(measure(job, folder))
    return {name: _median_run(records) for name, records in runs.items()}


def _median_run(records: list[Record]) -> Record:
    done = sorted((r for r in records if "seconds" in r), key=lambda r: r["seconds"])
    if not done:
        return {"failed": True}
    middle = statistics.median_low([r["seconds"] for r in done])
    return next(r for r in done if r["seconds"] == middle)


def show(name: str, found: Record) -> None:
    """Print one series as a table."""
    base, itk = (found[key].get("seconds") for key in ("read_bytes", "read_simpleitk"))
    print(f"\n{name}")
    print(f"{'job':<22}{'seconds':>9}{'peak MiB':>10}{'x bytes':>9}{'x SimpleITK':>13}")
    for job, record in found.items():
        if "seconds" not in record:
            print(f"{job:<22}   failed")
            continue
        ratios = [f"{record['seconds'] / other:.1f}" if other else "-" for other in (base, itk)]
        print(f"{job:<22}{record['seconds']:>9.2f}{record['peak_mib']:>10.0f}{ratios[0]:>9}{ratios[1]:>13}")
    analysis = found["whole_analysis"]
    for stage, seconds in analysis.get("stages", {}).items():
        print(f"  {stage:<20}{seconds:>9.2f}")
    if "seconds" in analysis:
        within = analysis["seconds"] <= BUDGET_SECONDS and analysis["peak_mib"] <= BUDGET_MIB
        budget = f"budget for 600 slices: {BUDGET_SECONDS:.0f} s, {BUDGET_MIB:.0f} MiB"
        print(f"  outcome {analysis['outcome']}; {budget}: {'kept' if within else 'exceeded'}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", nargs="*", type=Path, help="series folders; without any, a phantom is made")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each job; the median is shown")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        series = options.series or [write_large_phantom(Path(folder) / "phantom-600")]
        found = {str(path): benchmark(path, options.repeat) for path in series}
    for name, record in found.items():
        show(name, record)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
