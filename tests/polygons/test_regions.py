"""Regions against scipy's labels and rasterio's polygons, on rasters cut in any way."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from crispmap.polygons.corners import NOTHING, Values
from crispmap.polygons.polygons import polygons_of
from crispmap.polygons.regions import RegionTracer
from crispmap.polygons.simplify import simplified


@st.composite
def rasters(draw: st.DrawFn, longest: int = 12) -> Values:
    shape = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    seed, classes = draw(st.integers(0, 1 << 20)), draw(st.integers(1, 4))
    rng = np.random.default_rng(seed)
    values = rng.integers(0, classes, shape).astype(np.int32)
    if draw(st.booleans()):
        values[rng.random(shape) < 0.3] = NOTHING
    return values


def traced(
    values: Values, rows: int, *, transform: Affine | None = None, simplify_m: float = 0
) -> list[tuple[int, shapely.Polygon]]:
    tracer = RegionTracer(values.shape[1], nodes=simplify_m > 0)
    batches = [tracer.push(values[row : row + rows]) for row in range(0, len(values), rows)] + [tracer.finish()]
    found = []
    for batch in batches:
        rings = simplified(batch.rings, simplify_m, (1.0, 1.0)) if simplify_m else batch.rings
        found += list(zip(batch.values.tolist(), polygons_of(rings, transform or Affine.identity()), strict=True))
    return found


def exact(found: list[tuple[int, shapely.Polygon]]) -> list[tuple[int, str]]:
    return [(value, shapely.to_wkt(polygon)) for value, polygon in found]


@settings(deadline=None, max_examples=60)
@given(rasters())
def test_there_is_a_valid_polygon_for_every_connected_region(values: Values) -> None:
    found = traced(values, len(values))
    for value in np.unique(values[values != NOTHING]).tolist():
        labels, count = ndimage.label(values == value)
        own = sorted(shapely.area([polygon for one, polygon in found if one == value]).tolist())
        assert own == sorted(np.bincount(labels.ravel())[1 : count + 1].tolist())
    assert NOTHING not in [value for value, _ in found]
    assert all(polygon.is_valid for _, polygon in found)


@settings(deadline=None, max_examples=60)
@given(rasters())
def test_polygons_are_those_of_gdal(values: Values) -> None:
    by_gdal = rasterio.features.shapes(values, mask=values != NOTHING, connectivity=4)
    theirs = {shapely.Polygon(one["coordinates"][0], one["coordinates"][1:]).normalize().wkt for one, _ in by_gdal}
    assert {shapely.simplify(one, 0).normalize().wkt for _, one in traced(values, 3)} == {
        shapely.simplify(shapely.from_wkt(one), 0).normalize().wkt for one in theirs
    }


@settings(deadline=None, max_examples=60)
@given(rasters(), st.integers(1, 5), st.sampled_from([0.0, 0.75, 2.0]))
def test_neither_polygons_nor_their_order_depend_on_the_strips(values: Values, rows: int, simplify_m: float) -> None:
    whole = traced(values, len(values), simplify_m=simplify_m)
    assert exact(traced(values, rows, simplify_m=simplify_m)) == exact(whole)


@settings(deadline=None, max_examples=60)
@given(rasters(), st.sampled_from([Affine.identity(), Affine(0.5, 0, 10, 0, -0.5, 20), Affine.rotation(30)]))
def test_drawn_again_they_are_the_raster(values: Values, transform: Affine) -> None:
    found = traced(values, 2, transform=transform)
    drawn = np.full(values.shape, NOTHING, np.int32)
    if found:
        drawn = rasterio.features.rasterize(
            [(polygon, value) for value, polygon in found], out_shape=values.shape, transform=transform, fill=NOTHING,
            dtype=np.int32,
        )  # fmt: skip
    assert np.array_equal(drawn, values)


@pytest.mark.parametrize("transform", [Affine.identity(), Affine.scale(1, -1), Affine.rotation(200)])
def test_outer_rings_run_counterclockwise_and_holes_clockwise(transform: Affine) -> None:
    values = np.ones((5, 5), np.int32)
    values[1:4, 1:4], values[2, 2] = 2, 3
    for _, polygon in traced(values, 2, transform=transform):
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)


def test_a_checkerboard_is_a_polygon_a_pixel() -> None:
    values = (np.indices((40, 50)).sum(axis=0) % 2).astype(np.int32)
    found = traced(values, 7)
    assert len(found) == 2000
    assert {polygon.area for _, polygon in found} == {1.0}


def test_a_spiral_one_pixel_wide_is_one_polygon_however_cut() -> None:
    size = 41
    values = np.full((size, size), NOTHING, np.int32)
    row = col = size // 2
    step, length = (0, 1), 2
    values[row, col] = 5
    while 0 <= row + step[0] * length < size and 0 <= col + step[1] * length < size:
        for _ in range(2):
            for _ in range(length):
                row, col = row + step[0], col + step[1]
                if 0 <= row < size and 0 <= col < size:
                    values[row, col] = 5
            step = step[1], -step[0]
        length += 2
    for rows in (1, 2, 17, size):
        ((_, polygon),) = traced(values, rows)
        assert polygon.area == (values == 5).sum()


class TestSimplified:
    @settings(deadline=None, max_examples=60)
    @given(rasters(16), st.floats(0.1, 6))
    def test_polygons_stay_valid_none_vanishes_and_outlines_stray_no_further(
        self, values: Values, simplify_m: float
    ) -> None:
        before = traced(values, 4)
        after = traced(values, 4, simplify_m=simplify_m)
        assert [value for value, _ in after] == [value for value, _ in before]
        for (_, old), (_, new) in zip(before, after, strict=True):
            assert new.is_valid
            assert new.area > 0
            assert len(new.interiors) == len(old.interiors)
            assert shapely.hausdorff_distance(new.boundary, old.boundary) <= simplify_m + 1e-9

    def test_regions_side_by_side_share_their_border_though_one_ends_much_later(self) -> None:
        rng = np.random.default_rng(3)
        wave = ndimage.gaussian_filter(rng.normal(size=(80, 60)), 6)
        values = np.digitize(wave, np.quantile(wave, [0.3, 0.7])).astype(np.int32)
        found = [polygon for _, polygon in traced(values, 8, simplify_m=0.8)]
        corners = sum(len(one.exterior.coords) for one in found)
        assert corners < 0.7 * sum(len(one.exterior.coords) for _, one in traced(values, 8))
        together = shapely.union_all(found)
        assert together.area == pytest.approx(values.size, abs=2)  # no gap: corners of the map may be cut
        assert sum(one.area for one in found) == pytest.approx(together.area, abs=1e-6)  # no overlap

    def test_a_straight_outline_needs_no_corner_between(self) -> None:
        values = np.zeros((40, 40), np.int32)
        values[10:30, 5:20] = 1
        (house,) = (polygon for value, polygon in traced(values, 3, simplify_m=1.0) if value == 1)
        assert house.equals(shapely.box(5, 10, 20, 30))
        assert len(house.exterior.coords) == 5
