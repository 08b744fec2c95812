"""The public door: arrays and DataArrays give the same kind, files give files, and all give the same values."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import torch
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import crispmap
from crispmap.errors import (
    CrispmapError,
    GeoreferenceWarning,
    GridError,
    InputError,
    LabelError,
    ModelError,
    OutputError,
    SceneError,
    SchemaError,
)
from crispmap.models.scaling import Scaling
from small_project import PROJECT, make_project

pytestmark = pytest.mark.filterwarnings("ignore:The validation data of the refiner")  # its strip holds no road

CLASSES = ["background", "building", "road"]
TRAINED = f"""\
{PROJECT}\
coarse: {{kind: fcn-rnn, max_steps: 6, batch: 2, patch_px: 16}}
refiner: {{iterations: 2, max_steps: 6, batch: 2, patch_px: 16}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with trained models."""
    path = tmp_path_factory.mktemp("hamlet")
    make_project(path, TRAINED)
    models = crispmap.train(str(path))
    assert list(models) == ["coarse", "refiner"]
    return path


@pytest.fixture(scope="module")
def models(folder: Path) -> tuple[Any, Any]:
    return tuple(crispmap.load_model(str(folder / f"hamlet/{name}.safetensors")) for name in ("coarse", "refiner"))  # type: ignore[return-value]


def pixels_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def test_everything_in_all_is_there_and_nothing_else() -> None:
    assert sorted(crispmap.__all__) == dir(crispmap)
    for name in crispmap.__all__:
        assert getattr(crispmap, name) is not None
    with pytest.raises(AttributeError):
        crispmap.predicted  # noqa: B018


def test_importing_it_loads_neither_torch_nor_rasterio_nor_xarray() -> None:
    code = "import crispmap, sys; print({'torch', 'rasterio', 'xarray', 'geopandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_examples_in_the_docstring_run() -> None:
    found = doctest.testmod(crispmap)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_file_an_array_and_a_data_array_have_the_same_map(folder: Path, models: tuple[Any, Any]) -> None:
    scene, names = folder / "scene.tif", [folder / f"hamlet/{name}.safetensors" for name in ("coarse", "refiner")]
    out = crispmap.predict(str(scene), str(names[0]), str(names[1]), out=str(folder / "map.tif"), force=True)
    assert out == folder / "map.tif"
    expected = pixels_of(out)[0]
    with rasterio.open(scene) as file:
        array, crs, transform = file.read(), file.crs, file.transform
    found = crispmap.predict(array, *models, crs=crs, transform=transform)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected)
    with rioxarray.open_rasterio(scene) as data:
        mapped = crispmap.predict(data, *models)
    assert isinstance(mapped, xr.DataArray)
    assert mapped.rio.crs == crs
    assert mapped.rio.transform() == transform
    np.testing.assert_array_equal(mapped.to_numpy(), expected)
    own = crispmap.predict(scene, *models, out=folder / "own.tif", force=True)
    np.testing.assert_array_equal(pixels_of(own)[0], expected)
    with crispmap.open_scene(scene) as opened:
        np.testing.assert_array_equal(crispmap.predict(opened, *models), expected)


def test_scores_refined_from_an_array_are_those_of_network_and_refiner(folder: Path, models: tuple[Any, Any]) -> None:
    array = pixels_of(folder / "scene.tif")
    coarse = crispmap.predict(array, models[0], output="scores", gsd_m=1.0)
    assert coarse.dtype == np.float32
    assert coarse.shape == (3, 160, 160)
    both = crispmap.predict(array, *models, output="scores", gsd_m=1.0)
    np.testing.assert_allclose(crispmap.refine(coarse, array, models[1], output="scores", gsd_m=1.0), both, atol=1e-3)
    shares = np.exp(coarse - np.logaddexp.reduce(coarse, axis=0)).astype(np.float32)
    for values, options in ((shares, {}), (100 * shares, {}), (70 * shares, {"full_scale": 70})):
        found = crispmap.refine(values, array, models[1], gsd_m=1.0, **options)
        assert (found == crispmap.refine(coarse - coarse.mean(axis=0), array, models[1], gsd_m=1.0)).mean() > 0.99
    with pytest.raises(SceneError):
        crispmap.refine(70 * shares, array, models[1], gsd_m=1.0)
    with rioxarray.open_rasterio(folder / "scene.tif") as data:
        scores = crispmap.predict(data, models[0], output="scores")
        assert list(scores.coords["band"].to_numpy()) == CLASSES
        refined = crispmap.refine(scores, data, models[1])
    np.testing.assert_array_equal(refined.to_numpy(), both.argmax(0))
    scores.rio.to_raster(folder / "scores.tif")
    files = (folder / "scores.tif", folder / "scene.tif", folder / "hamlet/refiner.safetensors")
    out = crispmap.refine(*files, out=folder / "refined.tif", force=True)
    np.testing.assert_array_equal(pixels_of(out)[0], both.argmax(0))


def test_maps_carry_their_classes_from_one_function_to_the_next(folder: Path, models: tuple[Any, Any]) -> None:
    with rioxarray.open_rasterio(folder / "scene.tif") as data:
        mapped = crispmap.predict(data, *models)
    assert list(crispmap.area(mapped)) == CLASSES
    assert crispmap.evaluate(mapped, folder / "precise.tif").class_names == tuple(CLASSES)
    out = crispmap.predict(folder / "scene.tif", *models, out=folder / "carried.tif", force=True)
    with rioxarray.open_rasterio(out, masked=True) as read:
        assert crispmap.area(read) == pytest.approx(crispmap.area(out))


def test_only_the_area_given_is_scored(folder: Path) -> None:
    files = [folder / "imprecise.tif", folder / "precise.tif"]
    maps = [pixels_of(path)[0][0:160, 120:160] for path in files]
    expected = crispmap.evaluate(*maps, classes=CLASSES, gsd_m=1 / 0.9996).confusion.counts
    found = crispmap.evaluate(*files, classes=CLASSES, area=(0, 120, 160, 40))
    np.testing.assert_array_equal(found.confusion.counts, expected)
    with rioxarray.open_rasterio(files[0]) as data:
        mixed = crispmap.evaluate(data, files[1], classes=CLASSES, area=(0, 120, 160, 40))
    np.testing.assert_array_equal(mixed.confusion.counts, expected)


@pytest.mark.parametrize("function", ["area", "evaluate", "vectorize", "predict", "refine", "train"])
def test_unknown_keywords_are_refused_by_name(folder: Path, models: tuple[Any, Any], function: str) -> None:
    image, mask = pixels_of(folder / "scene.tif"), np.zeros((160, 160), np.uint8)
    first = {
        "evaluate": (mask, mask),
        "predict": (image, models[0]),
        "refine": (image, image, models[1]),
        "train": (folder,),
    }
    with pytest.raises(TypeError, match="unit"):
        getattr(crispmap, function)(*first.get(function, (mask,)), unit="km2")


@pytest.mark.parametrize("function", [crispmap.area, crispmap.vectorize])
def test_a_georeference_beside_a_file_is_refused(folder: Path, function: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="gsd_m"):
        function(folder / "precise.tif", classes=CLASSES, gsd_m=1.0)


def test_a_transform_without_a_crs_is_warned_about() -> None:
    with pytest.warns(GeoreferenceWarning):
        crispmap.area(np.zeros((4, 4), np.uint8), classes=CLASSES, transform=Affine(2, 0, 0, 0, -2, 0))


def labelled(**changes: Any) -> xr.DataArray:
    """A class map as a DataArray: the top row is of class 1."""
    values = np.zeros((4, 4), np.uint8)
    values[0] = 1
    coords = {"y": 5e6 - 10.0 * np.arange(4), "x": 5e5 + 10.0 * np.arange(4), **changes}
    return xr.DataArray(values, dims=("y", "x"), coords=coords).rio.write_crs("EPSG:32631")


@pytest.mark.filterwarnings("ignore:A random map")  # on 16 pixels everything is near an outline
def test_axes_of_data_arrays_are_known_by_name() -> None:
    one, two = labelled(), CLASSES[:2]
    assert crispmap.evaluate(one, one.transpose("x", "y"), classes=two).mean_iou == 1
    turned, plain = (crispmap.vectorize(array, classes=two) for array in (one.transpose("x", "y"), one))
    np.testing.assert_array_equal(turned.total_bounds, plain.total_bounds)
    assert crispmap.area(one[:1], classes=two)[two[1]] == pytest.approx(400, rel=0.01)
    assert crispmap.evaluate(one, one.sortby("y"), classes=two).mean_iou == 1
    assert crispmap.evaluate(one.sortby("y"), one, classes=two).mean_iou == 1
    lonlat = one.rename(y="lat", x="lon")
    assert crispmap.area(lonlat, classes=two) == crispmap.area(one, classes=two)


@pytest.mark.parametrize(
    "other",
    [
        labelled(x=6e5 + 10.0 * np.arange(4)), labelled().rio.write_crs("EPSG:32632"),
        labelled(x=np.array([0.0, 10, 20, 1000])),
    ],
    ids=["elsewhere", "another CRS", "uneven"],
)  # fmt: skip
def test_data_arrays_on_other_pixels_are_refused(other: xr.DataArray) -> None:
    with pytest.raises(GridError):
        crispmap.evaluate(labelled(), other, classes=CLASSES[:2])


def test_nodata_and_masked_pixels_have_no_class_and_no_score(models: tuple[Any, Any]) -> None:
    two = CLASSES[:2]
    assert crispmap.area(labelled().rio.write_nodata(0), classes=two)[two[0]] == 0
    values = labelled().to_numpy()
    assert crispmap.area(np.ma.array(values, mask=values == 1), classes=two, gsd_m=1.0)[two[1]] == 0
    image = np.random.default_rng(0).integers(1, 255, (3, 40, 40), dtype=np.uint8)
    mask = np.zeros(image.shape, bool)
    mask[:, :9] = True
    found = crispmap.predict(np.ma.array(image, mask=mask), models[0], gsd_m=1.0)
    np.testing.assert_array_equal(found == 255, mask[0])


def test_a_scene_is_never_written_over(folder: Path, models: tuple[Any, Any], tmp_path: Path) -> None:
    copy = tmp_path / "scene.tif"
    copy.write_bytes((folder / "scene.tif").read_bytes())
    with pytest.raises(OutputError):
        crispmap.predict(copy, models[0], out=copy, force=True)
    assert copy.read_bytes() == (folder / "scene.tif").read_bytes()


def test_data_arrays_have_an_accessor(folder: Path, models: tuple[Any, Any]) -> None:
    import crispmap.xarray

    with rioxarray.open_rasterio(folder / "scene.tif") as data:
        mapped = data.crispmap.predict(*models)
        np.testing.assert_array_equal(mapped, crispmap.predict(data, *models))
    assert mapped.crispmap.area(CLASSES) == crispmap.area(mapped, classes=CLASSES)
    assert len(mapped.crispmap.vectorize(CLASSES)) == len(crispmap.vectorize(mapped, classes=CLASSES))


def test_invalid_pixels_of_a_data_array_are_255(folder: Path, models: tuple[Any, Any]) -> None:
    with rioxarray.open_rasterio(folder / "scene.tif") as data:
        floats = data.astype("float32")
    floats[:, 10:20, 30:50] = np.nan
    found = crispmap.predict(floats, models[0]).to_numpy()
    expected = np.zeros((160, 160), bool)
    expected[10:20, 30:50] = True
    np.testing.assert_array_equal(found == 255, expected)
    marked = data.copy()
    marked[:, 10:20, 30:50] = 0
    marked = marked.where(marked != 0, 0).rio.write_nodata(0)
    assert (crispmap.predict(marked, models[0]).to_numpy()[10:20, 30:50] == 255).all()


def test_figures_are_those_of_files(folder: Path) -> None:
    files = [folder / "imprecise.tif", folder / "precise.tif"]
    arrays = [pixels_of(path)[0] for path in files]
    by_file = crispmap.evaluate(*files, classes=CLASSES)
    by_array = crispmap.evaluate(*arrays, classes=CLASSES, gsd_m=1 / 0.9996)  # the scale of the zone's middle
    np.testing.assert_array_equal(by_file.confusion.counts, by_array.confusion.counts)
    with rioxarray.open_rasterio(files[0]) as data:
        mixed = crispmap.evaluate(data, files[1], classes=CLASSES)
    assert mixed.mean_iou == by_file.mean_iou
    np.testing.assert_array_equal(mixed.boundary_f1, by_file.boundary_f1)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 50), st.integers(0, 2**32 - 1))
def test_areas_add_up_to_the_pixels_that_have_a_class(height: int, width: int, gsd_m: float, seed: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    found = crispmap.area(labels, classes=CLASSES, gsd_m=gsd_m)
    for index, name in enumerate(CLASSES):
        assert found[name] == pytest.approx((labels == index).sum() * gsd_m**2)


def test_areas_and_polygons_of_a_file_and_an_array_agree(folder: Path, tmp_path: Path) -> None:
    schema = crispmap.ClassSchema(
        tuple(crispmap.ClassDef(n, c) for n, c in zip(CLASSES, ("#cccccc", "#d7191c", "#2b83ba"), strict=True))
    )
    with rioxarray.open_rasterio(folder / "precise.tif") as data:
        polygons = crispmap.vectorize(data, classes=schema)
        areas = crispmap.area(data, classes=schema)
    assert isinstance(polygons, gpd.GeoDataFrame)
    for name in CLASSES[1:]:
        assert polygons[polygons.class_name == name].area_m2.sum() == pytest.approx(areas[name], rel=1e-6)
    assert areas == pytest.approx(crispmap.area(folder / "precise.tif", classes=schema))
    written = crispmap.vectorize(str(folder / "precise.tif"), str(tmp_path / "p.gpkg"))
    assert len(gpd.read_file(written, layer=written.stem)) == len(polygons)


class Blur(nn.Module):
    """Scores that are means over a window: padded, or not."""

    def __init__(self, classes: int = 3, radius: int = 2, *, padded: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 2 * radius + 1, padding=radius if padded else 0)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


@pytest.mark.parametrize("padded", [True, False])
def test_a_module_of_ones_own_maps_as_on_the_whole_image(folder: Path, padded: bool) -> None:
    torch.manual_seed(0)
    module = Blur(padded=padded)
    schema = crispmap.ClassSchema(tuple(crispmap.ClassDef(name, f"#00000{i}") for i, name in enumerate(CLASSES)))
    model = crispmap.coarse_model(
        module, classes=schema, bands=["red", "green", "blue"], gsd_m=1.0, radius_px=2,
        scaling=Scaling((100.0,) * 3, (50.0,) * 3),
    )  # fmt: skip
    array = pixels_of(folder / "scene.tif")
    found = crispmap.predict(array, model, output="scores", gsd_m=1.0)
    image = np.pad((array.astype(np.float32) - 100) / 50, ((0, 0), (2, 2), (2, 2)), mode="symmetric")
    with torch.inference_mode():
        whole = torch.nn.functional.conv2d(torch.from_numpy(image)[None], module.conv.weight, module.conv.bias)[0]
    np.testing.assert_allclose(found, whole.numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ("module", "changes", "offending"),
    [
        (Blur(classes=4), {}, "(1, 4, "),
        (Blur(radius=5), {}, "radius_px is 2"),
        (nn.Conv2d(4, 3, 1), {}, "(1, 3, "),
        (nn.Sequential(Blur(), nn.Flatten()), {}, "module gives"),
        (nn.Sequential(Blur(), nn.AvgPool2d(2)), {}, "radius_px is 2"),
        (nn.Sequential(Blur(), nn.ConstantPad2d(1, 0.0)), {}, "module gives"),
        (Blur(), {"stride_px": 0}, "stride_px is 0"),
        (lambda image: image, {}, "module is 'function'"),
    ],
)
def test_a_module_that_does_not_fit_its_card(module: nn.Module, changes: dict[str, Any], offending: str) -> None:
    schema = crispmap.ClassSchema(tuple(crispmap.ClassDef(name, f"#00000{i}") for i, name in enumerate(CLASSES)))
    with pytest.raises(ModelError) as caught:
        crispmap.coarse_model(module, classes=schema, bands=["r", "g", "b"], gsd_m=1.0, radius_px=2, **changes)
    assert offending in caught.value.given


def test_models_train_from_arrays(folder: Path, tmp_path: Path) -> None:
    image, mask = pixels_of(folder / "scene.tif"), pixels_of(folder / "precise.tif")[0]
    data = crispmap.Dataset.from_arrays([image, image[:, :, ::-1]], [mask, mask[:, ::-1]], classes=CLASSES, gsd_m=1.0)
    settings_of = {"max_steps": 4, "batch": 2, "patch_px": 16}
    network = {"kind": "fcn-rnn", **settings_of}
    made = crispmap.train(data, tmp_path / "models", coarse=network, refiner={"kind": "rnn", **settings_of})
    assert (made["coarse"].card.kind, made["refiner"].card.kind) == ("coarse", "refiner")
    again = crispmap.train(data, tmp_path / "again", coarse=network)["coarse"].network.state_dict()
    first = made["coarse"].network.state_dict()
    assert all(bool((again[name] == first[name]).all()) for name in first)
    crispmap.predict(image, made["coarse"], made["refiner"], gsd_m=1.0)
    start = tmp_path / "models" / "coarse.safetensors"
    after = crispmap.train(data, tmp_path / "on", coarse=network, finetune={"max_steps": 2}, start=start)
    assert list(after) == ["coarse", "finetuned"]
    assert after["coarse"].card.provenance["started_from"]
    assert after["finetuned"].card.provenance["settings"]["max_steps"] == 2


def test_a_dataset_and_a_model_show_what_they_are(folder: Path, models: tuple[Any, Any]) -> None:
    with crispmap.Dataset.open(folder) as data:
        text = repr(data)
        for part in ("building", "coarse: 1 piece, 12,800 pixels", "test: 1 piece, 6,400 pixels"):
            assert part in text
        assert "<table>" in data._repr_html_()
    assert "fcn-rnn" in repr(models[0])
    assert "building" in models[1]._repr_html_()


def test_nothing_is_printed(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image, mask = pixels_of(folder / "scene.tif"), pixels_of(folder / "precise.tif")[0]
    data = crispmap.Dataset.from_arrays([image], [mask], classes=CLASSES, gsd_m=1.0)
    crispmap.train(data, tmp_path, coarse={"kind": "fcn-rnn", "max_steps": 2, "batch": 2, "patch_px": 16})
    crispmap.predict(folder / "scene.tif", tmp_path / "coarse.safetensors", out=tmp_path / "m.tif")
    assert capfd.readouterr() == ("", "")


IMAGE = np.zeros((3, 40, 30), np.uint8)
MASK = np.zeros((40, 30), np.uint8)
PLACE = Affine(1, 0, 0, 0, -1, 0)


def dataset(images: list[np.ndarray], masks: list[np.ndarray]) -> crispmap.Dataset:
    return crispmap.Dataset.from_arrays(images, masks, classes=CLASSES, gsd_m=1.0)


D = Callable[[Path, Any], object]


@pytest.mark.parametrize(
    ("call", "error", "offending"),
    [
        (lambda f, m: crispmap.predict(IMAGE, m), InputError, "no georeference"),
        (lambda f, m: crispmap.predict(IMAGE[None], m, gsd_m=1.0), InputError, "(1, 3, 40, 30)"),
        (lambda f, m: crispmap.predict(IMAGE.astype(complex), m, gsd_m=1.0), InputError, "complex128"),
        (lambda f, m: crispmap.predict(IMAGE.transpose(1, 2, 0), m, gsd_m=1.0), InputError, "(40, 30, 3)"),
        (lambda f, m: crispmap.predict(IMAGE.astype(object), m, gsd_m=1.0), InputError, "object"),
        (lambda f, m: crispmap.predict(IMAGE[:2], m, gsd_m=1.0), ModelError, "2 bands"),
        (lambda f, m: crispmap.predict(IMAGE, m, gsd_m=-1.0), InputError, "-1.0"),
        (lambda f, m: crispmap.predict(IMAGE, m, gsd_m=1000.0), SceneError, "1000"),
        (lambda f, m: crispmap.predict(IMAGE, m, transform=PLACE, crs="EPSG:nowhere"), GridError, "EPSG:nowhere"),
        (lambda f, m: crispmap.predict([f / "scene.tif"], m), InputError, "list"),
        (lambda f, m: crispmap.predict(IMAGE, m, gsd_m=1.0, output="class"), InputError, "'class'"),
        (lambda f, m: crispmap.predict(IMAGE, m, gsd_m=1.0, out="m.tif"), InputError, "'m.tif'"),
        (lambda f, m: crispmap.predict(f / "scene.tif", m), InputError, "No file is named"),
        (lambda f, m: crispmap.predict(f / "gone.tif", m, out=f / "x.tif"), SceneError, "gone.tif"),
        (lambda f, m: crispmap.predict(IMAGE, "gone.safetensors", gsd_m=1.0), ModelError, "gone.safetensors"),
        (lambda f, m: crispmap.predict(IMAGE, m, m, gsd_m=1.0), ModelError, "coarse model, fcn-rnn"),
        (lambda f, m: crispmap.predict(IMAGE, 3, gsd_m=1.0), InputError, "int"),
        (lambda f, m: crispmap.refine(f / "scene.tif", IMAGE, m, gsd_m=1.0), InputError, "A file is given"),
        (lambda f, m: crispmap.load_model([f]), ModelError, "list"),
        (lambda f, m: crispmap.open_scene([f]), SceneError, "list"),
        (lambda f, m: crispmap.evaluate(MASK, MASK, gsd_m=1.0), SchemaError, "not known"),
        (lambda f, m: crispmap.evaluate(MASK, MASK[:9], classes=CLASSES, gsd_m=1.0), LabelError, "(9, 30)"),
        (lambda f, m: crispmap.evaluate(MASK + 7, MASK, classes=CLASSES, gsd_m=1.0), LabelError, "id 7"),
        (lambda f, m: crispmap.evaluate(MASK + 0.5, MASK, classes=CLASSES, gsd_m=1.0), LabelError, "float64"),
        (lambda f, m: crispmap.area(MASK, classes="road", gsd_m=1.0), InputError, "'road'"),
        (lambda f, m: crispmap.area(MASK, classes=["road"], gsd_m=1.0), SchemaError, "1 class"),
        (lambda f, m: crispmap.train(f, "models"), InputError, "beside a project"),
        (lambda f, m: crispmap.train([f]), InputError, "list"),
        (lambda f, m: crispmap.train(f, seed=4), InputError, "beside a project"),
        (lambda f, m: crispmap.train(f, finetune=True), InputError, "beside a project"),
        (lambda f, m: crispmap.train(dataset([IMAGE], [MASK]), f, finetune=3), InputError, "finetune is 3"),
        (lambda f, m: crispmap.train(dataset([IMAGE], [MASK]), f, finetune={"a": 1}), InputError, "finetune"),
        (lambda f, m: crispmap.train(dataset([IMAGE], [MASK]), f, coarse="fcn-rnn"), InputError, "fcn-rnn"),
        (lambda f, m: crispmap.train(dataset([IMAGE], [MASK]), f, coarse={"scores": {}}), InputError, "scores"),
        (lambda f, m: crispmap.train(dataset([IMAGE], [MASK]), f, seed=1.5), InputError, "1.5"),
        (lambda f, m: crispmap.predict(f / "scene.tif", None, out=f / "q.tif"), InputError, "NoneType"),
        (lambda f, m: crispmap.area(MASK, classes=CLASSES, gsd_m="1m"), InputError, "1m"),
        (lambda f, m: crispmap.area(MASK, classes=CLASSES, gsd_m=1, crs=4326), InputError, "crs="),
        (lambda f, m: crispmap.area(MASK, classes=CLASSES, transform=(1, 2)), InputError, "(1, 2)"),
        (lambda f, m: crispmap.area(MASK, classes=2, gsd_m=1), InputError, "2"),
        (lambda f, m: dataset(IMAGE[None], MASK[None]), InputError, "ndarray"),
        (lambda f, m: dataset([IMAGE, IMAGE[:2]], [MASK, MASK]), InputError, "[2, 3] bands"),
        (lambda f, m: dataset([IMAGE], []), InputError, "0 masks"),
        (lambda f, m: dataset([IMAGE], [MASK[1:]]), LabelError, "(39, 30)"),
        (lambda f, m: crispmap.predict(xr.DataArray(IMAGE, dims=("band", "lat", "time")), m), InputError, "lat"),
        (lambda f, m: crispmap.predict(xr.DataArray(IMAGE[None], dims=("t", "b", "y", "x")), m), InputError, "t, b"),
        (lambda f, m: crispmap.predict(xr.DataArray(IMAGE, dims=("band", "y", "x")), m), InputError, "no georeference"),
    ],
)  # fmt: skip
def test_ordinary_mistakes_get_a_typed_error_in_pythons_words(
    folder: Path, models: tuple[Any, Any], call: D, error: type[CrispmapError], offending: str
) -> None:
    with pytest.raises(CrispmapError) as caught:
        call(folder, models[0])
    assert isinstance(caught.value, error)
    assert offending in caught.value.given


def test_settings_of_a_training_are_checked(tmp_path: Path) -> None:
    data = crispmap.Dataset.from_arrays([IMAGE], [MASK], classes=CLASSES, gsd_m=1.0)
    for coarse, offending in (({"stepz": 3}, "stepz"), ({"max_steps": -1}, "-1"), ({"kind": "unet9"}, "unet9")):
        with pytest.raises(InputError) as caught:
            crispmap.train(data, tmp_path, coarse=coarse)
        assert offending in caught.value.given
    with pytest.raises(LabelError) as caught_label:
        crispmap.train(data, tmp_path, coarse={"kind": "fcn-rnn", "max_steps": 2, "batch": 2, "patch_px": 16})
    assert "building" in caught_label.value.given


def test_a_transform_of_rasterio_and_a_number_for_a_crs_are_understood(models: tuple[Any, Any]) -> None:
    image = np.random.default_rng(0).integers(1, 255, (3, 64, 64), dtype=np.uint8)
    where = {"transform": Affine(1, 0, 5e5, 0, -1, 5e6)}
    maps = [
        crispmap.predict(image, models[0], crs=crs, **where)
        for crs in (32631, "EPSG:32631", rasterio.CRS.from_epsg(32631))
    ]
    assert all(np.array_equal(one, maps[0]) for one in maps)
