"""A town's files hold what they promise, and are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from numpy.testing import assert_array_equal
from rasterio.enums import ColorInterp

from crispmap.errors import InputError, OutputError
from crispmap.labels.mask import open_labels
from crispmap.raster.writer import read_class_schema
from crispmap.synth.town import plan_town
from crispmap.synth.truth import TOWN_SCHEMA, true_classes
from crispmap.synth.write import TOWN_CRS, TOWN_ORIGIN, TownFiles, town_grid, write_town

SIZE_PX = (256, 288)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TownFiles:
    return write_town(tmp_path_factory.mktemp("town") / "new" / "folder", size_px=SIZE_PX, seed=9)


def test_the_scene_says_what_its_bands_are_and_where_it_lies(files: TownFiles) -> None:
    with rasterio.open(files.scene) as scene:
        assert scene.shape == SIZE_PX
        assert scene.dtypes == ("uint8",) * 4
        assert scene.descriptions == ("red", "green", "blue", "nir")
        assert scene.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert ColorInterp.alpha not in scene.colorinterp
        assert scene.crs.to_epsg() == 32631
        assert scene.transform.almost_equals(town_grid(SIZE_PX).transform)
        assert scene.block_shapes == [(256, 256)] * 4
        assert scene.compression.name == "deflate"
        assert scene.dataset_mask().all()
    assert town_grid(SIZE_PX).mean_gsd_m() == pytest.approx(0.5, rel=1e-3)


def test_the_truth_is_a_class_map(files: TownFiles) -> None:
    assert read_class_schema(files.truth) == files.schema == TOWN_SCHEMA
    with rasterio.open(files.truth) as truth:
        assert truth.nodata == 255
        assert truth.colormap(1)[1][:3] == TOWN_SCHEMA[1].rgb
        classes = truth.read(1)
    assert set(np.unique(classes)) == {0, 1, 2}


def test_every_pixel_has_the_class_of_the_vectors_at_its_centre(files: TownFiles) -> None:
    """Against point in polygon, one by one, save within a tenth of a millimetre of an edge."""
    buildings = geopandas.read_file(files.truth_vectors, layer="buildings")
    roads = geopandas.read_file(files.truth_vectors, layer="roads")
    with rasterio.open(files.truth) as truth:
        classes, transform = truth.read(1), truth.transform
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, SIZE_PX[0], 3000), rng.integers(0, SIZE_PX[1], 3000)
    x, y = rasterio.transform.xy(transform, rows, cols)
    places = shapely.points(x, y)
    built = np.zeros(3000, bool)
    paved = np.zeros(3000, bool)
    edge = np.zeros(3000, bool)
    for shapes, hit in ((buildings.geometry, built), (roads.geometry, paved)):
        for shape in shapes:
            shapely.prepare(shape)
            np.logical_or(hit, shapely.contains(shape, places), out=hit)
            edge |= shapely.dwithin(shape.boundary, places, 1e-4)
    expected = np.where(built, 1, np.where(paved, 2, 0))
    assert edge.sum() < 30
    assert_array_equal(classes[rows, cols][~edge], expected[~edge])


def test_the_truth_vectors_carry_sizes_and_stay_in_the_scene(files: TownFiles) -> None:
    frame = shapely.box(*town_grid(SIZE_PX).bounds).buffer(1e-6)
    buildings = geopandas.read_file(files.truth_vectors, layer="buildings")
    lines = geopandas.read_file(files.truth_vectors, layer="roads_lines")
    assert buildings.crs.to_epsg() == 32631
    assert frame.contains(shapely.union_all(list(buildings.geometry)))
    assert (buildings["height_m"] > 1.5).all()
    assert buildings["area_m2"].to_numpy() == pytest.approx(buildings.area.to_numpy(), abs=0.06)
    assert lines["width_m"].between(3.5, 12.0).all()


def test_the_truth_vectors_read_as_labels_are_the_truth(files: TownFiles) -> None:
    grid = town_grid(SIZE_PX)
    labels = open_labels(files.truth_vectors, TOWN_SCHEMA, grid).read(grid.block)
    with rasterio.open(files.truth) as truth:
        assert np.count_nonzero(labels != truth.read(1)) < 30  # centres on an outline


def test_the_imprecise_map_reads_as_labels_and_is_imprecise(files: TownFiles) -> None:
    assert geopandas.read_file(files.osm, layer="roads").crs.to_epsg() == 4326
    grid = town_grid(SIZE_PX)
    labels = open_labels(files.osm, TOWN_SCHEMA, grid).read(grid.block)
    with rasterio.open(files.truth) as truth:
        classes = truth.read(1)
    for class_id, low, high in ((1, 0.2, 0.85), (2, 0.25, 0.9)):
        both = np.count_nonzero((labels == class_id) & (classes == class_id))
        either = np.count_nonzero((labels == class_id) | (classes == class_id))
        assert low < both / either < high


def test_files_are_not_replaced_without_force(files: TownFiles, tmp_path: Path) -> None:
    (tmp_path / "osm.gpkg").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write_town(tmp_path, size_px=(128, 128))
    assert [path.name for path in tmp_path.iterdir()] == ["osm.gpkg"]
    again = write_town(tmp_path, size_px=SIZE_PX, seed=9, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "osm.gpkg", "scene.tif", "truth.gpkg", "truth.qml", "truth.tif", "truth.tif.aux.xml"
    ]  # fmt: skip
    for first, second in ((files.scene, again.scene), (files.truth, again.truth)):
        with rasterio.open(first) as a, rasterio.open(second) as b:
            assert_array_equal(a.read(), b.read())


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "town").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_town(tmp_path / "town", size_px=(128, 128))


def test_a_disk_that_fails_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(geopandas.GeoDataFrame, "to_file", full)
    with pytest.raises(OutputError, match="No space left"):
        write_town(tmp_path, size_px=(128, 128))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "gsd"), [((32, 900), 0.5), ((900, 90_000), 0.5), ((256, 256), 0.1), ((256, 256), 3.0)]
)
def test_sizes_out_of_range_are_refused(size: tuple[int, int], gsd: float) -> None:
    with pytest.raises(InputError, match="A town"):
        town_grid(size, gsd)


def test_nothing_is_written_for_a_town_too_small(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_town(tmp_path / "new", size_px=(100, 100), gsd_m=0.5)
    assert not list(tmp_path.glob("new/*"))


def test_the_grid_stands_on_the_towns_corner() -> None:
    grid = town_grid((200, 300), 1.0)
    assert grid.bounds == (*TOWN_ORIGIN, TOWN_ORIGIN[0] + 300, TOWN_ORIGIN[1] + 200)
    assert grid.crs == TOWN_CRS
    assert set(np.unique(true_classes(plan_town((300.0, 200.0), 1), grid))) == {0, 1, 2}
