"""Images of one stack that lie at one position, and whether they are the same image sent twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.frames import FrameError, decode_frame, split_frames
from paraspinal.dicomio.headers import HeaderError, PixelFormat, plain_bytes
from paraspinal.loading.scan import Entry
from paraspinal.loading.sources import SourceFile


@dataclass(frozen=True, slots=True)
class Place:
    """Images at one position, lowest instance number first."""

    along_mm: float
    entries: tuple[Entry, ...]

    @property
    def doubled(self) -> bool:
        """Tell whether more than one image lies here."""
        return len(self.entries) > 1


def positions_along(entries: Sequence[Entry]) -> npt.NDArray[np.float64]:
    """Return the position of every image along the normal of the first, in mm."""
    plane = entries[0].header.plane
    if plane.orientation is None:
        return np.zeros(len(entries))
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return np.asarray([e.header.plane.position for e in entries], dtype=np.float64) @ normal


def instance_order(entry: Entry) -> tuple[int, str]:
    """Order images by instance number; those without one come last."""
    number = entry.header.instance_number
    return (2**31 if number is None else number, entry.header.sop_instance_uid)


def places_of(entries: Sequence[Entry], config: LoadingConfig) -> list[Place]:
    """Return the positions that `entries` take, lowest first, each with its images."""
    along = positions_along(entries)
    groups: list[list[int]] = []
    for index in np.argsort(along, kind="stable"):
        if groups and along[index] - along[groups[-1][0]] < config.position_tolerance_mm:
            groups[-1].append(int(index))
        else:
            groups.append([int(index)])
    return [
        Place(float(along[g[0]]), tuple(sorted((entries[i] for i in g), key=instance_order))) for g in groups
    ]


def pixel_groups(places: Sequence[Place], config: LoadingConfig) -> tuple[dict[int, list[list[Entry]]], bool]:
    """Return, for each doubled place (by index), its images grouped by equal pixels and conversion.

    The second value tells whether any place holds images that differ. An image that cannot be decoded is a group of
    its own: what is wrong with it is said when it is loaded. Each file is read once.
    """
    doubled = [index for index, place in enumerate(places) if place.doubled]
    digests = pixel_digests([entry for index in doubled for entry in places[index].entries], config)
    found: dict[int, list[list[Entry]]] = {}
    for index in doubled:
        groups: dict[str, list[Entry]] = defaultdict(list)
        for rank, entry in enumerate(places[index].entries):
            groups[digests.get(id(entry)) or f"undecoded {rank}"].append(entry)
        found[index] = list(groups.values())
    return found, any(len(groups) > 1 for groups in found.values())


def pixel_digests(entries: Sequence[Entry], config: LoadingConfig) -> dict[int, str]:
    """Return a digest of stored values and conversion by `id` of the entry, of those that can be decoded."""
    by_file: dict[int, tuple[SourceFile, list[tuple[Entry, PixelFormat]]]] = {}
    for entry in entries:
        if (form := entry.header.pixels) is not None:
            by_file.setdefault(id(entry.file), (entry.file, []))[1].append((entry, form))
    found: dict[int, str] = {}
    for file, wanted in by_file.values():
        try:
            blob = plain_bytes(file.read(), limit=int(config.max_file_mib) << 20)
            frames = split_frames(blob, wanted[0][1])
        except (FrameError, HeaderError, OSError):
            continue
        for entry, form in wanted:
            try:
                stored, _ = decode_frame(frames[entry.header.frame or 0], form)
            except (FrameError, IndexError):
                continue
            digest = hashlib.sha256(repr(entry.header.rescale).encode())
            digest.update(np.ascontiguousarray(stored).tobytes())
            found[id(entry)] = digest.hexdigest()
    return found
