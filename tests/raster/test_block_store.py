"""Blocks survive whatever ends a run, and become the same bytes however they were cut and in whatever order."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rio_cogeo.cogeo import cog_validate

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, GridError, OutputError
from crispmap.geo.grid import Block, Grid
from crispmap.raster import assembly, block_files
from crispmap.raster.block_store import BlockStore, store_folder
from crispmap.raster.spec import RasterSpec, class_map_spec, scores_spec
from crispmap.raster.writer import RasterWriter

GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (300, 420))
SCHEMA = ClassSchema((ClassDef("ground", "#ffffff"), ClassDef("house", "#d7191c"), ClassDef("røad", "#0000ff")))
IDENTITY = {"scene": "abc", "model": "def"}


def ids(shape: tuple[int, int] = GRID.shape, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def logits(shape: tuple[int, int] = GRID.shape, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    values[:, :7] = np.nan
    return values


def two_specs(folder: Path, grid: Grid = GRID) -> list[RasterSpec]:
    return [
        class_map_spec(folder / "map.tif", grid, SCHEMA, {"MADE": "here"}),
        scores_spec(folder / "scores.tif", grid, SCHEMA.names, {}, "float16"),
    ]


def open_store(specs: Sequence[RasterSpec], **options: Any) -> BlockStore:
    return BlockStore.open(specs, **{"identity": IDENTITY, "block_px": 128, **options})


def put(store: BlockStore, blocks: Sequence[Block], arrays: Sequence[Any]) -> None:
    for block in blocks:
        store.write(block, [array[..., *block.slices] for array in arrays])


def all_blocks(store: BlockStore, grid: Grid = GRID) -> list[Block]:
    return list(grid.blocks(store.block_px))


def digests(paths: Sequence[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


BESIDE = (".aux.xml", ".qml")


def names(folder: Path) -> list[str]:
    """Return what is in a folder, but for what other programs show a map by."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(BESIDE))


def made(folder: Path, grid: Grid = GRID, block_px: int = 128) -> list[str]:
    """Return the digests of both files, made without interruption."""
    folder.mkdir()
    with open_store(two_specs(folder, grid), block_px=block_px) as store:
        put(store, all_blocks(store, grid), [ids(grid.shape), logits(grid.shape)])
        return digests(store.finish())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return made(tmp_path_factory.mktemp("reference") / "whole")


# --- the same bytes, whatever happens -------------------------------------------------------------------------


@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_the_bytes_depend_on_neither_cut_nor_order_nor_interruptions(
    tmp_path_factory: pytest.TempPathFactory, reference: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("work")
    side = data.draw(st.sampled_from([60, 64, 100, 128, 256, 300, 1000]))
    order = data.draw(st.permutations(list(GRID.blocks(side))))
    kills = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=2)))
    before: set[Block] = set()
    for stop in kills:
        with open_store(two_specs(folder), block_px=side) as store:
            assert store.finished == before
            put(store, order[len(before) : stop], [ids(), logits()])
            before = set(order[:stop])
            assert store.finished == before
    with open_store(two_specs(folder), block_px=side) as store:
        assert store.finished == before
        put(store, order, [ids(), logits()])
        paths = store.finish()
    assert digests(paths) == reference
    assert names(folder) == ["map.tif", "scores.tif"]


def test_the_bytes_are_those_of_the_raster_writer(tmp_path: Path, reference: list[str]) -> None:
    spec = two_specs(tmp_path)[0]
    with RasterWriter(spec) as writer:
        writer.write(GRID.block, ids())
    assert digests([spec.path]) == reference[:1]


def test_overviews_do_not_depend_on_the_cut(tmp_path: Path) -> None:
    grid = Grid(GRID.crs, GRID.transform, (520, 900))
    assert made(tmp_path / "a", grid, 256) == made(tmp_path / "b", grid, 1024) == made(tmp_path / "c", grid, 370)
    with rasterio.open(tmp_path / "a" / "map.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    made(tmp_path / "a")
    with rasterio.open(tmp_path / "a" / "map.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), ids())
    with rasterio.open(tmp_path / "a" / "scores.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), logits().astype(np.float16).astype(np.float32))


def test_blocks_without_a_valid_pixel_are_nodata_and_take_no_file(tmp_path: Path) -> None:
    with open_store(two_specs(tmp_path)) as store:
        first, second, *rest = all_blocks(store)
        for block in rest:
            store.write(block, None)
        assert not store.has_pixels
        store.write(first, [ids(first.shape), None])
        assert store.has_pixels
        store.write(second, [np.full(second.shape, 255, np.uint8), np.full((3, *second.shape), np.nan, np.float32)])
        folder = store_folder(tmp_path / "map.tif") / "blocks"
        assert names(folder / "r256_c384") == ["block.json"]
        assert names(folder / "r0_c0") == ["0.tif", "block.json"]
        store.finish()
    with rasterio.open(tmp_path / "map.tif") as dataset:
        labels = dataset.read(1)
    np.testing.assert_array_equal(labels[first.slices], ids(first.shape))
    labels[first.slices] = 255
    assert (labels == 255).all()
    with rasterio.open(tmp_path / "scores.tif") as dataset:
        assert np.isnan(dataset.read()).all()


def test_absent_blocks_and_blocks_of_nodata_give_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for name, empty in (("a", None), ("b", 255)):
        (tmp_path / name).mkdir()
        with open_store(two_specs(tmp_path / name)[:1]) as store:
            first, *rest = all_blocks(store)
            store.write(first, [ids(first.shape)])
            for block in rest:
                store.write(block, None if empty is None else [np.full(block.shape, empty, np.uint8)])
            found.append(digests(store.finish()))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize(("count", "nodata"), [(1, None), (3, 7), (4, 7)])
def test_every_type_reads_back_the_same(tmp_path: Path, dtype: str, count: int, nodata: float | None) -> None:
    values = np.random.default_rng(0).integers(0, 120, (count, *GRID.shape)).astype(dtype)
    spec = RasterSpec(tmp_path / "out.tif", GRID, count=count, dtype=np.dtype(dtype), nodata=nodata)
    with open_store([spec], block_px=200) as store:
        put(store, all_blocks(store), [values])
        store.finish()
    with rasterio.open(spec.path) as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.dtypes == (dtype,) * count
        assert dataset.nodata == nodata
        assert "alpha" not in {one.name for one in dataset.colorinterp}


GRIDS = [
    Grid(GRID.crs, GRID.transform, (1, 1)),
    Grid(GRID.crs, GRID.transform, (1, 1000)),
    Grid(GRID.crs, GRID.transform, (1000, 1)),
    Grid(GRID.crs, GRID.transform, (1100, 3)),
    Grid(GRID.crs, GRID.transform, (257, 256)),
    Grid(CRS.from_epsg(4326), Affine(1e-5, 3e-6, 7, 3e-6, -2e-5, 46), (300, 520)),
    Grid(None, Affine.identity(), (300, 520)),
    Grid(None, Affine.scale(0.5, -0.5), (30, 52)),
    Grid(CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +ellps=GRS80"), GRID.transform, (300, 600)),
]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.shape} {grid.crs and grid.crs.name}")
def test_files_of_any_grid_are_valid_cloud_optimised_geotiffs(tmp_path: Path, grid: Grid) -> None:
    with open_store(two_specs(tmp_path, grid)) as store:
        put(store, all_blocks(store, grid), [ids(grid.shape), logits(grid.shape)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            paths = store.finish({"LATE": "yes"})
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            # Of rasters one pixel wide it asks for overviews, and refuses any: they would be as wide.
            assert cog_validate(path, strict=grid.width > 1)[:2] == (True, [])
            with rasterio.open(path) as dataset:
                assert dataset.transform == grid.transform
                assert (dataset.crs is None) == (grid.crs is None)
                assert dataset.tags()["LATE"] == "yes"
                assert dataset.shape == grid.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        dataset = rasterio.open(tmp_path / "map.tif")
    with dataset:
        assert dataset.colormap(1)[1] == (0xD7, 0x19, 0x1C, 255)
        assert dataset.nodata == 255
        assert dataset.tags()["MADE"] == "here"
        assert dataset.descriptions == ("class (0 ground, 1 house, 2 røad)",)


@given(width=st.integers(1, 40), height=st.sampled_from([1, 300, 1500]))
@settings(deadline=None, max_examples=10)
def test_slim_rasters_are_valid(tmp_path_factory: pytest.TempPathFactory, width: int, height: int) -> None:
    grid = Grid(GRID.crs, GRID.transform, (height, width))
    folder = tmp_path_factory.mktemp("slim")
    with open_store(two_specs(folder, grid)[:1], block_px=2000) as store:
        store.write(grid.block, [ids(grid.shape)])
        (path,) = store.finish()
    assert cog_validate(path, strict=width > 1)[:2] == (True, [])


def test_the_cache_is_bounded_while_files_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL's own bound grows with the memory of the machine; and 32 must not be taken for 32 bytes."""
    bounds = []
    copy = rasterio.shutil.copy

    def watched(*arguments: Any, **options: Any) -> None:
        bounds.append(rasterio.env.get_gdal_config("GDAL_CACHEMAX"))
        copy(*arguments, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", watched)
    made(tmp_path / "a")
    assert bounds == [32 * 2**20] * 2


def test_threads_may_write_at_once(tmp_path: Path, reference: list[str]) -> None:
    with open_store(two_specs(tmp_path), block_px=80) as store:
        blocks = all_blocks(store)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda block: put(store, [block], [ids(), logits()]), [*blocks, *blocks]))
        assert store.finished == set(blocks)
        assert not [name for name in names(store_folder(tmp_path / "map.tif") / "blocks") if name.startswith(".")]
        assert digests(store.finish()) == reference


def test_a_finished_block_is_not_written_again(tmp_path: Path) -> None:
    with open_store(two_specs(tmp_path)) as store:
        first = all_blocks(store)[0]
        put(store, [first], [ids(), logits()])
        path = store_folder(tmp_path / "map.tif") / "blocks" / "r0_c0" / "0.tif"
        before = path.stat()
        put(store, [first], [ids(seed=9), logits(seed=9)])
        assert path.stat() == before


def test_two_threads_with_one_block_leave_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    write = block_files.write_block

    def slow(*arguments: Any) -> Any:
        together.wait(10)
        return write(*arguments)

    monkeypatch.setattr("crispmap.raster.block_store.write_block", slow)
    with open_store(two_specs(tmp_path)) as store:
        first = all_blocks(store)[0]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: put(store, [first], [ids(), logits()]), range(2)))
        assert names(store_folder(tmp_path / "map.tif") / "blocks") == ["r0_c0"]


# --- killed ---------------------------------------------------------------------------------------------------

_VICTIM = """
import sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_block_store import *
folder = Path({folder!r})
with open_store(two_specs(folder), block_px=50) as store:
    for block in all_blocks(store):
        put(store, [block], [ids(), logits()])
        print(len(store.finished), flush=True)
    print("finishing", flush=True)
    store.finish()
"""


@pytest.mark.parametrize("stop_at", ["9", "finishing"])
def test_a_run_killed_goes_on_to_the_same_bytes(tmp_path: Path, reference: list[str], stop_at: str) -> None:
    script = _VICTIM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    for line in victim.stdout:
        if line.strip() == stop_at:
            break
    time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    assert "map.tif" not in names(tmp_path) or stop_at == "finishing"
    if store_folder(tmp_path / "map.tif").exists():
        with open_store(two_specs(tmp_path), block_px=50) as store:
            assert len(store.finished) >= (9 if stop_at == "9" else 54)
            put(store, all_blocks(store), [ids(), logits()])
            store.finish()
    assert digests([tmp_path / "map.tif", tmp_path / "scores.tif"]) == reference
    assert set(names(tmp_path)) <= {"map.tif", "scores.tif", ".map.tif.crispmap-done"}


class Killed(BaseException):
    """Stands for a process that ends here: nothing after it is done."""


def kill(*_: object, **__: object) -> NoReturn:
    raise Killed


def filled(folder: Path, **options: Any) -> BlockStore:
    store = open_store(two_specs(folder), **options)
    put(store, all_blocks(store), [ids(), logits()])
    return store


Patch = Callable[[pytest.MonkeyPatch], None]


def after_calls(module: Any, name: str, calls: int) -> Patch:
    """Return a patch that kills at the call of a function after so many."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        count = 0
        original = getattr(module, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            if count == calls:
                raise Killed
            count += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    return patch


MOMENTS = {
    "before the first file": after_calls(assembly, "write_mosaic", 0),
    "before the first is made": after_calls(assembly, "write_cog", 0),
    "before the second is made": after_calls(assembly, "write_cog", 1),
    "before the second is compared": after_calls(assembly, "differing", 1),
    "before the mark": after_calls(assembly, "write_atomically", 0),
    "before the first is moved": after_calls(assembly, "put_with_names", 0),
    "between the two": after_calls(assembly, "put_with_names", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("force", [False, True])
def test_a_run_killed_while_it_finishes_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[str], moment: str, force: bool
) -> None:
    if force:
        (tmp_path / "map.tif").write_text("old")
        (tmp_path / "map.tif.aux.xml").write_text("old")
    store = filled(tmp_path, force=force)
    with monkeypatch.context() as patched:
        MOMENTS[moment](patched)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    assert (tmp_path / "scores.tif").exists() is False
    if force and moment != "between the two":
        assert (tmp_path / "map.tif").read_text() == "old"
    with open_store(two_specs(tmp_path), force=force) as again:
        assert again.finished == set(all_blocks(again))
        assert again.has_pixels
        put(again, all_blocks(again), [ids(), logits()])
        assert digests(again.finish()) == reference
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_files_made_by_force_are_moved_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[str]
) -> None:
    (tmp_path / "scores.tif").write_text("old")
    store = filled(tmp_path, force=True)
    with monkeypatch.context() as patched:
        MOMENTS["between the two"](patched)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    with open_store(two_specs(tmp_path)) as again:
        assert digests(again.finish()) == reference


def test_a_run_killed_while_it_clears_away_has_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", kill)
        patched.setattr(assembly.Assembly, "clear", lambda self: None)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    assert names(tmp_path) == [".map.tif.crispmap-done", "map.tif", "scores.tif"]
    with pytest.raises(OutputError, match="exists"):
        open_store(two_specs(tmp_path))
    open_store(two_specs(tmp_path), force=True).discard()
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_a_folder_left_whole_after_the_last_move_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(BlockStore, "_remove_folder", kill)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    with open_store(two_specs(tmp_path)) as again:
        again.finish()
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_a_file_made_and_then_taken_away_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with monkeypatch.context() as patched:
        MOMENTS["between the two"](patched)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    (store_folder(tmp_path / "map.tif") / "finished" / "1.tif").unlink()
    with (
        open_store(two_specs(tmp_path)) as again,
        pytest.raises(OutputError, match=r"has been removed[\s\S]*restart=True"),
    ):
        again.finish()


def test_a_move_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[str]
) -> None:
    with filled(tmp_path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(assembly, "put_with_names", refuse)
            with pytest.raises(OutputError, match="Permission denied"):
                store.finish()
        assert digests(store.finish()) == reference


def test_each_file_is_reported_before_it_is_made(tmp_path: Path) -> None:
    told: list[Path] = []
    with filled(tmp_path) as store:
        store.finish(on_file_start=lambda path: told.append(path) if not path.exists() else None)
    assert told == [tmp_path / "map.tif", tmp_path / "scores.tif"]


def test_a_mark_that_cannot_be_read_forces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path)
    with monkeypatch.context() as patched:
        MOMENTS["before the first is moved"](patched)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    (store_folder(tmp_path / "map.tif") / "finished.json").write_text("{")
    (tmp_path / "map.tif").write_text("precious")
    with open_store(two_specs(tmp_path)) as again, pytest.raises(OutputError, match="exists"):
        again.finish()
    assert (tmp_path / "map.tif").read_text() == "precious"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_leaving_by_an_exception_keeps_the_blocks(tmp_path: Path, error: type[BaseException]) -> None:
    def break_off() -> None:
        with open_store(two_specs(tmp_path)) as store:
            put(store, all_blocks(store)[:3], [ids(), logits()])
            raise error

    with pytest.raises(error):
        break_off()
    assert names(tmp_path) == [".map.tif.crispmap"]
    with open_store(two_specs(tmp_path)) as store:
        assert store.finished == set(all_blocks(store)[:3])


@pytest.mark.parametrize("half", [".r0_c0.77.88", "r0_c0.part", "r1_c1", "r999_c0"])
def test_what_a_killed_run_left_half_written_is_ignored_and_removed(tmp_path: Path, half: str) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:2], [ids(), logits()])
    blocks = store_folder(tmp_path / "map.tif") / "blocks"
    (blocks / half).mkdir()
    (blocks / half / "0.tif").write_bytes(b"half")
    (blocks / "stray").write_text("x")
    (blocks.parent / ".journal.json.abc").write_text("half")
    with open_store(two_specs(tmp_path)) as store:
        assert store.finished == set(all_blocks(store)[:2])
    assert names(blocks) == ["r0_c0", "r0_c128"]


# --- blocks that are damaged ----------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [flip, cut_short, Path.unlink])
@pytest.mark.parametrize("name", ["0.tif", "1.tif", "block.json"])
def test_a_damaged_block_is_done_again(
    tmp_path: Path, reference: list[str], damage: Callable[[Path], None], name: str
) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:3], [ids(), logits()])
    damage(store_folder(tmp_path / "map.tif") / "blocks" / "r0_c128" / name)
    with pytest.warns(CrispmapWarning, match=r"1 finished blocks of .*map\.tif are damaged") as caught:
        store = open_store(two_specs(tmp_path))
    assert caught[0].filename == __file__
    with store:
        assert store.finished == {all_blocks(store)[0], all_blocks(store)[2]}
        put(store, all_blocks(store), [ids(), logits()])
        assert digests(store.finish()) == reference


@pytest.mark.parametrize("record", ["null", "[]", "[[1]]", '[["a", "b"], null]', "{}", "[null, null, null]", "[1, 2]"])
def test_a_record_that_makes_no_sense_is_a_damaged_block(tmp_path: Path, record: str) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:1], [ids(), logits()])
    (store_folder(tmp_path / "map.tif") / "blocks" / "r0_c0" / "block.json").write_text(record)
    with pytest.warns(CrispmapWarning, match="damaged"), open_store(two_specs(tmp_path)) as store:
        assert store.finished == set()


@pytest.mark.parametrize("damage", [flip, cut_short, Path.unlink])
def test_a_block_damaged_while_the_run_lasts_is_never_made_a_map(
    tmp_path: Path, damage: Callable[[Path], None], reference: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with filled(tmp_path) as store:
        damage(store_folder(tmp_path / "map.tif") / "blocks" / "r0_c0" / "1.tif")
        with pytest.raises(OutputError, match=r"cannot be written[\s\S]*finished blocks are kept"):
            store.finish()
        assert store.finished == set(all_blocks(store)[1:])
        assert names(tmp_path) == [".map.tif.crispmap"]
        put(store, all_blocks(store), [ids(), logits()])
        assert digests(store.finish()) == reference
    capfd.readouterr()


def test_a_file_that_does_not_hold_what_was_written_does_not_appear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[str]
) -> None:
    """As when GDAL loses a tile on a full disk without saying so; here of the first block, and of one of nodata."""
    copy = rasterio.shutil.copy

    def lossy(source: Path, target: Path, **options: Any) -> None:
        copy(source, target, **options)
        with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.write(np.full((dataset.count, 1, 1), 77, np.uint8), window=rasterio.windows.Window(0, 0, 1, 1))

    with filled(tmp_path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(rasterio.shutil, "copy", lossy)
            with pytest.raises(OutputError, match="does not hold what was written"):
                store.finish()
        assert names(tmp_path) == [".map.tif.crispmap"]
        assert digests(store.finish()) == reference


# --- another work, another run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ({"scene": "abc", "model": "xyz"}, ["model: 'def' then, 'xyz' now"]),
        ({"scene": "abc"}, ["model: 'def' then, nothing now"]),
        ({**IDENTITY, "refiner": "r" * 99}, [f"refiner: nothing then, '{'r' * 39}…' now"]),
        ({"scene": "1", "model": "2"}, ["model: 'def' then, '2' now", "scene: 'abc' then, '1' now"]),
    ],
)
def test_an_unfinished_work_on_other_inputs_is_not_taken_up(
    tmp_path: Path, identity: dict[str, str], told: list[str]
) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:2], [ids(), logits()])
    specs = two_specs(tmp_path)
    specs[0] = specs[0].with_tags({"JOB": str(identity)})
    with pytest.raises(OutputError, match="unfinished run with other inputs") as caught:
        open_store(specs, identity=identity)
    assert [line.strip() for line in caught.value.given.splitlines()[1:]] == told
    assert "restart=True" in caught.value.remedy
    with open_store(two_specs(tmp_path)) as store:
        assert len(store.finished) == 2
    with open_store(specs, identity=identity, restart=True) as store:
        assert store.finished == set()


def test_other_outputs_are_another_work(tmp_path: Path) -> None:
    specs = two_specs(tmp_path)
    open_store(specs).close()
    with pytest.raises(OutputError, match=r"output scores\.tif: '.*' then, nothing now"):
        open_store(specs[:1])
    with pytest.raises(OutputError, match=r"output map\.tif: '.*' then, '.*' now"):
        open_store([specs[0].with_tags({"A": "b"}), specs[1]])


def test_blocks_of_another_size_go_on_with_those_of_the_first_run(tmp_path: Path, reference: list[str]) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:2], [ids(), logits()])
    with pytest.warns(CrispmapWarning, match=r"128 pixels, not of 64") as caught:
        store = open_store(two_specs(tmp_path), block_px=64)
    assert caught[0].filename == __file__
    with store:
        assert store.block_px == 128
        put(store, all_blocks(store), [ids(), logits()])
        assert digests(store.finish()) == reference


def good_journal() -> dict[str, Any]:
    return {"crispmap": 1, "block_px": 128, "identity": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "missing or damaged"),
        ("[]", "missing or damaged"),
        ("{}", "missing or damaged"),
        (json.dumps({**good_journal(), "crispmap": 2}), "format 2, that of another version"),
        (json.dumps({**good_journal(), "block_px": 0}), "missing or damaged"),
        (json.dumps({**good_journal(), "block_px": True}), "missing or damaged"),
        (json.dumps({**good_journal(), "block_px": "128"}), "missing or damaged"),
        (json.dumps({**good_journal(), "identity": ["a"]}), "missing or damaged"),
        (json.dumps({**good_journal(), "identity": {"a": 1}}), "missing or damaged"),
        (json.dumps({**good_journal(), "identity": {"output a\0b": "x"}}), "missing or damaged"),
        ("[" * 100_000, "missing or damaged"),
        (None, "missing or damaged"),
    ],
)
def test_a_journal_that_cannot_be_read_is_reported(tmp_path: Path, content: str | None, message: str) -> None:
    open_store(two_specs(tmp_path)).close()
    path = store_folder(tmp_path / "map.tif") / "journal.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(OutputError, match=message) as caught:
        open_store(two_specs(tmp_path))
    assert "restart=True" in caught.value.remedy
    with open_store(two_specs(tmp_path), restart=True) as store:
        assert store.finished == set()


@pytest.mark.parametrize("part", ["journal.json", "finished.json", "blocks"])
def test_whatever_stands_in_place_of_a_part_is_discarded(tmp_path: Path, part: str) -> None:
    open_store(two_specs(tmp_path)).close()
    path = store_folder(tmp_path / "map.tif") / part
    if part == "blocks":
        path.rmdir()
        path.touch()
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
    with open_store(two_specs(tmp_path), restart=True) as store:
        put(store, all_blocks(store), [ids(), logits()])
        store.finish()
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_a_run_killed_before_its_journal_leaves_nothing_to_take_up(tmp_path: Path) -> None:
    folder = store_folder(tmp_path / "map.tif")
    folder.mkdir()
    (folder / ".journal.json.x7").write_text("{")
    (folder / "lock").touch()
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store), [ids(), logits()])
        store.finish()
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_a_second_run_at_once_is_refused(tmp_path: Path) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:1], [ids(), logits()])
        for restart in (False, True):
            with pytest.raises(OutputError, match=r"map\.tif is being written by another run"):
                open_store(two_specs(tmp_path), restart=restart)
        script = _VICTIM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert "is being written by another run" in other.stderr
        assert len(store.finished) == 1
    open_store(two_specs(tmp_path)).close()


@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path, restart: bool) -> None:
    folder = store_folder(tmp_path / "map.tif")
    for make in (lambda: folder.write_text("x"), folder.mkdir, lambda: folder.symlink_to(tmp_path / "elsewhere")):
        make()
        if folder.is_dir():
            (folder / "thesis.txt").write_text("precious")
        with pytest.raises(OutputError, match=re.escape(str(folder))):
            open_store(two_specs(tmp_path), restart=restart)
        if folder.is_dir():
            assert (folder / "thesis.txt").read_text() == "precious"
            (folder / "thesis.txt").unlink()
            folder.rmdir()
        else:
            folder.unlink()


def test_discard_removes_all_that_is_unfinished(tmp_path: Path) -> None:
    with open_store(two_specs(tmp_path)) as store:
        put(store, all_blocks(store)[:2], [ids(), logits()])
        store.discard()
        with pytest.raises(ValueError, match="closed"):
            store.write(all_blocks(store)[0], None)
    assert names(tmp_path) == []


# --- targets --------------------------------------------------------------------------------------------------


def test_bad_targets_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = two_specs(tmp_path)
    (tmp_path / "scores.tif").write_text("precious")
    with pytest.raises(OutputError, match=r"scores\.tif exists[\s\S]*force=True"):
        open_store(specs)
    with pytest.raises(OutputError, match="nowhere does not exist"):
        open_store(two_specs(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="also an input or another output"):
        open_store([specs[0], specs[0]])
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written to"):
        open_store(specs, force=True)
    assert names(tmp_path) == ["scores.tif"]
    assert (tmp_path / "scores.tif").read_text() == "precious"


def test_a_target_that_comes_to_exist_is_not_touched(tmp_path: Path, reference: list[str]) -> None:
    with filled(tmp_path) as store:
        (tmp_path / "scores.tif").write_text("precious")
        with pytest.raises(OutputError, match="exists"):
            store.finish()
        assert (tmp_path / "scores.tif").read_text() == "precious"
        assert not (tmp_path / "map.tif").exists()
        (tmp_path / "scores.tif").unlink()
        assert digests(store.finish()) == reference


def test_force_replaces_files_and_what_described_them(tmp_path: Path, reference: list[str]) -> None:
    for name in ("map.tif", "map.tif.aux.xml", "map.tif.ovr", "other.tif"):
        (tmp_path / name).write_text("old")
    with filled(tmp_path, force=True) as store:
        assert (tmp_path / "map.tif").read_text() == "old"
        assert digests(store.finish()) == reference
    assert names(tmp_path) == ["map.tif", "other.tif", "scores.tif"]


def specs_in_two_folders(folder: Path, name: str = "scores.tif") -> list[RasterSpec]:
    (folder / "scores").mkdir(exist_ok=True)
    return [two_specs(folder)[0], scores_spec(folder / "scores" / name, GRID, SCHEMA.names, {}, "float16")]


@pytest.mark.parametrize("name", ["scores.tif", "x" * 251 + ".tif"])
def test_outputs_may_lie_in_several_folders(tmp_path: Path, reference: list[str], name: str) -> None:
    with open_store(specs_in_two_folders(tmp_path, name)) as store:
        put(store, all_blocks(store), [ids(), logits()])
        assert digests(store.finish()) == reference
    assert names(tmp_path) == ["map.tif", "scores"]
    assert names(tmp_path / "scores") == [name]


@pytest.mark.parametrize("moment", ["before the second is compared", "before the first is moved"])
def test_a_restart_with_other_outputs_leaves_nothing_in_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = open_store(specs_in_two_folders(tmp_path))
    put(store, all_blocks(store), [ids(), logits()])
    with monkeypatch.context() as patched:
        MOMENTS[moment](patched)
        with pytest.raises(Killed):
            store.finish()
    store.close()
    assert names(tmp_path / "scores") == [".scores.tif.crispmap.tif"]
    (tmp_path / "scores" / ".other.tif.crispmap.tif").touch()  # of another work
    with open_store(two_specs(tmp_path), restart=True) as again:
        assert again.finished == set()
    assert names(tmp_path / "scores") == [".other.tif.crispmap.tif"]


@pytest.mark.parametrize("name", ["a b&<c>.tif", "üñ'\"{}.tif", "x" * 251 + ".tif", "%20?.tif"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    spec = class_map_spec(tmp_path / name, GRID, SCHEMA, {})
    long = len(name) > 247  # for that of the class names
    with open_store([spec]) as store:
        put(store, all_blocks(store), [ids()])
        with pytest.warns(CrispmapWarning, match="no names") if long else nullcontext():
            store.finish()
    assert names(tmp_path) == [name]


def test_a_relative_path_is_written_where_the_work_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store(two_specs(Path())) as store:
        put(store, all_blocks(store), [ids(), logits()])
        assert digests(store.finish()) == reference
    assert names(tmp_path) == ["map.tif", "scores.tif"]


def test_the_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    made(tmp_path / "a")
    for name in ("map.tif", "scores.tif"):
        assert (tmp_path / "a" / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- disks ----------------------------------------------------------------------------------------------------


def noise_spec(folder: Path, side: int) -> tuple[RasterSpec, Any]:
    grid = Grid(GRID.crs, GRID.transform, (side, side))
    noise = np.random.default_rng(0).integers(0, 255, grid.shape).astype(np.uint8)
    return RasterSpec(folder / "m.tif", grid, count=1, dtype=np.dtype(np.uint8), nodata=255), noise


@pytest.mark.parametrize("side", [10**7, 2**31 - 1])
def test_what_never_fits_on_a_disk_is_refused_at_once(tmp_path: Path, side: int) -> None:
    """Before the blocks are counted, which alone would fill the memory."""
    grid = Grid(GRID.crs, GRID.transform, (side, side))
    spec = RasterSpec(tmp_path / "m.tif", grid, count=9000, dtype=np.dtype(np.float64), nodata=0)
    with pytest.raises(OutputError) as caught:
        open_store([spec])
    assert str(side) in caught.value.given
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_the_finished_blocks(tiny_disk: Path) -> None:
    spec, noise = noise_spec(tiny_disk, 1200)
    with pytest.warns(CrispmapWarning, match=r"may need up to 2\.88 MB .* 1\.05 MB free") as warned:
        store = open_store([spec], block_px=256)
    assert warned[0].filename == __file__
    with store, pytest.raises(OutputError, match="No space left") as caught:
        put(store, all_blocks(store, spec.grid), [noise])
    assert "finished blocks are kept" in caught.value.remedy
    with open_store([spec], block_px=256) as store:
        assert 5 < len(store.finished) < 25
        blocks = store_folder(spec.path) / "blocks"
        assert len(names(blocks)) == len(store.finished)


def test_a_disk_too_full_for_the_file_keeps_the_blocks(tiny_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spec, noise = noise_spec(tiny_disk, 700)
    with open_store([spec], block_px=256) as store:
        put(store, all_blocks(store, spec.grid), [noise])
        for _ in range(2):
            with pytest.raises(OutputError, match=r"m\.tif cannot be written"):
                store.finish()
            assert len(store.finished) == 9
        assert not (store_folder(spec.path) / "finished").exists()
    capfd.readouterr()  # GDAL's own complaints


def refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    "name",
    [
        "raster.block_store.Journal.write",
        "files.atomic.FileLock.acquire",
        "raster.block_store.Path.mkdir",
        "raster.block_store.shutil.rmtree",
        "raster.block_store.stored_blocks",
    ],
)
def test_a_failing_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name.endswith("rmtree"):
        open_store(two_specs(tmp_path)).close()
    with monkeypatch.context() as patched:
        patched.setattr(f"crispmap.{name}", refuse)
        with pytest.raises(OutputError, match=r"Permission denied[\s\S]*The disk has"):
            open_store(two_specs(tmp_path), restart=name.endswith("rmtree"))
    open_store(two_specs(tmp_path)).close()


def test_a_discard_that_fails_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(two_specs(tmp_path)) as store, monkeypatch.context() as patched:
        patched.setattr(assembly.Assembly, "clear", refuse)
        with pytest.raises(OutputError, match="Permission denied"):
            store.discard()


# --- misuse in code -------------------------------------------------------------------------------------------


def test_misuse_is_a_value_error(tmp_path: Path) -> None:
    specs = two_specs(tmp_path)
    with pytest.raises(ValueError, match="one grid"):
        BlockStore.open([], identity={}, block_px=4)
    with pytest.raises(ValueError, match="one grid"):
        open_store([specs[0], two_specs(tmp_path, GRIDS[0])[1]])
    with pytest.raises(GridError, match="0 pixels"):
        open_store(specs, block_px=0)
    with open_store(specs) as store:
        block = all_blocks(store)[0]
        for wrong, arrays, message in (
            (Block(0, 0, 128, 127), None, "height=128, width=127"),
            (block, [ids(block.shape)], "1 arrays for 2 rasters"),
            (block, [ids((3, 3)), None], "array of shape"),
            (block, [np.zeros(block.shape), None], "float64 values for a raster of uint8"),
        ):
            with pytest.raises(ValueError, match=message):
                store.write(wrong, arrays)
        with pytest.raises(ValueError, match="12 of 12 blocks are missing"):
            store.finish()
    with pytest.raises(ValueError, match="closed"):
        store.finish()
