"""Runs an installed TotalSegmentator by its Python API; this package neither ships nor downloads its weights."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from paraspinal.anatomy.given.read import labelled, read_values, whole_numbers
from paraspinal.anatomy.given.tables import names_inside
from paraspinal.anatomy.given.types import StructureSet
from paraspinal.dicomio.nifti import write_nifti
from paraspinal.errors import AnalysisError, UsageError
from paraspinal.volume import CTVolume

Device = Literal["auto", "cpu", "gpu", "mps"]
INSTALL = "pip install TotalSegmentator"
_HOME, _WEIGHTS = "TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH"


def require_totalsegmentator() -> Callable[..., Any]:
    """Return TotalSegmentator's function.

    Raises
    ------
    UsageError
        ``totalsegmentator_missing`` if it cannot be imported.
    """
    try:
        return importlib.import_module("totalsegmentator.python_api").totalsegmentator  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"TotalSegmentator is not installed, or cannot be loaded ({error}).",
            code="totalsegmentator_missing",
            remedy=f"Install it with: {INSTALL} (it downloads its weights itself on its first run), or give masks"
            " that were made elsewhere: --anatomy masks:PATH.",
        ) from error


def run_totalsegmentator(volume: CTVolume, *, fast: bool = False, device: Device = "auto") -> StructureSet:
    """Segment the CT with TotalSegmentator's task `total` and return its structures.

    Parameters
    ----------
    volume : CTVolume
        Handed over as NIfTI without any header of the source.
    fast : bool
        Its 3 mm model: much faster on a CPU.
    device : {"auto", "cpu", "gpu", "mps"}
        ``auto`` takes the GPU if there is one.

    Raises
    ------
    UsageError
        ``totalsegmentator_missing``.
    AnalysisError
        ``totalsegmentator_failed`` if it ends with an error or without a result.
    """
    segment = require_totalsegmentator()
    with tempfile.TemporaryDirectory(prefix="paraspinal-") as name:
        folder = Path(name)
        image, out = folder / "ct.nii.gz", folder / "labels.nii.gz"
        write_nifti(image, volume.hu, volume.geometry)
        # It prints; our own standard output may be somebody's JSON.
        with _own_home(folder), contextlib.redirect_stdout(sys.stderr):
            _call(segment, image, out, fast=fast, device=_device(device))
        if not out.is_file():
            raise _failed("it wrote no label map")
        values, grid = read_values(out)
        found = labelled(whole_numbers(values, out), grid, names_inside(out), kind="totalsegmentator")
        return replace(found, numbers_assumed=False)


def _call(segment: Callable[..., Any], image: Path, out: Path, *, fast: bool, device: str) -> None:
    try:
        segment(image, out, ml=True, fast=fast, task="total", quiet=True, device=device)
    except SystemExit as error:  # it ends the process where a licence or a download is missing
        raise _failed(f"it ended with the code {error.code}") from error
    except Exception as error:
        # Whatever a foreign program raises becomes one typed error, with its cause kept.
        raise _failed(f"{type(error).__name__}: {error}") from error


def _failed(why: str) -> AnalysisError:
    return AnalysisError(
        f"TotalSegmentator failed: {why}.",
        code="totalsegmentator_failed",
        remedy="Run it by itself on this series to see why, or go on without it (--anatomy classical).",
    )


def _device(wanted: Device) -> str:
    if wanted != "auto":
        return wanted
    with contextlib.suppress(ImportError, AttributeError):
        return "gpu" if importlib.import_module("torch").cuda.is_available() else "cpu"
    return "cpu"


@contextlib.contextmanager
def _own_home(folder: Path) -> Iterator[None]:
    """Give it a home of its own whose settings send no usage statistics; its weights stay where they are.

    TotalSegmentator reports every run to its makers unless its ``config.json`` says otherwise. Nothing is sent from
    an analysis, so it gets a configuration for this run; the user's own is not touched.
    """
    home = folder / "home"
    home.mkdir()
    settings = {"totalseg_id": "none", "send_usage_stats": False, "prediction_counter": 0}
    settings["statistics_disclaimer_shown"] = True
    (home / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    usual = Path(os.environ.get(_HOME) or Path.home() / ".totalsegmentator")
    weights = os.environ.get(_WEIGHTS) or str(usual / "nnunet" / "results")
    before = {key: os.environ.get(key) for key in (_HOME, _WEIGHTS)}
    os.environ.update({_HOME: str(home), _WEIGHTS: weights})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
