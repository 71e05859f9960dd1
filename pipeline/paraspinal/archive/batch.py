"""A whole archive, case by case, so that nothing is lost and nothing done twice, whatever ends the batch.

The ledger says what became of every series of the catalogue. A case that ends is written down at once, its results
before that; a batch that was ended in any way goes on with the same command.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paraspinal.archive.index import index_archive
from paraspinal.archive.keys import Key, load_key
from paraspinal.archive.layout import Layout, prepared
from paraspinal.archive.ledger import open_ledger
from paraspinal.archive.options import ANALYSE, Options
from paraspinal.archive.plan import Plan, Recipe, make_plan, make_recipe
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
    source, results = Path(archive), Layout(Path(out))
    with _output(results, dry_run=dry_run) as layout:
        key = _key(options.key or _key_beside(source) or layout.key, layout, dry_run=dry_run)
        catalogue = _catalogue(source, layout, key, options, tell, apart=results.root)
        recipe = _recipe(options, key)
        with (
            open_store(catalogue, fingerprint=key.fingerprint) as store,
            open_ledger(layout.ledger) as ledger,
        ):
            ledger.give_back()
            tell("comparing with the ledger")
            plan = make_plan(
                choose(store.series(), options.rules),
                ledger,
                results,
                recipe,
                retry_failed=options.retry_failed,
                memory_mib=options.limits.memory_mib,
                write=not dry_run,
            )
            ran = 0
            if not dry_run:
                tell(f"{plan.to_run} cases to run")
                ran = Running(ledger, store, layout, options, plan, on_tick).run(recipe)
            return Summary(plan, ran, ledger.counts(), time.monotonic() - begin)


@contextmanager
def _output(results: Layout, *, dry_run: bool) -> Iterator[Layout]:
    """Yield the output folder; a dry run works on copies of its ledger, catalogue and key, and leaves no trace."""
    if not dry_run:
        with prepared(results.root) as layout:
            yield layout
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Layout(Path(folder))
        copy.private.mkdir()
        for name in ("ledger", "catalogue", "key"):
            source, target = getattr(results, name), getattr(copy, name)
            for end in ("", "-wal"):
                if source.with_name(source.name + end).is_file():
                    shutil.copy(source.with_name(source.name + end), target.with_name(target.name + end))
        yield copy


def _key(path: Path, layout: Layout, *, dry_run: bool) -> Key:
    """Return the key of a batch; one that is made for a dry run goes with it."""
    return load_key(layout.key if dry_run and not path.exists() else path)


def _key_beside(archive: Path) -> Path | None:
    """Return the key that `paraspinal index` put beside a catalogue."""
    key = archive.with_name(archive.name + ".key")
    return key if archive.is_file() and key.is_file() else None


def _catalogue(
    archive: Path, layout: Layout, key: Key, options: Options, tell: Callable[[str], None], *, apart: Path
) -> Path:
    """Return the catalogue to work from, brought up to date where a folder is given."""
    if archive.is_file():
        return archive
    if not archive.is_dir():
        raise UsageError(
            f"There is no archive {archive}.",
            code="archive_not_found",
            remedy="Name a folder with images, or a catalogue that paraspinal index made.",
        )
    tell("looking for what is new in the archive")
    index_archive(
        archive,
        layout.catalogue,
        key=key,
        config=_config(options).loading,
        leave_out=[apart],
        progress=tell,
    )
    return layout.catalogue


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
        from paraspinal.differential.model import load_model

        model = load_model(config.differential.model)
        parts.append(f"{model.name} {model.version}")
    return make_recipe(options.task, settings, *parts)
