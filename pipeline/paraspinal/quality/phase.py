"""The contrast phase, where the evidence is clear, and otherwise why it is not.

Contrast medium fills the right heart, the aorta, the renal cortex, the liver by its portal vein, the renal medulla
and at last the renal pelvis. Each reading says which of these it has reached; a phase is named only where they leave
one.
"""

from __future__ import annotations

import re

from paraspinal.config import QualityConfig
from paraspinal.quality.types import LumenReadings
from paraspinal.result import ContrastPhase
from paraspinal.volume import Acquisition

# What a series description says of its phase. Words that name an organ ("aorta", "pulmonary nodules") or a time of
# day as well as a phase are left out; the rest counts only where the readings agree.
_PHASE_WORDS: tuple[tuple[ContrastPhase, str], ...] = (
    ("delayed", r"delay|excret"),
    ("pulmonary_arterial", r"\bpe\b|\bctpa\b|embol"),
    ("portal", r"portal|venous|\bpv\b|\bven\b"),
    ("aortic", r"arter|\bcta\b|\bart\b"),
)
# Attenuation by iodine against that at 120 kVp; engineering figures that follow the mean photon energy.
_IODINE_GAIN = {
    70.0: 1.85,
    80.0: 1.6,
    90.0: 1.4,
    100.0: 1.25,
    110.0: 1.1,
    120.0: 1.0,
    130.0: 0.93,
    140.0: 0.87,
}
# Where the header does not state the tube voltage, a phase must hold at each of those in common use.
_USUAL_KVP = (100.0, 120.0, 140.0)
_BLOOD_HU, _LIVER_HU, _KIDNEY_HU = 45.0, 57.0, 32.0  # unenhanced [HU-tables]

Verdict = tuple[ContrastPhase, str]


def contrast_phase(
    acquisition: Acquisition,
    *,
    aortic_lumen_hu: float | None = None,
    lumens: LumenReadings | None = None,
    config: QualityConfig,
) -> tuple[ContrastPhase, bool | None, str]:
    """Return the phase, whether contrast medium was in the blood (None: not known), and the evidence.

    A missing contrast tag proves nothing, so that the readings decide; the header can only agree or make the phase
    indeterminate.
    """
    seen = lumens or LumenReadings(aorta=aortic_lumen_hu)
    agent = acquisition.contrast_agent
    header = f"header names a contrast agent ({agent})" if agent else "header names no contrast agent"
    if seen.aorta is None:
        return "indeterminate", None, f"Aortic lumen not read; {header}."
    lumen = _readings_text(seen)
    pulmonary = _pulmonary_first(seen, config)
    if not pulmonary and seen.aorta <= config.unenhanced_max_hu:
        return _unenhanced(agent, lumen, header)
    if not pulmonary and seen.aorta < config.enhanced_min_hu:
        return "indeterminate", None, f"{lumen}: between unenhanced and enhanced blood; {header}."
    described = _described_phase(acquisition.series_description)
    phase, why = _judged(seen, acquisition.kvp, config)
    if described is not None:
        return _agreed(described, phase, why, seen.aorta, f"{lumen}; {header}", config)
    return phase, True, f"{lumen}: {why}; {header}."


def _readings_text(seen: LumenReadings) -> str:
    named = {
        "aortic lumen": seen.aorta,
        "right heart": seen.right_heart,
        "liver": seen.liver,
        "renal cortex": seen.renal_cortex,
        "renal medulla": seen.renal_medulla,
        "renal pelvis": seen.renal_pelvis,
    }
    return ", ".join(f"{name} {value:.0f} HU" for name, value in named.items() if value is not None)


def _pulmonary_first(seen: LumenReadings, config: QualityConfig) -> bool:
    """Tell whether the bolus is in the right heart and has hardly reached the aorta, whatever the tube voltage."""
    if seen.right_heart is None or seen.aorta is None or seen.right_heart < config.right_heart_min_hu:
        return False
    ahead = seen.right_heart - _BLOOD_HU
    return ahead >= config.pulmonary_ratio[1] * max(seen.aorta - _BLOOD_HU, 0.0)


def _judged(seen: LumenReadings, kvp: float | None, config: QualityConfig) -> Verdict:
    """Return the phase that the readings leave, at the stated tube voltage or at each usual one."""
    if _pulmonary_first(seen, config):
        return "pulmonary_arterial", "bolus in the right heart, ahead of the aorta"
    voltages = (kvp,) if kvp else _USUAL_KVP
    verdicts = [_at_120(_scaled(seen, _gain(v)), config) for v in voltages]
    if len({phase for phase, _ in verdicts}) == 1:
        return verdicts[0]
    return "indeterminate", "contrast medium in the blood; its phase depends on the tube voltage, not stated"


def _gain(kvp: float) -> float:
    return _IODINE_GAIN[min(_IODINE_GAIN, key=lambda known: abs(known - kvp))]


def _scaled(seen: LumenReadings, gain: float) -> LumenReadings:
    """Return the readings as they would be at 120 kVp."""

    def scaled(value: float | None, plain: float) -> float | None:
        return None if value is None else plain + (value - plain) / gain

    return LumenReadings(
        aorta=scaled(seen.aorta, _BLOOD_HU),
        right_heart=scaled(seen.right_heart, _BLOOD_HU),
        heart_in_view=seen.heart_in_view,
        liver=scaled(seen.liver, _LIVER_HU),
        renal_cortex=scaled(seen.renal_cortex, _KIDNEY_HU),
        renal_medulla=scaled(seen.renal_medulla, _KIDNEY_HU),
        renal_pelvis=scaled(seen.renal_pelvis, 0.0),
    )


def _at_120(seen: LumenReadings, config: QualityConfig) -> Verdict:
    """Return the phase of readings at 120 kVp, for blood that holds contrast medium."""
    aorta = seen.aorta or 0.0
    fills = _kidneys_fill(seen, config)
    first_pass = seen.liver is not None and seen.liver < config.liver_first_pass_max_hu
    if aorta >= config.aortic_phase_min_hu:
        return _first_pass(seen, "bolus in the aorta", config)
    if aorta >= config.weak_bolus_min_hu and fills and first_pass:
        return _first_pass(seen, "bolus in the aorta and the renal cortex, the liver not reached", config)
    if _excretes(seen, config):
        if aorta <= config.portal_sure_hu[0]:
            return "delayed", "contrast medium in the renal pelvis"
        return (
            "indeterminate",
            "contrast medium in the renal pelvis, and much in the aorta for a time so late",
        )
    kidneys = seen.renal_pelvis is not None
    portal = seen.liver is not None and seen.liver >= config.liver_portal_min_hu
    if portal and aorta >= config.portal_sure_hu[0 if kidneys else 1] and aorta < config.portal_lumen_hu[1]:
        kidney_words = ", the kidneys excrete nothing yet" if kidneys else ""
        return "portal", f"portal blood in the liver{kidney_words}"
    return "indeterminate", "contrast medium in the blood, phase not clear"


def _kidneys_fill(seen: LumenReadings, config: QualityConfig) -> bool:
    if seen.renal_cortex is None or seen.renal_medulla is None:
        return False
    return seen.renal_cortex - seen.renal_medulla >= config.corticomedullary_hu


def _excretes(seen: LumenReadings, config: QualityConfig) -> bool:
    return seen.renal_pelvis is not None and seen.renal_pelvis >= config.excreted_hu


def _first_pass(seen: LumenReadings, why: str, config: QualityConfig) -> Verdict:
    """Return the aortic phase, unless the right heart may be ahead of the aorta."""
    if seen.right_heart is None:
        if seen.heart_in_view:
            return "indeterminate", f"{why}; the right heart, which may be ahead of it, was not read"
        return "aortic", why
    ahead = (seen.right_heart - _BLOOD_HU) / max((seen.aorta or 0.0) - _BLOOD_HU, 1.0)
    if ahead <= config.pulmonary_ratio[0]:
        return "aortic", why
    return "indeterminate", f"{why}, and as much in the right heart"


def _agreed(
    described: ContrastPhase,
    phase: ContrastPhase,
    why: str,
    aorta: float,
    lumen: str,
    config: QualityConfig,
) -> tuple[ContrastPhase, bool | None, str]:
    """Return the described phase where the readings allow it, else indeterminate."""
    low, high = {
        "aortic": (config.aortic_phase_min_hu, float("inf")),
        "pulmonary_arterial": (config.enhanced_min_hu, config.aortic_phase_min_hu),
        "portal": config.portal_lumen_hu,
        "delayed": config.delayed_lumen_hu,
    }[described]
    name = described.replace("_", " ")
    if phase == described or (phase == "indeterminate" and low <= aorta < high):
        return described, True, f"{lumen}: {why}; the series description names the {name} phase."
    return (
        "indeterminate",
        True,
        f"{lumen}: {why}, but not as in the {name} phase that the series description names.",
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
