"""Loads inputs one by one under a limit of memory and time, and prints what came of each as JSON: run as a child.

Usage: python load_in_child.py PATH … – a line without an outcome is the input at which the process died.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
import time
from pathlib import Path

from paraspinal.errors import LoadError
from paraspinal.loading import load_series
from paraspinal.volume import CTVolume

MEMORY_BYTES = 1 << 30
SECONDS = 10


def limit_memory() -> None:
    """Allow `MEMORY_BYTES` more than the interpreter and the libraries have mapped already."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, mapped + MEMORY_BYTES))


def outcome(path: Path) -> dict[str, object]:
    """Return how the loader took one input; whatever is no LoadError is told by its type."""
    try:
        loaded = load_series(path)
    except LoadError as error:
        return {"code": error.code, "text": f"{error.message} {json.dumps(error.details, default=str)}"}
    except BaseException as error:
        return {"code": None, "text": f"{type(error).__name__}: {error}"}
    return {
        "code": "loaded",
        "text": " ".join(loaded.loading.left_out),
        "said": [c.model_dump_json() for c in loaded.loading.codes] + list(loaded.loading.left_out),
        "volume": volume_digest(loaded.volume),
    }


def volume_digest(volume: CTVolume) -> str:
    """Return a digest of voxels and place."""
    place = volume.geometry.matrix.round(4) + 0.0
    return hashlib.sha256(place.tobytes() + volume.hu.tobytes()).hexdigest()


def main(paths: list[str]) -> None:
    """Load each input; the alarm is left to kill the process, since C code does not heed Python's handlers."""
    limit_memory()
    for path in paths:
        print(json.dumps({"file": path}), flush=True)  # noqa: T201
        begin = time.perf_counter()
        signal.alarm(SECONDS)
        found = outcome(Path(path))
        signal.alarm(0)
        print(  # noqa: T201
            json.dumps({"file": path, "seconds": time.perf_counter() - begin, **found}), flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
