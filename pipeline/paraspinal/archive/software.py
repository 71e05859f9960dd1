"""What makes a result, so that a result of other software is never taken for the one that was asked for."""

from __future__ import annotations

from paraspinal import __version__
from paraspinal.config import Config
from paraspinal.differential.model import load_model


def software_of(config: Config) -> str:
    """Return the version of the software and the digest of the model's content, by which results are told apart."""
    return f"{__version__} {load_model(config.differential.model).digest}"
