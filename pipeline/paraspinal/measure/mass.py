"""All measurements of one mass."""

from __future__ import annotations

from collections.abc import Sequence

from paraspinal.anatomy.types import Anatomy
from paraspinal.config import MeasureConfig
from paraspinal.masses.types import Mass
from paraspinal.measure.airway_contact import measure_airway
from paraspinal.measure.attenuation import measure_attenuation
from paraspinal.measure.blood_pool import measure_aortic_lumen
from paraspinal.measure.bone_defect import measure_bone_defect
from paraspinal.measure.bones import Bones, survey_bones
from paraspinal.measure.border_depth import with_border
from paraspinal.measure.bridging import measure_bridging
from paraspinal.measure.canal_extension import measure_canal_extension
from paraspinal.measure.contact import measure_contact
from paraspinal.measure.cutoff import as_cut_off
from paraspinal.measure.density import measure_high_density
from paraspinal.measure.endplate_loss import measure_endplate_loss
from paraspinal.measure.fat import measure_fat_and_gas
from paraspinal.measure.foci import measure_foci
from paraspinal.measure.foramen_widening import measure_foramina
from paraspinal.measure.interpolated import as_interpolated, touches
from paraspinal.measure.margin import measure_margin
from paraspinal.measure.outline import unclear_border
from paraspinal.measure.pattern import measure_pattern
from paraspinal.measure.rib_erosion import KEY as RIB_EROSION
from paraspinal.measure.rib_erosion import measure_rib_erosion
from paraspinal.measure.size import measure_size, mesh_of
from paraspinal.measure.texture import measure_ibsi
from paraspinal.measure.view import mass_view
from paraspinal.quality.types import ScanQuality
from paraspinal.result import Measurements
from paraspinal.volume import CTVolume


def measure_mass(
    volume: CTVolume,
    anatomy: Anatomy,
    quality: ScanQuality,
    mass: Mass,
    *,
    config: MeasureConfig,
    others: Sequence[Mass] = (),
    bones: Bones | None = None,
) -> Measurements:
    """Return every per-mass key of the contract for one mass.

    Parameters
    ----------
    volume : CTVolume
        Native voxels; only the box around the mass becomes float.
    anatomy, quality : Anatomy, ScanQuality
        Bone, vertebrae and aorta on the working grid; noise, edge response and contrast.
    mass : Mass
        The candidate, its region on the native grid.
    config : MeasureConfig
        Thresholds.
    others : sequence of Mass
        The patient's other masses: bone beside them is no reference for intact cortex.
    bones : Bones, optional
        The walls, foramina and interspaces of all vertebrae (`survey_bones`); read here without them.
    """
    view = mass_view(volume, anatomy, mass, context_mm=config.context_mm)
    mesh = mesh_of(view.mask, view.spacing_mm)
    view = with_border(view, mesh, config)
    aorta = measure_aortic_lumen(volume, anatomy, quality, config=config).value
    if bones is None:
        bones = survey_bones(volume, anatomy, quality, (mass, *others), config=config)
    unclear = unclear_border(view, mesh, config)
    measured = {
        **measure_size(
            view, mesh, unclear_ml=unclear.volume_u_ml(config), unclear_mm=unclear.length_u_mm(config)
        ),
        **measure_attenuation(view, quality, config),
        **measure_high_density(view, quality, config, aortic_lumen_hu=aorta),
        **measure_fat_and_gas(view, quality, config),
        **measure_foci(view, quality, config),
        **measure_pattern(view, quality, config),
        **measure_margin(view, mesh, quality, config),
        "bone_interface_mm2": measure_contact(anatomy, view, mesh, config),
        **measure_bone_defect(volume, bones.walls, mass, view, quality, config),
        **measure_foramina(bones.foramina, mass, view, volume.geometry, quality, config),
        "endplate_loss_fraction": measure_endplate_loss(
            bones.interspaces, mass, view, volume.geometry, quality, config
        ),
        "canal_extension_mm2": measure_canal_extension(
            bones.epidural, mass, view, volume.geometry, quality, config
        ),
        RIB_EROSION: measure_rib_erosion(
            bones.rib_losses, mass, volume.geometry, quality, config, slice_mm=view.slice_mm
        ),
        "midline_bridging_mm": measure_bridging(volume, anatomy, view, mass, others),
        **measure_airway(volume, anatomy, view, mesh, quality, config),
        **measure_ibsi(view, mesh, config),
    }
    if touches(volume, mass.region, volume.geometry):
        measured = as_interpolated(measured)
    return as_cut_off(measured) if view.cut_off else measured
