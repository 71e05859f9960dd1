"""Why a stack cannot be a CT volume, whatever the positions of its images are: told from the headers alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from paraspinal.config import LoadingConfig
from paraspinal.dicomio.frames import FrameError, check_format
from paraspinal.dicomio.headers import CT_CLASSES, ImageHeader
from paraspinal.errors import LoadError
from paraspinal.loading.codes import refuse
from paraspinal.loading.image_kind import stated_kind
from paraspinal.loading.sources import shown
from paraspinal.loading.stacks import Stack

# The same told by a description, for writers whose Image Type says no more than DERIVED. Only words that cannot
# name an ordinary reconstruction: "perfusion" names a protocol whose images are in Hounsfield units.
_MAP_WORDS = re.compile(
    r"\b(iodine[ _-]?(map|overlay|density|no[ _-]?water)|(water|calcium|iodine)[ _]?\((iodine|water|calcium)\)"
    r"|z[ _-]?eff\w*|effective[ _-]?z|electron[ _-]?dens\w*|rho[ /_-]?z|mtt|cbf|cbv|ttp|tmax|uric[ _-]?acid"
    r"|vnc|virtual[ _-]?non[ _-]?contrast)\b",
    re.IGNORECASE,
)
_PROJECTION_WORDS = re.compile(r"\b(mip|minip|vrt|volume[ _-]?render\w*|3d[ _-]?render\w*)\b", re.IGNORECASE)
_LOCALIZER_WORDS = re.compile(r"\b(scout|topogram|localizer|surview|scanogram)\b", re.IGNORECASE)
# Rescale Type values that are, or may be, Hounsfield units (PS3.3 C.11.1.1.2).
_HU_TYPES = frozenset({None, "", "HU", "HU_MOD", "US"})
_CONE_BEAM = re.compile(
    r"\b(cbct|cone[ _-]?beam|dyna ?ct|xper ?ct|xvi|on[ _-]?board imag\w*)\b", re.IGNORECASE
)
_VIRTUAL_ENERGY_TYPES = frozenset(
    {"VMI", "MONO", "MONOENERGETIC", "MONO_E", "MONOPLUS", "MONO_PLUS", "GSI_MONO"}
)
# A number only counts beside its word: "monophasic", or a kernel behind it, is no energy.
_VIRTUAL_ENERGY_WORDS = re.compile(
    r"\b(?:vmi|mono(?:[ _-]?(?:e|plus|energetic|chromatic))?)\b[+ :_=-]{0,3}(\d{2,3})(?![\d.])|(\d{2,3}) ?kev\b",
    re.IGNORECASE,
)


def refusal_of(stack: Stack, *, config: LoadingConfig) -> LoadError | None:
    """Return why a stack cannot be a CT volume; None if nothing in the headers speaks against it."""
    for check in _CHECKS:
        found = check(stack, config)
        if found is not None:
            return found
    return None


def is_localizer(header: ImageHeader) -> bool:
    """Tell whether an image is a localizer (scout, topogram)."""
    return stated_kind(header) == "localizer" or bool(
        "ORIGINAL" not in header.image_type and _LOCALIZER_WORDS.search(_words(header))
    )


def virtual_energy_kev(header: ImageHeader) -> float | None:
    """Return the energy of a virtual monoenergetic image in keV; 0 where it does not say which, None for others."""
    found = _VIRTUAL_ENERGY_WORDS.search(_words(header))
    kev = float(found.group(1) or found.group(2)) if found else 0.0
    stated = not _VIRTUAL_ENERGY_TYPES.isdisjoint(header.image_type)
    return kev if stated or kev else None


def _words(header: ImageHeader) -> str:
    return header.acquisition.series_description or ""


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
    header = stack.header
    if is_localizer(header):
        return refuse("localizer", f"The {stack.label} is a localizer.", images=len(stack.entries))
    derived = "ORIGINAL" not in header.image_type
    if stated_kind(header) == "projection" or (derived and _PROJECTION_WORDS.search(_words(header))):
        return refuse("projection_image", f"The {stack.label} holds projections, not slices.")
    words = " ".join(t for t in (_words(header), header.acquisition.manufacturer) if t)
    if _CONE_BEAM.search(words) or "CONE_BEAM" in header.image_type or "CBCT" in header.image_type:
        return refuse("cone_beam", f"The {stack.label} comes from a cone-beam scanner.")
    return None


def _values(stack: Stack, config: LoadingConfig) -> LoadError | None:
    header = stack.header
    named = "ORIGINAL" not in header.image_type and _MAP_WORDS.search(_words(header))
    if stated_kind(header) == "map" or named:
        return refuse("not_hounsfield", f"The {stack.label} holds a map that is not in Hounsfield units.")
    rescales = [entry.header.rescale for entry in stack.entries]
    kinds = {rescale.kind for rescale in rescales}
    if any(rescale.has_table for rescale in rescales) or not kinds <= _HU_TYPES:
        return refuse("not_hounsfield", f"The values of {stack.label} are not in Hounsfield units.")
    if any(rescale.slope is not None and rescale.slope < 0 for rescale in rescales):
        return refuse(
            "not_hounsfield", f"The conversion of {stack.label} turns dense into light (slope < 0)."
        )
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
