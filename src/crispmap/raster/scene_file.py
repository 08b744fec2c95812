"""Scenes that are computed when read, written to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.events import SILENT, Events
from crispmap.geo.grid import Block
from crispmap.raster.scene import Scene
from crispmap.raster.spec import RasterSpec
from crispmap.raster.write_computed import ComputeOptions, Written, write_computed
from crispmap.types import BoolArray, FloatArray

StoredType: TypeAlias = Literal["same", "float32"]
"""The type of the values in a file: that of the scene, or float32."""


def scene_spec(scene: Scene, path: str | Path, dtype: StoredType, tags: Mapping[str, str]) -> RasterSpec:
    """Return the spec of a file with a scene's bands: nodata 0 for whole numbers, NaN for others.

    "same" is float32 for scenes of wider floating-point numbers, which are read as that.
    """
    kind = scene.dtype if dtype == "same" and scene.dtype.kind in "iu" else np.dtype(np.float32)
    nodata = 0.0 if kind.kind in "iu" else float("nan")
    return RasterSpec(
        Path(path), scene.grid, count=scene.band_count, dtype=kind, nodata=nodata, descriptions=scene.band_names,
        tags=dict(tags),
    )  # fmt: skip


def stored_values(image: FloatArray, valid: BoolArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an image as a file of ``scene_spec`` holds it.

    Whole numbers are rounded and kept within their type; a valid pixel that is 0 in all bands, which would read as
    nodata (decision 0008), becomes 1.
    """
    if dtype.kind == "f":
        return np.where(valid, image, np.float32(np.nan)).astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    wide = image.astype(np.float64) if dtype.itemsize > 2 else image
    values = np.clip(np.rint(wide), limits.min, limits.max).astype(dtype)
    np.copyto(values, dtype.type(1), where=~values.any(axis=0))
    np.copyto(values, dtype.type(0), where=~valid)
    return values


def write_scene(
    scene: Scene,
    spec: RasterSpec,
    identity: Mapping[str, str],
    options: ComputeOptions = ComputeOptions(),
    events: Events = SILENT,
) -> Written:
    """Write a scene to a file of ``scene_spec``; see ``write_computed``.

    Raises:
        OutputError: As ``write_computed``.
        SceneError: If the scene cannot be read, or no pixel of it is valid.
    """

    def compute(block: Block) -> list[NDArray[Any]] | None:
        image, valid = scene.read(block)
        return [stored_values(image, valid, spec.dtype)] if valid.any() else None

    return write_computed([spec], compute, identity, options=options, events=events, title=spec.path.name)
