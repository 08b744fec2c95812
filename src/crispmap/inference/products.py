"""What a run may write of scores: the classes, the scores themselves, how certain they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.evaluation.recalibration import apply_biases
from crispmap.geo.grid import Grid
from crispmap.raster import spec
from crispmap.raster.spec import PROBABILITY_LEVELS, RasterSpec, ScoreEncoding
from crispmap.types import IGNORE, BoolArray, FloatArray, LabelArray

_MOST_HALF = np.nextafter(np.finfo(np.float16).max, np.float16(0)).astype(np.float32)  # one further is finite too
BIASES_TAG = "CRISPMAP_CLASS_BIASES"  # the tag of a recalibrated map with what was added to its scores, by class


class Product(Protocol):
    """Something to write of scores: small enough to be sent to another process, and its repr identifies it."""

    def spec(self, path: Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:
        """Return what its file is."""

    def encode(self, scores: FloatArray, valid: BoolArray) -> NDArray[Any]:
        """Return what its file has of a block, in the type of its spec; nodata where invalid.

        Scores (class, row, col) are logits, finite where valid, and left as they are. The result is (row, col) or
        (band, row, col).
        """


def class_map(scores: FloatArray, valid: BoolArray) -> LabelArray:
    """Return the class with the highest score, the first of equals; 255 where invalid."""
    labels, highest = np.zeros(valid.shape, np.uint8), scores[0].copy()
    for class_id in range(1, len(scores)):  # many times as fast as argmax along the first axis
        higher = scores[class_id] > highest
        np.maximum(labels, higher.view(np.uint8) * np.uint8(class_id), out=labels)
        np.maximum(highest, scores[class_id], out=highest)
    result: LabelArray = np.maximum(labels, (~valid).view(np.uint8) * np.uint8(IGNORE))
    return result


@dataclass(frozen=True)
class ClassMap:
    """The class map: uint8, the class with the highest score, the first of equals, nodata 255, colours and names."""

    def spec(self, path: Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:  # noqa: D102 - as the protocol
        return spec.class_map_spec(path, grid, schema, tags)

    def encode(self, scores: FloatArray, valid: BoolArray) -> LabelArray:  # noqa: D102 - as the protocol
        return class_map(scores, valid)


@dataclass(frozen=True)
class RecalibratedMap(ClassMap):
    """The class map of scores with a constant added to those of each class: what recalibration alone can do."""

    biases: tuple[float, ...]

    def spec(self, path: Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:  # noqa: D102 - as the protocol
        by_class = dict(zip(schema.names, self.biases, strict=True))
        return spec.class_map_spec(path, grid, schema, {**tags, BIASES_TAG: json.dumps(by_class)})

    def encode(self, scores: FloatArray, valid: BoolArray) -> LabelArray:  # noqa: D102 - as the protocol
        return np.where(valid, apply_biases(scores, self.biases), IGNORE).astype(np.uint8)


@dataclass(frozen=True)
class Scores:
    """The scores, one band a class under its name; read back as logits by ``crispmap.raster.scores.open_scores``.

    ``float32``: the logits as they are. ``float16``: rounded to half precision, 11 significant bits, within ±65,472,
    in a float32 file whose spare bits compress away: three fifths of the size. No label changes: where the highest
    score would come out equal to one that counts before it, it gets the next higher number. ``uint8``: softmax
    probabilities rounded to steps of 1/254, which programs show as 0..1: less than a third of the size; two classes
    less than a step apart may come out equal, and what is below half a step is read as 0.2 %.

    Raises:
        InputError: If there is no such encoding.
    """

    encoding: ScoreEncoding = "float32"

    def __post_init__(self) -> None:
        if self.encoding not in get_args(ScoreEncoding):
            raise InputError(
                f"Scores cannot be stored as {self.encoding!r}.",
                expected=f"one of {', '.join(get_args(ScoreEncoding))}",
            )

    def spec(self, path: Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:  # noqa: D102 - as the protocol
        return spec.scores_spec(path, grid, schema.names, tags, self.encoding)

    def encode(self, scores: FloatArray, valid: BoolArray) -> NDArray[Any]:  # noqa: D102 - as the protocol
        if self.encoding == "uint8":
            levels = np.rint(_probabilities(scores, valid) * np.float32(PROBABILITY_LEVELS))
            return np.where(valid, levels, IGNORE).astype(np.uint8)
        known = np.where(valid, scores, np.float32(np.nan))
        return known if self.encoding == "float32" else _half_scores(known)


@dataclass(frozen=True)
class Confidence:
    """How certain the scores are, by their softmax: bands "confidence" and "entropy", both 0..1, float16.

    Confidence is the largest probability, 1/K..1 for K classes. Entropy is ``-sum p log p / log K``: 0 where one class
    is certain, 1 where all are equally likely. The network's own opinion: where it is wrong it may still be sure.
    """

    def spec(self, path: Path, grid: Grid, schema: ClassSchema, tags: Mapping[str, str]) -> RasterSpec:  # noqa: D102 - as the protocol
        return spec.confidence_spec(path, grid, len(schema), tags)

    def encode(self, scores: FloatArray, valid: BoolArray) -> NDArray[np.float16]:  # noqa: D102 - as the protocol
        from scipy import special

        shares = _probabilities(scores, valid)
        entropy = special.entr(shares).sum(axis=0) / np.float32(np.log(len(scores)))
        confidence = np.clip(np.stack([shares.max(axis=0), entropy]), 0, 1)
        return np.where(valid, confidence, np.float32(np.nan)).astype(np.float16)


def _probabilities(scores: FloatArray, valid: BoolArray) -> FloatArray:
    """Return softmax probabilities (class, row, col); of equal scores where invalid."""
    from scipy import special

    shares: FloatArray = special.softmax(np.where(valid, scores, np.float32(0)), axis=0)
    return shares


def _half_scores(scores: FloatArray) -> NDArray[np.float16]:
    """Return scores in half precision whose highest is of the same class, the first of equals; NaN stays."""
    half = np.clip(scores, -_MOST_HALF, _MOST_HALF).astype(np.float16)
    known = half.astype(np.float32)
    # Rounding turns no order round, but makes ties.
    rows, cols = np.nonzero(np.count_nonzero(known == known.max(axis=0), axis=0) > 1)
    highest = scores[:, rows, cols].argmax(axis=0)
    lost = known[:, rows, cols].argmax(axis=0) != highest
    raised = highest[lost], rows[lost], cols[lost]
    half[raised] = np.nextafter(half[raised], np.float16(np.inf))
    return half
