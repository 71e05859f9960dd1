"""One page over all results of a batch: what became of the cases, how measurements are spread, and a list to sort.

The page is one file without any address but those of the reports beside it; pictures of the cases that lead the list
are in it, the others are read from their folders as they come into view.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from paraspinal import __version__
from paraspinal.archive.collect import collect, up_to_date
from paraspinal.archive.histogram import Histogram, histogram
from paraspinal.archive.layout import Layout
from paraspinal.errors import OutputError

_PICTURES_IN_PAGE = 300
_OUTLIER_Z = 4.0
_OUTLIERS_SHOWN = 50
_LEAST_FOR_OUTLIERS = 20
_MEASURES = (
    ("mass", "volume_ml", "Volume of masses"),
    ("mass", "attenuation_mean_hu", "Mean attenuation of masses"),
    ("patient", "spleen_volume_ml", "Spleen"),
    ("patient", "liver_volume_ml", "Liver"),
    ("patient", "noise_sd_hu", "Noise"),
    ("vertebra", "trabecular_hu", "Trabecular bone, all levels"),
)
_COLUMNS = (
    *("case", "status", "code", "outcome", "leading", "emh_llr", "p_emh", "masses", "region", "slices"),
    *("slice_spacing_mm", "contrast_phase", "verdict", "seconds", "peak_mib"),
)
_NO_CODE = "–"


@dataclass(frozen=True, slots=True)
class Outlier:
    """A measurement far from those of all other cases: robust z, |value − median| / (1.4826 · MAD)."""

    case: str
    scope: str
    name: str
    value: float
    z: float


def write_dashboard(out: str | Path, *, processes: int = 2) -> Path:
    """Write ``dashboard.html`` into the folder of a batch and return it; tables that lag are collected anew.

    Raises
    ------
    UsageError
        ``no_ledger`` if the folder is none of a batch.
    OutputError
        If the page cannot be written.
    """
    layout = Layout(Path(out))
    if not up_to_date(layout):
        collect(layout.root, processes=processes)
    page = render(layout)
    staged = layout.root / f".dashboard.{os.getpid()}"
    try:
        staged.write_text(page, encoding="utf-8")
        os.replace(staged, layout.dashboard)
    except OSError as error:
        raise OutputError(
            f"{layout.dashboard} cannot be written: {error.strerror or error}.",
            code="output_not_writable",
            remedy="Make room or give write permission.",
        ) from error
    return layout.dashboard


def render(layout: Layout) -> str:
    """Return the page as text, from the tables of the cohort."""
    cases = pq.read_table(layout.cohort / "cases", columns=list(_COLUMNS)).to_pylist()
    cases.sort(key=lambda row: (row["emh_llr"] is None, -(row["emh_llr"] or 0.0), row["case"]))
    values = _values(layout.cohort / "measurements")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("paraspinal.archive"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("dashboard.html").render(
        made=datetime.now(UTC).isoformat(timespec="minutes"),
        version=__version__,
        total=len(cases),
        statuses=_counted(cases, "status"),
        outcomes=_counted([row for row in cases if row["status"] == "done"], "outcome"),
        leading=_counted([row for row in cases if row["outcome"] == "mass"], "leading"),
        codes=_codes(cases),
        histograms=_histograms(cases, values),
        outliers=_outliers(values),
        rows=_as_json([_row(row, layout, k) for k, row in enumerate(cases)]),
    )


def _counted(rows: Sequence[Mapping[str, Any]], column: str) -> list[tuple[str, int]]:
    return Counter(row[column] or "none" for row in rows).most_common()


def _codes(cases: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Return status, code and number of all that is not done."""
    counts = Counter((row["status"], row["code"] or _NO_CODE) for row in cases if row["status"] != "done")
    return [(status, code, number) for (status, code), number in counts.most_common()]


def _values(folder: Path) -> dict[tuple[str, str], list[tuple[str, str, float]]]:
    """Return case, scope and value of the measurements that the page shows."""
    out: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    if not folder.exists():
        return out
    data = ds.dataset(folder, format="parquet", partitioning="hive")
    for kind, name, _ in _MEASURES:
        wanted = (pc.field("name") == name) & (pc.field("scope_kind") == kind) & pc.field("value").is_valid()
        table = data.to_table(columns=["case", "scope", "value"], filter=wanted)
        out[kind, name] = list(zip(*(table[c].to_pylist() for c in ("case", "scope", "value")), strict=True))
    return out


def _histograms(
    cases: Sequence[Mapping[str, Any]], values: Mapping[tuple[str, str], Sequence[tuple[str, str, float]]]
) -> list[Histogram]:
    ratios = [row["emh_llr"] for row in cases if row["emh_llr"] is not None]
    seconds = [row["seconds"] for row in cases if row["status"] == "done" and row["seconds"]]
    memory = [row["peak_mib"] for row in cases if row["status"] == "done" and row["peak_mib"]]
    found = [
        histogram("Log-likelihood ratio for EMH", ratios),
        *(
            histogram(f"{title} ({name})", [value for _, _, value in values.get((kind, name), ())])
            for kind, name, title in _MEASURES
        ),
        histogram("Seconds per case", seconds),
        histogram("Largest memory per case (MiB)", memory),
    ]
    return [one for one in found if one is not None]


def _outliers(values: Mapping[tuple[str, str], Sequence[tuple[str, str, float]]]) -> list[Outlier]:
    out: list[Outlier] = []
    for (_, name), rows in values.items():
        if len(rows) < _LEAST_FOR_OUTLIERS:
            continue
        for (case, scope, value), z in zip(rows, _robust_z([v for _, _, v in rows]), strict=True):
            if abs(z) >= _OUTLIER_Z:
                out.append(Outlier(case, scope, name, value, float(z)))
    return sorted(out, key=lambda o: -abs(o.z))[:_OUTLIERS_SHOWN]


def _robust_z(values: Sequence[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    middle = np.median(array)
    spread = 1.4826 * float(np.median(np.abs(array - middle)))
    return np.asarray((array - middle) / spread if spread > 0 else np.zeros(len(array)))


def _row(row: Mapping[str, Any], layout: Layout, rank: int) -> dict[str, Any]:
    """Return what the list shows of a case, with its picture in it for those that lead the list."""
    out = {name: row[name] for name in _COLUMNS if row[name] is not None}
    folder = layout.case(row["case"])
    if row["status"] != "done":
        return out
    place = folder.relative_to(layout.root).as_posix()
    if (folder / "report.html").is_file():
        out["report"] = f"{place}/report.html"
    picture = folder / "thumbnail.png"
    if picture.is_file():
        out["picture"] = f"{place}/thumbnail.png"
        if rank < _PICTURES_IN_PAGE:
            out["picture"] = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return out


def _as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON that may stand within a script element: no text in it can end the element."""
    text = json.dumps(rows, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
