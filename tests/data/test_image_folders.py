"""A folder of images for each class: what is learned from, what is held out, and what is refused."""

import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

import crispmap
from crispmap.errors import GeoreferenceWarning, InputError, LabelError, SceneError, TrainingError
from crispmap.project.dataset import Dataset

LOOKS = {"forest": 40, "sand": 200, "water": 90}


def write(path, shape=(64, 64), *, bands=2, value=100.0, gsd_m=10.0, placed=True, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.clip(np.random.default_rng(seed).normal(value, 12, (bands, *shape)), 0, 255).astype(np.uint8)
    place = {"crs": "EPSG:32722", "transform": Affine(gsd_m, 0, 3e5, 0, -gsd_m, 7.5e6)} if placed else {}
    driver = {".png": "PNG", ".tif": "GTiff"}[path.suffix]
    size = {"count": bands, "height": shape[0], "width": shape[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver=driver, dtype="uint8", **size, **place) as file:
            file.write(image)


@pytest.fixture
def folder(tmp_path):
    """Three classes of images of several sizes; files of other kinds are no images."""
    for number in range(6):
        for name, value in LOOKS.items():
            write(tmp_path / name / f"{number}.tif", (64 + 5 * number, 64 + 9 * (number % 3)), value=value, seed=number)
    (tmp_path / "readme.txt").write_text("x")
    (tmp_path / "water/notes.txt").write_text("x")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_classes_are_the_folders_and_every_image_has_one_role(folder):
    data = Dataset.from_class_folders(folder, validation=0.3)
    assert data.schema.names == ("forest", "sand", "water")
    learned, held = data.pieces("coarse"), data.pieces("coarse validation")
    assert {piece.scene for piece in (*learned, *held)} == {f"{name}/{n}.tif" for name in LOOKS for n in range(6)}
    assert len(learned) + len(held) == 18
    for pieces, each in ((learned, 4), (held, 2)):
        counts = {name: sum(piece.scene.startswith(name) for piece in pieces) for name in LOOKS}
        assert set(counts.values()) == {each}
    for piece in learned:
        labels = piece.read_labels(piece.area.block)
        assert (labels == sorted(LOOKS).index(piece.scene.split("/")[0])).all()
        assert labels.shape == piece.image.grid.shape
    assert data.pieces("test") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.99]))
def test_some_of_every_class_is_learned_and_some_held_out_whatever_the_share(folder, seed, share):
    data = Dataset.from_class_folders(folder, validation=share, seed=seed)
    for role, least in (("coarse", 1), ("coarse validation", int(share > 0))):
        for name in LOOKS:
            assert sum(piece.scene.startswith(name) for piece in data.pieces(role)) >= least


def test_a_classifier_learns_from_folders_and_maps_scenes(folder, tmp_path):
    data = Dataset.from_class_folders(folder)
    coarse = {"kind": "cerranet", "square_px": 64, "width": 8, "max_steps": 150, "learning_rate": 3e-3, "batch": 8}
    model = crispmap.train(data, tmp_path / "models", coarse=coarse)["coarse"]
    assert model.card.provenance["validation_mean_iou"] == 1.0
    assert model.card.gsd_m == pytest.approx(10, rel=1e-2)
    rows = [np.random.default_rng(3).normal(value, 12, (2, 64, 192)) for value in (90, 40, 200)]
    scene = np.concatenate(rows, axis=1).astype(np.float32)
    found = crispmap.predict(scene, model, transform=Affine(10, 0, 3e5, 0, -10, 7.5e6), crs="EPSG:32722")
    np.testing.assert_array_equal(found, np.kron([[2], [0], [1]], np.ones((64, 192))))


def test_images_are_resampled_to_a_pixel_size_that_is_asked_for(folder):
    (piece, *_) = Dataset.from_class_folders(folder).pieces("coarse", gsd_m=20.0)
    x, y = piece.image.grid.gsd_m()
    assert (x, y) == pytest.approx((20, 20), rel=1e-3)
    assert piece.read_labels(piece.area.block).shape == piece.image.grid.shape


def test_images_without_georeference_have_the_pixel_size_that_is_said(tmp_path):
    for name in ("a", "b"):
        for number in range(2):
            write(tmp_path / name / f"{number}.png", bands=3, placed=False)
    with pytest.warns(GeoreferenceWarning, match="4 images of 4"):
        assert Dataset.from_class_folders(tmp_path).gsd_m == 1.0
    assert Dataset.from_class_folders(tmp_path, assume_gsd_m=2.5).gsd_m == 2.5


def empty_class(folder):
    (folder / "city").mkdir()


def one_class(folder):
    for name in ("sand", "water"):
        (folder / name).rename(folder.parent / f"{folder.name} {name}")


def corrupt(folder):
    (folder / "sand/3.tif").write_bytes((folder / "sand/3.tif").read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (empty_class, LabelError, "city has no image"),
        (one_class, LabelError, "1 folder of images"),
        (corrupt, SceneError, "3.tif"),
        (lambda folder: write(folder / "sand/9.tif", bands=3), SceneError, "9.tif has 3 bands"),
        (lambda folder: write(folder / "sand/9.tif", gsd_m=5.0), SceneError, "9.tif has pixels of 5"),
    ],
)
def test_folders_that_cannot_be_learned_from_are_refused(folder, spoil, error, text):
    spoil(folder)
    with pytest.raises(error, match=text):
        Dataset.from_class_folders(folder)


def test_a_path_that_is_no_folder_and_a_share_out_of_range_are_refused(folder):
    for path in (folder / "sand/1.tif", folder / "missing"):
        with pytest.raises(LabelError, match="is no folder"):
            Dataset.from_class_folders(path)
    for share in (1, -0.1, "a"):
        with pytest.raises(InputError, match="validation"):
            Dataset.from_class_folders(folder, validation=share)


def test_images_smaller_than_a_square_are_refused(folder, tmp_path):
    write(folder / "sand/9.tif", (64, 40))
    with pytest.raises(TrainingError, match="64 x 40"):
        crispmap.train(
            Dataset.from_class_folders(folder, validation=0.01), tmp_path / "m",
            coarse={"kind": "cerranet", "square_px": 64, "width": 1, "max_steps": 1},
        )  # fmt: skip
