"""The report is one safe, complete, self-contained file whose sections stand in the agreed order."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from paraspinal.report import render_html, write_report
from paraspinal.report.gallery import MAX_PICTURED_MASSES
from paraspinal.result import Measurement
from report_case import Case, box_mass, case, without_anatomy

VOID = {"meta", "img", "br", "col", "link", "input", "hr"}
SECTIONS = [
    "analysed",
    "overview",
    "masses",
    "findings",
    "not-assessed",
    "differential",
    "patient",
    "explained",
    "coverage",
    "provenance",
]
OVERVIEW = 3  # two planes of the whole scan and the straightened spine
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\u202e\x07"


class Page(HTMLParser):
    """Collects elements, fails on unbalanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.cells: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append((dict(attrs).get("class") or "", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag
        if tag in ("dt", "dd", "td", "th", "small", "p", "li", "h1", "h2"):
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text.append(data)
        if self.open and ({"td", "th"} & set(self.open[-2:])):
            style, text = self.cells[-1]
            self.cells[-1] = (style, text + data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


@pytest.fixture(scope="module")
def plain() -> Case:
    return case()


@pytest.fixture(scope="module")
def html(plain: Case) -> str:
    return render_html(plain)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_file_is_self_contained(html: str, page: Page) -> None:
    assert html.startswith("<!DOCTYPE html>")
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in page.elements}
    assert all(img["src"].startswith("data:image/") for img in page.of("img"))
    (policy,) = [m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_sections_stand_in_order(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id") in SECTIONS]
    assert ids == SECTIONS
    assert page.words.index("Research use only") < page.words.index("One mass beside the spine.")


def test_every_picture_and_table_can_be_read_aloud(page: Page) -> None:
    assert len(page.of("img")) == OVERVIEW + 2 * 6
    assert all(len(img["alt"]) > 20 for img in page.of("img"))
    assert all(th.get("scope") in ("col", "row") for th in page.of("th"))
    assert page.of("html")[0]["lang"] == "en"
    targets = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {a["href"].removeprefix("#") for a in page.of("a")} <= targets


def test_hostile_text_stays_text() -> None:
    html = render_html(case(text=HOSTILE))
    page = Page(html)
    assert "<script" not in html
    assert "{{ 7*7 }}" in page.words
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert len(page.of("img")) == OVERVIEW + 2 * 6
    assert "<script>alert(1)</script>" in page.words
    assert "\u202e" not in html
    assert "\x07" not in html


def test_long_header_text_is_cut() -> None:
    page = Page(render_html(case(text="K" * 5000)))
    kernel = re.search(r"Kernel (K+…)", page.words)
    assert kernel
    assert len(kernel.group(1)) == 64


def test_slice_and_instance_are_named(page: Page) -> None:
    """Key slice index 24 of 60 is the 25th from the feet; instance numbers run 500 − z."""
    assert "Axial, slice 25 of 60 from the feet, DICOM instance 476" in page.words


def test_unknown_acquisition_is_said_to_be_unknown(page: Page) -> None:
    assert "Tube voltage not stated in the headers" in page.words
    assert "Edge response (FWHM, in plane) could not be read" in page.words


def test_evidence_is_sorted_for_and_against(page: Page) -> None:
    order = [
        page.words.index(t)
        for t in (
            "Evidence for extramedullary",
            "Masses lie on both",
            "The border is sharp",
            "Evidence against it",
            "A lytic defect",
        )
    ]
    assert order == sorted(order)
    assert "+1.10" in page.words
    assert "÷ 2.0" in page.words  # exp(0.7)


def test_bars_are_as_long_as_the_probability(page: Page) -> None:
    lengths = [float(r["width"]) for r in page.of("rect") if r.get("class") == "fill"]
    assert lengths[:3] == [70.0, 29.6, 0.4]
    ends = [(float(line["x1"]), float(line["x2"])) for line in page.of("line")]
    assert ends[0] == (50.0, 82.0)


def test_coverage_is_never_rounded_up(page: Page) -> None:
    shares = [text for style, text in page.cells if "shade-" in style]
    assert shares == ["40 %", "99 %"] * 5  # the patient's right first


def test_numbers_without_value_never_show_as_numbers(plain: Case) -> None:
    nothing = {
        key: Measurement.missing(m.unit, "no reason of note", status=status)
        for (key, m), status in zip(
            plain.result.masses[0].measurements.items(),
            ["not_assessed", "not_in_view", "failed", "not_assessed"] * 2,
            strict=True,
        )
    }
    update = {"measurements": nothing, "findings": ()}
    masses = tuple(m.model_copy(update=update) for m in plain.result.masses)
    result = plain.result.model_copy(
        update={"masses": masses, "anatomy": None, "measurements": nothing, "findings": (), "coverage": ()}
    )
    page = Page(render_html(Case(result, plain.volume, plain.anatomy, plain.search, plain.quality)))
    values = [text for style, text in page.cells if style == "num" and text not in ("Value ± u",)]
    measured = values[: 2 * len(nothing)]
    assert measured == ["–"] * len(measured)
    assert "Volume – " in page.words  # at a glance: a dash, not 0 mL


def test_no_mass_is_said_plainly_with_pictures_to_check() -> None:
    page = Page(render_html(case(())))
    assert page.words.count("No mass beside the spine at T8 to T12.") == 2
    assert len(page.of("img")) == OVERVIEW + 3
    assert all(f"At {level}, slice" in page.words for level in ("T9", "T10", "T11"))
    assert "No differential is given: there is no mass to explain." in page.words


def test_report_without_anatomy() -> None:
    page = Page(render_html(without_anatomy()))
    assert "No spine could be traced" in page.words
    assert "The model names no leading entity: no anatomy was found." in page.words
    assert "Nothing was covered" in page.words
    assert len(page.of("img")) == 5


def test_many_masses_stay_below_the_size_that_mail_takes(tmp_path: Path) -> None:
    masses = tuple(box_mass(k + 1, left=k % 2 == 0) for k in range(MAX_PICTURED_MASSES + 1))
    write_report(tmp_path / "report.html", case(masses, noise_hu=40.0))
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No pictures of this mass are shown" in html


def test_uncertain_levels_carry_a_question_mark(page: Page, plain: Case) -> None:
    """T10 is named with 60 %: masses that end there and its row of the coverage say so, others do not."""
    assert "Mass 1: left, T9–T10?" in page.words
    assert "Names of its levels uncertain (60 %)" in page.words
    levels = [text for style, text in page.cells if style == "level"][1:]
    assert levels == ["T8", "T9", "T10?", "T11", "T12"]
    doubtful = tuple(c.model_copy(update={"level_confidence": 0.4}) for c in plain.result.coverage)
    result = plain.result.model_copy(update={"coverage": doubtful, "anatomy": None})
    other = Page(render_html(Case(result, plain.volume, plain.anatomy, plain.search, plain.quality)))
    assert [t for style, t in other.cells if style == "level"][1:] == [f"{t.rstrip('?')}?" for t in levels]


def test_the_differential_names_its_masses(plain: Case) -> None:
    ranked = plain.result.differential.model_copy(update={"masses": (1, 2)})
    for differential, heading, others in (
        (ranked, "Patient, judged by masses 1 and 2", 0),
        (ranked.model_copy(update={"masses": (2,)}), "Patient, judged by mass 2", 1),
    ):
        result = plain.result.model_copy(update={"differential": differential})
        page = Page(render_html(Case(result, plain.volume, plain.anatomy, plain.search, plain.quality)))
        words = page.words.split("Differential", 1)[1].split("Measurements of the patient")[0]
        assert heading in words
        assert words.count("Mass 1: left") == others
        assert "Mass 2: right" not in words


def test_limits_are_grouped_in_plain_words(plain: Case) -> None:
    m = {
        "lytic_depth_mm": Measurement.missing("mm", "this version does not build it"),
        "rim_contrast_hu": Measurement.missing("HU", "unenhanced scan"),
    }
    masses = tuple(x.model_copy(update={"measurements": m, "findings": ()}) for x in plain.result.masses)
    listed = (
        "Not covered: right T8.",
        "Not measured (unenhanced scan): rim_contrast_hu [mass 1, mass 2].",
        "Not judged (no): rib_erosion [mass 1].",
    )
    update = {"masses": masses, "not_assessed": listed, "anatomy": None, "measurements": {}, "findings": ()}
    result = plain.result.model_copy(update=update)
    page = Page(render_html(Case(result, plain.volume, plain.anatomy, plain.search, plain.quality)))
    words = page.words.split("What could not be assessed", 1)[1].split("Differential")[0]
    assert "Not covered: right T8." in words
    assert "rim_contrast_hu" not in words
    assert "Not judged" not in words
    assert "that this scan or mass could not give: 1" in words
    assert "Unenhanced scan Rim contrast mass 1, mass 2" in words
    assert "that this version of the software does not make: 1" in words
    assert "This version does not build it Lytic depth mass 1, mass 2" in words
    assert len(page.of("details")) >= 2


def test_overview_says_that_outlines_are_projected(page: Page) -> None:
    captions = [img["alt"] for img in page.of("img")[:2]]
    assert all("outlines of 2 masses projected" in str(alt) for alt in captions)
    assert page.words.count("outlines of masses are projected") == 2
    one = Page(render_html(case((box_mass(1),))))
    assert "outlines of 1 mass projected" in str(one.of("img")[0]["alt"])
    assert "projected" not in Page(render_html(case(()))).words
