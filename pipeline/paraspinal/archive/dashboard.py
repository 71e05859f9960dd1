"""One page over all results of a batch: what became of the cases, how measurements are spread, and a list to sort.

The page is one file without any address but those of the reports beside it; pictures of the cases that lead the list
are in it, the others are read from their folders as they come into view.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from paraspinal import __version__
from paraspinal.archive.collect import collect, up_to_date
from paraspinal.archive.flatten import UNREADABLE
from paraspinal.archive.histogram import Histogram, histogram
from paraspinal.archive.layout import Layout, replace_text
from paraspinal.archive.spread import Values, outliers, read_values
from paraspinal.errors import OutputError

_PICTURES_IN_PAGE = 300
_OUTLIERS_SHOWN = 50
_LISTED = 20_000  # a browser sorts so many within a blink
_OF_INTEREST = ("mass", "inconclusive")
_COLUMNS = (
    *("case", "status", "code", "outcome", "leading", "abstained", "emh_llr", "p_emh", "masses", "region"),
    *("slices", "slice_spacing_mm", "contrast_phase", "verdict", "seconds", "peak_mib"),
)
_NONE, _ABSTAINS = "none", "the model abstains"
_NO_CODE = "–"


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
    try:
        replace_text(layout.dashboard, page)
    except OSError as error:
        raise OutputError(
            f"{layout.dashboard} cannot be written: {error.strerror or error}.",
            code="output_not_writable",
            remedy="Make room or give write permission.",
        ) from error
    return layout.dashboard


def render(layout: Layout) -> str:
    """Return the page as text, from the tables of the cohort."""
    cases = pq.read_table(layout.cohort / "cases", columns=list(_COLUMNS))
    done = cases.filter(pc.equal(cases["status"], "done"))
    values = read_values(layout.cohort / "measurements")
    listed, far = _listed(cases), outliers(values)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("paraspinal.archive"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("dashboard.html").render(
        made=datetime.now(UTC).isoformat(timespec="minutes"),
        version=__version__,
        total=cases.num_rows,
        listed=listed.num_rows,
        statuses=_counted(cases["status"]),
        outcomes=_counted(done["outcome"]),
        leading=_counted(_leaders(done)),
        codes=_codes(cases),
        histograms=_histograms(done, values),
        outliers=[(one, _report(layout, one.case)) for one in far[:_OUTLIERS_SHOWN]],
        outliers_found=len(far),
        rows=_as_json([_row(row, layout, k) for k, row in enumerate(listed.to_pylist())]),
    )


def _listed(cases: pa.Table) -> pa.Table:
    """Return the rows of the list, by ratio, then those that were analysed.

    Of a large cohort they are those that somebody will look for.
    """
    if cases.num_rows > _LISTED:
        chosen = pc.is_in(cases["outcome"], pa.array(_OF_INTEREST))
        failed = pc.or_(pc.equal(cases["status"], "failed"), _unreadable(cases))
        cases = cases.filter(pc.or_(chosen, failed))
    order = [("emh_llr", "descending"), ("outcome", "ascending"), ("case", "ascending")]
    return cases.take(pc.sort_indices(cases, sort_keys=order)).slice(0, _LISTED)  # what has none comes last


def _unreadable(cases: pa.Table) -> pa.ChunkedArray:
    return pc.equal(pc.fill_null(cases["code"], ""), UNREADABLE)


def _counted(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    counts = column.value_counts().to_pylist()
    return sorted(((one["values"] or _NONE, one["counts"]) for one in counts), key=lambda pair: -pair[1])


def _leaders(done: pa.Table) -> pa.ChunkedArray:
    """Return the leading entity of every case with a mass; that the model abstains is not the lack of one."""
    own = done.filter(pc.equal(done["outcome"], "mass"))
    return pc.if_else(pc.fill_null(own["abstained"], False), _ABSTAINS, own["leading"])


def _codes(cases: pa.Table) -> list[tuple[str, str, int]]:
    """Return status, code and number of all that is not done, or done and without a result."""
    wrong = cases.filter(
        pc.or_(
            pc.not_equal(cases["status"], "done"), pc.fill_null(pc.equal(cases["code"], UNREADABLE), False)
        )
    )
    counts = wrong.group_by(["status", "code"]).aggregate([([], "count_all")]).to_pylist()
    found = [(one["status"], one["code"] or _NO_CODE, one["count_all"]) for one in counts]
    return sorted(found, key=lambda one: -one[2])


def _histograms(done: pa.Table, found: Sequence[Values]) -> list[Histogram]:
    made = [
        histogram("Log-likelihood ratio for EMH", _numbers(done, "emh_llr")),
        *(
            histogram(
                f"{values.measure.title} ({values.measure.name})",
                values.numbers,
                left_out=", ".join(
                    f"{status.replace('_', ' ')} {number}" for status, number in values.others
                ),
            )
            for values in found
        ),
        histogram("Seconds per case", _numbers(done, "seconds")),
        histogram("Largest memory per case (MiB)", _numbers(done, "peak_mib")),
    ]
    return [one for one in made if one is not None]


def _numbers(table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    return np.asarray(table[column].drop_null().to_numpy(), np.float64)


def _report(layout: Layout, case: str) -> str:
    """Return the address of a case's report, from the page; empty where it has none."""
    report = layout.case(case) / "report.html"
    return report.relative_to(layout.root).as_posix() if report.is_file() else ""


def _row(row: Mapping[str, Any], layout: Layout, rank: int) -> dict[str, Any]:
    """Return what the list shows of a case, with its picture in it for those that lead the list."""
    out = {name: row[name] for name in _COLUMNS if row[name] is not None}
    folder = layout.case(row["case"])
    if row["status"] != "done":
        return out
    if report := _report(layout, row["case"]):
        out["report"] = report
    picture = folder / "thumbnail.png"
    if picture.is_file():
        out["picture"] = picture.relative_to(layout.root).as_posix()
        if rank < _PICTURES_IN_PAGE:
            out["picture"] = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return out


def _as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON that may stand within a script element: no text in it can end the element."""
    text = json.dumps(rows, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
