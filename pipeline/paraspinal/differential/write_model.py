"""Writes a model as the folder that `load_model` reads."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from paraspinal.differential.model import DifferentialModel
from paraspinal.errors import OutputError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
MODEL_FILE, CARD_FILE, FINDINGS = "model.toml", "MODEL_CARD.md", "findings"


def check_model_folder(folder: Path, *, force: bool) -> None:
    """Refuse a destination that holds anything, unless it is a model that may be replaced.

    Raises
    ------
    OutputError
        ``output_is_a_file``, ``model_exists``, or ``output_not_empty`` (which `force` does not override).
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file.", code="output_is_a_file", remedy="Name a folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if {path.name for path in folder.iterdir()} - {MODEL_FILE, CARD_FILE, FINDINGS}:
        raise OutputError(
            f"{folder} holds more than a model.", code="output_not_empty", remedy="Name a folder of its own."
        )
    if not force:
        raise OutputError(
            f"{folder} holds a model already.",
            code="model_exists",
            remedy="Name another folder, or replace it with --force.",
        )


def write_model(model: DifferentialModel, folder: Path, *, card: str, force: bool = False) -> None:
    """Write ``model.toml``, ``findings/findings.toml`` and ``MODEL_CARD.md``, whole or not at all.

    Raises
    ------
    OutputError
        As `check_model_folder`, or ``output_unwritable``.
    """
    check_model_folder(folder, force=force)
    values = model.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    variables = values.pop("variables")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".model-") as kept:
            staged = Path(kept) / "new"
            (staged / FINDINGS).mkdir(parents=True)
            (staged / MODEL_FILE).write_text(toml_text(values), encoding="utf-8")
            (staged / FINDINGS / "findings.toml").write_text(toml_text(variables), encoding="utf-8")
            (staged / CARD_FILE).write_text(card, encoding="utf-8")
            if folder.is_dir():
                shutil.move(folder, Path(kept) / "old")
            shutil.move(staged, folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}.",
            code="output_unwritable",
            remedy="Name a folder that may be written.",
        ) from error


def toml_text(table: Mapping[str, object]) -> str:
    """Return a table as TOML: what holds tables becomes a section, what does not stands on a line."""
    return "\n".join(_section((), table)).strip() + "\n"


def _section(path: tuple[str, ...], table: Mapping[str, object]) -> list[str]:
    nested = {k: v for k, v in table.items() if isinstance(v, Mapping) and _is_section(v)}
    plain = {k: v for k, v in table.items() if k not in nested}
    lines = [f"\n[{'.'.join(map(_key, path))}]"] if path and (plain or not nested) else []
    lines += [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for name, inner in nested.items():
        lines += _section((*path, name), inner)
    return lines


def _is_section(table: Mapping[str, object]) -> bool:
    return any(isinstance(value, Mapping) for value in table.values())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
