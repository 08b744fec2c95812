"""``crispmap import-caffe``: a file from Caffe becomes a model like any other, or nothing is written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from caffe_by_hand import Layer, caffe_maps, data_layer, encoded
from caffe_networks import boston, inria_fcn
from PIL import Image
from typer.testing import CliRunner, Result

from crispmap.cli.main import app
from crispmap.errors import InputError, ModelError, OutputError
from crispmap.models.file import load_model, read_card
from crispmap.project.import_caffe import import_caffe

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("one_thread")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in args])


@pytest.fixture
def caffemodel(tmp_path: Path) -> Path:
    path = tmp_path / "boston.caffemodel"
    path.write_bytes(encoded(boston(), data=data_layer(82, 16, 1 / 256)))
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Red, green and blue of 1 m."""
    values = np.random.default_rng(3).integers(0, 256, (3, 96, 120)).astype(np.uint8)
    grid = {"crs": "EPSG:32631", "transform": Affine(1, 0, 500_000, 0, -1, 5_000_000)}
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 96, "width": 120, "photometric": "RGB"}
    with rasterio.open(path, "w", **profile, **grid) as file:
        file.write(values)
    return path


def test_the_card_holds_what_the_file_tells(caffemodel: Path, tmp_path: Path) -> None:
    card = import_caffe(caffemodel, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors", kind="coarse")
    network, again = loaded.network, loaded.card
    assert again == card == read_card(tmp_path / "m.safetensors")
    assert card.schema.names == ("background", "building")
    assert (card.band_names, card.scaling.offset, card.scaling.scale) == (
        ("red", "green", "blue"), (127.0,) * 3, (256.0,) * 3,
    )  # fmt: skip
    assert (card.gsd_m, card.stride_px, card.radius_px) == (1.0, network.stride_px, network.radius_px)
    assert card.arguments["band_order"] == [2, 1, 0]
    assert card.provenance["network"] == "Boston FCN (IGARSS 2016)"
    assert "licence_of_weights" not in card.provenance  # these weights are not the published ones


def predict(scene: Path, model: Path, *options: str | Path) -> None:
    result = run("predict", scene, "--model", model, "--device", "cpu", *options)
    assert result.exit_code == 0, result.output


def test_the_map_is_the_same_whatever_the_blocks(caffemodel: Path, scene: Path, tmp_path: Path) -> None:
    import_caffe(caffemodel, tmp_path / "m.safetensors")
    maps = []
    for side in ("64", "256"):
        predict(scene, tmp_path / "m.safetensors", "--out", tmp_path / f"{side}.tif", "--block", side)
        with rasterio.open(tmp_path / f"{side}.tif") as file:
            maps.append(file.read(1))
    np.testing.assert_array_equal(*maps)
    assert set(np.unique(maps[0])) == {0, 1}


def test_scores_are_those_of_blue_green_red_less_the_mean(caffemodel: Path, scene: Path, tmp_path: Path) -> None:
    import_caffe(caffemodel, tmp_path / "m.safetensors")
    predict(scene, tmp_path / "m.safetensors", "--out", tmp_path / "map.tif", "--scores", tmp_path / "scores.tif")
    with rasterio.open(scene) as file:
        seen = (file.read()[::-1].astype(np.float64) - 127) / 256
    # Caffe's first score lies over pixel 33 of what it is given: here over pixel 36, a multiple of the stride.
    theirs = caffe_maps(boston(), seen[:, 3:, 3:])[0]
    with rasterio.open(tmp_path / "scores.tif") as file:
        scores = file.read()[:, 36:, 36:][:, : theirs.shape[0], : theirs.shape[1]]
    np.testing.assert_allclose(scores[1] - scores[0], theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_the_verb_tells_what_it_read(caffemodel: Path, tmp_path: Path) -> None:
    result = run("import-caffe", caffemodel, "--out", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.output
    assert "Boston FCN" in result.stdout
    assert "Next: crispmap predict" in result.stderr
    result = run("import-caffe", caffemodel, "--out", tmp_path / "m.safetensors", "--force", "--json", "--gsd-m", 0.8)
    facts = json.loads(result.stdout)
    assert (facts["gsd_m"], facts["layers"], facts["licence_of_weights"]) == (0.8, 8, None)
    result = run("info", tmp_path / "m.safetensors")
    assert result.exit_code == 0, result.output
    assert "conv1" in result.stdout


@pytest.mark.parametrize("keep", [0, 100, 1000, -1])
def test_a_damaged_file_exits_2_and_writes_nothing(caffemodel: Path, tmp_path: Path, keep: int) -> None:
    caffemodel.write_bytes(caffemodel.read_bytes()[:keep])
    before = sorted(tmp_path.iterdir())
    result = run("import-caffe", caffemodel, "--out", tmp_path / "m.safetensors")
    assert result.exit_code == 2, result.output
    assert str(caffemodel) in result.stderr.replace("\n", "")
    assert "Remedy" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_layers_that_make_no_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(encoded(boston()[:-1]))
    with pytest.raises(ModelError, match="does not hold a network"):
        import_caffe(path, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_network_that_is_not_known_needs_its_ground_sampling(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(encoded([Layer(**(vars(one) | {"name": f"{one.name}'"})) for one in inria_fcn()]))
    with pytest.raises(InputError, match="none of the four") as caught:
        import_caffe(path, tmp_path / "m.safetensors")
    assert "gsd_m=" in caught.value.remedy
    card = import_caffe(path, tmp_path / "m.safetensors", gsd_m=0.2)
    assert card.gsd_m == 0.2
    assert "network" not in card.provenance


@pytest.mark.parametrize("gsd_m", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ground_sampling_distance_is_above_zero(caffemodel: Path, tmp_path: Path, gsd_m: float) -> None:
    with pytest.raises(InputError, match="ground sampling distance"):
        import_caffe(caffemodel, tmp_path / "m.safetensors", gsd_m=gsd_m)


def test_an_existing_file_is_kept_unless_forced(caffemodel: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        import_caffe(caffemodel, out)
    assert out.read_text() == "mine"
    import_caffe(caffemodel, out, force=True)
    assert read_card(out).architecture == "caffe"


def test_the_file_is_not_written_over_itself(caffemodel: Path) -> None:
    before = caffemodel.read_bytes()
    with pytest.raises(OutputError):
        import_caffe(caffemodel, caffemodel, force=True)
    assert caffemodel.read_bytes() == before


# fewer pixels than the published maps have, so that the tests stay short
PART_PX = (512, 832)


@pytest.fixture(scope="module")
def imported(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four published networks as model files."""
    folder = tmp_path_factory.mktemp("published")
    for path in sorted((real_data / "published_weights").glob("*.caffemodel")):
        import_caffe(path, folder / f"{path.stem}.safetensors")
    return folder


@pytest.mark.realdata
def test_the_published_networks_are_known(imported: Path) -> None:
    cards = {path.stem: read_card(path) for path in imported.iterdir()}
    facts = {
        name: (card.gsd_m, card.scaling.offset[0], card.scaling.scale[0], card.stride_px, card.radius_px)
        for name, card in cards.items()
    }
    assert facts == {
        "boston_fullyconv": (1.0, 127.0, 256.0, 4, 36),
        "inria_fcn": (0.3, 0.0, 1.0, 32, 168),
        "inria_mlp": (0.3, 0.0, 1.0, 32, 170),
        "pleiades_twoscales": (0.5, 127.0, 256.0, 8, 52),
    }
    assert all(card.provenance["licence_of_weights"].startswith("CC BY-NC-SA") for card in cards.values())


@pytest.mark.realdata
def test_boston_agrees_with_the_authors_own_map(imported: Path, real_data: Path) -> None:
    loaded = load_model(imported / "boston_fullyconv.safetensors")
    network, _ = loaded.network, loaded.card
    height, width = PART_PX
    with Image.open(real_data / "boston3" / "fullyconv_image_with_context.png") as file:
        image = np.asarray(file, np.float32)[: height + 66, : width + 66].transpose(2, 0, 1)
    with Image.open(real_data / "boston3" / "fullyconv_softClassif.png") as file:
        theirs = np.asarray(file)[:height, :width] / 255
    with torch.inference_mode():
        ours = network(torch.from_numpy((image - 127) / 256)[None]).softmax(1)[0, 1].numpy()
    assert ((ours >= 0.5) == (theirs >= 0.5)).mean() >= 0.955
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= 0.975


@pytest.fixture
def forez(real_data: Path, tmp_path: Path) -> Path:
    """A part of the Pleiades image, of 0.5 m, with a georeference."""
    with Image.open(real_data / "pleiades_forez" / "forez_rgb.tif") as file:
        image = np.asarray(file)[600:900, 300:600]
    grid = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 300, "width": 300}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **grid) as file:
        file.write(image.transpose(2, 0, 1))
    return tmp_path / "scene.tif"


def check_houses_found(scene: Path, buildings: Path) -> None:
    """Without a reference: tiled roofs are the red of the picture, and lie where buildings are found."""
    with rasterio.open(buildings) as file:
        building = file.read(1) == 1
    with rasterio.open(scene) as file:
        red, green, blue = file.read().astype(float)
    tiled = red > 1.15 * np.maximum(green, blue)
    assert 0.03 < building.mean() < 0.25
    assert tiled[building].mean() > 4 * tiled[~building].mean()


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["inria_fcn", "pleiades_twoscales"])
def test_the_other_networks_find_the_houses(name: str, imported: Path, forez: Path, tmp_path: Path) -> None:
    predict(forez, imported / f"{name}.safetensors", "--out", tmp_path / "map.tif")
    check_houses_found(forez, tmp_path / "map.tif")


@pytest.mark.realdata
def test_the_tutorial_finds_the_houses(real_data: Path, forez: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the tutorial as they stand there."""
    weights = (real_data / "published_weights" / "inria_mlp.caffemodel").read_bytes()
    (forez.parent / "inria_mlp.caffemodel").write_bytes(weights)
    monkeypatch.chdir(forez.parent)
    page = (ROOT / "docs" / "buildings-in-one-minute.md").read_text(encoding="utf-8")
    commands = re.findall(r"^crispmap ((?:import-caffe|predict) .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for line in commands:
        result = run(*shlex.split(line))
        assert result.exit_code == 0, result.output
    check_houses_found(forez, forez.parent / "buildings.tif")
