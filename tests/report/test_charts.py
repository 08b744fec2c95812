"""Charts: what they draw, what they say to readers who cannot see them, and that they stand in a page."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.report.charts.roc import RocLine, roc_svg, style_of
from crispmap.report.charts.steps import Curve, steps_svg
from crispmap.report.charts.training import TrainingCurve, training_svg


def read(text: str) -> ET.Element:
    return ET.fromstring(text)


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter("text")]


def points(root: ET.Element) -> list[tuple[float, float]]:
    """The places of the points with a tip, in order."""
    marks = [mark for mark in root.iter("use") if mark.find("title") is not None]
    return [(float(mark.attrib["x"]), float(mark.attrib["y"])) for mark in marks]


def tips(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter("title")]


def test_steps_mark_every_step_and_name_the_last_value() -> None:
    root = read(
        steps_svg([Curve("refined", [0.483, 0.6, 0.729], baseline=0.61)], title="IoU", value_name="mean IoU, %")
    )
    xs, ys = zip(*points(root), strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)
    assert tips(root) == ["refined, step 0: 48.30 %", "refined, step 1: 60.00 %", "refined, step 2: 72.90 %"]
    assert {"refined 72.9", "re-thresholded 61.0", "mean IoU, %", "0", "1", "2"} <= set(texts(root))
    assert any("stroke-dasharray" in path.get("style", "") for path in root.iter("path"))


def test_heights_are_linear_in_the_values() -> None:
    (_, high), (_, middle), (_, low) = points(read(steps_svg([Curve("a", [0.8, 0.5, 0.2])], title="t")))
    assert middle == pytest.approx((high + low) / 2, abs=0.11)


def test_the_legend_names_the_highest_first_and_shortens_long_names() -> None:
    curves = [Curve("low", [0.1]), Curve("nothing", [math.nan]), Curve("_high$x", [0.9]), Curve("x" * 60, [0.5])]
    shown = texts(read(steps_svg(curves, title="t")))
    assert [text for text in shown if text[0] in "_xln"] == [
        "_high$x 90.0",
        "x" * 17 + "… 50.0",
        "low 10.0",
        "nothing –",
    ]


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=30), max_size=20),
    st.one_of(st.floats(0, 1), st.just(math.nan)),
)
def test_steps_of_any_values_stay_inside(values: list[list[float]], baseline: float) -> None:
    text = steps_svg([Curve(f"class {k}", row, "#102030", baseline) for k, row in enumerate(values)], title="t")
    root = read(text)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert len(points(root)) == sum(math.isfinite(value) for row in values for value in row)
    for x, y in points(root):
        assert 0 <= x <= width
        assert -0.5 <= y <= height
    for element in root.iter("text"):
        assert 0 <= float(element.attrib["y"]) <= height
    assert "nan" not in text


def test_a_missing_value_leaves_a_gap() -> None:
    root = read(steps_svg([Curve("a", [0.1, 0.2, math.nan, 0.4, 0.5])], title="t"))
    assert len(points(root)) == 4
    assert any(path.attrib["d"].count("M") == 2 for path in root.iter("path"))


def test_roc_draws_and_names_every_line() -> None:
    lines = [RocLine(f"method {k}", f"0.{k}", [0, 0.2, 1], [0, 0.9, 1], *style_of(k)) for k in range(9)]
    root = read(roc_svg(lines, title="ROC of road"))
    assert [text for text in texts(root) if "method" in text] == [f"0.{k} method {k}" for k in range(9)]
    assert tips(root) == [f"method {k}, AUC 0.{k}" for k in range(9)]
    assert {"false positive rate", "true positive rate"} <= set(texts(root))
    drawn = {path.get("style") for path in root.iter("path")}
    assert sum("stroke: #" in str(style) for style in drawn) == 9


def test_eighteen_lines_differ() -> None:
    assert len({style_of(index) for index in range(18)}) == 18


def test_charts_are_labelled_escaped_and_load_nothing() -> None:
    evil = 'a < b & "c" <script>\x07'
    for text in (
        steps_svg([Curve(evil, [0.5, 0.6])], title=evil),
        roc_svg([RocLine(evil, "0.9", [0, 1], [0, 1], *style_of(0))], title=evil),
    ):
        root = read(text)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"].startswith(evil.replace("\x07", "\ufffd"))
        assert re.search(r"0\.9|60\.0", root.attrib["aria-label"])
        assert "<script>" not in text
        assert not re.search(r"https?:|url\(|font-family|<style|<metadata", text)
        assert "currentColor" in text


def test_ids_differ_between_charts_and_are_used() -> None:
    one, other = (steps_svg([Curve("a", [0.5, 0.6])], title=title) for title in ("one", "other"))
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert all(f"#{name}" in one for name in ids[0])


def test_the_same_data_give_the_same_small_chart_whatever_matplotlib_is_set_to() -> None:
    import matplotlib

    curves = [Curve("refined", [0.4, 0.5, 0.6], baseline=0.5)]
    text = steps_svg(curves, title="t")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path", "svg.hashsalt": None}):
        assert steps_svg(curves, title="t") == text
    assert len(text) < 6000


def test_figures_without_a_page_load_no_matplotlib() -> None:
    modules = "crispmap.evaluation.files, crispmap.report.tables.terminal, crispmap.report.pages.report"
    code = f"import sys, {modules}, crispmap.report.pages.comparison; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_training_is_drawn_with_loss_above_and_score_below() -> None:
    curve = TrainingCurve(loss=[(25, 0.9), (50, 0.5), (75, 0.4)], mean_iou=[(50, 0.7), (75, 0.6)])
    root = read(training_svg(curve, title="Training of the coarse network"))
    assert tips(root) == [
        "loss, step 25: 0.9", "loss, step 50: 0.5", "loss, step 75: 0.4", "mean IoU, %, step 50: 70",
        "mean IoU, %, step 75: 60",
    ]  # fmt: skip
    loss, score = points(root)[:3], points(root)[3:]
    assert [x for x, _ in loss[1:]] == pytest.approx([x for x, _ in score], abs=0.11)  # one axis of steps
    assert max(y for _, y in loss) < min(y for _, y in score)
    assert {"loss, 0.4 after step 75", "mean IoU of validation, highest 70.0 after step 50"} <= set(texts(root))
    assert "highest 70.0 after step 50" in root.attrib["aria-label"]


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.floats(0, 1e6), max_size=90),
    st.lists(st.floats(0, 1), max_size=90),
)
def test_trainings_of_any_length_stay_inside(loss: list[float], scores: list[float]) -> None:
    curve = TrainingCurve(list(enumerate(loss, 1)), list(enumerate(scores, 1)))
    assert curve.is_empty == (not loss and not scores)
    if curve.is_empty:
        return
    root = read(training_svg(curve, title="t"))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert len(points(root)) == sum(len(values) for values in (loss, scores) if len(values) <= 60)
    for x, y in points(root):
        assert 0 <= x <= width
        assert -0.5 <= y <= height
    assert sum(text.startswith("loss,") for text in texts(root)) == bool(loss)
    assert sum(text.startswith("mean IoU of") for text in texts(root)) == bool(scores)
