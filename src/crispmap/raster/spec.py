"""The specification of a raster to write: grid, type, colours, names and tags."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crispmap.classes import ClassSchema
from crispmap.geo.grid import Block, Grid
from crispmap.types import IGNORE

CLASSES_TAG = "CRISPMAP_CLASSES"  # the tag of a class map that holds its class schema as JSON

SCORES_TAG = "CRISPMAP_SCORES"
"""The tag of a score raster with the kind of its values: ``logit``, or ``probability/254`` with 1 stored as 254."""

CONFIDENCE_TAG = "CRISPMAP_CERTAINTY"
"""The tag of a confidence raster: ``softmax``. Its name is older than this word for it."""

PROBABILITY_LEVELS = 254  # probability 1 in our 8-bit scores; 255 is nodata

PROBABILITY = f"probability/{PROBABILITY_LEVELS}"

ScoreEncoding: TypeAlias = Literal["float32", "float16", "uint8"]
"""How scores are stored: logits, logits in half precision, or probabilities in steps of 1/254."""

_CLASSES_IN_LEGEND = 16


@dataclass(frozen=True)
class RasterSpec:
    """Everything that decides the bytes of a raster file, except its pixels.

    Raises:
        ValueError: If there are not as many descriptions as bands.
    """

    path: Path  # the file to write
    grid: Grid  # its grid
    _: KW_ONLY
    count: int  # number of bands
    # type of the values, any of GDAL's real types. float16 is stored as float32 with the last 13 bits 0, which compress
    # to nothing: GDAL's own 16-bit floats differ from one write to the next in the tiles of the border
    dtype: np.dtype[Any]
    nodata: float | None  # the nodata value, or None
    descriptions: tuple[str, ...] = ()  # one text for each band, or none
    schema: ClassSchema | None = None  # the classes of a one-band uint8 raster of class ids
    tags: Mapping[str, str] = field(default_factory=dict)  # metadata of the file
    scale: float | None = None  # factor from stored values to the quantity, for other programs; None for 1
    overviews: Literal["MODE", "AVERAGE"] = "AVERAGE"  # resampling of overviews: the most frequent value, or the mean
    tile_px: int = 256  # side of the file's tiles, a multiple of 16
    # ZSTD packs floats in a fifth of DEFLATE's time to the same size; DEFLATE is read by every program
    compression: Literal["DEFLATE", "ZSTD"] = "DEFLATE"
    amounts: tuple[float, float] | None = None  # the lowest and the highest value of its first band, as QGIS shows it

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if self.descriptions and len(self.descriptions) != self.count:
            raise ValueError(f"{len(self.descriptions)} descriptions for {self.count} bands")

    @property
    def colormap(self) -> dict[int, tuple[int, ...]]:
        """The (red, green, blue, alpha) of each class, and of what has none; empty without classes."""
        if self.schema is None:
            return {}
        colours: dict[int, tuple[int, ...]] = {index: (*one.rgb, 255) for index, one in enumerate(self.schema)}
        return colours | {IGNORE: (0, 0, 0, 0)}

    @property
    def read_dtype(self) -> np.dtype[Any]:
        """The type of values passed to and from GDAL: float32 for float16."""
        return np.dtype(np.float32) if self.dtype == np.float16 else self.dtype

    @property
    def size(self) -> int:
        """The bytes of its values before they are compressed."""
        return self.count * math.prod(self.grid.shape) * self.read_dtype.itemsize

    def with_tags(self, tags: Mapping[str, str]) -> RasterSpec:
        """Return the same with further tags."""
        return replace(self, tags={**self.tags, **tags})

    def checked(self, block: Block, array: ArrayLike) -> NDArray[Any]:
        """Return the values of a block as the file will hold them: C-contiguous (band, row, col) of ``read_dtype``.

        The array is (band, row, col), or (row, col) for one band; no float goes into an integer raster.

        Raises:
            ValueError: If the block leaves the grid, or shape or type do not fit.
        """
        values = np.asarray(array)
        if values.ndim == 2:
            values = values[None]
        if values.shape != (self.count, *block.shape):
            raise ValueError(f"array of shape {values.shape} for {(self.count, *block.shape)}")
        if block.intersection(self.grid.block) != block and not block.is_empty:
            raise ValueError(f"{block} leaves the grid of shape {self.grid.shape}")
        if not (np.can_cast(values.dtype, self.dtype, "same_kind") or self.dtype.kind == "f"):
            raise ValueError(f"{values.dtype} values for a raster of {self.dtype}")
        with np.errstate(over="ignore"):  # beyond the type: infinite
            return np.ascontiguousarray(values.astype(self.dtype, copy=False), self.read_dtype)

    def blank(self, block: Block) -> NDArray[Any]:
        """Return the values of a block that is never written: nodata, or 0 without nodata."""
        fill = 0 if self.nodata is None else self.nodata
        return np.full((self.count, *block.shape), fill, self.read_dtype)

    def fingerprint(self) -> str:
        """Return a hash of everything but the path: the same pixels and fingerprint give the same bytes."""
        crs = None if self.grid.crs is None else self.grid.crs.to_wkt()
        facts = [
            crs,
            [repr(value) for value in self.grid.transform[:6]],
            list(self.grid.shape),
            [
                self.count,
                self.dtype.name,
                repr(self.nodata),
                repr(self.scale),
                self.overviews,
                self.tile_px,
                self.compression,
            ],
            list(self.descriptions),
            sorted((key, list(value)) for key, value in self.colormap.items()),
            sorted(self.tags.items()),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def class_map_spec(path: str | Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:
    """Return the spec of a class map: uint8 class ids, nodata 255, colours, the schema in its tags."""
    return RasterSpec(
        Path(path),
        grid,
        count=1,
        dtype=np.dtype(np.uint8),
        nodata=IGNORE,
        descriptions=(_legend(schema),),
        schema=schema,
        tags={**tags, CLASSES_TAG: schema.to_json()},
        overviews="MODE",
    )


def _legend(schema: ClassSchema) -> str:
    """Return a band description with the class of each value; QGIS shows it above the legend."""
    if len(schema) > _CLASSES_IN_LEGEND:
        return "class"
    return f"class ({', '.join(f'{index} {one.name}' for index, one in enumerate(schema))})"


def scores_spec(
    path: str | Path, grid: Grid, names: Sequence[str], tags: Mapping[str, str], encoding: ScoreEncoding = "float32"
) -> RasterSpec:
    """Return the spec of a score raster: one band for each class, under its name.

    Logits as float32 or float16, nodata NaN; or probabilities as uint8, 0..254 with scale 1/254, nodata 255.
    """
    if encoding == "uint8":
        nodata, scale, meaning = float(IGNORE), 1 / PROBABILITY_LEVELS, PROBABILITY
    else:
        nodata, scale, meaning = float("nan"), None, "logit"
    return RasterSpec(
        Path(path),
        grid,
        count=len(names),
        dtype=np.dtype(encoding),
        nodata=nodata,
        descriptions=tuple(names),
        tags={**tags, SCORES_TAG: meaning},
        scale=scale,
        compression="DEFLATE" if encoding == "uint8" else "ZSTD",
    )


def confidence_spec(path: str | Path, grid: Grid, classes: int, tags: Mapping[str, str]) -> RasterSpec:
    """Return the spec of a confidence raster: float16 bands "confidence" and "entropy" in 0..1, nodata NaN."""
    return RasterSpec(
        Path(path),
        grid,
        count=2,
        dtype=np.dtype(np.float16),
        nodata=float("nan"),
        descriptions=("confidence", "entropy"),
        tags={**tags, CONFIDENCE_TAG: "softmax"},
        compression="ZSTD",
        amounts=(1 / classes, 1.0),
    )
