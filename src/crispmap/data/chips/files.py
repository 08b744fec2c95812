"""Chips as files: an image and a mask each, what all of them are, and how a project reads them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import rasterio
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.data.chips.survey import Chip
from crispmap.errors import InputError, OutputError
from crispmap.geo.grid import Grid
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, LabelArray

ChipFormat: TypeAlias = Literal["tif", "png"]
IMAGES, MASKS = "images", "masks"
MANIFEST, SHEET, SUMMARY, SECTION, CLASSES = (
    "manifest.parquet", "contact_sheet.png", "chips.json", "dataset.yaml", "class_dict.csv",
)  # fmt: skip
_PNG_BANDS = (1, 3)
_PNG_TYPES = ("uint8", "uint16")
_OURS = {IMAGES, MASKS, MANIFEST, SHEET, SUMMARY, SECTION, CLASSES, "train.txt", "validation.txt", "test.txt"}


def check_format(scene: Scene, form: ChipFormat) -> None:
    """Raise InputError where a format cannot hold the bands of a scene."""
    if form not in ("tif", "png"):
        raise InputError(f"format is {form!r}.", expected="tif or png")
    if form == "png" and (scene.band_count not in _PNG_BANDS or scene.dtype.name not in _PNG_TYPES):
        raise InputError(
            f"{scene.path} has {scene.band_count} bands of type {scene.dtype.name}.",
            expected="1 or 3 bands of 8 or 16 bits without sign for PNG", remedy="Choose bands, or format=tif.",
        )  # fmt: skip


def check_folder(folder: Path, *, force: bool) -> None:
    """Raise OutputError where chips may not be written to a folder: it holds anything, unless it may be replaced.

    With ``force`` a folder is replaced that holds nothing but files of chips.
    """
    if find_spec("pyarrow") is None:
        raise OutputError(
            "The manifest of chips is GeoParquet, and pyarrow is not installed.", expected="pyarrow",
            remedy="pip install 'crispmap[parquet]'",
        )  # fmt: skip
    if not folder.exists():
        if not folder.absolute().parent.is_dir():
            raise OutputError(f"The folder {folder.absolute().parent} does not exist.", expected="an existing folder")
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    if names and not force:
        raise OutputError(
            f"{folder} exists.", expected="a name that is free, or an empty folder",
            remedy="choose another name, or replace it with force=True",
        )  # fmt: skip
    if not names <= _OURS:
        raise OutputError(
            f"{folder} holds other files than chips, such as {sorted(names - _OURS)[0] or folder.name}.",
            expected="a folder of chips to replace, or a name that is free", remedy="choose another name",
        )  # fmt: skip


@dataclass(frozen=True)
class ChipFiles:
    """Where the files of chips go and what they are."""

    folder: Path
    name: str  # of the scene, with which the names of files begin
    schema: ClassSchema
    form: ChipFormat

    def id_of(self, chip: Chip) -> str:
        """Return the name of a chip, which tells where it lies."""
        return f"{self.name}_r{chip.block.row:06d}_c{chip.block.col:06d}"

    def paths(self, chip: Chip) -> tuple[str, str]:
        """Return image and mask of a chip, relative to the folder."""
        name = f"{self.id_of(chip)}.{self.form}"
        return f"{IMAGES}/{name}", f"{MASKS}/{name}"

    def write(self, chip: Chip, grid: Grid, image: NDArray[Any], nodata: float, mask: LabelArray) -> None:
        """Write an image (band, row, col), as it is to be stored, and its mask.

        Raises:
            OSError, rasterio.errors.RasterioError: If the disk is full or fails.
        """
        own = grid.window(chip.block)
        place: dict[str, Any] = {}
        if self.form == "tif":
            place = {
                "compress": "deflate",
                "predictor": 2 if image.dtype.kind in "iu" else 3,
                "transform": own.transform,
            }
            place |= {} if own.crs is None else {"crs": own.crs.to_wkt()}
        colours = {index: (*one.rgb, 255) for index, one in enumerate(self.schema)} | {IGNORE: (0, 0, 0, 0)}
        for name, values, gap in zip(self.paths(chip), (image, mask[None]), (nodata, IGNORE), strict=True):
            profile = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "nodata": gap}
            if self.form == "tif":
                place["predictor"] = 3 if values.dtype.kind == "f" else 2
            with rasterio.open(self.folder / name, "w", dtype=values.dtype, **profile, **place) as dataset:
                dataset.write(values)
                if name.startswith(MASKS):
                    dataset.write_colormap(1, colours)

    def describe(self, chips: Sequence[Chip], grid: Grid, summary: dict[str, Any]) -> None:
        """Write the manifest, lists of ids by role, the classes, the section of a project file, and the summary."""
        self._write_manifest(chips, grid)
        for role in ("train", "validation", "test"):
            ids = [self.id_of(one) for one in chips if one.role == role]
            if ids:
                (self.folder / f"{role}.txt").write_text("\n".join([*ids, ""]), encoding="utf-8")
        table = io.StringIO(newline="")
        csv.writer(table).writerows([("name", "r", "g", "b"), *((one.name, *one.rgb) for one in self.schema)])
        (self.folder / CLASSES).write_text(table.getvalue(), encoding="utf-8", newline="")
        (self.folder / SECTION).write_text(self._section(chips, grid), encoding="utf-8")
        (self.folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    def _write_manifest(self, chips: Sequence[Chip], grid: Grid) -> None:
        """Write a row a chip: its files, its place, what it holds and what it is for."""
        import geopandas as gpd
        import shapely

        columns: dict[str, Any] = {
            "id": [self.id_of(one) for one in chips],
            "image": [self.paths(one)[0] for one in chips],
            "mask": [self.paths(one)[1] for one in chips],
            "row": [one.block.row for one in chips],
            "col": [one.block.col for one in chips],
            "size_px": [one.block.height for one in chips],
            "split": [one.role for one in chips],
            "nodata": [one.missing for one in chips],
        }
        for index, one in enumerate(self.schema):
            columns[f"share_{one.name}"] = [chip.shares[index] for chip in chips]
        outlines = [shapely.Polygon(grid.window(one.block).corners()) for one in chips]
        frame = gpd.GeoDataFrame(columns, geometry=outlines, crs=grid.crs)
        frame.to_parquet(self.folder / MANIFEST)

    def _section(self, chips: Sequence[Chip], grid: Grid) -> str:
        """Return the lines that a project file needs to read the chips."""
        lines = [
            "# In a project file; the paths are from its folder.",
            "dataset:",
            "  path: .",
            "  layout: pairs",
            f"  images: {IMAGES}/*.{self.form}",
            f"  masks: {MASKS}/{{id}}.{self.form}",
        ]
        if self.form == "png" or grid.crs is None:
            lines.append(f"  assume_gsd_m: {grid.mean_gsd_m():.9g}")
        roles = [role for role in ("validation", "test") if any(one.role == role for one in chips)]
        if roles:
            lines += ["  split:", *(f"    {role}: {role}.txt" for role in roles)]
        return "\n".join([*lines, ""])
