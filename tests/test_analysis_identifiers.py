"""Identifiers of the files stand in a result only where they were asked for."""

from __future__ import annotations

from analysis_factory import make_analysis
from paraspinal.analysis.identifiers import with_identifiers


def test_a_result_holds_no_uid_of_itself() -> None:
    text = make_analysis().to_json()
    assert '"1.2.12"' not in text
    assert '"uid": null' in text


def test_series_and_key_slices_are_named_on_request() -> None:
    analysis = make_analysis()
    named = with_identifiers(analysis.result, analysis.volume, series_uid="1.2.3")
    assert named.series.uid == "1.2.3"
    (mass,) = named.masses
    assert mass.key_slice.sop_instance_uid == f"1.2.{mass.key_slice.index}"
    assert named.series.uid_digest == analysis.result.series.uid_digest


def test_a_derived_key_is_no_uid() -> None:
    analysis = make_analysis()
    named = with_identifiers(analysis.result, analysis.volume, series_uid="derived-0123456789abcdef")
    assert named.series.uid is None
