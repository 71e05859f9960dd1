"""How values become stored numbers and files: rescale, bits, Modality LUT, transfer syntax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from paraspinal.dicomio.encode import LOSSY_METHODS, UNSIGNED_ONLY, SyntaxName
from paraspinal.dicomio.write import decimal
from paraspinal.errors import UsageError
from paraspinal.phantom.defect_kinds import Defect
from paraspinal.phantom.defect_values import PADDING_HU
from paraspinal.phantom.plane import Values

_LUT_ENTRIES = 4096
_LUT_FIRST_HU = -1024


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How values are stored: ``value = slope × stored + intercept``.

    ``conversion`` says how the header tells that: by slope and intercept, by a table, or not at all. ``exact`` False
    allows the values to be rounded to what the form can hold, which 8 bits cannot avoid.
    """

    slope: float = 1.0
    intercept: float = 0.0
    signed: bool = True
    bits_allocated: int = 16
    bits_stored: int = 16
    conversion: str = "stated"
    exact: bool = True
    syntax: SyntaxName = "explicit"
    unknown_syntax: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest number that can be stored."""
        low = -(1 << (self.bits_stored - 1)) if self.signed else 0
        return low, low + (1 << self.bits_stored) - 1

    def check(self, values: Values) -> None:
        """Refuse values that the form cannot hold.

        Raises
        ------
        UsageError
            With the range.
        """
        ends = self._numbers(np.array([values.min(), values.max()]))
        if self.exact and (ends.min() < self.limits[0] or ends.max() > self.limits[1]):
            raise UsageError(
                f"Values from {values.min():g} to {values.max():g} cannot be stored with slope {self.slope:g},"
                f" intercept {self.intercept:g} and {self.bits_stored} bits.",
                code="hu_not_storable",
                remedy="Leave out the defect that asks for it, or clip the values.",
            )

    def stored(self, values: Values) -> npt.NDArray[Any]:
        """Return stored numbers of values that have passed `check`."""
        kind = f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}"
        return np.clip(self._numbers(values), *self.limits).astype(kind)

    def _numbers(self, values: Values) -> npt.NDArray[np.float64]:
        return np.asarray(np.rint((values.astype(np.float64) - self.intercept) / self.slope))


_FORMS: Mapping[str, StoredForm] = {
    "no-rescale": StoredForm(conversion="absent"),
    "odd-rescale": StoredForm(slope=0.5, intercept=-8192.0, signed=False),
    "negative-slope": StoredForm(slope=-1.0),
    "modality-lut": StoredForm(intercept=-1024.0, signed=False, bits_stored=12, conversion="table"),
    "unsigned": StoredForm(intercept=-1024.0, signed=False),
    "iodine-map": StoredForm(slope=0.1, exact=False),
    "perfusion-map": StoredForm(exact=False),
}
_BITS: Mapping[str, StoredForm] = {
    "12": StoredForm(intercept=-1024.0, signed=False, bits_stored=12),
    "8": StoredForm(
        slope=16.0, intercept=-1024.0, signed=False, bits_allocated=8, bits_stored=8, exact=False
    ),
}


def stored_form(defects: tuple[Defect, ...], *, lowest: float) -> StoredForm:
    """Return the form that the defects ask for; `lowest` is the lowest value that is stored.

    Raises
    ------
    UsageError
        If the transfer syntax cannot hold the numbers of the form.
    """
    form, chosen = StoredForm(), ""
    syntax: SyntaxName = "explicit"
    for defect in defects:
        if defect.name in _FORMS:
            form, chosen = _FORMS[defect.name], str(defect)
        elif defect.name == "bits":
            form, chosen = _BITS[defect.word()], str(defect)
        elif defect.name == "lossy":
            syntax = "jpeg" if defect.word() == "jpeg" else "jpeg-ls-near"
        elif defect.name == "syntax":
            syntax = _syntax(defect.word())
    if syntax == "jpeg":
        form = _BITS["8"]
    elif syntax in UNSIGNED_ONLY and form.signed:
        if chosen:
            raise UsageError(
                f"The defects {chosen} and {syntax} contradict each other: that syntax codes unsigned values.",
                code="defects_contradict",
                remedy="Leave one of them out.",
            )
        form = StoredForm(
            intercept=-1024.0 if lowest >= -1024 else 1000 * np.floor(lowest / 1000), signed=False
        )
    unknown = any(defect.name == "unknown-syntax" for defect in defects)
    return replace(form, syntax=syntax, unknown_syntax=unknown)


def _syntax(word: str) -> SyntaxName:
    names: dict[str, SyntaxName] = {
        "implicit": "implicit",
        "big-endian": "big-endian",
        "deflated": "deflated",
        "rle": "rle",
        "jpeg-lossless": "jpeg-lossless",
        "jpeg-ls": "jpeg-ls",
        "jpeg2000": "jpeg2000",
        "htj2k": "htj2k",
    }
    return names[word]


def describe_form(ds: Dataset, form: StoredForm) -> None:
    """Write into a header how its values are stored."""
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = form.bits_allocated, form.bits_stored, form.bits_stored - 1
    ds.PixelRepresentation = int(form.signed)
    if form.conversion == "stated":
        ds.RescaleSlope, ds.RescaleIntercept = decimal(form.slope), decimal(form.intercept)
    else:
        for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
            if keyword in ds:
                delattr(ds, keyword)
    if form.conversion == "table":
        ds.ModalityLUTSequence = DicomSequence([_table(form)])
    if "PixelPaddingValue" in ds:
        padding = int(form.stored(np.full((1, 1), PADDING_HU, np.float32))[0, 0])
        ds.add_new("PixelPaddingValue", "SS" if form.signed else "US", padding)
    if form.syntax in LOSSY_METHODS:
        ds.LossyImageCompression = "01"
        ds.LossyImageCompressionMethod = LOSSY_METHODS[form.syntax]


def _table(form: StoredForm) -> Dataset:
    """Return a Modality LUT whose entries are HU + 1024: its output cannot be negative (PS3.3 C.11.1)."""
    first = round((_LUT_FIRST_HU - form.intercept) / form.slope)
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [_LUT_ENTRIES, first, 16])
    lut.ModalityLUTType = "US"
    lut.add_new("LUTData", "OW", np.arange(_LUT_ENTRIES, dtype="<u2").tobytes())
    return lut
