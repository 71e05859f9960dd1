"""True levels of the real series, for tests and benchmarks.

Counted twice on pictures: the spine straightened along the canal with the ribs beside it, and coronal and sagittal
projections of the bone. In the two chests rib 1 (short, flat, below the clavicle) names T1; `lidc-0314` shows all
twelve ribs below it. In the three abdomens the last rib names T12; where the sacrum is in view five vertebrae without
ribs stand above it, and the iliac crests stand at L4 or the disc below it. `crlm-1006` has a short last rib on both
sides, longer than any transverse process below it. No unusual count was seen in any of them.

Each entry is a vertebra and the LPS z (mm) of the middle of its body on the canonical volume, cranial first; those
that the scan cuts are named, too, where any of their body is in view.
"""

from __future__ import annotations

Levels = list[tuple[str, float]]

LEVELS: dict[str, Levels] = {
    "ct/lidc-0314.zip": [
        ("C7", -427),
        ("T1", -440),
        ("T2", -455),
        ("T3", -470),
        ("T4", -485),
        ("T5", -502),
        ("T6", -520),
        ("T7", -540),
        ("T8", -561),
        ("T9", -586),
        ("T10", -612),
        ("T11", -639),
        ("T12", -669),
    ],
    "ct/cmb-crc-chest.zip": [
        ("C7", 6),
        ("T1", -14),
        ("T2", -34),
        ("T3", -53),
        ("T4", -72),
        ("T5", -91),
        ("T6", -112),
        ("T7", -135),
        ("T8", -159),
        ("T9", -186),
        ("T10", -213),
        ("T11", -237),
    ],
    "ct/crlm-1006.zip": [
        ("T8", -129),
        ("T9", -154),
        ("T10", -181),
        ("T11", -208),
        ("T12", -237),
        ("L1", -266),
        ("L2", -296),
        ("L3", -329),
        ("L4", -367),
    ],
    "ct/medimages-flipped.zip": [
        ("T11", 2),
        ("T12", -24),
        ("L1", -53),
        ("L2", -83),
        ("L3", -114),
        ("L4", -146),
        ("L5", -178),
        ("S1", -209),
    ],
    "nifti/totalseg-lumbar-3mm.nii.gz": [
        ("T12", 418),
        ("L1", 384),
        ("L2", 352),
        ("L3", 316),
        ("L4", 279),
        ("L5", 243),
        ("S1", 225),
    ],
}

UNCERTAIN: dict[str, Levels] = {"ct/totalseg-slab": [("T11", -766), ("T12", -790)]}
"""Too little is in view to name them; the truth must be among the first alternatives."""

NEAR_MM = 12.0
"""A finding within this distance of a true middle is that vertebra; no two lie closer than 13 mm."""
