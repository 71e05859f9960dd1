"""The rehearsal, with all that a real case has loaded: forking a large process and ending it takes its time, too."""

from __future__ import annotations

from paraspinal.archive import preload
from paraspinal.archive.rehearsal import rehearse

__all__ = ["preload", "rehearse"]
