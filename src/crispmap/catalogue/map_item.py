"""The item of a class map."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from crispmap.areas.dates import DATE_TAG, MapDate, read_date
from crispmap.catalogue.fields import (
    CLASSIFICATION,
    PROCESSING,
    PROJECTION,
    RASTER,
    Item,
    classes_of,
    item_of,
    time_text,
    written_at,
)
from crispmap.catalogue.footprint import footprint
from crispmap.classes import ClassSchema
from crispmap.errors import AreaError, SceneError
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Grid
from crispmap.raster.beside import STYLE_SUFFIX, attributes_file
from crispmap.raster.describe import RasterFacts, describe_raster

ItemDates: TypeAlias = Literal["filename", "tag"]
"""Where the date of a map is: in its name, or in the tag of its file."""

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
MODEL_TAGS = {"coarse model": "CRISPMAP_COARSE_SHA256", "refiner": "CRISPMAP_REFINER_SHA256"}
_ENGINE_TAG = "CRISPMAP_ENGINE"


def map_item(path: Path, dates: ItemDates | None = None) -> Item:
    """Return the item of a class map, whose files are named as they are called beside it.

    Its time is that of the scene: the date in its name or in its tag, as ``dates`` says; without it the date of the tag
    where it has one, else when the file was written, which ``crispmap:datetime_from`` tells.

    Raises:
        AreaError: If the date asked for is missing or can be read in two ways.
        SceneError: If the file is no class map, or cannot be read.
    """
    facts = describe_raster(path)
    if facts.schema is None:
        raise SceneError(
            f"{path} does not name its classes.", expected="a class map made by crispmap",
            remedy="Make it by crispmap predict, refine or rasterize.",
        )  # fmt: skip
    when, origin = _when(path, dates)
    own = {key.lower().replace("_", ":", 1): value for key, value in sorted(facts.tags.items())}
    properties = {
        **when, "crispmap:datetime_from": origin, "updated": written_at(path), "title": path.stem,
        **_projection(facts.grid), **_processing(facts), **own,
    }  # fmt: skip
    extensions = [RASTER, CLASSIFICATION, PROCESSING, *([PROJECTION] if facts.grid.crs is not None else [])]
    return item_of(path, extensions, footprint(facts.grid), properties, _assets(path, facts, facts.schema))


def _when(path: Path, dates: ItemDates | None) -> tuple[dict[str, Any], str]:
    """Return the keys of an item's time, and where it is from."""
    with open_dataset(path) as dataset:
        tag = tags_of(dataset).get(DATE_TAG)
    if dates == "filename":
        return _times(_date_in_name(path)), "name"
    if dates == "tag" and tag is None:
        raise AreaError(
            f"{path} has no tag {DATE_TAG}.", expected="the tag that says when its scene was taken",
            remedy="Take dates from elsewhere, such as date_from=filename.",
        )  # fmt: skip
    if tag is not None:
        try:
            return _times(read_date(tag, f"The tag {DATE_TAG} of {path}")), "tag"
        except AreaError:
            if dates == "tag":
                raise
    return {"datetime": written_at(path)}, "file"


def _date_in_name(path: Path) -> MapDate:
    try:
        return read_date(path.name, f"The name {path.name}")
    except AreaError as error:  # its remedy is a table of dates, which catalogues have not
        raise AreaError(
            error.given, expected=error.expected,
            remedy="Rename the map, or leave date_from= out: then it is the date of the tag, or of the file.",
        ) from error  # fmt: skip


def _times(found: MapDate) -> dict[str, Any]:
    """Return a day, a month or a year as an item has it: as a moment, or from its first to its last second."""
    year, month, day = (*found.parts, 1, 1)[:3]
    first = datetime(year, month, day, tzinfo=UTC)
    if len(found.parts) == 3:
        return {"datetime": time_text(first)}
    after = date(year + 1, 1, 1) if len(found.parts) == 1 or month == 12 else date(year, month + 1, 1)
    last = datetime(after.year, after.month, 1, tzinfo=UTC) - timedelta(seconds=1)
    return {"datetime": None, "start_datetime": time_text(first), "end_datetime": time_text(last)}


def _projection(grid: Grid) -> dict[str, Any]:
    """Return the fields of the projection extension, and the pixel size; none without a CRS."""
    if grid.crs is None:
        return {}
    authority = grid.crs.to_authority()
    code = {"proj:code": ":".join(authority)} if authority else {"proj:code": None, "proj:wkt2": grid.crs.to_wkt()}
    return {
        **code, "proj:shape": list(grid.shape), "proj:transform": list(grid.transform)[:9],
        "proj:bbox": list(grid.bounds), "gsd": round(grid.mean_gsd_m(), 6),
    }  # fmt: skip


def _processing(facts: RasterFacts) -> dict[str, Any]:
    """Return the fields of the processing extension: what computed the map, of which models."""
    models = [f"{role} {facts.tags[tag]}" for role, tag in MODEL_TAGS.items() if tag in facts.tags]
    engine = facts.tags.get(_ENGINE_TAG)
    lineage = ["Class map by crispmap", *([f"computed by {engine}"] if engine else []), *models]
    return {"processing:level": "L4", "processing:lineage": "; ".join(lineage)}


def _nodata(value: float | None) -> dict[str, Any]:
    """Return the nodata value of class ids, where they have one."""
    return {} if value is None else {"nodata": int(value)}


def _assets(path: Path, facts: RasterFacts, schema: ClassSchema) -> dict[str, Any]:
    """Return the map and what lies beside it."""
    band: dict[str, Any] = {
        "name": "class", "data_type": facts.bands[0].type, **_nodata(facts.bands[0].nodata),
        "raster:sampling": "area", "classification:classes": classes_of(schema),
    }  # fmt: skip
    if facts.grid.crs is not None:
        band["raster:spatial_resolution"] = round(facts.grid.mean_gsd_m(), 6)
    assets = {"map": {"href": f"./{path.name}", "type": COG, "roles": ["data"], "title": "Classes", "bands": [band]}}
    for name, file, kind, title in (
        ("style", path.with_suffix(STYLE_SUFFIX), "application/xml", "Style of QGIS"),
        ("attributes", attributes_file(path), "application/xml", "Raster attribute table of GDAL"),
    ):
        if file.is_file():
            assets[name] = {"href": f"./{file.name}", "type": kind, "roles": ["metadata"], "title": title}
    return assets
