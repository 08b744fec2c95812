"""What maps are worth and what they hold: agreement with a reference, and polygons."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack, cast

from crispmap.api.given import Classes, map_of, no_target, target_of
from crispmap.evaluation.evaluation import Evaluation, warn_of_chance
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.evaluation.readers import ArrayLabels
from crispmap.files.turn import AS_STORED
from crispmap.geo.area_pieces import AreaPiece
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.polygons.object_files import evaluate_objects as evaluate_files
from crispmap.polygons.objects import ObjectFigures
from crispmap.polygons.rules import PolygonRules, Preset
from crispmap.polygons.vectorize import vectorize_file
from crispmap.project.dataset import labels_of, schema_of
from crispmap.raster.arrays import RasterLike, check_keywords, values_on
from crispmap.raster.data_arrays import Georeference
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


class Drawn(Georeference, total=False):
    """How polygons are drawn, see ``PolygonRules``; and where the pixels of an array are.

    Attributes:
        preset: "buildings" for footprints with right angles, "roads" for centrelines, "landcover" for all classes.
        min_area_m2: Smaller polygons are left out.
        simplify_m: How far outlines may stray to have fewer corners, in metres.
        sieve_m2: Smaller regions join the neighbour with the longest common border.
        fill_holes_m2: Smaller holes are filled.
        confidence: A confidence raster or scores of the same pixels.
        scores: The scores behind the map, by which touching buildings are split.
    """

    preset: Preset
    min_area_m2: float
    simplify_m: float
    sieve_m2: float
    fill_holes_m2: float
    confidence: str | Path
    scores: str | Path


def vectorize(
    predicted: RasterLike,
    out: str | Path | None = None,
    *,
    classes: Classes | None = None,
    force: bool = False,
    **options: Unpack[Drawn],
) -> Path | GeoDataFrame:
    """Return the regions of a class map as polygons, all classes but the background; or what a preset makes of them.

    Args:
        predicted: Class ids: a file, an array (row, col), or a DataArray.
        out: The file to write, of a file: .gpkg, .geojson, .fgb or .parquet.
        classes: The classes of an array, by default those a map of crispmap carries.
        force: Replace a file that is there.
        **options: ``preset``, ``min_area_m2``, ``simplify_m``, ``sieve_m2``, ``fill_holes_m2``, ``confidence``,
            ``scores``; of a numpy array also ``gsd_m``, or ``transform`` and ``crs``.

    Returns:
        Of a file: the path written. Else a GeoDataFrame with class_id, class_name and area_m2.

    Raises:
        GridError: If confidence or scores have other pixels than the map.
        InputError: If ``out`` is missing or out of place, an option is out of range, or an array has no georeference.
        SceneError: If the map cannot be read.
        SchemaError: If the preset finds no class of its name.
    """
    own = Drawn.__annotations__.keys() - Georeference.__annotations__.keys()
    check_keywords(options, own)
    where = cast(Georeference, {name: value for name, value in options.items() if name not in own})
    given: dict[str, Any] = {name: value for name, value in options.items() if name in own}
    beside = {name: Path(given[name]) for name in ("confidence", "scores") if given.get(name) is not None}
    rules = PolygonRules(**given | beside)
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
        return geopandas.read_file(vectors, layer=vectors.stem)


def evaluate_objects(
    predicted: str | Path,
    reference: str | Path,
    *,
    classes: Classes | None = None,
    area: str | Path | tuple[int, int, int, int] | None = None,
    all_as: str | None = None,
) -> dict[str, ObjectFigures]:
    """Return how well the objects of a file agree with a reference, by class: ``f1``, ``precision``, ``polis_m``.

    Two objects are a pair from an IoU of 0.5 on.

    Args:
        predicted: A class map, whose regions are the objects, or a file of polygons, such as footprints.
        reference: A file of vectors or a mask.
        classes: The classes; by default those of the map, else building and road.
        area: Where objects count: a file of polygons, or a window (row, col, height, width) of a map.
        all_as: The class of every polygon of files without tags or classes.

    Raises:
        InputError: If the area is a window and no map is given.
        LabelError: If a file has no polygon of the classes, or cannot be read.
        ProjectError: If the area cannot be read.
        SchemaError: If the classes of a map are not known.
    """
    schema = None if classes is None else schema_of(classes)
    rules = ScoringRules(schema, _areas(area), options=LabelOptions(all_as=all_as))
    return dict(evaluate_files([predicted], reference, rules).figures[str(Path(predicted))])
