"""The few numbers of refiners written by hand, fitted on the piece of ground that a learned refiner learns from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from crispmap.errors import GridError, InputError, LabelError
from crispmap.evaluate.recalibration import fit_biases
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix
from crispmap.raster.scene import cut_reflected
from crispmap.refine.crf.refiner import CrfRefiner
from crispmap.refine.hand_written import HandWrittenRefiner
from crispmap.refine.pde.refiner import PDES, PdeRefiner
from crispmap.training.search import Found, Point, Range, pattern_search
from crispmap.types import IGNORE, FloatArray, LabelArray

CRF_RANGES = {
    "appearance": Range(20.0, 0.05, 1000.0),
    "theta_beta": Range(0.5, 0.03, 10.0),
    "theta_alpha_px": Range(5.0, 1.0, 8.0),
    "smoothness": Range(1.0, 0.05, 1000.0),
    "theta_gamma_px": Range(1.5, 0.5, 6.0),
}
"""Where the numbers of a CRF are looked for: theta_alpha starts low and ends soon, as time grows with its square."""
EDGE_RANGES = {"kappa": Range(0.1, 0.003, 10.0), "sigma_px": Range(1.0, 0.4, 4.0)}
"""Where the numbers of the equations that look at edges are looked for."""
CRF_TRIES, PDE_TRIES = 30, 15
MOST_PX = 150_000
"""Labelled pixels of the tiles that are tried on; of more ground a random part is taken."""
_CRF_TILE_PX = 192
_PDE_TILE_PX = 384
"""The larger, as 200 time steps need as wide a margin."""
_PDE_STEPS, _PDE_SUBSTEPS = 20, 10


@dataclass(frozen=True)
class FitRecord:
    """What a fit did, as plain values for a model card's provenance.

    Attributes:
        parameters: The numbers chosen, of an equation the steps too.
        biases: The class biases chosen.
        mean_iou: Mean IoU with them, 0..1, on the tiles that were tried on.
        unrefined_mean_iou: There too, of the scores plus the biases, without a step.
        tries: Every point tried, with its mean IoU.
        complete: Whether the search came to its end, and not to the most tries allowed.
        labelled_px: Labelled pixels tried on.
        seed: Of the choice of tiles and the fit of the biases.
        seconds: How long it took.
    """

    parameters: dict[str, float]
    biases: list[float]
    mean_iou: float
    unrefined_mean_iou: float
    tries: list[tuple[Point, float]]
    complete: bool
    labelled_px: int
    seed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return asdict(self)


def fit_crf(
    scores: FloatArray,
    image: FloatArray,
    labels: LabelArray,
    *,
    steps: int = 5,
    balance: bool = True,
    most_tries: int = CRF_TRIES,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[CrfRefiner, FitRecord]:
    """Return the dense CRF whose map of a piece of ground has the best mean IoU among those tried, and what was tried.

    The same input and seed give the same refiner. A search takes about as long as ``most_tries`` refinements of
    ``MOST_PX`` pixels.

    Args:
        scores: Coarse scores (class, row, col) float32, logits, 0 where invalid.
        image: Scaled image (band, row, col) float32, 0 where invalid.
        labels: Class ids (row, col) uint8, 255 where unknown or invalid.
        steps: Mean-field iterations.
        balance: Fit class biases to the coarse scores first, as for the re-thresholded map, and build them in: a
            refiner without them cannot mend what the coarse network has out of balance.
        most_tries: Most parameters tried, 1 or more.
        seed: Chooses the tiles that are tried on where there are more than ``MOST_PX`` labelled pixels.
        device: Where PyTorch computes, "cpu" or "cuda".

    Raises:
        GridError: If the shapes do not fit together.
        InputError: If a score or a value of the image is not finite, or ``most_tries`` is below 1.
        LabelError: If nothing is labelled, a label is no class, or, to balance, a class has no pixel.
    """
    begun = time.perf_counter()
    piece = _Piece(scores, image, labels, seed, device, _CRF_TILE_PX)
    biases = _start_biases(scores, labels, balance, seed)

    def build(point: Point) -> CrfRefiner:
        return CrfRefiner(len(scores), len(image), steps, biases=biases, **point)

    found = _searched(lambda point: piece.curve(build(point))[-1], CRF_RANGES, most_tries)
    refiner = build(found.best)
    return refiner, _record(piece, refiner, found.best, found, begun, seed)


def fit_pde(
    equation: str,
    scores: FloatArray,
    image: FloatArray,
    labels: LabelArray,
    *,
    balance: bool = True,
    most_tries: int = PDE_TRIES,
    seed: int = 0,
    device: str = "cpu",
) -> tuple[PdeRefiner, FitRecord]:
    """Return the equation's refiner whose map of a piece of ground has the best mean IoU among those tried.

    How long scores evolve is read off one run: it has 20 steps of 2.5 px^2, and of every run the best step counts.
    Where no step is better than none, one step remains. The biases are fitted to the coarse scores first, and once more
    to the evolved ones: adding them commutes with all of these equations.

    Args:
        equation: "heat", "edge-stopped", "anisotropic" or "geodesic".
        scores: As for ``fit_crf``.
        image: As for ``fit_crf``.
        labels: As for ``fit_crf``.
        balance: As for ``fit_crf``.
        most_tries: Most parameters tried, 1 or more.
        seed: As for ``fit_crf``.
        device: As for ``fit_crf``.

    Raises:
        InputError: If there is no such equation; and as ``fit_crf`` does, with the other errors.
    """
    if equation not in PDES:
        raise InputError(f"There is no equation {equation!r}.", expected=f"one of {', '.join(PDES)}")
    begun = time.perf_counter()
    piece = _Piece(scores, image, labels, seed, device, _PDE_TILE_PX)
    biases = _start_biases(scores, labels, balance, seed)

    def build(point: Point) -> PdeRefiner:
        return PDES[equation](len(scores), len(image), _PDE_STEPS, _PDE_SUBSTEPS, biases=biases, **point)

    ranges = {} if equation == "heat" else EDGE_RANGES
    found = _searched(lambda point: max(piece.curve(build(point))[1:]), ranges, most_tries)
    longest = build(found.best)
    refiner = longest.but(steps=1 + int(np.argmax(piece.curve(longest)[1:])))
    if balance:
        change = fit_biases(*piece.refined(refiner), seed=seed)
        refiner = refiner.but(biases=[old + new for old, new in zip(biases, change.tolist(), strict=True)])
    return refiner, _record(piece, refiner, {"steps": refiner.steps, **found.best}, found, begun, seed)


class _Piece:
    """The tiles of a piece of ground that refiners are tried on."""

    def __init__(
        self, scores: FloatArray, image: FloatArray, labels: LabelArray, seed: int, device: str, tile_px: int
    ) -> None:
        _check_arrays(scores, image, labels)
        self._scores, self._image, self._labels = scores, image, labels
        self._device = torch.device(device)
        self._names = [str(index) for index in range(len(scores))]
        self._tiles = _chosen_tiles(labels, tile_px, np.random.default_rng(seed))
        self.labelled_px = sum(int((labels[tile.slices] != IGNORE).sum()) for tile in self._tiles)

    def curve(self, refiner: HandWrittenRefiner) -> list[float]:
        """Return the mean IoU of the map after every step; after none, of the scores plus the biases."""
        counts = [ConfusionMatrix(self._names) for _ in range(refiner.steps + 1)]
        for tile in self._tiles:
            for count, step in zip(counts, self._steps(refiner, tile), strict=True):
                count.update(step.argmax(1)[0].to(torch.uint8).cpu().numpy(), self._labels[tile.slices])
        return [count.mean_iou for count in counts]

    def refined(self, refiner: HandWrittenRefiner) -> tuple[FloatArray, LabelArray]:
        """Return the refined scores (class, pixel) of all tiles, and the labels (pixel)."""
        scores = [self._steps(refiner, tile)[-1][0].flatten(1).cpu().numpy() for tile in self._tiles]
        labels = [self._labels[tile.slices].ravel() for tile in self._tiles]
        return np.concatenate(scores, axis=1), np.concatenate(labels)

    @torch.inference_mode()
    def _steps(self, refiner: HandWrittenRefiner, tile: Block) -> list[torch.Tensor]:
        window = tile.padded(refiner.margin_px)
        scores, image = (
            torch.from_numpy(np.ascontiguousarray(cut_reflected(one, window)))[None].to(self._device)
            for one in (self._scores, self._image)
        )
        first, *later = refiner.all_steps(scores, image)
        return [refiner.biased(first), *later]


def _check_arrays(scores: FloatArray, image: FloatArray, labels: LabelArray) -> None:
    if not scores.shape[1:] == image.shape[1:] == labels.shape:
        raise GridError(
            f"Scores have shape {scores.shape}, the image {image.shape}, labels {labels.shape}.",
            expected="(class, row, col), (band, row, col) and (row, col) of one piece of ground",
        )
    if not (np.isfinite(scores).all() and np.isfinite(image).all()):
        raise InputError(
            "A score or a value of the image is infinite or not a number.",
            expected="finite values, 0 where invalid",
            remedy="set invalid pixels to 0, and their labels to 255",
        )
    if not (labels != IGNORE).any():
        raise LabelError("The piece holds no labelled pixel.", expected="labels to fit a refiner to")


def _chosen_tiles(labels: LabelArray, tile_px: int, rng: np.random.Generator) -> list[Block]:
    """Return tiles in a random order: as many as hold ``MOST_PX`` labels, and any that adds a class."""
    chosen: list[Block] = []
    seen, pixels = {IGNORE}, 0
    tiles = list(Block(0, 0, *labels.shape).pieces(tile_px))
    for index in rng.permutation(len(tiles)):
        known = labels[tiles[index].slices]
        classes = set(np.unique(known).tolist())
        if classes != {IGNORE} and (pixels < MOST_PX or not classes <= seen):
            chosen.append(tiles[index])
            pixels += int((known != IGNORE).sum())
            seen |= classes
    return chosen


def _start_biases(scores: FloatArray, labels: LabelArray, balance: bool, seed: int) -> list[float]:
    if not balance:
        return [0.0] * len(scores)
    biases: list[float] = fit_biases(scores, labels, seed=seed).tolist()
    return biases


def _searched(value: Callable[[Point], float], ranges: Mapping[str, Range], most_tries: int) -> Found:
    if most_tries < 1:
        raise InputError(f"{most_tries} parameters are to be tried.", expected="1 or more")
    return pattern_search(ranges, value, most=most_tries)


def _record(
    piece: _Piece, refiner: HandWrittenRefiner, parameters: Point, found: Found, begun: float, seed: int
) -> FitRecord:
    curve = piece.curve(refiner)
    return FitRecord(
        parameters=dict(parameters),
        biases=refiner.biases,
        mean_iou=curve[-1],
        unrefined_mean_iou=curve[0],
        tries=[(dict(point), value) for point, value in found.tried],
        complete=found.complete,
        labelled_px=piece.labelled_px,
        seed=seed,
        seconds=round(time.perf_counter() - begun, 1),
    )
