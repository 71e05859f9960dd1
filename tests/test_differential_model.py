"""The model as data: what ships is valid, graded and complete; what is not valid is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from paraspinal.data import data_folder
from paraspinal.differential import load_model
from paraspinal.errors import ConfigError
from paraspinal.result import ENTITIES

NAME = "emh-differential-1"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(data_folder("models") / NAME, tmp_path / "mine"))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_path_reads_the_same_model(copy: Path) -> None:
    assert load_model(copy) == load_model(NAME)


def test_every_count_is_graded_and_explained() -> None:
    model = load_model(NAME)
    cells = [cell for variable in model.variables.values() for cell in variable.cells.values()]
    assert len(cells) > 200
    assert all(cell.source or cell.note for cell in cells)
    assert all(cell.source for cell in cells if cell.grade in "AB")


def test_every_source_code_stands_in_the_model_card() -> None:
    card = (data_folder("models") / NAME / "MODEL_CARD.md").read_text(encoding="utf-8")
    model = load_model(NAME)
    codes = {
        code.strip()
        for variable in model.variables.values()
        for cell in variable.cells.values()
        for code in cell.source.split(",")
        if code.strip()
    }
    assert {code for code in codes if f"{code}" not in card} == set()


def test_frequencies_are_proper_and_never_certain() -> None:
    compiled = load_model(NAME).compiled
    assert np.allclose(compiled.theta.sum(axis=2), 1.0)
    used = np.arange(compiled.theta.shape[2]) < compiled.categories[:, None]
    assert compiled.theta[:, used].min() > 0.0


def test_a_coupled_group_keeps_each_findings_own_frequency() -> None:
    compiled = load_model(NAME).compiled
    for group in compiled.groups:
        for j, f in enumerate(group.members):
            for k in range(compiled.categories[f]):
                kept = np.where(group.category[j] == k, group.length, 0.0).sum(axis=1)
                assert np.allclose(kept, compiled.theta[:, f, k])


def test_published_counts_arrive_as_published() -> None:
    model = load_model(NAME)
    compiled = model.compiled
    s = compiled.kinds.index(("emh", "haemoglobinopathy_active"))
    f = compiled.position["marrow_expansion_breakthrough"]
    assert compiled.theta[s, f, 0] == pytest.approx(27 / 57, abs=0.005)


def test_missing_marrow_signs_cost_little_where_the_kind_lacks_them() -> None:
    compiled = load_model(NAME).compiled
    f = compiled.position["rib_expansion"]
    absent = {kind: compiled.theta[s, f, 1] for s, (_, kind) in enumerate(compiled.kinds)}
    assert absent["other_active"] > 0.85
    assert absent["haemoglobinopathy_active"] < 0.45


def test_priors_are_named_and_sum_to_one() -> None:
    model = load_model(NAME)
    assert {"uniform", "referral", "haemoglobinopathy", "archive"} <= set(model.priors)
    for name in model.priors:
        assert sum(model.prior_of(name).values()) == pytest.approx(1.0)
    assert model.prior_of("uniform") == pytest.approx(dict.fromkeys(ENTITIES, 1 / 7))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="no differential model") as error:
        load_model("no-such-model")
    assert NAME in error.value.remedy
    with pytest.raises(ConfigError, match="no prior") as error:
        load_model(NAME).prior_of("hunch")
    assert "referral" in error.value.remedy


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (
            "model.toml",
            "haemoglobinopathy_active = { weight = 0.40",
            "haemoglobinopathy_active = { weight = 0.50",
            "sum",
        ),
        ("model.toml", "emh = 0.05", "emh = 0.15", "prior sums to 1"),
        ("model.toml", 'name = "emh-differential-1"', "name = ", "line"),
        (
            "findings/20_bone.toml",
            'n = 27, of = 57, grade = "A"',
            'n = 67, of = 57, grade = "A"',
            "more than",
        ),
        (
            "findings/20_bone.toml",
            "[cortical_thinning.cells]",
            "[cortical_thinning.cells]\nmyth = {n=1, of=2, grade='C', note='x'}",
            "myth",
        ),
        ("findings/20_bone.toml", "n = 0.3, of = 10, grade", "n = 0, of = 10, grade", "never says never"),
        ("findings/20_bone.toml", "[cortical_thinning]", "[cortical_thinness]", "no known finding|unknown"),
        ("findings/20_bone.toml", 'group = "marrow"', 'group = "morrow"', "no group"),
        ("findings/30_interior.toml", 'source = "MARCH", note', 'source = "", note', "needs a source"),
    ],
)
def test_an_invalid_model_is_refused_by_name(copy: Path, file: str, old: str, new: str, fault: str) -> None:
    _replace(copy / file, old, new)
    if "cortical_thinning]" in old:
        path = copy / file
        path.write_text(
            path.read_text(encoding="utf-8").replace("[cortical_thinning.", "[cortical_thinness.")
        )
    with pytest.raises(ConfigError, match=fault) as error:
        load_model(copy)
    assert error.value.code == "model_invalid"
