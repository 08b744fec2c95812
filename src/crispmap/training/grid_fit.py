"""The few numbers of refiners written by hand, fitted on the data that a learned refiner is trained on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch

from crispmap.classes import ClassSchema
from crispmap.data.patches import PatchSource, label_strips
from crispmap.data.scaling import strips
from crispmap.errors import InputError, LabelError
from crispmap.evaluation.recalibration import MAX_FIT_PIXELS, fit_biases
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix
from crispmap.models.device import choose_device
from crispmap.models.settings import TrainingSettings
from crispmap.refiners.hand_written import HandWrittenRefiner
from crispmap.training.learners import Learned, Lesson, Shapes
from crispmap.training.options import TrainingRun
from crispmap.training.search import Point, pattern_search
from crispmap.types import IGNORE, CountArray, FloatArray, LabelArray

MOST_PX = 150_000  # labelled pixels of the tiles that are tried on; of larger areas a random part is taken


@dataclass(frozen=True)
class FitRecord:
    """What a fit did, as plain values for a model card's provenance."""

    parameters: dict[str, float]  # the numbers chosen, of an equation the steps too
    biases: list[float]  # the class biases chosen
    mean_iou: float  # mean IoU with them, 0..1, on the tiles that were tried on
    unrefined_mean_iou: float  # there too, of the scores plus the biases, without a step
    tries: list[tuple[Point, float]]  # every point tried, with its mean IoU
    complete: bool  # whether the search came to its end, and not to the most tries allowed
    labelled_px: int  # labelled pixels tried on
    seed: int  # of the choice of tiles and the fit of the biases
    seconds: float


def fit_refiner(
    build: Callable[..., HandWrittenRefiner],
    pieces: Sequence[PatchSource],
    *,
    balance: bool = True,
    most_tries: int | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[HandWrittenRefiner, FitRecord]:
    """Return the refiner whose map of some pieces has the best mean IoU among those tried, and what was tried.

    The same input and seed give the same refiner. Where its plan asks for it, the number of iterations is read off the
    run of each try: the best iteration counts, one where none is better than none, and the biases are fitted once more
    to the evolved scores, which commutes with all these equations.

    ``build`` returns the refiner for ``classes``, ``bands`` and its numbers. With ``balance``, class biases are fitted
    to the coarse scores first, as for the recalibrated map, and built in: a refiner without them cannot correct what
    the coarse network has out of balance. ``seed`` chooses tiles where there are over ``MOST_PX`` labelled pixels.

    Raises:
        InputError: If a piece has no scores, a value is not finite, or ``most_tries`` is below 1.
        LabelError: If nothing is labelled, a label is no class, or, to balance, a class has no pixel.
    """
    begun = time.perf_counter()
    if most_tries is not None and most_tries < 1:
        raise InputError(f"most_tries is {most_tries}.", expected="1 or more")
    classes, bands = _checked(pieces)
    plan = build(classes=classes, bands=bands).fit_plan
    tiles = _Tiles(pieces, seed, device, plan.tile_px)
    fixed = {**plan.run, "biases": tiles.start_biases(balance, seed)}

    def at(point: Point) -> HandWrittenRefiner:
        return build(classes=classes, bands=bands, **fixed, **point)

    def value(point: Point) -> float:
        curve = tiles.curve(at(point))
        return max(curve[1:]) if plan.reads_iterations else curve[-1]

    found = pattern_search(plan.ranges, value, most=plan.tries if most_tries is None else most_tries)
    refiner, parameters = at(found.best), dict(found.best)
    if plan.reads_iterations:
        refiner = refiner.but(iterations=1 + int(np.argmax(tiles.curve(refiner)[1:])))
        parameters = {"iterations": refiner.iterations, **parameters}
        if balance:
            change = fit_biases(*tiles.refined(refiner), seed=seed)
            refiner = refiner.but(biases=[old + new for old, new in zip(refiner.biases, change.tolist(), strict=True)])
    curve = tiles.curve(refiner)
    return refiner, FitRecord(
        parameters=parameters,
        biases=refiner.biases,
        mean_iou=curve[-1],
        unrefined_mean_iou=curve[0],
        tries=[(dict(point), value) for point, value in found.tried],
        complete=found.complete,
        labelled_px=tiles.labelled_px,
        seed=seed,
        seconds=round(time.perf_counter() - begun, 1),
    )


class GridFitLearner:
    """Looks for the numbers whose map has the best mean IoU on the area."""

    holds_out = False

    def check(self, settings: TrainingSettings | None, shapes: Shapes, counts: CountArray, schema: ClassSchema) -> None:
        """Accept any pieces in which every class has a pixel; see ``Learner.check``."""

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:  # noqa: D102 - as the protocol
        build = cast(Callable[..., HandWrittenRefiner], lesson.build)
        refiner, record = fit_refiner(build, lesson.pieces, seed=lesson.seed, device=str(choose_device(run.device)))
        facts = {
            "settings": asdict(record),
            "seconds": record.seconds,
            "class_biases": record.biases,
            "fitted_numbers": len(record.parameters) + len(record.biases) - 1,  # a bias for all classes but one
        }
        return Learned(refiner.eval(), record.seconds, facts)


class _Tiles:
    """The tiles of some pieces that refiners are tried on."""

    def __init__(self, pieces: Sequence[PatchSource], seed: int, device: str, tile_px: int) -> None:
        self._pieces = pieces
        self._device = torch.device(device)
        self._names = [str(index) for index in range(pieces[0].score_classes or 0)]
        self._tiles = _chosen_tiles(pieces, tile_px, np.random.default_rng(seed))
        self.labelled_px = sum(int((self._labels(*place) != IGNORE).sum()) for place in self._tiles)

    def start_biases(self, balance: bool, seed: int) -> list[float]:
        """Return biases fitted to the coarse scores of all pieces, or zeros."""
        if not balance:
            return [0.0] * len(self._names)
        biases: list[float] = fit_biases(*_labelled_scores(self._pieces, seed), seed=seed).tolist()
        return biases

    def curve(self, refiner: HandWrittenRefiner) -> list[float]:
        """Return the mean IoU of the map after every iteration; after none, of the scores plus the biases."""
        counts = [ConfusionMatrix(self._names) for _ in range(refiner.iterations + 1)]
        for piece, tile in self._tiles:
            labels = self._labels(piece, tile)
            for count, scores in zip(counts, self._iterations(refiner, piece, tile), strict=True):
                count.update(scores.argmax(1)[0].to(torch.uint8).cpu().numpy(), labels)
        return [count.mean_iou for count in counts]

    def refined(self, refiner: HandWrittenRefiner) -> tuple[FloatArray, LabelArray]:
        """Return the refined scores (class, pixel) of all tiles, and the labels (pixel)."""
        scores = [self._iterations(refiner, *place)[-1][0].flatten(1).cpu().numpy() for place in self._tiles]
        labels = [self._labels(*place).ravel() for place in self._tiles]
        return np.concatenate(scores, axis=1), np.concatenate(labels)

    def _labels(self, piece: int, tile: Block) -> LabelArray:
        return self._pieces[piece].read_labels(tile)

    @torch.inference_mode()
    def _iterations(self, refiner: HandWrittenRefiner, piece: int, tile: Block) -> list[torch.Tensor]:
        window, source = tile.padded(refiner.margin_px), self._pieces[piece]
        scores, image = (
            torch.from_numpy(np.array(read(window)))[None].to(self._device)
            for read in (source.read_scores, source.read_image)
        )
        first, *later = refiner.all_iterations(scores, image)
        return [refiner.biased(first), *later]


def _checked(pieces: Sequence[PatchSource]) -> tuple[int, int]:
    """Return the numbers of classes and bands of pieces, once it is sure that a refiner can be tried on them."""
    for piece in pieces:
        if piece.score_classes is None:
            raise InputError("A piece has no coarse scores.", expected="scores to fit a refiner to")
        for strip in strips(Block(0, 0, *piece.shape)):
            if not (np.isfinite(piece.read_scores(strip)).all() and np.isfinite(piece.read_image(strip)).all()):
                raise InputError(
                    "A score or a value of the image is infinite or not a number.",
                    expected="finite values, 0 where invalid",
                    remedy="set invalid pixels to 0, and their labels to 255",
                )
    return pieces[0].score_classes or 0, pieces[0].bands


def _labelled_scores(pieces: Sequence[PatchSource], seed: int) -> tuple[FloatArray, LabelArray]:
    """Return scores (class, pixel) and labels (pixel) where there are labels; of very many a random part."""
    total = sum(int((labels != IGNORE).sum()) for piece in pieces for _, labels in label_strips(piece))
    share, rng = MAX_FIT_PIXELS / max(total, 1), np.random.default_rng(seed)
    scores, labels = [], []
    for piece in pieces:
        for strip, ids in label_strips(piece):
            used = ids != IGNORE
            if share < 1:
                kept = rng.random(ids.shape) < share
                kept.ravel()[np.unique(ids, return_index=True)[1]] = True  # no class may be lost
                used &= kept
            scores.append(piece.read_scores(strip)[:, used])
            labels.append(ids[used])
    return np.concatenate(scores, axis=1), np.concatenate(labels)


def _chosen_tiles(pieces: Sequence[PatchSource], tile_px: int, rng: np.random.Generator) -> list[tuple[int, Block]]:
    """Return tiles (piece, block) in a random order: up to ``MOST_PX`` labels, and any that adds a class."""
    chosen: list[tuple[int, Block]] = []
    seen, pixels = {IGNORE}, 0
    tiles = [(piece, tile) for piece, one in enumerate(pieces) for tile in Block(0, 0, *one.shape).pieces(tile_px)]
    for index in rng.permutation(len(tiles)):
        piece, tile = tiles[index]
        known = pieces[piece].read_labels(tile)
        classes = set(np.unique(known).tolist())
        if classes != {IGNORE} and (pixels < MOST_PX or not classes <= seen):
            chosen.append(tiles[index])
            pixels += int((known != IGNORE).sum())
            seen |= classes
    if not chosen:
        raise LabelError("The pieces have no labelled pixel.", expected="labels to fit a refiner to")
    return chosen
