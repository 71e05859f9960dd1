"""Reads paths and names as they are typed; what cannot be meant is refused before any work."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from paraspinal.errors import UsageError

if TYPE_CHECKING:
    from paraspinal.config import LoadingConfig

POLICY_HELP = (
    "What to do with a defective series: repair what is geometrically certain, or refuse it (strict)."
    " The profile says so otherwise: repair."
)


class PolicyName(StrEnum):
    """What to do with a defective series."""

    STRICT = "strict"
    REPAIR = "repair"


def loading_settings(profile: str, policy: PolicyName | None) -> LoadingConfig:
    """Return the limits of a profile, with the policy that was given, if any.

    Raises
    ------
    ConfigError
        If there is no such profile, or it is no valid one.
    """
    from paraspinal.config import load_config

    settings = load_config(profile).loading
    return settings if policy is None else settings.model_copy(update={"policy": policy.value})


def given_path(text: str) -> Path:
    """Return a path from the command line.

    Raises
    ------
    UsageError
        If it is empty: `Path` would take that for the current folder.
    """
    if not text.strip():
        raise UsageError(
            "An empty path was given.",
            code="path_empty",
            remedy="Name a file or folder; a dot means the current folder.",
        )
    return Path(text)


def input_path(text: str) -> Path:
    """Return the path of something that is there.

    Raises
    ------
    UsageError
        If it is empty, or nothing of that name can be seen.
    """
    path = given_path(text)
    if not os.path.exists(text):
        raise UsageError(
            f"There is no file or folder {text}, or it may not be read.",
            code="not_found",
            remedy="Check the path.",
        )
    return path


def given_name(text: str) -> str:
    """Return a name from the command line.

    Raises
    ------
    UsageError
        If it is empty.
    """
    if not text.strip():
        raise UsageError(
            "An empty name was given.", code="name_empty", remedy="Give a name, or leave the option out."
        )
    return text.strip()


def series_name(text: str) -> str:
    """Return the name of a series; the ``…`` that stands behind a shortened digest is no part of it.

    Raises
    ------
    UsageError
        If nothing is left.
    """
    return given_name(text.strip().rstrip("…."))
