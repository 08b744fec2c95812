"""A data set of a folder of images for each class: what is learned from, mapped and scored, and what is refused."""

import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from crispmap.errors import CrispmapWarning, LabelError, SceneError, TrainingError
from crispmap.project import inputs as inputs_module
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.project.preflight import TrainingPreflight
from crispmap.project.results import evaluate_project
from crispmap.project.run import COARSE, predict_project, train_project

LOOKS = {"forest": 40, "sand": 200, "water": 90}
COUNT = 10
PROJECT = """\
crispmap: 2
name: classes
seed: 1
dataset: {path: images, layout: class-folders}
coarse:
  {kind: cerranet, square_px: 64, width: 8, max_steps: 150, batch: 8, learning_rate: 0.003}
output: {folder: results}
"""


def write(path, shape=(64, 64), *, bands=2, value=100.0, seed=0, placed=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.clip(np.random.default_rng(seed).normal(value, 12, (bands, *shape)), 0, 255).astype(np.uint8)
    left = 3e5 + 2e3 * hash(path.stem) % 40 + 1e5 * len(path.parent.name)
    place = {"crs": "EPSG:32722", "transform": Affine(10, 0, left + 4e3 * seed, 0, -10, 7.5e6)} if placed else {}
    size = {"driver": "GTiff", "dtype": "uint8", "count": bands, "height": shape[0], "width": shape[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **size, **place) as file:
            file.write(image)


@pytest.fixture
def project(tmp_path):
    """Three classes of images of several sizes, and files of other kinds."""
    for number in range(COUNT):
        for name, value in LOOKS.items():
            shape = (64 + 5 * (number % 4), 64 + 9 * (number % 3))
            write(tmp_path / f"images/{name}/{number}.tif", shape, value=value, seed=number)
    (tmp_path / "images/readme.txt").write_text("x")
    (tmp_path / "images/water/notes.txt").write_text("x")
    (tmp_path / "images/water/._1.tif").write_text("x")
    (tmp_path / "images/.hidden").mkdir()
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT)
    return path


def test_classes_are_the_folders_and_shares_are_of_every_class(project):
    loaded = load_project(project)
    assert loaded.schema.names == ("forest", "sand", "water")
    with open_sources(loaded) as sources:
        pieces = {role: sources.pieces(role) for role in ("coarse", "coarse validation", "test")}
    assert sum(map(len, pieces.values())) == len(LOOKS) * COUNT
    for role, each in (("coarse", 7), ("coarse validation", 1), ("test", 2)):
        counts = dict.fromkeys(LOOKS, 0)
        for piece in pieces[role]:
            labels = piece.read_labels(piece.area.block)
            name = piece.scene.split("-")[0]
            assert (labels == sorted(LOOKS).index(name)).all()
            assert labels.shape == piece.image.grid.shape
            counts[name] += 1
        assert set(counts.values()) == {each}


@pytest.mark.slow
def test_a_classifier_learns_from_folders_and_is_scored_by_the_square(project):
    train_project(project)
    results = predict_project(project)
    assert len(results) == 6  # the images to test on
    confusion = evaluate_project(project).methods[COARSE].confusion
    np.testing.assert_array_equal(confusion.counts > 0, np.eye(3, dtype=bool))
    with open_sources(load_project(project)) as sources:
        shapes = [piece.image.grid.shape for piece in sources.pieces("test")]
    assert confusion.valid_px == sum(((h + 31) // 64) * ((w + 31) // 64) for h, w in shapes)


def test_large_folders_are_read_on_demand_and_know_their_contents(project, monkeypatch):
    monkeypatch.setattr(inputs_module, "MOST_LOADED_PX", 1)
    with open_sources(load_project(project)) as sources:
        digests = [piece.digest for piece in sources.pieces("coarse")]
    assert len(set(digests)) == len(digests) == 7 * len(LOOKS)
    assert None not in digests
    project.write_text(project.read_text().replace("max_steps: 150", "max_steps: 2"))
    train_project(project)


def test_folders_for_training_and_test_keep_their_roles(project):
    images = project.parent / "images"
    for number in range(COUNT):
        for name in LOOKS:
            part = ("train", "val", "test")[min(number // 3, 2)]
            (images / part / name).mkdir(parents=True, exist_ok=True)
            (images / name / f"{number}.tif").rename(images / part / name / f"{number}.tif")
    with open_sources(load_project(project)) as sources:
        found = {role: len(sources.pieces(role)) for role in ("coarse", "coarse validation", "test")}
    assert found == {"coarse": 9, "coarse validation": 9, "test": 12}


def empty_class(images):
    (images / "city").mkdir()


def one_class(images):
    for name in ("sand", "water"):
        (images / name).rename(images.parent / name)


def corrupt(images):
    (images / "sand/3.tif").write_bytes((images / "sand/3.tif").read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (empty_class, LabelError, "city has no image"),
        (one_class, LabelError, "1 folder of images"),
        (corrupt, SceneError, "3.tif"),
        (lambda images: write(images / "sand/11.tif", bands=3), SceneError, "11.tif has 3 bands"),
    ],
)
def test_folders_that_cannot_be_learned_from_are_refused(project, spoil, error, text):
    spoil(project.parent / "images")
    with pytest.raises(error, match=text):
        load_project(project)


def test_damaged_images_are_left_out_where_that_is_asked_for(project):
    corrupt(project.parent / "images")
    project.write_text(project.read_text().replace("class-folders}", "class-folders, damaged: skip}"))
    with pytest.warns(CrispmapWarning, match="left out"):
        assert len(load_project(project).scenes) == 3 * COUNT - 1


def test_folders_of_no_class_are_told_of(project):
    classes = "classes: [{name: forest, colour: '#00ff00'}, {name: water, colour: '#0000ff'}]\n"
    project.write_text(project.read_text() + classes)
    with pytest.warns(CrispmapWarning, match=r"no class: sand \(10 images\)"):
        loaded = load_project(project)
    with open_sources(loaded) as sources:
        labels = [np.unique(one.read_labels(one.area.block)).tolist() for one in sources.pieces("coarse")]
    assert sorted(map(tuple, labels)) == [(0,)] * 7 + [(1,)] * 7 + [(255,)] * 7
    project.write_text(project.read_text().replace("class-folders}", "class-folders, unknown: error}"))
    with pytest.raises(LabelError, match="sand"):
        load_project(project)


def test_images_smaller_than_a_square_are_refused(project):
    write(project.parent / "images/sand/11.tif", (64, 40), seed=11)
    project.write_text(
        project.read_text().replace(
            "class-folders}", "class-folders, split: {validation: [forest-1, sand-1, water-1]}}"
        )
    )
    loaded = load_project(project)
    with open_sources(loaded) as sources, pytest.raises(TrainingError, match="64 x 40"):
        TrainingPreflight(sources).check_coarse(loaded)
