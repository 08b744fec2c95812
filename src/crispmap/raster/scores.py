"""Rasters of scores from any tool, read as the logits crispmap works with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from crispmap.errors import SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.files import FileScene
from crispmap.raster.scene import Scene
from crispmap.raster.spec import CLASSES_TAG, CONFIDENCE_TAG, PROBABILITY, PROBABILITY_LEVELS, SCORES_TAG
from crispmap.types import BoolArray, FloatArray

ScoreKind: TypeAlias = Literal["auto", "logit", "probability"]

_CLIP = 1e-4  # probabilities of float rasters are kept this far from 0 and 1: |z| <= 9.2
_SLACK = 1e-3  # how far outside 0..1 a float probability may lie by rounding or compression
_SUM_SLACK = 0.02
_SAMPLE_PX = 256
_SAMPLE_BLOCKS = 64
_FULL_SCALES = {"uint8": (255.0,), "uint16": (10_000.0, 65_535.0), "int16": (10_000.0, 32_767.0)}
_SUMS = (100.0, 255.0, 1000.0, 10_000.0, 32_767.0, 65_535.0)
"""What the classes of a pixel may sum to besides 1: percent, bytes, per mille, sits and others, 16 bits."""
_FARTHEST = 1000.0  # logits of no network are farther from 0; nodata values are
_LEAST_SHARE = 0.1  # of full scale, which the largest of 16-bit values must reach to be taken for probabilities of it
_MOST_ID = 20.0  # where the largest of 8-bit values is as small, they may be ids of a class map by another tool
_PERCENT = 50.0, 100.0  # where the largest of 8-bit values lies, they may be percent of a class that is somewhere
_REMEDY = (
    "Say what they are: kind=logit or kind=probability, or full_scale= with the value of probability 1, such as "
    "full_scale=100 for percent."
)
_NODATA = " If pixels without data hold such a value, declare it (gdal_edit.py -a_nodata)."


def open_scores(
    path: str | Path,
    *,
    kind: ScoreKind = "auto",
    class_names: Sequence[str] | None = None,
    assume_gsd_m: float | None = None,
    full_scale: float | None = None,
) -> ScoreScene:
    """Open a raster of scores or probabilities as a scene whose bands are the logits of the classes.

    One band is the class 1 of two: probability p gives ``(-z/2, +z/2)`` with ``z = log(p / (1 - p))``, a logit z the
    same. K bands of probabilities give ``log p`` less its mean over the classes; K bands of logits stay as they are.
    Probabilities are clipped to [1e-4, 1 - 1e-4] in float rasters, and to half a level from 0 and 1 in integer ones.
    Invalid pixels (see ``FileScene``; an alpha band is no class) have score 0 in every class.

    ``kind="auto"`` reads the tag of crispmap's own score rasters: logits, or probabilities with 1 stored as 254. For
    others it decides on a sample of up to 64 windows of 256 x 256 pixels spread over the raster; what can be read in
    two ways is refused:

    - K bands, none negative, that sum to one number in every pixel (to 2 %) are probabilities with 1 stored as it: 1,
      100 for percent, 255, 1000, 10,000 as of sits, 32,767 or 65,535. Integers of other sums are an image, floats
      within [0, 1] of other sums could be logits, and both are refused.
    - Integers of a file that declares a scale, such as 0.0001, are probabilities once multiplied by it.
    - Other integers are probabilities, with 1 stored as ``full_scale``. By default that is 255 in uint8; in uint16 and
      int16 it is 10,000 where no sampled value is larger, else the type's maximum. Refused are 8-bit values up to 1, a
      mask, up to 20, which may be class ids, or up to between 50 and 100, which may be percent; 16-bit ones up to a
      tenth of the scale; negative ones.
    - One float band within [0, 1] is probabilities.
    - Floats of which some are negative are logits. Refused are those farther from 0 than 1000, as nodata values that
      are not declared, and those that go from 0 to above 1: percent, other scales, or an image.

    The scene's ``reading`` says what was taken.

    Args:
        class_names: Names of the K classes (2 for one band). By default the band names; for one band
            "background" and the band's name.
        full_scale: The stored value of probability 1; the values then are probabilities.

    Raises:
        SceneError: If the file cannot be read or is a class map, its kind is ambiguous, or the class names do not fit;
            on reading, if a block holds values outside the range of probabilities.

    Warns:
        GeoreferenceWarning: If the file has no georeference and ``assume_gsd_m`` is not given.
    """
    if kind not in ("auto", "logit", "probability"):
        raise SceneError(f"The kind of scores is {kind!r}.", expected="auto, logit or probability")
    if full_scale is not None and kind == "logit":
        raise SceneError(
            f"full_scale is {full_scale:g} and kind is 'logit'.",
            expected="full_scale for probabilities alone",
            remedy="Leave one of them out.",
        )
    if full_scale is not None and not 0 < full_scale < math.inf:
        raise SceneError(
            f"full_scale is {full_scale}.",
            expected="a number above 0",
            remedy="Give the value that stands for probability 1, such as 255.",
        )
    source = FileScene(path, assume_gsd_m=assume_gsd_m)
    try:
        return read_as_scores(source, source.tags, kind=kind, class_names=class_names, full_scale=full_scale)
    except BaseException:
        source.close()
        raise


def read_as_scores(
    source: Scene,
    tags: Mapping[str, str],
    *,
    kind: ScoreKind = "auto",
    class_names: Sequence[str] | None = None,
    full_scale: float | None = None,
) -> ScoreScene:
    """Return an open scene of scores or probabilities, which has tags, as ``open_scores`` does."""
    _check_scores(source, tags)
    return ScoreScene(source, _rule(source, tags.get(SCORES_TAG), kind, full_scale), class_names)


def _check_scores(source: Scene, tags: Mapping[str, str]) -> None:
    """Raise SceneError if a raster's tags say that it is not scores."""
    for tag, what in (
        (CLASSES_TAG, "is a class map, not scores"),
        (CONFIDENCE_TAG, "holds the confidence of a map, not scores"),
    ):
        if tag in tags:
            raise SceneError(
                f"{source.path} {what}.",
                expected="a raster of scores or probabilities, one band per class",
                remedy="Give the scores behind the map, such as coarse_scores.tif.",
            )


@dataclass(frozen=True)
class _Rule:
    """How stored values become logits."""

    scale: float | None  # the value of probability 1, or None where values are logits
    clip: float = _CLIP  # distance that probabilities keep from 0 and 1
    slack: float = _SLACK  # how far outside 0..1 a probability may lie
    farthest: float = math.inf  # how far from 0 logits may be


class ScoreScene(Scene):
    """A raster of scores as a scene of logits; made by ``open_scores``."""

    def __init__(self, source: Scene, rule: _Rule, class_names: Sequence[str] | None) -> None:
        self._source = source
        self._rule = rule
        self.grid: Grid = source.grid
        self.path: Path = source.path
        self.band_names = _class_names(source, class_names)

    def reading(self, names: Sequence[str] = ()) -> str:
        """Return what the values are taken for, and which band for which class, in words; by default its own names."""
        scale, names = self._rule.scale, names or self.band_names
        what = "logits" if scale is None else "probabilities" if scale == 1 else f"probabilities of 0 to {scale:,g}"
        if self._source.band_count == 1:
            return f"{what} of {names[1]}, the second of two classes"
        return f"{what}, its bands in order {', '.join(names)}"

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return the logits of one block that lies inside the grid."""
        values, valid = self._source.read(block)
        if self._rule.scale is not None:
            values = self._log_odds(values / np.float32(self._rule.scale), valid, block)
        elif max(map(abs, _range(values, valid))) > self._rule.farthest:
            raise _not_logits(self.path, *_range(values, valid))
        if len(values) == 1:
            values = np.concatenate([values / -2, values / 2])
        values[:, ~valid] = 0.0
        return values, valid

    def _log_odds(self, share: FloatArray, valid: BoolArray, block: Block) -> FloatArray:
        """Return log odds of one band, or centred log probabilities of several."""
        low, high = _range(share, valid)
        if low < -self._rule.slack or high > 1 + self._rule.slack:
            raise SceneError(
                f"{self.path} holds probabilities of {low:.4g}..{high:.4g} at rows {block.row}.."
                f"{block.row_stop - 1}, columns {block.col}..{block.col_stop - 1}, with {self._rule.scale:g} "
                "as probability 1.",
                expected="values between 0 and 1",
                remedy=_REMEDY,
            )
        share = np.clip(share, np.float32(self._rule.clip), np.float32(1 - self._rule.clip))
        logs = np.log(share)
        odds: FloatArray = logs - (np.log1p(-share) if len(share) == 1 else logs.mean(axis=0, keepdims=True))
        return odds

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _range(values: FloatArray, valid: BoolArray) -> tuple[float, float]:
    """Return the smallest and largest valid value; (0, 0) if there is none."""
    kept = values[:, valid]
    return (float(kept.min()), float(kept.max())) if kept.size else (0.0, 0.0)


def _class_names(source: Scene, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes; a number that does not fit the bands is an error."""
    count = max(2, source.band_count)
    if given is not None:
        if len(given) != count:
            raise SceneError(
                f"{len(given)} class names are given for {source.path}.",
                expected=f"{count} names: {_meaning(source)}",
                remedy="Give scores of these classes, one band per class.",
            )
        return tuple(given)
    return ("background", *source.band_names) if source.band_count == 1 else source.band_names


def _meaning(source: Scene) -> str:
    """Return what the bands stand for, for messages."""
    if source.band_count == 1:
        return "its one band scores the second of two classes"
    return f"one for each of its {source.band_count} bands"


def _rule(source: Scene, tag: str | None, kind: ScoreKind, full_scale: float | None) -> _Rule:
    """Return how the values of a raster become logits, as ``open_scores`` describes; ambiguous values are an error."""
    integers = source.dtype.kind in "iu"
    if full_scale is None and tag == PROBABILITY and kind != "logit":
        return _Rule(PROBABILITY_LEVELS, clip=0.5 / (PROBABILITY_LEVELS + 1))
    if kind == "logit" or (kind == "auto" and full_scale is None and tag == "logit"):
        return _Rule(None)
    if full_scale is None:
        sample = _sample(source)
        full_scale = _sum_of(sample)
        if full_scale is None and not integers:
            return _Rule(1.0) if kind == "probability" else _float_rule(source, sample)
        full_scale = full_scale or _integer_scale(source, sample, kind)
    return _Rule(full_scale, clip=0.5 / (full_scale + 1) if integers else _CLIP)


def _sum_of(sample: FloatArray) -> float | None:
    """Return the number, not 1, that the bands of every pixel sum to; None where there is none, or one band."""
    if len(sample) == 1 or sample.size == 0 or sample.min() < 0:
        return None
    return next((scale for scale in _SUMS if _sums_to(scale, sample)), None)


def _sample(source: Scene) -> FloatArray:
    """Return the valid pixels (band, pixel) of windows spread evenly over the raster."""
    blocks = list(source.grid.blocks(_SAMPLE_PX))
    step = max(1, -(-len(blocks) // _SAMPLE_BLOCKS))
    parts = []
    for block in blocks[step // 2 :: step]:
        image, valid = source.read(block)
        parts.append(image[:, valid])
    return np.concatenate(parts, axis=1)


def _integer_scale(source: Scene, sample: FloatArray, kind: ScoreKind) -> float:
    """Return the stored value of probability 1; ambiguous values are an error."""
    name, declared = source.dtype.name, _declared_scale(source)
    smallest, largest = float(sample.min(initial=0.0)), float(sample.max(initial=0.0))
    if declared is None and name not in _FULL_SCALES:
        raise SceneError(
            f"{source.path} holds scores as {name}.", expected="8-bit, 16-bit or float values", remedy=_REMEDY
        )
    known = _FULL_SCALES.get(name, ())
    scale = declared or next((scale for scale in known if largest <= scale), known[-1])
    if name == "uint8":
        unclear = 0 < largest <= _MOST_ID or _PERCENT[0] < largest <= _PERCENT[1]
    else:
        unclear = 0 < largest <= _LEAST_SHARE * scale
    if smallest < 0 or (unclear and declared is None):
        raise SceneError(
            f"{source.path} holds whole numbers of {smallest:g}..{largest:g}.",
            expected=f"probabilities of which the largest tells that they go from 0 to {scale:g}",
            remedy=f"{_REMEDY} Give full_scale={scale:g} where they are just small, full_scale=1 for a hard mask; "
            "class ids are no scores: give those behind the map." + (_NODATA if smallest < 0 else ""),
        )
    if kind == "auto" and not _sums_to(scale, sample):
        raise SceneError(
            f"The bands of {source.path} do not sum to {scale:g}, as probabilities would.",
            expected="a raster of probabilities or scores, not of image bands",
            remedy=_REMEDY,
        )
    return scale


def _declared_scale(source: Scene) -> float | None:
    """Return the stored value of probability 1 by the scale that a file declares for all bands, such as 0.0001."""
    declared = set(getattr(source, "scaling", ()))
    if len(declared) != 1:
        return None
    scale, offset = declared.pop()
    return float(np.round(1 / scale, 6)) if offset == 0 and 0 < scale < 1 else None


def _sums_to(scale: float, sample: FloatArray) -> bool:
    """Return whether every pixel's bands sum to the scale; true for a single band, and without pixels."""
    if len(sample) == 1 or sample.size == 0:
        return True
    rounding = 0.5 * len(sample) if scale > 1 else 0.0
    return float(np.abs(sample.sum(axis=0) - scale).max()) <= _SUM_SLACK * scale + rounding


def _float_rule(source: Scene, sample: FloatArray) -> _Rule:
    """Return the rule for real values."""
    if sample.size == 0:
        return _Rule(None, farthest=_FARTHEST)
    low, high = float(sample.min()), float(sample.max())
    if max(-low, high) > _FARTHEST or (low >= -_SLACK and high > 1 + _SLACK):
        raise _not_logits(source.path, low, high)
    if low < -_SLACK:
        return _Rule(None, farthest=_FARTHEST)
    if _sums_to(1.0, sample):
        return _Rule(1.0)
    raise SceneError(
        f"The bands of {source.path} lie within 0..1 but do not sum to 1.",
        expected="probabilities that sum to 1, or logits that leave 0..1",
        remedy=_REMEDY,
    )


def _not_logits(path: Path, low: float, high: float) -> SceneError:
    """Return the error for real values that are neither probabilities of 0 to 1 nor logits."""
    far = max(-low, high) > _FARTHEST
    return SceneError(
        f"{path} holds values of {low:.6g}..{high:.6g}.",
        expected=f"probabilities of 0..1, or logits of both signs within {_FARTHEST:g} of 0",
        remedy=_REMEDY + (_NODATA if far else ""),
    )
