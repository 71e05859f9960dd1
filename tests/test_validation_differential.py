"""Patients of every entity: bodies show what is told of them, and the table says what was lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from paraspinal.differential import load_model
from paraspinal.differential.draw import drawn_findings
from paraspinal.result import ENTITIES
from paraspinal.validation import suite_cases, summarise
from paraspinal.validation.differential import ceiling, differential_table
from paraspinal.validation.draw_entity import draw_entity_patient, entity_of

MODEL = load_model("emh-differential-1")
PATIENTS = [draw_entity_patient(MODEL, entity_of(k), k) for k in range(140)]


def test_the_body_shows_what_is_true_of_it() -> None:
    for p in PATIENTS:
        has, spec = p.truth.categories, p.spec
        first = spec.masses[0]
        assert (has["bilateral"] == "present") == (len({m.side for m in spec.masses}) == 2)
        assert (has["multiple"] == "present") == (len(spec.masses) > 1)
        assert (first.fat is not None) == (has["fat"] == "present")
        assert (first.calcification is not None) == (has["calcification"] == "present")
        assert (first.edge_width_mm > 2.0) == (has["margin"] == "ill")
        long_axis = 2.0 * max(first.semi_axes_mm)
        assert has["size"] == ("small" if long_axis < 30 else "middle" if long_axis <= 100 else "large")
        assert (spec.bone.strut_spacing_mm > 0) == (has["trabecular_coarsening"] == "present")
        if "spleen" in has:
            assert ("spleen" in spec.patient.missing) == (has["spleen"] == "absent")
            assert (spec.organs.spleen_scale > 2) == (has["spleen"] == "enlarged")


def test_one_mass_does_one_thing_to_bone_and_says_nothing_else_of_it() -> None:
    effects = {"bone_destruction": "lytic", "disc_involvement": "discitis", "rib_erosion": "rib"}
    for p in PATIENTS:
        done = [m.bone for m in p.spec.masses]
        for finding, effect in effects.items():
            if finding in p.truth.categories:
                assert (p.truth.categories[finding] == "present") == (effect in done)
        if "discitis" in done:
            assert p.truth.categories.get("bone_destruction") != "absent"


def test_what_needs_the_other_phase_or_lies_outside_is_not_told() -> None:
    for p in PATIENTS:
        has = p.truth.categories
        assert ("rim_enhancement" in has) == (p.spec.phase == "portal")
        assert ("blood_pool_low" in has) == (p.spec.phase == "unenhanced")
        assert ("spleen" in has) == (has["level"] != "upper")
        assert not {"gas", "lymphadenopathy", "enhancement", "known_anemia"} & set(has)


def test_entities_overlap_so_that_even_true_findings_do_not_decide() -> None:
    share = ceiling(MODEL, per_entity=60)
    assert 0.5 < share < 0.85
    emh = [p.truth.categories for p in PATIENTS if p.truth.entity == "emh"]
    assert 0 < sum(has["bilateral"] == "present" for has in emh) < len(emh)


def test_true_findings_are_those_of_the_body() -> None:
    p = PATIENTS[0]
    told = drawn_findings(p.truth, MODEL, np.random.default_rng(0), misread=False)
    names = {f.name for f in told}
    assert {"bilateral", "level", "size_mm", "margin", "fat"} <= names
    assert "splenectomy" not in names


def _record(entity: str, ceiling_p: float, found_p: float | None) -> dict[str, Any]:
    def posterior(p: float) -> dict[str, float]:
        return {e: p if e == entity else (1 - p) / 6 for e in ENTITIES}

    found = None if found_p is None else posterior(found_p)
    made = [{"variable": "fat", "truth": "absent", "made": "right" if found_p else "not judged"}]
    row = {"entity": entity, "ceiling": posterior(ceiling_p), "found": found, "same": found, "findings": made}
    return {"name": entity, "masses": [], "others": [], "outcome": "", "differential": row}


def test_the_table_counts_what_was_lost_and_a_missed_mass_is_lost_too() -> None:
    records = [_record("emh", 0.9, 0.8), _record("emh", 0.9, 0.05), _record("lymphoma", 0.6, None)]
    table = differential_table(records)
    assert "-66.7 points" in table
    assert "2 lost, 0 won" in table
    assert "| lymphoma | 1 | 1 |" in table
    assert "| fat | 2 | 2 | 0 | 0 | 0 |" in table
    assert table in summarise(records)
    assert differential_table([{"name": "x"}]) == ""


def test_the_suite_gives_every_entity_its_turn() -> None:
    cases = suite_cases("differential", count=14, seed=2)
    assert [c.name.split()[0] for c in cases[:7]] == list(ENTITIES)
    assert [entity_of(c.seed % 1000) for c in cases] == [c.name.split()[0] for c in cases]
