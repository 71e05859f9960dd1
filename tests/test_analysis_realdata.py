"""The whole way on real series: it ends, claims no more than it saw, and says what it could not see."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from paraspinal import analyze
from paraspinal.analysis import Analysis
from paraspinal.result import STATUSES_WITH_VALUE, AnalysisResult

pytestmark = pytest.mark.realdata

SERIES = {
    "lidc-0314": ("ct/lidc-0314.zip", ("T2", "T10")),
    "cmb-crc-chest": ("ct/cmb-crc-chest.zip", ("T2", "T9")),
    "crlm-1006": ("ct/crlm-1006.zip", ("T11", "L2")),
    "medimages-flipped": ("ct/medimages-flipped.zip", ("L1", "L4")),
    "totalseg-slab": ("ct/totalseg-slab", ()),
    "totalseg-lumbar": ("nifti/totalseg-lumbar-3mm.nii.gz", ("L1", "L5")),
}


@pytest.fixture(scope="module", params=SERIES)
def named(request: pytest.FixtureRequest, real_data: Path) -> tuple[str, Analysis]:
    path, _ = SERIES[request.param]
    return request.param, analyze(real_data / path)


def test_the_way_ends_in_a_valid_result(named: tuple[str, Analysis]) -> None:
    _, analysis = named
    result = analysis.result
    assert AnalysisResult.model_validate_json(analysis.to_json()) == result
    jsonschema.validate(
        result.model_dump(mode="json"), AnalysisResult.model_json_schema(mode="serialization")
    )
    assert result.provenance.seconds["anatomy"] > 0


def test_at_most_three_masses_where_there_are_none(named: tuple[str, Analysis]) -> None:
    _, analysis = named
    assert sum(mass.state == "present" for mass in analysis.result.masses) <= 3


def test_the_levels_that_the_scan_shows_are_named(named: tuple[str, Analysis]) -> None:
    name, analysis = named
    assert analysis.result.anatomy is not None
    labels = [v.label for v in analysis.result.anatomy.vertebrae]
    assert set(SERIES[name][1]) <= set(labels)
    assert len(set(labels)) == len(labels)


def test_no_mass_is_only_said_where_everything_in_the_scan_was_seen(named: tuple[str, Analysis]) -> None:
    name, analysis = named
    if name == "lidc-0314":  # a large effusion and a consolidation lie against the spine
        assert analysis.result.outcome != "no_mass"
        assert any("Not fully covered: right" in sentence for sentence in analysis.result.not_assessed)
    if analysis.result.outcome == "no_mass":
        assert analysis.result.differential.posterior is None


def test_no_number_stands_where_nothing_was_measured(named: tuple[str, Analysis]) -> None:
    table = named[1].to_dataframe()
    without = table[~table["status"].isin(STATUSES_WITH_VALUE)]
    assert without["value"].isna().all()
    unexplained = without[without["reason"].isna() & (without["status"] != "below_detection_limit")]
    assert unexplained.empty
