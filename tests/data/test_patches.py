"""Training data: the same windows wherever they lie, within one budget of memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from crispmap.data import layers as layers_module
from crispmap.data import patches as patches_module
from crispmap.data import scaling as scaling_module
from crispmap.data.batches import PatchBatches, in_order
from crispmap.data.budget import DataBudget, parse_bytes
from crispmap.data.layers import FileLayer
from crispmap.data.patches import (
    ArrayPatches,
    PatchSource,
    StoredPatches,
    count_classes,
    fingerprint,
    load_training_area,
)
from crispmap.data.sampling import PatchPlan, PatchSampler
from crispmap.data.scaling import measure_scaling
from crispmap.errors import GridError, InputError, LabelError, OutputError, SceneError
from crispmap.files.memory import machine_memory
from crispmap.geo.grid import Block
from crispmap.models.scaling import Scaling, paper_scaling, scaled_input
from crispmap.raster.cached import BlockCache
from crispmap.raster.files import open_scene
from crispmap.raster.scene import Scene, cut_reflected
from crispmap.types import IGNORE, LabelArray

RasterMaker = Callable[..., Path]
SCALING = Scaling((1, 20, 3), (4, 5.5, 60))
AREA = Block(3, 5, 45, 60)
TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16}
MEMORY, DISK = 10**6, 8


@pytest.fixture
def make_raster(tmp_path: Path) -> RasterMaker:
    """Write an array (band, row, col) as a GeoTIFF of 2 m pixels; return its path."""

    def make(array: np.ndarray, name: str = "scene.tif", **options: object) -> Path:
        transform = Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0)
        bands, height, width = array.shape
        profile = {"count": bands, "height": height, "width": width, "dtype": array.dtype.name, **options}
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", crs="EPSG:32631", transform=transform, **profile
        ) as dataset:
            dataset.write(array)
        return tmp_path / name

    return make


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling_module, "STRIP_PIXELS", 20)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers_module, "FILE_BLOCK_PX", 8)
    monkeypatch.setattr(layers_module, "SCENE_BLOCK_PX", 12)
    monkeypatch.setattr(patches_module, "LOADED_PX", 16)


@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    start=st.tuples(st.integers(-15, 15), st.integers(-15, 15)),
    extent=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
@settings(deadline=None, max_examples=60)
def test_cut_beyond_the_border_is_numpy_symmetric_padding(size, start, extent):
    array = np.arange(2 * size[0] * size[1]).reshape(2, *size)
    far = 60
    padded = np.pad(array, ((0, 0), (far, far), (far, far)), mode="symmetric")
    expected = padded[:, far + start[0] :, far + start[1] :][:, : extent[0], : extent[1]]
    np.testing.assert_array_equal(cut_reflected(array, Block(*start, *extent)), expected)


def arrays(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return raw values and labels of a scene; the last of a random few is invalid: all its bands are 0."""
    rng = np.random.default_rng(0)
    raw = rng.integers(1, 250, (3, 52, 70)).astype(dtype)
    raw[:, rng.random((52, 70)) < 0.1] = 0
    return raw, rng.integers(0, 3, (52, 70)).astype(np.uint8)


def labels_of(labels: LabelArray) -> Callable[[Block], LabelArray]:
    return lambda block: labels[block.slices]


def coarse(shape: tuple[int, int]) -> ArrayScene:
    rng = np.random.default_rng(1)
    return ArrayScene(rng.normal(size=(2, *shape)).astype(np.float32), rng.random(shape) > 0.1)


def reference(raw: np.ndarray, labels: LabelArray, scores: ArrayScene) -> ArrayPatches:
    """Return the data of AREA by plain numpy, whole."""
    valid = raw.any(axis=0) & scores.valid
    offset, scale = (np.array(values, np.float32)[:, None, None] for values in (SCALING.offset, SCALING.scale))
    seen = np.where(valid, (raw.astype(np.float32) - offset) / scale, np.float32(0))
    known = np.where(valid, labels, np.uint8(IGNORE))
    return ArrayPatches(seen[:, *AREA.slices], known[AREA.slices], scores.image[:, *AREA.slices])


def load(scene: Scene, labels: LabelArray, scores: Scene | None, budget: DataBudget) -> StoredPatches:
    return load_training_area(scene, AREA, labels_of(labels), SCALING, scores=scores, budget=budget)


def same_windows(one: PatchSource, other: PatchSource, block: Block) -> None:
    for name in ("read_image", "read_labels", "read_scores"):
        expected, found = getattr(one, name)(block), getattr(other, name)(block)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int32"])
@pytest.mark.parametrize("memory", [MEMORY, 4000, DISK])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.tuples(st.integers(-70, 70), st.integers(-70, 70)),
    extent=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_windows_are_those_of_the_whole_wherever_data_lie(make_raster, dtype, memory, start, extent):
    raw, labels = arrays(dtype)
    scores = coarse(labels.shape)
    expected = reference(raw, labels, scores)
    for name, options in (("tiled.tif", TILED), ("rows.tif", {}), ("packed.tif", {**TILED, "compress": "deflate"})):
        budget = DataBudget(memory)
        with open_scene(make_raster(raw, name, nodata=0, **options)) as scene:
            found = load(scene, labels, scores, budget)
            same_windows(expected, found, Block(*start, *extent))
            assert (found.bands, found.shape, found.score_classes) == (3, AREA.shape, 2)
            assert found.memory_bytes + budget.cache.held_bytes <= memory
    assert max(max(block.shape) for block in scores.blocks_read) <= 16


@pytest.mark.usefixtures("small_blocks")
def test_data_are_kept_as_the_file_stores_them_and_go_to_disk_when_the_budget_is_spent(make_raster, tmp_path):
    raw, labels = arrays("uint8")
    scores, pixels = coarse(labels.shape), AREA.height * AREA.width
    with open_scene(make_raster(raw, nodata=0, **TILED)) as scene:
        whole = DataBudget(MEMORY)
        kept = load(scene, labels, None, whole)
        assert kept.memory_bytes == pixels * (3 + 2)  # three bands, validity, labels
        assert load(scene, labels, scores, whole).memory_bytes == pixels * (3 + 2 + 2 * 4)
        budget = DataBudget(9 * pixels, tmp_path / "kept")
        sources = [load(scene, labels, scores, budget) for _ in range(4)]
        assert 5 * pixels <= sum(one.memory_bytes for one in sources) <= 9 * pixels - budget.cache.limit_bytes
        assert sources[-1].memory_bytes == 0
        assert not list((tmp_path / "kept").iterdir())  # the files have no names
        assert len({fingerprint(one) for one in sources}) == 1
        assert fingerprint(kept) != fingerprint(sources[0])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("options", [TILED, {}], ids=["on demand", "in files"])
def test_processes_that_share_a_source_read_the_same(make_raster, options):
    raw, labels = arrays("uint16")
    with open_scene(make_raster(raw, nodata=0, **options)) as scene:
        sources = [load(scene, labels, None, DataBudget(memory)) for memory in (MEMORY, DISK)]
        plans = PatchPlan(patch_px=8, margin_px=3)
        expected, found = (
            list(in_order(PatchBatches(PatchSampler([source], "abc", plans), 4, range(40)), workers=workers))
            for source, workers in zip(sources, (0, 3), strict=True)
        )
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in ("image", "labels"))


def test_the_scene_is_read_again_only_beyond_the_cache(make_raster, monkeypatch):
    raw, labels = arrays("uint8")
    budget = DataBudget(8 * 4 * AREA.height * AREA.width)  # an eighth holds the image and its validity
    budget.left_bytes = 0
    with open_scene(make_raster(raw, nodata=0, **TILED)) as scene:
        found, read = load(scene, labels, None, budget), []
        monkeypatch.setattr(
            scene, "_read_inside", lambda block, inside=scene._read_inside: read.append(block) or inside(block)
        )
        for _ in range(3):
            found.read_image(Block(0, 0, 9, 9))
        assert len(read) == 1


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=50), limit=st.integers(0, 60))
def test_a_cache_stays_below_its_limit_and_gives_what_was_loaded(sizes, limit):
    cache = BlockCache(limit)
    for number, size in enumerate(sizes):
        key = (0, 0, size % 7)
        found = cache.get(key, lambda number=number, size=size: np.full(size, number, np.uint8))
        assert cache.held_bytes <= limit
        assert found[0] <= number
        assert found is not None


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_a_network_sees_invalid_pixels_as_average_ones(seed):
    rng = np.random.default_rng(seed)
    valid = rng.random((8, 9)) > 0.5
    valid[0, 0] = True
    scene = ArrayScene(rng.integers(1, 10_000, (2, 8, 9)), valid)
    raw = scene.image.copy()
    constants = measure_scaling([(scene, scene.grid.block)])
    seen = scaled_input(scene.image, valid, constants)
    np.testing.assert_allclose(seen.mean(axis=(1, 2)), 0, atol=1e-4)
    np.testing.assert_array_equal(seen[:, ~valid], 0)
    np.testing.assert_array_equal(scene.image, raw)


def test_a_folder_that_cannot_be_written_or_is_too_small_is_told(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    for shape, folder in (((1, 4, 4), occupied / "kept"), ((1 << 10, 1 << 20, 1 << 19), tmp_path)):
        with pytest.raises(OutputError) as error:
            FileLayer(shape, np.float32, BlockCache(0), folder)
        assert str(folder) in error.value.given
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_space_is_reserved_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    for call in ("posix_fallocate", "pread"):
        monkeypatch.delattr(f"os.{call}")
    monkeypatch.setattr(layers_module, "_ZEROS", 7)
    layer = FileLayer((1, 3, 5), np.float32, BlockCache(0), tmp_path)
    assert layer.read(Block(0, 0, 3, 5)).sum() == 0
    layer.write(Block(0, 0, 3, 5), np.full((1, 3, 5), 2))
    assert layer.read(Block(0, 0, 3, 5)).sum() == 30


@pytest.mark.parametrize("block", [Block(0, 0, 13, 5), Block(-1, 0, 4, 4), Block(0, 0, 0, 4), Block(0, 12, 4, 4)])
def test_an_area_outside_the_scene_is_refused(block):
    scene = ArrayScene(np.ones((1, 12, 15)))
    with pytest.raises(GridError) as error:
        load_training_area(
            scene, block, lambda part: np.zeros(part.shape, np.uint8), paper_scaling(1), budget=DataBudget(10)
        )
    assert str((block.row, block.col)) in error.value.given


def test_labels_of_another_shape_and_scaling_of_other_bands_are_refused():
    scene = ArrayScene(np.ones((1, 12, 15)))
    with pytest.raises(LabelError, match=r"\(3, 3\)"):
        load_training_area(
            scene, scene.grid.block, lambda _: np.zeros((3, 3), np.uint8), paper_scaling(1), budget=DataBudget(10)
        )
    with pytest.raises(InputError, match="2 bands"):
        load_training_area(
            scene, scene.grid.block, lambda _: np.zeros((3, 3), np.uint8), paper_scaling(2), budget=DataBudget(10)
        )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500e6),
        ("2GB", 2e9),
        ("1.5 GiB", 1.5 * 2**30),
        ("8g", 8e9),
        ("123", 123),
        ("1tb", 1e12),
        ("3kib", 3072),
    ],
)
def test_amounts_of_memory(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-2GB", "2PB", "0", "0.1", "2 G B", "1e9", "iB"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(InputError) as error:
        parse_bytes(text)
    assert repr(text) in error.value.given


def test_a_budget_without_a_byte_is_refused():
    with pytest.raises(InputError, match="0 bytes"):
        DataBudget(0)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "5000", "memory.max": "7000"}, 5000),
        ("0::/\n", {"memory.max": "max"}, None),
        ("5:cpu,memory:/a\n4:pids:/b\n", {"memory/a/memory.limit_in_bytes": "3000", "b/memory.max": "1"}, 3000),
        ("", {}, None),
    ],
)
def test_a_cgroup_may_allow_less_than_the_machine_has(tmp_path, own, files, expected):
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(f"{text}\n")
    machine = machine_memory(tmp_path / "none", tmp_path / "missing")
    assert machine > 10**8
    assert machine_memory(tmp_path / "cgroup", tmp_path / "own") == (expected or machine)


@pytest.mark.parametrize(
    ("image", "labels", "scores"),
    [
        (np.zeros((3, 4, 4), np.float64), np.zeros((4, 4), np.uint8), None),
        (np.zeros((3, 4, 5), np.float32), np.zeros((4, 4), np.uint8), None),
        (np.zeros((3, 4, 4), np.float32), np.zeros((4, 4), np.int64), None),
        (np.zeros((3, 0, 4), np.float32), np.zeros((0, 4), np.uint8), None),
        (np.zeros((3, 4, 4), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(image, labels, scores):
    with pytest.raises(InputError, match="Expected"):
        ArrayPatches(image, labels, scores)


def test_scores_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="no coarse scores"):
        ArrayPatches(np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), np.uint8)).read_scores(Block(0, 0, 1, 1))


def test_fingerprint_sees_a_changed_label_pixel_and_score():
    rng = np.random.default_rng(2)
    image, labels = rng.random((1, 8, 8), dtype=np.float32), rng.integers(0, 2, (8, 8)).astype(np.uint8)
    source = ArrayPatches(image, labels, np.zeros((2, 8, 8), np.float32))
    codes = {fingerprint(source), fingerprint(ArrayPatches(image, labels))}
    labels[3, 3] ^= 1
    codes.add(fingerprint(source))
    image[0, 7, 7] += 1
    codes.add(fingerprint(source))
    source.scores[1, 0, 0] = 1
    codes.add(fingerprint(source))
    assert len(codes) == 5


def test_classes_are_counted_over_all_pieces(small_strips):
    def piece(ids):
        return ArrayPatches(np.zeros((1, 6, 7), np.float32), np.resize(np.array(ids, np.uint8), (6, 7)))

    counts = count_classes([piece([0, 1, IGNORE]), piece([1, 2])], ("a", "b", "c"))
    np.testing.assert_array_equal(counts, [14, 14 + 21, 21])
    with pytest.raises(LabelError, match="'c' or 'd'"):
        count_classes([piece([0, 1])], ("a", "b", "c", "d"))
    with pytest.raises(LabelError, match="ids 2"):
        count_classes([piece([0, 1, 2])], ("a", "b"))


class TestScaling:
    @given(
        offset=st.floats(-1e6, 1e6),
        spread=st.floats(0.5, 1e3),
        seed=st.integers(0, 2**32 - 1),
    )
    @settings(deadline=None, max_examples=25)
    def test_measured_constants_are_mean_and_deviation_of_the_valid_pixels(self, offset, spread, seed):
        rng = np.random.default_rng(seed)
        scenes = [ArrayScene(rng.normal(offset, spread, (2, 9, 11)), rng.random((9, 11)) > 0.3) for _ in range(3)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scaling_module, "STRIP_PIXELS", 20)
            measured = measure_scaling([(scene, Block(1, 2, 7, 8)) for scene in scenes])
        values = np.concatenate([s.image[:, 1:8, 2:10][:, s.valid[1:8, 2:10]] for s in scenes], axis=1)
        np.testing.assert_allclose(measured.offset, values.mean(axis=1, dtype=float), rtol=1e-9)
        np.testing.assert_allclose(measured.scale, values.std(axis=1, dtype=float), rtol=1e-6)

    def test_only_the_training_blocks_are_read(self):
        scene = ArrayScene(np.ones((1, 30, 30)))
        measure_scaling([(scene, Block(5, 5, 4, 4))])
        assert scene.blocks_read == [Block(5, 5, 4, 4)]

    def test_a_constant_band_keeps_its_scale(self):
        assert measure_scaling([(ArrayScene(np.full((1, 5, 5), 7.0)), Block(0, 0, 5, 5))]) == Scaling((7,), (1,))

    def test_no_valid_pixel_or_other_bands_are_refused(self):
        empty = ArrayScene(np.ones((1, 5, 5)), np.zeros((5, 5), bool))
        with pytest.raises(SceneError, match="no valid pixel"):
            measure_scaling([(empty, Block(0, 0, 5, 5))])
        other = ArrayScene(np.ones((2, 5, 5)), names=("red", "nir"))
        with pytest.raises(SceneError, match="1 and 2 bands"):
            measure_scaling([(empty, Block(0, 0, 5, 5)), (other, Block(0, 0, 5, 5))])

    @pytest.mark.parametrize(
        ("offset", "scale"), [((), ()), ((1,), (1, 2)), ((0,), (0,)), ((0,), (-1,)), ((np.nan,), (1,))]
    )
    def test_impossible_constants_are_refused(self, offset, scale):
        with pytest.raises(InputError):
            Scaling(offset, scale)

    def test_another_number_of_bands_is_refused(self):
        with pytest.raises(InputError, match="4 bands"):
            paper_scaling(3).apply(np.zeros((4, 2, 2), np.float32))

    def test_the_papers_scaling(self):
        scaled = paper_scaling(1).apply(np.array([[[0, 127, 255]]], np.float32))
        np.testing.assert_allclose(scaled, [[[-127 / 256, 0, 0.5]]])
        assert scaled.dtype == np.float32
