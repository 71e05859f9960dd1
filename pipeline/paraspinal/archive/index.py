"""Makes and renews the catalogue of an archive: unchanged folders are not read again, an interrupted run goes on.

A folder is looked at as a whole and remembered with its stamp. Series are made where their images are complete:
images of one UID that lie in several folders are one series.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paraspinal.archive.entries import (
    Makers,
    dicom_entries,
    name_of,
    place_entries,
    refused_entry,
)
from paraspinal.archive.keys import Key
from paraspinal.archive.location import at_path, joined_stamp
from paraspinal.archive.store import SeriesEntry, Store, open_store
from paraspinal.archive.tree import Folder, walk_folders
from paraspinal.config import LoadingConfig
from paraspinal.errors import UsageError
from paraspinal.loading.catalogue import Catalogue, Known, open_catalogue, typed_errors
from paraspinal.loading.opening import GRID_KINDS
from paraspinal.loading.scan import Entry, look_at_files
from paraspinal.loading.sources import DiskFile

_COMMIT_SECONDS = 2.0
_TELL_SECONDS = 2.0
_CLOSED = "closed"
_OWN_FILES = ("", "-wal", "-shm", ".key")
_ALONE = ("zip", *GRID_KINDS)
_SUFFIXES = (".dcm", ".ima", ".zip", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a run did: folders read, left as they were, and gone; series made; and what there is now."""

    read: int
    unchanged: int
    gone: int
    series_made: int
    counts: dict[str, int]
    seconds: float


def index_archive(
    root: Path,
    catalogue: Path,
    *,
    key: Key,
    config: LoadingConfig = LoadingConfig(),  # noqa: B008  (frozen)
    leave_out: Iterable[Path] = (),
    progress: Progress | None = None,
) -> Indexed:
    """Bring the catalogue of an archive up to date; it may be interrupted at any time.

    Parameters
    ----------
    root : Path
        The archive: a folder of any depth, with loose DICOM files, zips, and volume files.
    catalogue : Path
        A SQLite file; made where there is none. It holds paths and UIDs.
    key : Key
        By which series and studies are named.
    leave_out : iterable of Path
        Files and folders that are not part of the archive, such as that of the results.

    Raises
    ------
    UsageError
        If `root` is no folder, is empty now, or is another archive than the catalogue's; if that cannot be used.
    """
    if not root.is_dir():
        raise UsageError(
            f"{root} is no folder.",
            code="archive_not_a_folder",
            remedy="Name the folder that holds the archive.",
        )
    begin = time.monotonic()
    with (
        typed_errors(catalogue),
        open_store(catalogue, fingerprint=key.fingerprint) as store,
        open_catalogue(catalogue) as headers,
    ):
        store.claim(root.absolute())
        run = _Run(store, headers, Makers(key, config), store.next_run(), progress or _silent)
        apart = frozenset(p.resolve() for p in leave_out)
        own = frozenset(catalogue.resolve().with_name(catalogue.name + end) for end in _OWN_FILES)
        run.folders(walk_folders(root.absolute(), leave_out=apart | own))
        if not run.read + run.unchanged and store.counts()["places"]:
            raise UsageError(
                f"{root} is empty, and its catalogue is not.",
                code="archive_empty",
                remedy="Is the disk mounted? Delete the catalogue if the archive really is empty now.",
            )
        with store.transaction():
            gone = store.forget_unseen(run.number)
        run.series()
        return Indexed(run.read, run.unchanged, gone, run.made, store.counts(), time.monotonic() - begin)


def _states(folder: Folder) -> dict[Path, str]:
    return {folder.path / file.name: file.state for file in folder.files}


def _looks_like_an_image(file: DiskFile) -> bool:
    """Tell whether a file that is none of the known kinds was meant to be one: by its name, or since it is empty."""
    return file.size == 0 or file.name.lower().endswith(_SUFFIXES)


def _silent(_: str) -> None:
    """Tell nobody."""


class _Run:
    """One pass over an archive."""

    def __init__(self, store: Store, headers: Catalogue, make: Makers, number: int, tell: Progress) -> None:
        self.store, self.headers, self.make, self.number = store, headers, make, number
        self.read = self.unchanged = self.made = 0
        self._tell, self._told = tell, time.monotonic()

    def folders(self, found: Iterable[Folder]) -> None:
        """Look at folders that changed, and mark the others as seen."""
        known = self.store.stamps()
        inside: dict[str, list[str]] = {}  # places by the folder above them: zips and volume files among them
        for place in known:
            inside.setdefault(os.path.dirname(place), []).append(place)
        same: list[str] = []
        saved = time.monotonic()
        for folder in found:
            path = str(folder.path)
            if folder.stamp and known.get(path) == folder.stamp:
                same.append(path)
                names = {file.name for file in folder.files}
                same.extend(p for p in inside.get(path, ()) if os.path.basename(p) in names)
                self.unchanged += 1
            else:
                self._look_at(folder)
                self.read += 1
            if time.monotonic() - saved > _COMMIT_SECONDS:
                self._mark(same)
                saved = time.monotonic()
            self._progress(f"{self.read} folders read, {self.unchanged} unchanged")
        self._mark(same)

    def _mark(self, same: list[str]) -> None:
        with self.store.transaction():
            self.store.mark_seen(same, self.number)
        same.clear()

    def _look_at(self, folder: Folder) -> None:
        path = str(folder.path)
        if folder.problem:
            entry = refused_entry(path, at_path(folder.path, None), "unreadable_file", _CLOSED, self.make)
            with self.store.transaction():
                self.store.put_place(path, _CLOSED, "", self.number, files=0, size=0)
                self.store.replace_pieces(path, [path])
                self.store.replace_series(path, [entry])
            return
        files = [DiskFile(folder.path / file.name, file.size) for file in folder.files]
        found = look_at_files(files, config=self.make.config, catalogue=self.headers)
        images = [
            Entry(file, header)
            for file, known in zip(files, found, strict=True)
            if isinstance(known, Known)
            for header in known.headers
        ]
        with self.store.transaction():
            names = dict.fromkeys(map(name_of, images))
            self.store.put_place(
                path, "folder", folder.stamp, self.number, files=len(files), size=sum(f.size for f in files)
            )
            self.store.replace_pieces(path, names)
            self._put_complete(images, _states(folder))
            for stamp, file, known in zip(folder.files, files, found, strict=True):
                self._put_alone(file, known, stamp.state)

    def _put_complete(self, images: Sequence[Entry], states: Mapping[Path, str]) -> None:
        """Make the series whose images lie in this folder alone."""
        by_name: dict[str, list[Entry]] = {}
        for image in images:
            by_name.setdefault(name_of(image), []).append(image)
        for name, own in by_name.items():
            if len(self.store.places_of(name)) == 1:
                self._put(name, dicom_entries(name, own, states, self.make))

    def _put_alone(self, file: DiskFile, known: Known | str, state: str) -> None:
        """Account for a file that is a place of its own: a zip, a volume, or what was meant to be one."""
        path, kind = str(file.path), "unreadable"
        if not isinstance(known, str) and known.kind in _ALONE:
            kind = str(known.kind)
            entries = place_entries(file.path, joined_stamp([state]), self.make)
        elif isinstance(known, str) or (known.kind == "other" and _looks_like_an_image(file)):
            entries = [refused_entry(path, at_path(file.path, None), "unreadable_file", state, self.make)]
        else:
            return
        self.store.put_place(path, kind, state, self.number, files=0, size=0)
        self.store.replace_pieces(path, [path])
        self._put(path, entries)

    def _put(self, name: str, entries: Sequence[SeriesEntry]) -> None:
        self.store.replace_series(name, entries)
        self.made += len(entries)

    def series(self) -> None:
        """Make anew what lies in several folders, and drop what lies in none any more."""
        for name in self.store.stale():
            places = self.store.places_of(name)
            images, states = self._images_of(name, places)
            with self.store.transaction():
                self._put(name, dicom_entries(name, images, states, self.make) if images else ())
            self._progress(f"{self.made} series made")

    def _images_of(self, name: str, places: Sequence[str]) -> tuple[list[Entry], dict[Path, str]]:
        images: list[Entry] = []
        states: dict[Path, str] = {}
        for place in places:
            for folder in walk_folders(Path(place)):
                if str(folder.path) != place:
                    break
                files = [DiskFile(folder.path / file.name, file.size) for file in folder.files]
                found = look_at_files(files, config=self.make.config, catalogue=self.headers)
                states |= _states(folder)
                images += [
                    image
                    for file, one in zip(files, found, strict=True)
                    if isinstance(one, Known)
                    for header in one.headers
                    if name_of(image := Entry(file, header)) == name
                ]
                break
        return images, states

    def _progress(self, text: str) -> None:
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self._tell(text)
