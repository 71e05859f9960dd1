"""Imports run up the list of docs/architecture.md, and nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUND = ("errors", "config", "volume", "result", "data", "collector")
ROWS = (
    "dicomio",
    "loading",
    "quality",
    "anatomy",
    "masses",
    "measure",
    "differential",
    "report",
    "saving",
    "analysis",
    "phantom",
    "validation",
    "archive",
    "cli",
)
RANK = dict.fromkeys(GROUND, 0) | {name: i + 1 for i, name in enumerate(ROWS)}
PHANTOM_MAY_NOT_IMPORT = {"masses", "measure", "differential", "analysis", "report", "saving"}
MAY_IMPORT_PHANTOM = {"phantom", "validation", "cli"}
PACKAGE = Path(__file__).resolve().parents[1] / "pipeline" / "paraspinal"


def imported_rooms(path: Path) -> Iterator[str]:
    """Yield the room of every import of our own package in a file, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room they come from"
            module = node.module or ""
            names = [f"{module}.{a.name}" for a in node.names] if module == "paraspinal" else [module]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "paraspinal" and rest:
                yield rest.split(".")[0]


def imports() -> list[tuple[str, str, str]]:
    """Return (file, its room, imported room) for the whole package; its front door exports everything."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name == "__init__.py":
            continue
        room = name.split("/")[0].removesuffix(".py")
        found += [(name, room, target) for target in imported_rooms(path) if not target.startswith("__")]
    return found


def test_every_room_has_its_place() -> None:
    rooms = {room for _, room, _ in imports()} | {p.stem for p in PACKAGE.glob("[!_]*.py")}
    assert rooms <= RANK.keys(), rooms - RANK.keys()


def test_imports_run_up_only() -> None:
    wrong = [f"{name} imports {target}" for name, room, target in imports() if RANK[target] > RANK[room]]
    assert not wrong


def test_phantom_does_not_know_what_is_measured() -> None:
    wrong = [
        name for name, room, target in imports() if room == "phantom" and target in PHANTOM_MAY_NOT_IMPORT
    ]
    assert not wrong


def test_only_the_edges_import_phantom() -> None:
    wrong = [
        name for name, room, target in imports() if target == "phantom" and room not in MAY_IMPORT_PHANTOM
    ]
    assert not wrong


def test_the_documented_order_is_the_enforced_one(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.split("## The rooms\n```\n")[1].split("```")[0]
    listed = [line.split()[0].rstrip("/") for line in block.splitlines()[1:]]
    assert block.split()[: len(GROUND)] == list(GROUND)
    assert listed == [row for row in ROWS if row in listed]
    assert {p.stem for p in PACKAGE.iterdir() if p.stem in ROWS} == set(listed)


@pytest.mark.parametrize(
    ("text", "rooms"),
    [
        ("import paraspinal.cli.main", ["cli"]),
        ("from paraspinal import phantom, __version__", ["phantom", "__version__"]),
        ("def f():\n    from paraspinal.saving import save_analysis", ["saving"]),
        ("import numpy", []),
    ],
)
def test_the_parser_sees_every_form_of_import(tmp_path: Path, text: str, rooms: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert list(imported_rooms(path)) == rooms
