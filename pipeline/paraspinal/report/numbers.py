"""Numbers, units and names as people read them. A number that was not measured never becomes one here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from paraspinal.result import Measurement

NO_VALUE = "–"
_PLAIN_FROM = -4
_RATIOS = frozenset({"1", "%"})
_NEGLIGIBLE = 0.0005
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = {
    "[hnsf'U]": "HU",
    "[hnsf'U].mm": "HU·mm",
    "HU.mm": "HU·mm",
    "mm2": "mm²",
    "mm3": "mm³",
    "cm2": "cm²",
    "1": "",
    "kV": "kV",
}
_UNIT_SUFFIX = re.compile(r"_(hu_mm|hu|mm2|mm3|mm|ml)$")
_QUANTITIES = {"hu": "attenuation", "ml": "volume"}
_NAMES_QUANTITY = frozenset({"attenuation", "volume", "contrast", "mean", "noise", "peak"})
_WORDS = {
    "emh": "EMH",
    "sd": "SD",
    "hu": "HU",
    "fwhm": "FWHM",
    "p5": "5th percentile",
    "p95": "95th percentile",
    "max": "maximum",
    "ibsi": "IBSI",
}
# The terms of the published entities; a model's own entities keep their name with spaces.
_ENTITIES = {
    "emh": "Extramedullary hematopoiesis",
    "neurogenic_tumour": "Neurogenic tumour",
    "lymphoma": "Lymphoma",
    "metastasis": "Metastasis",
    "abscess": "Abscess",
    "meningocele": "Meningocele",
    "other": "Other",
}


def decimals_for(uncertainty: float) -> int:
    """Return how many decimals an uncertainty is worth (negative: tens, hundreds).

    The Particle Data Group's rule: two significant digits when the three highest are 100 to 354, else one
    (950 to 999 round up to 1000 and keep two). Review of Particle Physics, Introduction, section 5.3.
    """
    exponent = math.floor(math.log10(uncertainty))
    leading = round(uncertainty / 10.0 ** (exponent - 2))
    return 1 - exponent if leading <= 354 else -exponent


def number_text(value: float, *, decimals: int | None = None) -> str:
    """Return a number with a true minus sign; what is tiny as a power of ten: ``2.5 × 10⁻⁵``.

    Without `decimals`: three significant digits, never fewer than the units, and no trailing zeros, which would
    claim a precision that nobody stated.
    """
    if decimals is None:
        exponent = _power(value)
        if exponent:
            return f"{number_text(value / 10.0**exponent)} × {_ten_to(exponent)}"
        size = math.floor(math.log10(abs(value))) if value else 0
        text = f"{value:.{max(0, 2 - size)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{round(value, decimals):.{max(0, decimals)}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def _power(size: float) -> int:
    """Return the exponent to write a number with: 0 unless it has more than three zeros behind the point."""
    exponent = math.floor(math.log10(abs(size))) if size else 0
    return exponent if exponent < _PLAIN_FROM else 0


def _ten_to(exponent: int) -> str:
    return "10" + str(exponent).translate(_RAISED)


def value_text(m: Measurement) -> str:
    """Return ``45 ± 5``, ``≥ 120``, ``< 0.05`` or a dash; the uncertainty is one combined standard deviation."""
    if m.value is None:
        if m.status == "below_detection_limit" and m.detection_limit is not None:
            return f"< {number_text(m.detection_limit)}"
        return NO_VALUE
    bound = "≥ " if m.status == "lower_bound" else ""
    u = m.uncertainty.combined if m.uncertainty else 0.0
    if u <= 0.0:
        return bound + number_text(m.value)
    if m.unit in _RATIOS and max(abs(m.value), u) < _NEGLIGIBLE:
        return f"{bound}< {2 * _NEGLIGIBLE:g}"
    exponent = _power(max(abs(m.value), u))
    if exponent:
        scale = 10.0**exponent
        return f"{bound}({_with_uncertainty(m.value / scale, u / scale)}) × {_ten_to(exponent)}"
    return bound + _with_uncertainty(m.value, u)


def has_text(m: Measurement | None) -> bool:
    """Tell whether there is more to show of a measurement than a dash."""
    return m is not None and value_text(m) != NO_VALUE


def _with_uncertainty(value: float, u: float) -> str:
    if _power(u):  # nobody needs the tenth decimal of a number that is known as well
        return f"{number_text(value)} ± {number_text(u)}"
    decimals = decimals_for(u)
    return f"{number_text(value, decimals=decimals)} ± {number_text(u, decimals=decimals)}"


def in_percent(m: Measurement) -> Measurement:
    """Return a fraction as percent, with everything that is stated about it."""
    if m.unit != "1":
        return m
    u = m.uncertainty
    scaled = {
        "unit": "%",
        "value": _times_100(m.value),
        "detection_limit": _times_100(m.detection_limit),
        "uncertainty": u
        and u.model_copy(update={"type_a": _times_100(u.type_a), "type_b": _times_100(u.type_b)}),
    }
    return m.model_copy(update=scaled)


def _times_100(value: float | None) -> float | None:
    return None if value is None else 100.0 * value


def uncertainty_parts(m: Measurement) -> str:
    """Return type A and type B as ``0.6 / 4.0``, a dash where one is not known."""
    if m.uncertainty is None:
        return ""
    parts = (m.uncertainty.type_a, m.uncertainty.type_b)
    return " / ".join(NO_VALUE if p is None else _standard(p) for p in parts)


def _standard(u: float) -> str:
    return number_text(u, decimals=decimals_for(u)) if u > 0 else number_text(u)


def unit_text(unit: str) -> str:
    """Return a UCUM unit as it is printed; annotations in braces are dropped."""
    return _UNITS.get(unit, re.sub(r"\{[^}]*\}", "", unit))


def size_text(parts: Iterable[Measurement | None]) -> str:
    """Return ``42 × 33 × ≥ 48 mm``: lengths as far as their uncertainty carries, a dash for a missing one."""
    items = list(parts)
    texts = [NO_VALUE if m is None else value_text(m).split(" ±")[0] for m in items]
    unit = next((unit_text(m.unit) for m in items if m is not None), "")
    return f"{' × '.join(texts)} {unit}" if set(texts) != {NO_VALUE} else NO_VALUE


def with_unit(m: Measurement | None) -> str:
    """Return value, uncertainty and unit, or a dash."""
    if m is None:
        return NO_VALUE
    text = value_text(m)
    return text if text == NO_VALUE else f"{text} {unit_text(m.unit)}".rstrip()


def percent(p: float) -> str:
    """Return a probability as ``62 %``; certainty is never claimed by rounding."""
    if p < 0.01:
        return "< 1 %"
    if p > 0.99:
        return "> 99 %"
    return f"{100 * p:.0f} %"


def shares(probabilities: Mapping[str, float]) -> str:
    """Return ``T9 87 %, T8 6 %``, likeliest first; what is below one percent is left out."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.replace('_', ' ')} {percent(p)}" for name, p in ranked if p >= 0.01)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 mass`` or ``2 masses``; the plural takes an s unless it is given."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def measure_name(key: str) -> str:
    """Return a measurement's key as words, without its unit, but with the quantity that the unit stands for.

    ``attenuation_sd_hu`` is ``Attenuation SD``, ``liver_hu`` is ``Liver attenuation``.
    """
    name = _UNIT_SUFFIX.sub("", key)
    quantity = _QUANTITIES.get(key.rsplit("_", 1)[-1])
    if quantity is None or _NAMES_QUANTITY & set(name.split("_")):
        return words(name)
    return words(f"{name}_{quantity}")


def words(key: str) -> str:
    """Return a snake-case name as words with a capital first letter."""
    text = " ".join(_WORDS.get(w, w) for w in key.replace(".", " ").replace("_", " ").split())
    return text[:1].upper() + text[1:]


def entity_name(key: str) -> str:
    """Return an entity's term."""
    return _ENTITIES.get(key, words(key))
