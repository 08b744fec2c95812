"""A place of a few thousand pixels with everything the command works on, good until a test spoils it."""

from __future__ import annotations

import hashlib
import sys
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import torch
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from typer.testing import CliRunner, Result

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.refiners.rnn.refiner import RecurrentRefiner

CRISPMAP = [sys.executable, "-c", "from crispmap.cli.main import main; main()"]
"""The command as a process of its own."""

SHAPE = (96, 160)
CORNER = (500_000.0, 5_000_000.0)
PLACE = {"crs": "EPSG:32631", "transform": Affine(1.0, 0.0, CORNER[0], 0.0, -1.0, CORNER[1])}
SCHEMA = ClassSchema(
    (
        ClassDef("ground", "#000000"),
        ClassDef("house", "#ff0000", ("building=*",)),
        ClassDef("road", "#0000ff", ("highway=*",)),
    )
)
PROJECT = """\
crispmap: 2
name: small
scene: {path: scene.tif}
classes:
  - {name: ground, colour: "#000000"}
  - {name: house, colour: "#ff0000", osm: building}
  - {name: road, colour: "#0000ff", osm: road, width_m: 5}
labels: {path: osm.gpkg}
reference: {path: mask.tif}
areas:
  coarse: [{window: [0, 0, 96, 64]}]
  refiner: [{window: [0, 64, 96, 48]}]
  test: [{window: [0, 112, 96, 48]}]
coarse: {kind: fcn-rnn, max_steps: 2, batch: 1, patch_px: 16}
refiner: {iterations: 2, max_steps: 2, batch: 1, patch_px: 16}
output: {folder: results}
"""


def run(*args: str | Path) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(one) for one in args])


def write_raster(path: Path, values: np.ndarray, **options: object) -> Path:
    """Write an array (band, row, col) as a GeoTIFF, at the place unless told otherwise."""
    profile = {"driver": "GTiff", "count": len(values), "dtype": values.dtype.name, **PLACE, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", height=values.shape[1], width=values.shape[2], **profile) as file:
            file.write(values)
    return path


def image(bands: int = 3, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return brightness without a meaning, never 0."""
    return np.random.default_rng(0).integers(1, 255, (bands, *shape)).astype(np.uint8)


def truth() -> np.ndarray:
    """Return class ids: rows of houses, and roads between them all along the place."""
    ids = np.zeros(SHAPE, np.uint8)
    for row in range(0, SHAPE[0], 24):
        ids[row + 2 : row + 10, np.arange(SHAPE[1]) % 12 < 8] = 1
        ids[row + 15 : row + 20] = 2
    return ids


def write_vectors(path: Path, *, shift: tuple[float, float] = (0.0, 0.0), crs: str | None = "EPSG:32631") -> Path:
    """Write the houses and roads of ``truth``, shifted by some metres."""
    left, top = CORNER[0] + shift[0], CORNER[1] + shift[1]
    shapes, houses, roads = [], [], []
    for row in range(0, SHAPE[0], 24):
        for col in range(0, SHAPE[1], 12):
            shapes.append(shapely.box(left + col, top - row - 10, left + col + 8, top - row - 2))
            houses.append("yes")
            roads.append(None)
        shapes.append(shapely.LineString([(left, top - row - 17.5), (left + SHAPE[1], top - row - 17.5)]))
        houses.append(None)
        roads.append("residential")
    frame = gpd.GeoDataFrame({"building": houses, "highway": roads}, geometry=shapes, crs=crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        frame.to_file(path, engine="pyogrio")
    return path


def write_models(folder: Path, *, bands: int = 3) -> None:
    """Write ``coarse.safetensors`` and ``refiner.safetensors``, untrained."""
    torch.manual_seed(0)
    for kind, module in (
        ("coarse", fcn_rnn(bands=bands, classes=3)),
        ("refiner", RecurrentRefiner(3, bands, iterations=2, filters=3, hidden=4)),
    ):
        card = ModelCard(
            kind=kind, architecture=module.architecture, arguments=module.arguments, schema=SCHEMA,
            band_names=("red", "green", "blue", "nir", *(f"band_{n}" for n in range(5, bands + 1)))[:bands],
            scaling=Scaling((127.0,) * bands, (64.0,) * bands), gsd_m=1.0, radius_px=module.radius_px,
            stride_px=getattr(module, "stride_px", 1),
        )  # fmt: skip
        save_model(folder / f"{kind}.safetensors", module, card, force=True)


def write_place(folder: Path) -> None:
    """Write scene, vectors, mask, scores, models and project."""
    write_raster(folder / "scene.tif", image())
    write_raster(folder / "mask.tif", truth()[None])
    write_vectors(folder / "osm.gpkg")
    scores = np.random.default_rng(1).normal(0, 1, (3, *SHAPE)).astype(np.float32)
    write_raster(folder / "scores.tif", scores)
    write_models(folder)
    (folder / "project.yaml").write_text(PROJECT)


def contents(folder: Path) -> dict[str, str]:
    """Return a check sum by path of every file, and the empty folders, below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.is_dir() and not any(path.iterdir()):
            found[name] = "an empty folder"
    return found
