"""What is done with one case: it is analysed as `paraspinal analyze` does it, and its folder is written.

Nothing in the folder names a file, a UID or a person unless identifiers were asked for.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paraspinal.analysis import Analysis, analyze
from paraspinal.archive.job import INPUT_GONE, WORKER_VERSION, Job
from paraspinal.archive.keys import blind
from paraspinal.archive.location import current_stamp, open_location
from paraspinal.archive.nameless import nameless
from paraspinal.archive.place import put_in_place
from paraspinal.archive.software import software_of
from paraspinal.archive.thumbnail import write_thumbnail
from paraspinal.config import Config
from paraspinal.errors import AnalysisError, ConfigError, LoadError
from paraspinal.loading.scan import is_passing
from paraspinal.result import AnalysisResult
from paraspinal.saving import save_analysis

_UNREADABLE = "unreadable_file"
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


def analyse(job: Job) -> dict[str, Any]:
    """Analyse the series of a job, put its folder in place, and return the facts of the ledger.

    Raises
    ------
    ParaspinalError
        As `paraspinal.analyze`, `save_analysis` and `put_in_place`.
    AnalysisError
        ``worker_version`` where other software or another model would make the result; ``input_gone``,
        ``input_changed`` or ``input_unreadable`` where the files are not, or no longer, those of the catalogue.
    """
    config = _config(job)
    return put_in_place(job, lambda folder: _write(job, config, folder))


def _config(job: Job) -> Config:
    """Return the configuration of a job; another version may not even understand it, or not have the model."""
    try:
        config = Config.model_validate(job.settings["config"])
        same = software_of(config) == job.settings["software"]
    except (ValidationError, ConfigError):
        same = False
    if not same:
        raise AnalysisError(
            "The worker has another version of paraspinal or of the model.",
            code=WORKER_VERSION,
            remedy="Install the same version everywhere.",
        )
    return config


def _write(job: Job, config: Config, folder: Path) -> dict[str, Any]:
    check_input(job)
    analysis = _analysed(job, config)
    check_input(job)  # nothing changed while it was read
    save_analysis(
        analysis,
        folder,
        force=True,
        maps=job.settings["keep"] == "maps",
        page=job.settings["keep"] != "result",
    )
    write_thumbnail(folder / "thumbnail.png", analysis)
    return facts_of(analysis.result)


def check_input(job: Job) -> None:
    """Stop unless the files of a job are those that the catalogue was made of.

    Raises
    ------
    AnalysisError
        ``input_gone``, ``input_changed``.
    """
    try:
        now = current_stamp(job.source)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise _unreadable() from error
        raise AnalysisError(
            f"A file of the series cannot be found ({error.strerror}).",
            code=INPUT_GONE,
            remedy="Is the archive mounted? Run the batch again with --retry-failed.",
        ) from error
    if now != job.settings["stamp"]:
        raise AnalysisError(
            "Files of the series changed after they were indexed.",
            code="input_changed",
            remedy="Index the archive again and run the batch again.",
        )


def _analysed(job: Job, config: Config) -> Analysis:
    """Return the analysis; a file that cannot be read now could be when it was indexed: the series is not whole."""
    loose, faults = "folders" in job.source, list[OSError]()
    identifiers = bool(job.settings.get("identifiers"))
    source = open_location(job.source, config=config.loading)
    try:
        analysis = analyze(
            source if identifiers else nameless(source, faults),
            series=job.source.get("series"),
            config=config,
            identifiers=identifiers,
        )
    except LoadError as error:
        if error.code == _UNREADABLE and (loose or is_passing(error.__cause__)):
            raise _unreadable() from error
        raise
    if any(is_passing(fault) for fault in faults):
        raise _unreadable()
    if loose and any(code.code == _UNREADABLE for code in analysis.result.loading.codes):
        raise _unreadable()
    if identifiers:
        return analysis
    salt = str(job.settings["salt"])
    return replace(analysis, result=without_names(analysis.result, job.case, salt=salt))


def _unreadable() -> AnalysisError:
    return AnalysisError(
        "A file of the series could not be read.",
        code="input_unreadable",
        remedy="Is the disk of the archive in order? Run the batch again with --retry-failed.",
    )


def without_names(result: AnalysisResult, case: str, *, salt: str) -> AnalysisResult:
    """Return a result in which the case's key stands for the series and nothing is said of other series."""
    digest = blind(salt, result.provenance.input_digest)
    provenance = result.provenance.model_copy(update={"input_digest": digest})
    series = result.series.model_copy(update={"uid_digest": case, "description_digest": None, "uid": None})
    loading = result.loading.model_copy(
        update={"left_out": (), "chosen_because": "chosen by the rules of the batch"}
    )
    return result.model_copy(update={"series": series, "loading": loading, "provenance": provenance})


def facts_of(result: AnalysisResult) -> dict[str, Any]:
    """Return what the ledger keeps of a result."""
    judged = result.differential
    posterior, ratios = judged.posterior or {}, judged.log_likelihood_ratio or {}
    return {
        "outcome": result.outcome,
        "verdict": result.loading.verdict,
        "input_digest": result.provenance.input_digest,
        "software_version": result.provenance.software_version,
        "masses": sum(mass.state == "present" for mass in result.masses),
        "leading": judged.leader,
        "emh_llr": ratios.get("emh"),
        "emh_posterior": posterior.get("emh"),
    }
