"""Many scenes of a run: one engine for those of a shape, small ones side by side, each with its own bytes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, SceneError
from crispmap.events import progress
from crispmap.files.quiet import ignoring
from crispmap.inference import predict
from crispmap.inference.engines import KeptEngines, NetworkSource, kept
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.raster.resolve import resolve_scenes
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from recorder import Recorder

SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))
SHAPES = [(64, 64)] * 5 + [(40, 72)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    torch.manual_seed(0)
    for kind, network in (("coarse", fcn_rnn(3, 2)), ("refiner", RecurrentRefiner(bands=3, classes=2, iterations=2))):
        card = ModelCard(
            kind=kind, architecture=network.architecture, arguments=network.arguments, schema=SCHEMA,
            band_names=("red", "green", "blue"), scaling=Scaling((127.0,) * 3, (64.0,) * 3), gsd_m=1.0,
            radius_px=network.radius_px, stride_px=4 if kind == "coarse" else 1,
        )  # fmt: skip
        save_model(folder / f"{kind}.safetensors", network, card)
    for number, (height, width) in enumerate(SHAPES):
        image = np.random.default_rng(number).integers(0, 255, (3, height, width), np.uint8)
        place = {"crs": "EPSG:32631", "transform": Affine(1.0, 0.0, 5e5, 0.0, -1.0, 5e6)}
        with rasterio.open(
            folder / f"{number}.tif", "w", "GTiff", width, height, 3, dtype="uint8", photometric="rgb", **place
        ) as file:
            file.write(image)
    return folder


def mapped(folder: Path, names: list[str], out: Path, **options):
    return predict_scenes(
        resolve_scenes([folder / name for name in names]), model=folder / "coarse.safetensors",
        refiner=folder / "refiner.safetensors", outputs=Outputs(out),
        options=PredictOptions(precision="float32", **options), events=options.pop("events", Recorder()),
    )  # fmt: skip


ALL = [f"{number}.tif" for number in range(len(SHAPES))]


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_each_map_has_the_bytes_of_its_scene_mapped_alone(folder: Path, tmp_path: Path, engine: str) -> None:
    (tmp_path / "alone").mkdir()
    for name in ALL:
        mapped(folder, [name], tmp_path / "alone" / name, engine=engine)
    results = mapped(folder, ALL, tmp_path / "all", engine=engine)
    assert [one.paths[0].name for one in results] == ALL
    for name in ALL:
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_one_engine_serves_all_scenes_of_a_shape(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counted(source, example, choice):
        opened.append(example[0].shape)
        return open_engine(source, example, choice)

    open_engine = kept.open_engine
    monkeypatch.setattr(kept, "open_engine", counted)
    mapped(folder, ALL, tmp_path / "all")
    assert len(opened) == len(set(opened)) <= 2


def test_scenes_that_fit_in_a_block_are_mapped_side_by_side_and_others_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "available_cores", lambda: 4)
    small, large = [64 * 64] * 3, [64 * 64, 1025 * 1024]
    assert predict._at_once(small, PredictOptions()) == 5
    assert predict._at_once(large, PredictOptions()) == 1
    assert predict._at_once(small[:1], PredictOptions()) == 1
    assert predict._at_once(small, PredictOptions(workers=2)) == 1


def test_one_that_fails_leaves_what_is_finished_and_is_told(folder: Path, tmp_path: Path) -> None:
    with rasterio.open(folder / "0.tif") as file:
        profile = file.profile | {"nodata": 0}
    with rasterio.open(tmp_path / "blank.tif", "w", **profile) as file:
        file.write(np.zeros((3, 64, 64), np.uint8))
    names = [folder / "0.tif", tmp_path / "blank.tif", folder / "1.tif"]
    with pytest.raises(SceneError, match="no valid pixel"):
        predict_scenes(
            resolve_scenes(names), model=folder / "coarse.safetensors", outputs=Outputs(tmp_path / "out"),
            options=PredictOptions(precision="float32"),
        )  # fmt: skip
    assert (tmp_path / "out/0.tif").exists()
    assert not (tmp_path / "out/blank.tif").exists()
    again = predict_scenes(
        resolve_scenes(names[::2]), model=folder / "coarse.safetensors", outputs=Outputs(tmp_path / "out"),
        options=PredictOptions(precision="float32"),
    )  # fmt: skip
    assert again[0].blocks == 0  # made before


def test_the_progress_of_all_reaches_its_total_and_no_filter_of_warnings_is_left(folder: Path, tmp_path: Path) -> None:
    figures: list[int] = []
    before = list(warnings.filters)
    predict_scenes(
        resolve_scenes([folder / name for name in ALL]), model=folder / "coarse.safetensors",
        outputs=Outputs(tmp_path / "out"), options=PredictOptions(precision="float32"),
        events=Recorder(figures.append),
    )  # fmt: skip
    assert warnings.filters == before
    assert figures == sorted(figures)
    assert figures[-1] == sum(height * width for height, width in SHAPES)


def test_parts_of_a_task_that_overlap_count_their_own_units() -> None:
    figures: list[int] = []
    with progress(Recorder(figures.append), "all", 30) as whole:
        with progress(whole, "one", 10) as one, progress(whole, "two", 20) as two:
            two.advance(15)
            one.advance(4)
            two.advance(50)  # more than it said
        assert whole.done == 30
    assert figures == [15, 19, 24, 30]


def test_silence_of_one_category_leaves_the_others_and_ends() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with ignoring(DeprecationWarning):
            warnings.warn("silenced", DeprecationWarning, stacklevel=1)
            warnings.warn("another", CrispmapWarning, stacklevel=1)
        warnings.warn("after", DeprecationWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["another", "after"]


def test_the_engines_opened_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(kept, "open_engine", lambda source, example, choice: opened.append(source.module()) or object())
    engines, choice = KeptEngines(), kept.EngineChoice()

    def engine(role: str, side: int = 4):
        return engines.open(NetworkSource(role, lambda: f"{role}{side}"), (np.zeros((1, side)),), choice)

    assert engine("map") is engine("map")
    assert engine("map", 8) is engine("map", 8) is not engine("map")
    engine("refiner")
    engine("map")
    engine("map", 8)  # was let go for the refiner's
    assert opened == ["map4", "map8", "refiner4", "map8"]
