"""Rasters written together, block by block, by a work that may be killed at any moment and taken up again.

Finished blocks gather in a hidden folder beside the first target. When all are there, every raster becomes a
Cloud-Optimized GeoTIFF, is read back and compared with the blocks; only then is a mark set, and all are moved onto
their targets. A work killed before the mark goes on with the blocks that are missing; one killed after it, with the
targets that are missing. The bytes of the files depend on pixels and specs alone.

The folder, ``.map.tif.crispmap`` for ``map.tif``, holds

    lock            held by the process at work; the system lets it go with the process
    journal.json    what the work depends on, and the side of its blocks
    blocks/         a folder a finished block (``crispmap.raster.block_files``)
    finished/       the rasters while they are made
    finished.json   the mark: all rasters are whole and may be moved
"""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike
from rasterio.errors import RasterioError

from crispmap.errors import CrispmapWarning, OutputError
from crispmap.files.atomic import file_lock
from crispmap.geo.grid import Block
from crispmap.raster import assembly, journal
from crispmap.raster.assembly import Assembly, built_elsewhere
from crispmap.raster.block_files import StoredBlock, drop_block, keep_block, stored_blocks, write_block
from crispmap.raster.journal import Journal
from crispmap.raster.spec import RasterSpec
from crispmap.raster.targets import check_paths, hidden_beside, size_text, write_failure

_LOCK = "lock"
_OUTPUT = "output "
_BLOCKS = "blocks"
_TRACES = (journal.NAME, _BLOCKS, assembly.BUILT, assembly.MARK)
_HALF_WRITTEN = tuple(f".{name}." for name in (journal.NAME, assembly.MARK))
_KEPT = "the finished blocks are kept, and the same command goes on from them"


def store_folder(target: Path) -> Path:
    """Return the folder in which the blocks of a work gather whose first file is this one."""
    return hidden_beside(target, ".crispmap")


class BlockStore:
    """The finished blocks of rasters under way; a context manager, made by ``open``.

    On leaving ``with``, normally or not, the blocks stay on the disk for a later run to take up. ``finish`` alone turns
    them into files and removes them, ``discard`` removes them without.

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
        """Begin a work, or take up the same work where it ended.

        Args:
            specs: The rasters to write, on one grid.
            identity: All that decides their pixels, by name: inputs, models, settings, long ones by hash.
            block_px: Side of the blocks, in pixels.
            force: Whether files that exist may be replaced.
            restart: Whether to discard what an earlier run has left unfinished.

        Raises:
            OutputError: If a target exists without ``force``, is given twice or cannot be written; if another run is at
                work on it; if an unfinished work on other inputs, or one that cannot be read, lies there and
                ``restart`` is not given.
            GridError: If ``block_px`` is below 1.
            ValueError: If there is no spec, or their grids have different shapes.

        Warns:
            CrispmapWarning: If the work goes on with blocks of another size, or with damaged blocks to be done again;
                if the disk might not hold the rasters.
        """
        if not specs or len({spec.grid.shape for spec in specs}) > 1:
            raise ValueError("rasters written together lie on one grid")
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
        """Take hold of the folder and read what is in it."""
        shutil.rmtree(_done(self._folder), ignore_errors=True)
        if not self._folder.exists():
            self._assembly.check_targets()
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

    def _warn_of_room(self) -> None:
        """Warn where the disk might not hold the rasters: they shrink, but how much is not known before."""
        needed = sum(spec.count * spec.grid.height * spec.grid.width * spec.read_dtype.itemsize for spec in self._specs)
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            _warn(
                f"{self._specs[0].path} may need up to {size_text(2 * needed)} while it is written; the disk has "
                f"{size_text(free)} free. If it fills up, the finished blocks are kept.",
                stacklevel=5,
            )

    def _lock(self) -> None:
        """Make the folder and lock it.

        Raises:
            OutputError: If another run holds it, or something else lies there.
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
        """Return whether the folder holds nothing but what is ours by name."""
        if not self._folder.is_dir():
            return False
        names = {path.name for path in self._folder.iterdir()}
        return all(name in (_LOCK, *_TRACES) or name.startswith(_HALF_WRITTEN) for name in names)

    def _found(self, identity: Mapping[str, str]) -> Journal | None:
        """Return the journal of the work that an earlier run has left; None where it left nothing.

        Raises:
            OutputError: If that is another work, or cannot be told.
        """
        if not any((self._folder / name).exists() for name in _TRACES):
            return None
        found = Journal.read(self._folder)
        differences = found.differences(identity)
        # What differs in the inputs shows in the tags of the outputs too: telling it once is enough.
        differences = [line for line in differences if not line.startswith(_OUTPUT)] or differences
        if differences:
            raise OutputError(
                f"An unfinished run with other inputs is in the way of {self._specs[0].path}, in {self._folder}:\n  "
                + "\n  ".join(differences),
                expected="the inputs, models and settings it was started with",
                remedy="Run the same command as before to finish it, or discard it with --restart (restart).",
            )
        return found

    def _begun_elsewhere(self) -> list[Path]:
        """Return the files that the work lying here was to write in other folders; none where it does not tell."""
        try:
            names = Journal.read(self._folder).identity
        except OutputError:  # missing or damaged: a work that had files half made has a whole one
            return []
        home = self._folder.parent
        targets = [home / name.removeprefix(_OUTPUT) for name in names if name.startswith(_OUTPUT)]
        return [target for target in targets if target.parent != home]

    def _read_blocks(self) -> int:
        """Read what is finished and return how many blocks are damaged; these are removed, to be done again."""
        if self._assembly.is_marked:
            self._stored = dict.fromkeys(self._expected, ())
            return 0
        folder = self._folder / _BLOCKS
        folder.mkdir(exist_ok=True)
        self._stored, damaged = stored_blocks(folder, self._expected, len(self._specs))
        return len(damaged)

    @property
    def finished(self) -> Set[Block]:
        """The blocks that are on the disk for good, all of them where an earlier run only had files left to move.

        A view: it grows as blocks are written. Copy it to walk over it meanwhile.
        """
        return self._stored.keys()

    @property
    def has_pixels(self) -> bool:
        """Whether any finished block has a valid pixel."""
        with self._turn:
            return self._assembly.is_marked or any(
                one is not None for stored in self._stored.values() for one in stored
            )

    def write(self, block: Block, arrays: Sequence[ArrayLike | None] | None) -> None:
        """Write a block; when this returns it is on the disk for good. Several threads may write at once.

        A block that is finished is not written again.

        Args:
            block: One of ``grid.blocks(block_px)``.
            arrays: An array a raster, as ``RasterSpec.checked`` takes it; None for a raster, or for all, that has no
                valid pixel there.

        Raises:
            OutputError: If the disk is full or fails; the blocks finished before stay.
            ValueError: If the store is closed, the block is none of those to write, or an array does not fit.
        """
        if not self._open:
            raise ValueError("the store is closed")
        if block not in self._expected:
            raise ValueError(f"{block} is none of the blocks of {self.block_px} pixels")
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
        self, extra_tags: Mapping[str, str] | None = None, *, notify: Callable[[Path], None] | None = None
    ) -> list[Path]:
        """Turn the blocks into the files, all of them or none, and remove what is no longer needed.

        Args:
            extra_tags: Further metadata of all files. Without effect where an earlier run had made them all.
            notify: Called with every file before it is made: that of a large raster takes minutes.

        Returns:
            The files, in the order of the specs.

        Raises:
            OutputError: If a target has come to exist meanwhile without ``force``, or the disk is full or fails; the
                blocks stay.
            ValueError: If the store is closed or a block is missing.
        """
        if not self._open:
            raise ValueError("the store is closed")
        missing = len(self._expected) - len(self._stored)
        if missing:
            raise ValueError(f"{missing} of {len(self._expected)} blocks are missing")
        try:
            if not self._assembly.is_marked:
                self._assembly.build(self._stored, extra_tags or {}, notify)
            self._assembly.move()
        except (RasterioError, OSError) as error:
            self._drop_damaged()
            raise self._failure(error) from error
        self._remove_folder()
        return [spec.path for spec in self._specs]

    def _drop_damaged(self) -> None:
        """Remove the files half made, and blocks that are damaged: the failure may be due to them."""
        if self._assembly.is_marked:
            return
        with suppress(OSError):
            self._assembly.clear()
            self._read_blocks()

    def discard(self) -> None:
        """Remove all that is unfinished, and close the store.

        Raises:
            OutputError: If the disk fails.
        """
        try:
            self._clear()
        except OSError as error:
            raise self._failure(error) from error
        self._remove_folder()

    def _clear(self) -> None:
        """Empty the folder; the journal goes last, for what lies there without one cannot be taken up."""
        self._assembly.clear()
        _remove(self._folder / _BLOCKS)
        (self._folder / journal.NAME).unlink(missing_ok=True)
        self._stored = {}

    def _remove_folder(self) -> None:
        """Close the store and remove its folder: in one step, for half of it would look like unfinished work."""
        self.close()
        with suppress(OSError):
            self._folder.rename(_done(self._folder))
            shutil.rmtree(_done(self._folder))

    def _failure(self, error: BaseException) -> OutputError:
        return write_failure(self._specs[0].path, error, kept=_KEPT)

    def close(self) -> None:
        """Let others take up the work. Closing twice is allowed."""
        self._open = False
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _outputs(specs: Sequence[RasterSpec]) -> dict[str, str]:
    """Return an entry of the identity for every file: its name, seen from the first, and what it is."""
    home = specs[0].path.absolute().parent
    return {f"{_OUTPUT}{os.path.relpath(spec.path.absolute(), home)}": spec.fingerprint() for spec in specs}


def _done(folder: Path) -> Path:
    """Return the name of a folder that is being removed."""
    return folder.with_name(f"{folder.name}-done")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _warn(text: str, stacklevel: int = 4) -> None:
    warnings.warn(text, CrispmapWarning, stacklevel=stacklevel)
