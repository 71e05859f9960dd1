"""One DICOM file's header as a frozen `ImageHeader` per frame, everything checked that a reader relies on."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from paraspinal.dicomio import values
from paraspinal.dicomio.acquisition import frame_acquisition, read_acquisition
from paraspinal.dicomio.bounded import MAX_GROUPS_BYTES, BoundedStream
from paraspinal.dicomio.bounded import HeaderError as HeaderError
from paraspinal.dicomio.values import Attributes
from paraspinal.volume import Acquisition

BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
CT_CLASSES = frozenset({CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT})
DICOMDIR = "1.2.840.10008.1.3.10"
UNDEFINED_LENGTH = 0xFFFFFFFF

# In the order in which they are asked for the day of a series.
_DAYS = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
_META_START = 132
_META_GROUP = 0x0002
_TRANSFER_SYNTAX = b"\x10\0"
_LONG_FORM = (b"OB", b"OW", b"UN", b"SQ", b"UT")  # lengths of 4 bytes (PS3.5 7.1.2)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the stored values of one file are coded, and where they lie in it.

    ``offset`` is the first byte of the Pixel Data value in the inflated file; ``length`` its declared length, None
    for encapsulated (compressed) frames. ``inflated`` tells that the file on disk is deflated, so that nothing of it
    may be read in place.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    transfer_syntax: str
    offset: int
    length: int | None
    inflated: bool = False

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * ((self.bits_allocated + 7) // 8)


@dataclass(frozen=True, slots=True)
class Rescale:
    """Stored value to Hounsfield unit: ``slope × stored + intercept``; None where the header says nothing."""

    slope: float | None = None
    intercept: float | None = None
    kind: str | None = None
    has_table: bool = False

    @property
    def known(self) -> bool:
        """Whether both numbers are given and the slope is usable."""
        return self.slope not in (None, 0.0) and self.intercept is not None


@dataclass(frozen=True, slots=True)
class Plane:
    """Where one slice lies: direction cosines (row, column), position of the first voxel, pixel spacing."""

    orientation: tuple[float, ...] | None = None
    position: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a reader needs to know of one image (a file, or one frame of a multi-frame file).

    ``study_key`` is a digest of study and patient together, empty where neither is stated: it tells whether two
    images are of one study, and names nobody. ``acquisition_number``, ``temporal_position``, ``acquired_at`` and
    ``content_at`` only serve to tell images apart that lie at one position. ``day`` (YYYYMMDD) is that of the
    acquisition or, where none is stated, of the content, the series or the study.
    """

    sop_class: str
    sop_instance_uid: str
    series_uid: str
    series_number: int | None
    frame_of_reference: str
    modality: str
    image_type: tuple[str, ...]
    body_part: str | None
    instance_number: int | None
    pixels: PixelFormat | None
    study_key: str = ""
    acquisition_number: int | None = None
    temporal_position: int | None = None
    acquired_at: str | None = None
    content_at: str | None = None
    day: str | None = None
    plane: Plane = field(default_factory=Plane)
    rescale: Rescale = field(default_factory=Rescale)
    padding: tuple[int, ...] = ()
    frame: int | None = None
    lossy: bool = False
    acquisition: Acquisition = field(default_factory=Acquisition)


def plain_bytes(blob: bytes, *, limit: int) -> bytes:
    """Return the file with a deflated data set inflated, so that one reader serves both forms.

    pydicom inflates without a limit, so a file of a megabyte could ask for a gigabyte of memory.

    Raises
    ------
    HeaderError
        If the data set is damaged or inflates beyond `limit` bytes.
    """
    place = _deflated_syntax(blob)
    if place is None:
        return blob
    syntax_at, meta_end = place
    try:
        stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        body = stream.decompress(blob[meta_end:], limit)
    except zlib.error as error:
        raise HeaderError("its deflated data set is damaged") from error
    if stream.unconsumed_tail:
        raise HeaderError(f"its data set inflates beyond {limit >> 20} MiB")
    if not stream.eof:
        raise HeaderError("its deflated data set is cut off")
    plain = ExplicitVRLittleEndian.encode().ljust(len(DEFLATED), b"\0")
    return blob[:syntax_at] + plain + blob[syntax_at + len(DEFLATED) : meta_end] + body


def _deflated_syntax(blob: bytes) -> tuple[int, int] | None:
    """Return where the value of Transfer Syntax UID begins and the file meta ends; None unless that is deflated.

    The UID also occurs as an ordinary value elsewhere, in Available Transfer Syntax UID for example.
    """
    at, syntax_at = _META_START, None
    while len(blob) >= at + 8 and struct.unpack_from("<H", blob, at)[0] == _META_GROUP:
        start, length = at + 8, struct.unpack_from("<H", blob, at + 6)[0]
        if blob[at + 4 : at + 6] in _LONG_FORM:
            if len(blob) < at + 12:
                return None
            start, length = at + 12, struct.unpack_from("<I", blob, at + 8)[0]
        if (
            blob[at + 2 : at + 4] == _TRANSFER_SYNTAX
            and blob[start : start + length].rstrip(b"\0 ") == DEFLATED.encode()
        ):
            syntax_at = start
        at = start + length
    return None if syntax_at is None else (syntax_at, at)


def read_headers(source: bytes | BinaryIO) -> tuple[ImageHeader, ...]:
    """Read the header of one DICOM file, one entry per frame with a place; the pixels are not touched.

    A DICOMDIR has none: it lists files, and the files themselves are read.

    Parameters
    ----------
    source : bytes or binary stream
        The file, already through `plain_bytes`: a stream must not be deflated.

    Raises
    ------
    HeaderError
        If the bytes are no DICOM object, or its header is beyond the limits. pydicom itself may raise anything else
        on malformed input.
    """
    stream = BoundedStream(io.BytesIO(source) if isinstance(source, bytes) else source)
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR:
        return ()
    if not any(k in dataset for k in ("SOPClassUID", "Modality", "Rows", "SeriesInstanceUID")):
        raise HeaderError("it holds no DICOM attributes of an object")
    syntax = values.text(dataset.file_meta, "TransferSyntaxUID") or ImplicitVRLittleEndian
    at = stream.tell()
    header = header_of(dataset, str(syntax), pixel_element(stream.read(12), at, syntax))
    frames = _functional_groups(dataset, header)
    return frames or (header,)


def header_of(
    dataset: Attributes,
    syntax: str,
    place: tuple[int, int | None] | None,
    *,
    acquisition: Acquisition | None = None,
) -> ImageHeader:
    """Build the header of a file from its attributes, its transfer syntax and the place of its pixel data.

    Raises
    ------
    HeaderError
        If it does not say how its pixels are to be read.
    """
    return ImageHeader(
        sop_class=values.text(dataset, "SOPClassUID") or "",
        sop_instance_uid=values.text(dataset, "SOPInstanceUID") or "",
        series_uid=values.text(dataset, "SeriesInstanceUID") or "",
        series_number=values.whole(dataset, "SeriesNumber"),
        frame_of_reference=values.text(dataset, "FrameOfReferenceUID") or "",
        modality=values.text(dataset, "Modality", limit=16) or "",
        image_type=values.texts(dataset, "ImageType"),
        body_part=values.text(dataset, "BodyPartExamined"),
        instance_number=values.whole(dataset, "InstanceNumber"),
        pixels=_pixel_format(dataset, syntax, place),
        study_key=_study_key(dataset),
        acquisition_number=values.whole(dataset, "AcquisitionNumber"),
        temporal_position=values.whole(dataset, "TemporalPositionIdentifier"),
        acquired_at=_moment(dataset, "Acquisition"),
        content_at=_moment(dataset, "Content"),
        day=next((day for keyword in _DAYS if (day := values.day(dataset, keyword)) is not None), None),
        plane=_plane(dataset, dataset, dataset),
        rescale=_rescale(dataset),
        padding=tuple(
            int(v)
            for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")
            if (v := values.whole(dataset, k, low=-(2**31))) is not None
        ),
        lossy=values.text(dataset, "LossyImageCompression") == "01",
        acquisition=acquisition or read_acquisition(dataset),
    )


def short_digest(uid: str, length: int = 8) -> str:
    """Return the first hex digits of a UID's SHA-256: the form in which a UID may be shown."""
    return hashlib.sha256(uid.encode()).hexdigest()[:length]


def _study_key(dataset: Attributes) -> str:
    study, patient = values.text(dataset, "StudyInstanceUID"), values.text(dataset, "PatientID")
    return short_digest(f"{study or ''}\n{patient or ''}", 12) if study or patient else ""


def _plane(orientation: Attributes, position: Attributes, measures: Attributes) -> Plane:
    return Plane(
        orientation=values.vector(orientation, "ImageOrientationPatient", 6),
        position=values.vector(position, "ImagePositionPatient", 3),
        spacing=values.vector(measures, "PixelSpacing", 2),
    )


def _rescale(dataset: Attributes) -> Rescale:
    return Rescale(
        slope=values.number(dataset, "RescaleSlope"),
        intercept=values.number(dataset, "RescaleIntercept"),
        kind=values.text(dataset, "RescaleType", limit=16),
        has_table="ModalityLUTSequence" in dataset,
    )


def _pixel_format(
    dataset: Attributes, syntax: str, place: tuple[int, int | None] | None
) -> PixelFormat | None:
    """Return the pixel format, or None for an object without (usable) pixel data."""
    rows = values.whole(dataset, "Rows", low=1, high=2**16)
    columns = values.whole(dataset, "Columns", low=1, high=2**16)
    if place is None or rows is None or columns is None:
        return None
    allocated = values.whole(dataset, "BitsAllocated", high=255) or 0
    stored = values.whole(dataset, "BitsStored", high=255) or 0
    return PixelFormat(
        rows=rows,
        columns=columns,
        frames=values.whole(dataset, "NumberOfFrames", low=1) or 1,
        samples=values.whole(dataset, "SamplesPerPixel", low=1, high=255) or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_high_bit(dataset, stored),
        signed=_signed(dataset),
        photometric=values.text(dataset, "PhotometricInterpretation", limit=16) or "",
        transfer_syntax=syntax,
        offset=place[0],
        length=place[1],
    )


def _moment(dataset: Attributes, what: str) -> str | None:
    """Return date and time of one kind as text that only serves to tell images apart."""
    parts = [values.text(dataset, f"{what}{unit}", limit=32) for unit in ("DateTime", "Date", "Time")]
    return " ".join(part for part in parts if part) or None


def _signed(dataset: Attributes) -> bool:
    """Return Pixel Representation; taken the wrong way, it turns air into metal, so there is no default."""
    found = values.whole(dataset, "PixelRepresentation", high=1)
    if found is None:
        raise HeaderError("it does not say whether its pixels are signed")
    return found == 1


def _high_bit(dataset: Attributes, stored: int) -> int:
    found = values.whole(dataset, "HighBit", high=255)
    return stored - 1 if found is None else found


def pixel_element(head: bytes, at: int, syntax: str) -> tuple[int, int | None] | None:
    """Return (offset, length) of the Pixel Data value whose element begins at `at` with the bytes `head`.

    None if there is none. Twelve bytes are enough.
    """
    order = ">" if syntax == BIG_ENDIAN else "<"
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return None
    if head[4:6] in (b"OB", b"OW", b"UN"):
        if len(head) < 12:
            return None
        start, length = at + 12, struct.unpack(order + "I", head[8:12])[0]
    else:
        start, length = at + 8, struct.unpack(order + "I", head[4:8])[0]
    return start, None if length == UNDEFINED_LENGTH else int(length)


def _functional_groups(dataset: Dataset, header: ImageHeader) -> tuple[ImageHeader, ...]:
    """Return one header per frame of an enhanced multi-frame object; empty for any other."""
    if header.pixels is None or "PerFrameFunctionalGroupsSequence" not in dataset:
        return ()
    if header.pixels.offset > MAX_GROUPS_BYTES:
        # pydicom needs 50 bytes of memory for one of a sequence of tiny elements.
        raise HeaderError(f"the headers of its frames take more than {MAX_GROUPS_BYTES >> 20} MiB")
    per_frame = values.items(dataset, "PerFrameFunctionalGroupsSequence")
    if not per_frame or header.pixels.frames != len(per_frame):
        return ()
    shared = (values.items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]

    def group(frame: Dataset, name: str) -> Dataset:
        return (values.items(frame, name) or values.items(shared, name) or [Dataset()])[0]

    return tuple(
        replace(
            header,
            frame=index,
            image_type=values.texts(group(frame, "CTImageFrameTypeSequence"), "FrameType")
            or header.image_type,
            plane=_plane(
                group(frame, "PlaneOrientationSequence"),
                group(frame, "PlanePositionSequence"),
                group(frame, "PixelMeasuresSequence"),
            ),
            rescale=_rescale(group(frame, "PixelValueTransformationSequence")),
            acquisition=frame_acquisition(header.acquisition, partial(group, frame)),
        )
        for index, frame in enumerate(per_frame)
    )
