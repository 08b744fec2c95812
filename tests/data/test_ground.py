"""Ground: what is held for training, and the reflection beyond its border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.data import scaling as scaling_module
from crispmap.data.ground import Ground, allocate, count_classes, load_ground
from crispmap.data.scaling import measure_scaling
from crispmap.errors import GridError, InputError, LabelError, OutputError, SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.models.scaling import Scaling, paper_scaling, scaled_input
from crispmap.raster.scene import cut_reflected
from crispmap.types import IGNORE


class ArrayScene:
    """A scene held in memory, which remembers what was read of it."""

    def __init__(self, image: np.ndarray, valid: np.ndarray | None = None, names: tuple[str, ...] = ()) -> None:
        self.image = image.astype(np.float32)
        self.valid = np.ones(image.shape[1:], bool) if valid is None else valid
        self.image[:, ~self.valid] = 0
        self.grid = Grid(None, Affine.identity(), image.shape[1:])
        self.band_names = names or tuple(f"b{i}" for i in range(len(image)))
        self.band_count = len(image)
        self.path = Path("memory")
        self.blocks: list[Block] = []

    def read(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        self.blocks.append(block)
        return self.image[:, *block.slices].copy(), self.valid[block.slices].copy()


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling_module, "STRIP_PIXELS", 20)


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


def test_ground_is_the_scaled_block_with_invalid_pixels_ignored(small_strips):
    rng = np.random.default_rng(0)
    valid = rng.random((12, 15)) > 0.2
    scene = ArrayScene(rng.integers(1, 255, (3, 12, 15)), valid)
    block = Block(2, 3, 9, 10)
    labels = rng.integers(0, 3, block.shape).astype(np.uint8)
    ground = load_ground(scene, block, labels, Scaling((1, 2, 3), (4, 5, 6)))
    expected = (scene.image[:, 2:11, 3:13] - np.array([1, 2, 3])[:, None, None]) / np.array([4, 5, 6])[:, None, None]
    known = valid[2:11, 3:13]
    np.testing.assert_allclose(ground.image[:, known], expected[:, known], rtol=1e-6)
    np.testing.assert_array_equal(ground.image[:, ~known], 0)  # as in inference, not the scaled raw 0
    np.testing.assert_array_equal(ground.labels, np.where(valid[2:11, 3:13], labels, IGNORE))
    assert len(scene.blocks) > 1
    assert all(one.intersection(block) == one for one in scene.blocks)
    assert ground.memory_bytes == 9 * 10 * (3 * 4 + 1)


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


def test_labels_may_come_from_a_function_of_scene_blocks(small_strips):
    scene = ArrayScene(np.ones((1, 12, 15)))
    whole = np.arange(180).reshape(12, 15).astype(np.uint8) % 3
    block = Block(2, 3, 9, 10)
    ground = load_ground(scene, block, lambda part: whole[part.slices], paper_scaling(1))
    np.testing.assert_array_equal(ground.labels, whole[block.slices])


def test_large_ground_lies_in_a_file_that_leaves_nothing_behind(tmp_path):
    rng = np.random.default_rng(1)
    scene = ArrayScene(rng.integers(0, 255, (2, 20, 30)))
    labels = rng.integers(0, 2, (20, 30)).astype(np.uint8)
    kept = load_ground(scene, scene.grid.block, labels, paper_scaling(2))
    stored = load_ground(
        scene,
        scene.grid.block,
        labels,
        paper_scaling(2),
        cache_folder=tmp_path / "cache",
        memory_limit_bytes=100,
    )
    assert isinstance(stored.image, np.memmap)
    assert stored.memory_bytes == 0
    assert not list((tmp_path / "cache").iterdir())
    np.testing.assert_array_equal(stored.image, kept.image)
    np.testing.assert_array_equal(stored.labels, kept.labels)
    assert stored.fingerprint() == kept.fingerprint()


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(OutputError, match="cache folder"):
        allocate((4, 4), np.float32, occupied / "cache")
    with pytest.raises(OutputError, match="GB of training ground"):
        allocate((1 << 30, 1 << 29), np.float32, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_space_is_reserved_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    monkeypatch.delattr("os.posix_fallocate")
    monkeypatch.setattr("crispmap.data.ground._ZEROS", 7)
    array = allocate((3, 5), np.float32, tmp_path)
    array[:] = 2
    assert array.sum() == 30


@pytest.mark.parametrize("block", [Block(0, 0, 13, 5), Block(-1, 0, 4, 4), Block(0, 0, 0, 4), Block(0, 12, 4, 4)])
def test_an_area_outside_the_scene_is_refused(block):
    with pytest.raises(GridError, match="training area"):
        load_ground(ArrayScene(np.ones((1, 12, 15))), block, np.zeros(block.shape, np.uint8), paper_scaling(1))


def test_labels_of_another_shape_are_refused():
    scene = ArrayScene(np.ones((1, 12, 15)))
    with pytest.raises(LabelError, match=r"\(12, 14\)"):
        load_ground(scene, scene.grid.block, np.zeros((12, 14), np.uint8), paper_scaling(1))
    with pytest.raises(LabelError, match=r"\(3, 3\)"):
        load_ground(scene, scene.grid.block, lambda _: np.zeros((3, 3), np.uint8), paper_scaling(1))


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
        Ground(image, labels, scores)


def test_scores_are_added_to_a_copy():
    ground = Ground(np.zeros((1, 4, 4), np.float32), np.zeros((4, 4), np.uint8))
    scores = np.ones((2, 4, 4), np.float32)
    assert ground.with_scores(scores).scores is scores
    assert ground.scores is None
    assert ground.with_scores(scores).fingerprint() != ground.fingerprint()


def test_fingerprint_sees_a_changed_label_and_a_changed_pixel():
    rng = np.random.default_rng(2)
    image, labels = rng.random((1, 8, 8), dtype=np.float32), rng.integers(0, 2, (8, 8)).astype(np.uint8)
    codes = {Ground(image, labels).fingerprint()}
    labels[3, 3] ^= 1
    codes.add(Ground(image, labels).fingerprint())
    image[0, 7, 7] += 1
    codes.add(Ground(image, labels).fingerprint())
    assert len(codes) == 3


def test_classes_are_counted_over_all_pieces(small_strips):
    def piece(ids):
        return Ground(np.zeros((1, 6, 7), np.float32), np.resize(np.array(ids, np.uint8), (6, 7)))

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
        assert scene.blocks == [Block(5, 5, 4, 4)]

    def test_a_constant_band_keeps_its_scale(self):
        assert measure_scaling([(ArrayScene(np.full((1, 5, 5), 7.0)), Block(0, 0, 5, 5))]) == Scaling((7,), (1,))

    def test_no_valid_pixel_or_other_bands_are_refused(self):
        empty = ArrayScene(np.ones((1, 5, 5)), np.zeros((5, 5), bool))
        with pytest.raises(SceneError, match="no valid pixel"):
            measure_scaling([(empty, Block(0, 0, 5, 5))])
        other = ArrayScene(np.ones((1, 5, 5)), names=("nir",))
        with pytest.raises(SceneError, match="nir"):
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
