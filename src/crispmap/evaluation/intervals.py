"""Confidence intervals of accuracy and mean IoU by block bootstrap.

Errors of neighbouring pixels are correlated, so intervals from single pixels would be far too narrow. Instead the test
area is cut into square blocks, larger than its objects, and whole blocks are drawn with replacement. Maps drawn with
the same weights are compared on the same blocks: an interval of a difference is then narrower than two separate
intervals suggest. Resamples that lack a class of the whole reference are left out.

Source: Kuensch, "The jackknife and the bootstrap for general stationary observations", 1989, with blocks that do not
overlap (Carlstein 1986), in two dimensions; percentile intervals (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from crispmap.errors import InputError
from crispmap.evaluation.readers import AreaMask, LabelSource
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix, ratio
from crispmap.types import IGNORE, CountArray, DoubleArray

RESAMPLES = 1000
LEVEL = 0.95
BLOCK_M = 64.0  # side of a block on the ground: several houses, or a road and what is beside it
LEAST_BLOCK_PX = 64
_BLOCKS_READ = 16

Figure = Callable[[CountArray], DoubleArray]
"""From confusion counts (..., reference class, predicted class) to a figure (...)."""


class Interval(NamedTuple):
    """A figure and the interval that holds it with 95 % confidence."""

    value: float  # the figure of the whole area
    low: float  # lower end; NaN where the area is one block
    high: float  # upper end, likewise


def ends_of(one: Interval) -> dict[str, float | None]:
    """Return it as plain values, safe for JSON: None where it is not defined."""
    return {name: value if math.isfinite(value) else None for name, value in one._asdict().items()}


def block_side_px(gsd_m: float) -> int:
    """Return the side of bootstrap blocks in pixels: ``BLOCK_M`` on the ground, at least ``LEAST_BLOCK_PX``."""
    return max(LEAST_BLOCK_PX, round(BLOCK_M / gsd_m))


def count_by_block(
    predicted: LabelSource,
    reference: LabelSource,
    area: tuple[AreaMask, Block],
    class_names: Sequence[str],
    side_px: int,
) -> CountArray:
    """Return confusion counts block by block, (block, reference class, predicted class) int64, row by row.

    Every block with a labelled pixel in the area counts, so that two maps against one reference have the same blocks.
    Their sum is the confusion matrix of the area.

    Args:
        area: The pixels to score, and a block that holds them all, at whose corner the bootstrap blocks start.
        side_px: Side of the bootstrap blocks.

    Raises:
        InputError: If the side is below 1.
        LabelError: If an id is no class.
    """
    if side_px < 1:
        raise InputError(f"Blocks of {side_px} pixels.", expected="a side of 1 pixel or more")
    chosen, whole = area
    found = []
    for window in whole.pieces(_BLOCKS_READ * side_px):
        mask = chosen.mask(window)
        if not mask.any():
            continue
        known = np.where(mask, reference.read(window), np.uint8(IGNORE))
        labels = predicted.read(window)
        for block in window.pieces(side_px):
            inside = block.relative_to(window).slices
            if (known[inside] != IGNORE).any():
                matrix = ConfusionMatrix(class_names)
                matrix.update(labels[inside], known[inside])
                found.append((block.row, block.col, matrix.counts))
    size = len(class_names)
    found.sort(key=lambda one: one[:2])
    return np.array([counts for _, _, counts in found], np.int64).reshape(-1, size, size)


def draw_weights(blocks: int, *, resamples: int = RESAMPLES, seed: int = 0) -> CountArray:
    """Return how often each block is drawn in each resample, (resample, block) int64.

    Compare maps with the same weights; they depend on the numbers and the seed alone.

    Raises:
        InputError: Without a block or a resample.
    """
    if blocks < 1 or resamples < 1:
        raise InputError(f"{resamples} resamples of {blocks} blocks.", expected="1 or more of each")
    weights = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=resamples)
    return np.asarray(weights, np.int64)


def overall_accuracy(counts: CountArray) -> DoubleArray:
    """Return the share of pixels that are right, (...), of counts (..., class, class); NaN without pixels."""
    return ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def mean_iou(counts: CountArray) -> DoubleArray:
    """Return mean IoU over the classes that either map has, (...), of counts (..., class, class); NaN of no pixel."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    iou = ratio(hits, counts.sum(axis=-1) + counts.sum(axis=-2) - hits)
    known = np.isfinite(iou)
    return ratio(np.where(known, iou, 0).sum(axis=-1), known.sum(axis=-1))


def interval(figure: Figure, counts: CountArray, weights: CountArray) -> Interval:
    """Return a figure of a map with its interval.

    Args:
        counts: (block, class, class), from ``count_by_block``.
        weights: (resample, block), from ``draw_weights``.

    Raises:
        InputError: If the weights are for another number of blocks.
    """
    return _interval(float(figure(counts.sum(axis=0))), _drawn(figure, counts, weights), len(counts))


def difference(figure: Figure, counts: CountArray, other: CountArray, weights: CountArray) -> Interval:
    """Return the difference of a figure between two maps, counted on the same blocks, with its interval.

    If the interval does not include 0, the choice of the area does not explain the difference.

    Raises:
        InputError: If the numbers of blocks of the maps and of the weights differ.
    """
    return _interval(*_lead(figure, counts, other, weights), len(counts))


def lead_over_runs(
    figure: Figure, pairs: Sequence[tuple[CountArray, CountArray]], weights: CountArray, *, seed: int = 0
) -> Interval:
    """Return by how much a figure is above another method's on average over runs, with its interval.

    Each resample draws blocks, the same for all runs, and runs: the interval holds what the choice of the area and what
    the luck of a training may explain. Of few runs it is somewhat too narrow, as theirs is a small sample.

    Args:
        pairs: For each run, such as the trainings of one seed, the counts (block, class, class) of both maps.
        weights: (resample, block), from ``draw_weights``.
        seed: Seed of the draws of runs.

    Raises:
        InputError: If there is no run, or the numbers of blocks differ.
    """
    if not pairs:
        raise InputError("No run.", expected="at least one pair of maps")
    values, by_run = zip(*(_lead(figure, one, other, weights) for one, other in pairs), strict=True)
    drawn = np.stack(by_run, axis=1)
    runs = np.random.default_rng(seed).multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=len(drawn))
    means = np.where(runs > 0, drawn * runs, 0.0).sum(axis=1) / len(pairs)
    return _interval(float(np.mean(values)), means, len(pairs[0][0]))


def _lead(figure: Figure, counts: CountArray, other: CountArray, weights: CountArray) -> tuple[float, DoubleArray]:
    """Return by how much a figure is above another map's: on the whole area, and in each resample (resample,)."""
    if len(counts) != len(other):
        raise InputError(f"Maps counted on {len(counts)} and {len(other)} blocks.", expected="the same blocks")
    value = float(figure(counts.sum(axis=0)) - figure(other.sum(axis=0)))
    return value, _drawn(figure, counts, weights) - _drawn(figure, other, weights)


def _drawn(figure: Figure, counts: CountArray, weights: CountArray) -> DoubleArray:
    if weights.ndim != 2 or weights.shape[1] != len(counts):
        raise InputError(f"Weights of shape {weights.shape} for {len(counts)} blocks.", expected="(resample, block)")
    drawn = np.tensordot(weights, counts, axes=1)
    # If a rare class happens not to be drawn, mean IoU would be over fewer classes: another figure.
    held = (drawn.sum(axis=-1) > 0) | (counts.sum(axis=(0, 2)) == 0)
    return np.where(held.all(axis=-1), figure(drawn), np.nan)


def _interval(value: float, drawn: DoubleArray, blocks: int) -> Interval:
    known = drawn[np.isfinite(drawn)]
    if blocks < 2 or not known.size:
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
