"""Scenes mapped from files with model files, and scores from files refined."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GridError, InputError, ModelError, OutputError, SceneError
from crispmap.inference import job as job_module
from crispmap.inference import predict as scene_workflow
from crispmap.inference import trial as trial_module
from crispmap.inference.engines import EngineChoice
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.models import file
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import model_hash, save_model
from crispmap.models.scaling import Scaling
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.writer import read_class_schema
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.types import IGNORE
from recorder import Recorder

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000"), ClassDef("road", "#00ff00")))
BANDS = ("red", "green", "blue")


def card(kind, module, **changes):
    facts = {
        "kind": kind, "architecture": module.architecture, "arguments": module.arguments, "schema": SCHEMA,
        "band_names": BANDS, "scaling": Scaling((127.0,) * 3, (64.0,) * 3), "gsd_m": 1.0,
        "radius_px": module.radius_px, "stride_px": 4 if kind == "coarse" else 1,
    }  # fmt: skip
    return ModelCard(**{**facts, **changes})


def save_refiner(path, *, bands=3, classes=3, **changes):
    torch.manual_seed(1)
    module = RecurrentRefiner(classes, bands, iterations=3, filters=4, hidden=4)
    return save_model(path, module, card("refiner", module, **changes), force=True)


def predict_scene(path, *, out, scores=None, coarse=None, block_px=1024, force=False, device="auto", **more):
    """Map one scene; return its files."""
    options = PredictOptions(engine="torch", block_px=block_px, force=force, device=device)
    where = {name: more.pop(name) for name in ("bands", "assume_gsd_m") if name in more}
    scenes = resolve_scenes([path], **where)
    results = predict_scenes(scenes, outputs=Outputs(out, scores, coarse), options=options, **more)
    return [path for result in results for path in result.paths]


def refine_scene(scores, *, scene, out, refined_scores=None, force=False, kind="auto", assume_gsd_m=None, **more):
    """Refine scores; return the files."""
    options, outputs = PredictOptions(engine="torch", force=force), Outputs(out, refined_scores)
    given, scenes = GivenScores(scores, kind), resolve_scenes([scene], assume_gsd_m=assume_gsd_m)
    return list(scene_workflow.refine_scene(given, scenes, outputs=outputs, options=options, **more).paths)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = fcn_rnn(3, 3)
    coarse = save_model(folder / "coarse.safetensors", network, card("coarse", network))
    return coarse, save_refiner(folder / "refiner.safetensors")


def write_scene(path, shape=(150, 110), *, gsd=(1.0, 1.0), bands=3, hole=True, names=None, crs="EPSG:32631"):
    rng = np.random.default_rng(4)
    image = rng.integers(1, 255, (bands, *shape), dtype=np.uint8)
    if hole:
        image[:, 20 : shape[0] // 2, 30:70] = 0
    georeference = {"crs": crs, "transform": Affine(gsd[1], 0, 5e5, 0, -gsd[0], 5e6)} if crs else {}
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=bands, dtype="uint8", nodata=0, **georeference
    ) as file:
        file.write(image)
        for band, name in enumerate(names or (), 1):
            file.set_band_description(band, name)
    return path, (image != 0).any(axis=0)


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene.tif")[0]


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.mark.parametrize("gsd", [(1.0, 1.0), (0.4, 0.6)])
def test_a_map_lies_on_the_scenes_grid_and_is_ignore_exactly_where_the_scene_is_invalid(tmp_path, models, gsd):
    path, valid = write_scene(tmp_path / "s.tif", gsd=gsd)
    quiet = save_refiner(tmp_path / "r.safetensors", gsd_m=0.5) if gsd != (1.0, 1.0) else models[1]
    out, scores = tmp_path / "m.tif", tmp_path / "scores.tif"
    assert predict_scene(path, model=models[0], refiner=quiet, out=out, scores=scores) == [out, scores]
    with rasterio.open(path) as given, rasterio.open(out) as made:
        assert (made.crs, made.transform, made.shape) == (given.crs, given.transform, given.shape)
        assert made.tags()["CRISPMAP_COARSE_SHA256"] == model_hash(models[0])
        assert made.tags()["CRISPMAP_REFINER_SHA256"] == model_hash(quiet)
        assert made.tags()["CRISPMAP_REFINER"] == "rnn"
    assert np.array_equal(read(out)[0] == IGNORE, ~valid)
    assert np.array_equal(read(out)[0][valid], read(scores).argmax(axis=0)[valid])
    assert read_class_schema(out) == SCHEMA


@pytest.mark.parametrize("gsd", [(1.0, 1.0), (0.4, 0.6)])
def test_refining_the_saved_coarse_scores_is_predicting_with_the_refiner(tmp_path, models, gsd):
    path, _ = write_scene(tmp_path / "s.tif", gsd=gsd)
    refiner = save_refiner(tmp_path / "r.safetensors", gsd_m=0.5 if gsd != (1.0, 1.0) else 1.0)
    names = ["m.tif", "scores.tif", "coarse.tif", "again.tif", "scores_again.tif", "coarse_again.tif", "alone.tif"]
    out, scores, coarse, again, scores_again, coarse_again, alone = (tmp_path / name for name in names)
    predict_scene(path, model=models[0], refiner=refiner, out=out, scores=scores, coarse=coarse)
    refine_scene(coarse, scene=path, refiner=refiner, out=again, refined_scores=scores_again)
    predict_scene(path, model=models[0], out=alone, scores=coarse_again)
    np.testing.assert_allclose(read(scores), read(scores_again), atol=1e-4)
    np.testing.assert_allclose(read(coarse), read(coarse_again), atol=1e-4)
    top = np.sort(read(scores), axis=0)
    clear = top[-1] - top[-2] > 1e-3
    assert np.array_equal(read(out)[0][clear], read(again)[0][clear])
    assert not np.array_equal(read(out), read(alone))


@settings(deadline=None, max_examples=6)
@given(block_px=st.integers(16, 300))
def test_the_files_do_not_depend_on_the_block(tmp_path_factory, models, block_px):
    folder = tmp_path_factory.mktemp("cut")
    path, _ = write_scene(folder / "s.tif", (140, 90))
    files = []
    for size in (1024, block_px):
        out, scores = folder / f"{size}m.tif", folder / f"{size}s.tif"
        predict_scene(path, model=models[0], refiner=models[1], out=out, scores=scores, block_px=size, force=True)
        files.append((out.read_bytes(), scores.read_bytes()))
    assert files[0] == files[1]


def test_probabilities_of_another_tool_at_half_the_resolution_are_refined(tmp_path, models, scene):
    heat = tmp_path / "heat.tif"
    share = np.random.default_rng(2).dirichlet((1, 1, 1), (75, 55)).astype(np.float32).transpose(2, 0, 1)
    with rasterio.open(
        heat, "w", driver="GTiff", height=75, width=55, count=3, dtype="float32", crs="EPSG:32631",
        transform=Affine(2, 0, 5e5, 0, -2, 5e6),
    ) as file:  # fmt: skip
        file.write(share)
    out = tmp_path / "m.tif"
    told = Recorder()
    assert refine_scene(heat, scene=scene, refiner=models[1], out=out, kind="probability", events=told) == [out]
    assert any("heat" in note and "probabilities" in note and SCHEMA[1].name in note for note in told.notes)
    assert read(out).shape == (1, 150, 110)


def test_a_picture_without_georeference_is_mapped_at_the_size_given(tmp_path, models):
    path, valid = write_scene(tmp_path / "s.tif", crs=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_scene(path, model=models[0], out=tmp_path / "m.tif", assume_gsd_m=0.5)
    assert np.array_equal(read(tmp_path / "m.tif")[0] != IGNORE, valid)


def test_scores_without_georeference_are_refined_at_the_size_given(tmp_path, models):
    path, _ = write_scene(tmp_path / "s.tif", crs=None)
    share = np.random.default_rng(2).dirichlet((1, 1, 1), read(path).shape[1:]).astype(np.float32).transpose(2, 0, 1)
    heat = tmp_path / "heat.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            heat, "w", driver="GTiff", count=3, height=share.shape[1], width=share.shape[2], dtype="float32"
        ) as file:
            file.write(share)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refine_scene(heat, scene=path, refiner=models[1], out=tmp_path / "m.tif", assume_gsd_m=1.0)
    assert read(tmp_path / "m.tif").shape == (1, *share.shape[1:])


def test_chosen_bands_are_those_the_model_sees(tmp_path, models, scene):
    four, _ = write_scene(tmp_path / "four.tif", bands=4)
    with rasterio.open(four, "r+") as file, rasterio.open(scene) as three:
        file.write(three.read(), [4, 2, 1])
    predict_scene(scene, model=models[0], out=tmp_path / "a.tif", scores=tmp_path / "as.tif")
    predict_scene(four, model=models[0], out=tmp_path / "b.tif", scores=tmp_path / "bs.tif", bands=[4, 2, 1])
    assert np.array_equal(read(tmp_path / "as.tif"), read(tmp_path / "bs.tif"), equal_nan=True)


def test_a_wrong_number_of_bands_tells_both_numbers_and_the_remedy(tmp_path, models):
    five, _ = write_scene(tmp_path / "five.tif", bands=5)
    with pytest.raises(ModelError, match=r"(?s)5 bands.*trained on 3 \(red, green, blue\).*bands"):
        predict_scene(five, model=models[0], out=tmp_path / "m.tif")
    assert not (tmp_path / "m.tif").exists()


def test_bands_in_another_order_are_refused_with_the_order_to_give(tmp_path, models):
    path, _ = write_scene(tmp_path / "s.tif", names=("blue", "green", "red"))
    with pytest.raises(ModelError, match=r"bands=3,2,1"):
        predict_scene(path, model=models[0], out=tmp_path / "m.tif")
    predict_scene(path, model=models[0], out=tmp_path / "m.tif", bands=[3, 2, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": ClassSchema(tuple(reversed(SCHEMA.classes)))}, "classes ground, roof, road.*road, roof, ground"),
        ({"band_names": ("nir", "red", "green")}, "bands red, green, blue.*nir, red, green"),
    ],
)
def test_a_refiner_of_other_classes_or_bands_is_refused(tmp_path, models, scene, changes, message):
    refiner = save_refiner(tmp_path / "r.safetensors", **changes)
    with pytest.raises(ModelError, match=message):
        predict_scene(scene, model=models[0], refiner=refiner, out=tmp_path / "m.tif")


def test_models_of_the_wrong_kind_are_refused(tmp_path, models, scene):
    with pytest.raises(ModelError, match="refiner"):
        predict_scene(scene, model=models[1], out=tmp_path / "m.tif")
    with pytest.raises(ModelError, match="coarse"):
        refine_scene(scene, scene=scene, refiner=models[0], out=tmp_path / "m.tif", kind="logit")


def test_a_refiner_works_at_its_own_ground_sampling_distance_whatever_the_blocks(tmp_path, models, scene):
    refiner = save_refiner(tmp_path / "r.safetensors", gsd_m=2.0)
    found = {}
    for block_px in (1024, 48):
        out, scores = tmp_path / f"{block_px}.tif", tmp_path / f"s{block_px}.tif"
        predict_scene(scene, model=models[0], refiner=refiner, out=out, scores=scores, block_px=block_px)
        with rasterio.open(scores) as file:
            assert file.shape == (150, 110)
            found[block_px] = file.read()
    np.testing.assert_array_equal(found[1024], found[48])
    predict_scene(scene, model=models[0], refiner=models[1], out=tmp_path / "m.tif", scores=tmp_path / "at1.tif")
    with rasterio.open(tmp_path / "at1.tif") as file:
        assert not np.allclose(np.nan_to_num(file.read()), np.nan_to_num(found[48]), atol=1e-3)


def test_scores_whose_classes_are_in_another_order_are_refused(tmp_path, models, scene):
    coarse = tmp_path / "c.tif"
    predict_scene(scene, model=models[0], out=tmp_path / "m.tif", scores=coarse)
    refiner = save_refiner(tmp_path / "r.safetensors", schema=ClassSchema(tuple(reversed(SCHEMA.classes))))
    with pytest.raises(ModelError, match="in the refiner's order"):
        refine_scene(coarse, scene=scene, refiner=refiner, out=tmp_path / "n.tif")


def test_scores_of_another_scene_are_refused(tmp_path, models, scene):
    coarse = tmp_path / "c.tif"
    predict_scene(scene, model=models[0], out=tmp_path / "m.tif", scores=coarse)
    other, _ = write_scene(tmp_path / "other.tif", (90, 90))
    with pytest.raises(GridError, match=r"(?s)150 x 110.*90 x 90"):
        refine_scene(coarse, scene=other, refiner=models[1], out=tmp_path / "n.tif")


def test_outputs_are_checked_before_any_model_is_opened(tmp_path, scene):
    (tmp_path / "old.tif").write_bytes(b"old")
    absent = tmp_path / "absent"
    with pytest.raises(OutputError, match=r"old\.tif"):
        predict_scene(scene, model=absent, out=tmp_path / "m.tif", coarse=tmp_path / "old.tif")
    with pytest.raises(OutputError, match="an input"):
        refine_scene(tmp_path / "old.tif", scene=scene, refiner=absent, out=tmp_path / "old.tif", force=True)
    with pytest.raises(OutputError, match="folder"):
        predict_scene(scene, model=absent, out=tmp_path / "no" / "m.tif")
    assert (tmp_path / "old.tif").read_bytes() == b"old"


def test_a_scene_of_nodata_leaves_no_file(tmp_path, models):
    path, _ = write_scene(tmp_path / "s.tif", (60, 50))
    with rasterio.open(path, "r+") as file:
        file.write(np.zeros((3, 60, 50), np.uint8))
    with pytest.raises(SceneError, match="no valid pixel"):
        predict_scene(path, model=models[0], refiner=models[1], out=tmp_path / "m.tif", coarse=tmp_path / "c.tif")
    assert [one.name for one in tmp_path.iterdir()] == ["s.tif"]


def test_a_device_that_is_not_there_is_refused(tmp_path, models, scene, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="cuda"):
        predict_scene(scene, model=models[0], out=tmp_path / "m.tif", device="cuda")


def test_several_scenes_are_mapped_into_a_folder_and_those_done_are_not_done_again(tmp_path, models):
    for name, shape in (("a", (90, 80)), ("b", (70, 60)), ("c", (50, 50))):
        write_scene(tmp_path / f"{name}.tif", shape)
    outputs, options = Outputs(tmp_path / "maps", scores=tmp_path / "scores"), PredictOptions(engine="torch")
    recorder = Recorder()
    results = predict_scenes(
        resolve_scenes([tmp_path / "*.tif"]), model=models[0], outputs=outputs, options=options,
        events=recorder,
    )  # fmt: skip
    assert [path.relative_to(tmp_path).as_posix() for result in results for path in result.paths] == [
        "maps/a.tif", "scores/a.tif", "maps/b.tif", "scores/b.tif", "maps/c.tif", "scores/c.tif",
    ]  # fmt: skip
    (task,) = recorder.tasks
    assert (task.title, task.total) == ("3 maps", 90 * 80 + 70 * 60 + 50 * 50)
    (tmp_path / "maps/b.tif").unlink()
    (tmp_path / "scores/b.tif").unlink()
    recorder = Recorder()
    again = predict_scenes(
        resolve_scenes([tmp_path / "*.tif"]), model=models[0], outputs=outputs, options=options, events=recorder
    )
    assert [result.blocks > 0 for result in again] == [False, True, False]
    # What is up to date counts as done; scenes are mapped side by side, so in any order.
    assert {90 * 80, 70 * 60, 50 * 50} <= set(np.diff(recorder.last.done, prepend=0).tolist())


def test_several_scenes_need_a_folder(tmp_path, models):
    write_scene(tmp_path / "a.tif")
    write_scene(tmp_path / "b.tif")
    with pytest.raises(OutputError, match="a folder"):
        predict_scenes(resolve_scenes([tmp_path / "*.tif"]), model=models[0], outputs=Outputs(tmp_path / "m.tif"))
    write_scene(tmp_path / "c.tif", bands=5)
    with pytest.raises(ModelError, match="5 bands"):
        predict_scenes(resolve_scenes([tmp_path / "*.tif"]), model=models[0], outputs=Outputs(tmp_path / "maps"))
    assert not (tmp_path / "maps").exists()


def test_one_scene_is_one_task(tmp_path, models, scene):
    recorder = Recorder()
    predict_scene(scene, model=models[0], out=tmp_path / "m.tif", block_px=64, events=recorder)
    (task,) = recorder.tasks
    assert (task.title, task.total) == ("map", 150 * 110)


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_opens_every_scene_and_model_once(tmp_path, models, monkeypatch, count):
    """Checks, the trial of precisions, map and seam check share what is open; models are loaded for all scenes."""
    for number in range(count):
        write_scene(tmp_path / f"s{number}.tif", (90, 80))
    opened = Counter()

    def counted(module, name):
        function = getattr(module, name)

        def call(source, *args, **kwargs):
            opened[name, getattr(source, "path", source).name] += 1
            return function(source, *args, **kwargs)

        monkeypatch.setattr(module, name, call)

    for module, name in ((job_module, "open_scene"), (job_module, "open_scores"), (file, "load_model")):
        counted(module, name)
    monkeypatch.setattr(trial_module, "_OPENING_PX", 0)
    monkeypatch.setattr(EngineChoice, "faster_precisions", ("bfloat16",))
    scenes = resolve_scenes([tmp_path / "s*.tif"])
    options = PredictOptions(engine="torch", verify_seams=1)
    out = Outputs(tmp_path / ("maps" if count > 1 else "m.tif"), coarse=tmp_path / ("c" if count > 1 else "c.tif"))
    predict_scenes(scenes, model=models[0], refiner=models[1], outputs=out, options=options)
    assert len(opened) == count + 2
    assert set(opened.values()) == {1}
    if count == 1:
        opened.clear()
        given = GivenScores(tmp_path / "c.tif")
        scene_workflow.refine_scene(
            given, scenes, refiner=models[1], outputs=Outputs(tmp_path / "r.tif"), options=options
        )
        assert opened == {
            ("open_scene", "s0.tif"): 1, ("open_scores", "c.tif"): 1, ("load_model", models[1].name): 1,
        }  # fmt: skip


def test_of_very_many_scenes_only_some_stay_open(tmp_path, models, monkeypatch):
    monkeypatch.setattr(scene_workflow, "_KEPT_OPEN", 1)
    for number in range(3):
        write_scene(tmp_path / f"s{number}.tif", (40, 30))
    scenes = resolve_scenes([tmp_path / "s*.tif"])
    results = predict_scenes(
        scenes, model=models[0], outputs=Outputs(tmp_path / "maps"), options=PredictOptions(engine="torch")
    )
    assert [path.name for result in results for path in result.paths] == ["s0.tif", "s1.tif", "s2.tif"]
