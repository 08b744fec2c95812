"""What the report of a project shows besides figures: the course of its trainings, and the images of a data set."""

from __future__ import annotations

import html
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pair_sets import town, write_deepglobe, write_project
from PIL import Image
from scipy.special import softmax

from crispmap.errors import CrispmapWarning
from crispmap.metrics import ConfusionMatrix
from crispmap.project import results as results_module
from crispmap.project import scored, scored_maps
from crispmap.project.results import evaluate_project
from crispmap.project.run import predict_project, train_project
from crispmap.report.pages.report_data import ReportData
from crispmap.report.pictures.photos import every
from crispmap.types import IGNORE

pytestmark = pytest.mark.usefixtures("one_thread")
SPLIT = "split: {validation: ['3'], test: ['1', '2'], refiner: ['4']}"
REFINER = "refiner: {iterations: 1, max_steps: 2, batch: 2, patch_px: 16}\n"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    write_deepglobe(folder / "data", 5)
    write_project(folder, SPLIT, REFINER)
    train_project(folder)
    predict_project(folder)
    return folder


def report_of(folder: Path) -> str:
    evaluate_project(folder, force=True)
    return html.unescape((folder / "out/report.html").read_text(encoding="utf-8"))


def data_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ReportData:
    """What a report is made of."""
    made: list[Any] = []
    monkeypatch.setattr(results_module, "write_report", lambda path, data, force: made.append(data))
    evaluate_project(folder, force=True)
    return made[0]


def charts_of(page: str) -> list[str]:
    return re.findall(r'aria-label="(Training of the [\w-]+(?: network)?)', page)


def test_every_training_has_its_chart(mapped: Path) -> None:
    page = report_of(mapped)
    assert charts_of(page) == ["Training of the coarse network", "Training of the refiner"]
    assert "after step 4" in page


@pytest.mark.parametrize("content", ["", "step,loss\n", "step,loss\n3,0.5\n", None])
def test_a_history_that_is_not_of_the_model_gives_no_chart(mapped: Path, content: str | None) -> None:
    path = mapped / "out/training/refiner/history.csv"
    kept = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_text(content)
    try:
        assert charts_of(report_of(mapped)) == ["Training of the coarse network"]
    finally:
        path.write_bytes(kept)


def test_a_damaged_history_is_told_of_and_the_report_is_made(mapped: Path) -> None:
    path = mapped / "out/training/coarse/history.csv"
    kept = path.read_bytes()
    path.write_text("step,loss\none,two\n")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert charts_of(report_of(mapped)) == ["Training of the refiner"]
        assert [one.category for one in told] == [CrispmapWarning]
        assert str(path) in str(told[0].message)
    finally:
        path.write_bytes(kept)


def reference_of(number: int, shape: tuple[int, int]) -> np.ndarray:
    ids = town(number, shape)[1]
    return np.where(ids == 3, IGNORE, ids).astype(np.uint8)


def test_every_image_has_figures_of_its_own(mapped: Path) -> None:
    page = report_of(mapped)
    written = json.loads((mapped / "out/figures.json").read_text())["images"]
    scores = {}
    for name in "12":
        with rasterio.open(mapped / f"out/maps/{name}/refined.tif") as file:
            expected = ConfusionMatrix(("grass", "house", "water"))
            expected.update(file.read(1), reference_of(int(name), file.shape))
        scores[name] = expected.mean_iou
        assert written[name]["mean_iou"] == pytest.approx(expected.mean_iou)
        assert written[name]["mean_dice"] == pytest.approx(expected.mean_dice)
        assert written[name]["classes"]["house"]["iou"] == pytest.approx(expected.iou[1])
        assert f"Image {name}: mean IoU {100 * expected.mean_iou:.1f} %" in page
    assert list(written) == sorted(scores, key=lambda name: -scores[name])
    images = page[page.index('id="images"') : page.index('id="figures"')]
    assert re.findall("<h3><bdi>Image ([12]): ", images) == list(written)
    worst, best = re.findall("<h3>(?:Worst|Best): <bdi>Image ([12]): ", page)
    assert [best, worst] == list(written)


def shown_share(text: str) -> float | None:
    return None if text == "–" else float(text.replace("\u2212", "-"))


def in_percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def test_every_figure_on_the_first_screen_is_that_of_the_file(mapped: Path) -> None:
    page = report_of(mapped)
    screen = re.sub("</?bdi>", "", page[page.index('id="answer"') : page.index("</section>")])
    figures = json.loads((mapped / "out/figures.json").read_text())
    rival, final = (figures["methods"][name] for name in ("re-thresholded coarse map", "refined map"))
    coarse, ahead = figures["methods"]["coarse map"], figures["mean_iou_ahead_of_rethresholded"]
    expected = {"Mean IoU": "mean_iou", "Overall accuracy": "overall_accuracy"}
    pairs = {shown: (rival[name], final[name]) for shown, name in expected.items()}
    pairs |= {
        f"Boundary F1 at {one['width_m']:g} m": (one["mean_f1"], other["mean_f1"])
        for one, other in zip(rival["boundary"], final["boundary"], strict=True)
    }
    pairs |= {f"IoU of {name}": (rival["classes"][name]["iou"], one["iou"]) for name, one in final["classes"].items()}
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td><strong>(.*?)</strong></td><td class="\w*">([^<]*)', screen
    )
    assert [name for name, *_ in rows] == list(pairs)
    for name, before, after, change in rows:
        shares = [in_percent(share) for share in pairs[name]]
        assert [shown_share(before), shown_share(after)] == shares
        if None not in shares:
            assert shown_share(change) == pytest.approx(shares[1] - shares[0], abs=1e-9)
    for one in (coarse, rival, final):
        assert f" {100 * one['mean_iou']:.1f} " in screen[: screen.index("<table")]
    assert ahead["value"] == pytest.approx(final["mean_iou"] - rival["mean_iou"])
    for end in (ahead["low"], ahead["high"]):
        assert end is None or f"{100 * end:+.1f}".replace("-", "\u2212").replace("+0.0", "0.0") in screen
    for of_class, what, before, after in re.findall(
        r"<strong>([^<]*)</strong>: (precision|recall) falls from ([\d.]+) to ([\d.]+) %", screen
    ):
        assert in_percent(rival["classes"][of_class][what]) == float(before)
        assert in_percent(final["classes"][of_class][what]) == float(after)


@pytest.mark.parametrize("part_px", [7, 64, 512])
def test_panels_are_the_maps_thinned_however_they_are_read(
    mapped: Path, monkeypatch: pytest.MonkeyPatch, part_px: int
) -> None:
    monkeypatch.setattr(scored, "_PART_PX", part_px)
    monkeypatch.setattr(scored_maps, "STRIP_SIDE_PX", 50)
    panels = data_of(mapped, monkeypatch).panels
    assert len(panels) == 2
    for panel in panels:
        name = panel.title.split(":")[0].removeprefix("Image ")
        folder = mapped / "out/maps" / name
        assert list(panel.maps) == ["reference", "coarse", "refined"]
        assert panel.image.shape == (3, 32, 43)
        np.testing.assert_array_equal(panel.maps["reference"], every(reference_of(int(name), (96, 128)), 50))
        for step in ("coarse", "refined"):
            with rasterio.open(folder / f"{step}.tif") as file:
                np.testing.assert_array_equal(panel.maps[step], every(file.read(1), 50))
        with rasterio.open(folder / "refined_scores.tif") as file:
            shares = every(softmax(file.read(), axis=0), 50)
        assert list(panel.activations) == ["refined"]
        assert list(panel.activations["refined"]) == ["grass", "house", "water"]
        np.testing.assert_allclose(list(panel.activations["refined"].values()), shares, atol=1e-6)


def test_without_refined_scores_the_panels_show_those_before(mapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mapped / "out/maps/1/refined_scores.tif"
    kept = path.rename(path.with_suffix(".kept"))
    try:
        panels = {one.title[:7]: one for one in data_of(mapped, monkeypatch).panels}
    finally:
        kept.rename(path)
    assert [list(panels[title].activations) for title in ("Image 1", "Image 2")] == [["coarse"], ["refined"]]


def test_a_data_set_tested_on_one_image_without_a_class_shows_it_once(tmp_path: Path) -> None:
    write_deepglobe(tmp_path / "data", 3)
    mask = tmp_path / "data/1_mask.png"
    colours = np.asarray(Image.open(mask))
    water = (colours == (0, 0, 255)).all(axis=-1, keepdims=True)
    Image.fromarray(np.where(water, np.array((0, 255, 0), np.uint8), colours)).save(mask)
    write_project(tmp_path, "split: {validation: ['3'], test: ['1']}")
    train_project(tmp_path)
    predict_project(tmp_path)
    page = report_of(tmp_path)
    assert len(re.findall("<h3><bdi>Image 1: mean IoU", page)) == 1
    assert "Where the coarse map is right and wrong" in page  # on the first screen, as of a scene
    assert "more image" not in page
