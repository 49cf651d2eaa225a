"""The page in a real browser: it does not overflow, loads nothing, and logs no errors."""

from pathlib import Path

import pytest

from gpuwise.report import write_report

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium: apt-get install chromium")


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


def test_the_file_fits_wide_and_narrow_screens_in_light_and_dark(browser, report, hostile_report, tmp_path):
    for name, one in (("plain", report), ("hostile", hostile_report)):
        path = write_report(one, tmp_path / name).html
        backgrounds = set()
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
            page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            logged, requested = [], []
            page.on("console", lambda message, logged=logged: logged.append(message.text))
            page.on("pageerror", lambda error, logged=logged: logged.append(str(error)))
            page.on("request", lambda request, requested=requested: requested.append(request.url))
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert logged == []
            assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
            page.close()
        assert len(backgrounds) == 2


def test_the_headline_and_the_first_action_are_on_the_first_screen(browser, report, tmp_path):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(write_report(report, tmp_path).html.as_uri())
    assert page.locator("h1").bounding_box()["y"] < 100
    first = page.locator(".cards li").first.bounding_box()
    assert first["y"] + first["height"] < 800


def test_a_click_on_a_command_selects_all_of_it(browser, report, tmp_path):
    page = browser.new_page()
    page.goto(write_report(report, tmp_path).html.as_uri())
    page.locator(".cards .copy").first.click()
    assert page.evaluate("getSelection().toString()").strip() == f"gpuwise apply {report.recommendations[0].id}"


def test_printed_it_fits_the_width_and_the_first_page_has_the_actions(browser, report, hostile_report, tmp_path):
    """A page of A4 has 718 x 1046 pixels between Chromium's margins, one of US letter 740 x 980."""
    for name, one in (("plain", report), ("hostile", hostile_report)):
        page = browser.new_page(viewport={"width": 718, "height": 980})
        page.emulate_media(media="print")
        page.goto(write_report(one, tmp_path / name).html.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
        last = page.locator(".cards li").nth(4).bounding_box()
        if name == "plain":
            assert last["y"] + last["height"] < 980
        page.close()
