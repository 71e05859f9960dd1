"""Makes and renews the catalogue of an archive: unchanged folders are not read again, an interrupted run goes on.

A folder is looked at as a whole and remembered with its stamp. Series are made where their images are complete:
images of one UID that lie in several folders are one series.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from paraspinal import __version__
from paraspinal.archive.entries import (
    INTERNAL,
    ONLY_PART,
    UNREADABLE,
    Made,
    Makers,
    dicom_entries,
    images_of,
    looks_like_an_image,
    name_of,
    place_entries,
    refused_entry,
)
from paraspinal.archive.keys import Key
from paraspinal.archive.location import at_path, joined_stamp
from paraspinal.archive.store import SeriesEntry, Store, open_store
from paraspinal.archive.tree import FileStamp, Folder, walk_folders
from paraspinal.config import LoadingConfig
from paraspinal.errors import UsageError
from paraspinal.loading.catalogue import Catalogue, Known, open_catalogue, typed_errors
from paraspinal.loading.opening import GRID_KINDS
from paraspinal.loading.scan import Entry, Unread, look_at_files
from paraspinal.loading.sources import DiskFile

_COMMIT_SECONDS = 2.0
_TELL_SECONDS = 2.0
_CLOSED = "closed"
_OWN_FILES = ("", "-wal", "-shm", ".key")
_ALONE = ("zip", *GRID_KINDS)
Progress = Callable[[str], None]
_T = TypeVar("_T")


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
        open_store(catalogue, fingerprint=key.fingerprint, renew=True) as store,
        open_catalogue(catalogue) as headers,
    ):
        store.claim(root.absolute())
        store.make_with(_recipe(config))
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
        store.finish()
        return Indexed(run.read, run.unchanged, gone, run.made, store.counts(), time.monotonic() - begin)


def _recipe(config: LoadingConfig) -> str:
    """Return what series are made with beside their headers: where it changes, they may come out otherwise."""
    return f"{__version__} {hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16]}"


def _states(folder: Folder) -> dict[Path, str]:
    return {folder.path / file.name: file.state for file in folder.files}


def _silent(_: str) -> None:
    """Tell nobody."""


def _isolated(step: Callable[[], _T], instead: Callable[[Exception], _T]) -> _T:
    """Return what a step gives or, where it fails for a reason that nobody foresaw, what is to stand for it."""
    try:
        return step()
    except (sqlite3.Error, UsageError):
        raise  # the catalogue itself fails
    except Exception as error:
        # One folder or series is isolated here, and put on record: the others are looked at all the same.
        return instead(error)


class _Run:
    """One pass over an archive."""

    def __init__(self, store: Store, headers: Catalogue, make: Makers, number: int, tell: Progress) -> None:
        self.store, self.headers, self.make, self.number = store, headers, make, number
        self.read = self.unchanged = self.made = 0
        self._known = store.stamps()
        self._tell, self._told = tell, time.monotonic()

    def folders(self, found: Iterable[Folder]) -> None:
        """Look at folders that changed, and mark the others as seen."""
        inside: dict[str, list[str]] = {}  # places by the folder above them: zips and volume files among them
        for place in self._known:
            inside.setdefault(os.path.dirname(place), []).append(place)
        same: list[str] = []
        saved = time.monotonic()
        for folder in found:
            path = str(folder.path)
            if folder.stamp and self._known.get(path) == folder.stamp:
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
        if folder.problem:
            self._refuse(folder, UNREADABLE)
        else:
            _isolated(lambda: self._account_for(folder), lambda error: self._refuse(folder, INTERNAL, error))

    def _refuse(self, folder: Folder, code: str, fault: Exception | None = None) -> None:
        """Put a folder on record as one that cannot be looked into; it is tried again by every run.

        What was known to lie in it and below is kept: it may be there still.
        """
        path = str(folder.path)
        entry = refused_entry(path, at_path(folder.path, None), code, _CLOSED, self.make, fault=fault)
        below = os.path.join(path, "")
        with self.store.transaction():
            self.store.put_place(path, _CLOSED, "", self.number, files=0, size=0)
            self.store.mark_seen([place for place in self._known if place.startswith(below)], self.number)
            self.store.add_piece(path, path)
            self._put(path, Made([entry]))

    def _account_for(self, folder: Folder) -> None:
        path = str(folder.path)
        files = [DiskFile(folder.path / file.name, file.size) for file in folder.files]
        found = look_at_files(files, config=self.make.config, catalogue=self.headers)
        images = images_of(files, found)
        whole = not any(isinstance(one, Unread) and one.passing for one in found)
        with self.store.transaction():
            self.store.replace_pieces(path, dict.fromkeys(map(name_of, images)))
            self._put_complete(images, _states(folder))
            for file, stamp, one in zip(files, folder.files, found, strict=True):
                whole &= self._put_alone(file, stamp, one)
            kept, size = folder.stamp if whole else "", sum(file.size for file in files)
            self.store.put_place(path, "folder", kept, self.number, files=len(files), size=size)

    def _put_complete(self, images: Sequence[Entry], states: Mapping[Path, str]) -> None:
        """Make the series whose images lie in this folder alone."""
        by_name: dict[str, list[Entry]] = {}
        for image in images:
            by_name.setdefault(name_of(image), []).append(image)
        for name, own in by_name.items():
            if len(self.store.places_of(name)) == 1:
                self._put(name, dicom_entries(name, own, states, self.make))

    def _put_alone(self, file: DiskFile, stamp: FileStamp, found: Known | Unread) -> bool:
        """Account for a file that is a place of its own: a zip, a volume, or what was meant to be one.

        Tell whether it need not be looked at again while it stays as it is.
        """
        path, state = str(file.path), stamp.state
        if isinstance(found, Known) and found.kind in _ALONE:
            if found.kind == "zip" and self._known.get(path) == state:
                self.store.mark_seen([path], self.number)
                return True
            kind, made = str(found.kind), place_entries(file.path, state, self.make)
        elif isinstance(found, Unread) or (found.kind == "other" and looks_like_an_image(file)):
            kind, made = "unreadable", Made([self._refused_file(file, state)])
        else:
            return True
        kept = stamp.settled and not made.again
        self.store.put_place(path, kind, state if kept else "", self.number, files=0, size=0)
        self.store.replace_pieces(path, [path])
        self._put(path, made._replace(again=False))
        return not made.again

    def _refused_file(self, file: DiskFile, state: str) -> SeriesEntry:
        location = at_path(file.path, None)
        return refused_entry(str(file.path), location, UNREADABLE, joined_stamp([state]), self.make)

    def _put(self, name: str, made: Made) -> None:
        self.store.replace_series(name, made.entries, stale=made.again)
        self.made += len(made.entries)

    def series(self) -> None:
        """Make anew what lies in several folders or could not be made, and drop what lies in none any more."""
        for name in self.store.stale():
            places = self.store.places_of(name)
            made = _isolated(
                partial(self._made_anew, name, places), partial(self._not_made, name, places, INTERNAL)
            )
            with self.store.transaction():
                self._put(name, made)
            self._progress(f"{self.made} series made")

    def _not_made(self, name: str, places: Sequence[str], code: str, fault: Exception | None = None) -> Made:
        where = at_path(Path(places[0]), None)
        entry = refused_entry(name, where, code, _CLOSED, self.make, part=ONLY_PART, fault=fault)
        return Made([entry], again=True)

    def _made_anew(self, name: str, places: Sequence[str]) -> Made:
        images: list[Entry] = []
        states: dict[Path, str] = {}
        whole = True
        for place in places:
            folder = next(walk_folders(Path(place)), None)
            if folder is None or str(folder.path) != place:
                continue
            if folder.problem:  # half of a series must not pass for all of it
                return self._not_made(name, places, UNREADABLE)
            files = [DiskFile(folder.path / file.name, file.size) for file in folder.files]
            found = look_at_files(files, config=self.make.config, catalogue=self.headers)
            whole &= not any(isinstance(one, Unread) and one.passing for one in found)
            states |= _states(folder)
            images += [image for image in images_of(files, found) if name_of(image) == name]
        made = dicom_entries(name, images, states, self.make) if images else Made(())
        return made._replace(again=made.again or not whole)

    def _progress(self, text: str) -> None:
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self._tell(text)
