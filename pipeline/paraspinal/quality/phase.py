"""The contrast phase, where the evidence is clear, and otherwise why it is not."""

from __future__ import annotations

import re

from paraspinal.config import QualityConfig
from paraspinal.result import ContrastPhase
from paraspinal.volume import Acquisition

# What a series description says of its phase. Words that name an organ ("aorta", "pulmonary nodules") or a time of
# day as well as a phase are left out; the rest counts only where the aortic lumen agrees.
_PHASE_WORDS: tuple[tuple[ContrastPhase, str], ...] = (
    ("delayed", r"delay|excret"),
    ("pulmonary_arterial", r"\bpe\b|\bctpa\b|embol"),
    ("portal", r"portal|venous|\bpv\b|\bven\b"),
    ("aortic", r"arter|\bcta\b|\bart\b"),
)


def contrast_phase(
    acquisition: Acquisition, *, aortic_lumen_hu: float | None, config: QualityConfig
) -> tuple[ContrastPhase, bool | None, str]:
    """Return the phase, whether contrast medium was in the blood (None: not known), and the evidence.

    A missing contrast tag proves nothing, so that the density of the aortic lumen decides; the header can only
    agree or make the phase indeterminate. One scan cannot tell a portal from a delayed phase by the aorta alone,
    so that these need the series description to say so.
    """
    agent = acquisition.contrast_agent
    header = f"header names a contrast agent ({agent})" if agent else "header names no contrast agent"
    if aortic_lumen_hu is None:
        return "indeterminate", None, f"Aortic lumen not read; {header}."
    lumen = f"aortic lumen {aortic_lumen_hu:.0f} HU"
    if aortic_lumen_hu <= config.unenhanced_max_hu:
        return _unenhanced(agent, lumen, header)
    if aortic_lumen_hu < config.enhanced_min_hu:
        return "indeterminate", None, f"{lumen}: between unenhanced and enhanced blood; {header}."
    described = _described_phase(acquisition.series_description)
    if described is not None:
        return _agreed(described, aortic_lumen_hu, lumen, header, config)
    if aortic_lumen_hu >= config.aortic_phase_min_hu:
        return "aortic", True, f"{lumen}: bolus in the aorta; {header}."
    return "indeterminate", True, f"{lumen}: contrast medium in the blood, phase not clear; {header}."


def _agreed(
    described: ContrastPhase, aortic_lumen_hu: float, lumen: str, header: str, config: QualityConfig
) -> tuple[ContrastPhase, bool | None, str]:
    """Return the described phase where the aortic lumen may have that density in it, else indeterminate."""
    low, high = {
        "aortic": (config.aortic_phase_min_hu, float("inf")),
        "pulmonary_arterial": (config.enhanced_min_hu, config.aortic_phase_min_hu),
        "portal": config.portal_lumen_hu,
        "delayed": config.delayed_lumen_hu,
    }[described]
    name = described.replace("_", " ")
    if low <= aortic_lumen_hu < high:
        return described, True, f"{lumen}; the series description names the {name} phase; {header}."
    return (
        "indeterminate",
        True,
        f"{lumen}: contrast medium in the blood, but not as in the {name} phase that the series description "
        f"names; {header}.",
    )


def _unenhanced(agent: str | None, lumen: str, header: str) -> tuple[ContrastPhase, bool | None, str]:
    if agent:
        return "indeterminate", None, f"{lumen} as in unenhanced blood, but {header}."
    return "unenhanced", False, f"{lumen} as in unenhanced blood; {header}."


def _described_phase(description: str | None) -> ContrastPhase | None:
    """Return the one phase that the series description names; None when it names none or several."""
    text = (description or "").lower().replace("_", " ")
    named = [phase for phase, pattern in _PHASE_WORDS if re.search(pattern, text)]
    return named[0] if len(named) == 1 else None
