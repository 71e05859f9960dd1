"""How well a series suits a search beside the thoracic and lumbar spine, as points with a reason each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.canonical import Canonical, canonical_grid
from paraspinal.loading.codes import refuse
from paraspinal.loading.hounsfield import conversion, odd_scale, stored_range
from paraspinal.loading.kernels import sharpness_of
from paraspinal.loading.layout import Layout, lay_out
from paraspinal.loading.refusals import refusal_of
from paraspinal.loading.separate import separate
from paraspinal.loading.sources import shown
from paraspinal.loading.stacks import Stack, numbered

# Weights of the choice between series: engineering defaults, compared only with one another.
_TORSO_EXTENT_MM = 350.0
_EXTENT_WEIGHT = 4.0
_FIELD_MM = 250.0  # a smaller field shows a head, a limb, or a part of the torso
_THIN = ((1.6, 1.0), (3.1, 0.7), (5.1, 0.3))
_OTHER_BODY_PARTS = ("HEAD", "BRAIN", "SKULL", "SINUS", "KNEE", "ANKLE", "FOOT", "HAND", "WRIST", "ELBOW")
_DEFECT_PENALTY = 2.0
_REPAIR_PENALTY = 0.5

Reason = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One series of an input: a layout to load, or what speaks against it.

    ``refusal`` is set for what is no CT volume at all, ``defect`` for a CT series that lies on no grid.
    """

    stack: Stack
    reasons: tuple[Reason, ...] = ()
    layout: Layout | None = None
    canonical: Canonical | None = None
    defect: LoadError | None = None
    refusal: LoadError | None = None

    @property
    def score(self) -> float:
        """Sum of the points."""
        return sum(points for _, points in self.reasons)

    @property
    def loadable(self) -> bool:
        """Whether the headers allow this series to be loaded."""
        return self.layout is not None

    @property
    def plane(self) -> str:
        """The plane of the images."""
        return "not known" if self.canonical is None else self.canonical.plane

    @property
    def facts(self) -> str:
        """The series in a few words."""
        slices = len(self.stack.entries)
        if self.layout is None or self.canonical is None:
            return f"{slices} slices"
        gap = self.layout.geometry.spacing_mm[0]
        covered = self.layout.geometry.shape[0] * gap
        kernel = self.stack.header.acquisition.kernel
        plane = "axial" if self.plane == "axial" else "not axial"
        return f"{plane}, {slices} slices {gap:.2f} mm apart over {covered:.0f} mm" + (
            f", kernel {kernel}" if kernel else ""
        )


def candidates_of(stacks: Sequence[Stack], *, config: LoadingConfig) -> tuple[Candidate, ...]:
    """Return every series of an input, those that hold several scans taken apart, best first."""
    parts: list[tuple[Stack, LoadError | None]] = []
    for stack in stacks:
        if _refusal(stack, config) is not None:
            parts.append((stack, None))
            continue
        try:
            parts.extend((part, None) for part in separate(stack, config=config))
        except LoadError as defect:  # the policy is strict
            parts.append((stack, defect))
    names = numbered([stack for stack, _ in parts])
    found = [
        candidate_of(stack, config=config, defect=defect)
        for stack, (_, defect) in zip(names, parts, strict=True)
    ]
    return tuple(sorted(found, key=lambda c: (c.refusal is not None, -c.score)))


def candidate_of(stack: Stack, *, config: LoadingConfig, defect: LoadError | None = None) -> Candidate:
    """Lay out one stack and score it; a defect of its geometry costs points and is kept."""
    refusal = _refusal(stack, config)
    if refusal is not None:
        return Candidate(stack, refusal=refusal)
    reasons = tuple(_reasons(stack))
    if defect is None:
        try:
            layout = lay_out(stack, config=config)
            canonical = canonical_grid(layout.geometry, max_oblique_deg=config.max_oblique_deg)
        except LoadError as error:
            defect = error
        else:
            repairs = sum(code.kind == "repair" for code in layout.notes)
            if repairs:
                reasons = (*reasons, ("needs repair", -_REPAIR_PENALTY))
            return Candidate(stack, reasons, layout, canonical)
    return Candidate(stack, (*reasons, (f"defect: {defect.code}", -_DEFECT_PENALTY)), defect=defect)


def _refusal(stack: Stack, config: LoadingConfig) -> LoadError | None:
    return refusal_of(stack, config=config) or _odd_scale(stack)


def _odd_scale(stack: Stack) -> LoadError | None:
    """Return the refusal of images whose scale cannot be one of Hounsfield units."""
    for entry in stack.entries:
        form = entry.header.pixels
        if form is None:
            continue
        slope, intercept = conversion(entry.header.rescale)
        if (problem := odd_scale(slope, intercept, stored_range(form))) is not None:
            name = shown(entry.file.name)
            return refuse(
                "not_hounsfield", f"The conversion of {name} of {stack.label} {problem}.", file=name
            )
    return None


def _reasons(stack: Stack) -> list[Reason]:
    """Return the points of a stack (higher is better) with the reason for each; none that are zero."""
    header = stack.header
    columns = 0 if header.pixels is None else header.pixels.columns
    field_mm = columns * (header.plane.spacing or (0.0, 0.0))[1]
    extent, gap = _extent(stack)
    part = (header.body_part or "").upper()
    found: list[Reason] = [
        (f"extent {extent:.0f} mm", _EXTENT_WEIGHT * min(extent, _TORSO_EXTENT_MM) / _TORSO_EXTENT_MM),
        (f"slices {gap:.2f} mm apart", next((points for limit, points in _THIN if gap <= limit), 0.0)),
        (f"kernel {header.acquisition.kernel}", _kernel_points(header.acquisition.kernel)),
        ("axial", 1.0 if _is_axial(header.plane.orientation) else 0.0),
        (f"field of {field_mm:.0f} mm is small", -1.0 if field_mm < _FIELD_MM else 0.0),
        (f"body part {part.lower()}", -2.0 if any(other in part for other in _OTHER_BODY_PARTS) else 0.0),
        ("derived images", -0.1 if "DERIVED" in header.image_type else 0.0),
    ]
    return [(reason, round(points, 3)) for reason, points in found if points]


def _is_axial(orientation: tuple[float, ...] | None) -> bool:
    """Tell whether the slices' normal runs along the body rather than across it."""
    if orientation is None:
        return False
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return bool(normal.argmax() == 2)


def _extent(stack: Stack) -> tuple[float, float]:
    """Return length, edges of the outer slices included, and typical gap in mm, as far as the positions tell."""
    positions = [e.header.plane.position for e in stack.entries if e.header.plane.position is not None]
    if len(positions) < 2:
        return 0.0, np.inf
    spread = np.ptp(np.asarray(positions, dtype=np.float64), axis=0)
    length = float(np.linalg.norm(spread))
    gap = length / (len(positions) - 1)
    return length + gap, gap


def _kernel_points(kernel: str | None) -> float:
    """Favour soft kernels slightly: noise of a sharp one hides soft-tissue density."""
    return {"soft": 0.3, "sharp": -0.3, None: 0.0}[sharpness_of(kernel)]
