"""The page over a cohort in a real browser: it sorts, filters, and opens a report."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from paraspinal.archive.dashboard import write_dashboard
from paraspinal.archive.layout import Layout
from paraspinal.archive.ledger import CaseRow, open_ledger
from paraspinal.archive.receipt import write_receipt
from paraspinal.result import Abstention
from paraspinal.saving import result_json

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
]
CASES = [f"{k:016x}" for k in range(1, 151)]
LAST = CASES[148]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of 150 cases: every third failed, the others with ratios that grow with their number.

    On the one with the largest ratio the model abstains; the mass of the first is far larger than all others.
    """
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from report_case import case

    layout = Layout(tmp_path_factory.mktemp("batch"))
    result = case().result
    picture = io.BytesIO()
    Image.new("RGB", (160, 120), (90, 90, 90)).save(picture, "PNG")
    rows = []
    for k, name in enumerate(CASES):
        if k % 3 == 2:
            rows.append(CaseRow(name, name, "failed", code="timeout", attempts=2))
            continue
        ratios = {**(result.differential.log_likelihood_ratio or {}), "emh": k / 10 - 5}
        judged: dict[str, object] = {"log_likelihood_ratio": ratios}
        if name == LAST:
            judged["abstained"] = Abstention(value=True, reason="two entities are alike")
        (mass, *_), volume = result.masses, 5000.0 if name == CASES[0] else 20.0 + k % 7
        measured = {"volume_ml": mass.measurements["volume_ml"].model_copy(update={"value": volume})}
        own = result.model_copy(
            update={
                "differential": result.differential.model_copy(update=judged),
                "masses": (mass.model_copy(update={"measurements": measured}),),
            }
        )
        folder = layout.case(name)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(result_json(own), encoding="utf-8")
        (folder / "report.html").write_text(f"<title>Report</title><h1>{name}</h1>", encoding="utf-8")
        (folder / "thumbnail.png").write_bytes(picture.getvalue())
        write_receipt(folder, case=name, recipe="r", stamp="s", facts={})
        done = CaseRow(name, name, "done", recipe="r", attempts=1, seconds=5.0 + k / 50, peak_mib=700.0 + k)
        rows.append(done)
    with open_ledger(layout.ledger) as ledger:
        ledger.put(rows)
    write_dashboard(layout.root, processes=1)
    return layout.root


@pytest.fixture
def page(out: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        problems: list[str] = []
        tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto((out / "dashboard.html").as_uri())
        yield tab
        assert problems == []
        browser.close()


def _first(page: Page) -> str:
    return str(page.locator("#list tbody tr").first.get_attribute("data-case"))


def test_the_likeliest_emh_comes_first_with_its_picture(page: Page) -> None:
    assert _first(page) == LAST
    picture = page.locator("#list tbody tr img").first
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 160
    assert page.locator("#shown").inner_text() == "1–100 of 150"


def test_it_sorts_both_ways_and_what_is_missing_stays_last(page: Page) -> None:
    ratio = page.get_by_role("button", name="EMH log LR")
    ratio.click()
    assert _first(page) == CASES[0]
    assert page.locator("#list th[data-name=emh_llr]").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="next").click()
    assert page.locator("#list tbody tr").last.locator("td").nth(8).inner_text() == "failed"
    page.get_by_role("button", name="case", exact=True).click()
    assert _first(page) == CASES[0]


def test_it_filters_by_status_text_and_ratio(page: Page) -> None:
    page.locator("#status").select_option("failed")
    assert page.locator("#shown").inner_text() == "1–50 of 50"
    page.locator("#status").select_option("")
    page.locator("#search").fill(CASES[4])
    assert page.locator("#shown").inner_text() == "1–1 of 1"
    page.locator("#search").fill("")
    page.locator("#least").fill("9")
    assert page.locator("#shown").inner_text() == "1–6 of 6"  # 140 to 148 without every third


def test_a_case_opens_its_report(page: Page) -> None:
    page.locator("#list tbody tr").first.locator("a").first.click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text() == LAST


def test_a_case_on_which_the_model_abstains_is_told_apart_and_found(page: Page) -> None:
    assert page.locator("#list tbody tr").first.locator("td").nth(5).inner_text() == "yes"
    assert page.locator("#list tbody tr").nth(1).locator("td").nth(5).inner_text() == ""
    page.locator("#search").fill("abstains")
    assert page.locator("#shown").inner_text() == "1–1 of 1"
    assert _first(page) == LAST


def test_an_outlier_opens_its_report(page: Page) -> None:
    page.locator("#outliers a").first.click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text() == CASES[0]


def test_it_asks_nobody_else(page: Page, out: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.mouse.wheel(0, 5000)
    page.wait_for_timeout(300)
    assert asked
    assert all(url.startswith((out.as_uri(), "data:")) for url in asked)


def test_a_picture_of_the_page(page: Page, tmp_path: Path) -> None:
    shot = page.screenshot(path=str(tmp_path / "dashboard.png"), full_page=True)
    assert len(base64.b64encode(shot)) > 20_000
