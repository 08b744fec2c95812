"""A mask that says nothing of its place lies on its scene pixel by pixel, in whatever order both are stored."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from typer.testing import CliRunner

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.labels.coded import CodedMask, MaskCode
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.raster.cached import BlockCache
from crispmap.raster.files import read_grid, read_turn
from turned_rasters import ORDERS, place_in

pytestmark = pytest.mark.filterwarnings("ignore::crispmap.errors.GeoreferenceWarning")
TWO = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))
SHAPE = (24, 40)
HEAD = """\
crispmap: 2
name: pairs
classes: [{name: background, colour: '#000000'}, {name: building, colour: '#ff0000'}]
coarse: {kind: fcn-rnn}
"""
PAIRS = "dataset: {path: ., layout: pairs, images: '*_image.tif', masks: '{id}_mask.png', split: {test: [b]}}\n"
SCENE = "scene: {path: a_image.tif}\nlabels: {path: a_mask.png}\n"
SCENE += "areas: {coarse: [{bounds: [597000, 4999976, 597040, 5000000]}]}\n"


def ids() -> np.ndarray:
    return (np.random.default_rng(0).random(SHAPE) > 0.7).astype(np.uint8)


def stored(folder: Path, order: str, name: str = "a") -> tuple[Path, Path]:
    """Write a scene whose values show its classes, in an order, and in the same a mask that knows no place."""
    place = rasterio.Affine(1.0, 0.0, 5e5 + 1000 * ord(name), 0.0, -1.0, 5e6)  # each its own ground
    place = place_in(ORDERS[order], place, SHAPE)
    pixels = np.ascontiguousarray(ORDERS[order](ids()))
    scene, mask = folder / f"{name}_image.tif", folder / f"{name}_mask.png"
    shape = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(scene, "w", "GTiff", crs="EPSG:32631", transform=place, **shape) as file:
        file.write(pixels * 100 + 1, 1)
    Image.fromarray(pixels * 255).save(mask)
    return scene, mask


@pytest.mark.parametrize("order", list(ORDERS))
def test_labels_lie_on_the_pixels_that_they_were_stored_with(order: str, tmp_path: Path) -> None:
    scene, mask = stored(tmp_path, order)
    grid, turn = read_grid(scene), read_turn(scene)
    with closing(open_labels(mask, TWO, grid, options=LabelOptions(turn=turn))) as labels:
        np.testing.assert_array_equal(labels.read(grid.block), ids())
    coded = CodedMask(mask, MaskCode([mask], TWO), grid, grid, BlockCache(10**6), turn)
    np.testing.assert_array_equal(coded.read(grid.block), ids())


@pytest.mark.parametrize("order", ["south-up", "transposed"])
@pytest.mark.parametrize("inputs", [PAIRS, SCENE])
def test_pieces_of_projects_hold_the_labels_of_their_pixels(order: str, inputs: str, tmp_path: Path) -> None:
    for name in "ab":
        stored(tmp_path, order, name)
    (tmp_path / "project.yaml").write_text(HEAD + inputs)
    project = load_project(tmp_path)
    with open_sources(project) as sources:
        (piece,) = sources.pieces("coarse")
        image, _ = piece.image.read(piece.image.grid.block)
        np.testing.assert_array_equal(piece.labels.read(piece.image.grid.block) * 100 + 1, image[0])


def test_the_verbs_match_masks_in_the_order_of_the_file_that_they_belong_to(tmp_path: Path) -> None:
    scene, mask = stored(tmp_path, "south-up")
    out, classes = tmp_path / "map.tif", tmp_path / "classes.yaml"
    classes.write_text("classes: [{name: background, colour: '#000000'}, {name: building, colour: '#ff0000'}]\n")
    arguments = ["rasterize", str(mask), "--like", str(scene), "--out", str(out), "--classes", str(classes)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with rasterio.open(out) as file:
        np.testing.assert_array_equal(file.read(1), ids())
    south_up = tmp_path / "south_up.tif"
    with rasterio.open(scene) as file:
        profile = file.profile
        with rasterio.open(south_up, "w", **profile) as other:
            other.write((file.read() // 100).astype(np.uint8))
    found = evaluate_file(south_up, mask, ScoringRules(schema=TWO, widths_m=(2.0,)))
    assert found.confusion.counts.trace() == ids().size
