"""The tables: every figure once, the best bold on a terminal, plain text elsewhere."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError
from crispmap.evaluation.compare import evaluate_arrays
from crispmap.report.tables.evaluations import class_table, summary_table
from crispmap.report.tables.images import ends, image_table, ranked
from crispmap.report.tables.terminal import print_evaluations
from crispmap.types import IGNORE

SCHEMA = ClassSchema(
    (ClassDef("background", "#202020"), ClassDef("building", "#d7191c"), ClassDef("[road]", "#2c7bb6"))
)


def scored(shift, *, holes=0, schema=SCHEMA, widths_m=(1.0, 3.0), slack_px=3):
    reference = np.zeros((40, 40), np.uint8)
    reference[5:25, 5:25] = 1
    predicted = np.roll(reference, shift, axis=1)
    predicted[:holes] = IGNORE
    return evaluate_arrays(predicted, reference, (0.5, 0.5), schema, widths_m=widths_m, slack_px=slack_px)


MAPS = {"coarse [1]": scored(4), "refined": scored(1)}


def plain(maps, **console):
    file = io.StringIO()
    print_evaluations(maps, Console(file=file, **console))
    return file.getvalue()


def rows_of(text):
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_the_summary_is_plain_text_off_a_terminal():
    head, coarse, refined, *_ = rows_of(plain(MAPS, width=20))
    assert head == [
        "Map",
        "Overall accuracy",
        "Mean IoU",
        "IoU background",
        "IoU building",
        "IoU [road]",
        "Boundary F1 1 m",
        "Boundary F1 3 m",
    ]
    for name, row in (("coarse [1]", coarse), ("refined", refined)):
        one = MAPS[name]
        shares = [one.overall_accuracy, one.mean_iou, one.iou[0], one.iou[1], np.nan, *one.boundary_f1]
        assert row == [name, *("-" if np.isnan(share) else f"{100 * share:.2f}" for share in shares)]


def test_plain_text_holds_no_control_characters_or_lines():
    text = plain(MAPS)
    assert "\x1b" not in text
    assert not re.search("[─━│]", text)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_file_that_knows_only_ascii_gets_escapes():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, "ascii", write_through=True)
    schema = ClassSchema((ClassDef("wald", "#202020"), ClassDef("gebäude", "#d7191c")))
    print_evaluations({"x": scored(1, schema=schema)}, Console(file=file))
    assert rb"geb\xe4ude" in raw.getvalue()


def test_what_is_printed_stands_before_what_follows_on_standard_error():
    """Where both go to one file."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, "utf-8")
    print_evaluations(MAPS, Console(file=file))
    assert b"refined" in raw.getvalue().rstrip().splitlines()[-1]


def test_dice_stands_after_the_summary_and_per_image_only_where_there_are_several():
    head, _, refined = rows_of(plain(MAPS))[4:7]
    assert head == ["Map", "Mean Dice", "Dice background", "Dice building", "Dice [road]"]
    one = MAPS["refined"]
    assert refined == ["refined", *(f"{100 * share:.2f}" for share in (one.mean_dice, *one.dice[:2])), "-"]
    other = scored(7, holes=16)
    two = {name: one + other for name, one in MAPS.items()}
    head, _, refined = rows_of(plain(two))[4:7]
    assert head[:3] == ["Map", "Mean Dice", "Dice per image"]
    expected = (one.mean_dice + other.mean_dice) / 2
    assert refined[2] == f"{100 * expected:.2f}" != refined[1]
    by_class = class_table(list(two.items()))
    assert [head.text for head in by_class.heads].index("Dice per image") == 4
    assert by_class.sections[1].rows[1][1][4].text == f"{50 * (one.dice[1] + other.dice[1]):.2f}"
    for width in (80, 120):
        text = plain(two, force_terminal=True, color_system=None, width=width)
        assert max(map(len, text.splitlines())) <= width


def test_boundary_f1_stands_beside_that_of_a_random_map():
    rows = rows_of(plain(MAPS))
    head, coarse, refined = rows[8:11]
    assert head == ["Map", *(f"At {w} m {name}" for w in (1, 3) for name in ("F1", "by chance", "above chance"))]
    for name, row in (("coarse [1]", coarse), ("refined", refined)):
        one = MAPS[name]
        shares = np.stack([one.boundary_f1, one.boundary_chance, one.boundary_above_chance], axis=1).ravel()
        assert row == [name, *(f"{100 * share:.2f}" for share in shares)]


def test_the_best_of_each_column_is_bold_on_a_terminal():
    text = plain(MAPS, force_terminal=True, color_system="standard", width=200)
    bold = re.findall(r"\x1b\[1m *([\d.]+)\x1b", text)
    assert f"{100 * MAPS['refined'].mean_iou:.2f}" in bold
    assert f"{100 * MAPS['coarse [1]'].mean_iou:.2f}" not in bold
    assert f"{100 * MAPS['coarse [1]'].mean_iou:.2f}" in text


@pytest.mark.parametrize("width", [30, 60, 80, 100])
def test_no_figure_is_cut_in_a_narrow_terminal(width):
    figures = re.findall(r"\d+\.\d\d", plain(MAPS))
    text = plain(MAPS, force_terminal=True, color_system=None, width=width)
    assert re.findall(r"\d+\.\d\d", text) == figures
    assert "…" not in text
    if width >= 80:
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [80, 90, 110, 150])
def test_names_break_between_words_alone(width):
    maps = {"coarse map": scored(4), "re-thresholded coarse map": scored(2), "refined map": scored(1)}
    text = plain(maps, force_terminal=True, color_system=None, width=width)
    assert len(re.findall(r"re-thresholded( coarse map)? ", text)) == 9
    assert max(map(len, text.splitlines())) <= width
    assert len(re.findall("background ", text)) >= 3


def test_nothing_is_best_where_maps_do_not_differ():
    for maps in ({"one": scored(1)}, {"one": scored(1), "two": scored(1)}):
        table = summary_table(list(maps.items()))
        assert not any(cell.best for _, cells in table.rows for cell in cells)


def test_the_table_by_class_holds_every_figure():
    table = class_table(list(MAPS.items()))
    assert [section.name for section in table.sections] == list(SCHEMA.names)
    assert [[name for name, _ in section.rows] for section in table.sections] == [list(MAPS)] * 3
    refined = MAPS["refined"]
    expected = {
        "IoU": refined.iou[1],
        "Precision": refined.confusion.precision[1],
        "Recall": refined.confusion.recall[1],
        "F1": refined.confusion.f1[1],
        "Boundary F1 1 m": refined.boundary.f1[0, 1],
        "Boundary F1 3 m": refined.boundary.f1[1, 1],
        "Boundary IoU 1 m": refined.boundary.iou[0, 1],
        "Boundary IoU 3 m": refined.boundary.iou[1, 1],
        "Relaxed, 3 px Precision": refined.relaxed.precision[1],
        "Relaxed, 3 px Recall": refined.relaxed.recall[1],
    }
    shown = [cell.text for cell in dict(table.sections[1].rows)["refined"]]
    assert dict(zip([head.text for head in table.heads], shown, strict=True)) == {
        head: f"{100 * value:.2f}" for head, value in expected.items()
    }
    assert table.header_spans[1:] == [("Boundary F1", 2), ("Boundary IoU", 2), ("Relaxed, 3 px", 2)]


def test_holes_get_a_column_of_their_own():
    assert "Not mapped" not in plain(MAPS)
    text = plain({**MAPS, "holed": scored(1, holes=2)})
    assert rows_of(text)[0][-1] == "Not mapped"
    assert [row[-1] for row in rows_of(text)[1:4]] == ["0.00", "0.00", "5.00"]


def test_many_classes_are_left_to_the_table_by_class():
    schema = ClassSchema(tuple(ClassDef(f"c{index}", f"#0000{index:02x}") for index in range(12)))
    text = plain({"map": scored(1, schema=schema)})
    assert "IoU c1" not in text
    assert "c11" in text


def test_maps_that_cannot_stand_side_by_side():
    other = ClassSchema((ClassDef("a", "#202020"), ClassDef("b", "#d7191c")))
    with pytest.raises(InputError, match="no map"):
        print_evaluations({})
    with pytest.raises(InputError, match="classes"):
        print_evaluations({"one": scored(1), "two": scored(1, schema=other)})
    with pytest.raises(InputError, match="widths"):
        print_evaluations({"one": scored(1), "two": scored(1, widths_m=(2.0,))})
    with pytest.raises(InputError, match="slack"):
        print_evaluations({"one": scored(1), "two": scored(1, slack_px=2)})


@given(st.integers(0, 30), st.integers(1, 6))
def test_the_ends_of_a_ranking_name_none_twice(count, most):
    best, worst = ends(range(count), most)
    assert [*best, *worst] == sorted({*range(count)[:most], *range(count)[-most:]})
    assert len(best) == min(most, count)


def test_images_are_listed_from_the_best_to_the_worst():
    images = ranked((f"i{shift}", scored(shift)) for shift in (3, 1, 7, 5, 2))
    assert list(images) == ["i1", "i2", "i3", "i5", "i7"]
    table, between = image_table(list(images.items()), 2)
    assert between == 1
    assert [(section.name, [name for name, _ in section.rows]) for section in table.sections] == [
        ("Best", ["i1", "i2"]),
        ("Worst", ["i5", "i7"]),
    ]
    mean_iou, mean_dice, *_, absent = table.rows[0][1]
    assert (mean_iou.text, mean_dice.text) == tuple(
        f"{100 * one:.2f}" for one in (scored(1).mean_iou, scored(1).mean_dice)
    )
    assert absent.text == ""
    assert not any(cell.best for _, cells in table.rows for cell in cells)
    table, between = image_table(list(images.items()), 3)
    assert (between, [name for name, _ in table.rows]) == (0, list(images))
    assert len(table.sections) == 1
