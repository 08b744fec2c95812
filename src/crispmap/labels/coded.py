"""Masks of a data set: all hold the same codes for the same classes, so what codes mean is found out once for all.

One mask may lack classes, and looking through every mask before the first is used takes minutes: the meaning is that
of all codes in a sample of the masks. Codes of no class that turn up later are left out and counted, or an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, GridError, LabelError, SceneError, number_of
from crispmap.files.dataset import GDAL_ERRORS, gdal_settings, open_dataset, reason
from crispmap.files.north_up import in_order_of
from crispmap.files.turn import AS_STORED, Turn
from crispmap.geo.grid import Block, Grid
from crispmap.labels import palette
from crispmap.labels.mask_values import count_codes, read_codes, traits_of
from crispmap.labels.reader import LabelOptions
from crispmap.raster.cached import BlockCache, parts_of, side_of_blocks
from crispmap.types import IGNORE, BoolArray, LabelArray

_SAMPLED_MASKS = 16
_STRIP_PX = 512
_LARGE_PX = 1_000_000
_UNSEEN = -2


class UnreadableMaskError(LabelError):
    """A mask that cannot be read."""


class MaskCode:
    """What the codes of a data set's masks mean, and how many of no class were met so far.

    Args:
        masks: The data set's masks.
        ignored: Colours (text) of colour masks and values of others, of pixels that nothing is known of; a colour that
            is a class's is not ignored.
        options: ``unknown`` and ``tolerance`` apply.
        skip: Whether of a mask that cannot be read nothing is known, with a warning, and it is no error.
    """

    def __init__(
        self,
        masks: Sequence[Path],
        schema: ClassSchema,
        ignored: Sequence[str | int] = (),
        options: LabelOptions = LabelOptions(),
        *,
        skip: bool = False,
    ) -> None:
        self.schema, self.options, self._skip = schema, options, skip
        self.unknown_px: dict[Path, int] = {}  # pixels of no class by mask; a mask that is read again counts once
        self._masks = list(masks)
        self._tables: dict[Hashable, _CodeTable] = {}
        self._colours = {index: palette.colour_code(one.rgb) for index, one in enumerate(schema)}
        codes = {int(one[1:], 16) for one in ignored if isinstance(one, str)} - set(self._colours.values())
        self._ignored_colours = sorted(codes)
        self._ignored_values = [one for one in ignored if not isinstance(one, str)]
        self._counted: set[tuple[Path, Block]] = set()

    def read(self, path: Path, block: Block, turn: Turn = AS_STORED) -> LabelArray:
        """Return the class ids of a block of a mask, IGNORE where nothing is known.

        Args:
            turn: Of its image's pixels, see ``LabelOptions``.

        Raises:
            LabelError: If it cannot be read, or has a code of no class that is an error.
        """
        try:
            return self._read(path, block, turn)
        except UnreadableMaskError as error:
            if not self._skip:
                raise
            warnings.warn(f"A mask is left out: {error.given}", CrispmapWarning, stacklevel=2)
            return np.full(block.shape, IGNORE, np.uint8)

    def _read(self, path: Path, block: Block, turn: Turn) -> LabelArray:
        ids: LabelArray = np.empty(block.shape, np.uint8)
        with opened_mask(path, turn) as (dataset, traits):
            table = self._table(traits, path)
            for strip in _strips(block):
                codes, valid = read_codes(dataset, traits, _window(strip))
                found = table.ids(codes)
                unknown = (found == palette.UNKNOWN) & valid
                if unknown.any():
                    self._count(path, strip, unknown, palette.show_code(int(codes[unknown][0]), traits.colour))
                ids[strip.relative_to(block).slices] = np.where(valid & ~unknown, found, IGNORE)
        return ids

    def sampled_codes(self, kind: Hashable) -> set[int]:
        """Return the codes of one kind of masks in a sample of all."""
        return self._samples.get(kind, set())

    @cached_property
    def _samples(self) -> dict[Hashable, set[int]]:
        found: dict[Hashable, set[int]] = {}
        count = min(len(self._masks), _SAMPLED_MASKS)
        for place in np.linspace(0, len(self._masks) - 1, count).round().astype(int).tolist():
            kind, codes = _codes_in(self._masks[place])
            found.setdefault(kind, set()).update(codes)
        return found

    def _table(self, traits: palette.MaskTraits, path: Path) -> _CodeTable:
        kind = _kind(traits)
        key = kind, tuple(traits.palette.items()) if traits.palette else ()
        if key not in self._tables:
            found = self.sampled_codes(kind) or _codes_in(path)[1]
            self._tables[key] = _CodeTable(self._decoder(traits, np.array(sorted(found), np.int64)), traits.colour)
        return self._tables[key]

    def _decoder(self, traits: palette.MaskTraits, codes: palette.Codes) -> palette.Decoder:
        """Return the decoder of masks with these codes, which takes what is ignored for IGNORE."""
        tolerance = self.options.tolerance
        ignored = palette.nearest_colour(dict(enumerate(self._ignored_colours)), tolerance)
        if not self._ignored_colours or not (traits.colour or traits.palette):
            ignored = _none
        elif traits.palette:
            ignored = palette.by_table(traits.palette, ignored)
        codes = codes[(ignored(codes) == palette.UNKNOWN) | (codes == palette.NOT_WHOLE)]
        exact = palette.nearest_colour(self._colours, 0)
        if traits.colour and (exact(codes) != palette.UNKNOWN).all():
            decode = palette.nearest_colour(self._colours, tolerance)  # a mask beyond the sample may be damaged
        else:
            decode = palette.choose_decoder(codes, traits, self.schema, tolerance)
        values = np.array(() if traits.colour else self._ignored_values, np.int64)

        def with_ignored(some: palette.Codes) -> Any:
            ids = decode(some)
            beyond = (ids == palette.UNKNOWN) & (ignored(some) != palette.UNKNOWN)
            return np.where(beyond | np.isin(some, values), IGNORE, ids)

        return with_ignored

    def _count(self, path: Path, strip: Block, unknown: BoolArray, code: str) -> None:
        """Count pixels of no class; the first of all is an error or a warning."""
        if (path, strip) in self._counted:
            return
        self._counted.add((path, strip))
        row, col = np.argwhere(unknown)[0].tolist()
        count = int(np.count_nonzero(unknown))
        first = f"{path} holds {code} at row {strip.row + row}, column {strip.col + col}"
        if self.options.unknown == "error":
            raise LabelError(
                f"{first}, which is no class, like {number_of(count, 'pixel')} in the rows there.",
                expected=", ".join(f"{one.colour} or {index}: {one.name}" for index, one in enumerate(self.schema)),
                remedy="Add the classes, raise the tolerance, or leave such pixels out with unknown=ignore.",
            )
        if not self.unknown_px:
            text = f"Pixels of no class are left out; the first: {first}."
            warnings.warn(text, CrispmapWarning, stacklevel=2)
        self.unknown_px[path] = self.unknown_px.get(path, 0) + count


class _CodeTable:
    """Class ids of codes; each code is decoded once."""

    def __init__(self, decode: palette.Decoder, colour: bool) -> None:
        self._decode = decode
        self._known = np.full(1 << (24 if colour else 16), _UNSEEN, np.int16)

    def ids(self, codes: palette.Codes) -> Any:
        """Return the class ids of codes, UNKNOWN for those of no class."""
        if codes.size == 0 or codes.min() < 0 or codes.max() >= len(self._known):
            return self._decode(codes.astype(np.int64))
        found = self._known[codes]
        unseen = found == _UNSEEN
        if unseen.any():
            new = np.unique(codes[unseen]).astype(np.int64)
            self._known[new] = self._decode(new)
            found = self._known[codes]
        return found


class CodedMask:
    """A mask of a data set as class ids on a grid over its image; a ``LabelReader``.

    It lies on its image pixel by pixel. On another grid over the image each pixel has the class at its centre.

    Args:
        own: The grid of the image.
        grid: The grid of the labels.
        cache: Of what is decoded.
        turn: Of the image's pixels, see ``LabelOptions``.
    """

    def __init__(
        self, path: Path, code: MaskCode, own: Grid, grid: Grid, cache: BlockCache[Any], turn: Turn = AS_STORED
    ) -> None:
        self.path, self.grid, self.schema = path, grid, code.schema
        self._code, self._own, self._cache, self._turn = code, own, cache, turn
        self._side_px = side_of_blocks(own.shape, 8)

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid; see ``LabelReader.read``."""
        if self.grid.block.intersection(block) != block:
            raise GridError(f"{block} reaches outside a grid of shape {self.grid.shape}.", expected="a block inside")
        if block.is_empty:
            return np.zeros(block.shape, np.uint8)
        if self.grid.is_close(self._own):
            return self._read_own(block)
        to_own = ~self._own.transform @ self.grid.transform
        rows = _under(block.row, block.height, to_own.e, self._own.height)
        cols = _under(block.col, block.width, to_own.a, self._own.width)
        around = Block(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        return self._read_own(around)[np.ix_(rows - rows[0], cols - cols[0])]

    def _read_own(self, block: Block) -> LabelArray:
        ids: LabelArray = np.empty(block.shape, np.uint8)
        for part in parts_of(block, self._side_px, self._own.shape):
            key = self.path, part.row, part.col
            held = self._cache.get(key, lambda part=part: self._code.read(self.path, part, self._turn))  # type: ignore[misc]
            shared = part.intersection(block)
            ids[shared.relative_to(block).slices] = held[shared.relative_to(part).slices]
        return ids

    def close(self) -> None:
        """Do nothing: no file is open."""


@contextmanager
def opened_mask(path: Path, turn: Turn = AS_STORED) -> Iterator[tuple[DatasetReader, palette.MaskTraits]]:
    """Open a mask, or raise LabelError; so is what goes wrong while it is read."""
    try:
        with open_dataset(path) as opened, gdal_settings(str(path)):
            dataset = in_order_of(opened, turn)
            traits = traits_of(dataset, str(path))
            if traits is None:
                raise LabelError(
                    f"{path} has {number_of(dataset.count, 'band')}.",
                    expected="a mask: one band of class ids, or three or four bands of colours",
                )
            yield dataset, traits
    except SceneError as error:
        raise UnreadableMaskError(error.given, expected=error.expected, remedy=error.remedy) from error
    except GDAL_ERRORS as error:
        given, remedy = f"{path} cannot be read: {reason(error)}.", "Copy or download the file again."
        raise UnreadableMaskError(given, expected="a complete mask", remedy=remedy) from error


def _codes_in(path: Path) -> tuple[Hashable, set[int]]:
    """Return of which kind a mask is, and its codes, of a large one those of every second row and column."""
    with opened_mask(path) as (dataset, traits):
        found: dict[int, int] = {}
        step = 1 if dataset.height * dataset.width <= _LARGE_PX else 2
        for strip in _strips(Block(0, 0, dataset.height, dataset.width)):
            codes, valid = read_codes(dataset, traits, _window(strip))
            count_codes(codes[::step, ::step][valid[::step, ::step]], found)
    return _kind(traits), set(found)


def _kind(traits: palette.MaskTraits) -> Hashable:
    return traits.colour, traits.palette is not None


def _under(start: int, count: int, step: float, size: int) -> NDArray[np.intp]:
    """Return the pixels under the centres of a line of pixels of another size."""
    centres = np.floor((np.arange(start, start + count) + 0.5) * step).astype(np.intp)
    line: NDArray[np.intp] = np.minimum(centres, size - 1)
    return line


def _none(codes: palette.Codes) -> Any:
    return np.full(codes.shape, palette.UNKNOWN)


def _strips(block: Block) -> list[Block]:
    return [
        Block(row, block.col, min(_STRIP_PX, block.row_stop - row), block.width)
        for row in range(block.row, block.row_stop, _STRIP_PX)
    ]


def _window(block: Block) -> Window:
    return Window(block.col, block.row, block.width, block.height)
