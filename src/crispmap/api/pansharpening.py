"""Images pansharpened from Python: of files, scenes, arrays and DataArrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

import numpy as np
from affine import Affine

from crispmap.api.given import no_target, path_of, target_of
from crispmap.errors import InputError
from crispmap.files.turn import AS_STORED
from crispmap.geo.grid import Grid
from crispmap.raster.arrays import (
    ArrayScene,
    RasterLike,
    check_keywords,
    grid_of_array,
    scene_of,
)
from crispmap.raster.compose.inputs import one_scene
from crispmap.raster.data_arrays import Georeference, is_data_array, like
from crispmap.raster.pansharpen.methods import DEFAULT_METHOD, PansharpenMethod
from crispmap.raster.pansharpen.run import PansharpenOptions, pansharpen_files, pansharpen_pair
from crispmap.raster.refs import SceneRef
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.scene import Scene
from crispmap.raster.scene_file import StoredType
from crispmap.raster.write_computed import ComputeOptions


class FileChoices(TypedDict, total=False):
    """What may be chosen where files are read and written."""

    bands: Sequence[int]  # of the multispectral scene, 1-based; by default all but alpha
    pan_band: int  # of a panchromatic file with several
    nodata: float  # the value of pixels without data, in place of the files' own; NaN for none
    dtype: StoredType  # "same", as the multispectral values, by default; or "float32"
    force: bool  # replace a file that exists


class SharpenOptions(Georeference, FileChoices, total=False):
    """What may be chosen beside the method; ``gsd_m``, or ``transform`` and ``crs``, of a numpy panchromatic array."""


def pansharpen(
    multispectral: RasterLike | Sequence[str | Path],
    pan: RasterLike,
    out: str | Path | None = None,
    *,
    method: PansharpenMethod = DEFAULT_METHOD,
    weights: Sequence[float] | None = None,
    register: bool = False,
    **options: Unpack[SharpenOptions],
) -> Any:
    """Put the detail of a panchromatic image into a multispectral one.

    Args:
        multispectral: The bands: a file or several, an open scene, a DataArray, or an array (band, row,
            col), which covers the area of the panchromatic array.
        pan: The panchromatic band, with smaller pixels: likewise, files beside files.
        out: The file to write, of files.
        method: "hpm", high-pass modulation, "brovey", "ihs", "gs", "gsa" or "pca".
        weights: Of the bands in the intensity, for "brovey", "ihs" and "gs".
        register: Measure how far the two lie apart, and undo it where that is sure.
        **options: Of files ``bands``, ``pan_band`` and ``nodata``, as they are read, ``dtype``, "same" or "float32",
            and ``force``, to replace a file; of numpy arrays ``gsd_m``, the side of a panchromatic pixel in metres, or
            ``transform`` and ``crs``.

    Returns:
        For files, the path of the image. Else float32 (band, row, col) on the panchromatic pixels, an array or
        DataArray as that is, NaN where either image has no data.

    Raises:
        InputError: If method or weights do not fit, ``out`` is missing or out of place, or an array has no
            georeference.
        SceneError: If a scene cannot be read, ``pan`` has several bands, or the two have no data in common.
        GridError: If CRS, pixel sizes or areas do not fit together.
    """
    check_keywords(options, FileChoices.__annotations__)
    weighted = None if weights is None else tuple(weights)
    how = PansharpenOptions(method, weighted, register, dtype=options.get("dtype", "same"))
    where = cast(Georeference, {name: options[name] for name in Georeference.__annotations__ if name in options})  # type: ignore[literal-required]
    if isinstance(multispectral, str | Path | list | tuple):
        check_keywords(where, beside_file=True)
        target = target_of(out, "classes", "sharp.tif")
        scenes = _scenes_of(multispectral, path_of(pan, "panchromatic scene"), options)
        pansharpen_files(*scenes, target, how, ComputeOptions(force=options.get("force", False)))
        return target
    no_target(out)
    chosen = [name for name in FileChoices.__annotations__ if name in options]
    if isinstance(pan, str | Path) or chosen:
        raise InputError(
            f"{' and '.join(chosen) or 'A file'} is given beside an array.", expected="files throughout, or arrays",
            remedy="open the file, for example with rioxarray.open_rasterio",
        )  # fmt: skip
    return _in_memory(cast(RasterLike, multispectral), pan, how, where)


def _scenes_of(
    multispectral: str | Path | Sequence[str | Path], pan: str, options: FileChoices
) -> tuple[SceneRef, SceneRef]:
    """Return the two scenes of files, read as it is asked for."""
    files = multispectral if isinstance(multispectral, list | tuple) else [multispectral]
    bands = one_scene([path_of(one, "scene") for one in files])
    found = resolve_scenes([pan])
    if len(found) > 1:
        raise InputError(f"{pan} stands for {len(found)} scenes.", expected="one panchromatic scene")
    pan_band, nodata = options.get("pan_band"), options.get("nodata")
    sharp = found[0].choosing(bands=None if pan_band is None else (pan_band,), nodata=nodata)
    return bands.choosing(bands=options.get("bands"), nodata=nodata), sharp


def _in_memory(multispectral: RasterLike, pan: RasterLike, how: PansharpenOptions, where: Georeference) -> Any:
    """Return an image pansharpened as an array on all pixels of the panchromatic one."""
    sharp = scene_of(pan, **where)
    own = sharp.grid if isinstance(pan, Scene) else grid_of_array(pan, where)
    scene, _ = pansharpen_pair(_bands_over(multispectral, own), sharp, how)
    image, valid = scene.read(scene.grid.block)
    image[:, ~valid] = np.nan
    whole = np.full((len(image), *sharp.grid.shape), np.nan, np.float32)
    whole[:, *scene.inside.slices] = image
    back = AS_STORED if isinstance(pan, Scene) else sharp.turn.inverse
    return like(pan, np.ascontiguousarray(back.pixels(whole)), scene.band_names)


def _bands_over(multispectral: RasterLike, pan: Grid) -> Scene:
    """Return the multispectral image as a scene; an array is taken to cover the panchromatic one, in its order."""
    if isinstance(multispectral, Scene) or is_data_array(multispectral) or not isinstance(multispectral, np.ndarray):
        return scene_of(multispectral)
    if multispectral.ndim != 3 or 0 in multispectral.shape:
        raise InputError(f"The image is an array of shape {multispectral.shape}.", expected="(band, row, col)")
    height, width = multispectral.shape[1:]
    ratio = Affine.scale(pan.width / width, pan.height / height)
    return ArrayScene(multispectral, Grid(pan.crs, pan.transform @ ratio, (height, width)))
