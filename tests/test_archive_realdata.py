"""The folder of real series as an archive: what can be analysed is, and everything else is refused for its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from paraspinal.archive import Limits, Options, Workers, batch
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, open_ledger
from paraspinal.archive.location import paths_of
from paraspinal.archive.store import open_store

pytestmark = pytest.mark.realdata

PEOPLE = {"lidc-0314.zip", "cmb-crc-chest.zip", "crlm-1006.zip", "medimages-flipped.zip", "totalseg-slab"}
# Place in the folder: the code under which what lies there is refused (data/README.md says why).
REFUSED = {
    "loader/failing/slicecount": "not_ct",
    "loader/failing/sliceorientation": "not_ct",
    "loader/failing/notavolume": "one_position",
    "loader/duplicate-positions": "variable_spacing",
    "loader/legacy-enhanced/23x38x3/seg": "not_ct",
    "labels": "not_hounsfield",
}


@pytest.fixture(scope="module")
def outcome(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, dict[str, CaseRow]]:
    """Run a batch over everything; return its folder, and every case by the place of its first file."""
    out = tmp_path_factory.mktemp("archive")
    key = out.parent / f"{out.name}.key"
    options = Options(limits=Limits(seconds=120.0), workers=Workers(2), key=key, keep="result")
    batch(real_data, out, options)
    layout = Layout(out)
    with open_store(layout.catalogue) as store:
        places = {e.id: paths_of(e.location)[0].relative_to(real_data).as_posix() for e in store.series()}
    with open_ledger(layout.ledger) as ledger:
        return layout, {f"{places[line.id]} {line.id}": line for line in ledger.rows()}


def _at(lines: Mapping[str, CaseRow], place: str) -> list[CaseRow]:
    return [line for name, line in lines.items() if name.startswith(place)]


def test_every_object_has_one_status_and_nothing_failed(outcome: tuple[Layout, dict[str, CaseRow]]) -> None:
    counts = Counter(line.status for line in outcome[1].values())
    assert counts["failed"] == counts["waiting"] == 0
    assert counts["refused"] > 150
    assert not [line for line in outcome[1].values() if line.status == "refused" and not line.code]


def test_the_series_of_people_are_analysed(outcome: tuple[Layout, dict[str, CaseRow]]) -> None:
    layout, lines = outcome
    done = {name.split()[0].split("/")[1]: line for name, line in lines.items() if name.startswith("ct/")}
    assert set(done) == PEOPLE
    for line in done.values():
        assert line.status == "done"
        result = json.loads((layout.case(line.id) / "result.json").read_text())
        assert result["outcome"] in ("no_mass", "inconclusive")  # there is no mass in any of them
        assert result["anatomy"]["vertebrae"]


@pytest.mark.parametrize("place", REFUSED)
def test_what_is_no_series_of_ct_is_refused(outcome: tuple[Layout, dict[str, CaseRow]], place: str) -> None:
    lines = _at(outcome[1], place)
    assert lines
    assert {(line.status, line.code) for line in lines} == {("refused", REFUSED[place])}


def test_malformed_files_are_refused_or_too_short_to_be_judged(
    outcome: tuple[Layout, dict[str, CaseRow]],
) -> None:
    lines = _at(outcome[1], "fuzz/")
    assert len(lines) > 50
    assert {line.status for line in lines} <= {"refused", "done"}
    assert {line.facts["outcome"] for line in lines if line.status == "done"} <= {"not_assessable"}
