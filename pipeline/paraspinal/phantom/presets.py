"""Named phantoms: the article's case, a healthy control, one mass to choose, and mimics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from paraspinal.errors import UsageError
from paraspinal.phantom.spec import BoneSpec, Foci, MassSide, MassSpec, OrganSpec, PhantomSpec

COARSE_BONE = BoneSpec(strut_spacing_mm=3.5, cortex_mm=0.55)

# Extramedullary haematopoiesis as in Agarwala 2006: well defined, bilateral, lower thoracic, no calcification,
# focal low densities, no erosion, coarse trabeculae, enlarged liver and spleen, a large splenic lesion.
_EMH_FOCI = Foci(count=5, diameter_mm=11.0, hu_delta=-38.0)


def _emh() -> PhantomSpec:
    return PhantomSpec(
        name="emh",
        seed=2006,
        bone=COARSE_BONE,
        organs=OrganSpec(
            spleen_scale=9.0,
            spleen_lesion=Foci(count=1, diameter_mm=42.0, hu_delta=-30.0),
            liver_scale=1.7,
            blood_hu=34.0,
        ),
        masses=(
            MassSpec(
                "right",
                "T9",
                (25.0, 20.0, 33.0),
                shape="lobulated",
                low_density=_EMH_FOCI,
                offset_mm=(0, 0, -6),
            ),
            MassSpec(
                "left",
                "T9",
                (24.0, 19.0, 31.0),
                shape="lobulated",
                low_density=_EMH_FOCI,
                offset_mm=(0, 0, -10),
            ),
        ),
    )


def _healthy() -> PhantomSpec:
    return PhantomSpec(name="healthy", seed=17)


def single_mass(
    *, side: MassSide = "right", level: str = "T9", diameter_mm: float = 30.0, seed: int = 5
) -> PhantomSpec:
    """Return a phantom with one round, homogeneous, well-defined mass."""
    r = diameter_mm / 2
    return PhantomSpec(
        name="single-mass", seed=seed, masses=(MassSpec(side, level, (r, r, r), overlap_mm=min(4.0, r / 4)),)
    )


def _schwannoma() -> PhantomSpec:
    mass = MassSpec(
        "right", "T8", (17.0, 16.0, 19.0), hu=32.0, bone="foramen", overlap_mm=3.0, offset_mm=(4, 0, -9)
    )
    return PhantomSpec(name="schwannoma", seed=8, masses=(mass,))


def _abscess() -> PhantomSpec:
    sides: tuple[MassSide, MassSide] = ("left", "right")
    masses = tuple(
        MassSpec(
            side,
            "T10",
            (17.0, 15.0, 30.0),
            shape="lobulated",
            hu=14.0,
            enhancement_hu=0.0,
            rim_hu=75.0,
            edge_width_mm=3.0,
            bone="lytic",
            overlap_mm=7.0,
        )
        for side in sides
    )
    return PhantomSpec(name="abscess", seed=31, phase="portal", masses=masses)


def _metastasis() -> PhantomSpec:
    mass = MassSpec(
        "left",
        "T11",
        (19.0, 17.0, 20.0),
        shape="lobulated",
        hu=42.0,
        bone="lytic",
        overlap_mm=14.0,
        edge_width_mm=4.0,
    )
    return PhantomSpec(name="metastasis", seed=41, masses=(mass,))


def _effusion() -> PhantomSpec:
    return PhantomSpec(
        name="effusion", seed=53, organs=OrganSpec(effusion_right_mm=45.0, effusion_left_mm=18.0)
    )


PRESETS: dict[str, Callable[[], PhantomSpec]] = {
    "emh": _emh,
    "healthy": _healthy,
    "single-mass": single_mass,
    "schwannoma": _schwannoma,
    "abscess": _abscess,
    "metastasis": _metastasis,
    "effusion": _effusion,
}


def preset(name: str, *, seed: int | None = None) -> PhantomSpec:
    """Return a preset's spec, with another seed where one is given.

    Raises
    ------
    UsageError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(
            f"There is no phantom {name!r}.",
            code="phantom_not_found",
            remedy=f"Use one of {', '.join(PRESETS)}.",
        )
    spec = PRESETS[name]()
    return spec if seed is None else replace(spec, seed=seed)


def fast(spec: PhantomSpec) -> PhantomSpec:
    """Return the same phantom on a coarse grid (60 × 256 × 256 at 3.0 × 1.45 mm) for quick tests."""
    return replace(spec, shape=(60, 256, 256), spacing_mm=(3.0, 1.45, 1.45))
