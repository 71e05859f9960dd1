"""What the terminal shows while the stages run: a spinner where there is a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def stage_progress(*, quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Yield a listener for stage names that writes to stderr; None when `quiet`."""
    if quiet:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines()
        return
    with console.status("starting", spinner="dots") as status:
        yield lambda stage: status.update(f"{stage} …")


def _plain_lines() -> Callable[[str], None]:
    begin = time.perf_counter()

    def tell(stage: str) -> None:
        sys.stderr.write(f"{time.perf_counter() - begin:6.1f} s  {stage}\n")
        sys.stderr.flush()

    return tell
