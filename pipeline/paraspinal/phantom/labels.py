"""Numbers of the structures in a phantom's label map.

Structures that TotalSegmentator's ``total`` task (version 2) also has keep its number; the phantom's own begin
at 200.
"""

from __future__ import annotations

from typing import Literal

from paraspinal.phantom.levels import LEVELS

BodySide = Literal["left", "right"]

_TOTALSEGMENTATOR = {
    1: "spleen",
    2: "kidney_right",
    3: "kidney_left",
    4: "gallbladder",
    5: "liver",
    6: "stomach",
    7: "pancreas",
    15: "esophagus",
    16: "trachea",
    18: "small_bowel",
    20: "colon",
    21: "urinary_bladder",
    25: "sacrum",
    51: "heart",
    52: "aorta",
    63: "inferior_vena_cava",
    65: "iliac_artery_left",
    66: "iliac_artery_right",
    69: "humerus_left",
    70: "humerus_right",
    71: "scapula_left",
    72: "scapula_right",
    73: "clavicula_left",
    74: "clavicula_right",
    75: "femur_left",
    76: "femur_right",
    77: "hip_left",
    78: "hip_right",
    80: "gluteus_maximus_left",
    81: "gluteus_maximus_right",
    86: "autochthon_left",
    87: "autochthon_right",
    88: "iliopsoas_left",
    89: "iliopsoas_right",
    116: "sternum",
    117: "costal_cartilages",
}
_OWN = {
    200: "canal",
    201: "lung_left",
    202: "lung_right",
    203: "body",
    204: "effusion_left",
    205: "effusion_right",
    206: "azygos",
    207: "intervertebral_disc",
    208: "diaphragm",
    209: "muscle",
    210: "pulmonary_vessel",
    211: "foramen",
    270: "rib_left_lumbar",
    271: "rib_right_lumbar",
    272: "rib_left_cervical",
    273: "rib_right_cervical",
    274: "consolidation_left",
    275: "consolidation_right",
    276: "arms",
    277: "metal",
}

_EXTRA_RIBS = {0: "cervical", 13: "lumbar"}

# Masses are painted with these numbers and moved to a map of their own afterwards.
FIRST_MASS = 1000


def vertebra_number(level: str) -> int:
    """Return the label of a vertebra: 26 is S1, 27 is L5, 43 is T1, 44 is C7, 45 is C6."""
    return 27 + LEVELS.index("L5") - LEVELS.index(level)


def rib_number(index: int, side: BodySide) -> int:
    """Return the label of rib `index`: 1…12 are 92–103 on the left, 104–115 on the right; 0 cervical, 13 lumbar."""
    if index in _EXTRA_RIBS:
        return NUMBER[f"rib_{side}_{_EXTRA_RIBS[index]}"]
    return (91 if side == "left" else 103) + index


def label_names() -> dict[int, str]:
    """Return the name of every number that a phantom's label map may hold."""
    names = {**_TOTALSEGMENTATOR, **_OWN}
    names |= {vertebra_number(level): f"vertebrae_{level}" for level in LEVELS}
    for side in ("left", "right"):
        first = 92 if side == "left" else 104
        names |= {first + k: f"rib_{side}_{k + 1}" for k in range(12)}
    return dict(sorted(names.items()))


NUMBER: dict[str, int] = {name: number for number, name in label_names().items()}
