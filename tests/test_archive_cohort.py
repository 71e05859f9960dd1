"""Tables and page over the results of a batch: nothing lost, units declared, nobody named."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from paraspinal.archive import dashboard
from paraspinal.archive.collect import collect
from paraspinal.archive.columns import TABLES, arrow_schema
from paraspinal.archive.dashboard import write_dashboard
from paraspinal.archive.histogram import histogram
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, open_ledger
from paraspinal.archive.receipt import write_receipt
from paraspinal.archive.spread import robust_z
from paraspinal.errors import UsageError
from paraspinal.result import Abstention, AnalysisResult
from paraspinal.saving import result_json
from report_case import case as analysis_case

DONE, FAILED = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(scope="module")
def result() -> AnalysisResult:
    return analysis_case().result


@pytest.fixture
def out(tmp_path: Path, result: AnalysisResult) -> Path:
    layout = Layout(tmp_path / "out")
    layout.root.mkdir()
    facts = {"region": "chest", "outcome": "mass"}
    done = CaseRow(DONE, "study", "done", recipe="r", seconds=7.5, peak_mib=800.0, attempts=1, facts=facts)
    write_case(layout, DONE, result_json(result))
    with open_ledger(layout.ledger) as ledger:
        ledger.put([done, CaseRow(FAILED, "study", "failed", code="timeout", attempts=2)])
    return layout.root


def write_case(layout: Layout, case: str, text: str) -> None:
    """Write the folder of a case that is done."""
    folder = layout.case(case)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text("<p>a report", encoding="utf-8")
    write_receipt(folder, case=case, recipe="r", stamp="s", facts={})


def _cases(out: Path) -> dict[str, dict[str, Any]]:
    return {row["case"]: row for row in pq.read_table(out / "cohort" / "cases").to_pylist()}


def test_every_measurement_and_case_is_a_row(out: Path, result: AnalysisResult) -> None:
    done = collect(out, processes=1)
    expected = len(result.measurements) + sum(len(mass.measurements) for mass in result.masses)
    expected += sum(len(v.measurements) for v in (result.anatomy.vertebrae if result.anatomy else ()))
    assert done.rows["measurements"] >= expected
    assert (done.rows["cases"], done.unreadable) == (2, ())
    rows = _cases(out)
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
    assert again.unreadable == (DONE,)
    assert again.rows["measurements"] == 0
    assert not list(out.glob(".cohort*"))


def test_a_result_that_the_ledger_does_not_speak_of_is_none(out: Path) -> None:
    """Of another recipe, or changed after it was written: neither it nor what the ledger knew of it is a row."""
    layout = Layout(out)
    changed, stale = "1" * 16, "2" * 16
    for case in (changed, stale):
        write_case(layout, case, (layout.case(DONE) / "result.json").read_text(encoding="utf-8"))
    text = (layout.case(changed) / "result.json").read_text(encoding="utf-8")
    (layout.case(changed) / "result.json").write_text(text.replace("mass", "nass"), encoding="utf-8")
    facts = {"outcome": "no_mass"}
    with open_ledger(layout.ledger) as ledger:
        ledger.put(
            CaseRow(case, "study", "done", recipe="r" if case is changed else "another", facts=facts)
            for case in (changed, stale)
        )
    found = collect(out, processes=1)
    assert found.unreadable == (changed, stale)
    rows = _cases(out)
    assert {rows[case]["outcome"] for case in (changed, stale)} == {None}
    assert {rows[case]["code"] for case in (changed, stale)} == {"result_unreadable"}
    assert (rows[DONE]["outcome"], rows[DONE]["code"]) == ("mass", None)


def _without_differential(result: dict[str, Any]) -> None:
    del result["differential"]


def _with_text_for_a_number(result: dict[str, Any]) -> None:
    result["series"]["kvp"] = "a hundred"


def _with_text_for_the_masses(result: dict[str, Any]) -> None:
    result["masses"] = ["none"]


@pytest.mark.parametrize("spoil", [_without_differential, _with_text_for_a_number, _with_text_for_the_masses])
def test_one_odd_result_is_named_and_ends_nothing(out: Path, spoil: Callable[[dict[str, Any]], None]) -> None:
    layout, odd = Layout(out), "3" * 16
    content = json.loads((layout.case(DONE) / "result.json").read_text(encoding="utf-8"))
    spoil(content)
    write_case(layout, odd, json.dumps(content))
    with open_ledger(layout.ledger) as ledger:
        ledger.put([CaseRow(odd, "study", "done", recipe="r")])
    found = collect(out, processes=1)
    assert found.unreadable == (odd,)
    assert (_cases(out)[DONE]["outcome"], _cases(out)[odd]["outcome"]) == ("mass", None)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(out: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for process in (gone.pid, f"old.{gone.pid}", os.getppid()):
        (out / f".cohort.{process}" / "cases").mkdir(parents=True)
    collect(out, processes=1)
    assert [path.name for path in out.glob(".cohort*")] == [f".cohort.{os.getppid()}"]


def test_a_case_on_which_the_model_abstains_is_told_apart(out: Path, result: AnalysisResult) -> None:
    silent = "4" * 16
    differential = result.differential.model_copy(update={"abstained": Abstention(value=True, reason="both")})
    text = result_json(result.model_copy(update={"differential": differential}))
    write_case(Layout(out), silent, text)
    with open_ledger(out / "ledger.sqlite") as ledger:
        ledger.put([CaseRow(silent, "study", "done", recipe="r")])
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    rows = _cases(out)
    assert (rows[DONE]["abstained"], rows[silent]["abstained"], rows[FAILED]["abstained"]) == (
        False,
        True,
        None,
    )
    assert rows[silent]["emh_llr"] == rows[DONE]["emh_llr"]
    assert {row["case"]: row.get("abstained") for row in _listed(page)} == {
        DONE: False,
        silent: True,
        FAILED: None,
    }
    masses = pq.read_table(out / "cohort" / "masses").to_pylist()
    assert {row["abstained"] for row in masses} <= {True, False, None}


def test_a_folder_without_ledger_is_none_of_a_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        collect(tmp_path)
    assert caught.value.code == "no_ledger"


def _listed(page: str) -> list[dict[str, Any]]:
    """Return the rows of the page's list."""
    found = re.search(r'id="rows">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return list(json.loads(found.group(1)))


def test_the_page_holds_every_case_and_no_address(out: Path) -> None:
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    rows = _listed(page)
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
    z = robust_z([10.0, 11.0, 9.0, 10.0, 10.5, 60.0])
    assert abs(z[-1]) > 4
    assert max(abs(z[:-1])) < 4
    assert list(robust_z([5.0, 5.0, 5.0])) == [0.0, 0.0, 0.0]


def _many(out: Path, *, number: int, volume_ml: Callable[[int], tuple[float, str]]) -> list[str]:
    """Put cases with one mass each, whose volume and its status follow from their number, in place of the one."""
    layout, cases = Layout(out), [f"{k:016x}" for k in range(1, number + 1)]
    content = json.loads((layout.case(DONE) / "result.json").read_text(encoding="utf-8"))
    for k, case in enumerate(cases):
        value, status = volume_ml(k)
        (mass, *_) = content["masses"]
        mass["measurements"] = {
            "volume_ml": mass["measurements"]["volume_ml"] | {"value": value, "status": status}
        }
        write_case(layout, case, json.dumps(content | {"masses": [mass]}))
    with open_ledger(layout.ledger) as ledger:
        ledger.put(CaseRow(case, "study", "done", recipe="r") for case in cases)
        ledger.put([CaseRow(DONE, "study", "refused")])
    return cases


def test_what_is_cut_off_is_counted_beside_the_values(out: Path) -> None:
    """A lower bound is no volume: neither the bars nor the outliers take it for one."""
    _many(out, number=40, volume_ml=lambda k: (1e6, "lower_bound") if k < 3 else (20.0 + k % 5, "measured"))
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    caption = re.search(r"Volume of masses \(volume_ml\)<br>(.*?)</figcaption>", page, re.DOTALL)
    assert caption is not None
    assert "n = 37" in caption.group(1)
    assert "not among them: lower bound 3" in caption.group(1)
    assert 'id="outliers"' not in page


def test_outliers_open_their_reports_and_say_how_many_there_are(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "_OUTLIERS_SHOWN", 2)
    far = {3: 900.0, 4: 800.0, 5: 700.0}
    cases = _many(out, number=40, volume_ml=lambda k: (far.get(k, 20.0 + k % 5), "measured"))
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    table = page[page.index('id="outliers"') :].split("</table>")[0]
    for case in (cases[3], cases[4]):
        assert f'<a href="cases/{case[:2]}/{case}/report.html">{case}</a>' in table
    assert cases[5] not in table
    assert "The first 2 of 3" in page


def test_the_list_of_a_large_cohort_holds_what_is_looked_for_and_says_so(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ledger(out / "ledger.sqlite") as ledger:
        ledger.put(CaseRow(f"{k:016x}", "study", "not_selected", code="rule_modality") for k in range(1, 40))
        ledger.put([CaseRow("a" * 16, "study", "done", recipe="r")])
    monkeypatch.setattr(dashboard, "_LISTED", 20)
    page = write_dashboard(out, processes=1).read_text(encoding="utf-8")
    assert [row["case"] for row in _listed(page)] == [DONE, "a" * 16, FAILED]  # the second has no result
    assert "The list holds 3 of 42 cases" in page
    assert "Cohort of 42 series" in page
    assert "result_unreadable" in page
    monkeypatch.setattr(dashboard, "_LISTED", 100)
    assert len(_listed(write_dashboard(out, processes=1).read_text(encoding="utf-8"))) == 42


def test_a_histogram_counts_every_value() -> None:
    made = histogram("x", [float(k % 7) for k in range(700)] + [1e9])
    assert made is not None
    assert made.count == 701
    tallest = max(bar[3] for bar in made.bars)
    assert tallest == made.baseline
    assert histogram("x", []) is None
    assert histogram("x", [3.0]) is not None
