"""Rasters as layers: what each file holds is told by its tags, its colours and its bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from crispmap.classes import ClassSchema, class_colour
from crispmap.errors import SceneError
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import descriptions_of, tags_of
from crispmap.geo.grid import Grid
from crispmap.raster.georeference import grid_of
from crispmap.raster.spec import CLASSES_TAG, CONFIDENCE_TAG, PROBABILITY_LEVELS, SCORES_TAG
from crispmap.viewer.layers import (
    ClassEntry,
    Layer,
    LayerKind,
    Probability,
    amount_painter,
    class_painter,
    percentiles,
    sample,
    stretched,
)
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.rasters import RasterFile, raster_source, without_bands

_MOST_CLASSES = 24  # of a raster whose values have neither names nor colours, to be taken for classes
_MOST_SCORES = 12  # classes of scores with a layer each
_COLOURS = (("red", "green", "blue"), ("b4", "b3", "b2"), ("b04", "b03", "b02"))
_SENTINEL_2 = 13  # bands of a whole scene, of which 4, 3 and 2 are red, green and blue


@dataclass(frozen=True)
class FoundRaster:
    """A raster that was given, and what it holds."""

    path: Path
    grid: Grid
    bands: tuple[str, ...]  # names of all that are no alpha
    kind: LayerKind
    dtype: str
    file: RasterFile  # read in the bands to show
    schema: ClassSchema | None = None
    table: dict[int, str] | None = None  # colours of its values
    is_scores: bool = False
    full: float | None = None  # of scores: the value of probability 1; None for logits

    @property
    def shows_ground(self) -> bool:
        """Whether it is an image, over which the others lie."""
        return self.kind == "image"


def look_at(path: Path, bands: Sequence[int] = ()) -> FoundRaster:
    """Return what a raster holds.

    Args:
        bands: The numbers of one or three bands to show of an image; by default red, green and blue where they can be
            told.

    Raises:
        SceneError: If it cannot be read as a raster, or has no such band.
    """
    with open_dataset(path) as dataset:
        grid, tags = grid_of(dataset, path, None), tags_of(dataset)
        names = _band_names(dataset)
        if any("complex" in one for one in dataset.dtypes):
            raise SceneError(f"{path} has complex values.", expected="a raster of real numbers",
                             remedy="Give its amplitude.")  # fmt: skip
        shown = tuple(bands) if bands else _bands_to_show(dataset, names)
        _check_bands(path, shown, len(names))
        file = RasterFile.of(path, dataset, grid, shown)
        facts: dict[str, Any] = {"path": path, "grid": grid, "bands": names, "dtype": dataset.dtypes[0], "file": file}
        if CLASSES_TAG in tags:
            schema = _schema(path, tags[CLASSES_TAG])
            return FoundRaster(**facts, kind="classes", schema=schema)
        if SCORES_TAG in tags:
            full = None if tags[SCORES_TAG] == "logit" else float(PROBABILITY_LEVELS)
            every = without_bands(file, range(1, len(names) + 1))
            return FoundRaster(**{**facts, "file": every}, kind="amount", is_scores=True, full=full)
        kind = _kind(dataset, names, tags)
        return FoundRaster(**facts, kind=kind, table=_table(dataset) if kind == "classes" else None)


def _schema(path: Path, text: str) -> ClassSchema:
    from crispmap.errors import SchemaError

    try:
        return ClassSchema.from_json(text)
    except SchemaError as error:
        raise SceneError(
            f"{path} has class names that cannot be read: {error.given}",
            expected=f"a class schema in its tag {CLASSES_TAG}", remedy="The file is damaged; make the map again.",
        ) from error  # fmt: skip


def _check_bands(path: Path, bands: Sequence[int], count: int) -> None:
    if len(bands) not in (1, 3) or not all(1 <= one <= count for one in bands):
        raise SceneError(
            f"Bands {', '.join(map(str, bands))} are to be shown of {path}, which has {count}.",
            expected=f"one band, or three for red, green and blue, from 1 to {count}",
            remedy="Choose them with bands=, such as bands=4,3,2; crispmap info lists them.",
        )


def _band_names(dataset: Any) -> tuple[str, ...]:
    given = descriptions_of(dataset)
    numbers = [index for index, colour in enumerate(dataset.colorinterp) if colour != ColorInterp.alpha]
    return tuple(given[index] or f"band {index + 1}" for index in numbers)


def _bands_to_show(dataset: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Return red, green and blue where colours or names tell them, else the first three; of fewer the first."""
    colours, wanted = list(dataset.colorinterp), (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    lower = [name.lower() for name in names]
    for known in _COLOURS:
        if all(one in lower for one in known):
            return tuple(lower.index(one) + 1 for one in known)
    if len(names) == _SENTINEL_2:
        return 4, 3, 2
    if all(one in colours for one in wanted):
        return tuple(colours.index(one) + 1 for one in wanted)
    return (1, 2, 3) if len(names) >= 3 else (1,)


def _kind(dataset: Any, names: Sequence[str], tags: dict[str, str]) -> LayerKind:
    """Return what a raster without our tags is taken for."""
    if CONFIDENCE_TAG in tags:
        return "amount"
    if len(names) > 1:
        return "image"
    if ColorInterp.palette in dataset.colorinterp:
        return "classes"
    return "amount" if np.dtype(dataset.dtypes[0]).kind == "f" else "image"


def _table(dataset: Any) -> dict[int, str]:
    """Return the colours of a raster's table, of those that are seen."""
    entries = dataset.colormap(1)
    return {value: "#{:02x}{:02x}{:02x}".format(*rgba) for value, rgba in entries.items() if rgba[3] > 0}


def layers_of(found: FoundRaster, pyramid: Pyramid, name: str, new_id: Callable[[], str]) -> list[Layer]:
    """Return the layers of a raster: one, or of scores one for each class.

    Args:
        name: What it is called on the page.
        new_id: Gives an id that no layer has yet.

    Raises:
        GridError: If it cannot be laid over the view.
    """
    one_value = len(found.file.bands) == 1 and not found.is_scores and found.kind != "amount"
    source = raster_source(found.file, pyramid, nearest=one_value)
    files = (found.path,)
    if found.is_scores:
        return [
            Layer(new_id(), f"{name}: {band}", "amount", Probability(source, index, found.full),
                  amount_painter(0.0, 1.0), files, ramp=(0.0, 1.0), bands=(band,))
            for index, band in list(enumerate(found.bands))[:_MOST_SCORES]
            if index or len(found.bands) == 1
        ]  # fmt: skip
    classes = _classes(found, source, pyramid) if one_value and len(found.bands) == 1 else ()
    if classes:
        colours = {one.value: one.colour for one in classes} | (found.table or {})
        return [Layer(new_id(), name, "classes", source, class_painter(colours), files, classes)]
    if one_value:
        source = raster_source(found.file, pyramid, nearest=False)
    if found.kind == "amount":
        lowest, highest = percentiles(sample(source, pyramid)[0])
        return [Layer(new_id(), name, "amount", source, amount_painter(lowest, highest), files,
                      ramp=(lowest, highest), bands=found.bands[:1])]  # fmt: skip
    shown = tuple(found.bands[number - 1] for number in found.file.bands)
    return [Layer(new_id(), name, "image", source, lambda: stretched(source, pyramid, found.dtype, len(shown)), files,
                  bands=shown)]  # fmt: skip


def entries_of(schema: ClassSchema) -> tuple[ClassEntry, ...]:
    """Return the classes of a schema as a legend shows them."""
    return tuple(ClassEntry(index, one.name, one.colour, index == schema.rest) for index, one in enumerate(schema))


def _classes(found: FoundRaster, source: Any, pyramid: Pyramid) -> tuple[ClassEntry, ...]:
    """Return the classes of a raster; none where its values are those of an image."""
    if found.schema is not None:
        return entries_of(found.schema)
    values = sample(source, pyramid)[0]
    seen = [int(one) for one in np.unique(values)]
    if found.table is not None:
        return tuple(ClassEntry(one, f"value {one}", found.table[one]) for one in seen if one in found.table)
    if not seen or len(seen) > _MOST_CLASSES or seen[0] < 0 or seen[-1] >= 255:
        return ()
    return tuple(ClassEntry(one, f"value {one}", class_colour(one)) for one in range(seen[-1] + 1) if one in seen)
