"""Blocks turned into files, all of them or none.

Every raster becomes a Cloud-Optimized GeoTIFF and is read back. When all are complete a mark is set; from then on they
are only moved onto their targets, and a run that is killed in between is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import rasterio
from pydantic import BaseModel, ConfigDict

from crispmap.errors import OutputError
from crispmap.files.atomic import write_atomically
from crispmap.geo.grid import Block
from crispmap.raster.beside import put_with_names
from crispmap.raster.block_files import StoredBlock, block_name, file_name
from crispmap.raster.cog import checksum, differing, write_cog
from crispmap.raster.mosaic import write_mosaic
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import check_target, hidden_beside, remove, sync_file, sync_folder

MARK = "finished.json"  # the mark: all files are complete and may be moved
BUILT = "finished"  # the folder in which files are made
_OPEN_FILES = 40  # files of blocks that GDAL keeps open, each with a tile in memory: a row of a scene of 40,000 pixels


class Assembly:
    """The files of a run while they are made and moved; ``blocks`` is the subfolder of its blocks."""

    def __init__(self, folder: Path, blocks: str, specs: Sequence[RasterSpec], *, force: bool) -> None:
        self._folder = folder
        self._blocks = blocks
        self._specs = specs
        self._force = force

    @property
    def is_marked(self) -> bool:
        """Whether all files are made, and at most some must still be moved."""
        return (self._folder / MARK).exists()

    def check_targets(self) -> None:
        """Check that all files may be written.

        Raises:
            OutputError: If one exists and may not be replaced, or its folder is missing or cannot be written to.
        """
        for spec in self._specs:
            check_target(spec.path, force=self._force)

    def build(
        self,
        stored: Mapping[Block, StoredBlock],
        tags: Mapping[str, str],
        on_file_start: Callable[[Path], None] | None = None,
    ) -> None:
        """Make all files, with further tags, compare them with what was written, and set the mark.

        ``on_file_start`` is called with every file before it is made.

        Raises:
            OutputError: If a target now exists that may not be replaced.
            OSError, rasterio.errors.RasterioError: If a file cannot be made, or does not hold what was written.
        """
        self.clear()
        home = self._folder / BUILT
        home.mkdir()
        with rasterio.Env(
            CPL_TMPDIR=str(home), GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_MAX_DATASET_POOL_SIZE=_OPEN_FILES
        ):
            for number, spec in enumerate(self._specs):
                if on_file_start is not None:
                    on_file_start(spec.path)
                mosaic, built = home / f"{number}.vrt", self._built(number)
                write_mosaic(mosaic, spec.with_tags(tags), self._files(number, stored))
                write_cog(mosaic, built, spec)
                for _ in differing(built, spec, self._checksums(number, stored)):
                    raise OSError("the file does not hold what was written to it")
                sync_file(built)
                sync_folder(built.parent)
        self.check_targets()  # another program may have written one meanwhile
        write_atomically(self._folder / MARK, _Mark(force=self._force).model_dump_json().encode())
        sync_folder(self._folder)

    def _files(self, number: int, stored: Mapping[Block, StoredBlock]) -> dict[Block, str]:
        """Return the files of a raster, relative to the folder in which it is made."""
        return {
            block: f"../{self._blocks}/{block_name(block)}/{file_name(number)}"
            for block, files in stored.items()
            if files[number] is not None
        }

    def _checksums(self, number: int, stored: Mapping[Block, StoredBlock]) -> Iterable[tuple[Block, int]]:
        """Yield the blocks of a raster, row by row, with the checksums of their pixels."""
        spec = self._specs[number]
        blank: dict[tuple[int, int], int] = {}
        for block, files in sorted(stored.items(), key=lambda item: item[0]):
            file = files[number]
            if file is None and block.shape not in blank:
                blank[block.shape] = checksum(spec.blank(block))
            yield block, blank[block.shape] if file is None else file.pixels

    def _built(self, number: int) -> Path:
        """Return where a raster is made: beside its target, so that it can be moved in one step."""
        target = self._specs[number].path.absolute()
        if target.parent == self._folder.parent:
            return self._folder / BUILT / f"{number}.tif"
        return built_elsewhere(target)

    def move(self) -> None:
        """Move the files that are not yet on their targets.

        Raises:
            OutputError: If a file is missing, or a target now exists that may not be replaced.
            OSError: If the file system refuses.
        """
        force = self._force or self._marked_force()
        for number, spec in enumerate(self._specs):
            built = self._built(number)
            if built.exists():
                check_target(spec.path, force=force)
                put_with_names(built, spec)
            elif not spec.path.exists():
                raise OutputError(
                    f"{built}, the finished file for {spec.path}, has been removed.",
                    expected="the files that an earlier run made",
                    remedy="Start over with restart=True.",
                )

    def _marked_force(self) -> bool:
        """Return whether the run that made the files was allowed to replace others."""
        with suppress(OSError, ValueError):
            return _Mark.model_validate_json((self._folder / MARK).read_bytes()).force
        return False

    def clear(self) -> None:
        """Remove the mark, and then the files not yet moved; raise OSError if they cannot be removed."""
        remove(self._folder / MARK)
        for number in range(len(self._specs)):
            self._built(number).unlink(missing_ok=True)
        remove(self._folder / BUILT)


class _Mark(BaseModel):
    """The mark as it is written."""

    model_config = ConfigDict(strict=True)

    force: bool  # whether other files may be replaced


def built_elsewhere(target: Path) -> Path:
    """Return where a file is made whose target is outside the run's folder."""
    return hidden_beside(target, ".crispmap.tif")
