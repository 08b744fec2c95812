"""Vectors drawn onto grids: true widths on the ground, exact cuts, pixel-centre rule."""

from __future__ import annotations

import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, GridError, InputError, LabelError, OutputError
from crispmap.geo.grid import Block, Grid
from crispmap.labels.rasterize import VectorLabels, lines_as_areas, rasterize, rasterize_file
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors
from recorder import Recorder

SCHEMA = ClassSchema(
    (
        ClassDef("background", "#000000"),
        ClassDef("building", "#ff0000", ("building=*",)),
        ClassDef("road", "#00ff00", ("highway=*",), 7.0),
    )
)
PLAIN = Grid(None, Affine.identity(), (24, 30))


def frame(geometries: list, ids: list[int], crs: object = None, widths: list[float] | None = None) -> gpd.GeoDataFrame:
    widths = [math.nan] * len(geometries) if widths is None else widths
    return gpd.GeoDataFrame({"class_id": ids, "width_m": widths}, geometry=list(geometries), crs=crs)


def centres(grid: Grid) -> np.ndarray:
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.transform @ (cols, rows)
    return shapely.points(x, y)


def grid_at(crs: str, lat: float, lon: float, gsd_m: float, size: int, angle: float = 0.0) -> Grid:
    """A square grid centred on a place, with pixels of about gsd_m metres on the ground."""
    system = CRS.from_user_input(crs)
    centre = gpd.GeoSeries([shapely.Point(lon, lat)], crs=4326).to_crs(system).iloc[0]
    unit = 1.0
    if system.is_geographic:
        unit = 1 / 111_320
    elif crs == "EPSG:3857":
        unit = 1 / math.cos(math.radians(lat))
    side = gsd_m * unit
    across = side / math.cos(math.radians(lat)) if system.is_geographic else side
    turned = Affine.translation(centre.x, centre.y) @ Affine.rotation(angle) @ Affine.scale(across, -side)
    return Grid(system, turned @ Affine.translation(-size / 2, -size / 2), (size, size))


# --- width on the ground -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [0.0, 90.0, 37.0])
@pytest.mark.parametrize(
    ("crs", "lat", "lon", "angle"),
    [
        ("EPSG:4326", 0.3, 32.6, 0.0),
        ("EPSG:4326", 60.0, 10.7, 0.0),
        ("EPSG:3857", 60.0, 10.7, 0.0),
        ("EPSG:3857", -41.0, 174.0, 25.0),
        ("EPSG:32631", 48.9, 2.3, 0.0),
        ("EPSG:32631", 48.9, 5.9, -30.0),
        ("EPSG:2154", 45.7, 4.1, 0.0),
        ("EPSG:2263", 40.7, -74.0, 0.0),  # US survey feet
    ],
)
def test_road_area_is_length_times_total_width(
    crs: str, lat: float, lon: float, angle: float, direction: float
) -> None:
    if CRS.from_user_input(crs).is_geographic:
        angle = 0.0
    grid = grid_at(crs, lat, lon, 0.5, 400, angle)
    # A geodesic straight through the scene and out of it on both sides, so that its ends do not count.
    geod = Geod(ellps="WGS84")
    ends = [geod.fwd(lon, lat, direction + turn, 300)[:2] for turn in (0, 180)]
    line = gpd.GeoSeries([shapely.LineString(ends)], crs=4326).to_crs(grid.crs).iloc[0]
    labels = rasterize(frame([line], [2], grid.crs), grid, SCHEMA)

    inside = line.intersection(shapely.Polygon(grid.corners()))
    lonlat = gpd.GeoSeries([inside], crs=grid.crs).to_crs(4326).iloc[0]
    length = geod.geometry_length(lonlat)
    width = (labels == 2).sum() * math.prod(grid.gsd_m()) / length
    assert width == pytest.approx(7.0, rel=0.02)


def test_width_stays_true_far_from_the_centre() -> None:
    grid = grid_at("EPSG:3857", 60.0, 10.0, 200.0, 1000)
    line = gpd.GeoSeries([shapely.LineString([(9.0, 60.6), (9.5, 60.6)])], crs=4326).to_crs(3857)
    area = lines_as_areas(frame(list(line), [2], grid.crs), grid, SCHEMA).to_crs(4326).geometry.iloc[0]
    geod = Geod(ellps="WGS84")
    length = geod.geometry_length(line.segmentize(1000).to_crs(4326).iloc[0])
    assert abs(geod.geometry_area_perimeter(area)[0]) / length == pytest.approx(7.0, rel=0.005)


def test_width_comes_from_override_then_own_then_class() -> None:
    grid = Grid(None, Affine.identity(), (100, 100))
    line = shapely.LineString([(-50, 50), (150, 50)])
    for own, override, expected in [(math.nan, None, 7), (12.0, None, 12), (12.0, 4.0, 4), (0.0, None, 7)]:
        labels = rasterize(frame([line], [2], None, [own]), grid, SCHEMA, road_width_m=override)
        assert (labels == 2).sum() == expected * 100
    assert (rasterize(frame([line], [2]).drop(columns="width_m"), grid, SCHEMA) == 2).sum() == 700


# --- laws --------------------------------------------------------------------------------------------------------

coordinate = st.floats(-10, 40, allow_nan=False).map(lambda value: round(value, 3))
point = st.tuples(coordinate, coordinate)
triangle = st.lists(point, min_size=3, max_size=3).map(shapely.Polygon).filter(lambda p: p.is_valid and p.area > 0.01)
line = st.lists(point, min_size=2, max_size=4, unique=True).map(shapely.LineString)
scene = st.lists(st.tuples(st.one_of(triangle, line), st.sampled_from([0, 1, 2, 255])), min_size=1, max_size=6)


@given(scene, st.integers(1, 31), st.booleans())
@settings(max_examples=40, deadline=None)
def test_block_by_block_equals_whole(shapes: list, size: int, all_touched: bool) -> None:
    features = frame([s for s, _ in shapes], [i for _, i in shapes])
    painter = VectorLabels(features, PLAIN, SCHEMA, all_touched=all_touched)
    whole = painter.read(PLAIN.block)
    pieced = np.full(PLAIN.shape, 77, np.uint8)
    for block in PLAIN.blocks(size):
        pieced[block.slices] = painter.read(block)
    np.testing.assert_array_equal(pieced, whole)


@given(scene)
@settings(max_examples=40, deadline=None)
def test_centres_decide_and_later_classes_win(shapes: list) -> None:
    features = frame([s for s, _ in shapes], [i for _, i in shapes])
    areas = lines_as_areas(features, PLAIN, SCHEMA)
    points = centres(PLAIN)
    expected = np.zeros(PLAIN.shape, np.uint8)
    doubtful = np.zeros(PLAIN.shape, bool)  # centres on an outline, where either answer is right
    for class_id in (0, 1, 2, 255):
        for shape in areas.geometry[areas["class_id"] == class_id]:
            expected[shapely.contains(shape, points)] = class_id
            doubtful |= shapely.distance(shape.boundary, points) < 2e-3
    drawn = rasterize(features, PLAIN, SCHEMA)
    np.testing.assert_array_equal(drawn[~doubtful], expected[~doubtful])


@given(st.lists(point, min_size=3, max_size=8), st.floats(0.2, 3), st.floats(-180, 180))
@settings(max_examples=40, deadline=None)
def test_area_is_kept_within_a_pixel_of_the_outline(points: list, size: float, angle: float) -> None:
    shape = shapely.MultiPoint(points).convex_hull
    if shape.geom_type != "Polygon":
        return
    transform = Affine.translation(15, 15) @ Affine.rotation(angle) @ Affine.scale(size, -size)
    side = math.ceil(80 / size)
    grid = Grid(None, transform @ Affine.translation(-side / 2, -side / 2), (side, side))
    drawn = int((rasterize(frame([shape], [1]), grid, SCHEMA) == 1).sum()) * size**2
    assert abs(drawn - shape.area) <= shape.length * size + 4 * size**2


def test_all_touched_covers_at_least_what_centres_do() -> None:
    shape = shapely.Polygon([(2.2, 2.3), (9.7, 3.1), (5.5, 8.4)])
    by_centre = rasterize(frame([shape], [1]), PLAIN, SCHEMA) == 1
    touched = rasterize(frame([shape], [1]), PLAIN, SCHEMA, all_touched=True) == 1
    boxes = shapely.box(*np.moveaxis(np.indices((24, 30))[::-1], 0, 0), *(np.indices((24, 30))[::-1] + 1))
    assert (touched >= by_centre).all()
    np.testing.assert_array_equal(touched, shapely.intersects(boxes, shape))


def test_holes_stay_open_and_no_feature_is_background() -> None:
    ring = shapely.box(2, 2, 12, 12).difference(shapely.box(5, 5, 8, 8))
    drawn = rasterize(frame([ring], [1]), PLAIN, SCHEMA)
    assert (drawn == 1).sum() == 100 - 9
    assert (rasterize(frame([ring], [1]).iloc[:0], PLAIN, SCHEMA) == 0).all()


def test_features_in_another_crs_are_brought_to_the_grid() -> None:
    grid = grid_at("EPSG:32631", 48.9, 2.3, 1.0, 100)
    shape = shapely.box(*grid.window(Block(20, 30, 40, 50)).bounds)
    here = frame([shape], [1], grid.crs)
    drawn = rasterize(here.to_crs(4326), grid, SCHEMA)
    np.testing.assert_array_equal(drawn, rasterize(here, grid, SCHEMA))
    assert (drawn == 1).sum() == 2000


def test_what_the_crs_of_the_grid_cannot_hold_is_not_drawn() -> None:
    grid = grid_at("EPSG:3857", 60.0, 10.0, 1.0, 50)
    pole = shapely.box(0, 89.9, 10, 90)
    here = shapely.box(9.99, 59.99, 10.01, 60.01)
    drawn = rasterize(frame([pole, here, shapely.Polygon()], [1, 2, 1], 4326), grid, SCHEMA)
    assert (drawn == 2).all()
    with pytest.warns(CrispmapWarning, match="of 2 features: 1 that cannot be reprojected"):
        assert (rasterize(frame([shapely.box(0, 80, 10, 95), here], [1, 2], 4326), grid, SCHEMA) == 2).all()


# --- bad input ---------------------------------------------------------------------------------------------------


def test_one_crs_missing_is_an_error() -> None:
    square = shapely.box(0, 0, 5, 5)
    with pytest.raises(LabelError, match="The grid have no"):
        rasterize(frame([square], [1], 4326), PLAIN, SCHEMA)
    with pytest.raises(LabelError, match="The features have no"):
        rasterize(frame([square], [1]), grid_at("EPSG:4326", 1, 1, 1, 10), SCHEMA)


def test_unknown_ids_and_widths_are_errors() -> None:
    square = shapely.box(0, 0, 5, 5)
    with pytest.raises(LabelError, match=r"\[3, 9\]"):
        rasterize(frame([square] * 3, [9, 3, 1]), PLAIN, SCHEMA)
    for width in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="width"):
            rasterize(frame([square], [1]), PLAIN, SCHEMA, road_width_m=width)


def test_blocks_outside_the_grid_are_errors() -> None:
    painter = VectorLabels(frame([shapely.box(0, 0, 5, 5)], [1]), PLAIN, SCHEMA)
    with pytest.raises(GridError, match="outside"):
        painter.read(Block(-1, 0, 5, 5))
    assert painter.read(Block(3, 3, 0, 4)).shape == (0, 4)
    painter.close()


# --- to a file ---------------------------------------------------------------------------------------------------


def test_file_holds_the_same_pixels_however_it_was_cut(tmp_path: Path) -> None:
    grid = grid_at("EPSG:32631", 48.9, 2.3, 1.0, 90)
    features = frame([shapely.box(*grid.window(Block(20, 30, 40, 50)).bounds)], [1], grid.crs)
    painter = VectorLabels(features, grid, SCHEMA)
    recorder = Recorder()
    drawn = rasterize_file(painter, tmp_path / "a.tif", block_px=33, events=recorder)
    rasterize_file(painter, tmp_path / "b.tif")
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(1), painter.read(grid.block))
        np.testing.assert_array_equal(a.read(1), b.read(1))
        assert a.nodata == 255
        assert a.colormap(1)[1][:3] == (255, 0, 0)
    assert drawn.pixels.sum() == 8100
    assert drawn.pixels[1] == 2000
    areas = grid.pixel_areas_m2(grid.block)
    assert drawn.area_m2[1] == pytest.approx(areas[painter.read(grid.block) == 1].sum(), rel=1e-12)
    assert drawn.area_m2.sum() == pytest.approx(areas.sum(), rel=1e-12)
    assert (recorder.last.total, len(recorder.last.done)) == (8100, 1 + 9)
    with pytest.raises(OutputError):
        rasterize_file(painter, tmp_path / "a.tif")
    rasterize_file(painter, tmp_path / "a.tif", force=True)


# --- real files --------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("scene", "vectors", "class_id", "utm"),
    [
        ("banepa/banepa_rgb.tif", "banepa/banepa_osm_buildings.geojson", 1, 32645),
        ("spacenet/RGB-PanSharpen_img1447.tif", "spacenet/OSMroads_img1447.geojson", 2, 32631),
        ("spacenet/RGB-PanSharpen_AOI_2_Vegas_img0.tif", "spacenet/AOI_2_Vegas_img0.geojson", 2, 32611),
        ("spacenet/atlanta_pan.tif", "spacenet/atlanta_buildings.geojson", 1, 32616),
        ("kampala/A_z19_rgb.tif", "kampala/A_buildings.geojson", 1, 32636),
    ],
)
def test_real_areas_on_the_ground(real_data: Path, scene: str, vectors: str, class_id: int, utm: int) -> None:
    with rasterio.open(real_data / scene) as file:
        grid = Grid(CRS.from_wkt(file.crs.to_wkt()), file.transform, file.shape)
    features = read_vectors(real_data / vectors, SCHEMA, grid=grid, options=LabelOptions(all_as=SCHEMA[class_id].name))
    drawn = float((rasterize(features, grid, SCHEMA) == class_id).sum()) * math.prod(grid.gsd_m())

    # By another way: buffers in the UTM zone, united, cut to the scene.
    ground = features.to_crs(utm)
    half = ground["width_m"].fillna(7.0) / 2
    shapes = [
        shape if shape.geom_type == "Polygon" else shape.buffer(width, quad_segs=32)
        for shape, width in zip(ground.geometry, half, strict=True)
    ]
    outline = shapely.Polygon(grid.corners())
    frame_utm = gpd.GeoSeries([outline.segmentize(outline.length / 100)], crs=grid.crs).to_crs(utm).iloc[0]
    expected = shapely.union_all(shapes).intersection(frame_utm).area
    assert drawn == pytest.approx(expected, rel=0.004)
