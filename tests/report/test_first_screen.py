"""The first screen of a report: what it says is what was counted, and where a map loses is never left out."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from compared_maps import report as compared
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Geod, Transformer
from test_report import SCHEMA, MethodResult, Page, blurred, evaluation, evaluation_of, report_data, town

from crispmap.classes import ClassDef, ClassSchema
from crispmap.evaluation.intervals import Interval
from crispmap.geo.grid import Block, Grid
from crispmap.report.pages.comparison import render_comparison
from crispmap.report.pages.html import MOST_BYTES, within_limit
from crispmap.report.pages.layout import Layout
from crispmap.report.pages.report import render_report
from crispmap.report.pictures.maps import GAIN_COLOURS, gain_map_png
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Crop, Overview
from crispmap.report.tables.lead import leads_of, losses_of
from crispmap.types import IGNORE

PAGES = Path(__file__).parents[2] / "src/crispmap/report/pages"
NAMES = ("coarse map", "re-thresholded coarse map", "refined map")
COUNTS = st.lists(st.lists(st.integers(0, 200), min_size=3, max_size=3), min_size=3, max_size=3)


def shaped(height: int, width: int, **changes: Any) -> Any:
    """Report data of an area of a shape, with a place, and a crop in it."""
    side = max(height, width, 40)
    reference = town(side)[-height:, -width:]
    maps = dict(zip(NAMES, (blurred(reference, share) for share in (0.6, 0.4, 0.1)), strict=True))
    results = [MethodResult(name, evaluation(labels, reference)) for name, labels in maps.items()]
    image = np.full((3, height, width), 90, np.uint8)
    place = Place("scene.tif", Block(10, 20, height, width), (0.5, 0.5), "m", (2.35, 48.85))
    part = slice(0, min(height, 16)), slice(0, min(width, 16))
    inner = dataclasses.replace(place, block=Block(10, 20, *reference[part].shape))
    crop = Crop(
        "Crop 1", image[(slice(None), *part)], reference[part], [one[part] for one in maps.values()], {}, None,
        ("coarse", "step 1", "refined"), inner,
    )  # fmt: skip
    values = {
        "coarse": results[0], "rethresholded": results[1], "final": results[2], "crops": [crop], "curve": (),
        "overview": Overview(image, reference, maps, place),
    }  # fmt: skip
    return report_data(**(values | changes))


def first_screen(html: str) -> str:
    return html[html.index('id="answer"') : html.index("</section>")]


# --- figures -----------------------------------------------------------------------------------------------------


@given(COUNTS, COUNTS)
def test_every_figure_that_falls_is_named_and_no_other(before: list[list[int]], after: list[list[int]]) -> None:
    old, new = evaluation_of(before), evaluation_of(after)
    named = {(of, one.name) for of, found in losses_of(leads_of(old, new)).items() for one in found}
    expected = set()
    for k, of in enumerate(SCHEMA.names):
        for name, was, now in (
            ("IoU", old.iou, new.iou),
            ("precision", old.confusion.precision, new.confusion.precision),
            ("recall", old.confusion.recall, new.confusion.recall),
        ):
            if round(100 * now[k], 1) < round(100 * was[k], 1):
                expected.add((of, name))
    for name, one, other in (
        ("Mean IoU", old.mean_iou, new.mean_iou),
        ("Overall accuracy", old.overall_accuracy, new.overall_accuracy),
    ):
        if round(100 * other, 1) < round(100 * one, 1):
            expected.add(("", name))
    assert named == expected


def test_losses_are_said_in_words_with_both_figures() -> None:
    rival = MethodResult(NAMES[1], evaluation_of([[900, 0, 100], [0, 500, 0], [20, 0, 480]]))
    final = MethodResult(NAMES[2], evaluation_of([[1000, 0, 0], [0, 500, 0], [100, 0, 400]]))
    text = Page(render_report(report_data(rethresholded=rival, final=final, crop_count=0))).text
    assert "Where not road : recall falls from 96.0 to 80.0 % background : precision falls from 97.8 to 90.9 %" in text


def test_no_loss_is_said_too() -> None:
    reference = town(64)
    right = MethodResult(NAMES[2], evaluation(reference, reference))
    text = Page(render_report(shaped(64, 64, final=right))).text
    assert "Nowhere: no figure of any class is below that of the re-thresholded coarse map." in text


@pytest.mark.parametrize(
    ("ahead", "headline"),
    [
        (Interval(0.1, 0.02, 0.2), "Yes, it is better."),
        (Interval(0.1, -0.02, 0.2), "Perhaps better: the test area is too small to tell."),
        (Interval(0.1, math.nan, math.nan), "Yes, it is better."),
        (None, "Yes, it is better."),
    ],
)
def test_the_headline_minds_the_interval(ahead: Interval | None, headline: str) -> None:
    page = Page(render_report(shaped(48, 48, ahead=ahead)))
    assert headline in page.text
    within = ahead is not None and math.isfinite(ahead.low)
    assert ("95 % interval: " in page.text) is within


def test_a_map_alone_is_compared_with_nothing() -> None:
    page = Page(render_report(shaped(48, 48, final=None, rethresholded=None)))
    assert "One map, nothing to compare it with." in page.text
    assert "Where not" not in page.text
    assert "mended" not in page.text


def test_without_a_reference_nothing_is_claimed() -> None:
    nothing = np.full((48, 48), IGNORE, np.uint8)
    same = shaped(48, 48)
    overview = dataclasses.replace(same.overview, reference=nothing)
    results = {
        which: MethodResult(name, evaluation(same.overview.maps[name], nothing))
        for which, name in zip(("coarse", "rethresholded", "final"), NAMES, strict=True)
    }
    html = render_report(dataclasses.replace(same, overview=overview, crops=(), **results))
    text = Page(html).text
    assert "No reference, no answer." in text
    assert "better" not in text
    assert "refined map" in first_screen(html)  # what there is to see
    assert not re.search(r"\bnan\b", re.sub(r'"data:[^"]+"', "", html), re.IGNORECASE)


def test_with_many_classes_the_first_screen_shows_those_that_change_most() -> None:
    names = [ClassDef(f"class {k}", f"#0000{k:02x}") for k in range(70)]
    schema = ClassSchema(tuple(names))
    before, after = np.eye(70, dtype=np.int64) * 100, np.eye(70, dtype=np.int64) * 100
    before[9, 0] = before[40, 0] = 60
    rival, final = (evaluation_of(counts.tolist(), schema) for counts in (before, after))
    data = report_data(
        schema=schema, coarse=MethodResult(NAMES[0], rival), rethresholded=MethodResult(NAMES[1], rival),
        final=MethodResult(NAMES[2], final), curve=(), crops=(), overview=None,
    )  # fmt: skip
    html = render_report(data)
    rows = [row[0] for row in Page(html).rows if row and row[0].startswith("IoU of")]
    assert len(rows) == 8
    assert {"IoU of class 0", "IoU of class 9", "IoU of class 40"} <= set(rows)
    assert "62 more classes stand under Classes." in Page(html).text
    assert "figures.json" in Page(html).text  # has the matrix, for which there is no room
    assert len(html.encode()) <= MOST_BYTES


# --- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\u202e", "\u200f", "\u2067", "\u2069\u202e"])
def test_what_turns_the_direction_of_text_turns_its_own_name_alone(mark: str) -> None:
    evil = f"{mark}road & <b>{mark}"
    schema = ClassSchema((ClassDef("background", "#000000"), ClassDef("house", "#111111"), ClassDef(evil, "#222222")))
    rival = MethodResult(NAMES[1], evaluation_of([[900, 0, 100], [0, 500, 0], [20, 0, 480]], schema))
    final = MethodResult(NAMES[2], evaluation_of([[1000, 0, 0], [0, 500, 0], [500, 0, 0]], schema))
    coarse = MethodResult(NAMES[0], rival.evaluation)
    html = render_report(
        report_data(schema=schema, coarse=coarse, rethresholded=rival, final=final, curve=(), crops=())
    )
    screen = first_screen(html)
    assert "<b>" not in screen
    assert mark in screen
    texts = re.split(r"<bdi>.*?</bdi>", screen)
    assert not any(mark in re.sub(r"<[^>]*>", "", text) for text in texts)


def test_a_reference_without_a_class_is_told_of_by_name() -> None:
    one = evaluation_of([[5, 1, 0], [1, 5, 0], [0, 0, 0]])
    text = Page(render_report(report_data(final=MethodResult(NAMES[2], one), crop_count=0))).text
    assert "The reference has no pixel of: road" in text


# --- pictures ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_a_gain_map_says_of_each_pixel_what_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after, reference = (rng.choice([0, 1, 2, IGNORE], (9, 7)).astype(np.uint8) for _ in range(3))
    shown = np.asarray(Image.open(io.BytesIO(gain_map_png(before, after, reference))).convert("RGBA"))
    for place in np.ndindex(9, 7):
        was, now, true = (int(one[place]) for one in (before, after, reference))
        if IGNORE in (was, now, true):
            expected = "not scored"
        elif was == true:
            expected = "right in both" if now == true else "broken"
        else:
            expected = "mended" if now == true else "wrong in both"
        assert tuple(shown[place]) == GAIN_COLOURS[expected]


@pytest.mark.parametrize(("height", "width"), [(1, 512), (512, 1), (1, 1), (154, 512), (512, 154), (64, 64), (60, 110)])
def test_areas_of_any_shape_have_a_page(height: int, width: int) -> None:
    html = render_report(shaped(height, width))
    page = Page(html)
    ratios = [float(one) for one in re.findall(r"--r:([\d.]+)", html)]
    assert ratios
    assert all(0 < one <= 24 for one in ratios)
    assert "rows 10 to" in page.text
    assert "48.8500° N 2.3500° E" in page.text
    frames = html.count('<div class="frame')
    assert html.count('class="scale"') == frames  # every picture says its scale ...
    assert all("scene.tif, rows" in str(one["alt"]) for one in page.all("img") if one.get("width"))  # ... and its place


@given(st.floats(0.002, 500), st.integers(1, 8))
def test_a_layout_fills_the_page_whatever_the_shape(ratio: float, pictures: int) -> None:
    layout = Layout.of(ratio, pictures)
    assert 1 <= layout.count <= 4
    assert layout.columns >= layout.span >= 1
    if ratio < 2.2 and ratio > 0.1:
        assert 0.4 <= layout.wide <= 1.6  # neither a sliver beside the words nor a band


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.01, 1000))
def test_a_scale_bar_has_a_round_length_within_the_picture(height: int, width: int, gsd: float) -> None:
    place = Place("", Block(0, 0, height, width), (gsd, gsd), "m")
    assert 0.1 <= place.bar.share <= 0.3 * (1 + 1e-9)
    length = place.bar.share * width * gsd
    mantissa = length / 10 ** math.floor(math.log10(length) + 1e-9)
    assert min(abs(mantissa - one) for one in (1, 2, 5, 10)) < 1e-6
    number, unit = place.bar.text.split()
    assert float(number) * (1000 if unit == "km" else 1) == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32631", Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)),
        ("EPSG:4326", Affine(1e-5, 0, 2.35, 0, -1e-5, 48.85)),
        ("EPSG:3857", Affine(1, 0, 261_600, 0, -1, 6_250_000)),
    ],
)
def test_a_place_is_measured_on_the_ellipsoid(crs: str, transform: Affine) -> None:
    grid, block = Grid(CRS(crs), transform, (400, 600)), Block(100, 200, 50, 80)
    place = Place.of("scene", grid, block)
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    left, right = (to_degrees(*(transform @ (col, 125))) for col in (200, 280))
    _, _, metres = Geod(ellps="WGS84").inv(*left, *right)
    assert 80 * place.gsd[1] == pytest.approx(metres, rel=1e-4)
    assert place.lonlat == pytest.approx(to_degrees(*(transform @ (240, 125))), abs=1e-7)
    assert place.unit == "m"


def test_without_a_reference_system_pixels_are_counted() -> None:
    place = Place.of("", Grid(None, Affine(0.1, 0, 0, 0, 0.1, 0), (400, 600)), Block(0, 0, 400, 600))
    assert place.bar.text == "100 px"
    assert place.text == "rows 0 to 400, columns 0 to 600"


def test_crops_are_boxes_on_the_whole_area_and_lead_to_their_pictures() -> None:
    html = render_report(shaped(60, 110))
    (box,) = re.findall(r'<a href="#(crop-1)"[^>]*style="left:0.00%;top:0.00%;width:14.55%;height:26.67%"', html)
    assert f'id="{box}"' in html


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_colours_are_those_of_the_viewer() -> None:
    viewer = (PAGES.parents[1] / "viewer/static/viewer.css").read_text(encoding="utf-8")
    own = (PAGES / "page.css").read_text(encoding="utf-8")

    def tokens(css: str) -> list[dict[str, str]]:
        blocks = re.findall(r":root[^{}]*\{([^{}]*)\}", css)[:3]
        return [dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in blocks]

    for ours, theirs in zip(tokens(own), tokens(viewer), strict=True):
        both = ours.keys() & theirs.keys()  # each page has some that the other does not need
        assert len(both) >= 8
        assert {name: ours[name] for name in both} == {name: theirs[name] for name in both}


def test_a_page_may_load_nothing() -> None:
    for html in (render_report(shaped(40, 40)), render_comparison(compared())):
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
        assert policy.startswith("default-src 'none'; img-src data:;")


@given(st.integers(0, 2_000_000), st.integers(0, 200_000_000))
def test_pictures_shrink_until_the_page_is_small_enough(words: int, pictures: int) -> None:
    asked: list[float] = []

    def render(share: float) -> str:
        asked.append(share)
        return " " * (words + int(pictures * share**2))

    size = len(within_limit(render))
    assert size <= MOST_BYTES or words + pictures * 0.08**2 > MOST_BYTES
    assert asked == sorted(asked, reverse=True)
    assert len(asked) <= 3


@pytest.mark.slow
def test_a_page_is_small_however_busy_its_pictures_are() -> None:
    rng = np.random.default_rng(0)
    side, crop = 1024, 320
    schema = ClassSchema(tuple(ClassDef(f"class {k}", f"#{k:02x}0000") for k in range(14)))
    maps = {name: rng.integers(0, 14, (side, side), dtype=np.uint8) for name in (*NAMES, "reference")}
    image = rng.integers(0, 255, (3, side, side), dtype=np.uint8)
    results = [MethodResult(name, evaluation(maps[name], maps["reference"], schema)) for name in NAMES]
    part = slice(0, crop), slice(0, crop)
    heat = {one.name: [rng.random((crop, crop), np.float32) for _ in range(6)] for one in schema}
    crops = [
        Crop(f"Crop {n}", image[(slice(None), *part)], maps["reference"][part], [maps[NAMES[0]][part]] * 6, heat)
        for n in range(4)
    ]
    reference = maps.pop("reference")
    html = render_report(
        report_data(
            schema=schema,
            coarse=results[0],
            rethresholded=results[1],
            final=results[2],
            curve=(),
            crops=crops,
            overview=Overview(image, reference, maps),
        )
    )
    assert len(html.encode()) <= MOST_BYTES
    assert "Pictured are the 12 classes with most pixels" in Page(html).text
