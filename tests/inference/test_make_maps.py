"""Jobs carried out: the same bytes however they are cut, shared out, stopped and taken up again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from map_jobs import SCHEMA, card, make_maps, small_job, write_image, write_models

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, InputError, ModelError, OutputError, SceneError
from crispmap.inference.job import GivenScores, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Confidence, Scores
from crispmap.inference.run import Output
from crispmap.models.file import model_hash, save_model
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import read_whole
from crispmap.raster.scores import open_scores
from crispmap.raster.writer import read_class_schema
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from recorder import Recorder

TORCH = PredictOptions(engine="torch", block_px=64)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    return small_job(tmp_path_factory.mktemp("job"))


def outputs_in(folder, *, coarse=True):
    folder.mkdir(parents=True, exist_ok=True)
    both = [Output(ClassMap(), folder / "m.tif"), Output(Scores(), folder / "s.tif")]
    return [*both, Output(Scores("float16"), folder / "c.tif", "coarse")] if coarse else both


def made(job, folder, options=TORCH, **more):
    result = make_maps(job, outputs_in(folder), SCHEMA, options=options, **more)
    return [path.read_bytes() for path in result.paths]


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


class StoppedError(Exception):
    """A run that ends early."""


def stop_after(blocks):
    def watch(done):
        nonlocal blocks
        blocks -= 1
        if blocks <= 0:
            raise StoppedError

    return Recorder(watch)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bytes_do_not_depend_on_the_blocks(job, tmp_path, engine):
    results = [
        made(job, tmp_path / f"{engine}{side}", PredictOptions(engine=engine, block_px=side))
        for side in (64, 65, 200, 1024)
    ]
    assert all(one == results[0] for one in results[1:])


def test_the_map_is_the_best_of_the_scores_and_nodata_is_where_the_scene_has_it(job, tmp_path):
    made(job, tmp_path)
    (labels,), scores = read(tmp_path / "m.tif"), read(tmp_path / "s.tif")
    valid = (read(job.scene.path) != 0).any(axis=0)
    assert np.array_equal(labels == 255, ~valid)
    assert np.array_equal(np.isnan(scores).all(axis=0), ~valid)
    assert np.array_equal(labels[valid], scores[:, valid].argmax(axis=0))
    assert read_class_schema(tmp_path / "m.tif") == SCHEMA


@pytest.mark.parametrize("done", [1, 7, 19])
def test_a_run_that_ended_early_is_taken_up_and_gives_the_same_bytes(job, tmp_path, done):
    expected = made(job, tmp_path / "whole")
    with pytest.raises(StoppedError):
        make_maps(job, outputs_in(tmp_path / "again"), SCHEMA, options=TORCH, events=stop_after(done))
    assert not list((tmp_path / "again").glob("*.tif"))
    recorder = Recorder()
    result = make_maps(job, outputs_in(tmp_path / "again"), SCHEMA, options=TORCH, events=recorder)
    assert done <= result.resumed < result.blocks
    (task,) = recorder.tasks
    assert (task.title, task.unit, task.total) == ("map", "pixels", 300 * 420)
    assert task.done[0] > 0
    assert len(task.done) == 1 + result.blocks - result.resumed
    assert [path.read_bytes() for path in result.paths] == expected
    assert not list((tmp_path / "again").glob(".*"))


def test_the_work_after_the_last_pixel_is_noted_before_it_is_done(job, tmp_path):
    there = []

    class Noting(Recorder):
        def note(self, text):
            super().note(text)
            assert self.last.done[-1] == self.last.total
            assert not self.last.finished
            there.extend(tmp_path.glob("*.tif"))

    noting = Noting()
    make_maps(job, outputs_in(tmp_path), SCHEMA, options=replace(TORCH, verify_seams=1), events=noting)
    assert noting.notes == ["Checking seams", "Writing m.tif", "Writing s.tif", "Writing c.tif"]
    assert there == []


def test_an_interruption_says_what_is_kept(job, tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        make_maps(job, outputs_in(tmp_path), SCHEMA, options=TORCH, events=Recorder(stop))
    (note,) = stopped.value.__notes__
    assert "of 35 blocks are finished and kept; the same command goes on" in note


@pytest.mark.parametrize("what", ["scene", "model", "refiner", "engine"])
def test_another_input_does_not_take_up_an_unfinished_map(job, tmp_path, what):
    with pytest.raises(StoppedError):
        make_maps(job, outputs_in(tmp_path), SCHEMA, options=TORCH, events=stop_after(1))
    options, other = TORCH, job
    if what == "scene":
        other = replace(job, scene=SceneRef.of(write_image(tmp_path / "other.tif", seed=9)))
    elif what == "engine":
        options = replace(TORCH, engine="openvino")
    else:
        other = replace(job, **{what: write_models(tmp_path / "models", seed=3)[what == "refiner"]})
    with pytest.raises(OutputError, match=rf"(?s){what}.*restart=True"):
        make_maps(other, outputs_in(tmp_path), SCHEMA, options=options)
    result = make_maps(other, outputs_in(tmp_path), SCHEMA, options=replace(options, restart=True))
    assert result.resumed == 0


def test_a_second_run_on_the_same_output_is_refused(job, tmp_path):
    refused = []

    def meanwhile(done):
        if not refused:
            with pytest.raises(OutputError, match="another run"):
                make_maps(job, outputs_in(tmp_path), SCHEMA, options=TORCH)
            refused.append(True)

    make_maps(job, outputs_in(tmp_path), SCHEMA, options=TORCH, events=Recorder(meanwhile))
    assert refused


def test_files_that_exist_are_kept_unless_forced(job, tmp_path):
    first = made(job, tmp_path)
    with pytest.raises(OutputError, match="force=True"):
        made(job, tmp_path)
    assert made(job, tmp_path, replace(TORCH, force=True)) == first
    kept = make_maps(job, outputs_in(tmp_path), SCHEMA, options=TORCH, keep_made=True)
    assert kept.blocks == 0
    with pytest.raises(OutputError, match="exists"):
        make_maps(job, outputs_in(tmp_path), SCHEMA, options=replace(TORCH, engine="openvino"), keep_made=True)


def test_the_tags_tell_what_ran_and_how_the_seams_are(job, tmp_path):
    result = make_maps(job, outputs_in(tmp_path), SCHEMA, options=replace(TORCH, verify_seams=5))
    assert result.seams.windows == 5
    assert result.seams.difference < 1e-4
    assert result.seams.changed <= 1
    with rasterio.open(tmp_path / "m.tif") as dataset:
        tags = dataset.tags()
    assert tags["CRISPMAP_COARSE_SHA256"] == model_hash(job.model)
    assert tags["CRISPMAP_ENGINE"].startswith("torch")
    assert "float32" in tags["CRISPMAP_ENGINE"]
    assert tags["CRISPMAP_SEAM_CHECK"] == result.seams.text


def test_a_seam_check_finds_a_model_that_depends_on_the_cut(job, tmp_path):
    """A network that claims too small a margin would pass every other test of one cut."""
    with job.opened() as opened:
        work = opened.work()
        honest = work._network.margin_px
    assert honest == 32 + 8 - 2 + 2 - 4 + 0 or honest > 30
    torch.manual_seed(0)
    refiner = RecurrentRefiner(3, 3, iterations=3, filters=4, hidden=4)
    save_model(tmp_path / "r.safetensors", refiner, card("refiner", refiner))
    result = make_maps(job, outputs_in(tmp_path), SCHEMA, options=replace(TORCH, verify_seams=3))
    assert result.seams.pixels > 0


def test_a_network_of_another_sampling_goes_through_rasters(tmp_path):
    """At 0.5 m the network works on averages and the refiner on pixels; cut or not, the bytes are the same."""
    job = small_job(tmp_path, gsd_m=0.5, shape=(200, 260))
    results = [made(job, tmp_path / str(side), replace(TORCH, block_px=side)) for side in (64, 1000)]
    assert results[0] == results[1]
    with job.opened() as opened:
        work = opened.work()
        assert work.engine.startswith("openvino") or work.engine.startswith("torch")


def test_refining_saved_scores_is_predicting_to_rounding(job, tmp_path):
    make_maps(
        job,
        [Output(Scores(), tmp_path / "c.tif", "coarse"), *outputs_in(tmp_path, coarse=False)],
        SCHEMA,
        options=TORCH,
    )
    refine = MapJob(job.scene, refiner=job.refiner, scores=GivenScores(tmp_path / "c.tif"), tile_px=64)
    make_maps(refine, outputs_in(tmp_path / "refined", coarse=False), SCHEMA, options=TORCH)
    np.testing.assert_allclose(read(tmp_path / "refined/s.tif"), read(tmp_path / "s.tif"), atol=1e-4)


def test_given_scores_without_a_refiner_are_mapped_as_they_are(job, tmp_path):
    make_maps(job, outputs_in(tmp_path, coarse=False), SCHEMA, options=TORCH)
    given = MapJob(job.scene, scores=GivenScores(tmp_path / "s.tif"))
    make_maps(given, [Output(ClassMap(), tmp_path / "again.tif")], SCHEMA, options=TORCH)
    assert np.array_equal(read(tmp_path / "again.tif"), read(tmp_path / "m.tif"))


def test_a_refiner_without_radius_is_blended_and_the_map_says_so(job, tmp_path, monkeypatch):
    init = RecurrentRefiner.__init__

    def unbounded(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.radius_px = None

    monkeypatch.setattr(RecurrentRefiner, "__init__", unbounded)
    coarse, refiner = write_models(tmp_path / "models")
    job = replace(job, model=coarse, refiner=refiner)
    results = []
    for side in (64, 500):
        with pytest.warns(CrispmapWarning, match="rnn cannot be tiled exactly"):
            results.append(made(job, tmp_path / str(side), replace(TORCH, block_px=side)))
    assert results[0] == results[1]
    with rasterio.open(tmp_path / "64/m.tif") as dataset:
        assert "blended" in dataset.tags()["CRISPMAP_BLENDED"]


def test_certainty_and_small_scores_are_written_and_read_back(job, tmp_path):
    outputs = [
        Output(ClassMap(), tmp_path / "m.tif"), Output(Scores("uint8"), tmp_path / "p.tif"),
        Output(Confidence(), tmp_path / "certainty.tif"),
    ]  # fmt: skip
    make_maps(job, outputs, SCHEMA, options=TORCH)
    with open_scores(tmp_path / "p.tif") as scores:
        values, valid = read_whole(scores)
    (labels,) = read(tmp_path / "m.tif")
    agree = (values.argmax(axis=0) == labels)[valid].mean()
    assert agree > 0.98
    confidence, entropy = read(tmp_path / "certainty.tif")
    assert np.nanmin(confidence) >= 1 / 3 - 1e-3
    assert 0 <= np.nanmin(entropy) <= np.nanmax(entropy) <= 1


def test_a_scene_without_a_valid_pixel_is_refused_and_leaves_nothing(job, tmp_path):
    path = write_image(tmp_path / "empty.tif", shape=(90, 80), hole=False)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.zeros((3, 90, 80), np.uint8))
    with pytest.raises(SceneError, match="no valid pixel"):
        make_maps(replace(job, scene=SceneRef.of(path)), outputs_in(tmp_path / "out"), SCHEMA, options=TORCH)
    assert not list((tmp_path / "out").iterdir())


def test_a_scene_that_breaks_off_is_told_by_file_and_place_and_what_was_finished_stays(job, tmp_path):
    path = write_image(tmp_path / "cut.tif", hole=False)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SceneError, match=r"(?s)cut\.tif.*rows \d+\.\.\d+"):
        make_maps(replace(job, scene=SceneRef.of(path)), outputs_in(tmp_path / "out"), SCHEMA, options=TORCH)
    assert not list((tmp_path / "out").glob("*.tif"))
    assert list((tmp_path / "out").glob(".m.tif.crispmap/blocks/*"))


def test_a_wrong_number_of_classes_is_refused(job, tmp_path):
    with pytest.raises(ModelError, match="3 scores a pixel for 2 classes"):
        make_maps(job, outputs_in(tmp_path), ClassSchema(tuple(SCHEMA)[:2]), options=TORCH)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 2, "scheduler": "tcp://x:1"}, "Both local workers and a scheduler"),
        ({"workers": 0}, "1 or more"),
        ({"block_px": 0}, "at least 1"),
        ({"verify_seams": -1}, "0 or more"),
    ],
)
def test_means_that_make_no_sense_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        PredictOptions(**given)
