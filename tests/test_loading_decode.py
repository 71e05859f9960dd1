"""Slices read straight into the volume are the slices that are decoded, and their digest is the files' own."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

import paraspinal.loading.decode as decode_module
from dicom_factory import stored_body, write_series
from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.loading.canonical import Canonical
from paraspinal.loading.decode import Decoded, decode_stack
from paraspinal.loading.scan import Entry, scan_files
from paraspinal.loading.sources import folder_files
from paraspinal.volume import Geometry, SourceAxes

CONFIG = LoadingConfig()
Edit = Callable[[int, Dataset], None]


def entries_of(folder: Path) -> tuple[Entry, ...]:
    return scan_files(folder_files(folder, config=CONFIG), config=CONFIG).entries


def decode(
    folder: Path, *, flipped: tuple[bool, bool, bool] = (False,) * 3, config: LoadingConfig = CONFIG
) -> Decoded:
    entries = entries_of(folder)
    form = entries[0].header.pixels
    assert form is not None
    geometry = Geometry((len(entries), form.rows, form.columns), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    canonical = Canonical(geometry, SourceAxes((0, 1, 2), flipped), 0.0)
    return decode_stack(entries, canonical, config=config)


def set_tags(**values: object) -> Edit:
    def edit(_: int, ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


def air_floor(stored: np.ndarray) -> np.ndarray:
    stored[0, 0, 0] = 0  # -1024 HU: as low as air gets
    return stored


def padded(stored: np.ndarray) -> np.ndarray:
    stored[:, :, 0] = -2000
    return stored


def near_the_end(stored: np.ndarray) -> np.ndarray:
    stored[3, 4, 5] = 32767
    return stored


CASES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Edit | None]] = {
    "plain": (np.asarray, None),
    "air floor": (air_floor, None),
    "padded": (padded, None),
    "unsigned": (lambda s: s.astype(np.uint16), None),
    "12 bits": (lambda s: s.astype(np.uint16), set_tags(BitsStored=12, HighBit=11)),
    "overlay": (lambda s: s.astype(np.uint16) | 0x4000, set_tags(BitsStored=12, HighBit=11)),
    "slope": (np.asarray, set_tags(RescaleSlope="1.5")),
    "half an intercept": (np.asarray, set_tags(RescaleIntercept="-1024.5")),
    "beyond 16 bits": (near_the_end, set_tags(RescaleIntercept="1024")),
    "wrapping": (lambda s: s.astype(np.uint16) + 60000, set_tags(RescaleIntercept="-61024")),
    "stated padding": (padded, set_tags(PixelPaddingValue=-2000)),
}


@pytest.mark.parametrize("flipped", [(False, False, False), (True, False, False), (False, True, True)])
@pytest.mark.parametrize("case", CASES)
def test_in_place_is_what_decoding_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, flipped: tuple[bool, bool, bool]
) -> None:
    change, edit = CASES[case]
    write_series(tmp_path, change(stored_body()), edit=edit)
    fast = decode(tmp_path, flipped=flipped)
    monkeypatch.setattr(decode_module, "fits", lambda form, plane: False)
    slow = decode(tmp_path, flipped=flipped)
    np.testing.assert_array_equal(fast.hu, slow.hu)
    assert (fast.padding is None) == (slow.padding is None)
    if fast.padding is not None and slow.padding is not None:
        np.testing.assert_array_equal(fast.padding, slow.padding)
    facts = [(s.index, s.clipped, s.low, s.high, s.padded, s.odd_bits, s.corners_hu) for s in slow.slices]
    assert [
        (s.index, s.clipped, s.low, s.high, s.padded, s.odd_bits, s.corners_hu) for s in fast.slices
    ] == facts
    assert fast.input_digest == slow.input_digest


@pytest.mark.parametrize("case", ["plain", "unsigned", "12 bits", "wrapping"])
def test_plain_slices_never_pass_through_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    change, edit = CASES[case]
    write_series(tmp_path, change(stored_body()), edit=edit)

    def never(*_: object) -> None:
        raise AssertionError("a plain slice was decoded")

    monkeypatch.setattr(decode_module, "decode_frame", never)
    np.testing.assert_array_equal(decode(tmp_path).hu, stored_body() - 1024)


def test_the_digest_is_of_all_bytes_and_optional(tmp_path: Path) -> None:
    paths = write_series(tmp_path, stored_body())
    paths[2].write_bytes(paths[2].read_bytes() + struct_of_padding())
    sums = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert decode(tmp_path).input_digest == hashlib.sha256("".join(sums).encode()).hexdigest()[:16]
    without = decode(tmp_path, config=LoadingConfig(digest_input=False))
    assert without.input_digest == ""
    np.testing.assert_array_equal(without.hu, decode(tmp_path).hu)


def struct_of_padding() -> bytes:
    """Return Data Set Trailing Padding (FFFC,FFFC), which follows the pixels."""
    return b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0" + bytes(4)


def test_a_file_cut_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path, stored_body())
    entries = entries_of(tmp_path)
    paths[5].write_bytes(paths[5].read_bytes()[:-10])
    canonical = Canonical(Geometry((8, 12, 10), (1, 1, 1), (0, 0, 0)), SourceAxes(), 0.0)
    with pytest.raises(LoadError, match="slice0005") as refusal:
        decode_stack(entries, canonical, config=CONFIG)
    assert refusal.value.code == "truncated_pixel_data"


def test_more_pixels_than_the_header_describes_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body(), edit=set_tags(Rows=6))
    with pytest.raises(LoadError) as refusal:
        decode(tmp_path)
    assert refusal.value.code == "pixel_data_mismatch"


def test_every_slice_has_its_image_or_nothing_is_returned(tmp_path: Path) -> None:
    write_series(tmp_path, stored_body())
    canonical = Canonical(Geometry((9, 12, 10), (1, 1, 1), (0, 0, 0)), SourceAxes(), 0.0)
    with pytest.raises(AssertionError, match="8 images do not fill 9 slices"):
        decode_stack(entries_of(tmp_path), canonical, config=CONFIG)
