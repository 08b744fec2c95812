"""Samples as GeoPackages: places with an empty column to fill in, and the design that their figures need.

The layer ``sample`` has what a person labels, without the class of the map, so that it does not sway them: ``id``,
``reference``, which is empty, and the place. The table ``design`` has the stratum of each place, the table ``strata``
pixels and area of each stratum.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from crispmap.areas.accuracy import ReferenceSample
from crispmap.areas.draw import DrawnSample
from crispmap.areas.zonal import OUTSIDE, Places
from crispmap.classes import ClassSchema
from crispmap.errors import AreaError, CrispmapWarning, OutputError, number_of
from crispmap.files.address import shown
from crispmap.files.atomic import scratch_folder
from crispmap.files.vector_file import reading, vector_name
from crispmap.labels.layers import drawn_layers, read_layer
from crispmap.raster.targets import GEOPACKAGE_SIDECARS, check_target, put_in_place, sync_file, write_failure
from crispmap.types import CountArray, DoubleArray

SAMPLE, DESIGN, STRATA, REFERENCE = "sample", "design", "strata", "reference"
_SUFFIX = ".gpkg"
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class LabelledSample:
    """A sample that was read back."""

    path: Path
    places: Places  # of the labelled ones
    reference: CountArray  # (n,) class ids
    stratum: CountArray | None  # (n,) strata by number; None where the file has no design
    strata: pd.DataFrame | None  # stratum, units and area_m2; likewise

    def against(self, schema: ClassSchema, mapped_m2: DoubleArray) -> ReferenceSample:
        """Return it with the classes of maps, which were read since.

        Args:
            mapped_m2: (class,) the area of each in the maps.

        Raises:
            AreaError: If a place lies outside the maps or where they have no class, or a stratum holds too little.
        """
        mapped, size = self.places.ids, len(schema)
        for what, wrong in (("outside the maps", mapped == OUTSIDE), ("where the maps have no class", mapped == size)):
            if wrong.any():
                raise AreaError(
                    f"{number_of(int(wrong.sum()), 'labelled point')} of {shown(self.path)} {what}.",
                    expected="points on the maps that the sample was drawn from, or on maps of the same ground",
                    remedy="Give those maps, or leave such points without a reference.",
                )
        if self.stratum is None or self.strata is None:
            warnings.warn(
                f"{shown(self.path)} has no design: its points count as a random sample within each class of the maps.",
                CrispmapWarning, stacklevel=2,
            )  # fmt: skip
            matrix = np.zeros((size, size), np.int64)
            np.add.at(matrix, (mapped, self.reference), 1)
            return ReferenceSample.of_matrix(schema.names, matrix, mapped_m2)
        counts = np.zeros((len(self.strata), size, size), np.int64)
        np.add.at(counts, (self.stratum, mapped, self.reference), 1)
        return ReferenceSample(
            schema.names, tuple(self.strata["stratum"].astype(str)), counts,
            self.strata["area_m2"].to_numpy(np.float64), self.strata["units"].to_numpy(np.int64),
        )  # fmt: skip


def write_sample(path: str | Path, drawn: DrawnSample, *, squares: bool = False, force: bool = False) -> Path:
    """Write a sample to label, complete or not at all, and return its path.

    Args:
        squares: Whether places are the outlines of pixels rather than their centres.

    Raises:
        OutputError: If the path is no GeoPackage, exists without ``force``, or cannot be written.
    """
    target = check_sample_target(path, force=force)
    ids = np.arange(1, len(drawn.stratum) + 1)
    places = {"id": ids, REFERENCE: np.full(len(ids), None, np.object_)}
    names = np.array(drawn.schema.names, np.object_)
    tables = {
        SAMPLE: gpd.GeoDataFrame(places, geometry=drawn.outlines(squares=squares), crs=drawn.crs),
        DESIGN: pd.DataFrame({"id": ids, "stratum": names[drawn.stratum]}),
        STRATA: pd.DataFrame({"stratum": names, "units": drawn.units, "area_m2": drawn.area_m2}),
    }
    try:
        with scratch_folder(target) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a layer without CRS
            finished = folder / target.name
            for layer, table in tables.items():
                pyogrio.write_dataframe(table, finished, layer=layer, driver="GPKG", append=layer != SAMPLE)
            sync_file(finished)
            check_target(target, force=force)  # another program may have written it meanwhile
            put_in_place(finished, target, GEOPACKAGE_SIDECARS)
    except (OSError, DataSourceError, DataLayerError, FeatureError) as error:
        raise write_failure(target, error, kept="nothing was written") from error
    return target


def check_sample_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a sample after checking that it may be written.

    Raises:
        OutputError: If it is no GeoPackage, exists without ``force``, holds places that a person has labelled, or its
            folder cannot be written to.
    """
    target = Path(path)
    if target.suffix.lower() != _SUFFIX:
        raise OutputError(
            f"A sample cannot be written to {target}.", expected=f"a GeoPackage, a name that ends in {_SUFFIX}",
            remedy=f"Name it {target.with_suffix(_SUFFIX)}.",
        )  # fmt: skip
    check_target(target, force=force)
    if labelled := _labels_in(target):
        raise OutputError(
            f"{target} holds {number_of(labelled, 'place')} that a person has labelled.",
            expected="a name that is free, or that of a sample without labels",
            remedy="Choose another name, or move it away: no run brings labels back.",
        )
    return target


def _labels_in(target: Path) -> int:
    """Return how many places of a sample are labelled; 0 for any other file, and for none."""
    with suppress(DataSourceError, DataLayerError, ValueError):
        table = pyogrio.read_dataframe(target, layer=SAMPLE, columns=[REFERENCE], read_geometry=False)
        return int(_has_text(table[REFERENCE]).sum()) if REFERENCE in table else 0
    return 0


def read_sample(path: str | Path, schema: ClassSchema) -> LabelledSample:
    """Return the places of a sample whose column ``reference`` is filled in with names or ids of classes.

    Any points or polygons with such a column are a sample too; without the tables of ``write_sample`` the classes of
    the maps are taken as its strata.

    Raises:
        LabelError: If the file cannot be read.
        AreaError: If it has no such column, names a class the maps do not have, or nothing is labelled; or its design
            and its points do not fit together.

    Warns:
        CrispmapWarning: About places without a label, and those that are no longer there.
    """
    path = Path(path)
    frame, layers = _read_places(path)
    labelled = _is_labelled(frame)
    if not labelled.any():
        raise AreaError(
            f"No point of {shown(path)} has a reference.",
            expected=f"a class in the column {REFERENCE}: {', '.join(schema.names)}",
            remedy="Look at each place on imagery that is better than the scene, and fill in what is there.",
        )
    stratum = strata = None
    drawn = len(frame)
    if {DESIGN, STRATA} <= layers:
        strata = _read_table(path, STRATA, ("stratum", "units", "area_m2"))
        design = _read_table(path, DESIGN, ("id", "stratum"))
        stratum, drawn = _strata_of(path, frame, design, strata)[labelled], len(design)
    if missing := drawn - int(labelled.sum()):
        warnings.warn(
            f"{number_of(missing, 'point')} of {shown(path)}, {100 * missing / drawn:.1f} %, deleted or without a "
            "reference left out. Figures hold as if these were like the others of their stratum.",
            CrispmapWarning, stacklevel=2,
        )  # fmt: skip
    points = shapely.get_coordinates(shapely.centroid(frame.geometry.to_numpy()[labelled]))
    reference = _class_ids(frame[REFERENCE][labelled], schema, path)
    return LabelledSample(path, Places(points, frame.crs), reference, stratum, strata)


def _read_places(path: Path) -> tuple[gpd.GeoDataFrame, set[str]]:
    """Return the features of a sample, and the names of all layers of the file."""
    found = drawn_layers(path, points=True)
    layer = next((one for one in found if REFERENCE in one.columns), None)
    if layer is None:
        raise AreaError(
            f"{shown(path)} has no column {REFERENCE!r}; its columns: {', '.join(found[0].columns) or 'none'}.",
            expected=f"a sample of crispmap, or points with the class of each in a column {REFERENCE}",
            remedy="Rename the column that holds it.",
        )
    frame = read_layer(layer, ("id", REFERENCE), None).reset_index(drop=True)
    with reading(path):
        layers = {str(name) for name, _ in pyogrio.list_layers(vector_name(path))} if layer.name is not None else set()
    return frame, layers


def _is_labelled(frame: gpd.GeoDataFrame) -> np.ndarray:
    """Return which features have both a reference and a place."""
    places = frame.geometry
    return np.asarray(_has_text(frame[REFERENCE]) & ~places.isna() & ~places.is_empty, np.bool_)


def _has_text(column: pd.Series) -> pd.Series:
    return ~(column.isna() | (column.astype(str).str.strip() == ""))


def _text(value: object) -> str:
    """Return a value of a column as text, a whole number without decimals: columns change type as they are edited."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _class_ids(column: pd.Series, schema: ClassSchema, path: Path) -> CountArray:
    """Return ids of classes given by name, in any case, or by id."""
    known = {name.casefold(): index for index, name in enumerate(schema.names)}
    known |= {str(index): index for index in range(len(schema)) if str(index) not in known}
    texts = [_text(one) for one in column]
    if unknown := sorted({text for text in texts if text.casefold() not in known}):
        raise AreaError(
            f"{shown(path)} has the reference {', '.join(unknown[:_SHOWN])}, of no class of the maps.",
            expected=f"one of {', '.join(schema.names)}, or its id",
            remedy="Correct the names in the column, or give maps with that class.",
        )
    return np.array([known[text.casefold()] for text in texts], np.int64)


def _read_table(path: Path, layer: str, columns: tuple[str, ...]) -> pd.DataFrame:
    with reading(path):
        table: pd.DataFrame = pyogrio.read_dataframe(vector_name(path), layer=layer)
    if not set(columns) <= set(table.columns):
        raise AreaError(
            f"The table {layer} of {shown(path)} has the columns {', '.join(table.columns)}.",
            expected=", ".join(columns), remedy="Give the file that crispmap sample wrote.",
        )  # fmt: skip
    return table


def _strata_of(path: Path, frame: gpd.GeoDataFrame, design: pd.DataFrame, strata: pd.DataFrame) -> CountArray:
    """Return the stratum of each place by number, as the design has it."""
    place = {name: index for index, name in enumerate(strata["stratum"].astype(str))}
    by_id = {_text(one): place.get(str(name), -1) for one, name in zip(design["id"], design["stratum"], strict=True)}
    ids = [_text(one) for one in frame["id"]] if "id" in frame else []
    found = np.array([by_id.get(one, -1) for one in ids], np.int64)
    wrong = int((found < 0).sum()), len(ids) - len(set(ids))
    if any(wrong) or not ids:
        raise AreaError(
            f"The points of {shown(path)} and its design do not fit together: "
            + (f"{number_of(wrong[0], 'point')} not in it, {wrong[1]} twice." if ids else "no column 'id'."),
            expected="the ids that crispmap sample gave", remedy="Add no points and change no ids: fill in the column.",
        )  # fmt: skip
    return found
