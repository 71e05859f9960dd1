"""What an image says it is by its Image Type: a slice in Hounsfield units, or something else."""

from __future__ import annotations

from typing import Literal

from paraspinal.dicomio.headers import ImageHeader

_LOCALIZERS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})
# Image Type values of projections, renderings and captures (PS3.3 C.8.2.1.1.1, C.8.16.1 and vendors' own terms).
_PROJECTIONS = frozenset(
    {
        *(
            "MIP",
            "MINIP",
            "MAX_IP",
            "MIN_IP",
            "MAXIMUM",
            "MINIMUM",
            "PROJECTION IMAGE",
            "VOLREN",
            "VOLUME_RENDER",
        ),
        *(
            "VOLUME RENDERING",
            "RENDERING",
            "3D_RENDERING",
            "VRT",
            "SSD",
            "SCREEN SAVE",
            "DOSE_INFO",
            "DOSE INFO",
        ),
    }
)
# Image Type values of maps that are not Hounsfield units (PS3.3 C.8.15.3.1.4, C.8.2.1.1.1 multi-energy, vendors).
_MAPS = frozenset(
    {
        *("PERFUSION", "MTT", "TTP", "CBF", "CBV", "TMAX", "DRAIN", "PERMEABILITY", "PARAMETRIC"),
        *("IODINE", "IODINE_MAP", "IODINE MAP", "Z_EFF", "Z EFF", "EFFECTIVE_Z", "EFF_ATOMIC_NUM", "RHO_Z"),
        *(
            "ELECTRON_DENSITY",
            "MAT_SPECIFIC",
            "MAT_REMOVED",
            "MAT_FRACTIONAL",
            "MAT_VALUE_BASED",
            "MAT_MODIFIED",
        ),
        *("CALCIUM", "CALCIUM_SUPPRESSED", "URIC_ACID", "K_EDGE", "VNC", "VIRTUAL_NON_CONTRAST"),
    }
)


def stated_kind(header: ImageHeader) -> Literal["localizer", "projection", "map", "slice"]:
    """Return what the Image Type of an image names; images of different kinds never share a volume."""
    stated = header.image_type
    if not _LOCALIZERS.isdisjoint(stated):
        return "localizer"
    if not _PROJECTIONS.isdisjoint(stated):
        return "projection"
    return "slice" if _MAPS.isdisjoint(stated) else "map"
