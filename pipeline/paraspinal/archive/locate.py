"""From the keyed digest of a case back to its series: the way is in the catalogue, which stays with its owner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paraspinal.archive.batch_folder import batch_folder
from paraspinal.archive.keys import Key
from paraspinal.archive.ledger import open_ledger
from paraspinal.archive.location import Location
from paraspinal.archive.store import Store, open_store
from paraspinal.errors import UsageError

# What stands for a series without a UID is a path, or begins with a word.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with some files of a series, or a zip or volume file that holds it."""

    path: str
    files: int


@dataclass(frozen=True, slots=True)
class Located:
    """Where the series of a case lies.

    ``series`` is what ``--series`` takes, where its files or its zip hold several series; ``uid`` is the Series
    Instance UID, where it was asked for and there is one.
    """

    case: str
    places: tuple[Place, ...]
    series: str | None = None
    uid: str | None = None


def locate(
    out: str | Path,
    cases: Iterable[str],
    *,
    catalogue: Path | None = None,
    key: Key | None = None,
    identifiers: bool = False,
) -> list[Located]:
    """Return where the series of some cases lie.

    Parameters
    ----------
    out : str or Path
        The output folder of the batch.
    cases : iterable of str
        Keyed digests, as ledger, tables and page have them.
    catalogue : Path, optional
        The catalogue that the batch was given; that in ``OUT/private`` without it.
    key : Key, optional
        Makes sure that the catalogue was made with it.
    identifiers : bool
        Return Series Instance UIDs, too.

    Raises
    ------
    UsageError
        ``no_ledger``, ``no_catalogue``, ``catalogue_other_key``; ``case_unknown`` if the batch has no such case,
        ``case_not_in_catalogue`` if the catalogue does not hold it.
    """
    layout = batch_folder(out)
    wanted = [case.strip().lower() for case in cases]
    with open_ledger(layout.ledger) as ledger:
        for case in wanted:
            if ledger.get(case) is None:
                raise UsageError(
                    f"The batch in {layout.root} has no case {case}.",
                    code="case_unknown",
                    remedy="Copy all 16 digits from the page or from the table of cases.",
                )
    path = catalogue or layout.catalogue
    if not path.is_file():
        raise UsageError(
            f"There is no catalogue {path}.",
            code="no_catalogue",
            remedy="Name the catalogue that the batch was given (--catalogue): it alone knows where series lie.",
        )
    with open_store(path, fingerprint="" if key is None else key.fingerprint) as store:
        return [_located(store, case, identifiers=identifiers) for case in wanted]


def _located(store: Store, case: str, *, identifiers: bool) -> Located:
    found = store.find(case)
    if found is None:
        raise UsageError(
            f"The catalogue does not hold case {case}.",
            code="case_not_in_catalogue",
            remedy="Name the catalogue that the batch worked from (--catalogue); one made with another key has other"
            " names, and a series that has left the archive has left its catalogue, too.",
        )
    name, location = found
    uid = name if identifiers and _UID.fullmatch(name) else None
    return Located(case, _places(location), location.get("series"), uid)


def _places(location: Location) -> tuple[Place, ...]:
    if "path" in location:
        return (Place(location["path"], 1),)
    return tuple(Place(folder, len(names)) for folder, names in location["folders"])
