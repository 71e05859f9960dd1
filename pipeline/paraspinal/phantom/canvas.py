"""The slab on which structures are painted: attenuation before the scanner, and who owns each voxel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from paraspinal.phantom.deform import Waves
from paraspinal.phantom.sdf import Field

Window = tuple[slice, slice, slice]
Vector = npt.NDArray[np.float64]

AIR_HU = -1000.0


class Part(IntFlag):
    """What a voxel belongs to beside its owner."""

    TRUNK = 1
    CAVITY = 2
    COLUMN = 4
    OSTEOPHYTE = 8
    CRUS = 16
    AIRWAY = 32
    PLATE = 64  # the diaphragm's sheet


@dataclass(slots=True)
class Canvas:
    """Fine slices of one slab.

    ``z``, ``y``, ``x`` are the LPS millimetres of the voxel centres; ``hu`` and ``owner`` have shape
    (len(z), len(y), len(x)), and so has ``parts``, whose bits say what overlaps the owners (see `Part`). ``first`` is
    the fine-slice number of z[0] in the whole phantom, so that textures do not depend on how the phantom was cut into
    slabs. ``wander`` makes the borders of organs irregular.
    """

    z: Vector
    y: Vector
    x: Vector
    first: int
    hu: npt.NDArray[np.float32]
    owner: npt.NDArray[np.uint16]
    parts: npt.NDArray[np.uint8]
    wander: Waves | None = None

    @classmethod
    def empty(cls, z: Vector, y: Vector, x: Vector, *, first: int, wander: Waves | None = None) -> Canvas:
        """Return a canvas full of air."""
        shape = (len(z), len(y), len(x))
        return cls(
            z,
            y,
            x,
            first,
            np.full(shape, AIR_HU, np.float32),
            np.zeros(shape, np.uint16),
            np.zeros(shape, np.uint8),
            wander,
        )

    @property
    def pixel_mm(self) -> float:
        """In-plane distance of voxel centres: the width over which a border is spread."""
        return float(self.x[1] - self.x[0])

    def window(self, low: npt.ArrayLike, high: npt.ArrayLike, *, margin: float = 2.0) -> Window | None:
        """Return the voxels between two corners (x, y, z), or None when the box misses the slab."""
        ends = zip((self.z, self.y, self.x), np.asarray(low)[::-1], np.asarray(high)[::-1], strict=True)
        slices = []
        for axis, a, b in ends:
            i, j = np.searchsorted(axis, (a - margin, b + margin))
            if i >= j:
                return None
            slices.append(slice(int(i), int(j)))
        return (slices[0], slices[1], slices[2])

    def grid(self, window: Window) -> tuple[Field, Field, Field]:
        """Return x, y, z of a window, shaped so that they broadcast to it."""
        z = self.z[window[0]].astype(np.float32)[:, None, None]
        y = self.y[window[1]].astype(np.float32)[None, :, None]
        x = self.x[window[2]].astype(np.float32)[None, None, :]
        return x, y, z

    @property
    def whole(self) -> Window:
        """The window of all voxels."""
        return (slice(0, len(self.z)), slice(0, len(self.y)), slice(0, len(self.x)))

    def cover(self, distance: Field, *, edge_mm: float = 0.0) -> Field:
        """Return the share of each voxel inside the border: the distance clipped over one pixel."""
        share = distance * np.float32(-1.0 / max(self.pixel_mm, edge_mm))
        share += np.float32(0.5)
        return np.asarray(np.clip(share, 0.0, 1.0, out=share), np.float32)

    def paint(
        self,
        window: Window,
        distance: Field,
        hu: Field | float,
        *,
        label: int | None = None,
        edge_mm: float = 0.0,
        only: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Mix `hu` into the window where `distance` is negative; the owner changes where it covers half a voxel."""
        alpha = self.cover(distance, edge_mm=edge_mm)
        if only is not None:
            alpha *= only
        target = self.hu[window]
        change = hu - target
        change *= alpha
        target += change
        if label is not None:
            self.owner[window][alpha > 0.5] = label

    def rough(self, window: Window, distance: Field, share: float = 1.0) -> Field:
        """Return the distance to the same border made irregular, as far as the patient's organs are."""
        if self.wander is None:
            return distance
        waves = self.wander.on(self.z[window[0]], self.y[window[1]], self.x[window[2]])
        return np.asarray(distance + np.float32(share) * waves, np.float32)

    def mark(self, window: Window, distance: Field, part: Part) -> None:
        """Note that the voxels where `distance` is negative belong to `part`, whoever owns them."""
        self.parts[window] |= np.where(distance < 0, np.uint8(part), np.uint8(0))
