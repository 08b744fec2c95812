"""A generated town as files: the scene, its exact reference, and the imprecise labels."""

from __future__ import annotations

from collections.abc import Mapping
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
from crispmap.errors import InputError
from crispmap.geo.grid import Grid
from crispmap.raster.beside import write_beside
from crispmap.raster.spec import class_map_spec
from crispmap.raster.targets import check_target, put_in_place, write_failure
from crispmap.raster.writer import class_map_writer
from crispmap.synth.osm import map_town
from crispmap.synth.render import render
from crispmap.synth.town import plan_town
from crispmap.synth.truth import TOWN_SCHEMA, true_classes, true_vectors

TOWN_CRS = CRS.from_epsg(32631)
TOWN_ORIGIN = (652000.0, 5043000.0)  # south-west corner of every town, in UTM zone 31 north: somewhere east of Lyon
BAND_NAMES = ("red", "green", "blue", "nir")


@dataclass(frozen=True)
class TownFiles:
    """The files of a town."""

    folder: Path  # the folder of all of them
    scene: Path  # ``scene.tif``: red, green, blue, near infrared, uint8, tiled GeoTIFF in UTM
    truth: Path  # ``truth.tif``: class map of the exact truth on the scene's grid
    truth_vectors: Path  # ``truth.gpkg``: layers buildings, roads (polygons), roads_lines; UTM
    osm: Path  # ``osm.gpkg``: layers buildings (polygons) and roads (lines) with OpenStreetMap tags, imprecise; WGS 84
    schema: ClassSchema  # the classes: background, building, road


def town_grid(size_px: tuple[int, int] = (1600, 2400), gsd_m: float = 0.5) -> Grid:
    """Return the grid of a town of (height, width) pixels.

    Raises:
        InputError: If a side is not of 64 to 6,000 pixels, or a pixel not of 0.2 to 2 m.
    """
    height, width = size_px
    if min(size_px) < 64 or max(size_px) > 6_000 or not 0.2 <= gsd_m <= 2.0:
        raise InputError(
            f"A town of {height} x {width} pixels of {gsd_m} m.",
            expected="sides of 64 to 6,000 pixels of 0.2 to 2 m",
            remedy="Choose another size.",
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
    """Generate a town and write its files, all or none, to a folder, which is created if missing.

    The same size and seed give the same pixels and shapes; every vertical third of the default has a dense centre,
    houses in gardens, works and fields.

    Raises:
        InputError: If size, pixel or seed are out of range.
        OutputError: If a file exists and ``force`` is not given, or cannot be written.
    """
    grid, folder = town_grid(size_px, gsd_m), Path(folder)
    names = ("scene.tif", "truth.tif", "truth.gpkg", "osm.gpkg")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scene, truth, truth_vectors, osm = (check_target(folder / name, force=force) for name in names)
        town = plan_town((grid.width * gsd_m, grid.height * gsd_m), seed)
        with TemporaryDirectory(prefix=".town.", suffix=".part", dir=folder) as beside:
            part = Path(beside)
            _write_scene(part / scene.name, render(town, grid, seed), grid, seed)
            with class_map_writer(part / truth.name, grid, TOWN_SCHEMA) as writer:
                writer.write(grid.block, true_classes(town, grid))
            _write_layers(part / truth_vectors.name, true_vectors(town), TOWN_CRS)
            layers = map_town(town, seed)
            mapped = {"buildings": layers.buildings, "roads": layers.roads}
            _write_layers(part / osm.name, mapped, CRS.from_epsg(4326))
            for name in names:
                put_in_place(part / name, folder / name)
            write_beside(class_map_spec(truth, grid, TOWN_SCHEMA, {}))
    except (OSError, RasterioError, DataSourceError) as error:
        raise write_failure(folder, error, kept="no file of the town was left half written") from error
    return TownFiles(folder, scene, truth, truth_vectors, osm, TOWN_SCHEMA)


def _write_scene(path: Path, image: NDArray[np.uint8], grid: Grid, seed: int) -> None:
    """Write the image as a tiled GeoTIFF with named bands."""
    size = {"height": grid.height, "width": grid.width, "count": len(image), "dtype": "uint8"}
    place = {"crs": rasterio.crs.CRS.from_epsg(TOWN_CRS.to_epsg()), "transform": grid.transform}
    form = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2}
    with rasterio.open(path, "w", "GTiff", photometric="RGB", alpha="unspecified", **size, **place, **form) as dataset:
        dataset.write(image)
        for band, name in enumerate(BAND_NAMES, 1):
            dataset.set_band_description(band, name)
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined)
        dataset.update_tags(CRISPMAP_TOWN_SEED=str(seed))


def _write_layers(path: Path, layers: Mapping[str, geopandas.GeoDataFrame], crs: CRS) -> None:
    """Write layers in metres of the town as a GeoPackage in a CRS."""
    for name, layer in layers.items():
        placed = layer.set_geometry(layer.geometry.translate(*TOWN_ORIGIN), crs=TOWN_CRS).to_crs(crs)
        placed.to_file(path, layer=name, driver="GPKG")
