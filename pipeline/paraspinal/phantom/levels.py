"""Names and mean sizes of the vertebrae.

The sizes are rounded adult means: heights grow from about 17 mm (T1) to 28 mm (L5), discs from 4 to 10 mm; widths,
depths and the bony canal are chosen to look like the adult spine and are not a reference for measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS: tuple[str, ...] = (
    "C6",
    "C7",
    *(f"T{n}" for n in range(1, 13)),
    *(f"L{n}" for n in range(1, 6)),
    "S1",
)


@dataclass(frozen=True, slots=True)
class VertebraSize:
    """Outer sizes of one vertebra in millimetres; ``disc`` is the height of the disc below it."""

    height: float
    disc: float
    width: float
    depth: float
    canal_width: float
    canal_depth: float
    transverse_tip: float
    spinous_length: float
    spinous_drop: float

    def scaled(self, factor: float) -> VertebraSize:
        """Return the same vertebra, larger or smaller in all directions."""
        return VertebraSize(*(getattr(self, name) * factor for name in self.__slots__))


_SIZES: dict[str, tuple[float, ...]] = {
    "C6": (14, 5, 26, 16, 24, 14, 26, 16, 6),
    "C7": (15, 5, 28, 17, 23, 14, 32, 28, 10),
    "T1": (17, 4, 30, 17, 21, 15, 36, 28, 12),
    "T2": (18, 4, 29, 18, 18, 15, 35, 27, 16),
    "T3": (18.5, 4, 28, 19, 17, 15, 34, 26, 19),
    "T4": (19, 4, 27, 20.5, 16.5, 15, 33, 25, 22),
    "T5": (19.5, 4, 28, 22, 16, 15, 33, 24, 25),
    "T6": (20, 4.5, 29, 24, 16, 15, 33, 24, 26),
    "T7": (20.5, 4.5, 30, 26, 16, 15, 33, 24, 26),
    "T8": (21, 5, 31, 28, 16.5, 15, 32, 24, 24),
    "T9": (22, 5, 33, 29, 17, 15, 31, 24, 20),
    "T10": (23, 5.5, 35, 30, 17.5, 15.5, 28, 23, 15),
    "T11": (24, 6, 37, 31, 19, 16, 24, 22, 10),
    "T12": (25, 7, 40, 31, 21, 16.5, 22, 23, 7),
    "L1": (26, 8, 42, 32, 22, 16.5, 36, 26, 6),
    "L2": (27, 9, 44, 33, 22.5, 16, 40, 27, 6),
    "L3": (27.5, 9.5, 46, 34, 23, 16, 44, 27, 6),
    "L4": (28, 10, 48, 35, 24, 16, 42, 26, 6),
    "L5": (28, 9, 50, 35, 26, 16.5, 42, 22, 6),
    "S1": (30, 4, 52, 32, 28, 14, 40, 14, 4),
}


def vertebra_size(level: str) -> VertebraSize:
    """Return the mean adult size of `level`."""
    return VertebraSize(*_SIZES[level])
