"""Which series of an input is taken, and what is said of the others."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import stored_body, uid_of, write_series
from paraspinal.dicomio.headers import short_digest
from paraspinal.errors import LoadError, UsageError
from paraspinal.loading import load_series


def named(name: str, number: int, **values: object):  # type: ignore[no-untyped-def]
    """Return an edit that makes a series of its own."""

    def edit(_: int, ds: Dataset) -> None:
        ds.SeriesInstanceUID = uid_of(name)
        ds.SeriesNumber = number
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return edit


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a study: localizer, short CT, long soft CT, long lung CT, and an MR series."""
    scout = named("scout", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path, stored_body(2), edit=scout, prefix="a")
    write_series(tmp_path, stored_body(4), edit=named("short", 2), prefix="b")
    write_series(tmp_path, stored_body(20), edit=named("soft", 3), prefix="c")
    lung = named("lung", 4, ConvolutionKernel="LUNG")
    write_series(tmp_path, stored_body(20), edit=lung, prefix="d")
    write_series(
        tmp_path,
        stored_body(30),
        edit=named("mr", 5, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"),
        prefix="e",
    )
    return tmp_path


def test_the_long_soft_series_is_taken_and_the_others_are_named(study: Path) -> None:
    loaded = load_series(study)
    assert loaded.uid == uid_of("soft")
    assert "best of 3" in (loaded.loading.chosen_because or "")
    left_out = "\n".join(loaded.loading.left_out)
    assert len(loaded.loading.left_out) == 4
    for words in ("localizer", "not_ct (MR)", "4 slices", "LUNG"):
        assert words in left_out


@pytest.mark.parametrize("by", ["uid", "number", "digest"])
def test_a_series_is_taken_by_name(study: Path, by: str) -> None:
    uid = uid_of("lung")
    name = {"uid": uid, "number": "4", "digest": short_digest(uid, 10)}[by]
    loaded = load_series(study, series=name)
    assert loaded.uid == uid
    assert loaded.uid_digest == short_digest(uid, 16)


def test_an_unknown_series_is_a_usage_error_that_lists_what_there_is(study: Path) -> None:
    with pytest.raises(UsageError, match="no series of that name") as error:
        load_series(study, series="99")
    assert error.value.code == "series_not_found"
    assert short_digest(uid_of("soft")) in error.value.remedy
    assert "20 images" in error.value.remedy


def test_a_number_that_two_series_share_is_ambiguous(study: Path) -> None:
    write_series(study, stored_body(20), edit=named("second", 3), prefix="f")
    with pytest.raises(UsageError) as error:
        load_series(study, series="3")
    assert error.value.code == "series_ambiguous"


def test_asking_for_the_localizer_is_refused_as_such(study: Path) -> None:
    with pytest.raises(LoadError) as refusal:
        load_series(study, series="1")
    assert refusal.value.code == "localizer"


def test_no_uid_is_ever_shown(study: Path) -> None:
    texts = [load_series(study).loading.model_dump_json()]
    for wanted in ("1", "5", "99"):
        with pytest.raises((LoadError, UsageError)) as error:
            load_series(study, series=wanted)
        texts.append(error.value.one_line() + str(getattr(error.value, "details", "")))
    for name in ("scout", "short", "soft", "lung", "mr"):
        assert not any(uid_of(name) in text for text in texts)


def test_a_defect_of_the_best_series_is_not_hidden_behind_a_fragment(tmp_path: Path) -> None:
    gap = [(0.0, 0.0, 2.5 * i) for i in range(103) if not 50 <= i < 53]
    write_series(tmp_path, stored_body(100), positions=gap, edit=named("whole", 1), prefix="a")
    write_series(tmp_path, stored_body(4), edit=named("fragment", 2), prefix="b")
    with pytest.raises(LoadError) as refusal:
        load_series(tmp_path)
    assert refusal.value.code == "missing_slices"


def test_one_file_stands_for_its_series(study: Path) -> None:
    loaded = load_series(study / "d0003")
    assert loaded.uid == uid_of("lung")
    assert loaded.volume.hu.shape[0] == 20


def test_series_without_uid_gets_a_key_from_its_content(tmp_path: Path) -> None:
    stored = stored_body()
    nameless = named("", 3, SeriesInstanceUID="", SOPInstanceUID="", PatientName="One")
    renamed = named("", 3, SeriesInstanceUID="", SOPInstanceUID="", PatientName="Other")
    for folder, edit in (("a", nameless), ("b", renamed)):
        write_series(tmp_path / folder, stored, edit=edit)
    changed = stored.copy()
    changed[0, 5, 5] += np.int16(1)
    write_series(tmp_path / "c", changed, edit=nameless)
    one, same, other = (load_series(tmp_path / folder) for folder in "abc")
    assert one.uid.startswith("derived-")
    assert len(one.uid) == len("derived-") + 16
    assert one.uid == same.uid
    assert one.uid != other.uid
    assert "uid_missing" in {c.code for c in one.loading.codes}
    assert load_series(tmp_path / "a", series=one.uid_digest[:8]).uid == one.uid


def test_the_choice_does_not_depend_on_the_order_of_files(study: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned"
    turned.mkdir()
    for path in list(study.iterdir()):
        if path.is_file():
            name = "".join(chr(ord("z") - ord(c) + ord("a")) if c.isalpha() else c for c in path.name)
            path.rename(turned / name)
    assert load_series(turned).uid == uid_of("soft")
