"""What is done with one case: it is analysed as `paraspinal analyze` does it, and its folder is written.

Nothing in the folder names a file, a UID or a person unless identifiers were asked for.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from paraspinal.analysis import Analysis, analyze
from paraspinal.archive.job import Job
from paraspinal.archive.keys import blind
from paraspinal.archive.location import open_location
from paraspinal.archive.nameless import nameless
from paraspinal.archive.receipt import write_receipt
from paraspinal.archive.thumbnail import write_thumbnail
from paraspinal.config import Config
from paraspinal.result import AnalysisResult
from paraspinal.saving import save_analysis


def analyse(job: Job) -> dict[str, Any]:
    """Analyse the series of a job, write its folder with the receipt last, and return the facts of the ledger.

    Raises
    ------
    ParaspinalError
        As `paraspinal.analyze` and `save_analysis`.
    """
    folder = Path(job.folder)
    # What an earlier run left is no result of this one, however it ends.
    shutil.rmtree(folder, ignore_errors=True)
    config = Config.model_validate(job.settings["config"])
    identifiers = bool(job.settings.get("identifiers"))
    source = open_location(job.source, config=config.loading)
    analysis = analyze(
        source if identifiers else nameless(source),
        series=job.source.get("series"),
        config=config,
        identifiers=identifiers,
    )
    if not identifiers:
        salt = str(job.settings["salt"])
        analysis = replace(analysis, result=without_names(analysis.result, job.case, salt=salt))
    _save(analysis, folder, keep=str(job.settings.get("keep", "report")))
    facts = facts_of(analysis.result)
    write_receipt(
        folder, case=job.case, recipe=job.settings["recipe"], stamp=job.settings["stamp"], facts=facts
    )
    return facts


def _save(analysis: Analysis, folder: Path, *, keep: str) -> None:
    """Write the folder; label maps, which are most of its size, only where they were asked for."""
    save_analysis(analysis, folder, force=True, maps=keep == "maps", page=keep != "result")
    write_thumbnail(folder / "thumbnail.png", analysis)


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
