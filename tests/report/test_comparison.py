"""The table and the page of a comparison: what they hold, escape and refuse."""

from __future__ import annotations

import dataclasses
import html.parser
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from compared_maps import NAMES, OWN, SCHEMA, maps, missing, reference, report, rows
from rich.console import Console

from crispmap.errors import InputError, OutputError
from crispmap.evaluation.intervals import Interval
from crispmap.report.pages.comparison import render_comparison, write_comparison
from crispmap.report.tables.comparison import comparison_tables, verdict, winner
from crispmap.report.tables.markdown import markdown_tables
from crispmap.report.tables.seeds import SeedRow
from crispmap.report.tables.terminal import print_comparison

_VOID = {"meta", "img", "br"}


class Balanced(html.parser.HTMLParser):
    """Checks that every element is closed, and gathers what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestTables:
    def test_the_best_is_marked_where_figures_differ(self) -> None:
        quality = comparison_tables(rows())[0]
        assert [head.text for head in quality.heads][:3] == ["Overall accuracy", "Mean IoU", "IoU ground <b>"]
        assert [(name, cells[1].best) for name, cells in quality.rows] == [(name, name == OWN) for name in NAMES]
        same = comparison_tables([rows()[0], rows()[0]])[0]
        assert not any(cell.best for _, cells in same.rows for cell in cells)

    def test_the_cheapest_is_marked_and_what_costs_nothing_more_has_no_row(self) -> None:
        costs = dict(comparison_tables(rows())[-1].rows)
        assert set(costs) == {name for name in NAMES if "," not in name}
        assert [cell.best for cell in costs["svm"]] == [False, False, True, True]
        assert costs[OWN][0].text == "500009"

    def test_the_winner_is_named_even_if_it_is_another(self) -> None:
        assert verdict(rows(), OWN).startswith(f"Best by mean IoU: {OWN}, ")
        others = rows()[:5]
        best = winner(others)
        assert best is not None
        assert best.name == "fcn-rnn+geodesic"
        unsure = verdict(others, OWN)
        assert best.name in unsure
        assert OWN in unsure
        assert "may explain" in unsure
        ahead = dataclasses.replace(others[4], ahead=Interval(0.1, 0.05, 0.2))
        sure = verdict([ahead], OWN)
        assert "+10.00" in sure
        assert "(+5.00 to +20.00)" in sure
        assert "may explain" not in sure

    def test_without_an_interval_none_is_shown(self) -> None:
        lone = dataclasses.replace(rows()[0], mean_iou=Interval(0.5, math.nan, math.nan), ahead=None)
        assert verdict([lone], OWN) == "Best by mean IoU: svm, 50.00 %."
        ((_, cells),) = comparison_tables([lone])[3].rows
        assert [cell.text for cell in cells[1:]] == ["", ""]
        nothing = dataclasses.replace(lone, mean_iou=Interval(math.nan, math.nan, math.nan))
        assert verdict([nothing], OWN) == "No map has a mean IoU."

    def test_json_is_plain(self) -> None:
        for row in rows():
            read = json.loads(json.dumps(row.to_dict(), allow_nan=False))
            assert read["iou"]["road"] == pytest.approx(row.evaluation.iou[2])
            assert (read["mean_dice"], read["dice_per_image"]) == (row.evaluation.mean_dice, row.evaluation.images.mean)
        assert missing()[0].to_dict() == {"name": "mnih", "skipped": "names no <i>labels</i>"}
        lone = dataclasses.replace(rows()[0], auc=math.nan, mean_iou=Interval(0.5, math.nan, math.nan))
        assert lone.to_dict()["auc"] is None
        assert lone.to_dict()["mean_iou"] == {"value": 0.5, "low": None, "high": None}

    def test_markdown_has_as_many_cells_in_every_row(self) -> None:
        text = markdown_tables(rows(), missing())
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({line.count("|") for line in table.splitlines()}) == 1
        assert "- fcn-rnn+crf: failed: class 'a' & 'b' lack" in text

    @pytest.mark.parametrize("width", [40, 80, 200])
    def test_a_terminal_of_any_width_shows_every_name_and_figure(self, width: int) -> None:
        file = io.StringIO()
        print_comparison(
            rows(), missing(), console=Console(file=file, width=width, force_terminal=True, color_system=None)
        )
        for row in rows():
            assert f"{100 * row.mean_iou.value:.2f}" in file.getvalue()
        assert "left out: names no <i>labels</i>" in file.getvalue()

    def test_maps_whose_cost_is_not_known_have_no_table_of_costs(self) -> None:
        free = [dataclasses.replace(row, cost=None) for row in rows()]
        file = io.StringIO()
        print_comparison(free, missing(), console=Console(file=file, width=200))
        for text in (file.getvalue(), markdown_tables(free, missing())):
            assert "95 %" in text
            assert "Parameters" not in text

    def test_nothing_is_no_table(self) -> None:
        with pytest.raises(InputError, match="nothing to report"):
            print_comparison([], missing())


class TestPage:
    def test_it_is_whole_loads_nothing_and_escapes_names(self) -> None:
        page = render_comparison(report())
        parser = Balanced()
        parser.feed(page)
        assert parser.open == []
        assert all(one.startswith(("data:image/", "#")) for one in parser.loads)
        assert {one[1:] for one in parser.loads if one.startswith("#")} <= set(parser.ids)
        assert len(parser.ids) == len(set(parser.ids))
        assert not re.search(r"https?://|@import|url\(", page)
        assert page.count("<script") == 1  # the page's own
        for raw in ("ground <b>", "Piece 1 <b>", "a<b>.tif", "<i>labels"):
            assert raw not in page
        assert "house &amp; barn" in page

    def test_every_class_has_an_activation_map_of_each_network(self) -> None:
        page = re.sub("</?bdi>", "", render_comparison(report()))
        assert re.findall(r"probability of each class, <strong>(.*?)</strong>", page) == ["fcn &lt;rnn&gt;"]
        assert page.count('alt="Piece 1 &lt;b&gt;: probability of ') == len(SCHEMA)

    def test_the_same_data_give_the_same_page(self) -> None:
        assert render_comparison(report()) == render_comparison(report())

    def test_all_methods_are_there_with_figures_or_a_reason(self) -> None:
        page = render_comparison(report())
        for row in rows():
            assert f"{100 * row.mean_iou.value:.2f}" in page
        assert "failed: class &#39;a&#39; &amp; &#39;b&#39; lack" in page
        assert "With so few squares they are rough." in page
        assert "16 squares of 24 m" in page

    def test_what_there_is_not_leaves_no_section(self) -> None:
        bare = dataclasses.replace(
            report(), rocs={}, steps={}, strips=(), banks=(), missing=(), settings={}, notes=(), blocks=(100, 64.0)
        )
        page = render_comparison(bare)
        assert re.findall(r'<details class="card" id="(\w+)"', page) == ["figures", "classes"]
        assert "rough" not in page
        assert "Without figures" not in page

    def test_without_a_finished_method_there_is_no_report(self) -> None:
        with pytest.raises(InputError, match="No method of the comparison is finished"):
            dataclasses.replace(report(), rows=[])

    def test_a_report_that_is_there_is_replaced_only_by_force(self, tmp_path: Path) -> None:
        path = write_comparison(tmp_path / "report.html", report())
        with pytest.raises(OutputError, match="exists"):
            write_comparison(path, report())
        assert write_comparison(path, report(), force=True).read_text(encoding="utf-8") == render_comparison(report())


def test_the_fixture_is_what_it_says() -> None:
    assert set(maps()) == set(NAMES)
    assert set(np.unique(reference())) == set(range(len(SCHEMA)))


def test_a_page_of_several_seeds_says_first_what_holds_over_all() -> None:
    seeds = [
        SeedRow(row.name, (row.mean_iou.value, row.mean_iou.value + 0.01), ((0.5,), (0.6,)), (1.0,)) for row in rows()
    ]
    page = render_comparison(dataclasses.replace(report(), seeds=seeds))
    said = re.findall(r"<p>(Best over 2 seeds: .*?)</p>\s*<p>(With the first seed, best by mean IoU: .*?)</p>", page)
    assert len(said) == 1
    assert "Over 2 seeds: mean, standard deviation" in page
    assert "Over 2 seeds" not in render_comparison(report())
