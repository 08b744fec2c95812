"""Scenes that are computed when read, written to files block by block; a killed run is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import SceneError
from crispmap.events import SILENT, Events, progress, resumable
from crispmap.geo.grid import Block
from crispmap.raster.block_store import BlockStore
from crispmap.raster.pipeline import available_cores, work_through
from crispmap.raster.scene import Scene
from crispmap.raster.spec import RasterSpec
from crispmap.types import BoolArray, FloatArray

StoredType: TypeAlias = Literal["same", "float32"]
"""The type of the values in a file: that of the scene, or float32."""


@dataclass(frozen=True)
class WriteOptions:
    """How a scene is written."""

    dtype: StoredType = "same"
    block_px: int = 1024  # side of the blocks of work; the file is the same whatever it is
    force: bool = False  # replace a file that exists
    restart: bool = False  # discard what an earlier run has left unfinished


@dataclass(frozen=True)
class WrittenScene:
    """What writing a scene has come to."""

    path: Path
    resumed: int  # blocks that an earlier run had finished
    blocks: int  # in all


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
    options: WriteOptions = WriteOptions(),
    events: Events = SILENT,
) -> WrittenScene:
    """Write a scene to a file; it appears complete or not at all, and a run that was killed goes on.

    The bytes of the file depend on the pixels and the spec alone.

    Args:
        identity: All that decides the pixels, by name; see ``BlockStore.open``.

    Raises:
        OutputError: As ``BlockStore``.
        SceneError: If the scene cannot be read, or no pixel of it is valid.
    """
    block_px, force, restart = options.block_px, options.force, options.restart
    with BlockStore.open([spec], identity=identity, block_px=block_px, force=force, restart=restart) as store:
        try:
            return _written(scene, spec, store, events)
        except BaseException:
            if not store.finished:  # nothing is lost, so nothing is left
                store.discard()
            raise


def _written(scene: Scene, spec: RasterSpec, store: BlockStore, events: Events) -> WrittenScene:
    """Compute the blocks that are missing, and finish the file."""
    blocks, finished = list(scene.grid.blocks(store.block_px)), set(store.finished)

    def work(block: Block, _: Executor) -> None:
        image, valid = scene.read(block)
        store.write(block, [stored_values(image, valid, spec.dtype)] if valid.any() else None)

    total, done = (sum(block.height * block.width for block in some) for some in (blocks, finished))
    with progress(events, spec.path.name, total, done=done) as running:
        with resumable("The finished blocks are kept; the same command goes on from there."):
            work_through(
                [block for block in blocks if block not in finished], work, threads=1,
                done=lambda block: running.advance(block.height * block.width), under_way=available_cores() + 1,
            )  # fmt: skip
        if not store.has_pixels:
            store.discard()
            raise SceneError(
                f"{scene.path} has no valid pixel to write.", expected="a scene with data",
                remedy="Check the nodata values of its files with gdalinfo.",
            )  # fmt: skip
        running.note(f"Writing {spec.path.name}")
        store.finish()
    return WrittenScene(spec.path, len(finished), len(blocks))
