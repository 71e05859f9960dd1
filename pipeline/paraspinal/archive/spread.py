"""How measurements are spread over a cohort, and which lie far from all others; values that were measured alone.

A lower bound is a mass that the scan cuts off, and a value below the limit is noise: neither says how large what it
stands for is. They are counted beside the values, not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

_OUTLIER_Z = 4.0
_LEAST_FOR_OUTLIERS = 20
_MEASURED = "measured"
_NOT_SEEN = ("not_in_view", "not_assessed", "failed")


class Measure(NamedTuple):
    """A measurement that the page shows: of what it is, its key, and a title."""

    kind: str
    name: str
    title: str


MEASURES = (
    Measure("mass", "volume_ml", "Volume of masses"),
    Measure("mass", "attenuation_mean_hu", "Mean attenuation of masses"),
    Measure("patient", "spleen_volume_ml", "Spleen"),
    Measure("patient", "liver_volume_ml", "Liver"),
    Measure("patient", "noise_sd_hu", "Noise"),
    Measure("vertebra", "trabecular_hu", "Trabecular bone, all levels"),
)


@dataclass(frozen=True, slots=True)
class Values:
    """The measured values of one measure: columns case, scope and value; and how many others there are by status."""

    measure: Measure
    table: pa.Table
    others: tuple[tuple[str, int], ...]

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values alone."""
        return np.asarray(self.table["value"].to_numpy(), np.float64)


@dataclass(frozen=True, slots=True)
class Outlier:
    """A measurement far from those of all other cases: robust z, |value − median| / (1.4826 · MAD)."""

    case: str
    scope: str
    name: str
    value: float
    z: float


def read_values(folder: Path) -> list[Values]:
    """Return the values of every measure from the table of measurements in a folder."""
    if not folder.exists():
        return []
    data = ds.dataset(folder, format="parquet", partitioning="hive")
    return [_values(data, measure) for measure in MEASURES]


def _values(data: ds.Dataset, measure: Measure) -> Values:
    own = (pc.field("scope_kind") == measure.kind) & (pc.field("name") == measure.name)
    table = data.to_table(
        columns=["case", "scope", "value", "status"], filter=own & ~pc.field("status").isin(_NOT_SEEN)
    )
    measured = pc.equal(table["status"], _MEASURED)
    others = table.filter(pc.invert(measured))["status"].value_counts().to_pylist()
    counts = sorted((str(one["values"]), int(one["counts"])) for one in others)
    return Values(measure, table.filter(measured).drop_columns(["status"]), tuple(counts))


def outliers(found: Sequence[Values]) -> list[Outlier]:
    """Return what lies far from the median of its measure, the farthest first."""
    out: list[Outlier] = []
    for values in found:
        if values.table.num_rows < _LEAST_FOR_OUTLIERS:
            continue
        z = robust_z(values.numbers)
        (far,) = np.nonzero(np.abs(z) >= _OUTLIER_Z)
        for row, own in zip(values.table.take(far).to_pylist(), z[far].tolist(), strict=True):
            out.append(Outlier(row["case"], row["scope"], values.measure.name, row["value"], own))
    return sorted(out, key=lambda o: -abs(o.z))


def robust_z(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return how far values lie from their median, in standard deviations told from the median deviation."""
    array = np.asarray(values, np.float64)
    middle = np.median(array)
    spread = 1.4826 * float(np.median(np.abs(array - middle)))
    return np.asarray((array - middle) / spread if spread > 0 else np.zeros(len(array)))
