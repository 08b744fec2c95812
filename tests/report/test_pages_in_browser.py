"""The pages in Chromium, as it comes with Debian (``make browser``): read, unfolded, driven by keys, printed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compared_maps import report as compared
from PIL import Image
from test_area_tables import table
from test_first_screen import shaped
from test_report import report_data

from browser_pages import Watched
from crispmap.evaluation.intervals import Interval
from crispmap.report.pages.area import render_areas
from crispmap.report.pages.comparison import render_comparison
from crispmap.report.pages.report import render_report

pytestmark = pytest.mark.slow
PAGES = ("report", "wide", "tall", "comparison", "areas")
_BEYOND = """() => [...document.querySelectorAll("body *")].filter((one) => {
  const box = one.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1) && !one.closest(".scroll, svg, dialog");
}).slice(0, 5).map((one) => one.outerHTML.slice(0, 120))"""
_SMALL = """() => [...document.querySelectorAll("p, td, th, li, figcaption, small")]
  .filter((one) => parseFloat(getComputedStyle(one).fontSize) < 11).length"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    made = {
        "report": render_report(report_data(side=200, crop_px=96, ahead=Interval(0.1, 0.05, 0.2))),
        "wide": render_report(shaped(154, 512)),
        "tall": render_report(shaped(512, 154)),
        "comparison": render_comparison(compared()),
        "areas": render_areas(table()),
    }
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.fixture
def opened(chromium: Any, pages: dict[str, str]) -> Iterator[Any]:
    """Opens pages, and sees at the end that they said nothing and asked for nothing."""
    found: list[Watched] = []

    def open_page(name: str, width: int = 1400, height: int = 900, **options: Any) -> Watched:
        found.append(Watched(chromium, pages[name], width, height, **options))
        return found[-1]

    yield open_page
    for one in found:
        one.context.close()
        assert one.problems == []
        assert all(asked.startswith(("file:", "data:")) for asked in one.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_and_everybody_can_read_it(opened: Any, name: str, width: int, scheme: str) -> None:
    watched = opened(name, width, 844, color_scheme=scheme)
    page = watched.page
    for state in ("folded", "unfolded"):
        if state == "unfolded":
            page.click("#all")
            watched.settle()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, state
        assert page.evaluate(_BEYOND) == [], state
        assert page.evaluate("[...document.images].filter((one) => !one.naturalWidth).length") == 0
        assert page.evaluate(_SMALL) == 0
    assert watched.serious() == []


@pytest.mark.parametrize("name", ["report", "wide", "tall", "comparison"])
def test_the_first_screen_is_filled_by_words_and_pictures(opened: Any, name: str) -> None:
    page = opened(name).page
    words, seen = (page.locator(f"#answer .{one}").bounding_box() for one in ("words", "seen"))
    card = page.locator("#answer").bounding_box()
    assert card["y"] + card["height"] < (1000 if name == "comparison" else 900)
    beside = seen["x"] > words["x"] + words["width"] / 2
    assert beside is (name != "wide")
    if beside:
        assert words["width"] + seen["width"] > 0.95 * (card["width"] - 60)
        assert seen["height"] > 0.5 * card["height"]
    else:
        assert seen["width"] > 0.95 * card["width"]
    frames = page.locator("#answer .frame").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().width)")
    assert sum(frames) > 0.85 * seen["width"]


@pytest.mark.parametrize(("scheme", "bright"), [("dark", False), ("light", True)])
def test_maps_do_not_glare_in_the_dark(opened: Any, scheme: str, bright: bool) -> None:
    watched = opened("report", color_scheme=scheme)
    watched.page.click("#places > summary")
    watched.settle()
    shot = watched.page.locator("#places .frame.map").first.screenshot()
    grey = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    lightest = float(np.percentile(grey, 95))
    assert lightest > 220 if bright else lightest < 180
    ground = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(246, 246, 244)" if bright else "rgb(20, 23, 26)")


def test_the_theme_can_be_chosen(opened: Any) -> None:
    page = opened("report", color_scheme="light").page
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(246, 246, 244)"
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(20, 23, 26)"
    assert page.inner_text("#theme") == "Light"


def test_keys_alone_unfold_swipe_and_enlarge(opened: Any) -> None:
    watched = opened("report", reduced_motion="reduce")
    page = watched.page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        fold = page.evaluate("document.activeElement.matches('summary') && document.activeElement.parentElement.id")
        reached.add(fold)
        if fold == "places":
            page.keyboard.press("Enter")
            break
    assert {"figures", "classes", "places"} <= reached
    assert page.evaluate("document.querySelector('#places').open")
    page.focus("#swipe input")
    before = page.evaluate("document.querySelector('.stage').style.getPropertyValue('--at')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('.stage').style.getPropertyValue('--at')") != before
    page.focus("#places .zoom >> nth=1")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('dialog').open")
    assert page.locator("dialog .scale").count() == 0  # this one has no place
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('dialog').open")


def test_a_link_to_a_crop_unfolds_where_it_lies(opened: Any, chromium: Any, pages: dict[str, str]) -> None:
    found = Watched(chromium, pages["wide"] + "#crop-1")
    assert found.page.evaluate("document.querySelector('#places').open")
    assert abs(found.page.locator("#crop-1").bounding_box()["y"]) < 900
    found.context.close()


def test_a_table_that_scrolls_says_so_and_keeps_its_names(opened: Any) -> None:
    watched = opened("report", 390, 844)
    page = watched.page
    page.click("#classes > summary")
    watched.settle()
    part = page.locator("#classes .scroll").first
    cue = page.locator("#classes .cue").first
    assert cue.is_visible()
    assert "right" in cue.inner_text()
    assert "right" in part.get_attribute("data-more")
    first = part.locator("tbody th[scope=row]").first
    before = first.bounding_box()
    part.evaluate("(one) => { one.scrollLeft = one.scrollWidth; }")
    watched.settle()
    assert first.bounding_box()["x"] == pytest.approx(before["x"], abs=1)
    assert "left" in cue.inner_text()
    wide = opened("report")
    wide.page.click("#figures > summary")
    wide.settle()
    assert not wide.page.locator("#figures .cue").first.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_on_a4_with_all_that_was_folded(opened: Any, name: str) -> None:
    watched = opened(name, 703, 1032, color_scheme="dark")  # A4 within its margins
    content = watched.page.pdf(format="A4")
    assert content.startswith(b"%PDF-")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 16
    watched.page.emulate_media(media="print", color_scheme="dark")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 703
    insides = watched.page.locator("details > .inside")
    heights = insides.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
    assert all(one > 20 for one in heights)
    assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
