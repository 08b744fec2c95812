"""Random patches of training data: patch i is a function of (seed, i) alone.

Nothing has to be remembered between two patches, so a training resumes at any step and gives the same patches
with any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crispmap.data.augmentation import PatchDraws, warped, warped_labels
from crispmap.data.patches import PatchSource, count_classes, label_strips
from crispmap.errors import LabelError, TrainingError
from crispmap.geo.grid import Block
from crispmap.geo.squares import Squares
from crispmap.models.settings import (
    FLIPS_AND_ROTATIONS,
    Sampling,
    TrainingSettings,
    Weighting,
    augmentation_names,
)
from crispmap.types import IGNORE, CountArray, DoubleArray, FloatArray, LabelArray

POSITIONS_PER_CLASS = 50_000
_REDRAWS = 10
_SQUARES_TRIED = 200


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of side P with a context of m pixels, stacked along a first axis."""

    image: FloatArray  # (patch, band, P+2m, P+2m)
    labels: LabelArray  # (patch, P, P), of the middle of the image; of a classifier of squares one a square
    scores: FloatArray | None  # (patch, class, P+2m, P+2m), or None where the source has none


@dataclass(frozen=True)
class PatchPlan:
    """How patches are drawn.

    Uniform sampling draws every place alike; balanced sampling draws a class, all alike, then a pixel of it. Patches
    with a smaller share of labelled pixels, or squares, than ``min_labelled`` are drawn again, at most 10 times. Of a
    classifier of squares, patches are whole squares at any place, and the pixel of a class is the middle of one that is
    of this class where 10 draws find such a one.

    Raises:
        TrainingError: If a value is out of its range.
    """

    patch_px: int  # side P of the labelled square; all of it is inside its piece
    margin_px: int  # context m around it, reflected where it leaves the piece
    stride_px: int = 1  # the network's stride; P is a multiple of it
    sampling: Sampling = "uniform"
    augmentation: str = FLIPS_AND_ROTATIONS  # how each is varied, see ``TrainingSettings``
    min_labelled: float = 0.05
    seed: int = 0  # 0 to 2**63 - 1
    squares: Squares | None = None  # that have one class each; their side is the stride

    def __post_init__(self) -> None:
        stride = max(1, self.stride_px)
        if self.patch_px < 1 or self.stride_px < 1 or self.patch_px % stride:
            raise TrainingError(
                f"patch_px is {self.patch_px}.",
                expected=f"a positive multiple of the network's stride, {self.stride_px}",
                remedy=f"set patch_px to {max(1, round(self.patch_px / stride)) * stride}",
            )
        if self.margin_px < 0 or not 0 <= self.min_labelled <= 1 or not 0 <= self.seed < 2**63:
            raise TrainingError(
                f"margin_px {self.margin_px}, min_labelled {self.min_labelled}, seed {self.seed}.",
                expected="a margin of 0 or more, a share within 0..1, a seed within 0..2**63-1",
            )
        if self.sampling not in ("uniform", "balanced"):
            raise TrainingError(f"sampling {self.sampling!r}.", expected="'uniform' or 'balanced'")
        _ = self.ways

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of the ways in which each patch is varied."""
        return augmentation_names(self.augmentation)

    @classmethod
    def of(cls, settings: TrainingSettings, margin_px: int, stride_px: int = 1, squares: Squares | None = None) -> Self:
        """Return how a training draws patches for a network of this margin and stride, and these squares."""
        return cls(
            patch_px=settings.patch_px,
            margin_px=margin_px,
            stride_px=stride_px,
            sampling=settings.sampling,
            augmentation=settings.augmentation,
            min_labelled=settings.min_labelled,
            seed=settings.seed,
            squares=squares,
        )

    @property
    def labels_px(self) -> int:
        """Labels along a side of a patch."""
        return self.patch_px if self.squares is None else self.patch_px // self.squares.side_px


class PatchSampler:
    """Draws patches of several pieces.

    Raises:
        TrainingError: If there is no piece, one is smaller than a patch, or only some have scores.
        LabelError: If a class has no pixel, or labels no square, or a label is no class's id.
    """

    def __init__(self, pieces: Sequence[PatchSource], class_names: Sequence[str], plan: PatchPlan) -> None:
        self.pieces, self._class_names = tuple(pieces), tuple(class_names)
        self.plan = plan
        _check_pieces(self.pieces, plan)
        self.class_counts = count_classes(self.pieces, class_names)
        self._prepare()
        areas = np.array([math.prod(piece.shape) for piece in self.pieces], np.float64)
        self._area_bounds = np.cumsum(areas) / areas.sum()

    def _prepare(self) -> None:
        """Look up where patches can be drawn around pixels of each class."""
        self._positions = [self._positions_of(k) for k in range(len(self.class_counts))]
        self._check_squares()

    def batch(self, first: int, count: int) -> Patches:
        """Return patches ``first .. first+count-1``, stacked along a new first axis."""
        context, some = self.plan.patch_px + 2 * self.plan.margin_px, self.pieces[0]
        image = np.empty((count, some.bands, context, context), np.float32)
        labels = np.empty((count, self.plan.labels_px, self.plan.labels_px), np.uint8)
        scores = None
        if some.score_classes is not None:
            scores = np.empty((count, some.score_classes, context, context), np.float32)
        for i in range(count):
            rng = np.random.Generator(np.random.Philox(key=[self.plan.seed, first + i]))
            place, block = self._place(rng, first + i)
            turns = int(rng.integers(8)) if FLIPS_AND_ROTATIONS in self.plan.ways else 0
            draws = PatchDraws(self.plan.ways, self.plan.seed, first + i)
            pixels, ids, coarse = self._cut(self.pieces[place], block, draws.warp(context))
            image[i] = draws.recoloured(_turned(pixels, turns))
            labels[i] = _turned(ids if self.plan.squares is None else self.plan.squares.ids(ids), turns)
            if scores is not None:
                scores[i] = _turned(coarse, turns)
        return Patches(image, labels, scores)

    def _cut(self, piece: PatchSource, block: Block, at: DoubleArray | None) -> tuple[Any, LabelArray, Any]:
        """Return image, labels and scores of a patch, moved by ``at`` unless that would leave it without a label."""
        margin = self.plan.margin_px
        around, scored = block.padded(margin), piece.score_classes is not None
        if at is not None:
            labels = warped_labels(piece, block, at[(..., *Block(margin, margin, *block.shape).slices)] - margin)
            if (labels != IGNORE).any():
                scores = warped(piece.read_scores, around, at) if scored else None
                return warped(piece.read_image, around, at), labels, scores
        return piece.read_image(around), piece.read_labels(block), piece.read_scores(around) if scored else None

    def batch_bytes(self, count: int) -> int:
        """Return the memory that a batch of so many patches takes as tensors."""
        context, some = self.plan.patch_px + 2 * self.plan.margin_px, self.pieces[0]
        return count * (4 * (some.bands + (some.score_classes or 0)) * context**2 + 8 * self.plan.patch_px**2)

    def _place(self, rng: np.random.Generator, index: int) -> tuple[int, Block]:
        """Return the piece and block of one patch."""
        wanted = self._draw_class(rng, index) if self._by_class else None
        for _ in range(1 + _REDRAWS):
            balanced = self.plan.sampling == "balanced"
            piece, block = self._near_class(rng, index, wanted) if balanced else self._anywhere(rng, index)
            labels = self._labels(piece, block)
            labelled = np.count_nonzero(labels != IGNORE)
            if labelled and labelled >= self.plan.min_labelled * labels.size and (wanted is None or wanted in labels):
                return piece, block
        # The pieces are labelled too thinly for the share asked for: at least one labelled pixel then.
        return self._near_class(rng, index, wanted)

    def _check_squares(self) -> None:
        """Refuse a class whose pixels label no square: it would never be learned."""
        if self.plan.squares is None:
            return
        for class_id, name in enumerate(self._class_names):
            rng = np.random.default_rng([self.plan.seed, class_id])
            tried = (self._labels(*self._near_class(rng, 0, class_id)) for _ in range(_SQUARES_TRIED))
            if not any(class_id in labels for labels in tried):
                raise LabelError(
                    f"No square of {self.plan.squares.side_px} pixels in the training area is of class {name!r}: its "
                    f"pixels are nowhere the {self.plan.squares.label}.",
                    expected="squares of every class",
                    remedy="choose smaller squares with square_px, another label, or leave the class out",
                )

    @property
    def _by_class(self) -> bool:
        """Whether a patch without its class is drawn again: a square near a pixel of a class may be of another."""
        return self.plan.sampling == "balanced" and self.plan.squares is not None

    def _labels(self, piece: int, block: Block) -> LabelArray:
        """Return what a network learns of a block: the labels of its pixels or of its squares."""
        labels = self.pieces[piece].read_labels(block)
        return labels if self.plan.squares is None else self.plan.squares.ids(labels)

    def _anywhere(self, rng: np.random.Generator, index: int) -> tuple[int, Block]:
        """Return a block drawn evenly from a piece drawn by its area."""
        return self._block_of(int(np.searchsorted(self._area_bounds, rng.random(), side="right")), rng)

    def _block_of(self, piece: int, rng: np.random.Generator) -> tuple[int, Block]:
        """Return a piece and a block drawn evenly from it."""
        height, width = self.pieces[piece].shape
        side = self.plan.patch_px
        row, col = rng.integers(height - side + 1), rng.integers(width - side + 1)
        return piece, Block(int(row), int(col), side, side)

    def _draw_class(self, rng: np.random.Generator, index: int) -> int | None:
        """Return one of the classes that patch ``index`` may be drawn around, all alike; None without any."""
        return int(rng.integers(len(self._positions)))

    def _near_class(self, rng: np.random.Generator, index: int, class_id: int | None = None) -> tuple[int, Block]:
        """Return a block, drawn evenly, around a pixel drawn evenly from a class, by default one drawn evenly."""
        positions = self._positions[int(rng.integers(len(self._positions))) if class_id is None else class_id]
        piece, row, col = positions[int(rng.integers(len(positions)))].tolist()
        return piece, self._block_around(piece, row, col, rng)

    def _block_around(self, piece: int, row: int, col: int, rng: np.random.Generator) -> Block:
        """Return a block of a piece, drawn evenly, that has a pixel."""
        height, width = self.pieces[piece].shape
        side, squares = self.plan.patch_px, self.plan.squares
        if squares is not None:  # the pixel in the middle of one of the patch's squares
            top, left = rng.integers(side // squares.side_px, size=2) * squares.side_px + squares.side_px // 2
            row, col = np.clip(row - top, 0, height - side), np.clip(col - left, 0, width - side)
            return Block(int(row), int(col), side, side)
        top = rng.integers(max(0, row - side + 1), min(row, height - side) + 1)
        left = rng.integers(max(0, col - side + 1), min(col, width - side) + 1)
        return Block(int(top), int(left), side, side)

    def _positions_of(self, class_id: int) -> NDArray[np.int32]:
        """Return (piece, row, col) of the class's pixels, or of ``POSITIONS_PER_CLASS`` drawn evenly."""
        total = int(self.class_counts[class_id])
        if total <= POSITIONS_PER_CLASS:
            chosen = np.arange(total)
        else:
            rng = np.random.default_rng([self.plan.seed, class_id])
            chosen = np.sort(rng.integers(total, size=POSITIONS_PER_CLASS))
        return places_of_class(self.pieces, class_id, chosen)


def places_of_class(
    pieces: Sequence[PatchSource], class_id: int, chosen: NDArray[np.signedinteger[Any]]
) -> NDArray[np.int32]:
    """Return (piece, row, col) of pixels of a class, by ascending numbers counted piece by piece and row by row."""
    found, passed = [], 0
    for number, piece in enumerate(pieces):
        for strip, labels in label_strips(piece):
            hits = np.flatnonzero(labels == class_id)
            low, high = np.searchsorted(chosen, (passed, passed + hits.size))
            rows, cols = np.divmod(hits[chosen[low:high] - passed], strip.width)
            found.append(np.stack([np.full_like(rows, number), rows + strip.row, cols], axis=1).astype(np.int32))
            passed += hits.size
    return np.concatenate(found)


def class_weights(counts: CountArray, kind: Weighting) -> FloatArray | None:
    """Return a weight for each class's pixels in the loss, float32 (class,), or None for "none".

    "inverse" is proportional to 1 / count, so that every class counts alike; "inverse-sqrt" to 1 / sqrt(count), kinder
    to rare classes with noisy labels. The mean weight over all labelled pixels is 1.

    Raises:
        TrainingError: If the kind is unknown or a class has no pixel.
    """
    if kind == "none":
        return None
    powers = {"inverse": 1.0, "inverse-sqrt": 0.5}
    if kind not in powers or counts.min() < 1:
        raise TrainingError(
            f"Class weights {kind!r} of counts {counts.tolist()}.",
            expected="'none', 'inverse' or 'inverse-sqrt', and counts of 1 or more",
        )
    raw: DoubleArray = counts.astype(np.float64) ** -powers[kind]
    weights: FloatArray = (raw * counts.sum() / (raw * counts).sum()).astype(np.float32)
    return weights


def _turned(array: NDArray[Any], turns: int) -> NDArray[Any]:
    """Return a view of (…, row, col), flipped or rotated in one of the 8 ways of a square; 0 leaves it."""
    turned = np.rot90(array, turns % 4, axes=(-2, -1))
    return turned[..., ::-1] if turns >= 4 else turned


def check_patch(shape: tuple[int, int], patch_px: int, stride_px: int = 1) -> None:
    """Raise TrainingError if a piece (height, width) is smaller than a patch."""
    if min(shape) < patch_px:
        largest = min(shape) // stride_px * stride_px
        smaller = f"set patch_px to {largest} or less" if largest else "choose smaller squares with square_px"
        raise TrainingError(
            f"A training area of {shape[0]} x {shape[1]} pixels is smaller than a patch of {patch_px} pixels.",
            expected=f"an area of at least {patch_px} x {patch_px} pixels",
            remedy=f"enlarge the area, or {smaller}",
        )


def _check_pieces(pieces: tuple[PatchSource, ...], plan: PatchPlan) -> None:
    """Refuse pieces no patch can be drawn from, and pieces that are not alike."""
    if not pieces:
        raise TrainingError("There is no training area.", expected="at least one piece")
    for piece in pieces:
        check_patch(piece.shape, plan.patch_px, plan.stride_px)
    kinds = {(piece.bands, piece.score_classes) for piece in pieces}
    if len(kinds) > 1:
        raise TrainingError(
            f"The training areas differ: (bands, classes of scores) {sorted(kinds, key=str)}.",
            expected="the same bands everywhere, and scores everywhere or nowhere",
        )
