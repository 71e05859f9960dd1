"""The names of findings: one list for coded cases, measurements and models.

``docs/findings.md`` shows the same list with the vignette fields and measurement keys it comes from.
"""

from __future__ import annotations

import difflib
from typing import Literal

from paraspinal.errors import UsageError

FindingKind = Literal["boolean", "categorical", "ordinal", "numeric"]

_BOOLEAN = (
    "bilateral",
    "multiple",
    "midline_bridging",
    "bone_destruction",
    "pressure_scalloping",
    "marrow_expansion_breakthrough",
    "vertebral_erosion",
    "rib_erosion",
    "foraminal_widening",
    "intraspinal_extension",
    "disc_involvement",
    "trabecular_coarsening",
    "cortical_thinning",
    "rib_expansion",
    "diffuse_osteosclerosis",
    "endplate_central_depression",
    "calcification",
    "discrete_high_density",
    "fat",
    "low_density_foci",
    "cystic_or_fluid",
    "fluid_compatible",
    "rim_enhancement",
    "gas",
    "diffuse_hyperattenuation",
    "iron_high_density",
    "splenomegaly",
    "spleen_absent",
    "spleen_small_or_calcified",
    "hepatomegaly",
    "splenic_lesion",
    "liver_iron",
    "myocardial_iron",
    "blood_pool_low",
    "other_emh_site",
    "pleural_effusion",
    "lymphadenopathy",
    "aortic_contact",
    "known_anemia",
    "known_haemoglobinopathy_or_marrow_disease",
    "known_primary_malignancy",
    "nf1",
    "fever_or_infection",
    "splenectomy",
    "sulfur_colloid_uptake",
    "mri_marrow_signal",
)
_CATEGORICAL = (
    "level",
    "margin",
    "enhancement",
    "enhancement_pattern",
    "sex",
    "fdg_uptake",
    "growth",
    "biopsy",
)
_NUMERIC = ("size_mm", "age_years", "fdg_suv_max", "hu_unenhanced", "hu_enhanced", "hu_phase_unstated")

CATALOGUE: dict[str, FindingKind] = {
    **dict.fromkeys(_BOOLEAN, "boolean"),
    **dict.fromkeys(_CATEGORICAL, "categorical"),
    **dict.fromkeys(_NUMERIC, "numeric"),
}
"""Every finding name with its kind. The three ``hu_*`` are evidence only through ``fluid_compatible``."""

CONTEXT_FIELDS: dict[str, str] = {
    "age": "age_years",
    **{
        name: name
        for name in (
            *("sex", "known_anemia", "known_haemoglobinopathy_or_marrow_disease", "known_primary_malignancy"),
            *(
                "nf1",
                "fever_or_infection",
                "splenectomy",
                "sulfur_colloid_uptake",
                "fdg_uptake",
                "fdg_suv_max",
            ),
            *("mri_marrow_signal", "growth", "biopsy"),
        )
    },
}
"""What a context file may say, and the finding that each field makes."""

LEVEL_FIELDS = frozenset({"level_min", "level_max"})
"""Fields of coded cases that are not findings themselves; they make up ``level``."""


def check_name(name: str) -> FindingKind:
    """Return the kind of a finding.

    Raises
    ------
    UsageError
        If there is no finding of that name; the remedy names the closest ones.
    """
    kind = CATALOGUE.get(name)
    if kind is None:
        known = [*CATALOGUE, *LEVEL_FIELDS]
        close = difflib.get_close_matches(name, known, n=2, cutoff=0.4)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        raise UsageError(
            f"There is no finding {name!r}.",
            code="finding_unknown",
            remedy=f"{hint}docs/findings.md lists all names.",
        )
    return kind
