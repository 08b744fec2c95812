from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioIOError

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GeoreferenceWarning, OutputError, SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.files import open_scene, read_grid
from crispmap.raster.scene import read_whole
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import check_raster_target, check_target
from crispmap.raster.writer import RasterWriter, class_map_writer, read_class_schema, scores_writer

Maker = Callable[..., Path]
UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (300, 420))
SCHEMA = ClassSchema(
    (ClassDef("background", "#ffffff"), ClassDef("building", "#d7191c", ("building=*",)), ClassDef("røad", "#0000ff"))
)


def ids(shape: tuple[int, int], seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def write_in(writer: RasterWriter, array: Any, size: int, order: int) -> Path:
    """Write an array through a cut, in a shuffled order."""
    blocks = list(writer.grid.blocks(size))
    with writer:
        for index in np.random.default_rng(order).permutation(len(blocks)):
            writer.write(blocks[index], array[..., *blocks[index].slices])
    return writer.path


def left_over(folder: Path) -> list[str]:
    """Return what is in a folder, but for what other programs show a map by."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith((".aux.xml", ".qml")))


# --- what is written is what is read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("int8", -1), ("int16", -9999), ("uint16", None), ("int32", -1), ("uint32", 9), ("float32", -1.0)],
)
@pytest.mark.parametrize("count", [1, 4])
def test_every_type_reads_back_the_same(tmp_path: Path, dtype: str, nodata: float | None, count: int) -> None:
    values = np.random.default_rng(0).integers(0, 120, (count, *GRID.shape)).astype(dtype)
    path = tmp_path / "out.tif"
    with RasterWriter(RasterSpec(path, GRID, count=count, dtype=dtype, nodata=nodata)) as writer:
        writer.write(GRID.block, values)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.dtypes == (dtype,) * count
        assert dataset.nodata == nodata
    assert left_over(tmp_path) == ["out.tif"]


def test_the_bytes_do_not_depend_on_cut_or_order(tmp_path: Path) -> None:
    array = ids(GRID.shape)
    digests = set()
    for name, size, order in (("a", 64, 0), ("b", 64, 1), ("c", 100, 2), ("d", 1000, 3), ("e", 37, 4)):
        path = write_in(class_map_writer(tmp_path / f"{name}.tif", GRID, SCHEMA), array, size, order)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), array)
    assert len(digests) == 1


def test_the_file_is_a_cloud_optimised_geotiff(tmp_path: Path) -> None:
    path = write_in(class_map_writer(tmp_path / "map.tif", GRID, SCHEMA), ids(GRID.shape), 128, 0)
    with rasterio.open(path) as dataset:
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        assert structure["LAYOUT"] == "COG"
        assert structure["COMPRESSION"] == "DEFLATE"
        assert structure["PREDICTOR"] == "2"
        assert dataset.block_shapes == [(256, 256)]
        assert dataset.overviews(1) == [2]
    with rasterio.open(path, overview_level=0) as overview:
        assert set(np.unique(overview.read(1))) <= {0, 1, 2}  # the mode, not a mean of class ids


def test_floats_get_the_float_predictor_and_the_tile_asked_for(tmp_path: Path) -> None:
    with RasterWriter(
        RasterSpec(tmp_path / "f.tif", GRID, count=1, dtype="float32", nodata=None, tile_px=512)
    ) as writer:
        writer.write(GRID.block, np.ones(GRID.shape, np.float32))
    with rasterio.open(tmp_path / "f.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        assert dataset.block_shapes == [(512, 512)]


def test_the_later_of_overlapping_blocks_stands(tmp_path: Path) -> None:
    with RasterWriter(RasterSpec(tmp_path / "o.tif", GRID, count=1, dtype="uint8", nodata=255)) as writer:
        for value, block in enumerate([GRID.block, Block(5, 5, 20, 20), Block(10, 10, 3, 3), GRID.block.padded(-50)]):
            writer.write(block, np.full(block.shape, value, np.uint8))
    with rasterio.open(tmp_path / "o.tif") as dataset:
        values = dataset.read(1)
    assert [int((values == v).sum()) for v in range(4)] == [300 * 420 - 400 - 200 * 320, 391, 9, 200 * 320]


def test_pixels_never_written_are_nodata(tmp_path: Path) -> None:
    with class_map_writer(tmp_path / "m.tif", GRID, SCHEMA) as writer:
        writer.write(Block(10, 10, 5, 5), np.ones((5, 5), np.uint8))
        writer.write(Block(0, 0, 0, 7), np.ones((0, 7), np.uint8))
    with rasterio.open(tmp_path / "m.tif") as dataset:
        values = dataset.read(1)
    assert (values == 1).sum() == 25
    assert (values == 255).sum() == values.size - 25


def test_float64_is_rounded_into_a_float_raster(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1, *GRID.shape))
    with RasterWriter(RasterSpec(tmp_path / "f.tif", GRID, count=1, dtype="float32", nodata=None)) as writer:
        writer.write(GRID.block, values)
    with rasterio.open(tmp_path / "f.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), values.astype(np.float32))


@pytest.mark.parametrize(
    "crs",
    [UTM, CRS.from_epsg(4326), CRS.from_epsg(3857), CRS.from_epsg(32720), CRS.from_epsg(2056), CRS.from_epsg(27700)],
)
@pytest.mark.parametrize("transform", [Affine(1e-5, 0, 7, 0, -2e-5, 46), Affine(1, 0.5, 9, 0.5, -1, 5)])
def test_the_grid_survives(tmp_path: Path, crs: CRS, transform: Affine) -> None:
    grid = Grid(crs, transform, (3, 5))
    with class_map_writer(tmp_path / "m.tif", grid, SCHEMA) as writer:
        writer.write(grid.block, np.zeros(grid.shape, np.uint8))
    found = read_grid(tmp_path / "m.tif")
    assert found.is_close(grid)
    assert found.crs == grid.crs


def test_a_crs_without_a_code_survives_being_written_again(tmp_path: Path) -> None:
    grid = Grid(CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +ellps=GRS80"), GRID.transform, (3, 5))
    grids = []
    for name in ("one.tif", "two.tif"):
        with class_map_writer(tmp_path / name, grid, SCHEMA) as writer:
            writer.write(grid.block, np.zeros(grid.shape, np.uint8))
        grid = read_grid(tmp_path / name)
        grids.append(grid)
    assert grids[0].is_close(grids[1])


def test_a_grid_without_georeference_survives(tmp_path: Path) -> None:
    plain = Grid(None, Affine.identity(), (3, 5))
    with class_map_writer(tmp_path / "m.tif", plain, SCHEMA) as writer:
        writer.write(plain.block, np.zeros(plain.shape, np.uint8))
    with pytest.warns(GeoreferenceWarning):
        assert read_grid(tmp_path / "m.tif") == plain
    assumed = Grid(None, Affine.scale(0.5, -0.5), (3, 5))
    with class_map_writer(tmp_path / "m.tif", assumed, SCHEMA, force=True) as writer:
        writer.write(plain.block, np.zeros(plain.shape, np.uint8))
    assert read_grid(tmp_path / "m.tif") == assumed


# --- class maps and scores ----------------------------------------------------------------------------------


def test_a_class_map_carries_its_classes(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    write_in(class_map_writer(path, GRID, SCHEMA, tags={"CRISPMAP_MODEL": "abc"}), ids(GRID.shape), 128, 0)
    assert read_class_schema(path) == SCHEMA
    with rasterio.open(path) as dataset:
        assert dataset.nodata == 255
        assert dataset.tags()["CRISPMAP_MODEL"] == "abc"
        assert dataset.colormap(1)[1] == (0xD7, 0x19, 0x1C, 255)
        assert dataset.colormap(1)[255][3] == 0
        assert dataset.colorinterp[0].name == "palette"
        legend = ", ".join(f"{index} {name}" for index, name in enumerate(SCHEMA.names))
        assert dataset.descriptions == (f"class ({legend})",)


def test_a_full_schema_of_255_classes_fits(tmp_path: Path) -> None:
    many = ClassSchema(tuple(ClassDef(f"class {i}", f"#{i:06x}") for i in range(255)))
    grid = Grid(UTM, GRID.transform, (4, 4))
    with class_map_writer(tmp_path / "m.tif", grid, many) as writer:
        writer.write(grid.block, np.full((4, 4), 254, np.uint8))
    assert read_class_schema(tmp_path / "m.tif") == many
    with rasterio.open(tmp_path / "m.tif") as dataset:
        assert dataset.descriptions == ("class",)  # too many for a line


@pytest.mark.parametrize(("name", "better"), [("map", "map.tif"), ("map.png", "map.tif"), ("a.b", "a.tif")])
def test_a_raster_is_called_as_what_it_is(tmp_path: Path, name: str, better: str) -> None:
    with pytest.raises(OutputError, match=re.escape(name)) as caught:
        check_raster_target(tmp_path / name)
    assert caught.value.remedy == f"Name it {tmp_path / better}."
    for good in ("map.tif", "map.TIF", "map.tiff"):
        assert check_raster_target(tmp_path / good) == tmp_path / good
    with pytest.raises(OutputError, match="is a folder"):
        check_raster_target(tmp_path)


def test_a_raster_of_another_tool_has_no_schema(make_raster: Maker) -> None:
    assert read_class_schema(make_raster(np.ones((1, 2, 2), np.uint8))) is None


def test_a_spoilt_schema_is_an_error(make_raster: Maker, tmp_path: Path) -> None:
    path = make_raster(np.ones((1, 2, 2), np.uint8), after=lambda d: d.update_tags(CRISPMAP_CLASSES="{"))
    with pytest.raises(SceneError, match="class names that cannot be read"):
        read_class_schema(path)
    with pytest.raises(SceneError, match="does not exist"):
        read_class_schema(tmp_path / "nowhere.tif")


def test_scores_carry_names_and_nan(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(3, *GRID.shape)).astype(np.float32)
    scores[:, :9] = np.nan
    path = write_in(scores_writer(tmp_path / "s.tif", GRID, SCHEMA.names, tags={"A": "b"}), scores, 128, 0)
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == SCHEMA.names
        assert np.isnan(dataset.nodata)
        assert dataset.tags()["A"] == "b"
        np.testing.assert_array_equal(dataset.read(), scores)
    with open_scene(path) as scene:
        assert scene.band_names == SCHEMA.names
        image, valid = read_whole(scene)
    assert not valid[:9].any()
    assert valid[9:].all()
    np.testing.assert_array_equal(image[:, 9:], scores[:, 9:])


# --- all or nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_left_of_a_broken_off_write(tmp_path: Path, error: type[BaseException], force: bool) -> None:
    path = tmp_path / "map.tif"
    if force:
        path.write_text("old")

    def break_off() -> None:
        with class_map_writer(path, GRID, SCHEMA, force=force) as writer:
            writer.write(Block(0, 0, 10, 10), np.ones((10, 10), np.uint8))
            assert path.exists() is force
            raise error

    with pytest.raises(error):
        break_off()
    assert left_over(tmp_path) == (["map.tif"] if force else [])
    if force:
        assert path.read_text() == "old"


def test_nothing_is_left_when_interrupted_at_the_very_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(RasterWriter, "_verify", interrupt)
    with pytest.raises(KeyboardInterrupt), class_map_writer(tmp_path / "m.tif", GRID, SCHEMA):
        pass
    assert left_over(tmp_path) == []


def test_an_existing_file_is_not_touched_without_force(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    path.write_text("precious")
    with pytest.raises(OutputError, match=r"map\.tif exists[\s\S]*force=True"):
        class_map_writer(path, GRID, SCHEMA)
    assert path.read_text() == "precious"
    assert left_over(tmp_path) == ["map.tif"]


def test_a_file_that_appears_meanwhile_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    writer = class_map_writer(path, GRID, SCHEMA).__enter__()
    writer.write(GRID.block, ids(GRID.shape))
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        writer.__exit__(None, None, None)
    assert path.read_text() == "precious"
    assert left_over(tmp_path) == ["map.tif"]


def test_force_replaces_the_file_and_what_described_it(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    for name in ("map.tif", "map.tif.aux.xml", "map.tif.ovr", "other.tif"):
        (tmp_path / name).write_text("old")
    with class_map_writer(path, GRID, SCHEMA, force=True) as writer:
        assert path.read_text() == "old"
        writer.write(GRID.block, ids(GRID.shape))
    assert left_over(tmp_path) == ["map.tif", "other.tif"]
    assert read_class_schema(path) == SCHEMA


def test_the_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_in(class_map_writer(tmp_path / "m.tif", GRID, SCHEMA), ids(GRID.shape), 128, 0)
    assert (tmp_path / "m.tif").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_relative_path_is_written_where_the_work_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with class_map_writer("m.tif", GRID, SCHEMA) as writer:
        writer.write(GRID.block, ids(GRID.shape))
    assert left_over(tmp_path) == ["m.tif"]


# --- paths that cannot be written ---------------------------------------------------------------------------


def test_bad_targets_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        class_map_writer(tmp_path, GRID, SCHEMA, force=True)
    with pytest.raises(OutputError, match=r"folder .*nowhere does not exist[\s\S]*mkdir -p"):
        class_map_writer(tmp_path / "nowhere" / "m.tif", GRID, SCHEMA)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written to"):
        class_map_writer(tmp_path / "m.tif", GRID, SCHEMA)
    assert left_over(tmp_path) == []


def test_check_target_returns_the_path(tmp_path: Path) -> None:
    assert check_target(str(tmp_path / "a.tif")) == tmp_path / "a.tif"
    (tmp_path / "a.tif").touch()
    assert check_target(tmp_path / "a.tif", force=True) == tmp_path / "a.tif"


def test_a_folder_that_turns_out_unwritable_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        class_map_writer(tmp_path / "m.tif", GRID, SCHEMA).__enter__()


def test_a_failure_on_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("crispmap.raster.writer.create_raster", interrupt)
    with pytest.raises(KeyboardInterrupt):
        class_map_writer(tmp_path / "m.tif", GRID, SCHEMA).__enter__()
    assert left_over(tmp_path) == []


# --- full disks ---------------------------------------------------------------------------------------------


def test_a_disk_too_small_is_reported_before_any_work(tiny_disk: Path) -> None:
    grid = Grid(UTM, GRID.transform, (1100, 1000))
    with pytest.raises(OutputError, match=r"m\.tif needs 1\.1 MB while it is written; the disk has 1\.05 MB free"):
        class_map_writer(tiny_disk / "m.tif", grid, SCHEMA).__enter__()
    assert left_over(tiny_disk) == []


@pytest.mark.parametrize("side", [600, 760, 900])
def test_a_disk_that_fills_up_is_an_output_error(tiny_disk: Path, side: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Noise does not compress: the scratch file fits, the finished one beside it does not."""
    grid = Grid(UTM, GRID.transform, (side, side))
    noise = np.random.default_rng(0).integers(0, 255, grid.shape).astype(np.uint8)
    with pytest.raises(OutputError, match=r"m\.tif cannot be written: [\s\S]* The disk has .* free"):
        write_in(class_map_writer(tiny_disk / "m.tif", grid, SCHEMA), noise, 256, 0)
    assert left_over(tiny_disk) == []
    capfd.readouterr()  # GDAL's own complaints


def test_a_disk_filled_by_somebody_else_is_an_output_error(tiny_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, GRID.shape).astype(np.uint8)

    def work() -> None:
        with class_map_writer(tiny_disk / "m.tif", GRID, SCHEMA) as writer:
            (tiny_disk / "other").write_bytes(bytes(900_000))
            writer.write(GRID.block, noise)

    with pytest.raises(OutputError, match="cannot be written"):
        work()
    assert left_over(tiny_disk) == ["other"]
    capfd.readouterr()


def test_a_file_that_does_not_hold_what_was_written_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when GDAL loses a tile on a full disk without saying so."""
    copy = rasterio.shutil.copy

    def lossy(source: Path, target: Path, **options: Any) -> None:
        with rasterio.open(source, "r+") as dataset:
            dataset.write(np.full((1, 1, 1), 77, np.uint8), window=rasterio.windows.Window(200, 100, 1, 1))
        copy(source, target, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", lossy)
    with pytest.raises(OutputError, match="does not hold what was written"):
        write_in(class_map_writer(tmp_path / "m.tif", GRID, SCHEMA), ids(GRID.shape), 100, 0)
    assert left_over(tmp_path) == []


def test_a_failing_write_is_an_output_error(tmp_path: Path) -> None:
    class Broken:
        def write(self, *_: object, **__: object) -> NoReturn:
            raise RasterioIOError("No space left on device")

        def close(self) -> NoReturn:
            raise RasterioIOError("No space left on device")

    writer = class_map_writer(tmp_path / "m.tif", GRID, SCHEMA).__enter__()
    assert writer._dataset is not None
    writer._dataset.close()
    writer._dataset = Broken()
    with pytest.raises(OutputError, match="No space left on device") as caught:
        writer.write(GRID.block, ids(GRID.shape))
    writer.__exit__(OutputError, caught.value, None)
    assert left_over(tmp_path) == []


def test_sizes_are_written_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = Grid(UTM, GRID.transform, (10_000_000, 10_000_000))
    with pytest.raises(OutputError, match="needs 400 TB while"):
        scores_writer(tmp_path / "s.tif", huge, ("a",)).__enter__()


# --- misuse in code -----------------------------------------------------------------------------------------


def test_misuse_is_a_value_error(tmp_path: Path) -> None:
    writer = RasterWriter(RasterSpec(tmp_path / "m.tif", GRID, count=2, dtype="uint8", nodata=None))
    with pytest.raises(ValueError, match="inside its with"):
        writer.write(GRID.block, np.zeros((2, *GRID.shape), np.uint8))
    with pytest.raises(ValueError, match="descriptions for 2 bands"):
        RasterWriter(RasterSpec(tmp_path / "m.tif", GRID, count=2, dtype="uint8", nodata=None, descriptions=("one",)))
    with writer:
        for block, array, message in (
            (GRID.block, np.zeros(GRID.shape, np.uint8), "array of shape"),
            (Block(-1, 0, 4, 4), np.zeros((2, 4, 4), np.uint8), "leaves the grid"),
            (Block(299, 0, 4, 4), np.zeros((2, 4, 4), np.uint8), "leaves the grid"),
            (Block(0, 0, 4, 4), np.zeros((2, 4, 4), np.float32), "float32 values for a raster of uint8"),
            (Block(0, 0, 4, 4), np.zeros((2, 4, 4), np.int64), "int64 values for a raster of uint8"),
        ):
            with pytest.raises(ValueError, match=message):
                writer.write(block, array)
    with pytest.raises(ValueError, match="finished once"):
        writer.__exit__(None, None, None)
