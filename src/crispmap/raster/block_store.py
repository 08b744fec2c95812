"""Rasters written together, block by block, by a run that may be killed at any moment and resumed.

Finished blocks are kept in a hidden folder beside the first target. When all are there, every raster becomes a
Cloud-Optimized GeoTIFF, is read back and compared with the blocks; only then a mark is set, and all are moved onto
their targets. A run killed before the mark resumes with the missing blocks; one killed after it, with the missing
targets. The bytes of the files depend on pixels and specs alone.

The folder, ``.map.tif.crispmap`` for ``map.tif``, holds

    lock            held by the running process; the system releases it with the process
    journal.json    what the run depends on, and the side of its blocks
    blocks/         a folder a finished block (``crispmap.raster.block_files``)
    finished/       the rasters while they are made
    finished.json   the mark: all rasters are complete and may be moved
"""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from numpy.typing import ArrayLike
from rasterio.errors import RasterioError

from crispmap.errors import CrispmapWarning, OutputError
from crispmap.events import FilesUnderWay
from crispmap.files.atomic import file_lock
from crispmap.geo.grid import Block
from crispmap.raster import assembly, journal
from crispmap.raster.assembly import Assembly, built_elsewhere
from crispmap.raster.block_files import StoredBlock, drop_block, keep_block, stored_blocks, write_block
from crispmap.raster.journal import Journal
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import check_paths, hidden_beside, remove, size_text, write_failure

_LOCK = "lock"
_OUTPUT = "output "
_BLOCKS = "blocks"
_PARTS = (journal.NAME, _BLOCKS, assembly.BUILT, assembly.MARK)
_COMPRESSED = 1000  # times smaller, not even rasters of one value get
_HALF_WRITTEN = tuple(f".{name}." for name in (journal.NAME, assembly.MARK))
_KEPT = "the finished blocks are kept, and the same command goes on from them"


def store_folder(target: Path) -> Path:
    """Return the folder that keeps the blocks of a run whose first file is this one."""
    return hidden_beside(target, ".crispmap")


class BlockStore:
    """The finished blocks of rasters being written; a context manager, made by ``open``.

    On leaving ``with``, normally or not, the blocks stay on the disk for a later run. Only ``finish`` turns them into
    files and removes them; ``discard`` just removes them.

    Attributes:
        block_px: Side of the blocks to write: ``grid.blocks(block_px)``, in any order.
    """

    def __init__(self, specs: Sequence[RasterSpec], *, force: bool) -> None:
        """Use ``open``."""
        self.block_px = 0
        self._specs = tuple(specs)
        self._folder = store_folder(specs[0].path)
        self._assembly = Assembly(self._folder, _BLOCKS, self._specs, force=force)
        self._turn = threading.Lock()
        self._expected: frozenset[Block] = frozenset()
        self._stored: dict[Block, StoredBlock] = {}
        self._held = ExitStack()
        self._open = False

    @classmethod
    def open(
        cls,
        specs: Sequence[RasterSpec],
        *,
        identity: Mapping[str, str],
        block_px: int,
        force: bool = False,
        restart: bool = False,
    ) -> Self:
        """Begin a run, or resume it where it ended.

        Args:
            specs: The rasters to write, on one grid.
            identity: All that decides their pixels, by name: inputs, models, settings, long ones by hash.
            block_px: Side of the blocks.
            force: Whether existing files may be replaced.
            restart: Whether to discard what an earlier run has left unfinished.

        Raises:
            OutputError: If a target exists without ``force``, is given twice, cannot be written or is far larger than
                the disk; if another run is writing it; without ``restart``, if an unfinished run with other inputs, or
                an unreadable one, is there.
            GridError: If ``block_px`` is below 1.
            ValueError: If there is no spec, or their grids have different shapes.

        Warns:
            CrispmapWarning: If the run resumes with blocks of another size, or must compute damaged blocks again; if
                the disk might be too small for the rasters.
        """
        if not specs or len({spec.grid.shape for spec in specs}) > 1:
            raise ValueError("rasters written together must have one grid")
        check_paths([spec.path for spec in specs], [])
        store = cls(specs, force=force)
        try:
            store._begin({**identity, **_outputs(specs)}, block_px, restart)
        except OSError as error:
            store.close()
            raise store._failure(error) from error
        except BaseException:
            store.close()
            raise
        return store

    def _begin(self, identity: Mapping[str, str], block_px: int, restart: bool) -> None:
        """Lock the folder and read what is in it."""
        shutil.rmtree(_done(self._folder), ignore_errors=True)
        if not self._folder.exists():
            self._assembly.check_targets()
            self._check_size()
        self._lock()
        if restart:
            for target in self._begun_elsewhere():
                built_elsewhere(target).unlink(missing_ok=True)
            self._clear()
        found = self._found(identity)
        if not self._assembly.is_marked:
            self._assembly.check_targets()
        self.block_px = block_px if found is None else found.block_px
        self._expected = frozenset(self._specs[0].grid.blocks(self.block_px))
        if found is None:
            self._warn_of_room()
            Journal(identity, block_px).write(self._folder)
        elif self.block_px != block_px:
            _warn(f"The unfinished run is resumed with blocks of {self.block_px} pixels, not of {block_px}.")
        damaged = self._read_blocks()
        if damaged:
            _warn(f"{damaged} finished blocks of {self._specs[0].path} are damaged and will be computed again.")
        self._open = True

    def _check_size(self) -> None:
        """Raise OutputError if no compression makes the rasters fit on the disk."""
        needed, free = sum(spec.size for spec in self._specs), shutil.disk_usage(self._folder.parent).free
        if needed > _COMPRESSED * free:
            height, width = self._specs[0].grid.shape
            raise OutputError(
                f"{self._specs[0].path} would have {height} x {width} pixels, {size_text(needed)}; the disk has "
                f"{size_text(free)} free.", expected="a disk with space for it, compressed",
                remedy="Free some space, or check the pixel size.",
            )  # fmt: skip

    def _warn_of_room(self) -> None:
        """Warn if the disk might be too small; how well the rasters compress is not known before."""
        needed, free = sum(spec.size for spec in self._specs), shutil.disk_usage(self._folder).free
        if free < needed:
            _warn(
                f"{self._specs[0].path} may need up to {size_text(2 * needed)} while it is written; the disk has "
                f"{size_text(free)} free. If it fills up, the finished blocks are kept.",
                stacklevel=5,
            )

    def _lock(self) -> None:
        """Make the folder and lock it.

        Raises:
            OutputError: If another run holds it, or it is not a folder of ours.
        """
        if self._folder.is_symlink() or (self._folder.exists() and not self._is_ours()):
            raise OutputError(
                f"{self._folder} is not a folder of an unfinished run of crispmap.",
                expected="its name to be free",
                remedy="Move it away, or choose another name for the map.",
            )
        self._folder.mkdir(exist_ok=True)
        self._held.callback(file_lock(self._specs[0].path, self._folder / _LOCK))

    def _is_ours(self) -> bool:
        """Return whether everything in the folder has one of our names."""
        if not self._folder.is_dir():
            return False
        names = {path.name for path in self._folder.iterdir()}
        return all(name in (_LOCK, *_PARTS) or name.startswith(_HALF_WRITTEN) for name in names)

    def _found(self, identity: Mapping[str, str]) -> Journal | None:
        """Return the journal of an earlier, unfinished run; None if there is none.

        Raises:
            OutputError: If it had other inputs, or its journal cannot be read.
        """
        if not any((self._folder / name).exists() for name in _PARTS):
            return None
        found = Journal.read(self._folder)
        differences = found.differences(identity)
        # Inputs that differ change the tags of the outputs too: once is enough.
        differences = [line for line in differences if not line.startswith(_OUTPUT)] or differences
        if differences:
            raise OutputError(
                f"An unfinished run with other inputs is in the way of {self._specs[0].path}, in {self._folder}:\n  "
                + "\n  ".join(differences),
                expected="the inputs, models and settings it was started with",
                remedy="Run the same command as before to finish it, or discard it with restart=True.",
            )
        return found

    def _begun_elsewhere(self) -> list[Path]:
        """Return the targets of the unfinished run in other folders; none without a readable journal."""
        try:
            names = Journal.read(self._folder).identity
        except OutputError:  # missing or damaged: a run that had begun to make files has a complete one
            return []
        home = self._folder.parent
        targets = [home / name.removeprefix(_OUTPUT) for name in names if name.startswith(_OUTPUT)]
        return [target for target in targets if target.parent != home]

    def _read_blocks(self) -> int:
        """Read the finished blocks and return how many are damaged; these are removed, to be computed again."""
        if self._assembly.is_marked:
            self._stored = dict.fromkeys(self._expected, ())
            return 0
        folder = self._folder / _BLOCKS
        folder.mkdir(exist_ok=True)
        self._stored, damaged = stored_blocks(folder, self._expected, len(self._specs))
        return len(damaged)

    @property
    def finished(self) -> Set[Block]:
        """The durable blocks: all, if an earlier run only had files left to move. The view grows with every write."""
        return self._stored.keys()

    @property
    def under_way(self) -> FilesUnderWay:
        """What is written, and where, for those who look at blocks before the files are there."""
        grid = self._specs[0].grid
        return FilesUnderWay(
            tuple(spec.path.absolute() for spec in self._specs),
            tuple(None if spec.schema is None else spec.schema.to_json() for spec in self._specs),
            (self._folder / _BLOCKS).absolute(), self.block_px, grid.shape, tuple(grid.transform[:6]),
        )  # fmt: skip

    @property
    def has_pixels(self) -> bool:
        """Whether any finished block has a valid pixel."""
        with self._turn:
            return self._assembly.is_marked or any(
                one is not None for stored in self._stored.values() for one in stored
            )

    def write(self, block: Block, arrays: Sequence[ArrayLike | None] | None) -> None:
        """Write a block durably, unless it is finished already. Several threads may write at once.

        Args:
            block: One of ``grid.blocks(block_px)``.
            arrays: An array for each raster, as ``RasterSpec.checked`` takes it; None for a raster, or for all, without
                a valid pixel there.

        Raises:
            OutputError: If the disk is full or fails; the finished blocks stay.
            ValueError: If the store is closed, the block is not one of the grid's, or an array does not fit.
        """
        if not self._open:
            raise ValueError("the store is closed")
        if block not in self._expected:
            raise ValueError(f"{block} is not one of the blocks of {self.block_px} pixels")
        arrays = [None] * len(self._specs) if arrays is None else arrays
        if len(arrays) != len(self._specs):
            raise ValueError(f"{len(arrays)} arrays for {len(self._specs)} rasters")
        if block in self._stored:
            return
        values = [
            None if array is None else spec.checked(block, array)
            for spec, array in zip(self._specs, arrays, strict=True)
        ]
        folder = self._folder / _BLOCKS
        try:
            stored = write_block(folder, block, values, self._specs)
            with self._turn:
                if block in self._stored:
                    drop_block(folder, block)
                else:
                    keep_block(folder, block)
                    self._stored[block] = stored
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error

    def finish(
        self, extra_tags: Mapping[str, str] | None = None, *, on_file_start: Callable[[Path], None] | None = None
    ) -> list[Path]:
        """Make files of the blocks, check them, move them to their targets, remove the blocks, and return the files.

        No target is touched before all files are complete; a move that is interrupted is finished by the next run. The
        store is closed.

        Args:
            extra_tags: Further tags of all files; without effect if an earlier run has made them all.
            on_file_start: Called with every file before it is made: a large one takes minutes.

        Raises:
            OutputError: If a target now exists without ``force``, or the disk is full or fails; the blocks stay.
            ValueError: If the store is closed or a block is missing.
        """
        if not self._open:
            raise ValueError("the store is closed")
        missing = len(self._expected) - len(self._stored)
        if missing:
            raise ValueError(f"{missing} of {len(self._expected)} blocks are missing")
        try:
            if not self._assembly.is_marked:
                self._assembly.build(self._stored, extra_tags or {}, on_file_start)
            self._assembly.move()
        except (RasterioError, OSError) as error:
            self._drop_damaged()
            raise self._failure(error) from error
        self._remove_folder()
        return [spec.path for spec in self._specs]

    def _drop_damaged(self) -> None:
        """Remove incomplete files, and damaged blocks: they may be the cause of the failure."""
        if self._assembly.is_marked:
            return
        with suppress(OSError):
            self._assembly.clear()
            self._read_blocks()

    def discard(self) -> None:
        """Remove everything unfinished, and close the store; raise OutputError if the disk fails."""
        try:
            self._clear()
        except OSError as error:
            raise self._failure(error) from error
        self._remove_folder()

    def _clear(self) -> None:
        """Empty the folder, the journal last: without it nothing can be resumed."""
        self._assembly.clear()
        remove(self._folder / _BLOCKS)
        remove(self._folder / journal.NAME)
        self._stored = {}

    def _remove_folder(self) -> None:
        """Close the store and remove its folder in one step: half of it would look like an unfinished run."""
        self.close()
        with suppress(OSError):
            self._folder.rename(_done(self._folder))
            shutil.rmtree(_done(self._folder))

    def _failure(self, error: BaseException) -> OutputError:
        return write_failure(self._specs[0].path, error, kept=_KEPT)

    def close(self) -> None:
        """Release the lock. Closing twice is allowed."""
        self._open = False
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _outputs(specs: Sequence[RasterSpec]) -> dict[str, str]:
    """Return an entry of the identity for every file: its path relative to the first, and its fingerprint."""
    home = specs[0].path.absolute().parent
    return {f"{_OUTPUT}{os.path.relpath(spec.path.absolute(), home)}": spec.fingerprint() for spec in specs}


def _done(folder: Path) -> Path:
    """Return the name of a folder that is being removed."""
    return folder.with_name(f"{folder.name}-done")


def _warn(text: str, stacklevel: int = 4) -> None:
    warnings.warn(text, CrispmapWarning, stacklevel=stacklevel)
