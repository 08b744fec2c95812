"""A generated town as files: the scene, its exact truth, and the imprecise map to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, OutputError
from crispmap.geo.grid import Grid
from crispmap.raster.writer import check_target, class_map_writer
from crispmap.synth.osm import map_town
from crispmap.synth.render import render
from crispmap.synth.town import plan_town
from crispmap.synth.truth import TOWN_SCHEMA, true_classes, true_vectors

TOWN_CRS = CRS.from_epsg(32631)
TOWN_ORIGIN = (652000.0, 5043000.0)
"""South-west corner of every town, in UTM zone 31 north: somewhere east of Lyon."""
BAND_NAMES = ("red", "green", "blue", "nir")


@dataclass(frozen=True)
class TownFiles:
    """Where the files of a town are.

    Attributes:
        folder: The folder of all of them.
        scene: ``scene.tif``: red, green, blue, near infrared, uint8, tiled GeoTIFF in UTM.
        truth: ``truth.tif``: class map of the exact truth on the scene's grid.
        truth_vectors: ``truth.gpkg``: layers buildings, roads (polygons), roads_lines; UTM.
        osm: ``osm.gpkg``: layers buildings (polygons) and roads (lines) with OpenStreetMap tags, imprecise; WGS 84.
        schema: The classes: background, building, road.
    """

    folder: Path
    scene: Path
    truth: Path
    truth_vectors: Path
    osm: Path
    schema: ClassSchema


def town_grid(size_px: tuple[int, int] = (1600, 2400), gsd_m: float = 0.5) -> Grid:
    """Return the grid of a town of (height, width) pixels.

    Raises:
        InputError: If a side is under 64 pixels or over 6,000, or a pixel not of 0.2 to 2 m.
    """
    height, width = size_px
    if min(size_px) < 64 or max(size_px) > 6_000:
        raise InputError(
            f"A town of {height} x {width} pixels.",
            expected="sides of 64 to 6,000 pixels",
            remedy="Choose another size.",
        )
    if not 0.2 <= gsd_m <= 2.0:
        raise InputError(
            f"A town with pixels of {gsd_m} m.", expected="pixels of 0.2 to 2 m", remedy="Choose another pixel size."
        )
    transform = Affine(gsd_m, 0, TOWN_ORIGIN[0], 0, -gsd_m, TOWN_ORIGIN[1] + height * gsd_m)
    return Grid(TOWN_CRS, transform, (height, width))


def write_town(
    folder: str | Path,
    *,
    size_px: tuple[int, int] = (1600, 2400),
    gsd_m: float = 0.5,
    seed: int = 0,
    force: bool = False,
) -> TownFiles:
    """Generate a town and write it; the folder is made where missing.

    The same size and seed give the same pixels and the same shapes; every vertical third of the default holds a
    dense centre, houses in gardens, works and fields.

    Args:
        folder: Where the files go.
        size_px: (height, width) of the scene.
        gsd_m: Side of a pixel in metres.
        seed: Which town: any integer from 0.
        force: Whether existing files may be replaced.

    Raises:
        InputError: If size, pixel or seed are out of range.
        OutputError: If a file exists and ``force`` is not given, or cannot be written.
    """
    grid = town_grid(size_px, gsd_m)
    files = _targets(Path(folder), force)
    town = plan_town((grid.width * gsd_m, grid.height * gsd_m), seed)
    _write_scene(files.scene, render(town, grid, seed), grid, seed)
    with class_map_writer(files.truth, grid, TOWN_SCHEMA, force=True) as writer:
        writer.write(grid.block, true_classes(town, grid))
    _write_layers(files.truth_vectors, true_vectors(town), TOWN_CRS)
    osm = map_town(town, seed)
    _write_layers(files.osm, {"buildings": osm.buildings, "roads": osm.roads}, CRS.from_epsg(4326))
    return files


def _targets(folder: Path, force: bool) -> TownFiles:
    """Return the paths of a town's files, all of them free to be written; make the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error}.",
            expected="a folder, new or old",
            remedy="Choose another one.",
        ) from error
    names = ("scene.tif", "truth.tif", "truth.gpkg", "osm.gpkg")
    scene, truth, truth_vectors, osm = (check_target(folder / name, force=force) for name in names)
    return TownFiles(folder, scene, truth, truth_vectors, osm, TOWN_SCHEMA)


def _write_scene(path: Path, image: NDArray[np.uint8], grid: Grid, seed: int) -> None:
    """Write the picture as a tiled GeoTIFF whose bands say what they are."""
    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": len(image),
        "dtype": "uint8",
        "crs": rasterio.crs.CRS.from_epsg(TOWN_CRS.to_epsg()),
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
        "photometric": "RGB",
        "alpha": "unspecified",
    }
    with _beside(path) as part:
        with rasterio.open(part, "w", **profile) as dataset:
            dataset.write(image)
            for band, name in enumerate(BAND_NAMES, 1):
                dataset.set_band_description(band, name)
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined)
            dataset.update_tags(CRISPMAP_TOWN_SEED=str(seed))
        part.replace(path)


def _write_layers(path: Path, layers: Mapping[str, geopandas.GeoDataFrame], crs: CRS) -> None:
    """Write layers in metres of the town as a GeoPackage in a CRS."""
    with _beside(path) as part:
        for name, layer in layers.items():
            placed = layer.set_geometry(layer.geometry.translate(*TOWN_ORIGIN), crs=TOWN_CRS).to_crs(crs)
            placed.to_file(part, layer=name, driver="GPKG")
        part.replace(path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write, in a hidden folder beside the target that is removed at the end.

    Raises:
        OutputError: If writing fails.
    """
    with TemporaryDirectory(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as folder:
        try:
            yield Path(folder) / path.name
        except (OSError, RasterioError, DataSourceError) as error:
            raise OutputError(
                f"{path} cannot be written: {error}.", expected="a disk with room", remedy="Free some space."
            ) from error
