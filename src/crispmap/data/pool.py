"""Patches of more images than fit in memory: at any time they are drawn from a few images, one of which changes often.

An image that is compressed is decoded as a whole, which takes as long as hundreds of patches; so images take turns. The
few images of patch i, too, are a function of (seed, i) alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crispmap.data.patches import PatchSource, label_strips, on_demand
from crispmap.data.sampling import PatchPlan, PatchSampler
from crispmap.geo.grid import Block
from crispmap.raster.cached import BlockCache

POOL = 8  # images that patches are drawn from at a time
PATCHES_A_TURN = 16  # patches after which one of them changes
_POSITIONS = 2_000  # pixels of each class kept of an image
_POSITIONS_BYTES = 10_000_000


class PooledSampler(PatchSampler):
    """Draws patches of several pieces, a few of which are in use at a time; each gets turns by its area.

    A balanced patch is drawn around a pixel of a class, all alike that the pieces in use have. ``class_counts`` are
    those of some of the pieces.
    """

    def __init__(self, pieces: Sequence[PatchSource], class_names: Sequence[str], plan: PatchPlan) -> None:
        super().__init__(pieces, class_names, plan)
        self._by_piece = BlockCache[NDArray[np.int32]](_POSITIONS_BYTES)
        self._turns: tuple[int, NDArray[np.intp]] = (-1, np.zeros(0, np.intp))

    def _prepare(self) -> None:
        """Look at no label: those of a piece are looked at when it is in use."""

    def pool(self, index: int) -> list[int]:
        """Return the pieces that patch ``index`` is drawn from; one may be there twice."""
        first = index // PATCHES_A_TURN
        return [self._piece_of_turn(first + place) for place in range(min(POOL, len(self.pieces)))]

    def _piece_of_turn(self, turn: int) -> int:
        """Return the piece whose turn it is: in every round of as many turns as pieces, each by its area."""
        count = len(self.pieces)
        number, place = divmod(turn, count)
        if self._turns[0] != number:
            rng = np.random.default_rng([self.plan.seed, number])
            marks = (np.arange(count) + rng.random()) / count
            pieces = np.searchsorted(self._area_bounds, marks, side="right")
            self._turns = number, rng.permutation(np.minimum(pieces, count - 1))
        return int(self._turns[1][place])

    def _anywhere(self, rng: np.random.Generator, index: int) -> tuple[int, Block]:
        """Return a block drawn evenly from one of the pieces in use."""
        pool = self.pool(index)
        return self._block_of(pool[int(rng.integers(len(pool)))], rng)

    def _draw_class(self, rng: np.random.Generator, index: int) -> int | None:
        classes = np.unique(np.concatenate([self._positions_in(piece)[:, 0] for piece in self.pool(index)]))
        return int(classes[int(rng.integers(len(classes)))]) if classes.size else None

    def _near_class(self, rng: np.random.Generator, index: int, class_id: int | None = None) -> tuple[int, Block]:
        """Return a block around a pixel drawn evenly from a class of the pieces in use.

        If they have no labels, those of the first later turn that has some stand for them.
        """
        while class_id is None and (class_id := self._draw_class(rng, index)) is None:
            index += PATCHES_A_TURN
        pool = self.pool(index)
        found = [self._positions_in(piece) for piece in pool]
        having = [(piece, one[one[:, 0] == class_id]) for piece, one in zip(pool, found, strict=True)]
        totals = np.array([one[0, 3] if len(one) else 0 for _, one in having], np.float64)
        piece, positions = having[int(np.searchsorted(np.cumsum(totals) / totals.sum(), rng.random(), side="right"))]
        _, row, col, _ = positions[int(rng.integers(len(positions)))].tolist()
        return piece, self._block_around(piece, row, col, rng)

    def _positions_in(self, piece: int) -> NDArray[np.int32]:
        """Return (class, row, col, pixels of the class) of up to ``_POSITIONS`` pixels of each class of a piece."""
        return self._by_piece.get(piece, lambda: self._look_up(piece))

    def _look_up(self, piece: int) -> NDArray[np.int32]:
        source = self.pieces[piece]
        labels = np.concatenate([strip for _, strip in label_strips(source)])
        rng = np.random.default_rng([self.plan.seed, piece])
        found = []
        for class_id in range(len(self.class_counts)):
            places = np.flatnonzero(labels == class_id)
            chosen = places if len(places) <= _POSITIONS else places[rng.integers(len(places), size=_POSITIONS)]
            rows, cols = np.divmod(chosen, source.shape[1])
            found.append(np.stack([np.full_like(rows, class_id), rows, cols, np.full_like(rows, len(places))], axis=1))
        return np.concatenate(found).astype(np.int32)


def sampler_of(pieces: Sequence[PatchSource], class_names: Sequence[str], plan: PatchPlan) -> PatchSampler:
    """Return the sampler of some pieces: of those that are read on demand, one that uses few at a time."""
    return (PooledSampler if any(map(on_demand, pieces)) else PatchSampler)(pieces, class_names, plan)
