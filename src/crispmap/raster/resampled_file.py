"""Rasters written at another pixel size: images, and class maps by the class or the shares of what a pixel covers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SceneError, number_of
from crispmap.events import SILENT, Events
from crispmap.files.dataset import open_dataset
from crispmap.geo.grid import Block, Grid
from crispmap.raster.compose.composition import Composition, Method
from crispmap.raster.compose.grid import with_pixels_of
from crispmap.raster.compose.sources import file_bands
from crispmap.raster.compose.write import write_composed
from crispmap.raster.files import FileScene
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.refs import SceneRef
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import Scene, SceneReader
from crispmap.raster.spec import CONFIDENCE_TAG, SCORES_TAG, RasterSpec, class_map_spec
from crispmap.raster.targets import check_paths, check_raster_target
from crispmap.raster.write_computed import ComputeOptions, Written, write_computed
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE, BoolArray, FloatArray

ResampleMethod: TypeAlias = Literal["auto", "average", "bilinear", "cubic", "nearest", "mode", "share"]
_OF_CLASSES = ("auto", "nearest", "mode", "share")
_ALIKE = 65536  # shares that differ by less than one part of these are equal


@dataclass(frozen=True)
class Resampling:
    """The pixels that a raster gets."""

    gsd_m: float  # their side in metres
    method: ResampleMethod = "auto"
    schema: ClassSchema | None = None  # the classes, of a class map that does not carry them


def resample_file(
    source: str | Path,
    out: str | Path,
    how: Resampling,
    *,
    options: ComputeOptions = ComputeOptions(),
    events: Events = SILENT,
) -> tuple[Written, Grid]:
    """Write a raster at another pixel size, over the same ground, from its first corner on.

    Of an image, a coarser pixel is the mean of what it covers and a finer one is interpolated, linearly by "auto". Of a
    class map a pixel gets the class that covers most of it ("mode", and "auto"), of classes that cover as much the one
    of lowest id; by "share" one float32 band a class says what share of its known ground it covers. Where less than
    half of a pixel is known, it has no data.

    Raises:
        InputError: If classes or indices into a colour table are to be averaged, or classes counted in an image.
        GridError: If the pixel size is not above 0.
        SceneError: If the raster cannot be read, has several bands of classes, or a value of no class.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    if how.method not in get_args(ResampleMethod):
        raise InputError(f"method is {how.method!r}.", expected=f"one of {', '.join(get_args(ResampleMethod))}")
    ref = SceneRef.of(source)
    check_paths([Path(out)], ref.paths)
    check_raster_target(out, force=options.force)
    how = replace(how, schema=how.schema or read_class_schema(source))
    if how.schema is not None:
        return _class_map(ref, Path(out), how, options, events)
    if how.method in ("mode", "share"):
        raise InputError(
            f"{source} is no class map, and method is {how.method}.", expected="a raster that names its classes",
            remedy="Name them in order of id, such as classes=classes.yaml; or leave method= out.",
        )  # fmt: skip
    _check_amounts(ref, how.method)
    with FileScene(ref) as scene:
        tags = {key: value for key, value in scene.tags.items() if key in (SCORES_TAG, CONFIDENCE_TAG)}
    bands = tuple(file_bands(ref.files[0]))
    made = Composition(bands, gsd_m=how.gsd_m, method=cast(Method, how.method), extent="union")
    done = write_composed(SceneRef.composed(ref.name, made), out, options=options, tags=tags, events=events)
    return done.run, done.grid


def _check_amounts(ref: SceneRef, method: ResampleMethod) -> None:
    """Raise InputError if the values of an image are indices into a colour table, which have no mean."""
    with open_dataset(ref.files[0]) as dataset:
        indexed = ColorInterp.palette in dataset.colorinterp
    if indexed and method != "nearest":
        raise InputError(
            f"{ref} has a colour table: its values are indices, not amounts, and method is {method}.",
            expected="an image, or a map that names its classes",
            remedy="Name the classes of a map, such as classes=classes.yaml; or give method=nearest.",
        )


def _class_map(
    ref: SceneRef, out: Path, how: Resampling, options: ComputeOptions, events: Events
) -> tuple[Written, Grid]:
    """Write a class map at another pixel size."""
    schema, method = cast(ClassSchema, how.schema), how.method
    if method not in _OF_CLASSES:
        raise InputError(
            f"{ref} is a class map, and method is {method}.", expected=f"one of {', '.join(_OF_CLASSES)}",
            remedy="Class ids are names, not amounts: leave method= out.",
        )  # fmt: skip
    with FileScene(ref) as scene:
        grid = with_pixels_of(scene.grid, how.gsd_m)
        shares = SceneOnGrid(OneHotScene(scene, schema), grid, "nearest" if method == "nearest" else "average")

        def compute(block: Block) -> list[NDArray[Any]] | None:
            found, valid = shares.read(block)
            if not valid.any():
                return None
            if method == "share":
                return [np.where(valid, found, np.float32(np.nan))]
            ranked = np.rint(found * _ALIKE)  # so that sums in another order are equal; of equal ones the first wins
            return [np.where(valid, ranked.argmax(axis=0), IGNORE).astype(np.uint8)]

        tags = {key: value for key, value in scene.tags.items() if key.startswith("CRISPMAP_")}
        spec = class_map_spec(out, grid, schema, tags)
        if method == "share":
            spec = RasterSpec(
                out, grid, count=len(schema), dtype=np.dtype(np.float32), nodata=float("nan"), descriptions=schema.names
            )
        identity = {"map": fingerprint(ref), "classes": schema.to_json(), "method": method}
        return write_computed([spec], compute, identity, options=options, events=events, title="map"), grid


class OneHotScene(Scene):
    """A class map as a band a class: 1 where a pixel is of the class, 0 elsewhere.

    Raises:
        SceneError: If the map has several bands; on reading, if a value is of no class.
    """

    def __init__(self, reader: SceneReader, schema: ClassSchema) -> None:
        if reader.band_count > 1:
            raise SceneError(
                f"{reader.path} holds {number_of(reader.band_count, 'band')}.", expected="one band of class ids"
            )
        self._reader = reader
        self.grid, self.path, self.band_names = reader.grid, reader.path, schema.names

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        (ids,), valid = self._reader.read(block)
        valid &= ids != IGNORE
        numbers = np.arange(self.band_count, dtype=np.float32)
        image = ((ids == numbers[:, None, None]) & valid).astype(np.float32)
        strange = ids[valid & ~image.any(axis=0)]
        if strange.size:
            raise SceneError(
                f"{self.path} holds the value {strange[0]:g}, which is no class.",
                expected=f"ids 0..{self.band_count - 1}, or {IGNORE} for none: {', '.join(self.band_names)}",
                remedy="Name all classes, in order of id, in a file: classes=classes.yaml",
            )
        return image, valid

    def close(self) -> None:
        """Leave the map to who has opened it."""
