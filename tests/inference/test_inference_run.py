"""Maps reach their files whole or not at all, with the same bytes however they were cut."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SCHEMA, ArrayScene, StridedNetwork, coarse_card, random_image, refiner_card, small_refiner

from crispmap.errors import ModelError, OutputError, SceneError
from crispmap.grid import Block
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.refine import refined_scores
from crispmap.inference.run import Output, class_map, write_maps, write_outputs
from crispmap.scene.reader import read_whole
from crispmap.scene.writer import read_class_schema
from crispmap.types import IGNORE

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def scores_scene(shape=(70, 50), seed=0, valid=None):
    return ArrayScene(np.random.default_rng(seed).normal(size=(3, *shape)), valid)


def holes(shape=(70, 50)):
    valid = np.random.default_rng(5).random(shape) > 0.3
    valid[:40, :40] = False
    return valid


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_the_map_holds_the_best_class_and_ignore_exactly_where_invalid(tmp_path):
    scene = scores_scene(valid=holes())
    counts = write_maps(scene, SCHEMA, map_path=tmp_path / "m.tif", scores_path=tmp_path / "s.tif", block_px=16)
    (labels,), scores = read(tmp_path / "m.tif"), read(tmp_path / "s.tif")
    assert np.array_equal(labels == IGNORE, ~scene.valid)
    assert np.array_equal(labels[scene.valid], scene.image.argmax(axis=0)[scene.valid])
    assert np.array_equal(np.isnan(scores), np.broadcast_to(~scene.valid, scores.shape))
    assert np.array_equal(scores[:, scene.valid], scene.image[:, scene.valid])
    assert counts == tuple(np.bincount(labels[scene.valid], minlength=3))


def test_the_files_carry_grid_classes_and_tags(tmp_path):
    scene = scores_scene()
    write_maps(scene, SCHEMA, map_path=tmp_path / "m.tif", scores_path=tmp_path / "s.tif", tags={"MADE_BY": "me"})
    assert read_class_schema(tmp_path / "m.tif") == SCHEMA
    for name in ("m.tif", "s.tif"):
        with rasterio.open(tmp_path / name) as dataset:
            assert dataset.tags()["MADE_BY"] == "me"
            assert dataset.transform == scene.grid.transform
    with rasterio.open(tmp_path / "s.tif") as dataset:
        assert dataset.descriptions == SCHEMA.names


def test_of_equal_scores_the_first_class_wins():
    scores = np.float32([[[1, 2]], [[1, 2]], [[0, 3]]])
    assert class_map(scores, np.array([[True, True]])).tolist() == [[0, 2]]
    assert class_map(scores, np.array([[False, True]])).tolist() == [[IGNORE, 2]]


@pytest.mark.parametrize("shape", [(611, 333), (300, 1), (5, 7), (90, 700)])
def test_files_of_any_block_size_have_the_same_bytes(tmp_path, shape):
    scene = ArrayScene(random_image(shape), np.random.default_rng(2).random(shape) > 0.1, gsd=(0.4, 0.6))
    written = []
    for block_px in (256, 512, 1024, 100):
        coarse = coarse_scores(scene, StridedNetwork(), coarse_card(), block_px=block_px, tile_px=128)
        scores = refined_scores(coarse, scene, small_refiner(), refiner_card(), block_px=block_px, tile_px=200)
        paths = tmp_path / f"{block_px}m.tif", tmp_path / f"{block_px}s.tif"
        write_maps(scores, SCHEMA, map_path=paths[0], scores_path=paths[1], block_px=block_px)
        written.append([path.read_bytes() for path in paths])
    assert all(one == written[0] for one in written[1:])


def test_several_rasters_are_written_in_one_walk(tmp_path):
    scene = ArrayScene(random_image((120, 90)))
    network = StridedNetwork()
    coarse = coarse_scores(scene, network, coarse_card(), tile_px=30, block_px=40)
    refined = refined_scores(coarse, scene, small_refiner(), refiner_card(), tile_px=30, block_px=40)
    counts = write_outputs(
        [Output(refined, tmp_path / "m.tif"), Output(coarse, scores_path=tmp_path / "c.tif")], SCHEMA, block_px=40
    )
    assert network.calls == 12
    assert [sum(count) for count in counts] == [120 * 90] * 2
    assert np.array_equal(read(tmp_path / "c.tif"), read_whole(coarse)[0])
    assert np.array_equal(read(tmp_path / "m.tif")[0], read_whole(refined)[0].argmax(axis=0))


@settings(deadline=None, max_examples=10)
@given(height=st.integers(1, 60), width=st.integers(1, 60), block_px=st.integers(1, 70))
def test_progress_rises_to_the_whole(tmp_path_factory, height, width, block_px):
    block_px = max(block_px, 8)
    told = []
    write_maps(
        scores_scene((height, width)), SCHEMA, map_path=tmp_path_factory.mktemp("p") / "m.tif", block_px=block_px,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (height * width, height * width)
    assert {total for _, total in told} == {height * width}


class Failing(ArrayScene):
    """A raster whose reading fails half way."""

    error: BaseException = SceneError("broken")

    def _read_inside(self, block: Block):
        if block.row >= 32:
            raise self.error
        return super()._read_inside(block)


@pytest.mark.parametrize("error", [SceneError("broken"), KeyboardInterrupt(), MemoryError()])
def test_after_a_failure_nothing_is_left_and_older_files_stand(tmp_path, error):
    scene = Failing(random_image((70, 50), bands=3))
    scene.error = error
    old = tmp_path / "old.tif"
    old.write_bytes(b"older")
    with pytest.raises(type(error)):
        write_maps(scene, SCHEMA, map_path=old, scores_path=tmp_path / "s.tif", block_px=16, force=True)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_bytes() == b"older"


def test_a_failure_while_finishing_leaves_no_partner_behind(tmp_path):
    """The scores are finished first; a map that then cannot be must not leave them alone."""

    def block_the_map(done, total):
        if done == total:
            (tmp_path / "m.tif").mkdir()

    with pytest.raises(OutputError):
        write_maps(
            scores_scene(), SCHEMA, map_path=tmp_path / "m.tif", scores_path=tmp_path / "s.tif", progress=block_the_map
        )
    assert [path.name for path in tmp_path.iterdir()] == ["m.tif"]


def test_a_scene_without_a_valid_pixel_is_refused(tmp_path):
    with pytest.raises(SceneError, match="no valid pixel"):
        write_maps(scores_scene(valid=np.zeros((70, 50), bool)), SCHEMA, map_path=tmp_path / "m.tif")
    assert not list(tmp_path.iterdir())


def test_an_output_that_exists_is_refused_before_anything_is_read(tmp_path):
    scene = scores_scene()
    (tmp_path / "s.tif").write_bytes(b"")
    with pytest.raises(OutputError, match="--force"):
        write_maps(scene, SCHEMA, map_path=tmp_path / "m.tif", scores_path=tmp_path / "s.tif")
    assert scene.pixels_read == 0
    assert [path.name for path in tmp_path.iterdir()] == ["s.tif"]


def test_paths_given_twice_and_the_input_itself_are_refused(tmp_path):
    scene = scores_scene()
    with pytest.raises(OutputError, match="another output"):
        write_maps(scene, SCHEMA, map_path=tmp_path / "m.tif", scores_path=tmp_path / "x" / ".." / "m.tif")
    scene.path = tmp_path / "in.tif"
    scene.path.write_bytes(b"")
    with pytest.raises(OutputError, match="an input"):
        write_maps(scene, SCHEMA, map_path=scene.path, force=True)


def test_a_wrong_number_of_scores_is_refused(tmp_path):
    with pytest.raises(ModelError, match="2 scores a pixel for 3 classes"):
        write_maps(ArrayScene(random_image((9, 9))), SCHEMA, map_path=tmp_path / "m.tif")


MEMORY = """
import resource, sys
import numpy as np
from pathlib import Path
sys.path.insert(0, {tests!r})
from small_models import *
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.refine import refined_scores
from crispmap.inference.run import write_maps

class Endless(ArrayScene):
    def __init__(self, side):
        super().__init__(np.zeros((2, 1, 1)))
        self.grid = Grid(None, Affine.scale(1, -1), (side, side))
    def _read_inside(self, block):
        rows = np.sin(np.arange(block.row, block.row_stop))[:, None] * np.cos(np.arange(block.col, block.col_stop))
        return np.stack([rows, rows]).astype(np.float32), np.ones(block.shape, bool)

scene = Endless(int(sys.argv[1]))
coarse = coarse_scores(scene, StridedNetwork(), coarse_card(), block_px=256, tile_px=128)
refined = refined_scores(coarse, scene, small_refiner(), refiner_card(), block_px=256, tile_px=128)
write_maps(refined, SCHEMA, map_path=Path(sys.argv[2]), block_px=256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_scene(tmp_path):
    """Four times the pixels, a fifth more memory at the most."""
    program = MEMORY.format(tests=str(Path(__file__).parent))
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", program, str(side), str(tmp_path / f"{side}.tif")],
                check=True, capture_output=True, text=True,
            ).stdout
        )
        for side in (1500, 3000)
    ]  # fmt: skip
    assert peaks[1] < 1.2 * peaks[0]
