"""Reads a mass as it is typed: ``side=left,level=T9,size=30x24x40,hu=45,specks=5x2x500``."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from paraspinal.errors import UsageError
from paraspinal.phantom.spec import Foci, MassSpec

EXAMPLE = "side=left,level=T9,size=30x26x40,hu=45"
_HELP = (
    f"Write it like {EXAMPLE}; keys: side, level, size (diameters, mm: side x front x height, or one), hu,"
    " enhancement, shape, edge, overlap, bone (none, lytic, scalloping,"
    " breakthrough), offset, low, fat, specks (count"
    " x mm x HU change), rim."
)
_NUMBERS = {
    "hu": "hu",
    "enhancement": "enhancement_hu",
    "edge": "edge_width_mm",
    "overlap": "overlap_mm",
    "rim": "rim_hu",
}
_FOCI = {"low": "low_density", "fat": "fat", "specks": "calcification"}
_DELTAS = {"low": -25.0, "fat": 0.0, "specks": 500.0}


def parse_mass(text: str) -> MassSpec:
    """Return the mass that a text describes, or that a JSON file holds in the form of `MassSpec`.

    Raises
    ------
    UsageError
        ``mass_spec_invalid`` with the keys there are.
    """
    if text.endswith(".json"):
        return _from_file(Path(text))
    given: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, found, value = part.partition("=")
        if not found:
            raise _wrong(f"{part!r} is no key=value.")
        given |= _read(key.strip().lower(), value.strip())
    if missing := {"side", "level", "semi_axes_mm"} - set(given):
        names = {"semi_axes_mm": "size"}
        raise _wrong(f"A mass needs {', '.join(sorted(names.get(m, m) for m in missing))}.")
    return MassSpec(**given)


def _read(key: str, value: str) -> dict[str, Any]:
    if key in ("side", "shape", "bone"):
        return {key: value.lower()}
    if key == "level":
        return {key: value.upper()}
    if key in _NUMBERS:
        return {_NUMBERS[key]: _numbers(key, value, (1,))[0]}
    if key == "size":
        size = _numbers(key, value, (1, 3))
        a, b, c = (s / 2 for s in (size * 3 if len(size) == 1 else size))
        return {"semi_axes_mm": (a, b, c)}
    if key == "offset":
        a, b, c = _numbers(key, value, (3,))
        return {"offset_mm": (a, b, c)}
    if key in _FOCI:
        numbers = _numbers(key, value, (2, 3))
        return {_FOCI[key]: Foci(int(numbers[0]), numbers[1], [*numbers, _DELTAS[key]][2])}
    raise _wrong(f"A mass has no {key!r}.")


def _numbers(key: str, value: str, counts: tuple[int, ...]) -> list[float]:
    try:
        found = [float(part) for part in value.lower().split("x")]
    except ValueError:
        raise _wrong(f"{key}={value} holds no numbers.") from None
    if len(found) not in counts:
        raise _wrong(f"{key}={value} needs {' or '.join(map(str, counts))} numbers.")
    return found


def _from_file(path: Path) -> MassSpec:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(f"{path} cannot be read as JSON.") from error
    known = {f.name for f in fields(MassSpec)}
    if not isinstance(held, dict) or not set(held) <= known:
        raise _wrong(f"{path} holds no mass.")
    for name in ("semi_axes_mm", "offset_mm"):
        if name in held:
            held[name] = tuple(held[name])
    for name in _FOCI.values():
        if isinstance(held.get(name), dict):
            held[name] = Foci(**held[name])
    try:
        return MassSpec(**held)
    except TypeError as error:
        raise _wrong(f"{path} holds no mass: {error}.") from error


def _wrong(message: str) -> UsageError:
    return UsageError(message, code="mass_spec_invalid", remedy=_HELP)
