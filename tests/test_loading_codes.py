"""Codes are part of the published result: each is registered, used, and in docs/loading.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.codes import NOTES, REFUSALS, REPAIRS, note, refuse, repaired

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline" / "paraspinal"


def first_arguments(call: str) -> Iterator[str]:
    """Yield the code of every call of `call` in the loading room that names one literally."""
    for path in (PACKAGE / "loading").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call:
                for argument in node.args[:1]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value


def format_error_codes() -> Iterator[str]:
    """Yield the codes that the format room attaches to its errors."""
    for name in ("frames.py", "nifti.py"):
        tree = ast.parse((PACKAGE / "dicomio" / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("FrameError", "NiftiError") and len(node.args) > 1:
                assert isinstance(node.args[1], ast.Constant)
                yield str(node.args[1].value)


def test_every_refusal_is_registered_and_every_registered_one_is_used() -> None:
    used = {*first_arguments("refuse"), *format_error_codes(), "undecodable", *REPAIRS}
    assert used == set(REFUSALS)


def test_every_repair_is_registered_and_every_registered_one_is_used() -> None:
    chosen_by_length = {"variable_spacing", "missing_slices"}
    assert {*first_arguments("repaired"), *chosen_by_length} == set(REPAIRS)


def test_every_note_is_registered_and_every_registered_one_is_used() -> None:
    assert set(first_arguments("note")) == set(NOTES)


@pytest.mark.parametrize("code", sorted({*REFUSALS, *NOTES, *REPAIRS}))
def test_every_code_is_documented(repository: Path, code: str) -> None:
    assert f"| `{code}` |" in (repository / "docs" / "loading.md").read_text(encoding="utf-8")


def test_the_documentation_invents_no_code(repository: Path) -> None:
    rows = (repository / "docs" / "loading.md").read_text(encoding="utf-8").splitlines()
    documented = {row.split("`")[1] for row in rows if row.startswith("| `")}
    assert documented == {*REFUSALS, *NOTES, *REPAIRS}


def test_a_refusal_carries_numbers_and_a_remedy() -> None:
    error = refuse("too_few_slices", "Two slices.", slices=2)
    assert (error.code, error.exit_code, error.details) == ("too_few_slices", 3, {"slices": 2})
    assert error.remedy.endswith(".")


def test_an_unknown_code_cannot_be_used() -> None:
    with pytest.raises(KeyError):
        refuse("no_such_code", "x")
    with pytest.raises(KeyError):
        note("no_such_code")


def test_a_repair_is_a_refusal_under_the_strict_policy() -> None:
    made = repaired("gantry_tilt", config=LoadingConfig(), tilt_deg=12.0)
    assert (made.kind, made.code, made.numbers) == ("repair", "gantry_tilt", {"tilt_deg": 12.0})
    with pytest.raises(LoadError) as refusal:
        repaired("gantry_tilt", config=LoadingConfig(policy="strict"), tilt_deg=12.0)
    assert (refusal.value.code, refusal.value.details) == ("gantry_tilt", {"tilt_deg": 12.0})
