"""The tables of a cohort: columns with types, units and meaning, declared once for Parquet and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from paraspinal.result import ENTITIES, SCHEMA_VERSION


class Column(NamedTuple):
    """One column: name, Arrow type, unit (UCUM, empty for none) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_TEXT, _NUMBER, _WHOLE, _FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()
_CASE = Column("case", _TEXT, "", "keyed digest of the series")
_SCOPE = (
    Column("scope_kind", _TEXT, "", "patient, mass, vertebra or rib"),
    Column("scope", _TEXT, "", "patient, mass 1 …, T9 …"),
)
_ABSTAINED = Column("abstained", _FLAG, "", "whether the model names no leading entity; none without a mass")
_CASES = (
    _CASE,
    Column("study", _TEXT, "", "keyed digest of the study"),
    Column("status", _TEXT, "", "done, refused, failed, not_selected, waiting"),
    Column(
        "code",
        _TEXT,
        "",
        "why it was refused, failed or not selected; result_unreadable where one is missing",
    ),
    Column("attempts", _WHOLE, "1", "how often it was tried"),
    Column("seconds", _NUMBER, "s", "wall time of the last attempt"),
    Column("peak_mib", _NUMBER, "MiBy", "largest resident memory of the last attempt"),
    Column("outcome", _TEXT, "", "mass, no_mass, inconclusive, not_assessable"),
    Column("verdict", _TEXT, "", "ok or repaired, of the loader"),
    Column("modality", _TEXT, "", "DICOM modality"),
    Column("region", _TEXT, "", "part of the body that the headers state"),
    Column("year", _WHOLE, "", "of acquisition; the day stays in the catalogue"),
    Column("slices", _WHOLE, "1", "slices"),
    Column("slice_spacing_mm", _NUMBER, "mm", "distance of slices"),
    Column("pixel_mm", _NUMBER, "mm", "distance of pixels within a row"),
    Column("thickness_mm", _NUMBER, "mm", "slice thickness of the headers"),
    Column("kvp", _NUMBER, "kV", "tube voltage"),
    Column("kernel", _TEXT, "", "reconstruction kernel"),
    Column("contrast_phase", _TEXT, "", "judged by headers and aorta"),
    Column("masses", _WHOLE, "1", "masses in state present"),
    Column("leading", _TEXT, "", "leading entity; none where the model abstains"),
    _ABSTAINED,
    Column("emh_llr", _NUMBER, "", "log-likelihood ratio of EMH against the rest (natural logarithm)"),
    *(Column(f"p_{entity}", _NUMBER, "1", f"posterior probability of {entity}") for entity in ENTITIES),
    Column("prior", _TEXT, "", "the prior's probabilities as text"),
    Column("software_version", _TEXT, "", "of paraspinal"),
    Column("config_digest", _TEXT, "", "of the configuration"),
    Column("model", _TEXT, "", "name and version of the differential model"),
    Column("input_digest", _TEXT, "", "of the bytes that were read"),
)
_MASSES = (
    _CASE,
    Column("mass", _WHOLE, "1", "its number in the case"),
    Column("state", _TEXT, "", "present or indeterminate"),
    Column("side", _TEXT, "", "the patient's side: left, right, midline"),
    Column("pair", _WHOLE, "1", "number that masses of both sides share"),
    Column("top_level", _TEXT, "", "uppermost vertebra"),
    Column("bottom_level", _TEXT, "", "lowest vertebra"),
    Column("flags", _TEXT, "", "warnings, with a space between"),
    Column("leading", _TEXT, "", "leading entity; none where the model abstains"),
    _ABSTAINED,
    Column("emh_llr", _NUMBER, "", "log-likelihood ratio of EMH against the rest"),
    *(Column(f"p_{entity}", _NUMBER, "1", f"posterior probability of {entity}") for entity in ENTITIES),
)
_MEASUREMENTS = (
    _CASE,
    *_SCOPE,
    Column("name", _TEXT, "", "key of the measurement; its unit stands in it"),
    Column("value", _NUMBER, "", "in `unit`; none where nothing was measured"),
    Column("unit", _TEXT, "", "UCUM"),
    Column("status", _TEXT, "", "measured, below_detection_limit, lower_bound, interpolated, not_in_view …"),
    Column("reason", _TEXT, "", "why there is no value, or what qualifies it"),
    Column("type_a", _NUMBER, "", "standard uncertainty from repeated read-out, in `unit`"),
    Column("type_b", _NUMBER, "", "standard uncertainty from calibration, in `unit`"),
    Column("detection_limit", _NUMBER, "", "in `unit`"),
)
_FINDINGS = (
    _CASE,
    *_SCOPE,
    Column("name", _TEXT, "", "name of the finding"),
    Column("state", _TEXT, "", "present, absent, indeterminate, not_assessed"),
    Column("value", _TEXT, "", "category, grade or number as text"),
    Column("probability", _NUMBER, "1", "that it is present"),
    Column("reason", _TEXT, "", "why it was not assessed"),
)
TABLES: Mapping[str, Sequence[Column]] = {
    "cases": _CASES,
    "masses": _MASSES,
    "measurements": _MEASUREMENTS,
    "findings": _FINDINGS,
}
"""Tables by name. `measurements` and `findings` are partitioned by ``scope_kind``."""
PARTITIONED = frozenset({"measurements", "findings"})
PARTITION_COLUMN = "scope_kind"


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a table, units and meanings as metadata of its fields."""
    fields = [
        pa.field(c.name, c.type, metadata={"unit": c.unit, "meaning": c.meaning})
        for c in TABLES[table]
        if not (table in PARTITIONED and c.name == PARTITION_COLUMN)
    ]
    return pa.schema(fields, metadata={"paraspinal_table": table, "paraspinal_schema": SCHEMA_VERSION})
