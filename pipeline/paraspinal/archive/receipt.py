"""The receipt of a case, written last into its folder: from what the result was made, and what belongs to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paraspinal.archive.layout import replace_text

RECEIPT = "receipt.json"
_RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a folder of a case holds.

    ``recipe`` and ``stamp`` are those of the job; ``files`` names every file with its size, ``digest`` is the SHA-256
    of ``result.json``; ``facts`` is what the ledger keeps.
    """

    case: str
    recipe: str
    stamp: str
    digest: str
    files: dict[str, int]
    facts: dict[str, Any]

    def is_of(self, recipe: str, stamp: str) -> bool:
        """Tell whether the folder holds the result of a recipe and of an input."""
        return (self.recipe, self.stamp) == (recipe, stamp)


def write_receipt(folder: Path, *, case: str, recipe: str, stamp: str, facts: dict[str, Any]) -> Receipt:
    """Write the receipt of what lies in a folder, in one step, and return it."""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.name != RECEIPT
    }
    receipt = Receipt(case, recipe, stamp, _digest(folder / _RESULT), files, facts)
    replace_text(folder / RECEIPT, json.dumps(asdict(receipt), indent=1) + "\n")
    return receipt


def whole_receipt(folder: Path) -> Receipt | None:
    """Return the receipt of a folder whose files are all as they were written; None otherwise."""
    try:
        receipt = Receipt(**json.loads((folder / RECEIPT).read_text(encoding="utf-8")))
        sizes = {name: (folder / name).stat().st_size for name in receipt.files}
        intact = sizes == receipt.files and _digest(folder / _RESULT) == receipt.digest
    except (OSError, ValueError, TypeError):
        return None
    return receipt if intact else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
