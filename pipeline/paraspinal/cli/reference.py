"""The pages ``docs/results.md`` and ``docs/configuration.md``, made from the models so that they stay true."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from paraspinal.config import Config, config_names, load_config
from paraspinal.result import SCHEMA_VERSION, AnalysisResult

_RESULTS_INTRO = """# What an analysis leaves behind

Made by `paraspinal schema --markdown`; do not edit by hand. Schema version {version}.

`paraspinal analyze INPUT -o OUT` fills the folder OUT:

| file | content |
|---|---|
| `result.json` | one `AnalysisResult` (below); written last, so a folder with it is complete |
| `report.html` | the same for people: pictures, measurements, differential; one file, no network |
| `labels.nii.gz` | anatomy on the CT's own grid, uint16, exclusive |
| `labels.json` | the name of every number in `labels.nii.gz`; below 200 as in TotalSegmentator's `total` task |
| `masses.nii.gz` | the candidates on the same grid, by their `id` |
| `compartments.nii.gz`, `compartments.json` | the paravertebral compartments per level and side, and their names |
| `refusal.json` | instead, when the input was refused: `verdict`, `codes` as in `loading`, `message`, `remedy`, \
`details`, `schema_version`, `software_version`, `research_use_only`, `superseded` |
| `*.superseded` | files of an older result that was to be replaced when the input was refused; not this input's |

Units are UCUM, coordinates LPS in millimetres, times ISO 8601. Identifiers appear as digests only, unless
`--identifiers` was given. There is
no NaN and no infinity, and **no value is written where nothing was measured**: such a measurement has a `status`
and a `reason`. `paraspinal schema` prints the JSON Schema.

| status of a measurement | meaning |
|---|---|
| `measured` | a value with its uncertainty |
| `lower_bound` | a value; the scan cuts the structure off, so that the truth is at least this |
| `interpolated` | a value that rests partly on slices which the loader had to interpolate |
| `below_detection_limit` | looked for, not found; `detection_limit` says what could have been |
| `not_in_view` | the structure lies outside the scan |
| `not_assessed` | not attempted here; `reason` says why |
| `failed` | attempted without success; `reason` says why |

"""

_CONFIG_INTRO = """# Configuration

Made by `paraspinal schema config --markdown`; do not edit by hand.

`--config` takes the name of a profile that ships with the package or the path of a TOML file. A file needs only the
fields that differ from the defaults; unknown fields and values out of range are refused. The source of each default
stands in parentheses; an *engineering default* was chosen by us and is not a clinical cut-off.

"""


def results_page() -> str:
    """Return ``docs/results.md``."""
    sections = [_section(model, "key") for model in reachable_models(AnalysisResult)]
    return _RESULTS_INTRO.format(version=SCHEMA_VERSION) + "\n".join(sections)


def configuration_page() -> str:
    """Return ``docs/configuration.md``."""
    profiles = "\n".join(f"| `{name}` | {_differences(name)} |" for name in config_names())
    table = f"| profile | what differs from the defaults |\n|---|---|\n{profiles}\n\n"
    sections = []
    for name, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            sections.extend(_config_sections(model, name))
    return _CONFIG_INTRO + table + "\n".join(sections)


def _config_sections(model: type[BaseModel], name: str) -> list[str]:
    """Return the section of one settings class, and those of the classes that it holds."""
    nested: dict[str, type[BaseModel]] = {
        key: f.annotation
        for key, f in model.model_fields.items()
        if isinstance(f.annotation, type) and issubclass(f.annotation, BaseModel)
    }
    found = [_section(model, "field", title=f"`[{name}]`", defaults=True, without=frozenset(nested))]
    for key, inner in nested.items():
        found.extend(_config_sections(inner, f"{name}.{key}"))
    return found


def _differences(name: str) -> str:
    profile, plain = load_config(name).model_dump(), Config().model_dump()
    changed = [
        f"`{section}.{key}` = {value}"
        for section, values in profile.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value != plain[section][key]
    ]
    return ", ".join(changed) or "nothing"


def reachable_models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return `root` and every model that its fields can hold, each once, outermost first."""
    found = [root]
    for model in found:  # grows while it is walked
        for field in model.model_fields.values():
            found.extend(m for m in _models_in(field.annotation) if m not in found)
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _section(
    model: type[BaseModel],
    column: str,
    *,
    title: str = "",
    defaults: bool = False,
    without: frozenset[str] = frozenset(),
) -> str:
    summary = (model.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
    head = [column, "type", *(["default"] if defaults else []), "meaning"]
    lines = [f"## {title or model.__name__}", "", summary, "", _cells(head), "|" + "---|" * len(head)]
    for name, field in model.model_fields.items():
        if name in without:
            continue
        value = [f"`{_default(field)}`"] if defaults else []
        lines.append(_cells([f"`{name}`", type_text(field.annotation), *value, field.description or ""]))
    return "\n".join([*lines, ""])


def _cells(cells: list[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _default(field: FieldInfo) -> str:
    return str(list(field.default) if isinstance(field.default, tuple) else field.default)


def type_text(annotation: Any) -> str:
    """Return an annotation in words of JSON: ``number or null``, ``list of [MassResult](#massresult)``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return _PLAIN.get(annotation, str(annotation))
    return _composed(origin, parts)


_PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    type(None): "null",
    object: "anything",
}


def _composed(origin: Any, parts: tuple[Any, ...]) -> str:
    if origin is Annotated:
        return type_text(parts[0])
    if origin is Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(part) for part in parts)
    if origin is dict:
        return f"map of {type_text(parts[1])}"
    if origin is tuple and Ellipsis not in parts:
        return f"[{', '.join(type_text(part) for part in parts)}]"
    return f"list of {type_text(parts[0])}"
