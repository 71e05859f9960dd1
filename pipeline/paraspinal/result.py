"""The published form of a result: what ``result.json`` holds (see ``docs/results.md``).

Units are UCUM and stand in the key where a key is fixed; coordinates are LPS millimetres; times ISO 8601. No
number is written where nothing was measured: a `Measurement` then has a status and a reason, but no value.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

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
    status: Status
    reason: str | None = Field(None, description="why there is no value, or what qualifies it")
    uncertainty: Uncertainty | None = None
    detection_limit: FiniteFloat | None = None
    source_series: str | None = None
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
        """Return a measurement with a value; uncertainties are one standard deviation in `unit`."""
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


Measurements = dict[str, Measurement]


class Finding(_Frozen):
    """A radiological finding derived from measurements, never a bare threshold without them."""

    name: str
    kind: Literal["boolean", "categorical", "ordinal", "numeric"]
    state: FindingState
    value: FiniteFloat | str | None = None
    probability: Probability | None = Field(None, description="that a boolean finding is present")
    probabilities: dict[str, Probability] | None = Field(None, description="per category")
    measurements: tuple[str, ...] = Field((), description="keys of the measurements it rests on")
    reason: str | None = None


class Evidence(_Frozen):
    """What one finding adds to the leading entity, with a sentence for people."""

    finding: str
    contribution: FiniteFloat = Field(description="log-likelihood ratio for EMH against the rest")
    contributions: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="log-likelihood ratio per entity against the rest"
    )
    sentence: str


class Abstention(_Frozen):
    """Whether the model declines to name a leader, and why."""

    value: bool
    reason: str | None = None


class Differential(_Frozen):
    """Ranked differential: posterior per entity, or none where there is no mass."""

    posterior: dict[str, Probability] | None
    interval: dict[str, tuple[Probability, Probability]] | None = Field(
        None, description="90 % credible interval of each posterior probability"
    )
    prior: dict[str, Probability] | None = None
    log_likelihood_ratio: dict[str, FiniteFloat] | None = Field(
        None, description="per entity against the rest under the prior's weights"
    )
    subtypes: dict[str, Probability] = Field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    abstained: Abstention = Abstention(value=False)
    flags: tuple[str, ...] = ()
    most_informative_missing: str | None = None


class LoadCode(_Frozen):
    """One thing that the loader found, repaired or refused."""

    code: str
    text: str
    numbers: dict[str, FiniteFloat] = Field(default_factory=dict)
    slices: tuple[int, ...] = ()


class Loading(_Frozen):
    """The loader's verdict."""

    verdict: Literal["ok", "repaired"]
    codes: tuple[LoadCode, ...] = ()
    chosen_because: str | None = Field(None, description="why this series of the input was taken")
    left_out: tuple[str, ...] = Field(
        (), description="other series of the input, and why they were not taken"
    )


class SeriesInfo(_Frozen):
    """Acquisition facts of the analysed series."""

    uid_digest: str
    modality: str
    slices: int
    spacing_mm: Point = Field(description="(z, y, x)")
    thickness_mm: FiniteFloat | None = None
    kvp: FiniteFloat | None = None
    kernel: str | None = None
    exposure_mas: FiniteFloat | None = None
    reconstruction: str | None = None
    contrast_phase: ContrastPhase = "indeterminate"
    contrast_evidence: str | None = None
    manufacturer: str | None = None
    description_digest: str | None = None


class Coverage(_Frozen):
    """How much of one paravertebral compartment could have shown a mass."""

    level: str
    side: Literal["left", "right"]
    assessed_fraction: Probability
    reasons: tuple[str, ...] = ()
    min_detectable_mm: FiniteFloat | None = None


class Canal(_Frozen):
    """The traced spinal canal."""

    centreline_lps_mm: tuple[Point, ...]


class VertebraResult(_Frozen):
    """One vertebra with the evidence for its name."""

    label: str
    label_probabilities: dict[str, Probability]
    centroid_lps_mm: Point
    confidence: Probability
    evidence: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()
    measurements: Measurements = Field(default_factory=dict)


class OrganResult(_Frozen):
    """Whether an organ was found, and how much of it lies in the scan."""

    presence: Presence
    truncated: tuple[str, ...] = ()
    confidence: Probability


class AnatomyResult(_Frozen):
    """The anatomy on which everything else stands."""

    canal: Canal
    vertebrae: tuple[VertebraResult, ...]
    organs: dict[str, OrganResult]


class KeySlice(_Frozen):
    """The slice with the largest cross-section of a mass."""

    index: int = Field(description="canonical slice index, 0 = most caudal")
    instance_number: int | None = None


class MassResult(_Frozen):
    """One paraspinal mass."""

    id: int
    state: Literal["present", "indeterminate"]
    side: Side
    pair_id: int | None = None
    levels: tuple[str, str] = Field(description="(top, bottom)")
    level_probabilities: dict[str, Probability] = Field(default_factory=dict)
    centroid_lps_mm: Point
    key_slice: KeySlice
    flags: tuple[str, ...] = ()
    confidence: Probability | None = None
    measurements: Measurements
    findings: tuple[Finding, ...]
    differential: Differential


class ExplainedAway(_Frozen):
    """A region that could have been a mass but is something known."""

    reason: str
    structure: str
    volume_ml: FiniteFloat
    centroid_lps_mm: Point
    confidence: Probability


class Provenance(_Frozen):
    """What made this result."""

    software_version: str
    config: str
    config_digest: str
    model: str
    input_digest: str
    started: str
    seconds: dict[str, FiniteFloat]
    peak_rss_mib: FiniteFloat | None = None
    python: str | None = None


class AnalysisResult(_Frozen):
    """One analysed series: the whole of ``result.json``."""

    schema_version: str = SCHEMA_VERSION
    research_use_only: str = (
        "Research use only. Not a medical device; not for diagnosis; recommends no procedure or treatment."
    )
    provenance: Provenance
    outcome: Outcome
    outcome_reason: str
    series: SeriesInfo
    loading: Loading
    coverage: tuple[Coverage, ...]
    anatomy: AnatomyResult | None
    masses: tuple[MassResult, ...]
    explained_away: tuple[ExplainedAway, ...]
    measurements: Measurements
    findings: tuple[Finding, ...]
    differential: Differential
    not_assessed: tuple[str, ...] = Field((), description="what could not be assessed, one sentence each")
