"""What files hold, as values: the kind is found by what a file is, and only what that kind needs is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from safetensors.numpy import save_file
from typer.testing import CliRunner

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.errors import CrispmapError
from crispmap.geo.grid import Grid
from crispmap.labels.describe import VectorFacts
from crispmap.models.describe import ModelFacts
from crispmap.project.describe import MaskFacts, ProjectFacts, describe
from crispmap.raster.describe import RasterFacts
from crispmap.raster.spec import RasterSpec
from crispmap.raster.writer import RasterWriter, class_map_writer

GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), (6, 8))
SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("roof", "#ff0000")))
PROJECT = (
    "crispmap: 1\nname: town\nscene: {path: scene.tif}\nlabels: {path: a.gpkg}\n"
    "classes:\n  - {name: background, colour: '#000000'}\n  - {name: roof, colour: '#ff0000', osm: building}\n"
    "areas: {coarse: [{window: [0, 0, 4, 4]}]}\n"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every kind."""
    folder = tmp_path_factory.mktemp("files")
    with RasterWriter(RasterSpec(folder / "scene.tif", GRID, count=2, dtype=np.uint8, nodata=0)) as writer:
        writer.write(GRID.block, np.ones((2, 6, 8), np.uint8))
    with class_map_writer(folder / "map.tif", GRID, SCHEMA) as writer:
        writer.write(GRID.block, np.ones((6, 8), np.uint8))
    gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.box(*GRID.bounds)], crs=GRID.crs).to_file(
        folder / "a.gpkg"
    )
    save_file({"a": np.zeros((2, 3), np.float32)}, folder / "other.safetensors")
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "note.txt").write_text("nothing")
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("scene.tif", "scene", RasterFacts),
        ("map.tif", "class map", MaskFacts),
        ("a.gpkg", "vectors", VectorFacts),
        ("other.safetensors", "model", ModelFacts),
        ("project.yaml", "project", ProjectFacts),
        (".", "project", ProjectFacts),
    ],
)
def test_the_kind_of_a_file_is_found_and_the_command_prints_the_same(
    files: Path, name: str, kind: str, value: type
) -> None:
    facts = describe(files / name)
    assert type(facts) is value
    assert facts.kind == kind
    assert next(iter(facts.to_dict())) == "kind"
    printed = json.loads(CliRunner().invoke(app, ["info", str(files / name), "--json"]).stdout)
    assert ("problems" in printed) == (kind == "project")  # for which scenes are opened
    assert ("labels" in printed) == (kind == "project")  # likewise
    for key in ("problems", "labels"):
        printed.pop(key, None)
    assert printed == json.loads(json.dumps(facts.to_dict(), default=str))


def test_values_are_typed(files: Path) -> None:
    scene, drawn = describe(files / "scene.tif"), describe(files / "map.tif")
    assert isinstance(scene, RasterFacts)
    assert isinstance(drawn, MaskFacts)
    assert (scene.grid, scene.schema) == (GRID, None)
    assert [(band.type, band.nodata) for band in scene.bands] == [("uint8", 0.0)] * 2
    assert drawn.raster.schema is not None
    assert drawn.raster.schema.names == SCHEMA.names
    vectors = describe(files / "a.gpkg")
    assert isinstance(vectors, VectorFacts)
    assert vectors.layers[0].bounds == GRID.bounds
    project = describe(files)
    assert isinstance(project, ProjectFacts)
    assert project.files == {"scene": files / "scene.tif", "labels": files / "a.gpkg"}


@pytest.mark.parametrize("name", ["note.txt", "absent.tif", "a\0b"])
def test_what_is_of_no_kind_is_an_error_that_names_it(files: Path, name: str) -> None:
    with pytest.raises(CrispmapError) as caught:
        describe(files / name)
    assert name.split("\0", maxsplit=1)[0] in str(caught.value)


def test_a_project_is_described_without_what_reads_images_or_networks(files: Path) -> None:
    code = (
        "import sys; from crispmap.project.describe import describe; describe(sys.argv[1]).to_dict();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'rasterio', 'geopandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(files)], check=False).returncode == 0
