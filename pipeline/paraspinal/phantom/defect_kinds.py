"""The names of all defects and what may follow them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Value = float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number behind the name, in a range; ``default`` None means that it must be given."""

    name: str
    low: float
    high: float
    default: float | None = None
    whole: bool = False

    def read(self, text: str) -> Value:
        """Return the value, or raise ValueError with what is allowed."""
        kind = "a whole number" if self.whole else "a number"
        value = float(text)
        if not math.isfinite(value) or not self.low <= value <= self.high or (self.whole and value % 1):
            raise ValueError(f"{self.name} is {kind} from {self.low:g} to {self.high:g}")
        return value


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few words behind the name."""

    name: str
    choices: tuple[str, ...]
    default: str | None = None

    def read(self, text: str) -> Value:
        """Return the word, or raise ValueError with what is allowed."""
        for choice in self.choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"{self.name} is one of {', '.join(self.choices)}")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Two or more lengths in mm behind the name, such as ``2.5/5/2.5`` (or with commas)."""

    name: str
    low: float
    high: float
    default: tuple[float, ...] | None = None

    def read(self, text: str) -> Value:
        """Return the lengths, or raise ValueError with what is allowed."""
        values = tuple(float(part) for part in text.replace(",", "/").split("/"))
        if not 2 <= len(values) <= 6 or not all(self.low <= v <= self.high for v in values):
            raise ValueError(f"{self.name} are two to six lengths from {self.low:g} to {self.high:g} mm")
        return values


Parameter = Number | Word | Lengths


@dataclass(frozen=True, slots=True)
class Kind:
    """What a defect is: a sentence, its parameters, and groups of which a series can have one member only."""

    summary: str
    parameters: tuple[Parameter, ...] = ()
    groups: frozenset[str] = frozenset()
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect with its values, in the order of `KINDS`; made by `parse_defect`."""

    name: str
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        return ":".join([self.name, *(_shown(v) for v in self.values)])

    def number(self, index: int = 0) -> float:
        """Return a value that is a number."""
        value = self.values[index]
        if not isinstance(value, float):
            raise TypeError(f"value {index} of {self.name} is no number")
        return value

    def count(self, index: int = 0) -> int:
        """Return a value that is a whole number."""
        return int(self.number(index))

    def word(self, index: int = 0) -> str:
        """Return a value that is a word."""
        return str(self.values[index])


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{v:g}" for v in value)
    return value if isinstance(value, str) else f"{value:g}"


def _one(*groups: str) -> frozenset[str]:
    return frozenset(groups)


_LOSSLESS = ("implicit", "big-endian", "deflated", "rle", "jpeg-lossless", "jpeg-ls", "jpeg2000", "htj2k")
MIDDLE = -1.0  # stands for "in the middle"
_AT = Number("AT", MIDDLE, 5000, default=MIDDLE, whole=True)

KINDS: Mapping[str, Kind] = {
    # how the slices lie
    "coronal": Kind("coronal slices", groups=_one("orientation")),
    "sagittal": Kind("sagittal slices", groups=_one("orientation")),
    "spacing": Kind(
        "parts of different spacing, each slice as thick as its distance",
        (Lengths("A/B/…", 0.2, 20.0, default=(2.5, 5.0, 2.5)),),
        _one("distance"),
    ),
    "overlap": Kind("slices at half their distance, as thick as before", groups=_one("distance")),
    "jitter": Kind("slices off their even places by up to MM", (Number("MM", 0.001, 20.0, default=0.3),)),
    "few": Kind("only N slices", (Number("N", 1, 1000, default=2, whole=True),)),
    "missing": Kind(
        "N slices in a row are missing, in the middle or from slice AT (0 is the most caudal)",
        (Number("N", 1, 1000, default=1, whole=True), _AT),
        repeatable=True,
    ),
    "oblique": Kind(
        "the whole stack turned by DEG about an oblique axis",
        (Number("DEG", -60, 60, default=10.0),),
        _one("orientation"),
    ),
    "tilt": Kind(
        "gantry tilt: slices lean by DEG (either sign), the table moves along z",
        (Number("DEG", -45, 45),),
        _one("orientation"),
    ),
    "non-square": Kind("columns 1.5 times as far apart as rows", groups=_one("pixels")),
    "cut-field-of-view": Kind("a field too small for the body"),
    "flipped-rows": Kind("rows from back to front, and said so"),
    "flipped-columns": Kind("columns from left to right, and said so"),
    # which images there are
    "one-position": Kind("all images at one position, at different times", groups=_one("time")),
    "duplicate": Kind("N images twice", (Number("N", 1, 1000, default=1, whole=True),)),
    "duplicate-other": Kind("another image at a position that is taken"),
    "two-phases": Kind("every position twice: before and after contrast", groups=_one("time")),
    "four-d": Kind("every position N times", (Number("N", 2, 20, default=3, whole=True),), _one("time")),
    "mixed-orientation": Kind("coronal reformats among the slices", groups=_one("reformats")),
    "two-scans": Kind("a second series of the same region in the folder"),
    "localizer": Kind("a localizer in the folder, as a series of its own"),
    "shuffled": Kind("file names and instance numbers in no order", groups=_one("order")),
    "reversed": Kind("instance numbers from feet to head", groups=_one("order")),
    "empty-position": Kind("N images without a position", (Number("N", 1, 1000, default=1, whole=True),)),
    # what the values are
    "padding": Kind(
        "-3024 outside a round field, with or without the tag that says so",
        (Word("HOW", ("tag", "no-tag"), default="tag"),),
    ),
    "clipped": Kind("HU limited to -1024…1023"),
    "iodine-map": Kind("iodine in mg/mL in place of HU", groups=_one("content", "stored")),
    "perfusion-map": Kind("a perfusion map in place of HU", groups=_one("content", "stored")),
    "mip": Kind("sliding maximum intensity projections", groups=_one("content")),
    "virtual-energy": Kind(
        "said to be virtual monoenergetic images of KEV",
        (Number("KEV", 40, 200, default=70.0),),
        _one("content"),
    ),
    "cone-beam": Kind("from a cone-beam scanner, whose values are no HU", groups=_one("content")),
    "modality": Kind(
        "said to be of another modality",
        (Word("NAME", ("MR", "PT", "CR", "SC"), default="MR"),),
        _one("content", "form"),
    ),
    "no-kvp": Kind("no tube voltage"),
    # how the values are stored
    "no-rescale": Kind("no Rescale Slope and Intercept; the values are HU", groups=_one("stored")),
    "odd-rescale": Kind("slope 0.5, intercept -8192", groups=_one("stored")),
    "negative-slope": Kind("slope -1: dense reads low as stored", groups=_one("stored")),
    "modality-lut": Kind("a Modality LUT in place of slope and intercept", groups=_one("stored")),
    "unsigned": Kind("unsigned values, intercept -1024", groups=_one("stored")),
    "bits": Kind(
        "12 of 16 bits, or 8 bits (slope 16)",
        (Word("N", ("12", "8"), default="12"),),
        _one("stored"),
    ),
    "monochrome1": Kind("MONOCHROME1: low values are shown bright"),
    # how the pixels are coded
    "syntax": Kind("another transfer syntax", (Word("NAME", _LOSSLESS),), _one("coding")),
    "unknown-syntax": Kind("a transfer syntax that nobody knows", groups=_one("coding")),
    "lossy": Kind(
        "lossy compression (jpeg: 8 bits, slope 16)",
        (Word("HOW", ("jpeg-ls", "jpeg"), default="jpeg-ls"),),
        _one("coding", "stored"),
    ),
    # what the files are
    "enhanced": Kind("one Enhanced CT multi-frame file", groups=_one("form", "time", "reformats")),
    "legacy-enhanced": Kind(
        "one Legacy Converted Enhanced CT file", groups=_one("form", "time", "reformats")
    ),
    "empty-uids": Kind("study, series, frame-of-reference and instance UIDs are empty"),
    "truncated-pixels": Kind(
        "N files cut off within their pixels", (Number("N", 1, 1000, default=1, whole=True),)
    ),
    "malformed": Kind("a malformed file among the others"),
}
