"""Rasters computed block by block by threads, in a run that may be killed at any moment and resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from numpy.typing import ArrayLike

from crispmap.errors import InputError, SceneError
from crispmap.events import SILENT, Events, progress, resumable
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.grid import Block
from crispmap.raster.block_store import BlockStore
from crispmap.raster.pipeline import available_cores, work_through
from crispmap.raster.spec import RasterSpec

BLOCK_PX = 1024
_MOST_THREADS = 8  # a block of several bands takes tens of megabytes

Compute = Callable[[Block], "Sequence[ArrayLike | None] | None"]
"""Returns an array for each raster, None for one without a valid pixel, or for all."""


@dataclass(frozen=True)
class ComputeOptions:
    """How rasters are computed; the bytes do not depend on block size and workers."""

    block_px: int = BLOCK_PX  # side of the blocks of work
    workers: int | None = None  # threads that compute, by default one a core, up to 8
    force: bool = False  # whether files that exist may be replaced
    restart: bool = False  # whether to discard what an earlier run has left unfinished

    @property
    def threads(self) -> int:
        """How many threads compute.

        Raises:
            InputError: If it is below 1.
        """
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}.", expected="1 or more")
        return min(available_cores(), _MOST_THREADS) if self.workers is None else self.workers


@dataclass(frozen=True)
class Written:
    """What a run has come to."""

    paths: tuple[Path, ...]  # the files, in the order of the specs
    resumed: int  # blocks that an earlier run had finished
    blocks: int  # in all


def write_computed(
    specs: Sequence[RasterSpec],
    compute: Compute,
    identity: Mapping[str, str],
    *,
    options: ComputeOptions,
    events: Events = SILENT,
    title: str = "scene",
) -> Written:
    """Write rasters on one grid whose blocks are computed; they appear together and complete, or not at all.

    Args:
        compute: Computes a block, in several threads at once; a value may depend on its pixel alone.
        identity: All that decides the pixels, by name, long things by hash.

    Raises:
        OutputError: See ``BlockStore.open`` and ``BlockStore.finish``.
        SceneError: If no pixel is valid.
    """
    grid, threads = specs[0].grid, options.threads
    identity = {"crispmap": version("crispmap"), **identity}
    with few_blocks_kept(), BlockStore.open(
        specs, identity=identity, block_px=options.block_px, force=options.force, restart=options.restart
    ) as store:  # fmt: skip
        blocks, resumed = list(grid.blocks(store.block_px)), len(store.finished)
        done = sum(math.prod(block.shape) for block in store.finished)

        def work(block: Block, _: Executor) -> None:
            store.write(block, compute(block))

        try:
            with progress(events, title, math.prod(grid.shape), done=done) as running, resumable(
                "Finished blocks are kept; the same command goes on from there."
            ):  # fmt: skip
                missing = [block for block in blocks if block not in store.finished]
                work_through(
                    missing, work, threads=1, under_way=threads,
                    done=lambda block: running.advance(math.prod(block.shape)),
                )  # fmt: skip
                _check_pixels(store, specs[0].path)
                store.finish(on_file_start=lambda path: running.note(f"Writing {path.name}"))
        except BaseException:
            if not store.finished:  # nothing is lost, so nothing is left
                store.discard()
            raise
    return Written(tuple(spec.path for spec in specs), resumed, len(blocks))


def _check_pixels(store: BlockStore, path: Path) -> None:
    if not store.has_pixels:
        store.discard()
        raise SceneError(
            f"{path} would have no valid pixel.", expected="bands with data on ground they share",
            remedy="Check nodata values and masks of the files with gdalinfo.",
        )  # fmt: skip
