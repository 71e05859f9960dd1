"""The documentation says what is so."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from paraspinal.cli.reference import configuration_page, reachable_models, results_page, type_text
from paraspinal.result import AnalysisResult, MassResult


@pytest.mark.parametrize(
    ("name", "page"), [("results.md", results_page), ("configuration.md", configuration_page)]
)
def test_reference_pages_are_up_to_date(repository: Path, name: str, page) -> None:
    written = (repository / "docs" / name).read_text(encoding="utf-8")
    assert written == page(), f"docs/{name} is stale: run `make docs`"


def test_every_model_of_the_result_is_described() -> None:
    page = results_page()
    for model in reachable_models(AnalysisResult):
        assert f"## {model.__name__}\n" in page
        for field in model.model_fields:
            assert f"| `{field}` |" in page.split(f"## {model.__name__}\n")[1].split("\n## ")[0]


def test_types_are_told_in_words() -> None:
    fields = MassResult.model_fields
    assert type_text(fields["pair_id"].annotation) == "integer or null"
    assert type_text(fields["levels"].annotation) == "[text, text]"
    assert type_text(fields["measurements"].annotation) == "map of [Measurement](#measurement)"
    assert type_text(fields["side"].annotation) == "`left` \\| `right` \\| `midline`"


def test_the_schema_is_a_valid_schema(capsys: pytest.CaptureFixture[str]) -> None:
    from paraspinal.cli.main import run

    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "outcome" in schema["required"]


def test_links_between_pages_lead_somewhere(repository: Path) -> None:
    pages = [
        repository / "README.md",
        repository / "CONTRIBUTING.md",
        *sorted((repository / "docs").glob("*.md")),
    ]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_names_the_test_command_of_make(repository: Path) -> None:
    command = '-m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not realdata and not integration"'
    assert command in (repository / "README.md").read_text(encoding="utf-8")
    assert command in (repository / "Makefile").read_text(encoding="utf-8")


@pytest.mark.integration
def test_python_page_runs(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sample_data", "docs"):
        (tmp_path / name).symlink_to(repository / name)
    text = (repository / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert (tmp_path / "out" / "result.json").is_file()
