"""Bands of files on different grids written as one scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.events import SILENT, Events
from crispmap.geo.grid import Block, Grid
from crispmap.raster.compose.grid import Coverage
from crispmap.raster.compose.scene import ComposedScene
from crispmap.raster.compose.sources import BANDS_TAG, bands_tag
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.refs import SceneRef
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import check_paths, check_raster_target
from crispmap.raster.write_computed import ComputeOptions, Written, write_computed


@dataclass(frozen=True)
class ComposedFile:
    """A composed scene that has been written."""

    path: Path
    grid: Grid
    band_names: tuple[str, ...]
    dtype: str
    nodata: float | None
    coverage: Sequence[Coverage]  # how the ground of each file and that of the scene fit
    run: Written


def write_composed(
    ref: SceneRef,
    out: str | Path,
    *,
    options: ComputeOptions = ComputeOptions(),
    tags: Mapping[str, str] | None = None,
    events: Events = SILENT,
) -> ComposedFile:
    """Write a composed scene as a Cloud-Optimized GeoTIFF.

    Its bytes depend on the files and the composition alone. A run that is killed goes on from its finished blocks.

    Raises:
        SceneError, GridError: See ``ComposedScene``; or if no pixel is valid.
        OutputError: If the file exists and ``force`` is not given, is one of the bands, or cannot be written.
    """
    path = Path(out)
    check_paths([path], ref.paths)
    check_raster_target(path, force=options.force)
    with ComposedScene(ref) as scene:
        scene.warn_about_pixels()
        spec = RasterSpec(
            path, scene.grid, count=scene.band_count, dtype=scene.dtype, nodata=scene.nodata,
            descriptions=scene.band_names, tags={**(tags or {}), BANDS_TAG: bands_tag(scene.composition)},
        )  # fmt: skip

        def compute(block: Block) -> list[NDArray[Any]] | None:
            values = scene.filled(block)
            return None if np.array_equal(values, spec.blank(block), equal_nan=values.dtype.kind == "f") else [values]

        run = write_computed([spec], compute, {"scene": fingerprint(ref)}, options=options, events=events)
        return ComposedFile(
            path, scene.grid, scene.band_names, scene.dtype.name, scene.nodata, scene.coverage, run
        )  # fmt: skip
