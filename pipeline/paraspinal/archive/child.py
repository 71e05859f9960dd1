"""What a case's own process does: bind itself to its limits and to its parent, do the task, tell what became of it.

The process is forked from a server that has the heavy modules loaded, so that a case begins within milliseconds. A
crash, a hang or a full memory ends this process and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import resource
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

from paraspinal.archive.faults import fault_of
from paraspinal.archive.job import OUTPUT_CODE, Job, Limits, Verdict
from paraspinal.errors import AnalysisError, LoadError, ParaspinalError

_MIB = 1 << 20
_ADDRESS_SPACE_FACTOR = 3.0  # address space that is reserved is not memory that is used
_ADDRESS_SPACE_EXTRA_MIB = 4096.0
_ORPHANED = 113
_NO_WRITING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
BEGUN = "begun"
"""Sent before the task: its time counts from here, not from the start of the fork server."""


def do_case(link: Connection, job: Job, limits: Limits, cores: Sequence[int]) -> None:
    """Do the job and send the verdict; nobody hears of it when the parent is gone."""
    _die_with_parent(link)
    _limit(limits, cores)
    with contextlib.suppress(OSError):  # the parent went away meanwhile
        link.send(BEGUN)
        link.send(_outcome(job))


def _outcome(job: Job) -> Verdict:
    """Run the task; every error of a case ends here, as a status with a code."""
    try:
        module, _, name = job.task.partition(":")
        facts = getattr(importlib.import_module(module), name)(job)
        return "done", "", "", dict(facts)
    except LoadError as error:
        return "refused", error.code, error.message, {}
    except AnalysisError as error:
        return "failed", error.code, error.message, {}
    except ParaspinalError as error:  # its text may name a path
        return "failed", error.code, "", {}
    except OSError as error:
        code = OUTPUT_CODE if error.errno in _NO_WRITING else "internal"
        return "failed", code, fault_of(error), {}
    except MemoryError:
        return "failed", "out_of_memory", "The memory limit was reached.", {}
    except Exception as error:  # one case is isolated from the batch here; its text may quote a person's data
        return "failed", "internal", fault_of(error), {}


def _die_with_parent(link: Connection) -> None:
    """End this process when the worker that waits for it is gone: its case is somebody else's by then."""

    def watch() -> None:
        # The worker never sends anything: the link becomes readable only when its other end is closed.
        with contextlib.suppress(EOFError, OSError):
            link.recv()
        os._exit(_ORPHANED)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _limit(limits: Limits, cores: Sequence[int]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no patient's data in a core file
    space = int((_ADDRESS_SPACE_FACTOR * limits.memory_mib + _ADDRESS_SPACE_EXTRA_MIB) * _MIB)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or space < hard:
        resource.setrlimit(resource.RLIMIT_AS, (space, hard))
    # A processor-time limit ends what even ignores signals of the worker.
    seconds = int(limits.seconds * max(1, limits.cores) * 2) + 60
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or seconds < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
    if cores and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):  # fewer cores than there were
            os.sched_setaffinity(0, cores)
