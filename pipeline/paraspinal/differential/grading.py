"""From a measurement and its uncertainty to the probability of a finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def counted(name: str, measurements: Measurements, key: str, *, config: DifferentialConfig) -> Finding:
    """Return a boolean finding that is present when one thing or more was counted.

    None counted, with a detection limit, is improbable; none counted in a part (cut off) or without a limit is not
    assessed.
    """
    m = measurements.get(key)
    if m is None:
        return not_assessed(name, f"{key} was not measured", (key,))
    unseen = config.unseen_probability
    if m.value is not None and m.value >= 1.0:
        return boolean(name, 1.0 - unseen, (key,), config=config, reason=m.reason)
    if m.status == "below_detection_limit" and m.detection_limit is not None:
        return boolean(name, unseen, (key,), config=config, reason=m.reason)
    return not_assessed(name, m.reason or f"{key}: {m.status}", (key,))


def either(name: str, parts: Sequence[Finding], *, config: DifferentialConfig) -> Finding:
    """Return the finding that at least one of `parts` is present; absent needs every one of them judged."""
    keys = tuple(dict.fromkeys(key for part in parts for key in part.measurements))
    told = [part.probability for part in parts if part.probability is not None]
    p = 1.0 - math.prod(1.0 - q for q in told)
    if len(told) == len(parts) or p >= config.present_from:
        return boolean(name, p, keys, config=config)
    reason = next((part.reason for part in parts if part.probability is None and part.reason), "not measured")
    return not_assessed(name, reason, keys)


def probability_above(
    m: Measurement, threshold: float, *, config: DifferentialConfig, threshold_sd: float = 0.0
) -> float | None:
    """Return P(true value > threshold), or None where the measurement does not tell.

    A lower bound (an organ cut off by the scan) tells only when the visible part alone exceeds the threshold.
    Below a detection limit the true value is taken as uniform between 0 and the limit; without a limit nothing is
    known of what could have been seen.
    """
    if m.status == "below_detection_limit":
        return None if m.detection_limit is None else _unseen(m.detection_limit, threshold, config)
    if m.value is None:
        return None
    p = _normal_above(m, threshold, threshold_sd, config)
    if m.status == "lower_bound" and p < config.present_from:
        return None
    return p


def _unseen(limit: float, threshold: float, config: DifferentialConfig) -> float:
    allowed = 1.0 - threshold / limit if limit > threshold else 0.0
    return min(0.5, max(allowed, config.unseen_probability))


def _normal_above(m: Measurement, threshold: float, threshold_sd: float, config: DifferentialConfig) -> float:
    assert m.value is not None
    sd = m.uncertainty.combined if m.uncertainty is not None else 0.0
    if sd <= 0.0:
        sd = config.default_relative_sd * abs(threshold)
    sd = math.hypot(sd, threshold_sd)
    p = 0.5 * math.erfc((threshold - m.value) / (sd * math.sqrt(2.0)))
    return min(max(p, 1.0 - config.surest_probability), config.surest_probability)


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
