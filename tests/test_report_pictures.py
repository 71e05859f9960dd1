"""Pictures show the right place, on the right side, in the right proportion."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from paraspinal.report import drawing, render_mass, render_overview, render_overview_plane
from paraspinal.report.pictures import BODY_DEPTH_MM, PLANES, mass_cut, overview_cut, render_check_slice
from paraspinal.report.planes import AIR_HU, flat_cut
from report_case import GEOMETRY, SHAPE, SPACING, anatomy_of, box_mass, slanted_canal, volume_of

MIDDLE = tuple((n - 1) / 2 for n in SHAPE)


def grid(axis: int) -> np.ndarray:
    """Index along one axis, as a volume that broadcasts."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.arange(SHAPE[axis]).reshape(shape) * np.ones(SHAPE)


@pytest.mark.parametrize(
    ("plane", "axis", "shown_right", "name"),
    [("axial", 2, True, "L"), ("coronal", 2, True, "L"), ("sagittal", 1, True, "P")],
)
def test_bright_patient_side_is_where_its_letter_stands(
    plane: str, axis: int, shown_right: bool, name: str
) -> None:
    """Patient's left (+x in LPS) and back (+y) lie on the picture's right, and the letter there says so."""
    volume = volume_of(np.where(grid(axis) > MIDDLE[axis], 300, -300))
    far = [0.0, 0.0, 0.0]
    far[axis] = 10.0
    gain = volume.geometry.to_lps(far) - volume.geometry.to_lps((0, 0, 0))
    assert gain[2 - axis] > 0  # the array axis runs to the patient's left or back
    cut = flat_cut(volume, plane, MIDDLE, size_mm=100, mm_per_px=0.5)
    half = cut.hu.shape[1] // 2
    assert (cut.hu[:, half + 3 :].mean() > cut.hu[:, : half - 3].mean()) == shown_right
    assert cut.sides[1] == name


@pytest.mark.parametrize(("position", "left_half"), [(0, True), (1, False)])
def test_side_letters_are_drawn_on_their_side(position: int, left_half: bool) -> None:
    cut = flat_cut(volume_of(np.full(SHAPE, -1000)), "axial", MIDDLE, size_mm=100, mm_per_px=0.5)
    letters = [" "] * 4
    letters[position] = cut.sides[position]
    image = drawing.canvas(cut, drawing.SOFT_WINDOW)
    drawing.draw_sides(image, replace(cut, sides="".join(letters)))
    columns = np.nonzero(np.asarray(image).sum(axis=(0, 2)))[0]
    assert len(columns)
    assert (columns.max() < image.width / 2) == left_half


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_head_is_up(plane: str) -> None:
    cut = flat_cut(volume_of(grid(0)), plane, MIDDLE, size_mm=100, mm_per_px=0.5)
    assert cut.hu[0].mean() > cut.hu[-1].mean()
    assert cut.sides[2:] == "HF"


def test_face_is_up_in_axial_pictures() -> None:
    cut = flat_cut(volume_of(grid(1)), "axial", MIDDLE, size_mm=100, mm_per_px=0.5)
    assert cut.hu[0].mean() < cut.hu[-1].mean()


@pytest.mark.parametrize("plane", PLANES)
def test_a_cube_looks_square_whatever_the_voxels_are(plane: str) -> None:
    """Voxels of 4 × 1.5 × 1 mm, a cube of 48 mm: 48 mm wide and high in every plane."""
    hu = np.full(SHAPE, -500)
    hu[24:36, 64:96, 76:124] = 500
    cut = flat_cut(volume_of(hu), plane, (30, 80, 100), size_mm=160, mm_per_px=0.4)
    inside = cut.hu > 0
    width, height = (inside.any(axis=a).sum() * cut.mm_per_px for a in (0, 1))
    assert width == pytest.approx(48, abs=1.0)
    assert height == pytest.approx(48, abs=1.0)


def test_picture_never_shows_what_the_scan_does_not_hold() -> None:
    """A field wider than the scan is filled with air, and rows keep to the slices that exist."""
    volume = volume_of(np.full(SHAPE, 40))
    cut = flat_cut(volume, "coronal", MIDDLE, size_mm=400, mm_per_px=1.0)
    assert cut.hu.shape[0] == pytest.approx(SHAPE[0] * SPACING[0], abs=1)
    assert (cut.hu[:, :95] == AIR_HU).all()
    assert (cut.hu[:, 105:295] == 40).all()


def test_points_project_onto_the_voxel_that_they_lie_in() -> None:
    hu = np.full(SHAPE, -500)
    spot = (17, 120, 55)
    hu[spot] = 2000
    volume = volume_of(hu)
    for plane in PLANES:
        cut = flat_cut(volume, plane, spot, size_mm=120, mm_per_px=0.5)
        column, row = cut.pixels(volume.geometry.to_index(volume.geometry.to_lps(spot)))
        brightest = np.argwhere(cut.hu == cut.hu.max()).mean(axis=0)
        assert (row, column) == pytest.approx(tuple(brightest), abs=1.0)


def test_outline_encloses_the_mass_and_only_where_it_lies() -> None:
    volume, mass = volume_of(np.full(SHAPE, 40)), box_mass()
    for plane in PLANES:
        cut = mass_cut(volume, mass, plane)
        (outline,) = cut.outlines(mass.region, SHAPE, projected=False)
        size = np.ptp(outline, axis=0) * cut.mm_per_px
        assert tuple(size) == pytest.approx((40, 40), abs=1.5)
    elsewhere = flat_cut(volume, "axial", (2, 80, 100), size_mm=160, mm_per_px=0.4)
    assert elsewhere.outlines(mass.region, SHAPE, projected=False) == []
    assert len(elsewhere.outlines(mass.region, SHAPE, projected=True)) == 1


def test_overview_follows_the_canal() -> None:
    """A dense rod along a slanted canal is seen over the whole height, in both reformats."""
    hu = np.full(SHAPE, -200)
    index = np.rint(GEOMETRY.to_index(slanted_canal())).astype(int)
    hu[index[:, 0], index[:, 1], index[:, 2]] = 3000
    ahead = round(BODY_DEPTH_MM / SPACING[1])
    hu[index[:, 0], index[:, 1] - ahead, index[:, 2]] = 3000
    volume, anatomy = volume_of(hu), anatomy_of()
    for plane in ("sagittal", "coronal"):
        cut = overview_cut(volume, anatomy, plane)
        assert (cut.hu.max(axis=1) > 100).mean() > 0.98
    straight = overview_cut(volume, None, "sagittal")
    assert (straight.hu.max(axis=1) > 100).mean() < 0.3


def coloured(image: Image.Image, colour: drawing.Colour, *, tolerance: int = 60) -> np.ndarray:
    """(row, column) of the pixels near one colour."""
    array = np.asarray(image).astype(int)
    return np.argwhere(np.abs(array - np.array(colour)).max(axis=2) < tolerance)


def test_overview_labels_stand_at_their_vertebra_and_doubt_is_coloured() -> None:
    volume, anatomy = volume_of(np.full(SHAPE, -1000)), anatomy_of()
    only_doubtful = replace(anatomy, vertebrae=anatomy.vertebrae[2:3], centreline_lps_mm=np.empty((0, 3)))
    image = render_overview_plane(volume, only_doubtful, "coronal")
    cut = overview_cut(volume, only_doubtful, "coronal")
    column, row = cut.pixels(GEOMETRY.to_index(anatomy.vertebrae[2].centroid_lps_mm))
    marked = coloured(image, drawing.UNCERTAIN)
    assert len(marked) > 40
    assert np.abs(marked[:, 0] - row).max() < 12
    assert marked[:, 1].min() < column < marked[:, 1].max()
    only_sure = replace(anatomy, vertebrae=anatomy.vertebrae[:1])
    assert len(coloured(render_overview_plane(volume, only_sure, "coronal"), drawing.UNCERTAIN)) == 0


def test_overview_draws_centreline_and_masses() -> None:
    volume, anatomy = volume_of(np.full(SHAPE, -1000)), anatomy_of()
    image = render_overview(volume, anatomy, [box_mass()])
    assert len(coloured(image, drawing.CENTRELINE)) > image.height
    assert len(coloured(image, drawing.mass_colour(1))) > 100


def test_indeterminate_masses_are_dashed() -> None:
    volume = volume_of(np.full(SHAPE, -1000))
    counts = [
        len(
            coloured(
                render_mass(volume, box_mass(state=s), "axial", drawing.SOFT_WINDOW), drawing.mass_colour(1)
            )
        )
        for s in ("present", "indeterminate")
    ]
    assert 0.3 * counts[0] < counts[1] < 0.7 * counts[0]


def test_scale_bar_is_as_long_as_it_says() -> None:
    cut = flat_cut(volume_of(np.full(SHAPE, -1000)), "axial", MIDDLE, size_mm=160, mm_per_px=0.4)
    image = drawing.canvas(cut, drawing.SOFT_WINDOW)
    drawing.draw_scale_bar(image, cut)
    bar = np.asarray(image.convert("L"))[-11]
    assert drawing.scale_bar_mm(cut) == 50
    assert (bar > 200).sum() * cut.mm_per_px == pytest.approx(50, abs=0.8)


def test_window_maps_its_edges_to_black_and_white() -> None:
    grey = drawing.windowed(np.array([[-160, 40, 240, 3000]], np.int16), drawing.SOFT_WINDOW)
    assert grey.tolist() == [[0, 128, 255, 255]]


def test_check_slice_without_anatomy_shows_the_whole_slice() -> None:
    image = render_check_slice(volume_of(np.full(SHAPE, 40)), None, 30, drawing.SOFT_WINDOW)
    assert image.width == image.height
    assert np.asarray(image.convert("L"))[image.height // 2, 40:-40].min() > 100


@pytest.mark.parametrize(("noise", "kind"), [(0, "png"), (60, "jpeg")])
def test_encoding_keeps_the_greys(noise: float, kind: str) -> None:
    rng = np.random.default_rng(3)
    grey = np.clip(rng.normal(120, noise, (400, 400)), 0, 255).astype(np.uint8)
    uri = drawing.data_uri(Image.fromarray(grey).convert("RGB"))
    head, _, body = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("L")).astype(int)
    assert np.abs(back - grey).mean() < 4
