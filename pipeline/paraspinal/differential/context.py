"""Clinical context from a file: what is known of a patient beside the scan."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from paraspinal.differential.cases import context_findings
from paraspinal.errors import UsageError
from paraspinal.result import Finding


def read_context(source: str | Path | Mapping[str, object]) -> tuple[Finding, ...]:
    """Return the findings of clinical context, from a JSON or TOML file or from a table.

    Every field is optional; ``docs/findings.md`` lists them. JSON or TOML is told by the name, anything that does not
    end in ``.toml`` being JSON.

    Raises
    ------
    UsageError
        ``context_unreadable``, ``context_form``, ``context_unknown`` or ``finding_value``.
    """
    return context_findings(source if isinstance(source, Mapping) else _read(Path(source)))


def _read(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        why = error.strerror or "it is no file"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:  # no UTF-8, no JSON, no TOML
        why = str(error).rstrip(".")
    raise UsageError(
        f"The clinical context {path.name} cannot be read: {why}.",
        code="context_unreadable",
        remedy='Give a .json or .toml file with a table such as {"age": 44, "known_anemia": true}.',
    )


def with_context(findings: Sequence[Finding], context: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings with clinical context beside them; what the findings tell themselves goes before it."""
    told = {finding.name for finding in findings}
    return (*findings, *(finding for finding in context if finding.name not in told))
