"""Facts about a raster file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.files.address import typed
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.files.turn import AS_STORED
from crispmap.geo.crs import crs_name
from crispmap.geo.grid import Grid
from crispmap.raster.files import FileScene
from crispmap.raster.refs import SceneRef
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.spec import CLASSES_TAG
from crispmap.raster.stac import split_assets
from crispmap.raster.stack import gdal_source
from crispmap.raster.writer import read_class_schema

_OWN_TAGS = "CRISPMAP_"


@dataclass(frozen=True)
class BandFacts:
    """One band of a raster."""

    name: str  # the name models see; of an alpha band "alpha"
    type: str  # the type of its values, such as "uint8"
    nodata: float | None  # its nodata value, if any


@dataclass(frozen=True)
class RasterFacts:
    """Facts about a raster, or about several that make one scene."""

    path: str  # the file or address
    format: str  # the name of GDAL's driver
    grid: Grid  # its grid
    bands: tuple[BandFacts, ...]  # all of its bands
    schema: ClassSchema | None  # the classes of a class map
    tags: dict[str, str]  # crispmap's tags, except the classes
    turned: bool = False  # whether its pixels are stored in another order than north-up, in which they are read

    @property
    def kind(self) -> str:
        """Whether it is a scene or a class map."""
        return "scene" if self.schema is None else "class map"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        grid, crs = self.grid, self.grid.crs
        facts: dict[str, Any] = {
            "kind": self.kind,
            "path": self.path,
            "format": self.format,
            "height_px": grid.height,
            "width_px": grid.width,
            "gsd_m": None if crs is None else [round(value, 6) for value in grid.gsd_m()],
            "crs": None if crs is None else crs_name(crs),
            "bounds": list(grid.bounds),
            **({"stored": "in another order than north-up, in which it is read"} if self.turned else {}),
            "bands": [vars(band) for band in self.bands],
        }
        if self.schema is not None:
            facts["classes"] = self.schema.legend()
        if self.tags:
            facts["tags"] = self.tags
        return facts


def describe_raster(path: str | Path) -> RasterFacts:
    """Return the facts about a raster file, or about named assets of a STAC item (``item.json#B04``) together.

    Raises:
        InputError: If there are several STAC items.
        SceneError: If it cannot be read.
    """
    return _describe(_one_scene(typed(path)) if names_assets(path) else SceneRef.of(path))


def names_assets(path: str | Path) -> bool:
    """Return whether a path names assets of a STAC item, as ``item.json#B04`` does."""
    text = typed(path)
    return "#" in text and split_assets(text)[1] is not None


def _one_scene(text: str) -> SceneRef:
    """Return the one scene that a text names, or raise InputError."""
    scenes = resolve_scenes([text])
    if len(scenes) > 1:
        raise InputError(
            f"{text} stands for {len(scenes)} scenes.",
            expected="one scene",
            remedy=f"Look at them one by one: {', '.join(str(scene) for scene in scenes[:3])}",
        )
    return scenes[0]


def _describe(ref: SceneRef) -> RasterFacts:
    source = gdal_source(ref)
    schema = read_class_schema(source)
    with open_dataset(source) as dataset, FileScene(ref) as scene:
        names = _band_names(dataset, scene)
        bands = [BandFacts(*one) for one in zip(names, dataset.dtypes, dataset.nodatavals, strict=True)]
        tags = {key: value for key, value in tags_of(dataset).items() if key.startswith(_OWN_TAGS)}
        if schema is not None:
            tags.pop(CLASSES_TAG, None)
        return RasterFacts(str(ref), dataset.driver, scene.grid, tuple(bands), schema, tags, scene.turn != AS_STORED)


def _band_names(dataset: Any, scene: FileScene) -> list[str]:
    """Return the name of every band: alpha by its colour, the others as models see them."""
    image = dict(zip(scene.bands, scene.band_names, strict=True))
    return [image.get(number, colour.name) for number, colour in enumerate(dataset.colorinterp, 1)]
