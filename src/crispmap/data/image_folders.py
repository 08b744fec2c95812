"""A folder of images for each class, as training data: every pixel of an image is of its folder's class."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.data.training_data import Piece, Role
from crispmap.errors import GeoreferenceWarning, LabelError, SceneError, number_of
from crispmap.geo.areas import Area
from crispmap.geo.grid import Block
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray, LabelArray

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
_SAME_SIZE = 0.02  # share by which the pixels of images may differ in size


def class_folders(path: Path) -> dict[str, list[Path]]:
    """Return the images of each class by name: those in each folder of a folder, in the order of their names.

    Raises:
        LabelError: If there are not two classes, or a class has no image.
    """
    folders = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".") if path.is_dir() else []
    found = {
        folder.name: sorted(one for one in folder.iterdir() if one.suffix.lower() in SUFFIXES) for folder in folders
    }
    layout = "a folder for each class, with its images: water/1.tif, forest/1.tif"
    if len(found) < 2:
        given = f"{path} has {number_of(len(found), 'folder')} of images." if path.is_dir() else f"{path} is no folder."
        raise LabelError(given, expected=layout, remedy="Name the folder that holds the folders of the classes.")
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise LabelError(
            f"{path / empty[0]} has no image ({', '.join(SUFFIXES)}).", expected=layout,
            remedy="Put images in it, or remove the folder.",
        )  # fmt: skip
    return found


class ImageFile(Scene):
    """An image that is open only while it is read: a data set has more of them than a process may have files open."""

    def __init__(self, path: Path, assume_gsd_m: float | None) -> None:
        self.path, self._assume_gsd_m = path, assume_gsd_m
        with self._opened() as scene:
            self.grid, self.band_names, self._dtype = scene.grid, scene.band_names, scene.dtype

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type the file stores its values in."""
        return self._dtype

    def _opened(self) -> Scene:
        return open_scene(self.path, assume_gsd_m=self._assume_gsd_m)

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeoreferenceWarning)  # raised when the data were opened
            with self._opened() as scene:
                return scene.read(block)

    def close(self) -> None:
        """Do nothing: no file is open."""


@dataclass(frozen=True)
class OneClass:
    """Labels that are one class everywhere; a ``LabelSource``."""

    class_id: int

    def read(self, block: Block) -> LabelArray:
        """Return the class id on every pixel of a block."""
        return np.full(block.shape, self.class_id, np.uint8)


class ImageFolders:
    """Images of one class each, as ``TrainingData``: those of every class are learned from, a share held out.

    Images may differ in size; of one that is larger than a square any square of it is learned. Nothing is resampled
    but to a pixel size that is asked for.

    Args:
        images: The images of each class, by its name in the schema.
        validation: Share of the images of every class to validate on: the nearest number, at least one where there are
            two.
        seed: Which images those are.
        assume_gsd_m: The side of a pixel, of images without georeference; by default they count as one metre.

    Raises:
        LabelError: If a class has no images.
        SceneError: If an image cannot be read, or has other bands or pixels of another size than the others.
    """

    def __init__(
        self,
        images: Mapping[str, Sequence[Path]],
        schema: ClassSchema,
        *,
        validation: float = 0.2,
        seed: int = 0,
        assume_gsd_m: float | None = None,
    ) -> None:
        self.schema = schema
        lacking = [name for name in schema.names if not images.get(name)]
        if lacking or len(images) > len(schema):
            raise LabelError(
                f"There are images of {', '.join(images)}.", expected=f"images of {', '.join(schema.names)}"
            )
        self._images: dict[Path, ImageFile] = {}
        self._learned: list[tuple[int, Path]] = []
        self._held: list[tuple[int, Path]] = []
        for class_id, name in enumerate(schema.names):
            paths = list(images[name])
            order = np.random.default_rng([seed, class_id]).permutation(len(paths))
            held = set(order[: self._held_out(len(paths), validation)].tolist())
            for number, path in enumerate(paths):
                (self._held if number in held else self._learned).append((class_id, path))
        self._open([path for name in schema.names for path in images[name]], assume_gsd_m)
        self.gsd_m = max(one.grid.mean_gsd_m() for one in self._images.values())

    @staticmethod
    def _held_out(count: int, share: float) -> int:
        return min(max(round(share * count), 1), count - 1) if share else 0

    def _open(self, paths: Sequence[Path], assume_gsd_m: float | None) -> None:
        """Read the heads of all images, and refuse those that are unlike the first; warn once of what all lack."""
        unplaced = 0
        for path in paths:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._images[path] = ImageFile(path, assume_gsd_m)
            others = [one for one in caught if not issubclass(one.category, GeoreferenceWarning)]
            unplaced += len(others) < len(caught)
            for other in others:
                warnings.warn(other.message, stacklevel=3)
        if unplaced:
            warnings.warn(
                f"{number_of(unplaced, 'image')} of {len(paths)} have no georeference: a pixel counts as one metre. "
                "Give its side as assume_gsd_m.",
                GeoreferenceWarning, stacklevel=3,
            )  # fmt: skip
        usual = Counter(one.band_count for one in self._images.values()).most_common(1)[0][0]
        sizes = {path: one.grid.mean_gsd_m() for path, one in self._images.items()}
        middle = float(np.median(list(sizes.values())))
        for path, one in self._images.items():
            if one.band_count != usual:
                raise SceneError(
                    f"{path} has {number_of(one.band_count, 'band')}, unlike most images.",
                    expected=number_of(usual, "band"), remedy="Remove the image, or give it the bands of the others.",
                )  # fmt: skip
            if abs(sizes[path] / middle - 1) > _SAME_SIZE:
                raise SceneError(
                    f"{path} has pixels of {sizes[path]:.4g} m, unlike most images.",
                    expected=f"pixels of {middle:.4g} m", remedy="Remove the image, or resample it.",
                )  # fmt: skip

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        """Return the images of a role; see ``TrainingData.pieces``. There are none to test on."""
        if role == "test":
            return []
        chosen = self._held if role.endswith("validation") else self._learned
        return [self._piece(class_id, self._images[path], gsd_m) for class_id, path in chosen]

    def _piece(self, class_id: int, image: Scene, gsd_m: float | None) -> Piece:
        x, y = image.grid.gsd_m()
        if gsd_m is not None and abs(gsd_m / self.gsd_m - 1) > _SAME_SIZE:
            image = ResampledScene(image, gsd_m / y, gsd_m / x)
        height, width = image.grid.shape
        ring = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        name = f"{image.path.parent.name}/{image.path.name}"
        return Piece(name, image, Area(name, image.grid.block, (ring,)), OneClass(class_id))
