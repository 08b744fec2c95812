"""Labels set right object by object from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from crispmap.errors import LabelError
from crispmap.geo.grid import Grid
from crispmap.labels.align.files import aligned_frames
from crispmap.labels.align.objects import AlignRules
from crispmap.labels.translate import near_layers
from crispmap.raster.arrays import RasterLike, scene_of
from crispmap.raster.data_arrays import Georeference

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def align(
    vectors: GeoDataFrame | str | Path,
    image: RasterLike,
    *,
    max_shift_m: float = 9.0,
    sure: float = 0.5,
    sizes: bool = True,
    **where: Unpack[Georeference],
) -> GeoDataFrame:
    """Return vectors in which every polygon lies where an image shows it, moved by itself where that is sure.

    Geometries of all that is not moved are as they were. Columns are added: ``align_dx_m`` and ``align_dy_m``, metres
    east and north that an object was moved, ``align_longer_m``, ``align_wider_m`` and ``align_turn_deg``, what its
    outline was changed by, ``align_confidence``, 0..1, and ``align_reason``: aligned, unsure,
    no support, outside (of the image) or no outline (lines and points).

    Args:
        vectors: A frame, or a file of one layer.
        image: A file, an array (band, row, col), or a DataArray.
        max_shift_m: How far an object may be off, in metres.
        sure: How probable a shift must be to be made, above 0 and up to 1.
        sizes: Whether lengths, widths and directions of outlines are fitted too, where those of the file are off.
        **where: Of a numpy array: ``gsd_m``, or ``transform`` and ``crs``.

    Raises:
        InputError: If ``max_shift_m`` is below a pixel or above a quarter of the image, or ``sure`` is no probability.
        LabelError: If the vectors cannot be read, or the frame has no CRS where the image has one.
        SceneError: If the image cannot be read.
    """
    rules = AlignRules(max_shift_m, sure, sizes)
    with scene_of(image, **where) as scene:
        (frame,), _ = aligned_frames([_frame_of(vectors, scene.grid)], scene, rules)
    return frame


def _frame_of(vectors: GeoDataFrame | str | Path, grid: Grid) -> GeoDataFrame:
    if not isinstance(vectors, str | Path):
        if vectors.crs is None and grid.crs is not None:
            raise LabelError(
                "The vectors have no coordinate reference system.", expected="that of their coordinates",
                remedy="Give the frame its CRS: frame.set_crs(...).",
            )  # fmt: skip
        return vectors
    layers = near_layers(vectors, grid)
    if len(layers) > 1:
        names = ", ".join(name for name, _ in layers)
        raise LabelError(
            f"{vectors} has the layers {names}.", expected="a file of one layer, or a frame",
            remedy="Read one with geopandas.read_file(path, layer=...), or use the command: it keeps all.",
        )  # fmt: skip
    return layers[0][1]
