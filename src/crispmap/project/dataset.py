"""Training data in Python: of a project, or of images and masks in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassDef, ClassSchema, class_colour
from crispmap.data.training_data import Piece, Role, TrainingData
from crispmap.errors import InputError, LabelError
from crispmap.evaluation.readers import ArrayLabels
from crispmap.files.notebook import html_table
from crispmap.geo.areas import Area
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.raster.arrays import RasterLike, check_keywords, scene_of, values_on
from crispmap.raster.data_arrays import Georeference
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, LabelArray

_ROLES: tuple[Role, ...] = ("coarse", "coarse validation", "refiner", "refiner validation", "test")


class Dataset:
    """Training data: pieces of scenes with labels by role, their classes ``schema`` and pixel size ``gsd_m``.

    Made by ``open`` or ``from_arrays``. One that was opened from a project is used in ``with``, or closed.
    """

    def __init__(self, data: TrainingData, opened: ExitStack) -> None:
        self._data, self._opened = data, opened
        self.schema, self.gsd_m = data.schema, data.gsd_m

    @classmethod
    def open(cls, project: str | Path) -> Self:
        """Return the data of a project: its scenes, labels, reference and areas.

        Raises:
            ProjectError: If the project file is wrong, or its areas do not fit the scenes.
            SceneError: If a scene cannot be read.
        """
        stack = ExitStack()
        return cls(stack.enter_context(open_sources(load_project(project))), stack)

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[RasterLike],
        masks: Sequence[NDArray[Any]],
        *,
        classes: Sequence[str] | ClassSchema,
        validation: int = 0,
        **where: Unpack[Georeference],
    ) -> Self:
        """Return data of images and masks, one piece each, for a coarse network and a refiner.

        Args:
            images: Arrays (band, row, col), DataArrays or files, all of the same bands and pixel size.
            masks: Class ids (row, col) on the pixels of each, 255 where unknown.
            classes: The classes in order of id, the background first.
            validation: How many of the last pairs validate; 0 holds out a strip of every piece.
            **where: Of numpy arrays: ``gsd_m``, or ``transform`` and ``crs``.

        Raises:
            InputError: If there is no image, or an array has another rank or type, or no georeference.
            LabelError: If masks and images do not fit together, or an id is no class.
        """
        check_keywords(where)
        schema = schema_of(classes)
        for given in (images, masks):
            if not isinstance(given, list | tuple):
                raise InputError(
                    f"Images or masks are given as {type(given).__name__}.",
                    expected="a list of arrays",
                )
        if not isinstance(validation, int):
            raise InputError(f"validation is {validation!r}.", expected="how many of the last pairs validate")
        if not images or len(images) != len(masks) or not 0 <= validation < len(images):
            given = f"{len(images)} images, {len(masks)} masks, the last {validation} to validate."
            raise InputError(given, expected="a mask for every image, and at least one pair to learn from")
        scenes = [scene_of(image, **where) for image in images]
        _check_comparable(scenes)
        pairs = zip(scenes, masks, strict=True)
        pieces = [_piece(f"image {number}", *pair, schema) for number, pair in enumerate(pairs, 1)]
        return cls(_Pairs(schema, pieces, validation), ExitStack())

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        """Return the pieces of a role; see ``TrainingData.pieces``."""
        return self._data.pieces(role, gsd_m=gsd_m)

    def summary(self) -> Mapping[str, tuple[int, int]]:
        """Return, by role, how many pieces there are and how many pixels they have."""
        found = {role: self._pieces_or_none(role) for role in _ROLES}
        return {role: (len(ones), sum(one.area.pixel_count for one in ones)) for role, ones in found.items() if ones}

    def _pieces_or_none(self, role: Role) -> list[Piece]:
        try:
            return self.pieces(role)
        except InputError:  # a project without an area for it
            return []

    def close(self) -> None:
        """Close the scenes that were opened."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        lines = [f"Dataset: {', '.join(self.schema.names)}; {self.gsd_m:g} m"]
        for role, (count, px) in self.summary().items():
            lines.append(f"  {role}: {count} piece{'' if count == 1 else 's'}, {px:,} pixels")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [(role, count, f"{px:,}") for role, (count, px) in self.summary().items()]
        caption = f"crispmap dataset: {', '.join(self.schema.names)}; {self.gsd_m:g} m"
        return html_table(caption, rows, ("role", "pieces", "pixels"))


class _Pairs:
    """Images with a mask each; the last ones validate."""

    def __init__(self, schema: ClassSchema, pieces: Sequence[Piece], validation: int) -> None:
        self.schema, self._count = schema, len(pieces) - validation
        self._pieces = list(pieces)
        self.gsd_m = max(piece.image.grid.mean_gsd_m() for piece in pieces)

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        """Return the first pieces to learn from, and the last to validate; see ``TrainingData.pieces``."""
        if gsd_m is not None and abs(gsd_m / self.gsd_m - 1) > 1e-6:
            raise InputError(
                f"Masks at {self.gsd_m:g} m are asked for at {gsd_m:g} m.",
                expected="networks at the pixel size of the masks",
                remedy="leave out gsd_m, or resample images and masks",
            )
        if role == "test":
            return []
        return self._pieces[self._count :] if role.endswith("validation") else self._pieces[: self._count]


def _check_comparable(scenes: Sequence[Scene]) -> None:
    sizes = [one.grid.mean_gsd_m() for one in scenes]
    if max(sizes) > min(sizes) * 1.02 or len({one.band_count for one in scenes}) > 1:
        raise InputError(
            f"The images have {sorted({one.band_count for one in scenes})} bands and pixels of {min(sizes):g} to "
            f"{max(sizes):g} m.",
            expected="the same bands and one pixel size", remedy="resample them first",
        )  # fmt: skip


def _piece(name: str, image: Any, mask: NDArray[Any], schema: ClassSchema) -> Piece:
    labels = labels_of(values_on(mask, image.grid, IGNORE, image.turn), image.grid.shape, schema)
    height, width = labels.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    return Piece(name, image, Area(name, image.grid.block, (corners,)), ArrayLabels(labels))


def labels_of(mask: NDArray[Any], shape: tuple[int, int], schema: ClassSchema) -> LabelArray:
    """Return a mask as class ids uint8 (row, col), or raise LabelError if it does not fit the image or the classes."""
    mask = np.asarray(mask)
    if mask.dtype.kind == "f" and not (mask[np.isfinite(mask)] % 1).any():  # a raster read with NaN for nodata
        mask = np.where(np.isfinite(mask), mask, IGNORE).astype(np.int64)
    if mask.shape != shape or mask.dtype.kind not in "uib":
        raise LabelError(
            f"A mask has the shape {mask.shape} and the type {mask.dtype}.", expected=f"whole numbers of shape {shape}"
        )
    strange = mask[(mask != IGNORE) & ((mask < 0) | (mask >= len(schema)))]
    if strange.size:
        raise LabelError(
            f"A mask holds the id {int(strange[0])}.",
            expected=f"0 to {len(schema) - 1} ({', '.join(schema.names)}), or {IGNORE} where unknown",
        )
    return mask.astype(np.uint8)


def schema_of(classes: Sequence[str] | ClassSchema) -> ClassSchema:
    """Return classes, given as such or by their names: then with colours of our choice."""
    if isinstance(classes, ClassSchema):
        return classes
    if not isinstance(classes, list | tuple):
        expected = "a list of names, such as ['background', 'building']"
        raise InputError(f"The classes are {classes!r}.", expected=expected)
    return ClassSchema(tuple(ClassDef(str(name), class_colour(index)) for index, name in enumerate(classes)))
