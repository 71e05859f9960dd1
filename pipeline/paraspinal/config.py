"""Validated settings, one frozen section per stage, read from ``configs/*.toml``.

Every threshold of the analysis is a field here. ``setting`` records where a default comes from: a source code of
the evidence base, or "engineering default", which is never presented as a clinical cut-off.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paraspinal.data import data_folder
from paraspinal.errors import ConfigError

ENGINEERING = "engineering default"


def setting(default: Any, meaning: str, *, source: str = ENGINEERING, **limits: Any) -> Any:
    """Return a field with its meaning and the source of its default."""
    return Field(default, description=f"{meaning} ({source})", **limits)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OrientationConfig(_Section):
    """When the anatomy contradicts the stated orientation of a volume."""

    pixel_mm: float = setting(4.0, "edge of a pixel of the coarse look", gt=0)
    slice_step_mm: float = setting(5.0, "distance of the slices that are looked at", gt=0)
    min_body_ml: float = setting(1500.0, "a smaller object in view is not judged", gt=0)
    min_column_mm: float = setting(35.0, "a shorter column of bone is not judged", gt=0)
    column_band_mm: float = setting(44.0, "the spine lies this close to the body's middle", gt=0)
    column_aside: float = setting(
        0.2, "a column farther to the side, of half the width, is no spine of a body in full view", gt=0
    )
    column_bone: float = setting(0.35, "share of bone in a vertebral body's box that is enough", gt=0, le=1)
    min_lung_ml: float = setting(30.0, "smaller pieces of air are not lung", gt=0)
    sure_lung_ml: float = setting(400.0, "air of this size is lung wherever it lies", gt=0)
    min_lung_area_cm2: float = setting(10.0, "a lung of which no slice shows more is not judged", gt=0)
    column_offset: float = setting(
        0.15, "distance of column and body's middle, relative to half the depth, that tells the back", gt=0
    )
    gas_share: float = setting(0.6, "lead of one side in the gas before and behind, or left and right", gt=0)
    min_gas_ml: float = setting(3.0, "less gas tells nothing", gt=0)
    bone_share: float = setting(0.15, "lead of one half of the body in bone", gt=0)
    recess_offset: float = setting(
        0.1, "distance of the lungs' lower end from the body's middle, relative to half the depth", gt=0
    )
    lung_reach: float = setting(
        0.58, "lateral reach of a lung near its end, of half the body's width: more is a base", gt=0
    )
    lung_reach_step: float = setting(0.12, "difference of that reach that tells base from apex", gt=0)
    between_lungs_cm2: float = setting(
        55.0, "area between the lungs near an end: more is domes and heart, less is upper mediastinum", gt=0
    )
    between_lungs_step_cm2: float = setting(15.0, "difference of that area that tells them apart", gt=0)
    mediastinum_trend: float = setting(0.5, "correlation of the area between the lungs with height", gt=0)
    heart_offset_mm: float = setting(5.0, "distance of heart and midline that tells the side", gt=0)
    aorta_mm2: float = setting(100.0, "soft tissue beside the column that one side has more", gt=0)
    solid_share: float = setting(
        0.25, "lead of one side in solid organ below the lungs; a huge spleen comes close to the liver", gt=0
    )


class LoadingConfig(_Section):
    """Limits of the reader."""

    policy: Literal["strict", "repair"] = setting(
        "repair", "repair what is geometrically certain and record it, or refuse every defect (strict)"
    )
    max_missing_slices: int = setting(2, "a longer run of missing slices is not interpolated", ge=0)
    max_missing_mm: float = setting(6.0, "a run of missing slices that is longer is not interpolated", ge=0)
    max_tilt_deg: float = setting(
        25.0, "slices that lean by more are refused, as any volume so far off the patient's axes", gt=0, lt=45
    )
    min_slices: int = setting(3, "fewer slices are refused", ge=2)
    max_file_mib: float = setting(1024.0, "larger single files are not opened", gt=0)
    max_volume_gib: float = setting(4.0, "larger decoded volumes are refused", gt=0)
    max_files: int = setting(200_000, "more files in one input are refused", ge=1)
    max_zip_ratio: float = setting(200.0, "zips with a member that expands more are refused", gt=1)
    max_zip_gib: float = setting(16.0, "zips that unpack to more are refused", gt=0)
    position_tolerance_mm: float = setting(0.05, "slice positions closer than this are one position", gt=0)
    spacing_tolerance: float = setting(
        0.02, "distance of a slice from the even grid, relative to the spacing, that still is even", gt=0
    )
    even_tolerance_mm: float = setting(
        0.1, "the same in mm, whichever is more: positions are often rounded to 0.1 mm", gt=0
    )
    orientation_tolerance: float = setting(1e-3, "difference of direction cosines within one stack", gt=0)
    pixel_spacing_tolerance: float = setting(
        1e-3, "relative difference of pixel spacing within one stack", gt=0
    )
    tilt_tolerance_px: float = setting(
        0.5, "shift between the first and the last slice of a leaning stack that is ignored, in pixels", gt=0
    )
    sideways_tolerance_px: float = setting(
        0.25, "shift of a slice within its plane that is ignored, in pixels", gt=0
    )
    max_oblique_deg: float = setting(25.0, "volumes further off the patient's axes are refused", gt=0, lt=45)
    padding_hu: float = setting(
        -1900.0, "no matter reads this low; such voxels are padding (-2000, -2048, -3024)", lt=-1024
    )
    threads: int = setting(2, "threads that decode frames", ge=1)
    digest_input: bool = setting(True, "the result names its input by a digest of the files' bytes")
    orientation: OrientationConfig = OrientationConfig()


class AnatomyConfig(_Section):
    """Limits of the classical segmenter."""

    working_spacing_mm: float = setting(2.0, "edge of the isotropic working grid", gt=0.5, le=3.0)
    min_spine_mm: float = setting(40.0, "less traced spine than this is not assessable", gt=0)
    body_threshold_hu: float = setting(-250.0, "skin and tissue against air")
    table_opening_mm: float = setting(8.0, "thinner objects (table, tubes) are not body", gt=0)
    lung_threshold_hu: float = setting(-400.0, "aerated lung against tissue")
    free_gas_hu: float = setting(-955.0, "median of free gas lies below, of lung above")
    min_lung_ml: float = setting(60.0, "smaller air components are not lung", gt=0)
    sure_lung_ml: float = setting(400.0, "air components of this size are lung wherever they lie", gt=0)
    min_paraspinal_lung_ml: float = setting(3.0, "air beside the column that makes a component lung", gt=0)
    min_lung_base_ml: float = setting(
        5.0, "smaller air components at the upper end of the scan are no base of a lung", gt=0
    )
    lung_base_hu: float = setting(
        -500.0, "nine tenths of the inside of a lung's base lie below", gt=-900, lt=0
    )
    lung_closing_mm: float = setting(5.0, "vessels and small nodules that belong to the lung", gt=0)
    bone_threshold_hu: float = setting(170.0, "bone on the working grid")
    canal_ray_mm: float = setting(18.0, "a bony ring lies within this distance of the canal's middle", gt=0)
    canal_half_width_mm: float = setting(70.0, "the spine lies this close to the body's middle", gt=0)
    canal_cut_share: float = setting(
        0.25, "share of the body's depth on its last column that tells a cut from skin", gt=0, le=1
    )
    canal_hu: tuple[float, float] = setting((-60.0, 130.0), "smoothed HU inside the canal")
    body_centre_mm: float = setting(24.0, "distance from the canal's to the vertebral body's middle", gt=0)
    body_ahead_weight: float = setting(0.6, "weight of the vertebral body against the ring", ge=0)
    canal_behind_score: float = setting(
        0.7,
        "share of rays that meet bone from which a ring behind a point makes it marrow of a body",
        ge=0,
        le=1,
    )
    canal_behind_weight: float = setting(3.0, "cost of that, per share", ge=0)
    canal_marrow_hu: tuple[float, float] = setting(
        (20.0, 60.0),
        "HU above the canal's median where its lower end may run, and surely runs, through marrow",
    )
    canal_slope_cost: float = setting(0.04, "cost of a step to the side between slices", ge=0)
    canal_min_score: float = setting(0.68, "score of a slice that speaks neither for nor against canal", gt=0)
    canal_clearance_mm: float = setting(4.0, "no bone lies this close to the canal's middle", gt=0)
    canal_off_centre_cost: float = setting(0.8, "cost of a canal at the edge of the searched band", ge=0)
    canal_max_radius_mm: float = setting(14.0, "no canal is wider from its middle", gt=0)
    canal_smoothing_mm: float = setting(6.0, "Gaussian along the canal", gt=0)
    disc_spacing_mm: tuple[float, float] = setting((15.0, 46.0), "distance of neighbouring discs")
    disc_weight: float = setting(0.7, "weight of the disc signal against the pedicle signal", ge=0)
    disc_period_cost: float = setting(0.3, "cost of one more vertebra, against splitting", ge=0)
    disc_trend: float = setting(-0.035, "log ratio of a spacing to the one below")
    column_centre_mm: float = setting(21.0, "centre of the vertebral column in front of the canal", gt=0)
    column_pull_mm: float = setting(5.0, "how far the outline may leave its neighbours' median", gt=0)
    aorta_hu: tuple[float, float] = setting((10.0, 700.0), "HU inside the aorta, anaemic to arterial phase")
    aorta_min_score: float = setting(0.45, "score that speaks neither for nor against aorta", gt=0)
    min_aorta_mm: float = setting(30.0, "shorter tracks are not taken for the aorta", gt=0)
    cage_closing_mm: float = setting(36.0, "ribs this far apart along the body form one wall", gt=0)
    cage_centre_mm: float = setting(65.0, "middle of the chest in front of the canal", gt=0)
    cage_bridge_mm: float = setting(24.0, "the wall is carried on this far where no rib is met", gt=0)
    cage_min_share: float = setting(
        0.45, "share of rays that must meet ribs for a slice to have a cage", gt=0
    )
    liver_ml: tuple[float, float] = setting((250.0, 6000.0), "volumes taken for a liver or a part of one")
    spleen_ml: tuple[float, float] = setting((40.0, 5000.0), "volumes taken for a spleen or a part of one")
    rib_cut_mm: float = setting(26.0, "ribs are looked for farther than this from the midline", gt=0)
    rib_thick_mm: float = setting(8.0, "half thickness that no rib reaches", gt=0)
    rib_sure_reach_mm: float = setting(66.0, "bone that reaches this far is surely a rib", gt=0)
    min_vertebra_share: float = setting(0.35, "a cut vertebra is listed from this visible share", gt=0)
    rib_top_hat_hu: float = setting(110.0, "a rib stands out against thick neighbours by this", gt=0)
    rib_cortex_hu: float = setting(270.0, "cortical bone on the working grid; above enhanced kidney")
    rib_cortex_reach_mm: float = setting(6.0, "every part of a rib lies this close to cortical bone", gt=0)
    rib_min_ml: float = setting(0.4, "smaller pieces of bone are no ribs", gt=0)
    rib_min_reach_mm: float = setting(46.0, "no transverse process reaches this far to the side", gt=0)
    disc_trend_sd: float = setting(0.08, "standard deviation of that log ratio", gt=0)
    min_level_confidence: float = setting(
        0.9, "vertebrae named with less confidence get a number of their own in the label map", gt=0, le=1
    )
    aorta_cut_mm: float = setting(
        10.0, "an aorta followed this close to the end of the scan goes on beyond it", gt=0
    )
    cut_margin_voxels: int = setting(
        2, "an organ is cut when it comes this close to the end of the scan, working voxels", ge=1
    )
    # erector spinae
    erector_side_mm: float = setting(
        82.0, "erector spinae ends this far from the midline at the latest", gt=0
    )
    erector_front_mm: float = setting(
        8.0, "its floor (transverse processes, ribs) lies at most this far in front of the canal", gt=0
    )
    spinous_half_mm: float = setting(7.0, "spinous processes lie this close to the midline", gt=0)
    erector_core_mm: float = setting(16.0, "erector spinae reaches at least this far from the midline", gt=0)
    erector_edge_mm: float = setting(
        7.0, "thinner muscle behind the ribs is latissimus or trapezius, no longer erector spinae", gt=0
    )
    erector_cleft_mm: float = setting(
        30.0, "farther than this from the midline a fatty cleft is its lateral border", gt=0
    )
    erector_girdle_mm: float = setting(2.0, "where more muscle of the shoulder girdle lies on it", gt=0)
    erector_cleft_share: float = setting(
        0.55, "share of lean tissue between roof and floor below which there is a cleft", gt=0, le=1
    )
    erector_floor_rise: float = setting(
        0.3, "slope of its floor (millimetres backwards per millimetre outwards) beyond the last bone", ge=0
    )
    erector_widening: float = setting(
        0.3, "largest widening downwards, millimetres to the side per millimetre", ge=0
    )
    erector_behind_mm: float = setting(
        6.0, "it lies at least this far behind the middle of the canal: behind the pedicles", ge=0
    )
    erector_midline_mm: float = setting(
        5.0, "half the thickness of spinous processes and the ligament between them", gt=0
    )
    erector_off_bone_mm: float = setting(
        2.0, "between bone and muscle: rotators, levators of the ribs and tendons", ge=0
    )
    erector_gap_mm: float = setting(8.0, "half the gap between lamina and rib", gt=0)
    erector_streak_mm: float = setting(4.0, "half width of streaks of fat inside the muscle", gt=0)
    erector_bridge_mm: float = setting(
        16.0,
        "half the distance of neighbouring transverse processes, over which its floor is carried on",
        gt=0,
    )
    # pleural effusion
    effusion_hu: tuple[float, float] = setting(
        (-15.0, 36.0), "smoothed HU of pleural fluid: transudate to bloody exudate, with streaks and cupping"
    )
    solid_gutter_ml: float = setting(
        8.0, "so much dense tissue in the dependent pleural space leaves open whether it is blood", gt=0
    )
    effusion_band_hu: float = setting(14.0, "one fluid's smoothed HU stays this close to its median", gt=0)
    effusion_opening_mm: float = setting(
        5.0, "thinner layers of fluid are not looked for, half thickness", gt=0
    )
    min_effusion_ml: float = setting(15.0, "less fluid on one side is not reported", gt=0)
    gutter_front_mm: float = setting(
        0.0, "fluid begins behind the canal's middle; further in front lie organs and mediastinum"
    )
    effusion_below_lung_mm: float = setting(60.0, "how far below all aerated lung fluid is looked for", ge=0)
    effusion_wall_share: float = setting(
        0.65, "share of a free effusion that rests on the chest wall with no lung behind it", gt=0, le=1
    )
    effusion_level_share: float = setting(
        0.8, "share of fluid, against lung, below a free effusion's level", gt=0, le=1
    )
    effusion_reach_mm: float = setting(
        90.0,
        "fluid that reaches this far to the side lies on the lateral wall, as no mass of the spine does",
        gt=0,
    )
    # psoas
    psoas_hu: tuple[float, float] = setting(
        (-5.0, 105.0), "muscle, fatty to enhanced; enhanced kidney lies above"
    )
    psoas_box_mm: tuple[float, float] = setting(
        (75.0, 95.0), "it is looked for this far in front of the canal and to the side"
    )
    psoas_front_mm: tuple[float, float] = setting((4.0, 48.0), "its middle in front of the canal's middle")
    psoas_side_mm: tuple[float, float] = setting((18.0, 58.0), "its middle beside the canal's middle")
    psoas_min_radius_mm: float = setting(6.0, "radius of its thickest section, wasted muscle included", gt=0)
    psoas_ahead_mm: float = setting(
        20.0, "usual place of its middle before the canal's middle (textbook anatomy)"
    )
    psoas_side_l1_l5_mm: tuple[float, float] = setting(
        (27.0, 48.0), "usual place of its middle beside the canal's middle at L1 and at L5 (textbook anatomy)"
    )
    psoas_spread_mm: float = setting(18.0, "spread of that place between bodies", gt=0)
    psoas_apart_mm: float = setting(20.0, "the middle of another organ lies this far from the muscle's", gt=0)
    psoas_usual_radius_mm: float = setting(14.0, "more depth speaks no more for psoas", gt=0)
    psoas_end_radius_mm: float = setting(3.0, "it is followed to where it is this thin", gt=0)
    psoas_min_mm: float = setting(16.0, "a shorter stretch is not taken for it", gt=0)
    # rib instances
    rib_bone_hu: float = setting(
        120.0, "bone of a thin rib on the working grid: half way from muscle to its cortex after averaging"
    )
    rib_stands_out_hu: float = setting(
        60.0, "a rib stands out against thick neighbours (liver, kidney) by this", gt=0
    )
    rib_core_hu: float = setting(200.0, "every part of a rib lies near bone of this density")
    rib_sheet_mm: tuple[float, float] = setting(
        (34.0, 42.0), "ribs are picked up this far from the midline: beyond the thoracic transverse processes"
    )
    rib_section_mm2: float = setting(
        450.0, "no rib has a larger section (about 20 × 12 mm, cut obliquely); sternum and scapula do", gt=0
    )
    rib_climb_mm: float = setting(25.0, "no rib climbs this much above its lowest point so far", gt=0)
    rib_turn_deg: float = setting(
        60.0, "a rib turns one way round the chest; the clavicle turns back by more", gt=0
    )
    rib_gap_mm: float = setting(
        16.0, "gap in a rib (fracture, thin cortex, thick slices) that is bridged", ge=0
    )
    rib_border_share: float = setting(
        0.45, "a rib ends this share of the way from soft tissue to its own cortex", gt=0, lt=1
    )
    sternum_half_mm: float = setting(30.0, "bone this close to the midline in front is sternum, no rib", gt=0)
    # wall of the trunk
    wall_skin_mm: float = setting(4.0, "skin is not thicker", gt=0)
    wall_depth_mm: float = setting(45.0, "ribs lie this deep under the outermost muscle at most", gt=0)
    wall_muscle_mm: float = setting(
        24.0, "muscles of the wall are not thicker together where no rib lies", gt=0
    )
    wall_hollow_mm: float = setting(8.0, "grooves of the trunk's outline are not deeper", gt=0)
    wall_rib_mm: float = setting(
        24.0, "no ray crosses more of a rib; enhanced kidney and bowel are thicker", gt=0
    )
    # masks of other segmenters
    given_confidence: float = setting(
        0.95, "confidence in a structure, and in a vertebra's name, that another segmenter gives", gt=0, le=1
    )
    given_disputed_confidence: float = setting(
        0.5,
        "confidence in a given vertebra's name that the built-in naming contradicts with certainty",
        gt=0,
        le=1,
    )
    given_min_ml: float = setting(0.5, "less of a given structure in the scan is not used", gt=0)
    given_inside_share: float = setting(
        0.99, "less of a given structure inside the scan is put on record", gt=0, le=1
    )
    given_misfit_share: float = setting(
        0.5,
        "masks are refused when this share of their structures does not have the density of what they name",
        gt=0,
    )
    given_shift_mm: float = setting(
        8.0, "given masks whose bones and lungs fit the CT better this far away are refused", gt=0
    )
    given_shift_hu: float = setting(
        15.0, "by how much another place has to fit better, mean HU of bones less that of lungs", gt=0
    )
    given_agreement: float = setting(
        0.6, "a Dice with the built-in segmenter's structure below this is put on record", gt=0, le=1
    )
    # organs of the abdomen
    organ_noise_hu: float = setting(10.0, "HU varies this much inside an organ on the halved grid", gt=0)
    organ_step_hu: float = setting(14.0, "HU step between halved voxels that parts two organs", gt=0)
    organ_fit: float = setting(
        0.02, "pull of HU that fits an organ, against the conductance 1 between even voxels", gt=0
    )
    organ_other: float = setting(
        0.08, "fit of tissue that is no organ looked for: that of an organ 2.2 SD away", gt=0
    )
    lump_min_mm: float = setting(6.0, "lumps of tissue are at least this thick from middle to surface", gt=0)
    dome_slack_mm: float = setting(14.0, "no abdominal organ reaches this far above the lungs' base", gt=0)
    gut_wall_mm: float = setting(4.0, "tissue this close to gas is the wall of stomach or bowel", gt=0)
    kidney_usual_mm: tuple[float, float, float] = setting(
        (18.0, 66.0, -25.0),
        "usual middle of a kidney before and beside the canal's middle, and above that of L1 (textbook anatomy)",
    )
    dome_wall_mm: float = setting(26.0, "recesses of the pleura reach this far from the wall", gt=0)
    dome_height_mm: float = setting(60.0, "usual height of a dome over the lowest lung", gt=0)
    dome_aside_mm: float = setting(45.0, "beside the heart: this far from the midline on the right", gt=0)
    dome_behind_mm: float = setting(40.0, "the left dome is free of heart behind this plane before the canal")
    dome_difference_mm: tuple[float, float] = setting(
        (15.0, 30.0),
        "the left dome rises at most this far above the right one, and the right one above the left",
    )
    enhanced_kidney_hu: float = setting(
        125.0, "enhanced kidney lies above, liver and spleen in the portal phase below"
    )
    kidney_above_liver_hu: float = setting(
        20.0, "enhanced kidney is brighter than liver by more in every phase but the latest", gt=0
    )
    kidney_lean_mm: float = setting(28.0, "its parts lie this close to each other across its long axis", gt=0)
    kidney_half_mm: float = setting(65.0, "and this close along it", gt=0)
    kidney_height_sd_mm: float = setting(42.0, "spread of a kidney's height", gt=0)
    twin_fat: float = setting(
        0.9, "share of its surface in fat from which a lump may be the right kidney's twin", gt=0, le=1
    )
    twin_lung: float = setting(
        0.2, "share of a kidney's surface that may lie against lung or wall", ge=0, le=1
    )
    twin_ratio: float = setting(1.8, "kidneys of one person differ less than this in volume", gt=1)
    lump_least: float = setting(0.12, "a lump less like an organ than this is not taken for it", gt=0, le=1)
    organ_passing_hu: float = setting(8.0, "HU step that lets 37 % of the walkers pass between organs", gt=0)
    lump_neck: float = setting(
        0.7, "lumps with a neck wider than this share of the thinner one are one organ", gt=0, le=1
    )
    kidney_spread: float = setting(0.15, "cortex and medulla differ by this share of their HU", gt=0)
    alien_spreads: float = setting(3.0, "tissue this many SD away from every organ is none of them", gt=0)
    alien_neck: float = setting(
        0.5, "a lump that hangs on an organ by a neck below this share of its own radius is another one", gt=0
    )
    alien_ml: float = setting(5.0, "smaller lumps say nothing of their own", gt=0)
    spleen_like: float = setting(
        0.3, "a lump whose place is like the spleen's by this share of the best one's may be part of it", gt=0
    )
    organ_part_mm: float = setting(10.0, "parts of liver and spleen are at least this thick", gt=0)
    organ_gap_mm: float = setting(6.0, "and lie within twice this of each other (fissures, vessels)", gt=0)
    mottled_share: float = setting(
        0.3, "an early spleen is uneven by this share of what it is brighter than the liver", ge=0, le=1
    )
    kidney_reach_mm: float = setting(24.0, "a kidney reaches no farther beyond its sure part", gt=0)
    oral_contrast_ratio: float = setting(
        1.4, "tissue brighter than any organ by this ratio is filled bowel", gt=1
    )
    kidney_neck_mm: float = setting(7.0, "the same for a kidney, whose parenchyma is 15 mm thick", gt=0)
    great_vein_mm: float = setting(12.5, "the caval vein is not thicker from its middle to its wall", gt=0)
    hilum_side_mm: float = setting(40.0, "it and the portal vein lie this close to the midline", gt=0)
    hilum_front_mm: float = setting(110.0, "and this close before the canal", gt=0)
    enclosed_share: float = setting(
        0.6, "a lump of whose surface more lies against liver or spleen is a lesion of it", gt=0, le=1
    )
    lobe_contact: float = setting(
        0.25, "a thin lobe is joined by more than this share of the area of a cube of its volume", gt=0
    )
    organ_rim_share: float = setting(
        0.08,
        "share of the organ around a voxel from which the rim that smoothing cut off may belong to it",
        gt=0,
    )
    organ_neck_mm: float = setting(
        10.0, "half width of what hangs on an organ without being part of it", gt=0
    )
    # aorta beyond the spine
    right_aorta_factor: float = setting(
        1.5,
        "a vessel on the right is the aorta when it scores better by this; the vena cava comes to 1.3 at most",
        ge=1,
    )
    arch_min_score: float = setting(
        0.55, "score that speaks neither for nor against ascending aorta; as beside the spine", gt=0
    )
    min_ascending_mm: float = setting(20.0, "shorter tracks are not taken for the ascending aorta", gt=0)
    max_ascending_radius_mm: float = setting(25.0, "below, where the outline is wider, it is heart", gt=0)
    descending_above_carina_mm: float = setting(
        10.0, "up to here above the carina the vessel beside the spine is the descending aorta", ge=0
    )
    ascending_above_carina_mm: float = setting(
        24.0, "an ascending aorta without an arch is not followed farther above the carina", ge=0
    )
    min_aorta_piece_ml: float = setting(2.0, "smaller loose pieces of the aorta are dropped", ge=0)
    # arms
    arm_bone_cm2: float = setting(1.0, "bone in the cross-section of an arm", gt=0)
    arm_cm2: float = setting(140.0, "cross-section that no arm exceeds; a thigh does", gt=0)
    arm_min_radius_mm: float = setting(
        18.0, "inscribed radius of a forearm; a cut-off chest wall is thinner", gt=0
    )
    # diaphragm, heart and prevertebral region
    dome_rise_mm: float = setting(
        15.0, "no dome rises higher above its own part behind the heart; what does is the heart's side", ge=0
    )
    heart_front_mm: float = setting(30.0, "the heart lies this far in front of the canal", gt=0)
    heart_below_carina_mm: float = setting(20.0, "the heart begins this far below the carina", ge=0)
    min_heart_ml: float = setting(
        60.0, "less tissue between lungs and diaphragm is not taken for a heart", gt=0
    )
    prevertebral_depth_mm: float = setting(
        28.0, "oesophagus and azygos lie within this distance of the column's front", gt=0
    )
    prevertebral_half_mm: float = setting(24.0, "and this close to the midline", gt=0)
    # verdict on soft organs
    canal_beyond_mm: float = setting(10.0, "muscles are looked for this far beyond the traced canal", ge=0)
    kidney_ml: tuple[float, float] = setting((20.0, 700.0), "volumes taken for a kidney or a part of one")
    contact_doubt: float = setting(
        0.8, "confidence lost per share of an organ's surface that meets tissue of its own density", ge=0
    )
    organ_place_ml: float = setting(120.0, "an organ's place is in view from this volume on", gt=0)
    absent_radius_mm: float = setting(
        9.0, "half thickness of the thickest tissue at the place of an organ that is absent", gt=0
    )
    # vertebrae: end plates and arches
    disc_half_mm: float = setting(8.0, "half the height of the highest disc (lower lumbar)", gt=0)
    disc_half_share: float = setting(
        0.33, "half a disc's share of the distance of discs, at most", gt=0, lt=0.5
    )
    disc_lean_cost: float = setting(
        40.0, "cost of a disc's squared tilt against the canal's cross-section, HU", ge=0
    )
    disc_shift_cost: float = setting(0.5, "cost of moving a disc's plane along the canal, HU per mm²", ge=0)
    arch_side_mm: float = setting(48.0, "a transverse process ends within this distance of the midline", gt=0)
    arch_front_mm: float = setting(16.0, "bone beside the body farther in front is no arch", gt=0)
    arch_back_mm: float = setting(75.0, "a spinous process ends within this distance behind the canal", gt=0)
    arch_dense_hu: float = setting(300.0, "bone of an arch away from joints, on the working grid", gt=0)
    arch_gap_cost: float = setting(
        4.0, "extra cost of a way through soft tissue, per cost of one through bone", ge=0
    )
    arch_fall_mm: float = setting(50.0, "a spinous process ends at most this far below its body", gt=0)
    arch_stray_mm: float = setting(4.0, "a way this far off an arch's usual height costs double", gt=0)
    arch_slope_depth_mm: float = setting(
        45.0, "depth behind the canal at which processes have fallen fully", gt=0
    )
    arch_bottom: tuple[float, float] = setting(
        (0.1, -0.9), "lowest bone of an arch beside and far behind the canal, in heights above the lower disc"
    )
    arch_top: tuple[float, float] = setting(
        (1.15, 0.7),
        "highest bone of an arch beside and far behind the canal, in heights above the lower disc",
    )
    arch_reach_mm: float = setting(120.0, "cost of the farthest way from a body through its own arch", gt=0)
    arch_below_mm: float = setting(15.0, "arches end this far below and above the traced canal", ge=0)
    osteophyte_height_mm: float = setting(
        4.0, "bone that stands out over the bodies' usual outline by more is an osteophyte", gt=0
    )
    osteophyte_reach_mm: float = setting(10.0, "bone farther out is none", gt=0)
    osteophyte_plate_mm: float = setting(13.0, "osteophytes grow this close to the middle of a disc", gt=0)
    osteophyte_side_deg: float = setting(
        80.0, "from straight ahead; farther back lie rib heads and pedicles", gt=0, le=180
    )
    osteophyte_ml: float = setting(0.1, "smaller ones are not told from noise", ge=0)
    osteophyte_metal_hu: float = setting(
        1500.0, "on the working grid denser than any bone: screws and streaks"
    )
    crus_hu: tuple[float, float] = setting((-15.0, 110.0), "muscle of the diaphragm, partial volume included")
    crus_contrast_hu: float = setting(
        60.0, "a sheet of muscle that stands out so far over both sides is sure", gt=0
    )
    crus_ridge: float = setting(0.3, "share of that contrast from which a sheet is seen", ge=0, le=1)
    crus_arc_deg: float = setting(32.0, "seen over a smaller arc around the spine it is none", ge=0)
    crus_gap_mm: float = setting(
        16.0, "it lies this close to column or aorta, farther out the diaphragm", gt=0
    )
    crus_along_mm: float = setting(12.0, "vessels and nodes run a shorter way along the spine", gt=0)
    crus_thick_mm: float = setting(12.0, "no thicker, nodular crura of the young included", gt=0)
    native_bone_hu: float = setting(
        130.0, "half way from muscle and disc to the cortex of a vertebra, native voxels"
    )
    native_blur_mm: float = setting(
        0.5, "Gaussian in the slice before native voxels are told bone or not", ge=0
    )
    native_rib_share: float = setting(
        0.6, "share of bone around from which a native voxel is rib whatever its HU: its marrow is thin", gt=0
    )
    native_border_share: tuple[float, float] = setting(
        (0.15, 0.9), "share of bone around, on the working grid, between which native voxels decide"
    )


class MassConfig(_Section):
    """Limits of the search for masses."""

    lateral_mm: float = setting(60.0, "lateral limit of the paravertebral compartment", gt=0)
    anterior_mm: float = setting(
        15.0, "the compartment ends this far before the anterior vertebral line", gt=0
    )
    posterior_limit_mm: float = setting(-10.0, "nothing farther behind the canal's middle, beside the column")
    behind_column_mm: float = setting(
        34.0, "that posterior limit holds within this distance of the midline", gt=0
    )
    soft_hu: tuple[float, float] = setting(
        (-35.0, 150.0), "HU of what may be a mass on the working grid; enhanced kidney and vessels lie above"
    )
    opening_mm: float = setting(3.0, "half thickness below which tissue is no candidate", gt=0)
    lumbar_opening_mm: float = setting(4.5, "the same where psoas lies, whose slips pass for masses", gt=0)
    aortic_wall_mm: float = setting(3.0, "aortic wall and its partial volume", ge=0)
    marker_window_voxels: int = setting(7, "window of local maxima of depth, working voxels", ge=3)
    merge_neck: float = setting(
        0.8, "necks wider than this share of the thinner part do not divide", gt=0, le=1
    )
    merge_hu: float = setting(16.0, "parts that differ more in HU are not one region", gt=0)
    min_radius_mm: float = setting(4.3, "smallest inscribed sphere of a candidate", gt=0)
    effusion_share: float = setting(
        0.3, "what was segmented as pleural effusion by this share is effusion", gt=0, lt=1
    )
    fluid_step_hu: float = setting(
        10.0, "what is denser than the fluid it lies in by this is lung or a mass, not fluid", gt=0
    )
    sprawl: float = setting(
        7.0, "a candidate of so many times its inscribed sphere's volume may be fluid or lung", gt=1
    )
    min_present_ml: float = setting(1.5, "smaller candidates (a ball of 14 mm) may be a vessel or node", ge=0)
    min_zone_share: float = setting(0.55, "share of a candidate inside the compartment", gt=0, le=1)
    tail_share: float = setting(
        0.5, "what is thinner than this share of a candidate's radius hangs on it", ge=0, le=1
    )
    thin_share: float = setting(
        0.4, "what is thinner than this share of a mass's radius hangs on its native outline", ge=0, lt=1
    )
    thin_keeps_mm: float = setting(0.5, "what lies this close to the rest still belongs to it", ge=0)
    lobe_share: float = setting(
        0.25, "lobes smaller than this share of the largest are not part of it", gt=0, le=1
    )
    middle_share: float = setting(
        0.6, "a candidate's middle lies deeper than this share of its greatest depth", gt=0, lt=1
    )
    apart_hu: float = setting(
        12.0, "thick parts at its border that differ more from its middle are not it", gt=0
    )
    apart_radius_mm: float = setting(4.0, "half thickness of such parts; a rim is thinner", gt=0)
    max_gap_mm: float = setting(7.0, "a candidate lies this close to column or rib neck", gt=0)
    fluid_hu: tuple[float, float] = setting((-15.0, 32.0), "mean HU of pleural fluid")
    psoas_mirror_share: float = setting(0.5, "psoas is matched by soft tissue on the other side", gt=0, le=1)
    psoas_ratio: float = setting(1.4, "largest ratio of the psoas muscles' thickness", gt=1)
    lumbar_mirror_alike: float = setting(
        0.7,
        "share of a candidate beside L1 whose mirror image is soft tissue and may be psoas, too",
        gt=0,
        le=1,
    )
    lumbar_mirror_doubt: float = setting(
        0.25, "mirrored share from which a candidate below L1 is doubtful", ge=0
    )
    maybe_lumbar: float = setting(
        0.1, "a level that may be lumbar, or thoracic, with this probability is judged as both", ge=0, le=0.5
    )
    merges_within_mm: float = setting(
        12.0,
        "a mass this close to fluid or airless lung, about the smallest one's size, merges with it",
        ge=0,
    )
    metal_hu: float = setting(2500.0, "denser voxels are metal, which hides what lies near", gt=1000)
    metal_min_ml: float = setting(0.05, "smaller dense specks are not metal", ge=0)
    metal_reach_mm: float = setting(40.0, "metal hides what lies this close", ge=0)
    max_noise_hu: float = setting(
        25.0, "noise SD of working voxels beside the spine above which tissue cannot be parted", gt=0
    )
    depth_loss_mm: float = setting(
        6.0,
        "what bone beside it and the smoothing of depth take from the radius of a mass that is searched",
        ge=0,
    )
    noise_frays_mm: float = setting(
        0.25, "growth of the smallest detectable mass per HU of noise SD of working voxels", ge=0
    )
    near_column_mm: float = setting(25.0, "coverage counts the compartment this close to the column", gt=0)
    psoas_sure_ratio: float = setting(1.7, "a psoas so much thicker than the other holds a mass", gt=1)
    apex_mm: float = setting(4.0, "the compartment ends this far above the top of the lung", ge=0)
    small_radius_mm: float = setting(7.0, "thinner candidates are judged more strictly", gt=0)
    small_outline: float = setting(
        0.5, "less outline by lung or fat encloses a thin candidate in bone or muscle", ge=0, le=1
    )
    small_outline_rise: float = setting(0.075, "growth of that share per millimetre of thinness", ge=0)
    small_gap_mm: float = setting(
        4.0, "a thin candidate lies so close to the column, a sure one to bone", gt=0
    )
    foramen_side_mm: float = setting(26.0, "a thin candidate so close to the midline")
    foramen_ahead_mm: float = setting(5.0, "and not farther in front is tissue of the foramen")
    psoas_radius_mm: float = setting(11.0, "no psoas is thicker at its upper end", gt=0)
    psoas_sure_excess: float = setting(
        1.3, "what exceeds that limit so many times is surely more than psoas", gt=1
    )
    psoas_widens: float = setting(0.16, "and it widens by so much per millimetre below", ge=0)
    lumbar_min_radius_mm: float = setting(9.5, "smallest candidate beside psoas", gt=0)
    lump_sigma_mm: float = setting(3.5, "Gaussian over which density within psoas is averaged", gt=0)
    lump_step_hu: float = setting(8.0, "smallest difference from psoas of a lump within it", gt=0)
    lump_step_spreads: float = setting(2.5, "and that many robust SDs of psoas's own averages", gt=0)
    lump_min_radius_mm: float = setting(4.8, "smallest inscribed sphere of a lump within psoas", gt=0)
    lump_uneven: float = setting(
        1.3, "a dark lump whose SD exceeds psoas's so many times is muscle with fat", gt=1
    )
    psoas_above_mm: float = setting(10.0, "psoas may begin this far above its usual upper end", ge=0)
    lump_grows_mm: float = setting(6.0, "a lump's border lies this close to its sure part", gt=0)
    like_hu: float = setting(
        7.0, "an organ that differs less cannot be told from a candidate by density", gt=0
    )
    part_neck: float = setting(
        1.25, "a region joined by a neck wider than this is part of its neighbour", gt=0
    )
    organ_part: float = setting(
        0.2, "what was segmented as an organ by this share, and has its density, may be all organ", gt=0, le=1
    )
    unlike_hu: float = setting(
        5.0, "smallest difference from the rest of an organ that gives tissue back", gt=0
    )
    unlike_sigma_mm: float = setting(4.0, "Gaussian over which that difference is averaged", gt=0)
    organ_part_neck: float = setting(0.9, "the same for what was segmented as liver or spleen", gt=0)
    organ_bulge_mm: float = setting(17.0, "half width of a bulge of an organ that may be a mass", gt=0)
    merge_step: float = setting(1.25, "thicknesses that differ more are not one region", gt=1)
    joined_neck: float = setting(
        0.7, "a candidate joined to like tissue by a wider neck is indeterminate", gt=0
    )
    merge_always_ml: float = setting(1.5, "smaller parts join whatever they hang on", ge=0)
    outline_hu: float = setting(-45.0, "lung or fat that outlines a mass")
    border_reach_mm: float = setting(4.0, "the native border lies this close to the working one", gt=0)
    border_min_step_hu: float = setting(30.0, "smallest step to darker surroundings that is a border", gt=0)
    border_bone_step_hu: float = setting(
        130.0, "voxels brighter than the mass by this are bone at its rim", gt=0
    )
    sure_confidence: float = setting(0.5, "candidates below are indeterminate", gt=0, le=1)


class QualityConfig(_Section):
    """Limits of the judgement of what a scan can carry."""

    soft_tissue_hu: tuple[float, float] = setting((0.0, 180.0), "tissue in which noise is read")
    noise_patch_mm: float = setting(12.0, "edge of the homogeneous patches in which noise is read", gt=3)
    noise_min_patches: int = setting(150, "fewer homogeneous patches give no noise figure", ge=1)
    sampled_slices: int = setting(12, "slices, evenly spread, from which noise and edges are read", ge=1)
    edge_max_smear_mm: float = setting(
        0.5, "edges tilted so that a slice smears them more are left out", gt=0
    )
    edge_min_profiles: int = setting(40, "fewer clean edge profiles give no edge response", ge=5)
    metal_hu: float = setting(2500.0, "denser voxels are metal", gt=1000)
    metal_min_ml: float = setting(0.05, "smaller dense specks are not metal", ge=0)
    unenhanced_max_hu: float = setting(
        75.0,
        "aortic lumen of an unenhanced scan lies below: blood 45-65 HU plus calibration",
        source="HU-tables",
    )
    enhanced_min_hu: float = setting(95.0, "aortic lumen above this holds contrast medium")
    aortic_phase_min_hu: float = setting(280.0, "aortic lumen above this is the aortic phase")
    portal_lumen_hu: tuple[float, float] = setting(
        (110.0, 240.0), "aortic lumen that agrees with a described portal phase"
    )
    delayed_lumen_hu: tuple[float, float] = setting(
        (95.0, 180.0), "aortic lumen that agrees with a described delayed phase"
    )
    calibration_sd_hu: float = setting(4.0, "type B standard uncertainty of a mean HU at 120 kVp", gt=0)
    calibration_sd_unknown_kvp_hu: float = setting(10.0, "the same at another or unknown tube voltage", gt=0)
    # noise map, slice profile, field of view, breathing
    noise_block_mm: float = setting(30.0, "edge of the blocks of the noise map", gt=5)
    slice_profile_slices: int = setting(24, "slices whose leaning surfaces show the slice profile", ge=1)
    slice_min_profiles: int = setting(20, "fewer leaning surfaces give no slice profile", ge=5)
    slice_max_spread: float = setting(
        0.4, "middle fifth of the surfaces' figures, relative to their median: more is disagreement", gt=0
    )
    slice_min_smear: float = setting(
        0.8, "smear by the lean, relative to the in-plane width, below which the profile stays hidden", gt=0
    )
    field_cut_share: float = setting(
        0.02, "share of a slice's outline at the field's border that is a cut", gt=0, le=1
    )
    breathing_min_area_cm2: float = setting(
        15.0, "smaller sections at the lungs' lower end are not judged", gt=0
    )
    breathing_min_section_cm2: float = setting(
        60.0, "lungs of which no slice shows more do not tell breathing", gt=0
    )
    # contrast phase from several readings; HU at 120 kVp
    right_heart_min_hu: float = setting(180.0, "right heart of a pulmonary arterial phase lies above", gt=0)
    pulmonary_ratio: tuple[float, float] = setting(
        (1.3, 1.5),
        "enhancement of the right heart over the aorta's: aortic phase below, pulmonary arterial above",
    )
    excreted_hu: float = setting(
        300.0, "contrast medium in the renal pelvis, which comes two to three minutes after injection", gt=0
    )
    corticomedullary_hu: float = setting(60.0, "cortex above medulla of a kidney that fills", gt=0)
    weak_bolus_min_hu: float = setting(180.0, "aorta of a weak first pass, with kidneys that fill", gt=0)
    liver_first_pass_max_hu: float = setting(85.0, "liver that only its artery has reached lies below", gt=0)
    liver_portal_min_hu: float = setting(90.0, "liver that portal blood has reached lies above", gt=0)
    portal_sure_hu: tuple[float, float] = setting(
        (125.0, 140.0),
        "aorta of a portal phase: with kidneys that excrete nothing yet, and without kidneys in view",
    )


class MeasureConfig(_Section):
    """Limits of the measurements."""

    core_depth_mm: float = setting(2.0, "attenuation is read this far inside the border", ge=0)
    core_tail_hu: float = setting(
        5.0, "and no nearer to a blurred border than where its tail changes the density by this", gt=0
    )
    clear_border_hu: float = setting(-30.0, "fat and lung below this show where a mass ends")
    bone_border_step_hu: float = setting(130.0, "bone outside a mass is brighter than it by this", gt=0)
    soft_border_mm: float = setting(
        1.0,
        "standard uncertainty of a mass's border against soft tissue, from known masses in real series",
        ge=0,
    )
    bone_border_mm: float = setting(1.0, "the same against bone", ge=0)
    soft_end_mm: float = setting(4.0, "the same of the ends of a length", ge=0)
    texture_spacing_mm: float = setting(2.0, "isotropic voxels on which IBSI textures are read", gt=0)
    texture_bin_hu: float = setting(25.0, "bin size of IBSI textures", gt=0)
    texture_range_hu: tuple[float, float] = setting(
        (-150.0, 350.0), "only voxels in this range count for IBSI textures"
    )
    texture_min_voxels: int = setting(100, "fewer resampled voxels carry no texture", ge=2)
    context_mm: float = setting(12.0, "surroundings of a mass that are read with it", ge=8)
    min_core_ml: float = setting(0.1, "a smaller core carries no attenuation", gt=0)
    calcification_hu: float = setting(
        150.0, "calcification-like voxels lie above, noise and contrast permitting", source="HU-tables"
    )
    streak_reach_mm: float = setting(4.0, "SD of the Gaussian over which streaks are judged", gt=0)
    calcification_seed_sd: float = setting(5.5, "noise SDs above the core's median that seed a speck", gt=3)
    calcification_grow_sd: float = setting(3.0, "noise SDs above the core's median that belong to it", gt=1)
    contrast_margin_hu: float = setting(60.0, "with contrast, specks exceed the aortic lumen by this", ge=0)
    bone_distance_mm: float = setting(2.0, "dense voxels closer to bone are bone", ge=0)
    diffuse_hyperattenuation_hu: float = setting(70.0, "smoothed unenhanced tissue above is diffusely dense")
    fat_hu: tuple[float, float] = setting((-120.0, -30.0), "macroscopic fat, smoothed", source="HU-tables")
    fat_pure_hu: float = setting(-100.0, "mean of pure fat in the histogram's mixture", source="HU-tables")
    gas_hu: float = setting(-300.0, "gas inside a mass lies below")
    foci_smoothing_mm: float = setting(2.0, "SD of the Gaussian before low-density foci are sought", gt=0)
    foci_depth_mm: float = setting(3.0, "foci are sought this far inside the border", ge=0)
    foci_min_mm: float = setting(5.0, "smaller regions are no foci (equivalent diameter)", gt=0)
    foci_min_contrast_hu: float = setting(10.0, "foci lie at least this far below the median", gt=0)
    foci_visible_hu: float = setting(
        30.0, "foci that must be darker than this to be seen say nothing by their absence", gt=0
    )
    foci_false_rate: float = setting(0.05, "false foci expected in a uniform noisy mass", gt=0, lt=1)
    rim_depth_mm: tuple[float, float] = setting((2.0, 5.0), "the rim lies this deep; the core deeper")
    edge_min_contrast_hu: float = setting(40.0, "a border is read where tissue outside differs by this", gt=0)
    edge_lung_hu: float = setting(-250.0, "tissue outside below this is lung and not counted")
    edge_bone_hu: float = setting(160.0, "tissue outside above this is bone and not counted")
    edge_min_share: float = setting(
        0.2, "a margin of whose border to soft tissue and fat less can be read is not judged", ge=0, le=1
    )
    edge_min_points: int = setting(20, "fewer readable border points give no margin", ge=3)
    well_defined_factor: float = setting(
        2.0, "a border this many times the scan's own edge is ill defined", gt=1
    )
    fluid_max_hu: float = setting(20.0, "mean up to which fluid is fully compatible", source="HU-tables")
    fluid_falloff_hu: float = setting(
        15.0, "the score falls to 1/e at this distance from the fluid band", gt=0
    )
    bone_contact_mm: float = setting(3.0, "mass surface this close to a vertebra touches it", gt=0)
    airway_near_mm: float = setting(10.0, "trachea this close to a mass lies beside it", gt=0)
    airway_clean_mm: float = setting(
        10.0, "clean trachea that is needed above and below a mass to tell a narrowed one", gt=0
    )
    airway_narrowed: float = setting(
        0.35, "a lesser loss of the trachea's lumen is not told from its usual form", gt=0, lt=1
    )
    erosion_max_slice_mm: float = setting(2.5, "cortex is not judged in thicker slices", gt=0)
    cortex_max_slice_mm: float = setting(2.5, "the cortex of ribs is not fitted in thicker slices", gt=0)
    cortex_max_fwhm_mm: float = setting(2.0, "nor at a broader in-plane edge response", gt=0)
    rib_cortex_hu: float = setting(
        1200.0, "density of rib cortex before it is read: real chests here say 1,370 and 1,400", gt=0
    )
    rib_cortex_sd_hu: float = setting(
        200.0, "its standard uncertainty; twice that at other tube voltages", gt=0
    )
    rib_blur_relative_sd: float = setting(
        0.05, "relative standard uncertainty of the scan's edge response where ribs are read", gt=0
    )
    trabecular_depth_mm: float = setting(4.0, "trabecular bone is read this far inside the body", ge=2)
    min_trabecular_ml: float = setting(0.3, "a smaller trabecular region is not read", gt=0)
    coarsening_max_slice_mm: float = setting(
        3.0, "trabecular structure is not judged in thicker slices", gt=0
    )
    coarsening_max_fwhm_mm: float = setting(2.2, "nor at a broader in-plane edge response", gt=0)
    coarsening_band_mm: tuple[float, float] = setting((0.5, 2.0), "SDs of the difference of Gaussians")
    coarsening_min_ml: float = setting(1.0, "smaller trabecular regions show too few cells of marrow", gt=0)
    coarsening_run_mm: float = setting(
        1.0, "height over which structure holds, as the slices of a real chest show it", gt=0
    )
    splenic_lesion_min_mm: float = setting(10.0, "smaller splenic lesions are not counted", gt=0)
    splenic_lesion_min_contrast_hu: float = setting(18.0, "mean of a splenic lesion below the spleen", gt=0)
    splenic_calcium_hu: float = setting(
        120.0, "a calcified spleen is denser, averaged over 2 mm; 100 to 300 HU are reported", gt=60
    )
    splenic_calcium_visible_hu: float = setting(
        260.0, "where only calcium denser than this could be told from blood it is not judged", gt=0
    )
    organ_depth_mm: float = setting(4.0, "organ densities are read this far inside the border", ge=0)
    effusion_limit_ml: float = setting(50.0, "smaller effusions may be missed", gt=0)
    blood_from_hu: float = setting(
        35.0, "mean of an effusion from which it is blood; 20 to 35 is open", gt=20, source="HU-tables"
    )
    vessel_wall_max_slice_mm: float = setting(5.0, "the aorta's wall is not judged in thicker slices", gt=0)
    vessel_wall_max_fwhm_mm: float = setting(1.9, "nor at a broader in-plane edge response", gt=0)


class DifferentialConfig(_Section):
    """Which model, which prior, and when a measurement is a finding."""

    model: str = setting("emh-differential-1", "folder under models/, or a path")
    prior: str = setting("uniform", "named prior of the model")
    present_from: float = setting(0.8, "a finding this probable is stated as present", gt=0.5, lt=1)
    absent_to: float = setting(0.2, "a finding this improbable is stated as absent", gt=0, lt=0.5)
    unseen_probability: float = setting(
        0.05, "probability of what lies below a detection limit that was not stated", gt=0, lt=0.5
    )
    unseen_hollow_probability: float = setting(
        0.1,
        "probability of a hollow of bone where none was read: three of ten were not (docs/validation.md)",
        gt=0,
        lt=0.5,
    )
    surest_probability: float = setting(
        0.99, "of a finding from one number: an outline may hold the wrong tissue", gt=0.9, lt=1
    )
    level_present_from: float = setting(0.6, "a band of levels less probable is indeterminate", gt=0, le=1)
    min_covered_fraction: float = setting(
        0.6, "of a compartment must be assessed before a further mass in it is denied", gt=0, le=1
    )
    min_levels_for_count: int = setting(
        6, "fewer levels assessed on both sides say nothing on a single mass", ge=1
    )
    default_relative_sd: float = setting(
        0.1, "relative standard uncertainty of a value that came without one", gt=0
    )
    calcification_ml: float = setting(0.004, "discrete high density that counts: a speck of 2 mm", gt=0)
    hyperattenuation_fraction: float = setting(0.5, "share of a diffusely dense mass", gt=0, lt=1)
    fat_ml: float = setting(0.5, "macroscopic fat that counts", gt=0)
    gas_ml: float = setting(0.05, "gas that counts", gt=0)
    rim_contrast_hu: float = setting(15.0, "shell minus core of a mass with an enhancing rim", gt=0)
    well_defined_fraction: float = setting(
        0.5, "sharp share of the border of a well-defined mass", gt=0, lt=1
    )
    midline_bridging_mm: float = setting(5.0, "thickness of tissue that bridges the midline", gt=0)
    canal_extension_mm2: float = setting(
        40.0, "area inside canal and foramen that counts as extension, so that one of 50 is found", gt=0
    )
    lytic_depth_mm: float = setting(3.0, "depth of a lytic defect that counts", gt=0)
    scalloping_depth_mm: float = setting(3.0, "depth of a smooth impression that counts", gt=0)
    breakthrough_fraction: float = setting(
        0.25, "share of the facing cortex, outside hollows, whose loss counts", gt=0, lt=1
    )
    rib_erosion_depth_mm: float = setting(
        2.5,
        "a rib beside a mass that is thinner than clean ribs by so much is eroded: a third of its width",
        gt=0,
    )
    foramen_widening_mm: float = setting(
        1.5,
        "a foramen so much wider than the patient's own clean ones counts: half of what must be found",
        gt=0,
    )
    endplate_loss_fraction: float = setting(
        0.25, "share of an interspace's end plates whose loss counts: a Schmorl node takes less", gt=0, lt=1
    )
    endplate_step_mm: float = setting(
        1.5, "a step so deep in the middle of both end plates counts: half of what must be found", gt=0
    )
    endplate_step_vertebrae: int = setting(
        3, "vertebrae with such steps that make the finding: sickle cell disease marks many", ge=1
    )
    rib_expanded_mm: float = setting(
        12.5,
        "ribs wider than this are expanded; no limit is published, real chests here read 8.1 and 9.8",
        gt=0,
    )
    rib_cortex_thin_mm: float = setting(
        0.8,
        "ribs with a thinner cortex are thinned: the least of the published mid-rib maxima (0.9 to 2.6) and 0.1",
        source="HOLC19, HOLC22",
        gt=0,
    )
    rib_cortex_thin_sd_mm: float = setting(
        0.1,
        "standard uncertainty of that limit: no published series gives one for the mean of the wall",
        ge=0,
    )
    spleen_enlarged_ml: float = setting(314.0, "upper limit of a normal spleen", source="PRASS", gt=0)
    spleen_small_ml: float = setting(50.0, "a spleen below this is small", gt=0)
    spleen_calcified_fraction: float = setting(
        0.1, "calcified share of a spleen that counts; granulomas are far less", gt=0, lt=1
    )
    liver_enlarged_craniocaudal_mm: float = setting(
        160.0, "upper limit of a normal liver", source="JASPER", gt=0
    )
    liver_enlarged_ml_per_m2: float = setting(
        920.0, "mild hepatomegaly begins here, by body surface", source="LINGU", gt=0
    )
    liver_enlarged_ml: float = setting(
        2010.0, "the same by volume: mean and 2 SD, body size not known", source="LINGU", gt=0
    )
    effusion_ml: float = setting(20.0, "pleural fluid of one side that counts", gt=0)
    liver_iron_hu: float = setting(75.0, "unenhanced liver with iron", source="LAWR", gt=0)
    blood_pool_low_hu: float = setting(38.0, "unenhanced aortic lumen of an anaemic patient lies below", gt=0)
    myocardial_iron_hu: float = setting(
        60.0,
        "unenhanced myocardium with iron lies above; one such heart read 56 [KSTR1110], a chest without it here 58",
        gt=0,
    )
    myocardial_iron_sd_hu: float = setting(6.0, "standard uncertainty of that limit", ge=0)
    coarsening_index: float = setting(
        0.85,
        "trabecular coarsening that counts: above three real chests without bone disease and synthetic osteoporosis",
        gt=0,
    )
    coarsening_index_sd: float = setting(
        0.05, "standard uncertainty of that limit, which no published series supports", ge=0
    )
    coarsening_min_vertebrae: int = setting(2, "fewer vertebrae read give no statement on trabeculae", ge=1)
    osteosclerosis_hu: float = setting(
        380.0,
        "median trabecular density of sclerosis: mean and 2 SD below 30 years, 20.7 % more in the thorax",
        source="JANG19, BUDOFF",
        gt=0,
    )


class OutcomeConfig(_Section):
    """When an analysis may say that there is no mass."""

    trust_orientation: bool = setting(
        False, "analyse a scan although the anatomy contradicts its stated orientation (situs inversus)"
    )
    min_assessed_fraction: float = setting(
        0.6, "a compartment of which less was assessed is a gap, and a gap rules out `no_mass`", ge=0, le=1
    )
    full_fraction: float = setting(0.9, "compartments of which less was assessed are listed", ge=0, le=1)
    max_undetected_mm: float = setting(
        30.0, "where a larger mass could have been missed, `no_mass` is not said of that level", gt=0
    )
    min_assessed_levels: int = setting(2, "fewer levels assessed on both sides are inconclusive", ge=1)
    min_level_confidence: float = setting(
        0.9, "vertebrae named with less confidence are listed as uncertain", ge=0, le=1
    )


class Config(_Section):
    """All settings of one analysis."""

    name: str = "default"
    loading: LoadingConfig = LoadingConfig()
    anatomy: AnatomyConfig = AnatomyConfig()
    quality: QualityConfig = QualityConfig()
    masses: MassConfig = MassConfig()
    measure: MeasureConfig = MeasureConfig()
    differential: DifferentialConfig = DifferentialConfig()
    outcome: OutcomeConfig = OutcomeConfig()

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of all values: two results with one digest used the same settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def config_names() -> list[str]:
    """Return the names of the profiles that ship with the package."""
    return sorted(path.stem for path in data_folder("configs").glob("*.toml"))


def load_config(name_or_path: str | Path = "default") -> Config:
    """Read a profile by name (``configs/NAME.toml``) or from a TOML file.

    Raises
    ------
    ConfigError
        If there is no such profile, or a value in it is not valid.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = data_folder("configs") / f"{name_or_path}.toml"
    if not path.is_file():
        raise ConfigError(
            f"There is no configuration {str(name_or_path)!r}.",
            code="config_not_found",
            remedy=f"Use one of {', '.join(config_names())}, or the path of a .toml file.",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return Config.model_validate({"name": path.stem, **values})
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        first = (
            "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise ConfigError(
            f"Configuration {path.name} is not valid: {first}.",
            code="config_invalid",
            remedy="Correct the named field; docs/configuration.md lists all of them.",
        ) from error
