"""What the values of a scene and the shares of classes are like, and whether those of another scene are far from it.

Statistics are of a sample of windows that is bounded and always the same for a scene, so that they cost seconds on any.
The bounds, and what they say of real scenes, are in decision 0037.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.data.patches import PatchSource, label_strips
from crispmap.geo.grid import Block
from crispmap.types import IGNORE, CountArray, DoubleArray

if TYPE_CHECKING:
    from crispmap.evaluation.readers import LabelSource
    from crispmap.raster.scene import SceneReader

PERCENTILES = (1, 25, 50, 75, 99)
MOST_BEYOND = 0.1  # how far the median may lie beyond the values learned on, as a share of their spread
MOST_SPREAD = 10.0  # how much wider, or narrower, values may spread than those learned on
MOST_ODDS = 10.0  # ratio of the odds of a class in a map and in the labels learned on, or the reverse
LEAST_SHARE = 0.05  # classes that are rarer both in the map and in the labels are not judged
_WINDOWS, _WINDOW_PX = 32, 128

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SceneStatistics:
    """The values of a scene, in its own units."""

    mean: DoubleArray  # (band,)
    deviation: DoubleArray  # (band,) standard deviation
    percentiles: DoubleArray  # (band, of PERCENTILES)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for a model card."""
        return {
            "mean": _rounded(self.mean), "std": _rounded(self.deviation),
            **{f"p{share}": _rounded(self.percentiles[:, index]) for index, share in enumerate(PERCENTILES)},
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entries: Any) -> SceneStatistics | None:
        """Return what ``to_dict`` wrote; None of anything else, as in cards that are older."""
        if not isinstance(entries, Mapping):
            return None
        try:
            names = ("mean", "std", *(f"p{share}" for share in PERCENTILES))
            columns = np.array([entries[name] for name in names], np.float64)
        except (KeyError, TypeError, ValueError):
            return None
        if columns.ndim != 2 or not np.isfinite(columns).all():
            return None
        return cls(columns[0], columns[1], columns[2:].T)


def measure_statistics(areas: Sequence[tuple[SceneReader, Block]]) -> SceneStatistics | None:
    """Return the statistics of the valid pixels of a sample of windows, spread over all areas; None without any."""
    found = []
    for reader, window in sample_windows(areas):
        values, valid = reader.read(window)
        found.append(values[:, valid])
    if not any(one.size for one in found):
        return None
    values = np.concatenate(found, axis=1).astype(np.float64)
    percentiles = np.asarray(np.percentile(values, PERCENTILES, axis=1).T, np.float64)
    return SceneStatistics(values.mean(axis=1), values.std(axis=1), percentiles)


def measure_moments(areas: Sequence[tuple[SceneReader, Block]]) -> tuple[DoubleArray, DoubleArray]:
    """Return mean (band,) and covariance (band, band) of the valid pixels of a sample of windows, in the scene's units.

    Without a valid pixel they are 0 and those of independent bands of deviation 1.
    """
    count, total, products = 0, np.zeros(0), np.zeros((0, 0))
    for reader, window in sample_windows(areas):
        values, valid = reader.read(window)
        pixels = values[:, valid].astype(np.float64)
        if count == 0:
            total, products = np.zeros(len(pixels)), np.zeros((len(pixels), len(pixels)))
            origin = pixels.mean(axis=1) if pixels.size else total  # near the mean: no digit is lost in differences
        pixels -= origin[:, None]
        count, total, products = count + pixels.shape[1], total + pixels.sum(axis=1), products + pixels @ pixels.T
    if count == 0:
        return total, np.eye(len(total))
    mean = total / count
    return origin + mean, products / count - np.outer(mean, mean)


def strangeness(found: SceneStatistics, learned: SceneStatistics, names: Sequence[str]) -> list[str]:
    """Return in what a scene is far from another that was learned on, a phrase for each such band.

    A band is far if its median lies beyond 98 % of the values learned on, by ``MOST_BEYOND`` of their spread, or if its
    values spread ``MOST_SPREAD`` times as wide, or the reverse.
    """
    if found.mean.shape != learned.mean.shape:
        return []
    phrases = []
    for name, own, other in zip(names, found.percentiles, learned.percentiles, strict=True):
        (low, _, median, _, high), (first, *_, last) = own, other
        spread, known = high - low, last - first
        beyond = max(first - median, median - last) > MOST_BEYOND * known
        if beyond or spread > MOST_SPREAD * known or known > MOST_SPREAD * spread:
            phrases.append(
                f"{name} is {low:.4g} to {high:.4g} with a median of {median:.4g}, learned on {first:.4g} to {last:.4g}"
            )
    return phrases


def class_shares(sources: Sequence[PatchSource], schema: ClassSchema) -> dict[str, float]:
    """Return the share of each class among the labelled pixels of training data; empty without a label."""
    pixels = np.zeros(IGNORE + 1, np.int64)
    for source in sources:
        for _, labels in label_strips(source):
            pixels += np.bincount(labels.ravel(), minlength=IGNORE + 1)
    return shares_of(pixels, schema)


def sampled_shares(labels: LabelSource, whole: Block, schema: ClassSchema) -> dict[str, float]:
    """Return the share of each class in a sample of windows of a map; empty where no pixel has a class."""
    pixels = np.zeros(IGNORE + 1, np.int64)
    for source, window in sample_windows([(labels, whole)]):
        pixels += np.bincount(source.read(window).ravel(), minlength=IGNORE + 1)
    return shares_of(pixels, schema)


def shares_of(pixels: CountArray, schema: ClassSchema) -> dict[str, float]:
    """Return the share of each class from pixels of each id."""
    counts = pixels[: len(schema)]
    total = int(counts.sum())
    return {name: round(float(one) / total, 6) for name, one in zip(schema.names, counts, strict=True)} if total else {}


def strange_shares(found: Mapping[str, float], learned: Any) -> list[str]:
    """Return the classes of which a map has far more or far less than the labels learned on, a phrase for each.

    That is where the odds of a class differ by ``MOST_ODDS`` or more, and it makes ``LEAST_SHARE`` of either. Shares
    that are not known, as in cards that are older, are not judged.
    """
    if not isinstance(learned, Mapping):
        return []
    phrases = []
    for name, share in found.items():
        known = learned.get(name)
        if not isinstance(known, float | int) or not 0 <= known <= 1 or max(share, known) < LEAST_SHARE:
            continue
        least, most = sorted((share, known))
        if most * (1 - least) >= MOST_ODDS * least * (1 - most):
            phrases.append(f"{100 * share:.3g} % is {name}, in the labels learned on {100 * known:.3g} %")
    return phrases


def sample_windows(areas: Sequence[tuple[T, Block]]) -> list[tuple[T, Block]]:
    """Return windows of the blocks: all, or some that are drawn once and for all."""
    windows = [(source, window) for source, block in areas for window in block.pieces(_WINDOW_PX)]
    if len(windows) <= _WINDOWS:
        return windows
    chosen = np.random.default_rng(0).choice(len(windows), _WINDOWS, replace=False)
    return [windows[index] for index in sorted(chosen)]


def _rounded(values: DoubleArray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
