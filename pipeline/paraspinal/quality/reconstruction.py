"""How the images were reconstructed, as far as the headers tell."""

from __future__ import annotations

import re

from paraspinal.volume import Acquisition

# Names under which makers sell deep-learning and iterative reconstruction, as they stand in kernel names and series
# descriptions. A maker's private tags are not read, so that a missing name proves nothing.
_DEEP = r"truefidelity|\bdlir\b|\bdlr\b|\baice\b|\bpiqe\b|precise ?image|deep ?learning"
_ITERATIVE = (
    r"\basir|\bveo\b|\bmbir\b|\bidose|\bimr\b|\bsafire\b|\badmire\b|\bqir\b|\baidr|\biris\b|iterative|"
    r"\bfirst (body|cardiac|lung|bone|brain)"
)
_BACK_PROJECTION = r"\bfbp\b|\bwfbp\b|filtered back"
# Siemens: I30f is SAFIRE or IRIS; Br40d\3 is ADMIRE or QIR of strength 3; B30f and Br40d alone are back-projection.
_SIEMENS_ITERATIVE = r"^i\d\d[a-z]?(\\\d)?$|^[a-z]{1,2}\d\d[a-z]?\\[1-5]$"
_SIEMENS_BACK_PROJECTION = r"^b\d\d[a-z]?$|^(br|bv|bl|bf|hr|hv|qr|sa)\d\d[a-z]?(\\0)?$"


def reconstruction_method(acquisition: Acquisition) -> tuple[str | None, str]:
    """Return ``FBP``, ``iterative`` or ``deep`` (None where the headers do not tell), and what says so."""
    kernel = (acquisition.kernel or "").strip()
    words = f"{kernel} {acquisition.series_description or ''}".lower().replace("_", " ")
    for method, pattern in (("deep", _DEEP), ("iterative", _ITERATIVE), ("FBP", _BACK_PROJECTION)):
        named = re.search(pattern, words)
        if named:
            return method, f"The header names {named[0].strip()}."
    if "siemens" in (acquisition.manufacturer or "").lower():
        for method, pattern in (("iterative", _SIEMENS_ITERATIVE), ("FBP", _SIEMENS_BACK_PROJECTION)):
            if re.search(pattern, kernel.lower()):
                return method, f"The kernel's name {kernel} says so."
    if acquisition.reconstruction:
        return acquisition.reconstruction, "The header's Reconstruction Algorithm says so."
    return None, "The headers do not tell."
