"""Batches of patches and tiles of training data as torch tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crispmap.data.patches import PatchSource, on_demand
from crispmap.data.sampling import PatchSampler
from crispmap.errors import TrainingError
from crispmap.geo.grid import Block
from crispmap.geo.squares import Squares
from crispmap.types import IGNORE, CountArray, LabelArray

_MOST_TILED_PX = 16_000_000
Batch = dict[str, Tensor]
"""``image`` float32 (B, band, P+2m, P+2m), ``labels`` int64 (B, P, P), or one a square of a classifier of squares, and,
where there are any, ``scores`` float32 (B, class, P+2m, P+2m)."""


class PatchBatches(Dataset[Batch]):
    """The batches of some training steps, in order.

    The batch of step s has patches ``s * batch .. (s+1) * batch - 1``. Each of several processes takes its part, so a
    step sees the same patches however many processes share them. The batch must be a multiple of their number.
    """

    def __init__(self, sampler: PatchSampler, batch: int, steps: range, *, rank: int = 0, world_size: int = 1) -> None:
        if batch < 1 or batch % world_size:
            raise TrainingError(
                f"A batch of {batch} patches is to be shared by {world_size} devices.",
                expected=f"a positive multiple of {world_size}",
            )
        self._sampler = sampler
        self._steps = steps
        self._batch = batch
        self._part = batch // world_size
        self._rank = rank

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Batch:
        first = self._steps[index] * self._batch + self._rank * self._part
        patches = self._sampler.batch(first, self._part)
        return _tensors(patches.image, patches.labels, patches.scores)


class PieceTiles(Dataset[Batch]):
    """Tiles that cover every piece once, each a batch of one with its context.

    Tiles begin at multiples of ``tile_px``, itself one of the stride, in their piece; beyond it they show its
    reflection, with labels IGNORE. Of data read on demand, up to ``_MOST_TILED_PX`` are covered, spread evenly. With
    squares, labels are those of the tile's squares.
    """

    def __init__(
        self,
        pieces: Sequence[PatchSource],
        tile_px: int,
        margin_px: int,
        stride_px: int = 1,
        squares: Squares | None = None,
    ) -> None:
        if tile_px < 1 or tile_px % stride_px:
            raise TrainingError(
                f"Tiles of {tile_px} pixels were asked for.", expected=f"a positive multiple of {stride_px}"
            )
        self._margin_px, self._squares = margin_px, squares
        self._tiles = [
            (piece, Block(row, col, tile_px, tile_px))
            for piece in pieces
            for row in range(0, piece.shape[0], tile_px)
            for col in range(0, piece.shape[1], tile_px)
        ]
        most = max(1, _MOST_TILED_PX // tile_px**2)
        if any(map(on_demand, pieces)) and len(self._tiles) > most:
            places = np.linspace(0, len(self._tiles) - 1, most).round().astype(int)
            self._tiles = [self._tiles[place] for place in places.tolist()]

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> Batch:
        piece, block = self._tiles[index]
        around, labels = block.padded(self._margin_px), self._labels(piece, block)
        scores = None if piece.score_classes is None else piece.read_scores(around)[None]
        return _tensors(piece.read_image(around)[None], labels[None], scores)

    def count_labels(self) -> CountArray:
        """Return the number of labels of each id, int64 (256,)."""
        counts = np.zeros(IGNORE + 1, np.int64)
        for piece, block in self._tiles:
            counts += np.bincount(self._labels(piece, block).ravel(), minlength=IGNORE + 1)
        return counts

    def _labels(self, piece: PatchSource, block: Block) -> LabelArray:
        labels: LabelArray = np.full(block.shape, IGNORE, np.uint8)
        inside = block.intersection(Block(0, 0, *piece.shape))
        labels[inside.relative_to(block).slices] = piece.read_labels(inside)
        return labels if self._squares is None else self._squares.ids(labels)


def in_order(dataset: Dataset[Batch], *, workers: int = 0, pinned: bool = False) -> DataLoader[Batch]:
    """Return a loader that gives a dataset's batches once, in order.

    ``workers`` processes cut batches ahead of time (0: this process does). ``pinned`` batches are in page-locked
    memory, which makes copying to a GPU faster.
    """
    # A generator of its own: a loader draws a number whenever it begins, and must not draw it from the network's.
    own = torch.Generator()
    return DataLoader(dataset, batch_size=None, num_workers=workers, pin_memory=pinned, generator=own)


def _tensors(image: np.ndarray, labels: LabelArray, scores: np.ndarray | None) -> Batch:
    """Return the arrays as tensors; the labels as int64, which the loss asks for."""
    batch = {"image": _tensor(image), "labels": torch.from_numpy(labels.astype(np.int64))}
    if scores is not None:
        batch["scores"] = _tensor(scores)
    return batch


def _tensor(array: np.ndarray) -> Tensor:
    """Return a tensor that owns its memory: a source's arrays must not be written through it."""
    return torch.from_numpy(array if array.flags.owndata and array.flags.writeable else array.copy())
