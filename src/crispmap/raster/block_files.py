"""Finished blocks of rasters on the disk: each complete, durable and checked, or absent.

A block is a folder named after its corner, with a GeoTIFF for each raster that has a valid pixel there and a record of
their checksums. It is written under a temporary name, synced and renamed: a process killed at any moment leaves
complete blocks and, under names that begin with a dot, remains to be removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affine import Affine
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rasterio.io import MemoryFile

from crispmap.geo.grid import Block
from crispmap.raster.cog import checksum
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import sync_folder

_RECORD = "block.json"
_READ_BYTES = 2**20
_TILE_PX = 256
_NAME = re.compile(r"r(\d{1,9})_c(\d{1,9})", re.ASCII)
_STORED: TypeAdapter[list[tuple[int, int] | None]] = TypeAdapter(list[tuple[int, int] | None])


@dataclass(frozen=True)
class BlockFile:
    """One raster's part of a block."""

    content: int  # CRC-32 of the file
    pixels: int  # CRC-32 of the values in it; see ``crispmap.raster.cog.checksum``


StoredBlock = tuple[BlockFile | None, ...]
"""A finished block's file of every raster; None where a raster has no valid pixel."""


def block_name(block: Block) -> str:
    """Return the name of a block's folder."""
    return f"r{block.row}_c{block.col}"


def file_name(raster: int) -> str:
    """Return the name of the file of a raster, counted from 0, in a block's folder."""
    return f"{raster}.tif"


def block_corner(name: str) -> tuple[int, int] | None:
    """Return the (row, col) of the corner of a finished block by the name of its folder; None for other names."""
    found = _NAME.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))


def write_block(
    folder: Path, block: Block, arrays: Sequence[NDArray[Any] | None], specs: Sequence[RasterSpec]
) -> StoredBlock:
    """Write a block durably under a temporary name; ``keep_block`` makes it count.

    Args:
        arrays: An array for each raster, as ``RasterSpec.checked`` returns it, or None.

    Raises:
        OSError: If the disk is full or fails; nothing is left then.
    """
    beside = _beside(folder, block)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        stored = tuple(
            None if array is None else _write_file(beside / file_name(raster), array, spec)
            for raster, (array, spec) in enumerate(zip(arrays, specs, strict=True))
        )
        record = [None if one is None else [one.content, one.pixels] for one in stored]
        _write_durable(beside / _RECORD, json.dumps(record).encode())
        sync_folder(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return stored


def keep_block(folder: Path, block: Block) -> None:
    """Make the block count that this thread has written; raise OSError if the disk fails."""
    _beside(folder, block).rename(folder / block_name(block))
    sync_folder(folder)


def drop_block(folder: Path, block: Block) -> None:
    """Remove the block that this thread has written and not kept."""
    shutil.rmtree(_beside(folder, block), ignore_errors=True)


def _beside(folder: Path, block: Block) -> Path:
    """Return the temporary name under which this thread writes a block."""
    return folder / f".{block_name(block)}.{os.getpid()}.{threading.get_ident()}"


def _write_file(path: Path, values: NDArray[Any], spec: RasterSpec) -> BlockFile:
    """Write a GeoTIFF through memory: GDAL does not report a full disk."""
    side = min(_TILE_PX, max(16, -(-max(values.shape[1:]) // 16) * 16))
    options: dict[str, Any] = {"tiled": True, "blockxsize": side, "blockysize": side, "interleave": "band"}
    if spec.dtype.itemsize == 1:  # wider values are measured: they hardly compress, and GDAL reads them several times
        options |= {"compress": "deflate", "zlevel": 1}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=len(values),
            height=values.shape[1],
            width=values.shape[2],
            dtype=values.dtype.name,
            nodata=spec.nodata,
            transform=Affine.scale(2, -2),  # rasterio warns about a missing or identity transform
            sparse_ok=True,
            **options,
        ) as dataset:
            dataset.write(values)
        content = memory.getbuffer()
        _write_durable(path, content)
        return BlockFile(zlib.crc32(content), checksum(values))


def _write_durable(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def stored_blocks(folder: Path, blocks: Iterable[Block], rasters: int) -> tuple[dict[Block, StoredBlock], list[Block]]:
    """Return the complete and the damaged ones of some blocks in a folder; everything else in it is removed.

    Raises:
        OSError: If the folder cannot be read or cleared.
    """
    names = {block_name(block): block for block in blocks}
    whole: dict[Block, StoredBlock] = {}
    damaged = []
    for path in sorted(folder.iterdir()):
        block = names.get(path.name)
        stored = None if block is None else stored_block(path, rasters)
        if block is not None and stored is not None:
            whole[block] = stored
            continue
        if block is not None:
            damaged.append(block)
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return whole, damaged


def stored_block(folder: Path, rasters: int) -> StoredBlock | None:
    """Return the content of a block's folder; None if a file is missing or differs from what was written."""
    try:
        record = _STORED.validate_json((folder / _RECORD).read_bytes(), strict=True)
        stored = tuple(None if one is None else BlockFile(*one) for one in record)
        files = [(folder / file_name(raster), one) for raster, one in enumerate(stored) if one is not None]
        whole = len(stored) == rasters and all(_crc_of(path) == one.content for path, one in files)
    except (OSError, ValueError):
        return None
    return stored if whole else None


def _crc_of(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            crc = zlib.crc32(piece, crc)
    return crc
