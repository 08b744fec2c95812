"""Networks that pad: exact maps however a scene is cut, and maps with less halo that say what it costs."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from map_jobs import SCHEMA, card, make_maps, write_image, write_models
from scipy.special import softmax
from small_models import coarse_card, padded, random_image, refiner_card, scaled, small_refiner
from test_work import in_blocks
from torch import nn
from typer.testing import CliRunner

import crispmap
from array_scene import ArrayScene
from crispmap.cli.main import app
from crispmap.errors import CrispmapWarning, InputError, OutputError
from crispmap.inference import cluster, run
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.engines import EngineChoice
from crispmap.inference.exactness import BLENDED_TAG, HALO_TAG
from crispmap.inference.job import MapJob, OpenJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.plan import Cut
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import JOB_TAG, PRECISION_TAG, Output
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.work import DirectScores, StackedScores
from crispmap.models.base import CoarseNetwork
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import load_model, save_model
from crispmap.models.model import Model
from crispmap.models.smp.network import smp, unet_lite0
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import read_whole
from recorder import Recorder

TORCH = PredictOptions(engine="torch", precision="float32", block_px=64)
RADIUS_PX = 72
BUILDERS = {
    "lite0": lambda bands: unet_lite0(bands, 3, depth=3, radius_px=56),
    "resnet": lambda bands: smp(bands, 3, encoder="resnet18", depth=3, radius_px=RADIUS_PX),
}


def network_of(name, bands=2):
    """A network with random weights whose classes take turns."""
    torch.manual_seed(1)
    network = BUILDERS[name](bands).eval()
    head = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    with torch.no_grad():
        head.weight.mul_(30)
        head.bias.copy_(-network(torch.randn(1, bands, 128, 128)).mean((0, 2, 3)))
    return network


@pytest.fixture(scope="module", params=list(BUILDERS))
def network(request):
    return network_of(request.param)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    network = network_of("resnet", 3)
    coarse = save_model(folder / "padded.safetensors", network, card("coarse", network, stride_px=network.stride_px))
    write_models(folder)
    return MapJob(SceneRef.of(write_image(folder / "scene.tif", (100, 150), seed=2)), coarse, tile_px=64)


def made(job, folder, options=TORCH, **more):
    folder.mkdir(exist_ok=True)
    outputs = [Output(ClassMap(), folder / "m.tif"), Output(Scores(), folder / "s.tif")]
    result = make_maps(job, outputs, SCHEMA, options=options, **more)
    return [path.read_bytes() for path in result.paths]


def tags(path):
    with rasterio.open(path) as file:
        return file.tags()


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def whole(network, image, halo_px):
    """The scores of an image at once, with so much of its reflection around."""
    shape, more = image.shape[1:], [-side % network.stride_px for side in image.shape[1:]]
    with torch.inference_mode():
        scores = network(torch.from_numpy(padded(image, halo_px, more))[None])[0].numpy()
    return scores[:, halo_px : halo_px + shape[0], halo_px : halo_px + shape[1]]


# --- exact ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tile_px", "shifted"), [(64, True), (None, False)])
def test_tiles_are_the_whole_scene_at_once(network, tile_px, shifted):
    valid = np.ones((75, 110), bool)
    valid[30:60, 80:] = False
    image = random_image(valid.shape)
    expected = whole(network, scaled(image) * valid, network.halo_px) * valid
    models = ScoreModels(Model(network, coarse_card()))
    cut = Cut(tile_px, shifted=shifted)
    work = score_work(ArrayScene(image, valid), models, engine=EngineChoice("torch"), cut=cut)
    assert isinstance(work, DirectScores)
    scores, known = in_blocks(work, 70)
    assert np.array_equal(known, valid)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4)
    less = score_work(ArrayScene(image, valid), models.reading(0), engine=EngineChoice("torch"), cut=Cut(64))
    assert np.abs(in_blocks(less, 70)[0] - expected).max() > 0.1, "without its halo the network gives other scores"


@pytest.mark.slow
def test_a_network_of_five_levels_is_the_whole_scene_at_once():
    torch.manual_seed(0)
    network = smp(2, 3, encoder="resnet18").eval()
    image = random_image((1500, 1300))
    work = score_work(ArrayScene(image), ScoreModels(Model(network, coarse_card())), engine=EngineChoice("torch"))
    assert work.tile_px < 1300
    expected = whole(network, scaled(image), network.halo_px)
    np.testing.assert_allclose(in_blocks(work, 1024)[0], expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("halo_px", [None, 8])
@pytest.mark.filterwarnings("ignore:The map is not exact")
def test_bytes_depend_neither_on_blocks_nor_on_interruptions(job, tmp_path, halo_px):
    job = replace(job, halo_px=halo_px)
    expected = made(job, tmp_path / "a")
    assert made(job, tmp_path / "b", replace(TORCH, block_px=128)) == expected

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(job, tmp_path / "c", events=Recorder(stop))
    assert made(job, tmp_path / "c") == expected


@pytest.mark.slow
def test_where_memory_does_not_suffice_fewer_windows_are_computed_at_a_time(job, tmp_path, monkeypatch):
    expected = made(job, tmp_path / "a")
    threads = []

    def counted(blocks, work, **how):
        threads.append(how["threads"])
        return work_through(blocks, work, **how)

    work_through = run.work_through
    monkeypatch.setattr(run, "work_through", counted)
    monkeypatch.setattr(run, "available_cores", lambda: 3)
    for memory_bytes, most in ((1, 1), (10**15, 3)):
        monkeypatch.setattr(run, "machine_memory", lambda memory_bytes=memory_bytes: memory_bytes)
        recorder = Recorder()
        assert made(job, tmp_path / str(most), events=recorder) == expected
        assert threads.pop() == most
        assert any("as memory allows" in note for note in recorder.notes) == (most < 3)


def test_processes_share_the_windows_that_memory_allows(job, tmp_path, monkeypatch):
    threads = []

    def stopped(*_, **how):
        threads.append(how["threads"])
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "work_on_cluster", stopped)
    monkeypatch.setattr(run, "_cluster", nullcontext)
    monkeypatch.setattr(run, "available_cores", lambda: 8)
    for memory_bytes in (10**15, 1):
        monkeypatch.setattr(run, "machine_memory", lambda memory_bytes=memory_bytes: memory_bytes)
        with pytest.raises(KeyboardInterrupt):
            made(job, tmp_path / "a", replace(TORCH, workers=2))
    assert threads == [4, 1]


@pytest.mark.filterwarnings("ignore:The map is not exact")
def test_a_refiner_reads_the_scores_of_any_halo(network):
    image, refiner = ArrayScene(random_image((60, 90))), Model(small_refiner(), refiner_card())
    models = ScoreModels(Model(network, coarse_card()), refiner).reading(16)
    work = score_work(image, models, engine=EngineChoice("torch"), cut=Cut(48))
    results = [in_blocks(work, side)[0] for side in (48, 96)]
    assert np.array_equal(*results)
    exact = score_work(image, replace(models, coarse=models.exact), engine=EngineChoice("torch"), cut=Cut(48))
    assert not np.array_equal(in_blocks(exact, 96)[0], results[0])


def test_at_another_pixel_size_tiles_are_the_whole_too(network):
    """Tiles of rasters that are computed when read are as large as those of graphs."""
    image = random_image((80, 120))
    scene = ArrayScene(image, gsd=(0.5, 0.5))
    one = read_whole(coarse_scores(scene, Model(network, coarse_card())))[0]
    other = read_whole(coarse_scores(scene, Model(network, coarse_card()), cut=Cut(24)))[0]
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


# --- no bound ------------------------------------------------------------------------------------------------


class WholeMean(CoarseNetwork):
    """A network that pads and depends on all that it sees."""

    architecture = "whole-mean"

    def __init__(self, stride_px):
        super().__init__()
        self.bands, self.classes, self.arguments = 2, 3, {}
        self.train_margin_px, self.halo_px, self.stride_px, self.radius_px = 0, 0, stride_px, None
        self.shapes = set()

    def forward(self, image):
        self.shapes.add(tuple(image.shape[2:]))
        return image.mean((1, 2, 3), keepdim=True) + image[:, :1].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("stride_px", [8, 16, 32])
@pytest.mark.parametrize("shifted", [False, True])
def test_windows_of_blended_networks_are_multiples_of_the_stride(stride_px, shifted):
    network = WholeMean(stride_px)
    models = ScoreModels(Model(network, coarse_card()))
    scene, cut = ArrayScene(random_image((301, 1117))), Cut(shifted=shifted)
    work = score_work(scene, models, engine=EngineChoice("torch"), cut=cut)
    assert isinstance(work, StackedScores)
    assert "whole input" in work.blended
    scores, known = in_blocks(work, 512)
    assert known.all()
    assert np.isfinite(scores).all()
    assert {side % stride_px for shape in network.shapes for side in shape} == {0}
    assert len(network.shapes) == 1


@pytest.mark.parametrize(("decoder", "stride_px"), [("DeepLabV3", 8), ("DeepLabV3Plus", 16), ("FPN", 32)])
def test_decoders_that_look_at_the_whole_have_no_halo(decoder, stride_px):
    network = smp(2, 3, encoder="resnet18", decoder=decoder)
    assert (network.radius_px, network.halo_px, network.stride_px) == (None, 0, stride_px)


def test_maps_of_models_in_memory_say_that_they_are_blended(tmp_path):
    path = write_image(tmp_path / "scene.tif", (80, 90))
    model = Model(WholeMean(8), coarse_card(band_names=("red", "green")))
    with pytest.warns(CrispmapWarning, match="blended"), rasterio.open(path) as file:
        crispmap.predict(file.read([1, 2]), model, gsd_m=1.0)


# --- less halo -----------------------------------------------------------------------------------------------


def test_a_halo_is_rounded_up_to_the_stride(network):
    models = ScoreModels(Model(network, coarse_card()))
    for asked, found in ((0, 0), (1, 8), (8, 8), (9, 16)):
        less = models.reading(asked)
        assert less.coarse.network.halo_px == found
        assert less.exact is models.coarse
    assert models.reading(None) is models
    assert models.reading(network.radius_px) is models, "what is rounded up to the whole halo is exact"
    assert network.halo_px >= network.radius_px, "the network itself is left as it is"


@pytest.mark.parametrize(
    ("coarse", "halo_px"),
    [
        (lambda: unet_lite0(2, 3, depth=3, radius_px=56), 57),
        (lambda: fcn_rnn(2, 3), 8),
        (lambda: WholeMean(8), 8),
        (None, 8),
    ],
    ids=["beyond the radius", "valid convolutions", "no radius", "no network"],
)
def test_a_halo_that_a_network_cannot_read_is_refused(coarse, halo_px):
    models = ScoreModels(None if coarse is None else Model(coarse(), coarse_card()))
    with pytest.raises(InputError) as caught:
        models.reading(halo_px)
    assert caught.value.remedy == "leave out halo_px="


@pytest.mark.parametrize("halo_px", [-1, 8.0, True])
def test_a_halo_that_is_no_number_of_pixels_is_refused(halo_px):
    with pytest.raises(InputError) as caught:
        PredictOptions(halo_px=halo_px)
    assert repr(halo_px) in caught.value.given


def test_the_tags_tell_what_less_halo_costs(job, tmp_path):
    """Where the sample is the whole scene, what is told of it is what the two maps show."""
    job = replace(job, tile_px=152)
    made(job, tmp_path / "exact")
    with pytest.warns(CrispmapWarning, match="not exact") as told:
        made(replace(job, halo_px=3), tmp_path / "less")
    found = tags(tmp_path / "less" / "m.tif")[HALO_TAG]
    assert found in str(told[0].message)
    labels = [read(tmp_path / name / "m.tif")[0] for name in ("exact", "less")]
    scores = [read(tmp_path / name / "s.tif") for name in ("exact", "less")]
    valid = labels[0] != 255
    changed = (labels[0] != labels[1])[valid].mean()
    largest = np.abs(softmax(scores[0], axis=0) - softmax(scores[1], axis=0))[:, valid].max()
    assert changed > 0
    assert f"{changed:.3%} of the labels" in found
    assert f"up to {largest:.3f} " in found
    assert f"({valid.sum():,} pixels of 1 tiles tried)" in found
    assert found.startswith("8 px read around tiles, where the network depends on 72")
    saved = ((152 + 2 * 72) / (152 + 2 * 8)) ** 2  # the tile that suits the scene
    assert f"{saved:.2g} times fewer" in found


@pytest.mark.slow
def test_a_map_with_another_halo_is_another_job(job, tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    with pytest.warns(CrispmapWarning), pytest.raises(KeyboardInterrupt):
        made(replace(job, halo_px=8), tmp_path / "a", events=Recorder(stop))
    for halo_px in (None, 16):
        with pytest.raises(OutputError):
            made(replace(job, halo_px=halo_px), tmp_path / "a")
    with pytest.warns(CrispmapWarning):
        made(replace(job, halo_px=5), tmp_path / "a")  # as many pixels, once rounded
    made(job, tmp_path / "exact")
    made(replace(job, halo_px=RADIUS_PX), tmp_path / "full")
    jobs = [tags(tmp_path / name / "m.tif")[JOB_TAG] for name in ("a", "exact", "full")]
    assert jobs[0] != jobs[1] == jobs[2]
    assert HALO_TAG not in tags(tmp_path / "full" / "m.tif")


@pytest.mark.slow
def test_every_way_to_map_takes_a_halo(job, tmp_path):
    scene, model = job.scene.path, job.model
    done = CliRunner().invoke(
        app, ["predict", str(scene), "--model", str(model), "--halo", "8", "--out", str(tmp_path / "cli.tif"),
              "--engine", "torch"]
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "warning" in done.output
    with pytest.warns(CrispmapWarning, match="not exact"):
        crispmap.predict(scene, load_model(model), out=tmp_path / "memory.tif", halo_px=8)
    with pytest.warns(CrispmapWarning, match="not exact"):
        labels = crispmap.predict(read(scene), load_model(model), gsd_m=1.0, halo_px=8, nodata=0)
    assert (labels == read(tmp_path / "cli.tif")[0]).mean() > 0.999
    found = [tags(tmp_path / f"{name}.tif")[HALO_TAG] for name in ("cli", "memory")]
    assert all(text.startswith("8 px read around tiles") for text in found)


def test_the_command_refuses_a_halo_in_its_own_words(job, tmp_path):
    base = ["--out", str(tmp_path / "m.tif"), "--model"]
    for model, halo in ((job.model, "500"), (job.model, "-1"), (job.model.parent / "coarse.safetensors", "8")):
        done = CliRunner().invoke(app, ["predict", str(job.scene.path), *base, str(model), "--halo", halo])
        assert done.exit_code == 2, done.output
        assert "--halo" in done.output
    assert not (tmp_path / "m.tif").exists()


def test_a_trial_of_precisions_reads_no_halo(job, tmp_path, monkeypatch):
    seen = []
    work_of = OpenJob.work

    def work(self, *args, **more):
        seen.append((self.models.coarse.network.halo_px, self.job.tile_px))
        return work_of(self, *args, **more)

    monkeypatch.setattr(OpenJob, "work", work)
    monkeypatch.setattr("crispmap.inference.trial._OPENING_PX", 0)
    monkeypatch.setattr("crispmap.inference.trial._MOST_COST", 9)
    monkeypatch.setattr(EngineChoice, "faster_precisions", ("bfloat16",))
    predict_scenes([job.scene], model=job.model, outputs=Outputs(tmp_path / "m.tif"), options=PredictOptions("torch"))
    assert set(seen[:-1]) == {(0, 256)}
    assert seen[-1] == (72, None)
    assert tags(tmp_path / "m.tif")[PRECISION_TAG].startswith("float32")
    assert BLENDED_TAG not in tags(tmp_path / "m.tif")
