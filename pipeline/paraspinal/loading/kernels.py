"""Whether a reconstruction kernel is a soft or a sharp one, told from the name that its maker gave it.

Names follow no standard (PS3.3 C.8.2.1 leaves Convolution Kernel to the maker). What is not listed is neither.

- Siemens, letters and a number that grows with sharpness: B30 and B40 are standard for the body, B50 to B80 are "for
  higher sharpness" (SOMATOM Sensation, operating instructions, body kernels); D45f is medium soft.
- Canon and Toshiba, FC and a number: FC13 is the usual soft one, FC55 that for lungs (doi:10.3348/kjr.2018.19.5.888);
  ranges about them as in common use: FC01 to FC18 body, FC30 on bone, FC50 on lungs, FC80 on high resolution.
- Philips, a letter: B and C for soft tissue, L for lungs (doi:10.1097/RCT.0b013e3181b5c630), A smoother, YA to YD
  for bone; D lies between, and is neither.
- GE and others, words.
"""

from __future__ import annotations

import re
from typing import Literal

Sharpness = Literal["soft", "sharp"]

_NUMBERED = re.compile(r"[BDHIJQSU][A-Z]?(\d\d)[A-Z]*", re.ASCII)
_SOFT_TO, _SHARP_FROM = 45, 50
_CANON = re.compile(r"FC(\d\d)", re.ASCII)
_CANON_SOFT = frozenset((1, 2, 3, 7, 8, 10, 11, 12, 13, 14, 17, 18))
_CANON_SHARP = frozenset((*range(30, 40), *range(50, 60), *range(80, 90)))
_LETTERS: dict[str, Sharpness] = {
    **dict.fromkeys(("A", "B", "C"), "soft"),
    **dict.fromkeys(("L", "YA", "YB", "YC", "YD"), "sharp"),
}
_SHARP_WORDS = ("LUNG", "BONE", "EDGE", "SHARP", "ULTRA", "DETAIL")
_SOFT_WORDS = ("SOFT", "SMOOTH")
_USUAL_WORDS = ("STANDARD", "STND", "BODY")  # soft, unless another word makes them something else


def sharpness_of(kernel: str | None) -> Sharpness | None:
    """Return what a kernel's name says of it; None where it says nothing that is known."""
    name = (kernel or "").split("\\")[0].strip().upper()
    if name in _LETTERS:
        return _LETTERS[name]
    if (canon := _CANON.match(name)) is not None:
        number = int(canon[1])
        return "soft" if number in _CANON_SOFT else "sharp" if number in _CANON_SHARP else None
    if (numbered := _NUMBERED.fullmatch(name)) is not None:
        number = int(numbered[1])
        return "soft" if number <= _SOFT_TO else "sharp" if number >= _SHARP_FROM else None
    return _by_words(name)


def _by_words(name: str) -> Sharpness | None:
    soft, sharp, usual = (
        any(word in name for word in words) for words in (_SOFT_WORDS, _SHARP_WORDS, _USUAL_WORDS)
    )
    if soft and sharp:
        return None
    return "sharp" if sharp else "soft" if soft or usual else None
