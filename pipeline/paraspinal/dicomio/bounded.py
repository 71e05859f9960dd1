"""Limits of what a header may ask of its parser, held by the stream that the parser reads from."""

from __future__ import annotations

from typing import BinaryIO

# Every element takes two or three reads; an enhanced CT of 1,000 frames stays below half of it, and a file that is
# nothing but tiny elements ends here after 3 seconds and 150 MB.
MAX_READS = 500_000
MAX_HEADER_BYTES = 256 << 20
# Headers of frames are parsed a second time, item by item: several KiB a frame for 2,000 frames.
MAX_GROUPS_BYTES = 16 << 20


class HeaderError(ValueError):
    """A file that is no readable DICOM object; the message says why, in words for people."""


class BoundedStream:
    """A binary stream that gives a parser so many `reads` and bytes and no more.

    Raises
    ------
    HeaderError
        From `read`, beyond the limits.
    """

    def __init__(self, stream: BinaryIO, *, reads: int = MAX_READS) -> None:
        self._stream = stream
        self._limit = reads
        self._reads = 0
        self._bytes = 0
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes.

        A parser asks for all the rest only to inflate it without limit (see `plain_bytes`), so that is refused.
        """
        if size < 0:
            raise HeaderError("its deflated data set is not marked as the standard has it")
        self._reads += 1
        if self._reads > self._limit:
            raise HeaderError(f"its header takes more than {self._limit} reads")
        # A length that lies beyond the end of the file costs nothing.
        blob = self._stream.read(min(size, MAX_HEADER_BYTES + 1 - self._bytes))
        self._bytes += len(blob)
        if self._bytes > MAX_HEADER_BYTES:
            raise HeaderError(f"its header is longer than {MAX_HEADER_BYTES >> 20} MiB")
        return blob
