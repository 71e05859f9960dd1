"""``paraspinal batch ARCHIVE -o OUT``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraspinal.cli import rule_options as rule
from paraspinal.cli.arguments import given_name, given_path, input_path

if TYPE_CHECKING:
    from paraspinal.archive import Summary, Tick

_LINE_S = 10.0
_SOME_FAILED = 1


def batch_command(
    archive: Annotated[
        Path,
        typer.Argument(
            metavar="ARCHIVE",
            parser=input_path,
            help="A folder with images in any order and depth, or a catalogue that paraspinal index made.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            parser=given_path,
            help="Ledger, results, log; the same command goes on where it stopped.",
        ),
    ],
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=512, help="Cases at a time.")] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Use the workers of this Dask scheduler (tcp://HOST:8786) instead."
        ),
    ] = None,
    cores: Annotated[
        int,
        typer.Option(
            min=1, help="Processor cores that one case's own threads may use; linear algebra stays on one."
        ),
    ] = 1,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="A case that takes longer is ended.")
    ] = 600.0,
    memory: Annotated[
        float, typer.Option(metavar="MIB", min=64.0, help="A case that takes more memory is ended.")
    ] = 3072.0,
    config: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", parser=given_name, help="Name of a profile, or the path of a TOML file."
        ),
    ] = "default",
    keep: Annotated[
        str,
        typer.Option(
            help="What stays of each result: result (JSON), report (and page), maps (and label maps)."
        ),
    ] = "report",
    modality: rule.Modality = "CT",
    region: rule.Region = None,
    max_thickness_mm: rule.MaxThickness = None,
    min_slices: rule.MinSlices = 3,
    kernel: rule.Kernel = "any",
    contrast: rule.Contrast = "any",
    since: rule.Since = None,
    until: rule.Until = None,
    every_series: rule.EverySeries = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cases again that failed twice.")
    ] = False,
    forget_gone: Annotated[
        bool,
        typer.Option(
            "--forget-gone", help="Delete the results of series that the archive does not hold any more."
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=given_path,
            help="Key of the digests that stand for series and studies; OUT/private/key without it.",
        ),
    ] = None,
    identifiers: Annotated[
        bool,
        typer.Option("--identifiers", help="Write UIDs into the results; everything else keeps digests."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, how long, and with how much memory.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Analyse a whole archive, one series a study unless told otherwise, so that no bad case stops the rest.

    Every case runs in a process of its own with a time and a memory limit; a crash, a kill, a hang or a refusal is a
    status with a code. What fails is tried once more. Ctrl-C, a kill or a power cut lose running cases only. The exit
    code is 0 if every case that was chosen is done or refused, 1 if some failed or still wait.
    """
    from paraspinal.archive import Limits, Options, Workers, batch

    options = Options(
        rules=rule.rules_from(
            modality=modality,
            region=tuple(region or ()),
            max_thickness_mm=max_thickness_mm,
            min_slices=min_slices,
            kernel=kernel,
            contrast=contrast,
            since=since,
            until=until,
            per_study=not every_series,
        ),
        limits=Limits(seconds=timeout, memory_mib=memory, cores=cores),
        workers=Workers(processes=workers, scheduler=scheduler),
        config=config,
        keep=keep,
        identifiers=identifiers,
        retry_failed=retry_failed,
        forget_gone=forget_gone,
        key=key,
    )
    tell = None if quiet else (lambda text: typer.echo(f"  {text}", err=True))
    with _progress(quiet=quiet or dry_run) as tick:
        done = batch(archive, out, options, dry_run=dry_run, progress=tell, on_tick=tick)
    if not quiet:
        typer.echo(_planned(done, None if scheduler else workers, memory) if dry_run else _told(done, out))
    if not dry_run and (done.of("failed") or done.of("waiting")):
        raise typer.Exit(_SOME_FAILED)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Tick], None] | None]:
    """Yield what shows a tick: one line that is written over on a terminal, a line now and then elsewhere."""
    if quiet:
        yield None
        return
    on_terminal = sys.stderr.isatty()
    last = [-_LINE_S]

    def show(tick: Tick) -> None:
        if on_terminal:
            sys.stderr.write(f"\r\033[K{_state(tick)}")
        elif tick.seconds - last[0] >= _LINE_S:
            last[0] = tick.seconds
            sys.stderr.write(f"  {_state(tick)}\n")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if on_terminal:
            sys.stderr.write("\n")


def _state(tick: Tick) -> str:
    share = tick.done / tick.total if tick.total else 1.0
    eta = "" if tick.eta_s is None else f", {_duration(tick.eta_s)} to go"
    wrong = ", ".join(f"{code} {n}" for code, n in sorted(tick.failures.items()))
    pace = f"{tick.per_second:.2f}/s" if tick.per_second < 10 else f"{tick.per_second:.0f}/s"
    return f"{tick.done}/{tick.total} ({share:.0%}), {pace}{eta}" + (f"; {wrong}" if wrong else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _planned(done: Summary, workers: int | None, memory: float) -> str:
    plan = done.plan
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(plan.counts.items()) if n)
    large = f" {plan.too_large} may need more than the limit of {memory:.0f} MiB." if plan.too_large else ""
    time = f"about {_duration(plan.seconds)} of one worker"
    if workers is not None:
        time = f"about {_duration(plan.seconds / workers)} with {workers} worker{'s' if workers > 1 else ''}"
    return (
        f"{sum(n for kind, n in plan.counts.items() if kind != 'gone')} series: {kinds or 'none'}.\n"
        f"To run: {plan.to_run}, {time},"
        f" up to {plan.largest_mib:.0f} MiB a case.{large}"
    )


def _told(done: Summary, out: Path) -> str:
    kinds = ("done", "refused", "failed", "not_selected", "waiting")
    lines = [f"{done.ran} cases ran in {_duration(done.seconds)}; the ledger holds:"]
    for kind in kinds:
        codes = {code: n for (status, code), n in sorted(done.counts.items()) if status == kind}
        if codes:
            detail = ", ".join(f"{code} {n}" for code, n in codes.items() if code)
            lines.append(
                f"  {kind.replace('_', ' ')} {sum(codes.values())}" + (f" ({detail})" if detail else "")
            )
    lines.append(f"Results: {out}/cases. Tables: paraspinal collect {out}. Page: paraspinal dashboard {out}.")
    return "\n".join(lines)
