"""The report: what a browser, a reader and a careless caller would find."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError, OutputError, SchemaError
from crispmap.evaluation.boundary import BoundaryRule
from crispmap.evaluation.evaluation import Evaluation
from crispmap.metrics import ConfusionMatrix, ImageDice
from crispmap.report.charts.training import TrainingCurve
from crispmap.report.pages.html import MOST_BYTES
from crispmap.report.pages.report import render_report, write_report
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pictures.maps import GAIN_COLOURS
from crispmap.report.pictures.strip import strip_png
from crispmap.report.pictures.views import Crop, Overview
from crispmap.report.tables.model import DASH
from crispmap.types import IGNORE, LabelArray

SCHEMA = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61")))
VOID = {"meta", "img", "input", "br", "hr", "link"}
RAW = {"script", "style"}


# --- making reports ----------------------------------------------------------------------------------------------


def evaluation(
    predicted: LabelArray, reference: LabelArray, schema: ClassSchema = SCHEMA, widths_m: tuple[float, ...] = (1, 2)
) -> Evaluation:
    matrix = ConfusionMatrix(schema.names)
    matrix.update(predicted, reference)
    boundary, relaxed = BoundaryRule(len(schema), (0.5, 0.5), widths_m).count(predicted, reference)
    images = ImageDice.of([matrix], len(schema))
    return Evaluation(confusion=matrix, boundary=boundary, relaxed=relaxed, images=images, gsd_m=(0.5, 0.5))


def town(side: int, seed: int = 0) -> LabelArray:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    for row, col in rng.integers(0, side, (side // 4, 2)):
        labels[row : row + 9, col : col + 12] = 1
    labels[side // 3 : side // 3 + 5] = labels[:, side // 2 : side // 2 + 5] = 2
    labels[: side // 10] = IGNORE
    return labels


def blurred(labels: LabelArray, share: float, seed: int = 0) -> LabelArray:
    """Return a map that is wrong on about a share of its pixels."""
    rng = np.random.default_rng(seed)
    return np.where((rng.random(labels.shape) < share) & (labels != IGNORE), 0, labels).astype(np.uint8)


def report_data(
    side: int = 64, steps: int = 3, schema: ClassSchema = SCHEMA, crop_px: int = 32, crop_count: int = 1, **changes: Any
) -> ReportData:
    reference = np.where(town(side) < len(schema), town(side), IGNORE).astype(np.uint8)
    maps = [blurred(reference, 0.8 - 0.7 * step / max(1, steps)) for step in range(steps + 1)]
    rethresholded = blurred(reference, 0.5, seed=9)
    image = np.random.default_rng(0).integers(0, 255, (3, side, side), dtype=np.uint8)
    results = [evaluation(labels, reference, schema) for labels in (maps[0], rethresholded, maps[-1])]
    window = slice(0, crop_px), slice(4, 4 + crop_px)
    heat = [np.where(labels == IGNORE, np.nan, labels == 1).astype(np.float32)[window] for labels in maps]
    values: dict[str, Any] = {
        "title": "Forez",
        "schema": schema,
        "coarse": MethodResult("Coarse map", results[0]),
        "rethresholded": MethodResult("Re-thresholded map", results[1]),
        "final": MethodResult("Refined map", results[2]),
        "curve": [evaluation(labels, reference, schema).confusion for labels in maps],
        "crops": [
            Crop(
                f"Crop {number}",
                image[(slice(None), *window)],
                reference[window],
                [labels[window] for labels in maps],
                {schema.names[1]: heat},
                rethresholded[window],
            )
            for number in range(crop_count)
        ],
        "overview": Overview(
            image,
            reference,
            {"Coarse map": maps[0], "Re-thresholded map": rethresholded, "Refined map": maps[-1]},
        ),
        "settings": {"seed": 7, "coarse": {"optimizer": {"momentum": 0.9}, "classes": [{"id": 1}, {"id": 2}]}},
        "provenance": {"crispmap": "0.1.0", "machine": {"cores": 2}},
        "timings": {"train": 1234.5, "map": 6.0},
        "notes": ["A note."],
    }
    return ReportData(**(values | changes))


def evaluation_of(counts: list[list[int]], schema: ClassSchema = SCHEMA) -> Evaluation:
    """Return an evaluation with these counts and no boundary."""
    empty = np.full((2, 2), IGNORE, np.uint8)
    result = evaluation(empty, empty, schema)
    result.confusion.counts += np.array(counts)
    return result


def with_mean_iou(name: str, share: float) -> MethodResult:
    """Return a result whose IoU is one share in every class, to about a thousandth."""
    total = 1_000_000
    hits = round(total * share)
    wrong = (total - hits) // 2
    counts = [[hits if row == col else wrong // 2 for col in range(3)] for row in range(3)]
    return MethodResult(name, evaluation_of(counts))


class Page(HTMLParser):
    """The elements and texts of a page; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in RAW:
            self.texts.append(data)
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(report_data())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


# --- the file ----------------------------------------------------------------------------------------------------


def test_report_is_written_whole_and_into_new_folders(tmp_path: Path) -> None:
    path = write_report(str(tmp_path / "new" / "report.html"), report_data())
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_report(path, report_data())
    assert path.read_text() == "mine"
    write_report(path, report_data(), force=True)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        write_report(tmp_path, report_data(), force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", report_data())


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        write_report(tmp_path / "report.html", report_data())
    assert list(tmp_path.iterdir()) == []


def test_same_data_same_bytes(html: str) -> None:
    assert render_report(report_data()) == html


def test_report_of_a_demo_is_small(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", report_data(side=1000, steps=5, crop_px=256, crop_count=4))
    assert path.stat().st_size <= MOST_BYTES


def test_large_areas_are_thinned() -> None:
    text = render_report(report_data(side=1500, steps=1, crop_count=0))
    assert "one pixel in 2 " in Page(text).text
    assert len(text.encode()) <= MOST_BYTES


# --- the page ----------------------------------------------------------------------------------------------------


def test_page_is_well_formed_and_in_a_language(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("meta")[0]["charset"] == "utf-8"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    targets = {str(attrs["href"])[1:] for attrs in page.all("a")}
    assert targets <= set(ids)
    folds = [attrs["id"] for attrs in page.all("details")]
    assert folds == ["figures", "classes", "places", "steps", "training", "settings"]
    referenced = {attrs["aria-labelledby"] for _, attrs in page.tags if attrs.get("aria-labelledby")}
    assert referenced <= set(ids)


def test_page_loads_nothing(html: str, page: Page) -> None:
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name)
    without_pictures = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", html)
    assert not re.search(r"(https?:)?//[a-z]+\.|file:|url\(|@import|\.woff", without_pictures)
    assert not page.all("link")
    assert not page.all("iframe")


def test_every_picture_can_be_read_and_has_a_text(page: Page) -> None:
    pictures = [attrs for attrs in page.all("img") if "src" in attrs]
    # First the gains over the image. Overview 5, errors 2 classes x 3 maps, crop 5; then 4 steps, 4 heat maps, scale.
    assert len(pictures) == 2 + 5 + 6 + 5 + 4 + 4 + 1
    for attrs in pictures:
        assert attrs["alt"] or attrs["class"] == "under"
        content = base64.b64decode(str(attrs["src"]).partition(",")[2])
        picture = Image.open(io.BytesIO(content))
        picture.load()
        if "width" in attrs:
            assert (int(str(attrs["width"])), int(str(attrs["height"]))) == picture.size


def test_unknown_ground_is_transparent_in_every_map(page: Page) -> None:
    for attrs in page.all("img"):
        if str(attrs.get("src", "")).startswith("data:image/png") and "width" in attrs:
            picture = Image.open(io.BytesIO(base64.b64decode(str(attrs["src"]).partition(",")[2])))
            alpha = np.asarray(picture.convert("RGBA"))[..., 3]
            unknown = {0} if not str(attrs["alt"]).startswith("Where") else {GAIN_COLOURS["not scored"][3]}
            assert set(np.unique(alpha[:6])) == unknown, attrs["alt"]
            assert (alpha[7:] == 255).all() or unknown != {0}, attrs["alt"]


def test_small_pictures_keep_square_pixels() -> None:
    crisp = [attrs.get("class") for attrs in Page(render_report(report_data())).all("img") if "width" in attrs]
    assert set(crisp) == {"crisp"}
    large = Page(render_report(report_data(side=800, steps=1, crop_count=0))).all("img")
    assert {attrs.get("class") for attrs in large if "width" in attrs} == {None}


def test_tables_hold_every_map_and_class(page: Page) -> None:
    data = report_data()
    refined = data.final.evaluation
    rows = [row for row in page.rows if row and row[0] == "Refined map"]
    assert len(rows) == 3 + len(SCHEMA)
    expected = [refined.confusion.overall_accuracy, refined.confusion.mean_iou, *refined.confusion.iou]
    expected += [float(np.nanmean(refined.boundary.f1[width])) for width in range(2)]
    assert rows[0][1:] == [f"{100 * value:.2f}" for value in expected]
    road = [row[2] for row in (refined.confusion.iou, refined.confusion.precision, refined.confusion.recall)]
    road += [refined.confusion.f1[2], *refined.boundary.f1[:, 2], *refined.boundary.iou[:, 2]]
    road += [refined.relaxed.precision[2], refined.relaxed.recall[2]]
    assert rows[1][1:] == [f"{100 * value:.2f}" for value in (refined.mean_dice, *refined.dice)]
    assert rows[5][1:] == [f"{100 * value:.2f}" for value in road]
    for name in ("Coarse map", "Re-thresholded map"):
        assert sum(row[:1] == [name] for row in page.rows) == 3 + len(SCHEMA)
    for name in ("Boundary F1", "Boundary IoU", "Relaxed, 3 px", "1 m", "2 m", *SCHEMA.names):
        assert name in page.text


def test_confusion_matrix_shows_counts_and_shares() -> None:
    result = MethodResult("Refined map", evaluation_of([[9000, 1000, 0], [1, 3, 0], [0, 0, 0]]))
    page = Page(render_report(report_data(final=result)))
    assert ["background", "9\u202f00090.0 %", "1\u202f00010.0 %", "00.0 %"] in page.rows
    assert ["building", "125.0 %", "375.0 %", "00.0 %"] in page.rows
    assert ["road", f"0{DASH}", f"0{DASH}", f"0{DASH}"] in page.rows
    assert "no pixel of: road" in page.text


def test_best_of_each_column_is_bold(html: str) -> None:
    start = html.index('id="figures"')
    table = html[start : html.index("</table>", start)]
    bold = re.findall(r"<strong>([\d.]+)</strong>", table)
    refined = report_data().final.evaluation.confusion
    assert bold[:2] == [f"{100 * refined.overall_accuracy:.2f}", f"{100 * refined.mean_iou:.2f}"]
    assert len(bold) == 2 + len(SCHEMA) + 2


def test_nothing_is_best_where_all_are_equal() -> None:
    same = evaluation_of([[5, 1, 0], [1, 5, 0], [0, 0, 5]])
    methods = {name: MethodResult(name, same) for name in ("coarse", "rethresholded", "final")}
    text = render_report(report_data(**methods, crop_count=0))
    assert "<strong>" not in text[text.index('id="figures"') :]


def test_other_methods_have_their_rows() -> None:
    other = MethodResult("Dense CRF", report_data().coarse.evaluation)
    page = Page(render_report(report_data(others=[other])))
    names = [row[0] for row in page.rows if row]
    assert names.index("Re-thresholded map") < names.index("Dense CRF") < names.index("Refined map")


def test_settings_and_provenance_are_flattened(page: Page) -> None:
    for row in (
        ["seed", "7"],
        ["optimizer · momentum", "0.9"],
        ["classes · 2 · id", "2"],
        ["cores", "2"],
        ["crispmap", "0.1.0"],
    ):
        assert row in page.rows
    assert ["train", "1\u202f234.5", ""] in page.rows
    assert "A note." in page.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, DASH),
        (math.nan, DASH),
        ("", DASH),
        ({}, DASH),
        ([], DASH),
        (True, "yes"),
        (False, "no"),
        (2e-4, "0.0002"),
        (30000, "30000"),
        ((32, 32), "32, 32"),
        ({"b", "a"}, "a, b"),
        (Path("a/b"), "a/b"),
    ],
)
def test_settings_read_as_a_person_would_write_them(value: object, shown: str) -> None:
    page = Page(render_report(report_data(settings={"key": value}, crop_count=0, overview=None)))
    assert ["key", shown] in page.rows


# --- the result in words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coarse", "rival", "refined", "words"),
    [
        (0.483, 0.610, 0.729, r"raised .* from 48\.3 to 72\.9 %; .* 61\.0 %.* 11\.9 points ahead"),
        (0.5, 0.7, 0.4, r"lowered .* from 50\.0 to 40\.0 %; .* 70\.0 %.* 30\.0 points behind"),
        (0.5, 0.5, 0.5, r"left .* at 50\.0 %; .* 50\.0 %.* no more than"),
    ],
)
def test_result_is_said_in_words(coarse: float, rival: float, refined: float, words: str) -> None:
    text = Page(
        render_report(
            report_data(
                coarse=with_mean_iou("Coarse map", coarse),
                rethresholded=with_mean_iou("Re-thresholded map", rival),
                final=with_mean_iou("Refined map", refined),
            )
        )
    ).text
    assert re.search(words, text)


def test_figures_that_are_not_there_are_dashes() -> None:
    nothing = MethodResult("Refined map", evaluation_of([[0] * 3] * 3))
    text = render_report(report_data(final=nothing))
    page = Page(text)
    assert ["Refined map", *[DASH] * 7] in page.rows
    assert "There is no mean IoU" in page.text
    assert not re.search(r"\bnan\b", re.sub(r'"data:[^"]+"', "", text), re.IGNORECASE)


def test_missing_rival_figure_is_not_spoken_of() -> None:
    nothing = MethodResult("Re-thresholded map", evaluation_of([[0] * 3] * 3))
    text = Page(render_report(report_data(rethresholded=nothing))).text
    assert "re-thresholding alone" not in text
    assert "Refinement raised mean IoU" in text


def test_holes_of_a_map_are_shown() -> None:
    result = report_data().final.evaluation
    result.confusion.unmapped[1] = 1234
    text = Page(render_report(report_data(final=MethodResult("Refined map", result)))).text
    assert "Refined map: 1 234 labelled pixels" in text


# --- edges -------------------------------------------------------------------------------------------------------


def test_every_text_is_escaped() -> None:
    evil = "</title><script>alert(1)</script>\"'&"
    schema = ClassSchema((ClassDef(evil + "0", "#000000"), ClassDef(evil + "1", "#ffffff")))
    data = report_data(schema=schema)
    named = MethodResult(evil, data.coarse.evaluation)
    data = dataclasses.replace(
        data,
        title=evil,
        coarse=named,
        rethresholded=named,
        final=named,
        others=[named],
        crops=[dataclasses.replace(data.crops[0], title=evil)],
        settings={evil: evil, "group": {evil: [evil]}, evil * 2: {"a": evil}},
        provenance={evil: evil},
        timings={evil: 1.0},
        notes=[evil],
    )
    text = render_report(data)
    page = Page(text)
    assert text.count("<script") == 1
    assert "alert(1)" in page.text
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_report_of_the_least_there_can_be() -> None:
    page = Page(
        render_report(report_data(curve=(), crops=(), overview=None, settings={}, provenance={}, timings={}, notes=()))
    )
    assert not page.all("svg")
    assert [attrs["id"] for attrs in page.all("details")] == ["figures", "classes"]
    assert "Re-thresholded map" in page.text


def test_no_steps_give_no_chart_and_one_step_gives_three() -> None:
    assert not Page(render_report(report_data(steps=0))).all("svg")
    assert len(Page(render_report(report_data(steps=1))).all("svg")) == 3


def test_crop_without_heat_or_rethresholded_map() -> None:
    crop = dataclasses.replace(report_data().crops[0], heat={}, rethresholded=None)
    page = Page(render_report(report_data(crops=[crop], overview=None)))
    assert len([1 for attrs in page.all("img") if "width" in attrs]) == 4 + 4
    assert "step 3, refined" in page.text


def test_one_class_alone_on_the_ground() -> None:
    flat = np.zeros((20, 20), np.uint8)
    same = MethodResult("Refined map", evaluation(flat, flat))
    page = Page(
        render_report(report_data(coarse=same, rethresholded=same, final=same, curve=[same.evaluation.confusion] * 2))
    )
    assert ["Refined map", "100.00", "100.00", "100.00", *[DASH] * 4] in page.rows
    assert "no pixel of: building , road" in page.text


def test_boundaries_compared_at_no_width_have_no_column() -> None:
    flat = town(20)
    same = MethodResult("Map", evaluation(flat, flat, widths_m=()))
    text = Page(render_report(report_data(coarse=same, rethresholded=same, final=same))).text
    assert "Boundary" not in text
    assert "Relaxed, 3 px" in text


def crop_with(**changes: Any) -> Callable[[], Crop]:
    return lambda: dataclasses.replace(report_data().crops[0], **changes)


@pytest.mark.parametrize(
    "make",
    [
        crop_with(steps=[]),
        crop_with(reference=np.zeros((3, 3), np.uint8)),
        crop_with(image=np.zeros((32, 32, 3), np.uint8)),
        crop_with(image=np.zeros((3, 32, 32), np.float32)),
        crop_with(rethresholded=np.zeros((3, 3), np.uint8)),
        crop_with(heat={"road": [np.zeros((32, 32), np.float32)]}),
        crop_with(heat={"road": [np.zeros((31, 32), np.float32)] * 4}),
        lambda: Overview(
            np.zeros((3, 2, 2), np.uint8), np.zeros((2, 3), np.uint8), {"map": np.zeros((2, 3), np.uint8)}
        ),
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"Crop|overview"):
        make()


def test_figures_that_do_not_fit_together_are_refused() -> None:
    reference = town(20)
    other = ClassSchema((ClassDef("a", "#000000"), ClassDef("b", "#000001"), ClassDef("c", "#000002")))
    with pytest.raises(SchemaError, match="background, building, road"):
        report_data(coarse=MethodResult("x", evaluation(reference, reference, other)))
    with pytest.raises(SchemaError, match="schema"):
        report_data(curve=[ConfusionMatrix(("a", "b"))])
    with pytest.raises(InputError, match="widths"):
        report_data(coarse=MethodResult("x", evaluation(reference, reference, widths_m=(5,))))


# --- the strip ---------------------------------------------------------------------------------------------------


def test_a_strip_has_every_picture_in_its_row() -> None:
    rows = [[np.full((3, side, side), shade, np.uint8) for shade in (10, 90, 200, 250)] for side in (20, 30)]
    with Image.open(io.BytesIO(strip_png(rows, ("a", "b", "c", "d"), tile_px=64))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == 8 + 4 * 68  # twice 30, and a gap of 8
    assert {10, 90, 200, 250} <= set(np.unique(pixels).tolist())
    with pytest.raises(InputError, match="at least one row"):
        strip_png([], ("a",))


# --- in a browser ------------------------------------------------------------------------------------------------


def rendered(path: Path, width_px: int, folder: Path) -> str:
    """Return the page's elements after its script has run in a headless browser; skip without one."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no browser here")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --window-size={width_px},900 --dump-dom"
    command = [browser, *flags.split(), f"--user-data-dir={folder / 'browser'}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0 or not done.stdout:
        pytest.skip("the browser does not start here")
    return done.stdout


def test_script_adds_swipe_and_enlarging_and_narrow_pages_do_not_overflow(tmp_path: Path, html: str) -> None:
    probe = "<script>document.title = document.documentElement.scrollWidth <= innerWidth</script></body>"
    path = tmp_path / "report.html"
    path.write_text(html.replace("</body>", probe), encoding="utf-8")
    shown = rendered(path, 500, tmp_path)
    assert 'id="swipe"' in shown
    assert 'id="swipe" hidden' not in shown
    assert shown.count("<option") == 2 * 5
    assert shown.count('class="zoom"') == html.count('<div class="frame')
    assert "<title>true</title>" in shown


# --- trainings ---------------------------------------------------------------------------------------------------


def test_every_training_that_left_a_history_has_a_chart() -> None:
    curve = TrainingCurve([(1, 0.5)], [(1, 0.25)])
    trainings = {"coarse network": curve, "refiner": TrainingCurve(), "<b>": TrainingCurve(mean_iou=[(3, 0.5)])}
    page = Page(render_report(report_data(steps=0, trainings=trainings)))
    assert len(page.all("svg")) == 2
    assert "Loss on the training data" in page.text
    assert "Loss on the training" not in Page(render_report(report_data(trainings={"refiner": TrainingCurve()}))).text
