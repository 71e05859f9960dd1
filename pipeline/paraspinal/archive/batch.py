"""A whole archive, case by case, so that nothing is lost and nothing done twice, whatever ends the batch.

The ledger says what became of every series of the catalogue. A case that ends is written down at once, its results
before that; a batch that was ended in any way goes on with the same command.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from paraspinal.archive.index import index_archive
from paraspinal.archive.keys import Key, load_key
from paraspinal.archive.layout import Layout, prepared
from paraspinal.archive.ledger import GONE, Ledger, open_ledger
from paraspinal.archive.options import ANALYSE, Options
from paraspinal.archive.plan import Plan, Recipe, make_plan, make_recipe, refused_before
from paraspinal.archive.rules import choose
from paraspinal.archive.running import Running, Tick
from paraspinal.archive.store import open_store
from paraspinal.config import Config, load_config
from paraspinal.errors import UsageError


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch did: its plan, the cases it ran, and all cases of the ledger by status and code."""

    plan: Plan
    ran: int
    counts: dict[tuple[str, str], int]
    seconds: float

    def of(self, status: str) -> int:
        """Return how many cases have a status."""
        return sum(number for (name, _), number in self.counts.items() if name == status)


def batch(
    archive: str | Path,
    out: str | Path,
    options: Options = Options(),  # noqa: B008  (frozen)
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] | None = None,
    on_tick: Callable[[Tick], None] | None = None,
) -> Summary:
    """Analyse the series of an archive that the rules choose.

    Parameters
    ----------
    archive : str or Path
        A folder (its catalogue is brought up to date first), or a catalogue that `index_archive` made.
    out : str or Path
        Folder of ledger, results, log and metrics; a batch that was ended goes on there.
    dry_run : bool
        Only say what would be run.
    progress : callable, optional
        Called with a sentence when a step begins.
    on_tick : callable, optional
        Called at least twice a second while cases run.

    Raises
    ------
    UsageError
        If the archive, the catalogue, the key or the scheduler cannot be used.
    ConfigError
        If the profile or the model is not valid.
    OutputError
        If the output folder cannot be written, now or (a full disk) later, or another batch works there.
    """
    begin = time.monotonic()
    tell = progress or (lambda _: None)
    source, results = Path(archive), Layout(Path(out).absolute())
    indexes = _indexes(source)
    with _output(results, dry_run=dry_run, indexes=indexes) as output:
        key = load_key(options.key or results.key) if indexes else _key_of(source, options.key, results)
        if indexes:
            tell("looking for what is new in the archive")
            index_archive(
                source,
                results.catalogue,
                key=key,
                config=_config(options).loading,
                leave_out=[results.root],
                progress=tell,
            )
        recipe = _recipe(options, key)
        with (
            open_store(results.catalogue if indexes else source, fingerprint=key.fingerprint) as store,
            open_ledger(output.ledger) as ledger,
        ):
            ledger.claim(key.digest("archive", str(store.root() or "")))
            ledger.give_back()

            def planned(*, retry_failed: bool, trust: bool = False) -> Plan:
                with store.snapshot():
                    store.require_complete()
                    return make_plan(
                        choose(store.series(), options.rules, refused=refused_before(ledger, recipe)),
                        ledger,
                        results,
                        recipe,
                        retry_failed=retry_failed,
                        memory_mib=options.limits.memory_mib,
                        write=not dry_run,
                        trust=trust,
                    )

            tell("comparing with the ledger")
            plan = planned(retry_failed=options.retry_failed)
            if options.forget_gone and not dry_run:
                _forget_gone(ledger, results)
            ran = 0
            if not dry_run:

                def run(plan: Plan) -> int:
                    tell(f"{plan.to_run} cases to run")
                    return Running(ledger, store, results, options, plan, on_tick, run=output.run).run(recipe)

                ran = _run_down(ledger, plan, run, lambda: planned(retry_failed=False, trust=True))
            return Summary(plan, ran, ledger.counts(), time.monotonic() - begin)


def _run_down(ledger: Ledger, plan: Plan, run: Callable[[Plan], int], planned: Callable[[], Plan]) -> int:
    """Run a plan and return how many cases ended.

    Where pixels refused the series that was chosen of a study, the next one is tried.
    """
    total = 0
    while True:
        before = ledger.number_of("refused")
        now = run(plan)
        total += now
        if not now or ledger.number_of("refused") == before:
            return total
        plan = planned()
        if not plan.to_run:
            return total


@dataclass(frozen=True, slots=True)
class _Output:
    """Where a batch works: the output folder, the ledger, and the name of the run (none of a dry one)."""

    layout: Layout
    ledger: Path
    run: str


@contextmanager
def _output(results: Layout, *, dry_run: bool, indexes: bool) -> Iterator[_Output]:
    """Yield the output; a dry run reads a copy of the ledger, and touches the folder only where it must index.

    Then its catalogue stays, for the run that follows: to look through an archive may take hours.
    """
    with ExitStack() as stack:
        layout, run = results, ""
        if indexes or not dry_run:
            layout, run = stack.enter_context(prepared(results.root))
        if not dry_run:
            yield _Output(layout, layout.ledger, run)
            return
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / layout.ledger.name
        if layout.ledger.is_file():
            with open_ledger(layout.ledger):
                pass  # tells a ledger from other files
            with closing(sqlite3.connect(layout.ledger)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        yield _Output(layout, copy, "")


def _forget_gone(ledger: Ledger, layout: Layout) -> None:
    """Delete the results of cases that the archive does not hold any more."""
    gone = [line.id for line in ledger.rows("done") if line.code == GONE]
    for case in gone:
        shutil.rmtree(layout.case(case), ignore_errors=True)
    ledger.forget(gone)


def _key_of(catalogue: Path, given: Path | None, results: Layout) -> Key:
    """Return the key of a catalogue: the given one, that which `paraspinal index` put beside it, or the batch's own.

    Raises
    ------
    UsageError
        ``key_missing`` if there is none: a new one would not name its series.
    """
    places = [catalogue.with_name(catalogue.name + ".key"), results.key] if given is None else [given]
    known = next((place for place in places if place.is_file()), None)
    if known is None:
        raise UsageError(
            f"The key of the catalogue {catalogue.name} is not there.",
            code="key_missing",
            remedy="Name the key file that it was made with (--key), or make the catalogue anew.",
        )
    return load_key(known)


def _indexes(archive: Path) -> bool:
    """Tell whether an archive is a folder that is to be looked through, not a catalogue.

    Raises
    ------
    UsageError
        ``archive_not_found``.
    """
    if not archive.exists():
        raise UsageError(
            f"There is no archive {archive}.",
            code="archive_not_found",
            remedy="Name a folder with images, or a catalogue that paraspinal index made.",
        )
    return archive.is_dir()


def _config(options: Options) -> Config:
    return options.config if isinstance(options.config, Config) else load_config(options.config)


def _recipe(options: Options, key: Key) -> Recipe:
    """Return how results are made; whatever changes a result changes its digest."""
    config = _config(options)
    settings = {
        "config": config.model_dump(mode="json"),
        "keep": options.keep,
        "identifiers": options.identifiers,
        "salt": key.salt,
        **options.settings,
    }
    more = json.dumps(options.settings, sort_keys=True)
    parts = [config.digest, options.keep, str(options.identifiers), key.fingerprint, more]
    if options.task == ANALYSE:
        from paraspinal.archive.software import software_of

        settings["software"] = software_of(config)
        parts.append(settings["software"])
    return make_recipe(options.task, settings, *parts)
