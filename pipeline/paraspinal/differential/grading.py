"""From a measurement and its uncertainty to the probability of a finding."""

from __future__ import annotations

import math

from paraspinal.config import DifferentialConfig
from paraspinal.result import Finding, FindingState, Measurement, Measurements


def graded(
    name: str,
    measurements: Measurements,
    key: str,
    threshold: float,
    *,
    config: DifferentialConfig,
    below: bool = False,
) -> Finding:
    """Return a boolean finding: the measurement lies above (or `below`) the threshold.

    The measurement's combined standard uncertainty makes it a probability, by a normal distribution. A
    measurement that was not made gives ``not_assessed``, never absent.
    """
    measurement = measurements.get(key)
    if measurement is None:
        return not_assessed(name, f"{key} was not measured", (key,))
    p = probability_above(measurement, threshold, config=config)
    if p is None:
        return not_assessed(name, measurement.reason or f"{key}: {measurement.status}", (key,))
    return boolean(name, 1.0 - p if below else p, (key,), config=config, reason=measurement.reason)


def probability_above(m: Measurement, threshold: float, *, config: DifferentialConfig) -> float | None:
    """Return P(true value > threshold), or None where the measurement does not tell.

    A lower bound (an organ cut off by the scan) tells only when the visible part alone exceeds the threshold.
    Below a detection limit the true value is taken as uniform between 0 and the limit.
    """
    if m.status == "below_detection_limit":
        return _unseen(m.detection_limit, threshold, config)
    if m.value is None:
        return None
    p = _normal_above(m, threshold, config)
    if m.status == "lower_bound" and p < config.present_from:
        return None
    return p


def _unseen(limit: float | None, threshold: float, config: DifferentialConfig) -> float:
    if limit is None:
        return config.unseen_probability
    allowed = 1.0 - threshold / limit if limit > threshold else 0.0
    return min(0.5, max(allowed, config.unseen_probability))


def _normal_above(m: Measurement, threshold: float, config: DifferentialConfig) -> float:
    assert m.value is not None
    sd = m.uncertainty.combined if m.uncertainty is not None else 0.0
    if sd <= 0.0:
        sd = config.default_relative_sd * abs(threshold)
    return 0.5 * math.erfc((threshold - m.value) / (sd * math.sqrt(2.0)))


def boolean(
    name: str,
    probability: float,
    keys: tuple[str, ...],
    *,
    config: DifferentialConfig,
    reason: str | None = None,
) -> Finding:
    """Return a boolean finding with the state that its probability deserves."""
    state: FindingState = "indeterminate"
    if probability >= config.present_from:
        state = "present"
    elif probability <= config.absent_to:
        state = "absent"
    return Finding(
        name=name, kind="boolean", state=state, probability=probability, measurements=keys, reason=reason
    )


def not_assessed(name: str, reason: str, keys: tuple[str, ...] = ()) -> Finding:
    """Return the record of a boolean finding that could not be judged, and why."""
    return Finding(name=name, kind="boolean", state="not_assessed", measurements=keys, reason=reason)
