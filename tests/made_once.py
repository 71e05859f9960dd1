"""What takes seconds to make is made once a test run, not once in every process of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import imagecodecs

P = ParamSpec("P")
Made = TypeVar("Made")


def shared_folder(run: str) -> Path:
    """Return the folder that the processes of a run share."""
    return Path(tempfile.gettempdir()) / f"paraspinal-tests-{run}"


def made_once(make: Callable[P, Made]) -> Callable[P, Made]:
    """Keep what a function returns, by its arguments, in memory and for the other processes on disk.

    What is returned must not be changed by a test.
    """

    @wraps(make)
    def shared(*args: P.args, **kwargs: P.kwargs) -> Made:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # none in a run of one process
        if run is None:
            return make(*args, **kwargs)
        folder = shared_folder(run)
        folder.mkdir(exist_ok=True)
        name = f"{make.__module__}.{make.__qualname__} {args!r} {sorted(kwargs.items())!r}"
        file = folder / hashlib.sha256(name.encode()).hexdigest()[:24]
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one makes it, the other waits and reads
            if file.exists():
                found: Made = pickle.loads(imagecodecs.zstd_decode(file.read_bytes()))
                return found
            made = make(*args, **kwargs)
            staged = file.with_suffix(".new")
            staged.write_bytes(imagecodecs.zstd_encode(pickle.dumps(made, 5), 1))
            staged.rename(file)
            return made

    return cache(shared)
