"""Where training data lie changes no weight: in memory, in files, or on the scene; nor who shares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tiny
from affine import Affine
from test_run import assert_same_state

from array_scene import ArrayScene
from crispmap.data import layers, patches
from crispmap.data.budget import DataBudget
from crispmap.data.patches import PatchSource, load_training_area
from crispmap.errors import TrainingError
from crispmap.geo.grid import Block
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling
from crispmap.raster.files import open_scene
from crispmap.training.grid_fit import fit_refiner
from crispmap.training.options import TrainerOptions
from crispmap.training.svm import fit_svm
from recorder import Recorder

pytestmark = pytest.mark.usefixtures("one_thread")
PLACES = {"memory": (10**7, {}), "files": (1, {}), "scene": (1, {"tiled": True, "blockxsize": 16, "blockysize": 16})}
OTHERS = ["files", "scene"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (layers, "FILE_BLOCK_PX", 8),
        (layers, "SCENE_BLOCK_PX", 16),
        (patches, "LOADED_PX", 24),
    ):
        monkeypatch.setattr(module, name, value)


@contextmanager
def sources(folder: Path, place: str) -> Iterator[list[PatchSource]]:
    """Yield data to learn from and data to validate on: two parts of one scene, with invalid pixels and scores."""
    known = tiny.ground(0, (60, 90))
    image = np.clip(known.image * 40 + 120, 1, 255).astype(np.uint8)
    image[:, 20:23, 30:50] = 0
    memory, options = PLACES[place]
    profile = {"driver": "GTiff", "count": 2, "height": 60, "width": 90, "dtype": "uint8", "nodata": 0, **options}
    transform = Affine(1, 0, 5e5, 0, -1, 5e6)
    with rasterio.open(folder / "scene.tif", "w", crs="EPSG:32631", transform=transform, **profile) as file:
        file.write(image)
    scores = ArrayScene(known.scores, np.arange(90) % 31 != np.arange(60)[:, None] % 29)
    budget = DataBudget(memory, folder)
    with open_scene(folder / "scene.tif") as scene:
        made = [
            load_training_area(
                scene, block, lambda part: known.labels[part.slices], Scaling((120, 110), (40, 50)), scores=scores,
                budget=budget,
            )
            for block in (Block(0, 0, 60, 50), Block(1, 50, 59, 40))
        ]  # fmt: skip
        assert [one.memory_bytes > 0 for one in made] == [place == "memory"] * 2
        yield made


def trained(folder: Path, place: str, **options: int) -> Path:
    kept = folder / "-".join([place, *options])
    with sources(folder, place) as (learned, held):
        tiny.train(tiny.refiner_task(max_steps=24), [learned], [held], kept, options=TrainerOptions("cpu", **options))
    return kept


@pytest.mark.parametrize("place", OTHERS)
def test_a_training_in_steps_gives_the_same_weights(tmp_path, place):
    assert_same_state(trained(tmp_path, "memory"), trained(tmp_path, place))


@pytest.mark.parametrize("options", [{"workers": 1}, {"devices": 2}], ids=str)
def test_processes_that_share_a_scene_give_the_same_weights(tmp_path, options):
    assert_same_state(trained(tmp_path, "memory", **options), trained(tmp_path, "scene", **options))


def test_a_training_goes_on_with_its_data_elsewhere(tmp_path):
    def stop(done: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    for place, resume in (("memory", False), ("scene", True)):
        with sources(tmp_path, place) as (learned, held):
            arguments = tiny.refiner_task(max_steps=24), [learned], [held], tmp_path / "parts"
            if resume:
                tiny.train(*arguments, resume=True)
            else:
                with pytest.raises(KeyboardInterrupt):
                    tiny.train(*arguments, events=Recorder(stop))
    assert_same_state(trained(tmp_path, "memory"), tmp_path / "parts")


def fitted_svm(learned: PatchSource, held: PatchSource) -> object:
    result = fit_svm(architectures("coarse")["svm"].build, [learned], [held], tiny.SCHEMA, per_class=40)
    return result.to_dict(), result.score, [value.tolist() for value in result.network.state_dict().values()]


def fitted_crf(learned: PatchSource, held: PatchSource) -> object:
    build = architectures("refiner")["heat"].build
    return fit_refiner(build, [learned, held], most_tries=2)[0].arguments


@pytest.mark.parametrize("fit", [fitted_svm, fitted_crf])
def test_fits_give_the_same_numbers(tmp_path, fit: Callable[[PatchSource, PatchSource], object]):
    found = []
    for place in PLACES:
        with sources(tmp_path, place) as made:
            found.append(fit(*made))
    assert found[0] == found[1] == found[2]


def test_memory_below_one_batch_is_refused_with_what_is_needed(tmp_path):
    task, piece = tiny.refiner_task(), tiny.ground(0)
    side = task.settings.patch_px + 2 * task.margin_px
    needed = task.settings.batch * ((2 + 3) * 4 * side**2 + 8 * task.settings.patch_px**2)
    with pytest.raises(TrainingError) as error:
        tiny.train(task, [piece], [], tmp_path, options=TrainerOptions(memory_bytes=needed - 1))
    assert f"{-(-needed // 10**4) / 100} MB" in error.value.expected
    tiny.train(tiny.refiner_task(max_steps=1), [piece], [], tmp_path, options=TrainerOptions(memory_bytes=needed))
