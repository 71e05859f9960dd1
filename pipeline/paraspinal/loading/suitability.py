"""Whether a stack can be analysed at all, and how well it suits a search beside the spine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.frames import FrameError, check_format
from paraspinal.dicomio.headers import CT_CLASSES
from paraspinal.errors import LoadError
from paraspinal.loading.canonical import Canonical, canonical_grid
from paraspinal.loading.codes import refuse
from paraspinal.loading.layout import Layout, lay_out
from paraspinal.loading.sources import shown
from paraspinal.loading.stacks import LOCALIZER_TYPES, Stack

# Image Type values of projections, renderings and captures (PS3.3 C.8.16.1 and vendors' own terms).
_PROJECTIONS = frozenset(
    {
        "MIP",
        "MINIP",
        "MAX_IP",
        "MIN_IP",
        "PROJECTION IMAGE",
        "VOLREN",
        "VOLUME_RENDER",
        "RENDERING",
        "VRT",
        "SSD",
    }
)
# Image Type values of maps that are not Hounsfield units.
_MAPS = frozenset(
    {
        *(
            "PERFUSION",
            "MTT",
            "TTP",
            "CBF",
            "CBV",
            "TMAX",
            "DRAIN",
            "IODINE",
            "IODINE MAP",
            "Z_EFF",
            "EFFECTIVE_Z",
        ),
        *(
            "EFF_ATOMIC_NUM",
            "ELECTRON_DENSITY",
            "MAT_SPECIFIC",
            "MAT_REMOVED",
            "MAT_FRACTIONAL",
            "MAT_MODIFIED",
        ),
        *("CALCIUM", "URIC_ACID", "DOSE_INFO", "SCREEN SAVE"),
    }
)
# Rescale Type values that are, or may be, Hounsfield units (PS3.3 C.11.1.1.2).
_HU_TYPES = frozenset({None, "", "HU", "HU_MOD", "US"})

# Weights of the choice between series: engineering defaults, compared only with one another.
_TORSO_EXTENT_MM = 350.0
_EXTENT_WEIGHT = 4.0
_FIELD_MM = 250.0  # a smaller field shows a head, a limb, or a part of the torso
_THIN = ((1.6, 1.0), (3.1, 0.7), (5.1, 0.3))
_OTHER_BODY_PARTS = ("HEAD", "BRAIN", "SKULL", "SINUS", "KNEE", "ANKLE", "FOOT", "HAND", "WRIST", "ELBOW")
_DEFECT_PENALTY = 2.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stack that is CT, with its score; either a proven layout, or the defect that speaks against it."""

    stack: Stack
    score: float
    layout: Layout | None
    canonical: Canonical | None
    defect: LoadError | None

    @property
    def facts(self) -> str:
        """The stack in a few words."""
        slices = len(self.stack.entries)
        if self.layout is None or self.canonical is None:
            return f"{slices} slices"
        gap = self.layout.geometry.spacing_mm[0]
        kernel = self.stack.header.acquisition.kernel
        plane = "axial" if self.canonical.axes.order[0] == 0 else "not axial"
        return f"{plane}, {slices} slices {gap:.2f} mm apart over {slices * gap:.0f} mm" + (
            f", kernel {kernel}" if kernel else ""
        )


def refusal_of(stack: Stack, *, config: LoadingConfig) -> LoadError | None:
    """Return why a stack cannot be a CT volume whatever its positions are; None if nothing speaks against it."""
    for check in _CHECKS:
        found = check(stack, config)
        if found is not None:
            return found
    return None


def candidate_of(stack: Stack, *, config: LoadingConfig) -> Candidate:
    """Lay out an accepted stack and score it; a defect of geometry costs points and is kept."""
    try:
        layout = lay_out(stack, config=config)
        canonical = canonical_grid(layout.geometry, max_oblique_deg=config.max_oblique_deg)
    except LoadError as defect:
        return Candidate(stack, _score(stack) - _DEFECT_PENALTY, None, None, defect)
    return Candidate(stack, _score(stack), layout, canonical, None)


def _modality(stack: Stack, config: LoadingConfig) -> LoadError | None:
    header = stack.header
    is_ct = header.sop_class in CT_CLASSES or (not header.sop_class and header.modality == "CT")
    if is_ct and header.modality in ("", "CT"):
        return None
    what = header.modality or "not stated"
    if is_ct:
        message = f"The {stack.label} has the object class of CT but the modality {what}."
    elif header.modality == "CT":
        message = f"The {stack.label} comes from CT but holds no CT slices (captures or a report)."
    else:
        message = f"The {stack.label} is not CT (modality {what})."
    return refuse("not_ct", message, modality=what, images=len(stack.entries))


def _kind(stack: Stack, config: LoadingConfig) -> LoadError | None:
    kinds = set(stack.header.image_type)
    if kinds & LOCALIZER_TYPES:
        return refuse("localizer", f"The {stack.label} is a localizer.", images=len(stack.entries))
    if kinds & _PROJECTIONS:
        return refuse("projection_image", f"The {stack.label} holds projections, not slices.")
    return None


def _values(stack: Stack, config: LoadingConfig) -> LoadError | None:
    if not _MAPS.isdisjoint(stack.header.image_type):
        return refuse("not_hounsfield", f"The {stack.label} holds a map that is not in Hounsfield units.")
    rescales = [entry.header.rescale for entry in stack.entries]
    kinds = {rescale.kind for rescale in rescales}
    if any(rescale.has_table for rescale in rescales) or not kinds <= _HU_TYPES:
        return refuse("not_hounsfield", f"The values of {stack.label} are not in Hounsfield units.")
    if len({rescale.known for rescale in rescales}) > 1:
        return refuse(
            "mixed_rescale",
            f"Some slices of {stack.label} state a conversion to Hounsfield units, others not.",
        )
    return None


def _pixels(stack: Stack, config: LoadingConfig) -> LoadError | None:
    for entry in stack.entries:
        form = entry.header.pixels
        if form is None:
            return refuse(
                "no_pixel_data",
                f"{shown(entry.file.name)} of {stack.label} holds no pixel data.",
                file=shown(entry.file.name),
            )
        try:
            check_format(form)
        except FrameError as error:
            return refuse(
                error.code,
                f"{shown(entry.file.name)} of {stack.label} cannot be taken: {error}.",
                file=shown(entry.file.name),
            )
        if form.frames > 1 and entry.header.frame is None:
            return refuse(
                "enhanced_multiframe",
                f"{shown(entry.file.name)} holds {form.frames} frames without a position for each.",
                frames=form.frames,
            )
    return None


def _size(stack: Stack, config: LoadingConfig) -> LoadError | None:
    form = stack.header.pixels
    count = len(stack.entries)
    if form is not None:
        gib = form.rows * form.columns * count * 2 / 2**30
        if gib > config.max_volume_gib:
            return refuse(
                "too_large",
                f"The {stack.label} decodes to {gib:.1f} GiB (loading.max_volume_gib).",
                gib=round(gib, 2),
            )
    if count < config.min_slices:
        return refuse(
            "too_few_slices",
            f"The {stack.label} has {count} slice{'s' if count > 1 else ''}; {config.min_slices} are needed.",
            slices=count,
            needed=config.min_slices,
        )
    return None


_CHECKS: tuple[Callable[[Stack, LoadingConfig], LoadError | None], ...] = (
    _modality,
    _kind,
    _pixels,
    _size,
    _values,
)


def _score(stack: Stack) -> float:
    """Return how well a stack suits a search beside the thoracic and lumbar spine (higher is better)."""
    header = stack.header
    columns = 0 if header.pixels is None else header.pixels.columns
    field_mm = columns * (header.plane.spacing or (0.0, 0.0))[1]
    extent, gap = _extent(stack)
    score = _EXTENT_WEIGHT * min(extent, _TORSO_EXTENT_MM) / _TORSO_EXTENT_MM
    score += next((points for limit, points in _THIN if gap <= limit), 0.0)
    score += _kernel_points(header.acquisition.kernel)
    score += 1.0 if _is_axial(header.plane.orientation) else 0.0
    score -= 1.0 if field_mm < _FIELD_MM else 0.0
    score -= 2.0 if any(part in (header.body_part or "").upper() for part in _OTHER_BODY_PARTS) else 0.0
    score -= 0.1 if "DERIVED" in header.image_type else 0.0
    return score


def _is_axial(orientation: tuple[float, ...] | None) -> bool:
    """Tell whether the slices' normal runs along the body rather than across it."""
    if orientation is None:
        return False
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return bool(normal.argmax() == 2)


def _extent(stack: Stack) -> tuple[float, float]:
    """Return length and typical gap in mm, as far as the positions tell."""
    positions = [e.header.plane.position for e in stack.entries if e.header.plane.position is not None]
    if len(positions) < 2:
        return 0.0, np.inf
    spread = np.ptp(np.asarray(positions, dtype=np.float64), axis=0)
    length = float(np.linalg.norm(spread))
    return length, length / (len(positions) - 1)


def _kernel_points(kernel: str | None) -> float:
    """Favour soft kernels slightly: noise of a sharp one hides soft-tissue density."""
    name = (kernel or "").upper()
    if any(word in name for word in ("LUNG", "BONE", "EDGE", "SHARP")):
        return -0.3
    # Siemens B/Br/I/Bl + number: 20–45 is soft, 60 and more is sharp.
    digits = "".join(c for c in name.split("\\")[0] if c.isdigit())[:2]
    if name[:1] in ("B", "I", "Q") and digits:
        return -0.3 if int(digits) >= 60 else 0.3
    return 0.3 if any(word in name for word in ("STANDARD", "SOFT", "BODY")) else 0.0
