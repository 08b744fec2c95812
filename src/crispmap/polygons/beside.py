"""What lies beside a class map, on its pixels: how certain it is of its classes, and the scores behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import softmax

from crispmap.errors import GridError, SceneError, SchemaError
from crispmap.geo.grid import Block
from crispmap.polygons.class_raster import ClassRaster
from crispmap.polygons.split import margin
from crispmap.raster.files import FileScene
from crispmap.raster.scene import Scene
from crispmap.raster.scores import read_as_scores
from crispmap.raster.spec import CONFIDENCE_TAG
from crispmap.types import FloatArray


class Beside:
    """A confidence raster or scores on the pixels of a class map; a thing to close.

    Raises:
        GridError: If its pixels are not those of the map.
        SceneError: If it cannot be read, or is neither.
    """

    def __init__(self, path: str | Path, raster: ClassRaster) -> None:
        source = FileScene(path, assume_gsd_m=None if raster.grid.crs else 1.0)
        try:
            self.is_scores = CONFIDENCE_TAG not in source.tags
            self._scene: Scene = _as_scores(source) if self.is_scores else source
            if not self._scene.grid.has_pixels_of(raster.grid):
                raise GridError(
                    f"{path} has other pixels than {raster.path}.",
                    expected="confidence or scores of the same pixels",
                    remedy="Give the file that was written with the map.",
                )
        except BaseException:
            source.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._scene.close()

    def check_classes(self, raster: ClassRaster) -> None:
        """Raise SchemaError unless it is scores of the classes of the map."""
        bands, names = len(self._scene.band_names), None if raster.schema is None else raster.schema.names
        if not self.is_scores or (names is not None and len(names) != bands):
            what = f"scores of {bands} classes" if self.is_scores else "the confidence of a map"
            raise SchemaError(
                f"{self._scene.path} holds {what}.",
                expected="scores of the classes of the map" if names is None else f"scores of {', '.join(names)}",
                remedy="Give the scores that were written with the map.",
            )

    def confidence(self, block: Block) -> FloatArray:
        """Return the largest probability (row, col) in a block inside the map, NaN where nothing is known."""
        values, valid = self._scene.read(block)
        highest = softmax(values, axis=0).max(axis=0) if self.is_scores else values[0]
        return np.where(valid, highest, np.float32(np.nan)).astype(np.float32)

    def margin(self, block: Block, class_id: int) -> FloatArray:
        """Return the log odds (row, col) of a class in a block inside the map, of scores."""
        values, _ = self._scene.read(block)
        return margin(values, class_id)


def _as_scores(source: FileScene) -> Scene:
    try:
        return read_as_scores(source, source.tags)
    except SceneError as error:  # its remedies are options that tell what scores are, which polygons have not
        raise SceneError(
            error.given, expected="a confidence raster, or scores that can be read in one way",
            remedy="Give the confidence or the scores that were written with the map.",
        ) from error  # fmt: skip
