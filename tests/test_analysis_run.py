"""The stages in order, on stand-ins for the rooms: what `analyze` itself decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis_factory import make_anatomy, make_mass, make_quality, make_search, make_volume
from paraspinal.analysis import run as module
from paraspinal.analysis import stages
from paraspinal.analysis.stages import traced_spine_mm
from paraspinal.analysis.types import Analysis
from paraspinal.anatomy.types import Anatomy
from paraspinal.errors import AnalysisError, UsageError
from paraspinal.masses.types import MassSearch
from paraspinal.measure import measure_scan
from paraspinal.result import Coverage, Loading, Measurement


@dataclass
class Rooms:
    """What the stand-ins return."""

    search: MassSearch = field(default_factory=make_search)
    anatomy: Anatomy | AnalysisError = field(default_factory=lambda: make_anatomy(make_volume()))
    searched: int = 0

    def segment_anatomy(self, volume: object, *, progress: Callable[[str], None], **_: object) -> Anatomy:
        progress("canal")
        if isinstance(self.anatomy, AnalysisError):
            raise self.anatomy
        return self.anatomy

    def find_masses(self, *_: object, **__: object) -> MassSearch:
        self.searched += 1
        return self.search


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    rooms = Rooms()
    loaded = SimpleNamespace(
        volume=make_volume(),
        loading=Loading(verdict="ok"),
        uid="1.2.3",
        uid_digest="u" * 16,
        input_digest="i" * 16,
    )

    def volume_of(*args: Any, **_: object) -> dict[str, Measurement]:
        return {"volume_ml": Measurement.measured(10.0 * args[3].id, "mL")}

    stand_ins: dict[str, dict[str, Callable[..., Any]]] = {
        "loading": {"load_series": lambda *_, **__: loaded},
        "anatomy": {"segment_anatomy": rooms.segment_anatomy},
        "quality": {"assess_quality": lambda *_, **__: make_quality()},
        "masses": {"find_masses": rooms.find_masses},
        "measure": {
            "measure_aortic_lumen": lambda *_, **__: Measurement.measured(45.0, "[hnsf'U]"),
            "measure_patient": lambda *_, **__: {
                "liver_hu": Measurement.missing("[hnsf'U]", "no liver"),
                **measure_scan(make_quality()),
            },
            "measure_vertebrae": lambda *_, **__: {"T9": {"height_ratio": Measurement.measured(1.0, "1")}},
            "measure_mass": volume_of,
        },
    }
    for room, functions in stand_ins.items():
        for name, function in functions.items():
            monkeypatch.setattr(getattr(stages if room != "loading" else module, room), name, function)
    return rooms


def analyze(**options: Any) -> Analysis:
    return module.analyze("anywhere", **options)


def test_a_normal_spine_has_no_mass_and_no_posterior(rooms: Rooms) -> None:
    result = analyze().result
    assert result.outcome == "no_mass"
    assert result.differential.posterior is None
    assert result.masses == ()
    assert result.measurements["noise_sd_hu"].value == 12.0
    assert "Not measured (no liver): liver_hu [patient]." in result.not_assessed


def test_every_stage_is_announced_and_timed(rooms: Rooms) -> None:
    told: list[str] = []
    result = analyze(progress=told.append).result
    assert told == [
        "loading",
        "anatomy",
        "anatomy: canal",
        "quality",
        "masses",
        "measurements",
        "differential",
    ]
    assert list(result.provenance.seconds) == [name for name in told if ":" not in name]
    assert all(s >= 0 for s in result.provenance.seconds.values())
    assert result.provenance.peak_rss_mib > 10


def test_masses_carry_their_measurements_instance_and_differential(rooms: Rooms) -> None:
    rooms.search = make_search(make_mass(mass_id=1), make_mass(mass_id=2, side="right"))
    result = analyze().result
    assert result.outcome == "mass"
    assert [m.measurements["volume_ml"].value for m in result.masses] == [20.0, 10.0]
    assert result.masses[0].key_slice.instance_number == 30 - 12
    for differential in (*(m.differential for m in result.masses), result.differential):
        assert sum(differential.posterior.values()) == pytest.approx(1.0)
    assert result.anatomy.vertebrae[0].measurements["height_ratio"].value == 1.0


def test_what_a_user_corrects_is_on_record_and_followed(rooms: Rooms) -> None:
    rooms.search = make_search(make_mass(mass_id=1), make_mass(mass_id=2, side="right"))
    result = analyze(reject_masses=[2], overrides=["nf1=present", "1:calcification=absent"]).result
    assert [m.id for m in result.masses] == [1]
    assert [c.kind for c in result.corrections] == ["reject_mass", "override", "override"]
    assert {f.name: f.state for f in result.findings}["nf1"] == "present"
    assert {f.name: f.state for f in result.masses[0].findings}["calcification"] == "absent"
    neurogenic = [r.differential.posterior["neurogenic_tumour"] for r in (result, analyze().result)]
    assert neurogenic[0] > neurogenic[1]


def test_a_search_whose_only_candidate_was_rejected_says_so(rooms: Rooms) -> None:
    rooms.search = make_search(make_mass(mass_id=1))
    result = analyze(reject_masses=[1]).result
    assert result.outcome == "no_mass"
    assert "1 candidate was rejected by the user" in result.outcome_reason


def test_nothing_can_be_corrected_where_nothing_was_searched(rooms: Rooms) -> None:
    rooms.anatomy = AnalysisError("no bony ring was found.", code="no_spine", remedy="")
    with pytest.raises(UsageError) as refused:
        analyze(reject_masses=[1])
    assert refused.value.code == "nothing_to_correct"


def test_an_indeterminate_mass_does_not_speak_for_the_patient(rooms: Rooms) -> None:
    rooms.search = make_search(make_mass(state="indeterminate"))
    result = analyze().result
    assert result.outcome == "inconclusive"
    assert result.masses[0].differential.posterior is not None
    assert result.differential.posterior is None


def test_too_short_a_spine_is_not_searched(rooms: Rooms) -> None:
    assert isinstance(rooms.anatomy, Anatomy)
    rooms.anatomy = replace(rooms.anatomy, centreline_lps_mm=rooms.anatomy.centreline_lps_mm[:10])
    result = analyze().result
    assert result.outcome == "not_assessable"
    assert rooms.searched == 0
    assert result.coverage == ()


def test_without_a_spine_the_reason_is_told_and_no_number_made_up(rooms: Rooms) -> None:
    rooms.anatomy = AnalysisError("no bony ring was found.", code="no_spine", remedy="")
    analysis = analyze()
    assert analysis.anatomy is None
    assert analysis.result.outcome == "not_assessable"
    assert "no bony ring" in analysis.result.outcome_reason
    assert analysis.result.anatomy is None
    assert set(analysis.result.measurements) == {"noise_sd_hu", "edge_fwhm_mm"}
    assert analysis.result.differential.abstained.value


def test_notes_of_the_stages_are_handed_on(rooms: Rooms) -> None:
    rooms.search = replace(make_search(), notes=("Arms beside the chest.",))
    assert "Arms beside the chest." in analyze().result.not_assessed


def test_the_settings_are_on_record(rooms: Rooms, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[anatomy]\nmin_spine_mm = 500.0\n")
    result = analyze(config=tmp_path / "mine.toml").result
    assert result.provenance.config == "mine"
    assert result.outcome == "not_assessable"
    assert result.provenance.config_digest != analyze().result.provenance.config_digest


def test_spine_length_counts_the_end_slices() -> None:
    anatomy = make_anatomy(make_volume())
    assert traced_spine_mm(anatomy) == pytest.approx(58.0 + anatomy.geometry.spacing_mm[0])
    assert traced_spine_mm(replace(anatomy, centreline_lps_mm=np.empty((0, 3)))) == 0.0


def test_present_masses_come_first_and_the_larger_first(rooms: Rooms) -> None:
    rooms.search = make_search(
        make_mass(mass_id=3, state="indeterminate"), make_mass(mass_id=1), make_mass(mass_id=2, side="right")
    )
    result = analyze().result
    assert [m.id for m in result.masses] == [2, 1, 3]
    assert result.differential.masses == (2,)
    assert [m.differential.masses for m in result.masses] == [(2,), (1,), (3,)]


def test_both_masses_of_a_pair_are_judged_alike(rooms: Rooms) -> None:
    pair = (make_mass(mass_id=1), make_mass(mass_id=2, side="right"))
    rooms.search = make_search(*(replace(mass, pair_id=1) for mass in pair))
    result = analyze().result
    first, second = (m.differential for m in result.masses)
    assert first.posterior == second.posterior == result.differential.posterior
    assert result.differential.masses == (1, 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_names_its_stage_and_key(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    rooms.search = make_search(make_mass())
    broken = {"sphericity": Measurement.measured(bad, "1")}
    monkeypatch.setattr(stages.measure, "measure_mass", lambda *_, **__: broken)
    with pytest.raises(AnalysisError, match=r"'measurements'.*sphericity of mass 1") as caught:
        analyze()
    assert caught.value.code == "not_finite"


def test_a_field_that_is_not_finite_names_its_stage(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object, **__: object) -> MassSearch:
        Coverage(level="T9", side="left", assessed_fraction=1.0, min_detectable_mm=float("nan"))
        raise AssertionError("unreachable")

    monkeypatch.setattr(stages.masses, "find_masses", find)
    with pytest.raises(AnalysisError, match=r"'masses'.*Coverage.min_detectable_mm") as caught:
        analyze()
    assert caught.value.code == "not_finite"


def test_an_uncertainty_that_is_not_finite_takes_the_value_with_it() -> None:
    m = Measurement.measured(3.0, "mm", type_a=float("nan"))
    assert (m.status, m.value) == ("failed", None)
    assert m.reason.startswith("not_finite")


def test_what_cannot_be_assessed_says_so_in_its_list(rooms: Rooms) -> None:
    rooms.anatomy = AnalysisError("no bony ring was found.", code="no_spine", remedy="")
    result = analyze().result
    assert result.not_assessed[0].startswith(
        "Nothing beside the spine was assessed: No spine could be traced"
    )
    assert result.findings
    assert {f.state for f in result.findings} == {"not_assessed"}


def test_the_text_of_an_analysis_is_one_short_line(rooms: Rooms) -> None:
    rooms.search = make_search(make_mass(), make_mass(mass_id=2, state="indeterminate"))
    text = repr(analyze())
    assert text == "<Analysis mass: 1 present, 1 indeterminate; 30×24×20 voxels>"
