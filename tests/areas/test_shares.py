"""Shares of pixels inside outlines: against exactextract and shapely, and the laws of a measure."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.areas.shares import Edges, shares_in
from crispmap.geo.grid import Block

HEIGHT, WIDTH = 12, 17
SAME = Affine.identity()
BLOCK = Block(0, 0, HEIGHT, WIDTH)
few = settings(deadline=None, max_examples=80)


def coverage(outlines: list[Any], transform: Affine = SAME, block: Block = BLOCK) -> np.ndarray:
    """The share of each pixel (outline, row, col) that each outline covers."""
    found = np.zeros((len(outlines), block.height * block.width))
    edges = Edges.of(shapely.normalize(np.array(outlines, object)), range(len(outlines)), transform)
    shares = shares_in(edges, block)
    np.add.at(found, (shares.border_region, shares.border_pixel), shares.border_share)
    for layer in shares.layers(found.shape[1], len(outlines)):
        inside = np.flatnonzero(layer < len(outlines))
        found[layer[inside], inside] += 1.0
    return found.reshape(len(outlines), *block.shape)


def by_shapely(outline: Any, transform: Affine, block: Block = BLOCK) -> np.ndarray:
    """Each pixel cut with the outline: slow, and another way."""
    found = np.zeros(block.shape)
    for row in range(block.row, block.row_stop):
        for col in range(block.col, block.col_stop):
            corners = [(col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1)]
            pixel = shapely.Polygon([transform @ one for one in corners])
            found[row - block.row, col - block.col] = shapely.intersection(outline, pixel).area / pixel.area
    return found


def by_exactextract(outline: Any) -> np.ndarray:
    raster = NumPyRasterSource(np.zeros((HEIGHT, WIDTH)), xmin=0, ymin=0, xmax=WIDTH, ymax=HEIGHT)
    feature = {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(outline))}
    found = exact_extract(raster, [feature], ["cell_id", "coverage"])[0]["properties"]
    whole = np.zeros(HEIGHT * WIDTH)
    whole[found["cell_id"]] = found["coverage"]
    return whole.reshape(HEIGHT, WIDTH)[::-1]  # rows upwards here, downwards there


numbers = st.one_of(st.integers(-4, 20).map(float), st.floats(-4, 20, width=32))
points = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9)


@st.composite
def polygons(draw: st.DrawFn) -> Any:
    """Valid polygons and multipolygons, some with holes, corners often on the sides of pixels and beyond the block."""
    shape = shapely.make_valid(shapely.Polygon(draw(points)))
    hole = shapely.make_valid(shapely.Polygon(draw(points)))
    parts = shapely.get_parts(shapely.difference(shape, hole) if draw(st.booleans()) else shape)
    return shapely.union_all([one for one in parts if one.geom_type == "Polygon"])


class TestReferences:
    @pytest.mark.parametrize("seed", range(20))
    def test_exactextract(self, seed: int) -> None:
        """Stars with a hole, for exactextract itself crashes on some polygons that touch the sides of its raster."""
        rng = np.random.default_rng(seed)
        angles = np.sort(rng.uniform(0, 2 * math.pi, 30))
        ring = rng.uniform((4, 3), (13, 9)) + (rng.uniform(1, 8, 30) * np.stack([np.cos(angles), np.sin(angles)])).T
        star = shapely.make_valid(shapely.Polygon(ring).difference(shapely.Point(ring.mean(axis=0)).buffer(0.8)))
        np.testing.assert_allclose(coverage([star])[0], by_exactextract(star), atol=2e-6)

    @settings(deadline=None, max_examples=60)
    @given(polygons(), st.floats(0, 360), st.booleans())
    def test_shapely_on_turned_and_mirrored_grids(self, outline: Any, degrees: float, mirrored: bool) -> None:
        transform = Affine.rotation(degrees, (8, 6)) @ Affine.scale(1, -1 if mirrored else 1)
        found = coverage([outline], transform)[0]
        np.testing.assert_allclose(found, by_shapely(outline, transform), atol=1e-6)  # of needles


class TestLaws:
    @few
    @given(st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(0, WIDTH), st.floats(0, HEIGHT))
    def test_a_box_covers_the_product_of_its_shares(self, x0: float, y0: float, x1: float, y1: float) -> None:
        (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        across = np.clip(np.minimum(x1, np.arange(WIDTH) + 1) - np.maximum(x0, np.arange(WIDTH)), 0, 1)
        down = np.clip(np.minimum(y1, np.arange(HEIGHT) + 1) - np.maximum(y0, np.arange(HEIGHT)), 0, 1)
        np.testing.assert_allclose(coverage([shapely.box(x0, y0, x1, y1)])[0], np.outer(down, across), atol=1e-9)

    @few
    @given(polygons(), st.integers(1, HEIGHT - 1), st.integers(1, WIDTH - 1))
    def test_a_block_is_what_it_is_however_it_is_cut(self, outline: Any, row: int, col: int) -> None:
        whole = coverage([outline])[0]
        for rows in (Block(0, 0, row, WIDTH), Block(row, 0, HEIGHT - row, WIDTH)):
            for first, width in ((0, col), (col, WIDTH - col)):
                block = Block(rows.row, first, rows.height, width)
                np.testing.assert_allclose(coverage([outline], block=block)[0], whole[block.slices], atol=1e-12)

    @few
    @given(polygons())
    def test_shares_add_up_to_the_area_within_the_block(self, outline: Any) -> None:
        inside = shapely.intersection(outline, shapely.box(0, 0, WIDTH, HEIGHT)).area
        assert coverage([outline]).sum() == pytest.approx(inside, abs=1e-9)

    @few
    @given(polygons(), polygons())
    def test_shares_of_parts_add_up_to_those_of_the_whole(self, one: Any, other: Any) -> None:
        parts = [shapely.difference(one, other), shapely.intersection(one, other), shapely.difference(other, one)]
        kept = [shapely.union_all([p for p in shapely.get_parts(part) if p.geom_type == "Polygon"]) for part in parts]
        np.testing.assert_allclose(coverage(kept[:2]).sum(axis=0), coverage([one])[0], atol=1e-6)
        np.testing.assert_allclose(coverage(kept[1:]).sum(axis=0), coverage([other])[0], atol=1e-6)

    def test_a_partition_with_common_edges_covers_every_pixel_once_to_rounding(self) -> None:
        rng = np.random.default_rng(0)
        nodes = np.stack(np.meshgrid(np.linspace(0, WIDTH, 6), np.linspace(0, HEIGHT, 5)), axis=-1)
        nodes[1:-1, 1:-1] += rng.normal(0, 0.4, nodes[1:-1, 1:-1].shape)
        parts = [
            shapely.Polygon([nodes[r, c], nodes[r, c + 1], nodes[r + 1, c + 1], nodes[r + 1, c]])
            for r in range(4) for c in range(5)
        ]  # fmt: skip
        np.testing.assert_allclose(coverage(parts).sum(axis=0), 1.0, atol=1e-12)

    def test_outlines_far_beyond_the_block_cost_nothing_and_cover_all(self) -> None:
        far = shapely.box(-1e9, -1e9, 1e9, 1e9)
        beside = shapely.box(WIDTH, 0, 1e12, HEIGHT)
        assert coverage([far, beside]).tolist() == [np.ones(BLOCK.shape).tolist(), np.zeros(BLOCK.shape).tolist()]

    def test_none_covers_none(self) -> None:
        shares = shares_in(Edges.of(np.array([], object), [], Affine.identity()), BLOCK)
        assert len(shares.border_pixel) == len(shares.run_start) == 0
        assert [layer.tolist() for layer in shares.layers(3, 7)] == [[7, 7, 7]]

    def test_overlapping_outlines_are_in_layers(self) -> None:
        outlines = [
            shapely.box(0, 0, 9, 9),
            shapely.box(2, 2, 12, 8),
            shapely.box(3, 1, 5, 5),
            shapely.box(11, 0, 17, 12),
        ]
        whole = coverage(outlines)
        for one, outline in zip(whole, outlines, strict=True):
            np.testing.assert_allclose(one, coverage([outline])[0], atol=1e-12)

    def test_only_pixels_on_an_outline_are_computed_one_by_one(self) -> None:
        circle = shapely.Point(500, 500).buffer(400, 200)
        edges = Edges.of(shapely.normalize(np.array([circle], object)), [0], Affine.identity())
        shares = shares_in(edges, Block(0, 0, 1000, 1000))
        assert len(shares.border_pixel) < 4 * 2 * math.pi * 400
        assert shares.border_share.sum() + shares.run_length.sum() == pytest.approx(circle.area, rel=1e-12)
