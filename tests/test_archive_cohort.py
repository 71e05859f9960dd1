"""Tables and page over the results of a batch: nothing lost, units declared, nobody named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from paraspinal.archive.collect import collect
from paraspinal.archive.columns import TABLES, arrow_schema
from paraspinal.archive.dashboard import _robust_z, write_dashboard
from paraspinal.archive.histogram import histogram
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, open_ledger
from paraspinal.errors import UsageError
from paraspinal.result import AnalysisResult
from paraspinal.saving import result_json
from report_case import case as analysis_case

DONE, FAILED = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def result() -> AnalysisResult:
    return analysis_case().result


@pytest.fixture
def out(tmp_path: Path, result: AnalysisResult) -> Path:
    layout = Layout(tmp_path / "out")
    layout.case(DONE).mkdir(parents=True)
    (layout.case(DONE) / "result.json").write_text(result_json(result), encoding="utf-8")
    (layout.case(DONE) / "report.html").write_text("<p>a report", encoding="utf-8")
    with open_ledger(layout.ledger) as ledger:
        ledger.put(
            [
                CaseRow(
                    DONE, "study", "done", seconds=7.5, peak_mib=800.0, attempts=1, facts={"region": "chest"}
                ),
                CaseRow(FAILED, "study", "failed", code="timeout", attempts=2),
            ]
        )
    return layout.root


def test_every_measurement_and_case_is_a_row(out: Path, result: AnalysisResult) -> None:
    done = collect(out, processes=1)
    expected = len(result.measurements) + sum(len(mass.measurements) for mass in result.masses)
    expected += sum(len(v.measurements) for v in (result.anatomy.vertebrae if result.anatomy else ()))
    assert done.rows["measurements"] >= expected
    assert (done.rows["cases"], done.unreadable) == (2, 0)
    rows = {row["case"]: row for row in pq.read_table(out / "cohort" / "cases").to_pylist()}
    assert rows[FAILED]["code"] == "timeout"
    assert rows[FAILED]["outcome"] is None
    assert rows[DONE]["region"] == "chest"
    assert rows[DONE]["masses"] == sum(m.state == "present" for m in result.masses)
    assert rows[DONE]["emh_llr"] == pytest.approx((result.differential.log_likelihood_ratio or {}).get("emh"))


def test_a_value_that_was_not_measured_is_null_and_never_zero(out: Path, result: AnalysisResult) -> None:
    collect(out, processes=1)
    table = pq.read_table(out / "cohort" / "measurements").to_pylist()
    own = {(r["scope"], r["name"]): r for r in table}
    for name, m in result.measurements.items():
        row = own["patient", name]
        assert (row["value"], row["unit"], row["status"]) == (m.value, m.unit, m.status)
    assert any(row["value"] is None for row in own.values())


def test_columns_carry_units_and_meanings(out: Path) -> None:
    collect(out, processes=1)
    for name in TABLES:
        (part, *_) = sorted((out / "cohort" / name).rglob("*.parquet"))
        schema = pq.read_schema(part)
        assert schema.metadata[b"paraspinal_table"].decode() == name
        assert all(field.metadata[b"meaning"] for field in schema)
        assert schema.names == arrow_schema(name).names
    units = {
        c["column"]: c["unit"] for c in json.loads((out / "cohort" / "schema.json").read_text())["cases"]
    }
    assert units["slice_spacing_mm"] == "mm"


def test_duckdb_reads_what_the_docs_show(out: Path) -> None:
    collect(out, processes=1)
    sql = f"SELECT scope_kind, count(*) FROM '{out}/cohort/measurements/*/*.parquet' GROUP BY scope_kind"
    kinds = dict(duckdb.sql(sql).fetchall())
    assert {"patient", "mass", "vertebra"} <= set(kinds)


def test_csv_holds_the_same_rows(out: Path) -> None:
    done = collect(out, processes=1)
    for name, number in done.rows.items():
        lines = (out / "cohort" / f"{name}.csv").read_text().splitlines()
        assert len(lines) >= number + 1
        assert lines[0].replace('"', "").split(",") == [c.name for c in TABLES[name]]


def test_collecting_again_replaces_all(out: Path) -> None:
    collect(out, processes=1)
    shutil.rmtree(Layout(out).case(DONE))
    again = collect(out, processes=1)
    assert again.unreadable == 1
    assert again.rows["measurements"] == 0
    assert not list(out.glob(".cohort*"))


def test_a_folder_without_ledger_is_none_of_a_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        collect(tmp_path)
    assert caught.value.code == "no_ledger"


def test_the_page_holds_every_case_and_no_address(out: Path) -> None:
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    rows = json.loads(re.search(r'id="rows">(.*?)</script>', page, re.DOTALL).group(1))
    assert [row["case"] for row in rows] == [DONE, FAILED]
    assert rows[0]["report"] == f"cases/{DONE[:2]}/{DONE}/report.html"
    assert "http" not in page.replace("http-equiv", "")
    assert "timeout" in page


def test_text_of_a_case_cannot_leave_its_place(out: Path) -> None:
    with open_ledger(out / "ledger.sqlite") as ledger:
        ledger.put([CaseRow(FAILED, "study", "failed", code="</script><script>alert(1)</script>")])
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page


def test_an_outlier_is_far_by_the_spread_of_most() -> None:
    z = _robust_z([10.0, 11.0, 9.0, 10.0, 10.5, 60.0])
    assert abs(z[-1]) > 4
    assert max(abs(z[:-1])) < 4
    assert list(_robust_z([5.0, 5.0, 5.0])) == [0.0, 0.0, 0.0]


def test_a_histogram_counts_every_value() -> None:
    made = histogram("x", [float(k % 7) for k in range(700)] + [1e9])
    assert made is not None
    assert made.count == 701
    tallest = max(bar[3] for bar in made.bars)
    assert tallest == made.baseline
    assert histogram("x", []) is None
    assert histogram("x", [3.0]) is not None
