"""What is read of all bones before any mass is measured: each is the reference of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paraspinal.anatomy.parallel import both
from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.bone_defect import survey_walls
from paraspinal.measure.canal_extension import Epidural, clean_levels
from paraspinal.measure.endplate_loss import Interspaces, clean_interspaces
from paraspinal.measure.epidural import Level, read_levels
from paraspinal.measure.erosion import CleanWalls
from paraspinal.measure.foramen import Foramen, read_foramina
from paraspinal.measure.foramen_widening import Foramina, clean_foramina
from paraspinal.measure.interspace import Interspace, read_interspaces
from paraspinal.measure.metal import metal_levels
from paraspinal.measure.rib import RibSurvey, survey_ribs
from paraspinal.measure.rib_erosion import RibLosses, survey_rib_losses
from paraspinal.quality.types import ScanQuality
from paraspinal.volume import CTVolume


@dataclass(frozen=True, slots=True)
class Bones:
    """The walls of bodies, foramina, canal and interspaces, with what no mass faces marked as clean; the ribs."""

    walls: CleanWalls
    foramina: Foramina
    interspaces: Interspaces
    epidural: Epidural
    ribs: RibSurvey
    rib_losses: RibLosses | None


def survey_bones(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    masses: Sequence[Mass],
    *,
    config: MeasureConfig | None = None,
) -> Bones:
    """Read every vertebral body's wall, every foramen, interspace and rib; `masses` are all that were found.

    Vertebrae with metal are left out: they are no reference, and nothing is read of them.
    """

    def spine() -> tuple[CleanWalls, list[Foramen], list[Level], tuple[Interspace, ...]]:
        metal = metal_levels(volume, anatomy, quality)
        walls = survey_walls(volume, anatomy, masses, metal=metal)
        foramina = [f for f in read_foramina(volume, anatomy) if f.label not in metal]
        levels = [level for level in read_levels(volume, anatomy) if level.label not in metal]
        return walls, foramina, levels, read_interspaces(volume, anatomy, walls.walls)

    def ribs() -> tuple[RibSurvey, RibLosses | None]:
        losses = survey_rib_losses(volume, anatomy, masses) if masses else None
        return survey_ribs(volume, anatomy, quality, config or MeasureConfig()), losses

    (walls, foramina, levels, spaces), (own_ribs, losses) = both(spine, ribs)
    return Bones(
        walls=walls,
        foramina=clean_foramina(foramina, masses, volume.geometry),
        interspaces=clean_interspaces(spaces, masses, volume.geometry),
        epidural=clean_levels(levels, masses, volume.geometry),
        ribs=own_ribs,
        rib_losses=losses,
    )
