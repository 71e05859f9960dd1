"""The published form of a result: what ``result.json`` holds (see ``docs/results.md``).

Units are UCUM and stand in the key where a key is fixed; coordinates are LPS millimetres; times ISO 8601. No
number is written where nothing was measured: a `Measurement` then has a status and a reason, but no value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

SCHEMA_VERSION = "1.0"

Status = Literal[
    "measured",
    "below_detection_limit",
    "lower_bound",
    "interpolated",
    "not_in_view",
    "not_assessed",
    "failed",
]
NOT_FINITE = "not_finite: the computation gave no finite number"
"""Reason of a measurement that ended in NaN or infinity."""
STATUSES_WITH_VALUE: frozenset[str] = frozenset({"measured", "lower_bound", "interpolated"})

FindingState = Literal["present", "absent", "indeterminate", "not_assessed"]
Presence = Literal["present", "absent", "not_in_view", "indeterminate"]
Side = Literal["left", "right", "midline"]
Outcome = Literal["mass", "no_mass", "inconclusive", "not_assessable"]
Entity = Literal["emh", "neurogenic_tumour", "lymphoma", "metastasis", "abscess", "meningocele", "other"]
ENTITIES: tuple[Entity, ...] = (
    "emh",
    "neurogenic_tumour",
    "lymphoma",
    "metastasis",
    "abscess",
    "meningocele",
    "other",
)
ContrastPhase = Literal["unenhanced", "pulmonary_arterial", "aortic", "portal", "delayed", "indeterminate"]
Point = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Uncertainty(_Frozen):
    """Standard uncertainties of a measurement, in its own unit."""

    type_a: FiniteFloat | None = Field(None, description="from repeated read-out (borders, noise, grid)")
    type_b: FiniteFloat | None = Field(None, description="from calibration, kernel, beam hardening")
    k: float = Field(1.96, description="coverage factor of the stated 95 % interval")
    method: str = Field("", description="how type A and type B were obtained")

    @property
    def combined(self) -> float:
        """Root sum of squares of both types (one standard uncertainty)."""
        return float(((self.type_a or 0.0) ** 2 + (self.type_b or 0.0) ** 2) ** 0.5)


class Measurement(_Frozen):
    """One number with its unit, status and uncertainty; no value unless one was measured."""

    value: FiniteFloat | None = None
    unit: str = Field(description="UCUM")
    status: Status = Field(description="see the table of statuses")
    reason: str | None = Field(None, description="why there is no value, or what qualifies it")
    uncertainty: Uncertainty | None = None
    detection_limit: FiniteFloat | None = Field(
        None, description="the smallest value that could have been seen here"
    )
    source_series: str | None = Field(
        None, description="digest of the series read, when not the analysed one"
    )
    region: str | None = Field(None, description="the label or place that was read")

    @model_validator(mode="after")
    def _value_goes_with_status(self) -> Self:
        if (self.value is not None) != (self.status in STATUSES_WITH_VALUE):
            raise ValueError(f"status {self.status!r} does not go with value {self.value!r}")
        if self.value is None and self.status != "below_detection_limit" and not self.reason:
            raise ValueError(f"status {self.status!r} needs a reason")
        return self

    @classmethod
    def measured(
        cls,
        value: float,
        unit: str,
        *,
        type_a: float | None = None,
        type_b: float | None = None,
        method: str = "",
        status: Status = "measured",
        reason: str | None = None,
        detection_limit: float | None = None,
        region: str | None = None,
    ) -> Measurement:
        """Return a measurement with a value; uncertainties are one standard deviation in `unit`.

        A computation that ended in NaN or infinity gives a record without a value, of status ``failed``.
        """
        numbers = (value, type_a, type_b, detection_limit)
        if not all(math.isfinite(number) for number in numbers if number is not None):
            return cls.missing(unit, NOT_FINITE, status="failed")
        known = type_a is not None or type_b is not None
        return cls(
            value=float(value),
            unit=unit,
            status=status,
            reason=reason,
            uncertainty=Uncertainty(type_a=type_a, type_b=type_b, method=method) if known else None,
            detection_limit=detection_limit,
            region=region,
        )

    @classmethod
    def missing(
        cls,
        unit: str,
        reason: str,
        *,
        status: Status = "not_assessed",
        detection_limit: float | None = None,
    ) -> Measurement:
        """Return the record of a measurement that was not made, and why."""
        return cls(unit=unit, status=status, reason=reason, detection_limit=detection_limit)

    @classmethod
    def below(cls, unit: str, reason: str, *, limit: float) -> Measurement:
        """Return the record of something looked for and not found, of which `limit` would have been seen."""
        return cls.missing(unit, reason, status="below_detection_limit", detection_limit=limit)


Measurements = dict[str, Measurement]


class Finding(_Frozen):
    """A radiological finding derived from measurements, never a bare threshold without them."""

    name: str = Field(description="name of the catalogue of findings")
    kind: Literal["boolean", "categorical", "ordinal", "numeric"] = Field(
        description="what form its value has"
    )
    state: FindingState = Field(description="present, absent, or why neither")
    value: FiniteFloat | str | None = Field(
        None, description="category, grade or number; none for a boolean finding"
    )
    uncertainty: FiniteFloat | None = Field(
        None, description="standard uncertainty of a numeric value, type A and B together"
    )
    probability: Probability | None = Field(None, description="that a boolean finding is present")
    probabilities: dict[str, Probability] | None = Field(None, description="per category")
    measurements: tuple[str, ...] = Field((), description="keys of the measurements it rests on")
    reason: str | None = Field(None, description="why it was not assessed, or what qualifies it")


class Evidence(_Frozen):
    """What one finding adds to the leading entity, with a sentence for people."""

    finding: str = Field(description="its name")
    contribution: FiniteFloat = Field(description="log-likelihood ratio for EMH against the rest")
    contributions: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="log-likelihood ratio per entity against the rest"
    )
    sentence: str = Field(description="the same for people")


class Abstention(_Frozen):
    """Whether the model declines to name a leader, and why."""

    value: bool = Field(description="true when no leader is named")
    reason: str | None = Field(None, description="why")


def likeliest(posterior: Mapping[str, float]) -> str:
    """Return the entity of the largest probability; the first of several."""
    return max(posterior, key=lambda entity: posterior[entity])


class Differential(_Frozen):
    """Ranked differential: posterior per entity, or none where there is no mass."""

    posterior: dict[str, Probability] | None
    interval: dict[str, tuple[Probability, Probability]] | None = Field(
        None, description="90 % credible interval of each posterior probability"
    )
    prior: dict[str, Probability] | None = Field(None, description="the prior that was used")
    log_likelihood_ratio: dict[str, FiniteFloat] | None = Field(
        None, description="per entity against the rest under the prior's weights"
    )
    subtypes: dict[str, Probability] = Field(default_factory=dict, description="share of each sub-kind")
    evidence: tuple[Evidence, ...] = Field((), description="what each finding adds, largest first")
    abstained: Abstention = Field(Abstention(value=False), description="whether a leader is named")
    masses: tuple[int, ...] = Field((), description="ids of the masses that it speaks for: one, or a pair")
    flags: tuple[str, ...] = Field(
        (), description="warnings that no finding expresses (contact with the aorta …)"
    )
    most_informative_missing: str | None = Field(None, description="what would tell most if it were known")

    @property
    def leader(self) -> str | None:
        """The likeliest entity; none without a posterior or where the model abstains."""
        return likeliest(self.posterior) if self.posterior and not self.abstained.value else None


class LoadCode(_Frozen):
    """One thing that the loader found, repaired or refused."""

    code: str = Field(description="stable name")
    kind: Literal["note", "repair"] = Field(
        "note", description="`repair`: voxels or geometry were changed because of it"
    )
    text: str = Field(description="one sentence")
    numbers: dict[str, FiniteFloat] = Field(default_factory=dict, description="what was counted or measured")
    slices: tuple[int, ...] = Field((), description="source slices concerned")


class Loading(_Frozen):
    """The loader's verdict."""

    verdict: Literal["ok", "repaired"] = Field(description="`repaired` when something was corrected")
    policy: Literal["strict", "repair"] = Field(
        "repair", description="whether certain defects were repaired, or would have been refused"
    )
    codes: tuple[LoadCode, ...] = Field((), description="what was found and repaired")
    chosen_because: str | None = Field(None, description="why this series of the input was taken")
    left_out: tuple[str, ...] = Field(
        (), description="other series of the input, and why they were not taken"
    )


class SeriesInfo(_Frozen):
    """Acquisition facts of the analysed series."""

    uid_digest: str = Field(
        description="digest of the SeriesInstanceUID, or of a derived key when it is missing"
    )
    uid: str | None = Field(None, description="the SeriesInstanceUID itself; only with `--identifiers`")
    modality: str = Field(description="DICOM Modality")
    slices: int = Field(description="number of slices")
    spacing_mm: Point = Field(description="(z, y, x)")
    thickness_mm: FiniteFloat | None = Field(
        None, description="SliceThickness of the headers; not used as spacing"
    )
    kvp: FiniteFloat | None = Field(None, description="tube voltage")
    kernel: str | None = Field(None, description="reconstruction kernel")
    exposure_mas: FiniteFloat | None = Field(None, description="tube current-time product")
    reconstruction: str | None = Field(
        None, description="filtered back-projection, iterative or deep, where given"
    )
    contrast_phase: ContrastPhase = Field("indeterminate", description="judged by headers and aorta")
    contrast_evidence: str | None = Field(None, description="what that judgement rests on")
    manufacturer: str | None = Field(None, description="of the scanner")
    description_digest: str | None = Field(None, description="digest of the SeriesDescription")


class Coverage(_Frozen):
    """How much of one paravertebral compartment could have shown a mass."""

    level: str = Field(description="vertebral level")
    level_confidence: Probability | None = Field(None, description="that the level's name is right")
    side: Literal["left", "right"] = Field(description="the patient's side")
    assessed_fraction: Probability = Field(description="share in which a mass could have been seen")
    reasons: tuple[str, ...] = Field((), description="what hid the rest")
    min_detectable_mm: FiniteFloat | None = Field(
        None, description="smallest mass that would have been found there"
    )


class Canal(_Frozen):
    """The traced spinal canal."""

    centreline_lps_mm: tuple[Point, ...] = Field(description="cranial first")


class VertebraResult(_Frozen):
    """One vertebra with the evidence for its name."""

    label: str = Field(description="most probable level")
    label_probabilities: dict[str, Probability] = Field(description="probability per level")
    centroid_lps_mm: Point = Field(description="centre of the vertebral body")
    confidence: Probability = Field(description="that the label is right")
    evidence: tuple[str, ...] = Field((), description="what the label rests on")
    truncated: tuple[str, ...] = Field((), description="sides on which the scan cuts it off")
    measurements: Measurements = Field(default_factory=dict, description="by key")


class RibResult(_Frozen):
    """One rib."""

    label: str = Field(description="its name in the label map: `rib_left_7`, or one without a sure level")
    side: Side = Field(description="the patient's side")
    bearer: str = Field(description="most probable name of the vertebra that bears it")
    confidence: Probability = Field(description="that the name is right")
    truncated: tuple[str, ...] = Field((), description="sides on which the scan cuts it off")
    measurements: Measurements = Field(default_factory=dict, description="by key")


class OrganResult(_Frozen):
    """Whether an organ was found, and how much of it lies in the scan."""

    presence: Presence = Field(description="`absent` only where the scan shows its place")
    truncated: tuple[str, ...] = Field((), description="sides on which the scan cuts it off")
    confidence: Probability = Field(description="of the presence")
    reason: str | None = Field(None, description="why it is not `present`")


class AnatomyResult(_Frozen):
    """The anatomy on which everything else stands."""

    canal: Canal
    vertebrae: tuple[VertebraResult, ...] = Field(description="cranial first")
    ribs: tuple[RibResult, ...] = Field((), description="left ones, then right ones, cranial first")
    organs: dict[str, OrganResult] = Field(description="by name")
    sources: dict[str, str] = Field(
        default_factory=dict,
        description="the segmenter behind each structure: `classical`, `masks` or `totalsegmentator`",
    )


class KeySlice(_Frozen):
    """The slice with the largest cross-section of a mass."""

    index: int = Field(description="canonical slice index, 0 = most caudal")
    instance_number: int | None = Field(None, description="InstanceNumber of that slice")
    sop_instance_uid: str | None = Field(None, description="of that slice; only with `--identifiers`")


class MassResult(_Frozen):
    """One paraspinal mass."""

    id: int = Field(description="its number in `masses.nii.gz`")
    state: Literal["present", "indeterminate"] = Field(
        description="`indeterminate`: neither confirmed nor explained"
    )
    side: Side = Field(description="the patient's side")
    pair_id: int | None = Field(
        None, description="the same number on masses of both sides that belong together"
    )
    levels: tuple[str, str] = Field(description="(top, bottom)")
    level_probabilities: dict[str, Probability] = Field(
        default_factory=dict, description="that it touches each level"
    )
    centroid_lps_mm: Point = Field(description="centre of mass")
    key_slice: KeySlice = Field(description="the slice with its largest cross-section")
    flags: tuple[str, ...] = Field((), description="warnings, such as contact with the aorta")
    confidence: Probability | None = Field(None, description="that it is a mass")
    measurements: Measurements = Field(description="by key")
    findings: tuple[Finding, ...] = Field(description="derived from its measurements")
    differential: Differential = Field(description="of this mass, from imaging")
    differential_with_context: Differential | None = Field(
        None, description="the same with clinical context; none where no context was given"
    )


class ExplainedAway(_Frozen):
    """A region that could have been a mass but is something known."""

    reason: str = Field(description="what kind of known thing it is")
    structure: str = Field(description="which one")
    volume: FiniteFloat = Field(
        validation_alias=AliasChoices("volume", "volume_ml"), description="its volume in mL"
    )
    centroid_lps_mm: Point = Field(description="centre of mass")
    confidence: Probability = Field(description="of the explanation")

    @property
    def volume_ml(self) -> float:
        """Its volume in mL, under the name that says so."""
        return self.volume


class Provenance(_Frozen):
    """What made this result."""

    software_version: str = Field(description="of paraspinal")
    config: str = Field(description="name of the profile")
    config_digest: str = Field(description="equal for equal settings")
    model: str = Field(description="differential model and its version")
    input_digest: str = Field(description="of the input files that were read")
    started: str = Field(description="ISO 8601, UTC")
    seconds: dict[str, FiniteFloat] = Field(description="per stage")
    peak_rss_mib: FiniteFloat | None = Field(None, description="peak resident memory of the process")
    python: str | None = Field(None, description="version")


class Correction(_Frozen):
    """What a user changed, with what stood there before."""

    kind: Literal["mass_mask", "reject_mass", "override"] = Field(description="option that changed it")
    target: str = Field(description="`mass 2`, or `patient: splenomegaly`")
    before: str = Field(description="what the program had found")
    after: str = Field(description="what the user says")


class AnalysisResult(_Frozen):
    """One analysed series: the whole of ``result.json``."""

    schema_version: str = Field(SCHEMA_VERSION, description="of this form")
    research_use_only: str = Field(
        "Research use only. Not a medical device; not for diagnosis; recommends no procedure or treatment.",
        description="what the result may not be used for",
    )
    provenance: Provenance = Field(description="what made it")
    outcome: Outcome = Field(description="`no_mass` only where the coverage allows it")
    outcome_reason: str = Field(description="one sentence")
    series: SeriesInfo = Field(description="acquisition")
    loading: Loading = Field(description="the loader's verdict")
    coverage: tuple[Coverage, ...] = Field(description="where a mass could and could not have been seen")
    anatomy: AnatomyResult | None = Field(description="none where no spine could be traced")
    masses: tuple[MassResult, ...] = Field(
        description="present ones first, then indeterminate ones, the larger first"
    )
    explained_away: tuple[ExplainedAway, ...] = Field(description="regions that are something known")
    measurements: Measurements = Field(description="of the whole patient, by key")
    findings: tuple[Finding, ...] = Field(description="of the whole patient")
    differential: Differential = Field(description="of the whole patient: that of the leading mass or pair")
    differential_with_context: Differential | None = Field(
        None, description="the same with clinical context; none where no context was given"
    )
    context: tuple[Finding, ...] = Field((), description="clinical context that was given, as findings")
    not_assessed: tuple[str, ...] = Field((), description="what could not be assessed, one sentence each")
    corrections: tuple[Correction, ...] = Field((), description="what a user changed, in the order applied")
