"""Maps and polygons in a real QGIS without a screen, as it comes with Debian (``make qgis``)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema, class_colour
from crispmap.geo.grid import Grid
from crispmap.inference.products import Confidence
from crispmap.polygons.vectorize import PolygonRules, vectorize_file
from crispmap.raster.beside import STYLE_SUFFIX
from crispmap.raster.writer import RasterWriter, class_map_writer

pytestmark = pytest.mark.qgis
PYTHON = "/usr/bin/python3"  # Debian's, for which its QGIS is built
SHOWN = Path(__file__).with_name("shown.py")
GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 448_000, 0, -0.5, 5_411_000), (75, 100))
TOWN = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61")))
ODD = ('"quoted", & <b>', "it's; 50 %", "\u200fשביל\u200e", "w" * 200, "løv\U0001f333", "]]>", "a\\b/c")
MANY = ClassSchema(
    tuple(ClassDef(ODD[i] if i < len(ODD) else f"class {i}", class_colour(i)) for i in range(100))
)  # fmt: skip


def town() -> Any:
    values = np.zeros(GRID.shape, np.uint8)
    values[15:45, 20:50], values[55:60], values[:10, :10] = 1, 2, 255
    return values


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of files and pictures, and what QGIS says of each file."""
    probe = [PYTHON, "-c", "import qgis.core"]
    if not Path(PYTHON).exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("there is no QGIS here: make qgis installs it")
    folder = tmp_path_factory.mktemp("qgis")
    many = np.arange(GRID.height * GRID.width).reshape(GRID.shape).astype(np.int64) % 100
    for name, schema, values in (("town", TOWN, town()), ("many", MANY, many.astype(np.uint8))):
        with class_map_writer(folder / f"{name}.tif", GRID, schema) as writer:
            writer.write(GRID.block, values)
        vectorize_file(folder / f"{name}.tif", folder / f"{name}_areas.gpkg")
    vectorize_file(folder / "town.tif", folder / "town_lines.geojson", PolygonRules(("road",)))
    vectorize_file(folder / "town.tif", folder / "town_all.fgb", PolygonRules(("all",)))
    product = Confidence()
    scores = np.stack(
        [np.zeros(GRID.shape), np.linspace(0, 9, GRID.width) + np.zeros(GRID.shape), np.zeros(GRID.shape)]
    )
    with RasterWriter(product.spec(folder / "sure.tif", GRID, TOWN, {})) as writer:
        writer.write(GRID.block, product.encode(scores.astype(np.float32), np.ones(GRID.shape, bool)))
    shutil.copy(folder / "town.tif", folder / "alone.tif")
    shutil.copy(folder / f"town{STYLE_SUFFIX}", folder / "restyled.qml")
    files = sorted(path.name for path in folder.iterdir() if path.suffix in (".tif", ".gpkg", ".geojson", ".fgb"))
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GDAL", "PROJ"))}
    done = subprocess.run(
        [PYTHON, str(SHOWN), ".", *files], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env=clean | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def rows(schema: ClassSchema) -> list[list[str]]:
    return [[one.name, one.colour] for one in schema]


def test_the_legend_of_a_map_is_its_classes_and_nothing_else(shown: tuple[Path, dict[str, Any]]) -> None:
    assert shown[1]["town.tif"] == {"valid": True, "renderer": "paletted", "legend": rows(TOWN)}
    assert shown[1]["many.tif"]["legend"] == rows(MANY)
    assert len(shown[1]["alone.tif"]["legend"]) == 256  # what there was without a style


@pytest.mark.parametrize(
    ("name", "classes"), [("town_areas.gpkg", [1, 2]), ("town_lines.geojson", [2]), ("town_all.fgb", [0, 1, 2])]
)
def test_polygons_have_the_colours_of_their_classes(
    shown: tuple[Path, dict[str, Any]], name: str, classes: list[int]
) -> None:
    assert shown[1][name] == {
        "valid": True, "renderer": "categorizedSymbol", "legend": [rows(TOWN)[one] for one in classes],
    }  # fmt: skip


def test_odd_names_of_a_hundred_classes_are_whole_in_a_geopackage(shown: tuple[Path, dict[str, Any]]) -> None:
    assert shown[1]["many_areas.gpkg"]["legend"] == rows(MANY)[1:]


def test_confidence_is_a_ramp_from_its_least_to_its_most(shown: tuple[Path, dict[str, Any]]) -> None:
    facts = shown[1]["sure.tif"]
    values = [value for value, _ in facts["ramp"]]
    assert facts["renderer"] == "singlebandpseudocolor"
    assert (values[0], values[-1], values) == (pytest.approx(1 / 3), 1, sorted(values))


def test_pictures_show_the_colours(shown: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = shown
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures = {name: np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in shown[1]}
    places = {(110, 130): TOWN[1].rgb, (230, 300): TOWN[2].rgb, (20, 20): (128, 128, 128), (270, 300): TOWN[0].rgb}
    for place, colour in places.items():
        assert tuple(pictures["town.tif"][place]) == colour
    assert len(np.unique(pictures["town_areas.gpkg"].reshape(-1, 3), axis=0)) >= 3
    left, right = (pictures["sure.tif"][150, col].astype(int) for col in (5, 395))
    assert (np.abs(left - (0x44, 0x01, 0x54)).max(), np.abs(right - (0xFD, 0xE7, 0x25)).max()) <= (12, 12)
