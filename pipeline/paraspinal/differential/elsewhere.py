"""Sites away from the paravertebral compartment: what was not searched, and why nothing is said about them.

Neither finding is ever denied: the search covers the compartment beside the spine only.
"""

from __future__ import annotations

from paraspinal.differential.grading import not_assessed
from paraspinal.masses.types import MassSearch
from paraspinal.result import Finding

_AT_THE_PLEURA = frozenset({"consolidation", "effusion"})
_UNSEARCHED = "kidneys, pericardium, pleura and the presacral space were not searched"
_NODES = "nodes are not told from crura, vessels and bowel: normal tissue between the crura is as thick as they are"


def sites_elsewhere(search: MassSearch) -> tuple[Finding, ...]:
    """Return ``other_emh_site`` and ``lymphadenopathy``, not assessed, with what was searched instead.

    Regions that the search took for consolidated lung or fluid are named: an extrapleural mass along a rib may look
    like either.
    """
    return (not_assessed("other_emh_site", _sites(search)), not_assessed("lymphadenopathy", _NODES))


def _sites(search: MassSearch) -> str:
    levels = list(dict.fromkeys(part.level for part in search.coverage))
    if not levels:
        return f"no level of the spine was searched; {_UNSEARCHED}"
    span = levels[0] if len(levels) == 1 else f"{levels[0]} to {levels[-1]}"
    searched = f"searched beside the spine only, {span}; {_UNSEARCHED}"
    volumes = [e.volume_ml for e in search.explained_away if e.reason in _AT_THE_PLEURA]
    if not volumes:
        return searched
    count = "1 region" if len(volumes) == 1 else f"{len(volumes)} regions"
    passed = f"{count} beside it passed for consolidated lung, pleura or fluid"
    return f"{searched}; {passed} (largest {max(volumes):.0f} mL)"
