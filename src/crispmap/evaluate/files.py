"""The evaluation of a class map in a file against a reference in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from crispmap.classes import ClassSchema
from crispmap.errors import SchemaError
from crispmap.evaluate.compare import SLACK_PX, MapComparison, Progress, boundary_rule, rows_and_columns_m
from crispmap.evaluate.evaluation import Evaluation
from crispmap.evaluate.readers import AreaComplement, AreaMask, AreaUnion
from crispmap.files.gdal_memory import few_blocks_kept
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.raster.files import read_grid
from crispmap.raster.writer import read_class_schema


def evaluate_file(
    map_path: str | Path,
    reference_path: str | Path,
    *,
    schema: ClassSchema | None = None,
    areas: Mapping[str, Sequence[AreaPiece]] | None = None,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    options: LabelOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Return how well a class map agrees with a reference, both files, on the map's grid; see ``evaluate_maps``.

    Args:
        map_path: A class map, or any mask that ``open_labels`` reads.
        reference_path: Vectors or a mask, in any CRS.
        schema: The classes; those in the map's tags by default.
        areas: Areas by role, see ``pixels_to_score``; windows are in pixels of the map.

    Raises:
        InputError: If a width is not above 0, or the slack is below 0.
        LabelError: If a file cannot be read as labels, the two do not overlap, or no pixel is labelled.
        ProjectError: If an area lies outside the map or cannot be read, or areas of two roles share pixels.
        SceneError: If the map is no raster.
        SchemaError: If the map names no classes and none are given.
    """
    schema = schema or schema_of_map(map_path)
    grid = read_grid(map_path)
    chosen = pixels_to_score(areas or {}, grid)
    with few_blocks_kept(), ExitStack() as stack:
        predicted = stack.enter_context(closing(open_labels(map_path, schema, grid)))
        reference = stack.enter_context(closing(open_labels(reference_path, schema, grid, options=options)))
        rule = boundary_rule(schema, rows_and_columns_m(grid), widths_m, slack_px)
        return MapComparison(predicted, reference, grid.block, schema, rule, chosen).run(progress=progress)


def schema_of_map(path: str | Path) -> ClassSchema:
    """Return the class schema in the tags of a class map.

    Raises:
        SceneError: If the file or its schema cannot be read.
        SchemaError: If it has none.
    """
    schema = read_class_schema(path)
    if schema is None:
        raise SchemaError(
            f"{path} does not name its classes.",
            expected="a class map written by crispmap",
            remedy="Give the classes (--classes project.yaml).",
        )
    return schema


def pixels_to_score(areas: Mapping[str, Sequence[AreaPiece]], grid: Grid) -> AreaMask | None:
    """Return the pixels of the role ``test``, else all except those of other roles, used for training; None for all.

    Raises:
        ProjectError: If an area lies outside the grid or cannot be read, or areas of two roles share pixels.
    """
    resolved = resolve_areas(areas, grid, grid)
    if resolved.get("test"):
        return AreaUnion(resolved["test"])
    others = [area for role in resolved.values() for area in role]
    return AreaComplement(AreaUnion(others)) if others else None
