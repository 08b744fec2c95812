"""What maps are worth and what they hold: agreement with a reference, and polygons."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Unpack

from crispmap.api.given import Classes, map_of, no_target, target_of
from crispmap.evaluation.evaluation import Evaluation, warn_of_chance
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.evaluation.readers import ArrayLabels
from crispmap.files.turn import AS_STORED
from crispmap.geo.area_pieces import AreaPiece
from crispmap.labels.mask import open_labels
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vectorize import vectorize_file
from crispmap.project.dataset import labels_of, schema_of
from crispmap.raster.arrays import Georeference, RasterLike, check_keywords, values_on
from crispmap.raster.files import read_turn
from crispmap.raster.writer import class_map_writer
from crispmap.types import IGNORE

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def evaluate(
    predicted: RasterLike,
    reference: RasterLike,
    *,
    classes: Classes | None = None,
    widths_m: Sequence[float] | None = None,
    area: str | Path | tuple[int, int, int, int] | None = None,
    **where: Unpack[Georeference],
) -> Evaluation:
    """Return how well a class map agrees with a reference: ``mean_iou``, ``mean_dice``, ``boundary_f1``, ``to_dict()``.

    Args:
        predicted: Class ids, 255 where the map has none: a file, an array (row, col), or a DataArray.
        reference: Class ids on the same pixels, 255 where unknown; or a file of vectors or a mask, in any CRS.
        classes: The classes; by default those a map of crispmap carries.
        widths_m: Widths at which boundaries are compared, in metres; 1 and 3 by default.
        area: Where to score: a file of polygons, or a window (row, col, height, width) of the map, of an array in the
            order it has, of a file as it is read, north-up; all by default.
        **where: Of numpy arrays: ``gsd_m``, or ``transform`` and ``crs``.

    Raises:
        SchemaError: If the classes are not known.
        LabelError: If nothing is labelled, an id is no class, or shapes differ.
        ProjectError: If the area is outside the map, or cannot be read.
        InputError: If an array has no georeference.
    """
    schema = None if classes is None else schema_of(classes)
    if isinstance(predicted, str | Path) and isinstance(reference, str | Path):
        check_keywords(where, beside_file=True)
        return _warned(evaluate_file(predicted, reference, ScoringRules(schema, _areas(area), widths_m)))
    labels, grid, schema = map_of(predicted, schema, where)
    with ExitStack() as stack:
        if isinstance(reference, str | Path):
            truth = stack.enter_context(closing(open_labels(reference, schema, grid))).read(grid.block)
        else:
            turn = read_turn(predicted) if isinstance(predicted, str | Path) else AS_STORED
            truth = labels_of(values_on(reference, grid, IGNORE, turn), grid.shape, schema)
        rules = ScoringRules(schema, _areas(area), widths_m)
        return _warned(rules.comparison(ArrayLabels(labels), ArrayLabels(truth), grid, schema).run())


def _warned(one: Evaluation) -> Evaluation:
    warn_of_chance({"map": one})
    return one


def _areas(area: str | Path | tuple[int, int, int, int] | None) -> dict[str, list[AreaPiece]]:
    if area is None:
        return {}
    piece = {"file": Path(area)} if isinstance(area, str | Path) else {"window": tuple(area)}
    return {"test": [AreaPiece(**piece, origin="area=")]}


def vectorize(
    predicted: RasterLike,
    out: str | Path | None = None,
    *,
    classes: Classes | None = None,
    min_area_m2: float = 0.0,
    simplify_m: float = 0.0,
    force: bool = False,
    **where: Unpack[Georeference],
) -> Path | GeoDataFrame:
    """Return the regions of a class map as polygons, all classes but the background.

    Args:
        predicted: Class ids: a file, an array (row, col), or a DataArray.
        out: The file to write, of a file: .gpkg, .geojson, .fgb or .parquet.
        classes: The classes of an array, by default those a map of crispmap carries.
        min_area_m2: Smaller polygons are left out.
        simplify_m: How far outlines may stray to have fewer corners, in metres.
        force: Replace a file that is there.
        **where: Of a numpy array: ``gsd_m``, or ``transform`` and ``crs``.

    Returns:
        Of a file: the path written. Else a GeoDataFrame with class_id, class_name and area_m2.

    Raises:
        InputError: If ``out`` is missing or out of place, or an array has no georeference.
        SceneError: If the map cannot be read.
    """
    rules = PolygonRules(min_area_m2=min_area_m2, simplify_m=simplify_m)
    if isinstance(predicted, str | Path):
        check_keywords(where, beside_file=True)
        target = target_of(out, "classes", "map.gpkg")
        vectorize_file(predicted, target, rules, force=force)
        return target
    no_target(out)
    import geopandas

    labels, grid, schema = map_of(predicted, None if classes is None else schema_of(classes), where)
    with TemporaryDirectory(prefix="crispmap.") as folder:
        raster, vectors = Path(folder) / "map.tif", Path(folder) / "map.gpkg"
        with class_map_writer(raster, grid, schema) as writer:
            writer.write(grid.block, labels)
        vectorize_file(raster, vectors, rules)
        return geopandas.read_file(vectors)
