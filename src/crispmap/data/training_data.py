"""Training data: pieces of scenes with labels, from any source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.evaluation.readers import AreaUnion, LabelSource
from crispmap.geo.areas import Area, hold_out_strip
from crispmap.geo.grid import Block
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, LabelArray

Role: TypeAlias = Literal["coarse", "coarse validation", "refiner", "refiner validation", "test"]
"""What pieces are for. Those of the coarse network have imprecise labels, the others precise ones."""

_READ_PX = 1024  # labels of large areas are read in blocks of so many pixels a side, to bound memory


@dataclass(frozen=True, eq=False)
class Piece:
    """An area of a scene, with the labels of its pixels."""

    scene: str  # the scene's name
    image: Scene
    area: Area  # the area on the image's grid
    labels: LabelSource  # labels on the same grid; they may know more than the area
    scores: Scene | None = None  # coarse scores of another tool on the same grid, or None
    # a text that stands for its content, where there is more data than can be loaded: it is read when it is needed
    digest: str | None = None

    def within(self, area: Area) -> Piece:
        """Return the same piece of another area."""
        return replace(self, area=area)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the area's box in pixels."""
        return self.area.block.shape

    def read_labels(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block of the image, IGNORE outside the area."""
        return np.where(self.area.mask(block), self.labels.read(block), np.uint8(IGNORE))

    def labelled_blocks(self) -> Iterator[tuple[Block, LabelArray]]:
        """Yield blocks of bounded size that cover the area, with class ids as ``read_labels``."""
        for block in self.area.block.pieces(_READ_PX):
            yield block, self.read_labels(block)


class TrainingData(Protocol):
    """What models are trained on and scored against: one scene, several, or a folder of images and masks."""

    @property
    def schema(self) -> ClassSchema:
        """The classes of all labels."""

    @property
    def gsd_m(self) -> float:
        """The working ground sampling distance, at which refiners are trained."""

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        """Return the pieces of a role, on images of a ground sampling distance, by default that of the map."""


def learned_and_held_out(
    data: TrainingData, role: Literal["coarse", "refiner"], *, gsd_m: float, hold_out: bool = True, step_px: int = 1
) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces to learn from and those to validate on.

    The latter are the data's own, or a strip held out of every piece, whole steps of ``step_px`` wide; without
    ``hold_out`` there are none. A piece too small for a strip is a ProjectError.
    """
    pieces = data.pieces(role, gsd_m=gsd_m)
    if not hold_out:
        return pieces, []
    own = data.pieces("coarse validation" if role == "coarse" else "refiner validation", gsd_m=gsd_m)
    if own:
        return pieces, own
    cut = [(piece, *hold_out_strip(piece.area, step_px=step_px)) for piece in pieces]
    return [piece.within(kept) for piece, kept, _ in cut], [piece.within(strip) for piece, _, strip in cut]


def by_image(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return pieces grouped by the image they lie on, in order."""
    groups: dict[int, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(id(piece.image), []).append(piece)
    return list(groups.values())


def labels_within(pieces: Sequence[Piece]) -> Callable[[Block], LabelArray]:
    """Return a reader of the labels of some pieces of one image, IGNORE outside their areas."""
    union = AreaUnion([piece.area for piece in pieces])

    def read(block: Block) -> LabelArray:
        return np.where(union.mask(block), pieces[0].labels.read(block), np.uint8(IGNORE))

    return read
