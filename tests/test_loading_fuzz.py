"""Hostile files: the loader refuses with a code, or gives the same volume, or says what is different."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_factory import stored_body, write_series
from grid_files import write_itk, write_nifti2
from paraspinal.errors import LoadError
from paraspinal.loading import LoadedSeries, load_series
from paraspinal.loading.codes import REFUSALS
from paraspinal.loading.sources import shown

CHILD = Path(__file__).with_name("load_in_child.py")
CHILDREN = 2
SAMPLED = 30
# The last digits of the UID of the corpus's images.
UID_END = b"882"
PIXELS = np.random.default_rng(5).integers(0, 2000, 1 << 15).astype("<u2").tobytes()
PIXEL_TAG = b"\xe0\x7f\x10\x00"


def corpus(real_data: Path) -> list[Path]:
    return sorted((real_data / "fuzz").rglob("*.dcm"))


def load_in_child(places: list[Path]) -> list[dict[str, object]]:
    """Load each input in a child process with limits; fail where the child died."""
    done = subprocess.run(
        [sys.executable, str(CHILD), *map(str, places)], capture_output=True, text=True, timeout=120
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died with {done.returncode} at {lines[-1:]}: {done.stderr[-500:]}"
    return [line for line in lines if "code" in line]


def load_in_children(places: list[Path]) -> list[dict[str, object]]:
    shares = [places[n::CHILDREN] for n in range(CHILDREN)]
    with ThreadPoolExecutor(CHILDREN) as pool:
        outcomes = [line for lines in pool.map(load_in_child, shares) for line in lines]
    assert len(outcomes) == len(places)
    assert not [line for line in outcomes if "MemoryError" in json.dumps(line)]
    wrong = [line for line in outcomes if line["code"] not in {*REFUSALS, "loaded"}]
    assert not wrong, wrong[:5]
    return outcomes


# These are about a series, which they name by its digest; the others are about a file.
ABOUT_A_SERIES = {"too_few_slices", "not_ct"}


@pytest.mark.realdata
def test_no_file_of_the_corpus_ends_in_anything_but_a_coded_refusal(real_data: Path, tmp_path: Path) -> None:
    files = corpus(real_data)
    assert len(files) > 300
    places = []
    for number, path in enumerate(files):
        place = tmp_path / str(number) / path.name
        place.parent.mkdir()
        place.symlink_to(path)
        places.append(place)
    outcomes = load_in_children(places)
    # One image is no volume, so that a legal mutant is refused, too.
    assert not [line for line in outcomes if line["code"] == "loaded"]
    nameless = [line for line in outcomes if shown(str(line["file"])) not in str(line["text"])]
    assert {line["code"] for line in nameless} <= ABOUT_A_SERIES


def write_files(folder: Path, files: dict[str, bytes | None]) -> None:
    folder.mkdir()
    for name, content in files.items():
        assert content is not None
        (folder / name).write_bytes(content)


def element(group: int, number: int, vr: bytes, value: str) -> bytes:
    """Return an element, explicit little endian."""
    coded = value.encode() + b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(coded)) + coded


def placed(content: bytes, index: int) -> bytes | None:
    """Return a file of the corpus with a place in the patient, a rescale, and values that tell voxels apart.

    None where its form has no room for them. The corpus has zeros for pixels.
    """
    at = content.find(PIXEL_TAG) + 12
    end = at + int.from_bytes(content[at - 4 : at], "little")
    if not any(content[at:end]):
        content = content[:at] + PIXELS[: len(content[at:end])] + content[end:]
    extra = {
        b"\x28\x00\x02\x00US": element(0x20, 0x32, b"DS", f"0\\0\\{2.5 * index}")
        + element(0x20, 0x37, b"DS", "1\\0\\0\\0\\1\\0"),
        b"\x28\x00\x00\x01US": element(0x28, 0x30, b"DS", "0.7\\0.7"),
        PIXEL_TAG: element(0x28, 0x1052, b"DS", "-1024") + element(0x28, 0x1053, b"DS", "1"),
    }
    for tag, elements in extra.items():
        if content.count(tag) != 1:
            return None
        content = content.replace(tag, elements + tag)
    return content


@pytest.mark.realdata
def test_a_file_of_the_corpus_within_a_series_never_changes_it_in_silence(
    real_data: Path, tmp_path: Path
) -> None:
    """The corpus has no positions; with some, its files get as far as their pixels."""
    base = next((real_data / "fuzz").rglob("BASELINE*")).read_bytes()
    good = tmp_path / "good"
    series = {f"slice{i}": placed(base.replace(UID_END, b"%03d" % i), i) for i in range(5)}
    write_files(good, series)
    places = []
    for number, path in enumerate(corpus(real_data)):
        changed = placed(path.read_bytes(), 2)
        if changed is not None and len(changed) < 200_000:
            write_files(tmp_path / str(number), {**series, "slice2": changed})
            places.append(tmp_path / str(number))
    assert len(places) > 150
    (truth,) = load_in_child([good])
    assert truth["code"] == "loaded"
    loaded = [line for line in load_in_children(places) if line["code"] == "loaded"]
    same = [line for line in loaded if line["volume"] == truth["volume"]]
    assert len(same) > len(places) / 2
    silent = [line for line in loaded if line not in same and line["said"] == truth["said"]]
    assert not silent, [line["file"] for line in silent]


@pytest.mark.realdata
def test_a_good_series_loads_beside_any_of_them(real_data: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "ct", stored_body())
    good = load_series(tmp_path / "ct")
    files = corpus(real_data)
    for path in files[:: len(files) // SAMPLED]:
        added = tmp_path / "ct" / path.name
        added.symlink_to(path)
        loaded = load_series(tmp_path / "ct")
        np.testing.assert_array_equal(loaded.volume.hu, good.volume.hu)
        assert loaded.volume.geometry.same_grid(good.volume.geometry)
        assert loaded.uid_digest == good.uid_digest
        assert is_on_record(loaded, good), path.name
        added.unlink()


# They say nothing about where the voxels are or what they read, so that none of them excuses a change of either.
BESIDE_THE_POINT = {
    *(
        "dicom_warnings",
        "uid_missing",
        "sop_class_missing",
        "frame_of_reference_differs",
        "mixed_acquisition",
    ),
    *("kvp_unknown", "virtual_energy", "thickness_unknown", "overlapping_slices", "slice_gap"),
    *("non_square_pixels", "padding_value_ignored"),
}


def is_on_record(loaded: LoadedSeries, good: LoadedSeries) -> bool:
    """Tell whether something was said of voxels or files that is not said of the good series alone."""
    return not statements(loaded) <= statements(good)


def statements(loaded: LoadedSeries) -> set[str]:
    told = [c for c in loaded.loading.codes if c.code not in BESIDE_THE_POINT]
    codes = {f"{c.code} {sorted(c.numbers.items())} {c.slices}" for c in told}
    return codes | set(loaded.loading.left_out)


@dataclass(frozen=True)
class Series:
    """A small series on disk, the bytes of one of its files, and where the header of that ends."""

    folder: Path
    good: LoadedSeries
    changed: Path
    content: bytes
    header_end: int


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    folder = tmp_path_factory.mktemp("mutated")
    paths = write_series(folder, stored_body(5))
    content = paths[2].read_bytes()
    return Series(folder, load_series(folder), paths[2], content, content.rindex(PIXEL_TAG) + 12)


# A few changes: a place as a share of the header, and a new byte: digits, separators, or any.
MUTATIONS = st.lists(
    st.tuples(
        st.floats(0.0, 1.0, exclude_max=True),
        st.one_of(st.sampled_from(b"0123456789.-+eE\\ "), st.integers(0, 255)),
    ),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[float, int]], end: int, *, start: int = 128) -> bytes:
    """Return the content with bytes changed between `start` (a DICOM preamble means nothing) and `end`."""
    data = bytearray(content)
    for share, byte in changes:
        data[start + int(share * (end - start))] = byte
    return bytes(data)


def check_truth(series: Series) -> None:
    """Load the changed series: the same volume, or something said about it, or a refusal with a known code."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            loaded = load_series(series.folder)
        except LoadError as error:
            assert error.code in REFUSALS  # noqa: PT017
            return
    same = np.array_equal(loaded.volume.hu, series.good.volume.hu)
    same = same and loaded.volume.geometry.same_grid(series.good.volume.geometry)
    assert same or is_on_record(loaded, series.good)


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=MUTATIONS)
def test_a_mutated_header_never_changes_the_volume_in_silence(
    series: Series, changes: list[tuple[float, int]]
) -> None:
    series.changed.write_bytes(mutated(series.content, changes, series.header_end))
    try:
        check_truth(series)
    finally:
        series.changed.write_bytes(series.content)


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=MUTATIONS, cut=st.one_of(st.none(), st.integers(0, 600)))
@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha", "nii2"])
def test_a_mutated_volume_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, changes: list[tuple[float, int]], cut: int | None
) -> None:
    """A header that was changed may be a legal one; it never ends in another error, nor in voxels made up."""
    path = tmp_path_factory.getbasetemp() / f"mutated.{suffix}"
    content = volume_file(path.with_name(f"whole.{suffix}"))
    path.write_bytes(mutated(content, changes, min(len(content), 600), start=0)[:cut])
    try:
        loaded = load_series(path)
    except LoadError as error:
        assert error.code in REFUSALS  # noqa: PT017
        assert path.name in error.message or error.code == "too_oblique"  # noqa: PT017
        return
    assert loaded.volume.hu.size == 120
    assert np.isfinite(loaded.volume.geometry.matrix).all()
    if not {c.code for c in loaded.loading.codes} - BESIDE_THE_POINT - {"oblique", "non_axial"}:
        assert_as_another_reads(path, loaded)


def assert_as_another_reads(path: Path, loaded: LoadedSeries) -> None:
    """Assert the values that are read elsewhere: a legal change of type, scale or place changes both."""
    content = path.read_bytes()
    if path.suffix == ".gz":  # SimpleITK fills what it cannot unpack with zeros
        content, path = gzip.decompress(content), path.with_suffix("")
        path.write_bytes(content)
    if path.suffix == ".nii2":  # SimpleITK does not read it
        slope, intercept = struct.unpack_from("<2d", content, 176)
        expected = np.frombuffer(content, "<i2", 120, 544) * (slope or 1.0) + (intercept if slope else 0.0)
    else:
        try:
            expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).ravel().astype(np.float64)
        except RuntimeError:  # a word of a header that it does not know
            expected = np.frombuffer(content[-240:], "<i2").astype(np.float64)
    np.testing.assert_array_equal(loaded.volume.to_source(loaded.volume.hu).ravel(), np.rint(expected))


@cache
def volume_file(path: Path) -> bytes:
    made = write_nifti2(path) if path.suffix == ".nii2" else write_itk(path)
    return made.read_bytes()


@pytest.mark.parametrize("share", np.linspace(0.0, 0.999, 40))
def test_a_file_that_was_cut_off_anywhere_is_never_taken_in_silence(series: Series, share: float) -> None:
    series.changed.write_bytes(series.content[: int(share * len(series.content))])
    try:
        check_truth(series)
    finally:
        series.changed.write_bytes(series.content)
