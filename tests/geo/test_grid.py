from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from crispmap import Block, Grid
from crispmap.errors import GridError

BLOCKS = st.builds(Block, st.integers(-40, 40), st.integers(-40, 40), st.integers(0, 40), st.integers(0, 40))
SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))


@st.composite
def transforms(draw: st.DrawFn) -> Affine:
    """Invertible transforms: any pixel size and shape, rotated, sheared, either way up."""
    angle = draw(st.floats(-180, 180))
    width, height = draw(st.floats(1e-6, 1e3)), draw(st.floats(1e-6, 1e3)) * draw(st.sampled_from([-1, 1]))
    origin = draw(st.floats(-1e6, 1e6)), draw(st.floats(-1e6, 1e6))
    shear = Affine.shear(draw(st.floats(-30, 30)))
    return Affine.translation(*origin) @ Affine.rotation(angle) @ shear @ Affine.scale(width, height)


def covered(block: Block, size: int = 100) -> np.ndarray:
    """The pixels of a block as a picture whose origin is (-50, -50)."""
    picture = np.zeros((2 * size, 2 * size), bool)
    picture[block.row + size : block.row_stop + size, block.col + size : block.col_stop + size] = True
    return picture


# --- blocks -------------------------------------------------------------------------------------------------


@given(BLOCKS, BLOCKS)
@settings(deadline=None, max_examples=100)
def test_the_intersection_is_the_shared_pixels(one: Block, two: Block) -> None:
    shared = one.intersection(two)
    np.testing.assert_array_equal(covered(shared), covered(one) & covered(two))
    assert shared.shape == two.intersection(one).shape
    assert shared.is_empty == (not covered(shared).any())
    assert shared.intersection(one) == shared
    assert one.intersection(one) == one


@given(BLOCKS, st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None, max_examples=100)
def test_padding_adds_up_and_goes_back(block: Block, first: int, second: int) -> None:
    assert block.padded(0) == block
    assert block.padded(first).padded(second) == block.padded(first + second)
    assert block.padded(first).padded(-first) == block
    assert block.padded(first).intersection(block) == block
    assert block.padded(first).shape == (block.height + 2 * first, block.width + 2 * first)


@given(BLOCKS, BLOCKS)
@settings(deadline=None, max_examples=50)
def test_relative_positions_add_up(one: Block, two: Block) -> None:
    relative = one.relative_to(two)
    assert (relative.row + two.row, relative.col + two.col, relative.shape) == (one.row, one.col, one.shape)
    assert one.relative_to(one) == Block(0, 0, *one.shape)


@given(BLOCKS.filter(lambda block: block.row >= 0 and block.col >= 0))
@settings(deadline=None, max_examples=50)
def test_slices_pick_the_pixels(block: Block) -> None:
    picture = np.zeros((100, 100), bool)
    picture[block.slices] = True
    np.testing.assert_array_equal(picture, covered(block)[100:, 100:])


@pytest.mark.parametrize("shape", [(-1, 3), (3, -1)])
def test_a_block_of_negative_size_is_an_error(shape: tuple[int, int]) -> None:
    with pytest.raises(GridError, match="A block has shape"):
        Block(0, 0, *shape)
    with pytest.raises(GridError, match="A block has shape"):
        Block(0, 0, 3, 3).padded(-2)


@given(SHAPES, st.integers(1, 70))
@settings(deadline=None, max_examples=100)
def test_blocks_cover_a_grid_once_in_order(shape: tuple[int, int], size: int) -> None:
    grid = Grid(None, Affine.identity(), shape)
    count = np.zeros(shape, int)
    blocks = list(grid.blocks(size))
    for block in blocks:
        assert not block.is_empty
        assert max(block.shape) <= size
        assert block.intersection(grid.block) == block
        count[block.slices] += 1
    assert (count == 1).all()
    assert blocks == sorted(blocks)


@given(BLOCKS, st.integers(1, 70))
@settings(deadline=None, max_examples=100)
def test_the_pieces_of_a_block_are_those_of_a_grid_of_its_size_from_its_corner(block: Block, side: int) -> None:
    pieces = list(block.pieces(side))
    if block.is_empty:
        assert pieces == []
    else:
        cut = Grid(None, Affine.identity(), block.shape).blocks(side)
        assert [piece.relative_to(block) for piece in pieces] == list(cut)


@pytest.mark.parametrize("size", [0, -3])
def test_blocks_of_no_pixel_are_refused(size: int) -> None:
    with pytest.raises(GridError, match=f"{size} pixels"):
        next(Grid(None, Affine.identity(), (4, 5)).blocks(size))


# --- places -------------------------------------------------------------------------------------------------


@given(transforms(), st.floats(-500, 500), st.floats(-500, 500))
@settings(deadline=None, max_examples=200)
def test_pixel_to_world_to_pixel_is_identity(transform: Affine, col: float, row: float) -> None:
    """To as much as doubles allow: coordinates of up to 1e6 carry 1e-10 units, over the smallest pixel side."""
    grid = Grid(None, transform, (10, 10))
    back = ~grid.transform @ (grid.transform @ (col, row))
    extent = 2e6 + 500 * max(abs(value) for value in transform[:6])
    condition = extent * max(abs(value) for value in (~transform)[:6][0:2] + (~transform)[:6][3:5])
    assert math.dist(back, (col, row)) <= 1e-15 * 16 * condition + 1e-9


@given(transforms(), BLOCKS)
@settings(deadline=None, max_examples=100)
def test_the_grid_of_a_block_lies_where_the_block_lies(transform: Affine, block: Block) -> None:
    assume(not block.is_empty)
    grid = Grid(None, transform, (50, 50))
    part = grid.window(block)
    assert part.shape == block.shape
    for own, whole in zip(
        part.corners(),
        [
            transform @ corner
            for corner in (
                (block.col, block.row),
                (block.col_stop, block.row),
                (block.col_stop, block.row_stop),
                (block.col, block.row_stop),
            )
        ],
        strict=True,
    ):
        assert own == pytest.approx(whole, rel=1e-9, abs=1e-6)


@given(transforms(), SHAPES)
@settings(deadline=None, max_examples=50)
def test_the_bounds_hold_every_corner_tightly(transform: Affine, shape: tuple[int, int]) -> None:
    grid = Grid(None, transform, shape)
    left, bottom, right, top = grid.bounds
    xs, ys = np.array(grid.corners()).T
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (left, bottom, right, top)


@given(SHAPES, st.floats(0.2, 9), st.floats(0.2, 9))
@settings(deadline=None, max_examples=100)
def test_resampled_covers_the_extent_and_less_than_a_pixel_more(
    shape: tuple[int, int], ratio_y: float, ratio_x: float
) -> None:
    grid = Grid(None, Affine(2, 0, 10, 0, -2, 20), shape)
    other = grid.resampled(ratio_y, ratio_x)
    assert other.transform @ (0, 0) == grid.transform @ (0, 0)
    for old, new, ratio in ((grid.height, other.height, ratio_y), (grid.width, other.width, ratio_x)):
        assert new * ratio >= old - 1e-5 * ratio
        assert new == 1 or (new - 1) * ratio < old
    assert other.gsd_m() == pytest.approx((2 * ratio_x, 2 * ratio_y))


def test_is_close_measures_in_pixels() -> None:
    utm = CRS.from_epsg(32631)
    grid = Grid(utm, Affine(2, 0, 500_000, 0, -2, 0), (10, 20))
    assert grid.is_close(grid)
    assert grid.is_close(Grid(utm, Affine(2, 0, 500_000.01, 0, -2, 0), (10, 20)))
    assert not grid.is_close(Grid(utm, Affine(2, 0, 500_000.1, 0, -2, 0), (10, 20)))
    assert grid.is_close(Grid(utm, Affine(2, 0, 500_000.1, 0, -2, 0), (10, 20)), tolerance_px=0.1)
    assert not grid.is_close(Grid(utm, Affine(2.01, 0, 500_000, 0, -2, 0), (10, 20)))
    assert not grid.is_close(Grid(utm, grid.transform, (10, 21)))
    assert not grid.is_close(Grid(None, grid.transform, (10, 20)))
    assert not grid.is_close(Grid(CRS.from_epsg(32632), grid.transform, (10, 20)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (-1, 3)])
def test_a_grid_without_pixels_is_an_error(shape: tuple[int, int]) -> None:
    with pytest.raises(GridError, match="A grid has shape"):
        Grid(None, Affine.identity(), shape)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0, 0, 0, 0, 1, 0),
        Affine(1, 1, 0, 1, 1, 0),
        Affine(math.nan, 0, 0, 0, 1, 0),
        Affine(1, 0, math.inf, 0, 1, 0),
    ],
)
def test_a_transform_that_cannot_be_inverted_is_an_error(transform: Affine) -> None:
    with pytest.raises(GridError, match="invertible affine transform"):
        Grid(None, transform, (3, 3))


# --- distances ----------------------------------------------------------------------------------------------


def ground_size_m(grid: Grid) -> tuple[float, float]:
    """Brute force: the geodesic through many points across the central pixel's middle, on the ellipsoid."""
    assert grid.crs is not None
    transformer = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    geod = Geod(ellps="WGS84")
    sizes = []
    for direction in ((1, 0), (0, 1)):
        steps = np.linspace(-0.5, 0.5, 21)
        cols = grid.width / 2 + steps * direction[0]
        rows = grid.height / 2 + steps * direction[1]
        xs, ys = zip(*(grid.transform @ (col, row) for col, row in zip(cols, rows, strict=True)), strict=True)
        lon, lat = transformer.transform(xs, ys)
        sizes.append(geod.line_length(lon, lat))
    return sizes[0], sizes[1]


@pytest.mark.parametrize(
    ("code", "x", "y", "size"),
    [
        (4326, 85.5, 27.6, 1.3e-6),
        (4326, -115.0, 36.2, 2.7e-6),
        (4326, 10.0, 69.5, 1e-4),
        (4326, 179.9999, -45.0, 1e-3),
        (3857, 3_628_312.0, 39_135.0, 0.3),
        (3857, 0.0, 8_400_000.0, 0.3),
        (32631, 500_000.0, 5_000_000.0, 2.0),
        (32720, 813_796.0, 8_597_676.0, 8.0),
        (32618, 300_000.0, 0.0, 30.0),
        (3035, 4_321_000.0, 3_210_000.0, 10.0),
    ],
)
@pytest.mark.parametrize("turn_deg", [0, 30])
def test_gsd_is_the_length_on_the_ground(code: int, x: float, y: float, size: float, turn_deg: float) -> None:
    transform = Affine.translation(x, y) @ Affine.rotation(turn_deg) @ Affine.scale(size, -1.5 * size)
    grid = Grid(CRS.from_epsg(code), transform, (40, 60))
    assert grid.gsd_m() == pytest.approx(ground_size_m(grid), rel=1e-5)
    assert grid.mean_gsd_m() == pytest.approx(math.sqrt(math.prod(grid.gsd_m())))


def test_web_mercator_metres_are_not_metres_on_the_ground() -> None:
    grid = Grid(CRS.from_epsg(3857), Affine(1, 0, 0, 0, -1, 8_399_737.9), (2, 2))  # 60 degrees north
    assert grid.gsd_m() == pytest.approx((0.5, 0.5), rel=0.01)


def test_units_other_than_metres_are_converted() -> None:
    feet = Grid(CRS.from_epsg(2263), Affine(1, 0, 980_000, 0, -1, 200_000), (4, 4))  # New York, US survey feet
    assert feet.gsd_m() == pytest.approx((0.3048, 0.3048), rel=1e-3)


def test_without_a_crs_the_units_count_as_metres() -> None:
    assert Grid(None, Affine(0, 2, 5, 3, 0, 5), (4, 4)).gsd_m() == (3, 2)


@pytest.mark.parametrize(("code", "x"), [(4326, 500_000.0), (32631, 5e9)])
def test_coordinates_of_another_crs_are_an_error(code: int, x: float) -> None:
    with pytest.raises(GridError, match=r"in the CRS 'WGS 84[\s\S]*gdalinfo"):
        Grid(CRS.from_epsg(code), Affine(2, 0, x, 0, -2, 5e6), (10, 10)).gsd_m()


def test_a_crs_of_heights_has_no_distance() -> None:
    with pytest.raises(GridError, match="not tied to the earth"):
        Grid(CRS.from_epsg(5703), Affine.identity(), (4, 4)).gsd_m()


def test_importing_the_package_loads_neither_torch_nor_rasterio() -> None:
    code = "import sys, crispmap; sys.exit(any(name in sys.modules for name in ('torch', 'rasterio', 'geopandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
