"""Rasters made from Python: bands composed to a scene, and rasters at another pixel size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

from crispmap.api.given import Classes, path_of
from crispmap.project.dataset import schema_of
from crispmap.raster.compose.composition import Extent, Method
from crispmap.raster.compose.inputs import ComposeChoices, composed_ref
from crispmap.raster.compose.write import write_composed
from crispmap.raster.refs import SceneRef
from crispmap.raster.resampled_file import ResampleMethod, Resampling, resample_file
from crispmap.raster.write_computed import ComputeOptions

Inputs = str | Path | Sequence[str | Path]


class SceneOptions(TypedDict, total=False):
    """What may be chosen of a composed scene."""

    sensor: str | None  # whose products the inputs are, such as "landsat8"; by default as the names of files say
    scene: str | None  # what the names of the files of a product begin with, where a folder has several
    bands: Sequence[str] | None  # by standard or own name, and indices; by default what a product usually has
    indices: Sequence[str]  # further bands: NDVI, NBR, NDWI, MNDWI, EVI, dNBR
    extent: Extent  # "intersection" (the default) or "union" of the ground of all files
    like: str | Path | None  # a raster whose grid the scene gets
    gsd_m: float | None  # pixel size, by default that of the finest band
    method: Method  # how bands of other pixels are resampled; "auto" by default
    reflectance: bool  # whether values become reflectance, as the product says
    nodata: float | None  # value of pixels without data in the inputs, in place of their own; NaN for none
    out_nodata: float | None  # the nodata value, by default that of the bands
    lowest: str | None  # an index: each input is a date, and each pixel of that where it is lowest


def compose(inputs: Inputs, out: str | Path, *, force: bool = False, **options: Unpack[SceneOptions]) -> Path:
    """Write bands of files on different grids, and indices of them, as one scene; return its path.

    Args:
        inputs: Rasters, patterns, addresses, or the folder of a product of a satellite; ``"red=B4.tif"`` names a band,
            ``"before=folder"`` begins the names of several.
        out: The scene to write, a Cloud-Optimized GeoTIFF.
        force: Whether a file that exists may be replaced.
        **options: See ``SceneOptions``.

    Raises:
        SceneError: If an input cannot be read, or a name is neither a band nor an index.
        GridError: If files share no ground, or one has no CRS while others have one.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    return write_composed(_ref(inputs, options), path_of(out, "scene"), options=ComputeOptions(force=force)).path


def _ref(inputs: Inputs, options: SceneOptions) -> SceneRef:
    unknown = sorted(options.keys() - set(SceneOptions.__annotations__))
    if unknown:
        raise TypeError(f"unexpected keyword arguments: {', '.join(unknown)}")
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    values = cast(dict[str, Any], dict(options))
    values |= {name: tuple(values[name]) for name in ("bands", "indices") if values.get(name) is not None}
    return composed_ref(given, ComposeChoices(**values))


def resample(
    raster: str | Path,
    out: str | Path,
    gsd_m: float,
    *,
    method: ResampleMethod = "auto",
    classes: Classes | None = None,
    force: bool = False,
) -> Path:
    """Write an image or a class map at another pixel size; return its path. See ``resample_file``.

    Raises:
        InputError: If classes are to be averaged, or classes counted in an image.
        GridError: If the pixel size is not above 0.
        SceneError: If the raster cannot be read.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    how = Resampling(gsd_m, method, None if classes is None else schema_of(classes))
    run, _ = resample_file(path_of(raster, "raster"), path_of(out, "output"), how, options=ComputeOptions(force=force))
    return run.paths[0]
