"""What structures are called: TotalSegmentator's numbers and names, SNOMED CT codes, and how people write them.

The canonical name of a structure is TotalSegmentator's (`total` task, version 2) where it has one. Numbers, names
and codes are facts: its class map and SNOMED mapping table (Apache-2.0), and SNOMED CT as DICOM uses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

VERTEBRA_PREFIX = "vertebrae_"
VERTEBRA_PREFIXES = (VERTEBRA_PREFIX, "vertebra_of_uncertain_level")
RIB_PREFIXES = ("rib_left_", "rib_right_")

_LEVEL_TEXT = "S1 L5 L4 L3 L2 L1 T12 T11 T10 T9 T8 T7 T6 T5 T4 T3 T2 T1 C7 C6 C5 C4 C3 C2 C1"
_LEVELS = tuple(_LEVEL_TEXT.split())
_FIRST = """
spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left
lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right
esophagus trachea thyroid_gland small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left
kidney_cyst_right sacrum
"""
_AFTER_VERTEBRAE = """
heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left
common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right
atrial_appendage_left superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein iliac_artery_left
iliac_artery_right iliac_vena_left iliac_vena_right humerus_left humerus_right scapula_left scapula_right
clavicula_left clavicula_right femur_left femur_right hip_left hip_right spinal_cord gluteus_maximus_left
gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left gluteus_minimus_right
autochthon_left autochthon_right iliopsoas_left iliopsoas_right brain skull
"""
_OURS = """
canal lung_left lung_right lungs ribs disc airway crura diaphragm prevertebral osteophytes psoas_left psoas_right
effusion_left effusion_right pleural_effusion body bone column
"""
_TOTAL = (
    *_FIRST.split(),
    *(f"{VERTEBRA_PREFIX}{level}" for level in _LEVELS),
    *_AFTER_VERTEBRAE.split(),
    *(f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)),
    "sternum",
    "costal_cartilages",
)
TOTAL_NAMES: dict[int, str] = dict(enumerate(_TOTAL, start=1))
"""TotalSegmentator's `total` task, version 2: number to name."""

_DISCS = (f"disc_{upper}_{lower}" for upper, lower in pairwise(_LEVELS[::-1]))
KNOWN_NAMES = frozenset((*_TOTAL, *_OURS.split(), *_DISCS))

_SIDES = {"left": "left", "l": "left", "lt": "left", "lft": "left", "sin": "left", "sinistra": "left"}
_SIDES |= {"right": "right", "r": "right", "rt": "right", "rgt": "right", "dex": "right", "dextra": "right"}
_FILLERS = frozenset(
    {"structure", "entire", "whole", "of", "the", "and", "bone", "muscle", "segmentation", "mask"}
)
# Words of a label, sorted and without side and fillers, to the canonical name without its side.
_WORDS = {
    "spleen": "spleen",
    "kidney": "kidney",
    "gallbladder": "gallbladder",
    "liver": "liver",
    "stomach": "stomach",
    "pancreas": "pancreas",
    "adrenal gland": "adrenal_gland",
    "adrenal": "adrenal_gland",
    "esophagus": "esophagus",
    "oesophagus": "esophagus",
    "trachea": "trachea",
    "thyroid": "thyroid_gland",
    "bowel small": "small_bowel",
    "duodenum": "duodenum",
    "colon": "colon",
    "bladder urinary": "urinary_bladder",
    "sacrum": "sacrum",
    "heart": "heart",
    "aorta": "aorta",
    "a aorta": "aorta",
    "cava inferior vena": "inferior_vena_cava",
    "cava superior vena": "superior_vena_cava",
    "autochthon": "autochthon",
    "erector spinae": "autochthon",
    "iliopsoas": "iliopsoas",
    "psoas": "psoas",
    "major psoas": "psoas",
    "cord spinal": "spinal_cord",
    "spinalcord": "spinal_cord",
    "canal": "canal",
    "canal spinal": "canal",
    "spinalcanal": "canal",
    "lung": "lung",
    "lungs": "lungs",
    "rib": "ribs",
    "ribs": "ribs",
    "sternum": "sternum",
    "effusion": "effusion",
    "effusion pleural": "pleural_effusion",
    "clavicle": "clavicula",
    "clavicula": "clavicula",
    "scapula": "scapula",
    "humerus": "humerus",
    "femur": "femur",
    "hip": "hip",
    "brain": "brain",
    "skull": "skull",
}
_LEVEL = re.compile(r"(c|th|t|l|s)0?(\d{1,2})")
_ORDINAL_TEXT = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS = {word: str(n) for n, word in enumerate(_ORDINAL_TEXT.split(), start=1)}
_VERTEBRA_WORDS = frozenset({"vertebra", "vertebrae", "vert"})
_WORD = re.compile(r"[A-Z][a-z]+\d*|[A-Z]+\d+|[a-z]+\d*|[A-Z]+(?![a-z])|\d+")

# SNOMED CT codes of what is not sided, and of what is sided by a modifier.
_SCT = {
    "15825003": "aorta",
    "10200004": "liver",
    "78961009": "spleen",
    "64033007": "kidney",
    "32849002": "esophagus",
    "44567001": "trachea",
    "80891009": "heart",
    "2748008": "spinal_cord",
    "61853006": "canal",
    "54735007": "sacrum",
    "69695003": "stomach",
    "15776009": "pancreas",
    "71854001": "colon",
    "38848004": "duodenum",
    "30315005": "small_bowel",
    "64131007": "inferior_vena_cava",
    "48345005": "superior_vena_cava",
    "244849004": "autochthon",
    "68455001": "iliopsoas",
    "39607008": "lung",
    "45653009": "lung_upper_lobe",
    "90572001": "lung_lower_lobe",
    "72481006": "lung_middle_lobe_right",
    "56873002": "sternum",
    "113197003": "ribs",
    "60046008": "pleural_effusion",
}
_SCT_LEVELS = """
65985001 49668003 11994002 36470004 14293000 66794005
23215003 12989004 7610001 82687006 11068009 62487009 45296009 56401006 73071006 1626008 53733008 64864005
87391001 36054005 36978003 5329002 113205007 39976000 14806007
"""
_SCT_RIBS = """
48535007 78247007 25888004 25523003 15339008 59558009 24915002 5953002 22565002 77644006 58830002 43993008
"""
_SCT_SIDES = {"7771000": "left", "24028007": "right"}
SCT_NAMES: dict[str, str] = (
    _SCT
    | {code: f"{VERTEBRA_PREFIX}{level}" for code, level in zip(_SCT_LEVELS.split(), _LEVELS, strict=True)}
    | {code: f"rib {n}" for n, code in enumerate(_SCT_RIBS.split(), start=1)}
)
"""SNOMED CT code to name, the side still to come (see `name_of_codes`)."""


def name_of_codes(codes: Iterable[str]) -> str | None:
    """Return the structure that SNOMED CT codes of a segment name together, or None.

    Parameters
    ----------
    codes : iterable of str
        Code values of the property type, its modifiers, the anatomic region and its modifiers, in this order.
    """
    given = list(codes)
    sides = {_SCT_SIDES[c] for c in given if c in _SCT_SIDES}
    names = [SCT_NAMES[c] for c in given if c in SCT_NAMES]
    if not names or len(sides) > 1:
        return None
    return _sided(names[0], next(iter(sides), None))


def name_of_label(text: str) -> str | None:
    """Return the structure that a written label means (``vertebrae_T9``, ``Th9``, ``Left Kidney``), or None."""
    plain = text.strip()
    if plain in KNOWN_NAMES or plain.startswith(VERTEBRA_PREFIXES) or "_of_uncertain_level" in plain:
        return plain
    if plain.lower() in KNOWN_NAMES:
        return plain.lower()
    words = [w.lower() for w in _WORD.findall(plain.replace("_", " "))]
    side = {_SIDES[w] for w in words if w in _SIDES}
    rest = [w for w in words if w not in _SIDES and w not in _FILLERS]
    if len(side) > 1 or not rest:
        return None
    return (
        _vertebra(rest)
        or _rib(rest, side)
        or _sided(_WORDS.get(" ".join(sorted(rest)), ""), next(iter(side), None))
    )


def _vertebra(words: list[str]) -> str | None:
    """One level and nothing else but the word for vertebra."""
    levels = [m for m in (_LEVEL.fullmatch(w) for w in words) if m]
    if len(levels) != 1 or any(w not in _VERTEBRA_WORDS for w in words if not _LEVEL.fullmatch(w)):
        return None
    level = f"{levels[0][1][0].upper()}{levels[0][2]}"
    return f"{VERTEBRA_PREFIX}{level}" if level in _LEVELS else None


def _rib(words: list[str], side: set[str]) -> str | None:
    numbers = [_ORDINALS.get(w, w) for w in words if w.isdigit() or w in _ORDINALS]
    if (
        {w for w in words if not w.isdigit() and w not in _ORDINALS} != {"rib"}
        or len(numbers) != 1
        or not side
    ):
        return None
    name = f"rib_{next(iter(side))}_{int(numbers[0])}"
    return name if name in KNOWN_NAMES else None


def _sided(name: str, side: str | None) -> str | None:
    """Give a name its side; None for what needs a side and has none, or has one that means another structure."""
    if name.startswith("rib ") and side:
        return f"rib_{side}_{name.removeprefix('rib ')}"
    if side and f"{name}_{side}" in KNOWN_NAMES:
        return f"{name}_{side}"
    if name in KNOWN_NAMES and (side is None or name.endswith(side)):
        return name
    return "lungs" if name == "lung" and side is None else None
