"""Polygons written to files batch by batch, in the formats other programs read; a file is complete or absent.

Features go to a GeoPackage in a hidden folder beside the target; other formats are converted from it at the end, as a
stream of batches, so that memory does not grow with their number.
"""

from __future__ import annotations

import json
import math
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pyogrio
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS

from crispmap.errors import OutputError
from crispmap.files.atomic import scratch_folder
from crispmap.geo.grid import Grid
from crispmap.polygons.polygons import Geometries
from crispmap.polygons.style import save_style
from crispmap.raster.beside import write_style
from crispmap.raster.targets import GEOPACKAGE_SIDECARS, check_target, put_in_place, sync_file, write_failure

GEOPACKAGE, GEOJSON, FLATGEOBUF, PARQUET = ".gpkg", ".geojson", ".fgb", ".parquet"

FORMATS = {GEOPACKAGE: "GPKG", GEOJSON: "GeoJSON", FLATGEOBUF: "FlatGeobuf", PARQUET: "Parquet"}
"""The formats written, by suffix."""

_BATCH = 5_000
_FINEST_DIGITS = 7  # of degrees: a centimetre
_LONLAT = CRS.from_epsg(4326)


def check_vector_target(out: str | Path, grid: Grid, *, force: bool = False) -> Path:
    """Return the path of a vector file after checking that it may be written.

    Raises:
        OutputError: If its suffix is of no known format, the format cannot hold the coordinates, or the file exists
            without ``force`` or cannot be written.
    """
    target = Path(out)
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"Polygons cannot be written to {target}.",
            expected=f"a name that ends in {', '.join(FORMATS)}",
            remedy=f"Name it {target.with_suffix(GEOPACKAGE)}.",
        )
    if suffix == GEOJSON and grid.crs is None:
        raise OutputError(
            f"The output {target} is GeoJSON, which holds degrees, but the map has no coordinate reference system.",
            expected="a format that works without one",
            remedy=f"Name it {target.with_suffix(GEOPACKAGE)}, or georeference the map.",
        )
    if suffix == PARQUET:
        _require_pyarrow(target)
    return check_target(target, force=force)


class VectorFile:
    """A layer of polygons or lines being written; a context manager.

    On leaving ``with`` normally the target is complete; on leaving by an exception nothing is left, and an older file
    stays as it was. Features keep their order, except in FlatGeobuf, which orders them by place. GeoJSON follows RFC
    7946: WGS 84, longitude before latitude, positions to a hundredth of a pixel or better.

    Args:
        grid: The grid of the polygons: gives their CRS and the precision of positions.
        kind: What each feature is: Polygon or LineString.
        style: The style by which QGIS shows them, saved in a GeoPackage, and in a file beside other formats.

    Raises:
        OutputError: As ``check_vector_target``; later, if the disk is full or fails.

    Warns:
        CrispmapWarning: On leaving, if the file of the style cannot be written; see ``write_style``.
    """

    def __init__(
        self,
        path: str | Path,
        grid: Grid,
        *,
        kind: str = "Polygon",
        style: ET.Element | None = None,
        force: bool = False,
    ) -> None:
        self._path = check_vector_target(path, grid, force=force)
        self._grid = grid
        self._kind = kind
        self._style = style
        self._force = force
        self._folder: Path | None = None
        self._held = ExitStack()
        self._layer = self._path.stem
        self._columns: list[Mapping[str, NDArray[Any]]] = []
        self._polygons: list[Geometries] = []
        self._begun = False

    def __enter__(self) -> Self:
        try:
            self._folder = self._held.enter_context(scratch_folder(self._path))
        except OSError as error:
            raise self._failure(error) from error
        return self

    def write(self, polygons: Geometries, columns: Mapping[str, NDArray[Any]]) -> None:
        """Write features (n,) in the grid's CRS with their attributes (n,) by column, the same columns every time.

        Raises:
            OutputError: If the disk is full or fails.
        """
        self._polygons.append(polygons)
        self._columns.append(columns)
        if sum(map(len, self._polygons)) >= _BATCH:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._held.close()
            self._folder = None

    @property
    def _scratch(self) -> Path:
        if self._folder is None:
            raise ValueError("polygons are written inside the with statement")
        return self._folder / f"{self._layer}{GEOPACKAGE}"

    def _flush(self) -> None:
        """Append the buffered features to the scratch file."""
        columns = {name: np.concatenate([one[name] for one in self._columns]) for name in self._columns[0]}
        frame = gpd.GeoDataFrame(columns, geometry=np.concatenate(self._polygons), crs=self._grid.crs)
        self._polygons, self._columns = [], []
        try:
            with _quiet():
                pyogrio.write_dataframe(
                    frame, self._scratch, layer=self._layer, driver="GPKG", geometry_type=self._kind, append=self._begun
                )
        except (OSError, DataSourceError, DataLayerError, FeatureError) as error:
            raise self._failure(error) from error
        self._begun = True

    def _finish(self) -> None:
        """Write the rest, convert it to the wanted format and move it onto the target."""
        if self._columns:
            self._flush()
        suffix = self._path.suffix.lower()
        finished = self._scratch if suffix == GEOPACKAGE else self._scratch.with_name(f"finished{suffix}")
        try:
            if suffix == PARQUET:
                self._to_parquet(finished)
            elif suffix != GEOPACKAGE:
                self._converted(finished, FORMATS[suffix])
            elif self._style is not None:
                save_style(finished, self._style)
            sync_file(finished)
            check_target(self._path, force=self._force)  # another program may have written it meanwhile
            if suffix != GEOPACKAGE:
                write_style(self._path, self._style)
            put_in_place(finished, self._path, GEOPACKAGE_SIDECARS)
        except (OSError, sqlite3.Error, DataSourceError, DataLayerError, FeatureError) as error:
            raise self._failure(error) from error

    def _converted(self, finished: Path, driver: str) -> None:
        """Convert the scratch file to another format."""
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": str(self._digits())} if driver == "GeoJSON" else {}
        with _quiet(), pyogrio.open_arrow(self._scratch, use_pyarrow=False) as (meta, stream):
            pyogrio.write_arrow(
                stream,
                finished,
                layer=self._layer,
                driver=driver,
                geometry_name=meta["geometry_name"] or "wkb_geometry",
                geometry_type=self._kind,
                crs=meta["crs"],
                **options,
            )

    def _to_parquet(self, finished: Path) -> None:
        """Convert the scratch file to GeoParquet."""
        from pyarrow import parquet  # type: ignore[import-untyped]

        with _quiet(), pyogrio.open_arrow(self._scratch, use_pyarrow=True) as (meta, reader):
            name = meta["geometry_name"] or "wkb_geometry"
            schema = reader.schema.with_metadata({"geo": json.dumps(_geoparquet(name, self._kind, self._grid.crs))})
            with parquet.ParquetWriter(finished, schema, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))

    def _digits(self) -> int:
        """Return the decimals of degrees that resolve a hundredth of a pixel."""
        degrees = min(self._grid.gsd_m()) / 111_320
        return max(_FINEST_DIGITS, math.ceil(-math.log10(degrees / 100)))

    def _failure(self, error: Exception) -> OutputError:
        return write_failure(self._path, error, kept="what was written so far has been removed")


def _geoparquet(column: str, kind: str, crs: CRS | None) -> dict[str, Any]:
    """Return the metadata that makes a Parquet file GeoParquet 1.0."""
    about = {
        "encoding": "WKB",
        "geometry_types": [kind],
        "orientation": "counterclockwise",
        "crs": None if crs is None else crs.to_json_dict(),
    }
    return {"version": "1.0.0", "primary_column": column, "columns": {column: about}}


def _require_pyarrow(target: Path) -> None:
    """Raise OutputError if pyarrow is missing."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise OutputError(
            f"The output {target} is GeoParquet, and pyarrow is not installed.",
            expected="pyarrow",
            remedy=f"pip install 'crispmap[parquet]', or name it {target.with_suffix(GEOPACKAGE)}.",
        )


class _quiet(warnings.catch_warnings):  # noqa: N801 - used like a function
    """Silences the warning about a layer without CRS."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", UserWarning)
