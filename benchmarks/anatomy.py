"""Measures the built-in segmenter on real series and synthetic bodies and prints the tables as markdown.

    python benchmarks/anatomy.py                                  # the real series: labels, levels, effusion
    python benchmarks/anatomy.py --series totalseg-lumbar-3mm     # one of them
    python benchmarks/anatomy.py --only robustness --changes flip noise
    python benchmarks/anatomy.py --only time                      # 512 x 512 x 600 (makes the volume first: a minute)
    python benchmarks/anatomy.py --only phantoms --phantoms 20 --jobs 2
    python benchmarks/anatomy.py --only all --phantoms 100 --write docs/anatomy.md --json anatomy.json

The series are looked for in ``--data`` (PARASPINAL_DATA, or ../shared/data). Labels that came with a series are the
output of a network, not a human's truth. Structures of less than 5 mL, and vertebrae of less than half their height
in view, are not scored. Each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anatomy_cases as cases
import numpy as np
from anatomy_scores import Record

BEGIN, END = "<!-- anatomy: begin -->", "<!-- anatomy: end -->"
PARTS = ("series", "robustness", "time", "phantoms")
STAYS = 0.95
BUDGET_S, BUDGET_MIB = 4.0, 1536.0
EFFUSIONS = ("effusion_right", "effusion_left")
Job = tuple[str, Callable[..., Record], tuple[Any, ...]]


def run_all(jobs: Iterable[Job], workers: int) -> dict[str, Record]:
    """Run the cases, `workers` at a time, and return their records by name."""
    jobs = list(jobs)
    with ThreadPoolExecutor(workers) as pool:
        records = list(pool.map(lambda job: cases.run_alone(job[1], *job[2]), jobs))
    return {name: record for (name, _, _), record in zip(jobs, records, strict=True)}


def measure(options: argparse.Namespace) -> dict[str, dict[str, Record]]:
    """Run what was asked for."""
    found: dict[str, dict[str, Record]] = {}
    names = [name for name in options.series if (options.data / cases.SERIES[name]).exists()]
    if "series" in options.only:
        found["series"] = run_all(
            ((name, cases.series_case, (options.data, name)) for name in names), options.jobs
        )
    if "robustness" in options.only:
        found["robustness"] = run_all(
            (
                (f"{name}: {change}", cases.robustness_case, (options.data, name, change))
                for name in names
                for change in options.changes
            ),
            options.jobs,
        )
    if "time" in options.only:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chest.npy"
            made = cases.run_alone(cases.write_chest, path)
            found["time"] = {"chest-600": made if "failed" in made else _best_of(path, options.repeat)}
    if "phantoms" in options.only and options.phantoms:
        suite = (options.phantoms, options.seed, options.matrix)
        found["phantoms"] = run_all(
            ((f"body {k}", cases.phantom_case, (*suite, k)) for k in range(options.phantoms)), options.jobs
        )
    return found


def _best_of(path: Path, repeat: int) -> Record:
    runs = [cases.run_alone(cases.time_case, path) for _ in range(repeat)]
    good = [run for run in runs if "failed" not in run]
    return min(good, key=lambda r: float(r["anatomy_s"] + r["quality_s"])) if good else runs[0]


# --- tables -----------------------------------------------------------------------------------------------------


def tables(found: dict[str, dict[str, Record]]) -> str:
    """Return all tables as markdown."""
    parts: list[str] = []
    if "series" in found:
        parts += [*_series_tables(found["series"])]
    if "robustness" in found:
        parts += _robustness_table(found["robustness"])
    if "time" in found:
        parts += _time_table(found["time"])
    if "phantoms" in found:
        parts += _phantom_tables(found["phantoms"])
    return "\n".join(parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    head = list(head)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows), ""]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return "–" if not np.isfinite(value) else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def _good(records: dict[str, Record]) -> dict[str, Record]:
    return {name: record for name, record in records.items() if "failed" not in record}


def _failures(records: dict[str, Record]) -> list[str]:
    lines = [f"- {name}: {record['failed']}" for name, record in records.items() if "failed" in record]
    return ["Failed:", "", *lines, ""] if lines else []


def _series_tables(records: dict[str, Record]) -> list[str]:
    good = _good(records)
    rows = []
    for name, record in good.items():
        level = record["levels"]
        counts = [level.get(key) for key in ("right", "wrong", "uncertain", "lost")]
        volume = record["volumes_ml"]
        rows.append(
            [
                name,
                level["of"],
                *counts,
                *(volume.get(key, 0.0) for key in EFFUSIONS),
                record["phase"][0],
                record["noise_sd_hu"],
                record["edge_fwhm_mm"],
                record["quality_s"],
                record["anatomy_s"],
            ]
        )
    head = [
        "series",
        "vertebrae",
        "right",
        "wrong and confident",
        "uncertain, truth named",
        "truth not named",
    ]
    head += ["effusion right mL", "left mL", "phase", "noise HU", "edge mm", "quality s", "anatomy s"]
    lines = [*_table(head, rows), *_failures(records)]
    for name, record in good.items():
        lines += [f"{name}: {', '.join(record['levels'].get('ours', []))}", ""]
    given = {name: record for name, record in good.items() if "structures" in record}
    return [*lines, *_label_tables(given)] if given else lines


def _label_tables(records: dict[str, Record]) -> list[str]:
    rows: list[list[Any]] = []
    for name, record in records.items():
        for kind in ("structures", "vertebrae"):
            for key, score in record[kind].items():
                shown = key if kind == "structures" else f"vertebra {key} (ours {score['number']})"
                rows.append(
                    [
                        name,
                        shown,
                        *(score[k] for k in ("dice", "surface_95_mm", "ours_ml", "truth_ml")),
                        " ".join(score["cut"]) or None,
                    ]
                )
    lines = _table(["series", "structure", "Dice", "95 % surface mm", "ours mL", "given mL", "cut"], rows)
    rows = []
    for name, record in records.items():
        line, ribs = record["centreline"], record["ribs"]
        rows.append(
            [name, *(line.get(k) for k in ("mean_mm", "max_mm", "slices", "untraced"))]
            + [ribs.get(k) for k in ("dice_all", "right", "unnamed", "wrong_side", "of")]
        )
    head = ["series", "canal to cord, mean mm", "max mm", "slices", "untraced", "ribs Dice beyond 30 mm"]
    lines += _table([*head, "numbers right", "unnamed", "wrong side", "of"], rows)
    for name, record in records.items():
        each = record["ribs"].get("each", {})
        if each:
            shown = ", ".join(f"{k} {v['dice']:.2f} (ours {v['ours']})" for k, v in each.items())
            lines += [f"{name}, Dice of each rib beyond 30 mm: {shown}", ""]
    return lines


def _robustness_table(records: dict[str, Record]) -> list[str]:
    rows: list[list[Any]] = []
    for name, record in _good(records).items():
        scores, level = record["dice"], record["levels"]
        below = {key: value for key, value in scores.items() if value < STAYS}
        worst = ", ".join(
            f"{key} {value:.2f}" for key, value in sorted(below.items(), key=lambda item: item[1])
        )
        rows.append(
            [name, len(scores), len(scores) - len(below), f"{level['same']}/{level['of']}", worst or "none"]
        )
    head = ["series: change", "structures", f"Dice ≥ {STAYS}", "levels that stay", "below"]
    return [*_table(head, rows), *_failures(records)]


def _time_table(records: dict[str, Record]) -> list[str]:
    rows = []
    for name, record in _good(records).items():
        total = record["quality_s"] + record["anatomy_s"]
        kept = total <= BUDGET_S and record["peak_mib"] <= BUDGET_MIB
        rows.append([name, record["quality_s"], record["anatomy_s"], total, record["peak_mib"], kept])
    head = [
        "volume",
        "quality s",
        "anatomy s",
        "sum s",
        "peak MiB",
        f"within {BUDGET_S:g} s, {BUDGET_MIB:g} MiB",
    ]
    return [*_table(head, rows), *_failures(records)]


def _phantom_tables(records: dict[str, Record]) -> list[str]:
    good = list(_good(records).values())
    if not good:
        return _failures(records)
    scores: dict[str, list[Record]] = {}
    for record in good:
        for key, score in record["structures"].items():
            scores.setdefault("vertebrae" if key.startswith("vertebra ") else key, []).append(score)
    rows: list[list[Any]] = []
    for key, own in sorted(scores.items()):
        values = np.array([s["dice"] for s in own if s["found"]])
        spread = [float(np.percentile(values, q)) for q in (50, 5)] if len(values) else [None, None]
        far = [s["surface_95_mm"] for s in own if s["found"] and np.isfinite(s["surface_95_mm"])]
        rows.append([key, len(own), len(own) - len(values), *spread, float(np.median(far)) if far else None])
    head = ["structure", "bodies", "not found", "Dice median", "5th percentile", "95 % surface mm, median"]
    return [*_table(head, rows), *_phantom_counts(good), *_failures(records)]


def _phantom_counts(good: list[Record]) -> list[str]:
    levels: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    presence: Counter[str] = Counter()
    for record in good:
        levels.update(record["levels"])
        truth, ours = record["phase"]
        phases["right" if truth == ours else "indeterminate" if ours == "indeterminate" else "wrong"] += 1
        for state, there in record["presence"].values():
            verdict = {"present": there, "absent": not there}.get(state)
            presence["indeterminate" if verdict is None else "right" if verdict else "wrong"] += 1
    lines = _table(
        ["what", "right", "wrong and confident", "uncertain", "truth not named", "of"],
        [
            ["levels", *(levels[k] for k in ("right", "wrong", "uncertain", "lost", "of"))],
            ["phase", phases["right"], phases["wrong"], phases["indeterminate"], None, len(good)],
            [
                *("presence", presence["right"], presence["wrong"], presence["indeterminate"]),
                *(None, presence.total()),
            ],
        ],
    )
    lengths = [r["centreline"] for r in good if r["centreline"]["slices"]]
    if lengths:
        mean, most = (np.array([r[k] for r in lengths]) for k in ("mean_mm", "max_mm"))
        lines += [
            f"Centreline to truth: mean {mean.mean():.2f} mm (worst body {mean.max():.2f}), "
            f"largest {most.max():.1f} mm.",
            "",
        ]
    seconds = [r["anatomy_s"] for r in good]
    return [*lines, f"Anatomy: median {np.median(seconds):.1f} s, largest {max(seconds):.1f} s.", ""]


def write_into(path: Path, text: str) -> None:
    """Put the tables between the markers of a page; markers are appended where it has none."""
    page = path.read_text(encoding="utf-8")
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("PARASPINAL_DATA", str(Path(__file__).parents[2] / "shared/data"))
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with the real series")
    parser.add_argument("--only", nargs="+", choices=(*PARTS, "all"), default=["series"], help="what to run")
    parser.add_argument("--series", nargs="+", choices=tuple(cases.SERIES), default=list(cases.SERIES))
    parser.add_argument("--changes", nargs="+", choices=cases.CHANGES, default=list(cases.CHANGES))
    parser.add_argument("--phantoms", type=int, default=20, help="synthetic bodies")
    parser.add_argument("--seed", type=int, default=0, help="of the suite of bodies")
    parser.add_argument("--matrix", type=int, default=320, help="voxels across of the bodies")
    parser.add_argument(
        "--jobs", type=int, default=1, help="cases at a time (seconds are then not comparable)"
    )
    parser.add_argument("--repeat", type=int, default=2, help="runs of the timing; the fastest is shown")
    parser.add_argument("--write", type=Path, help=f"put the tables between {BEGIN} and {END} of this file")
    parser.add_argument("--json", type=Path, help="write every number to this file too")
    options = parser.parse_args(arguments)
    if "all" in options.only:
        options.only = list(PARTS)
    return options


def main() -> None:
    """Measure, print, and write where asked."""
    options = options_of()
    found = measure(options)
    text = tables(found)
    print(text)
    if options.write:
        write_into(options.write, text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
