"""What a person gives to the functions of the public door, checked and brought to what the package works with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias, cast

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, ModelError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.labels.mask import open_labels
from crispmap.models.architecture import Kind
from crispmap.models.lazy import open_coarse, open_refiner
from crispmap.models.model import CoarseModel, Model, RefinerModel
from crispmap.project.dataset import labels_of
from crispmap.raster.arrays import check_keywords, grid_of_array, values_on
from crispmap.raster.data_arrays import Georeference, is_data_array
from crispmap.raster.files import read_grid
from crispmap.raster.scene import Scene
from crispmap.raster.spec import CLASSES_TAG
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE, LabelArray

ModelLike: TypeAlias = "str | Path | Model[Any]"
Classes: TypeAlias = "ClassSchema | Sequence[str]"


def path_of(given: object, what: str) -> str:
    """Return a path as text, or raise InputError where it is none."""
    if not isinstance(given, str | Path):
        raise InputError(
            f"The {what} is given as {type(given).__name__}.", expected="one path, as text or pathlib.Path",
            remedy="for several, call it for each" if isinstance(given, list | tuple) else "",
        )  # fmt: skip
    return str(given)


def target_of(out: str | Path | None, output: str, example: str = "map.tif") -> Path:
    """Return the file to write, or raise InputError where none is named."""
    if out is None or output != "classes":
        raise InputError(
            "No file is named to write to." if out is None else f"output={output!r} is given beside a file.",
            expected="out=, the path of the result; scores come of arrays only",
            remedy=f"give out={example!r}, or an array in place of the path",
        )
    return Path(path_of(out, "output"))


def no_target(out: object) -> None:
    """Refuse a file to write to beside an array."""
    if out is not None:
        raise InputError(
            f"out={out!r} is given beside an array.", expected="out= only beside a path",
            remedy="leave it out: of an array, the result is returned",
        )  # fmt: skip


def coarse_of(model: ModelLike) -> CoarseModel:
    """Return a coarse model, loaded where it is a path."""
    if not isinstance(model, Model):
        return open_coarse(Path(path_of(model, "coarse model")))
    return cast(CoarseModel, _of_kind(model, "coarse"))


def refiner_of(model: ModelLike) -> RefinerModel:
    """Return a refiner, loaded where it is a path."""
    if not isinstance(model, Model):
        return open_refiner(Path(path_of(model, "refiner model")))
    return cast(RefinerModel, _of_kind(model, "refiner"))


def _of_kind(model: Model[Any], kind: Kind) -> Model[Any]:
    if model.card.kind != kind:
        raise ModelError(
            f"The {kind} model is given as a {model.card.kind} model, {model.card.architecture}.",
            expected=f"a {kind} model", remedy="give the other model here",
        )  # fmt: skip
    return model


def map_of(raster: Any, schema: ClassSchema | None, where: Georeference) -> tuple[LabelArray, Grid, ClassSchema]:
    """Return a class map with its grid and classes."""
    if isinstance(raster, str | Path):
        check_keywords(where, beside_file=True)
        schema = schema or carried_schema(raster)
        grid = read_grid(raster)
        with closing(open_labels(raster, schema, grid)) as labels:
            return labels.read(grid.block), grid, schema
    check_keywords(where)
    if schema is None and is_data_array(raster) and CLASSES_TAG in raster.attrs:
        schema = ClassSchema.from_json(raster.attrs[CLASSES_TAG])
    if schema is None:
        raise SchemaError(
            "The classes of an array are not known.", expected="classes=, the names in order of id",
            remedy="give for example classes=['background', 'building']",
        )  # fmt: skip
    if isinstance(raster, Scene):
        raise InputError("A class map is given as an open scene.", expected="its path, an array or a DataArray")
    grid = grid_of_array(raster, where)
    return labels_of(values_on(raster, grid, IGNORE), grid.shape, schema), grid, schema


def carried_schema(path: str | Path) -> ClassSchema:
    """Return the classes that a class map in a file carries in its tags."""
    schema = read_class_schema(path)
    if schema is None:
        raise SchemaError(f"{path} does not name its classes.", expected="a class map of crispmap, or classes=")
    return schema
