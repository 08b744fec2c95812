"""The seam check: does a map depend on how its scene was cut?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from crispmap.geo.grid import Block
from crispmap.inference.job import MapJob
from crispmap.inference.work import ScoreWork
from crispmap.types import BoolArray, FloatArray

_TRIES = 8
"""Places tried for a window before ground without a valid pixel is taken as checked."""


@dataclass(frozen=True)
class SeamCheck:
    """What a seam check has found.

    Attributes:
        windows: Windows predicted again.
        pixels: Their valid pixels.
        difference: The largest difference of a score.
        changed: Pixels whose class changed.
    """

    windows: int
    pixels: int
    difference: float
    changed: int

    @property
    def text(self) -> str:
        """The finding in words, as the map's tags carry it."""
        return (
            f"{self.windows} windows cut elsewhere, {self.pixels} pixels: largest difference of a score "
            f"{self.difference:.3g}, {self.changed} labels changed"
        )


def check_seams(job: MapJob, work: ScoreWork, windows: int, *, seed: int = 0) -> SeamCheck:
    """Return how scores differ where random windows are predicted on tiles that lie elsewhere.

    The windows are as large as a tile and placed at random, so that the map's seams cross most of them; the other
    tiles lie half a tile off, on the network's stride grid.

    Args:
        job: The job.
        work: The job, opened.
        windows: How many windows.
        seed: Places the windows.
    """
    random = np.random.default_rng(seed)
    found = SeamCheck(0, 0, 0.0, 0)
    with replace(job, shifted=True).opened() as other, ThreadPoolExecutor(job.engine.threads) as pool:
        for _ in range(windows):
            for _ in range(_TRIES):
                block = _random_block(random, work)
                here, there = work.compute(block, pool), other.compute(block, pool)
                if here is not None and there is not None:
                    (scores, valid), (others, _) = here[0], there[0]
                    found = _with(found, scores, others, valid)
                    break
    return found


def _random_block(random: np.random.Generator, work: ScoreWork) -> Block:
    height, width = (min(work.tile_px, side) for side in work.grid.shape)
    row = int(random.integers(work.grid.height - height + 1))
    col = int(random.integers(work.grid.width - width + 1))
    return Block(row, col, height, width)


def _with(found: SeamCheck, scores: FloatArray, others: FloatArray, valid: BoolArray) -> SeamCheck:
    """Return the findings with one window more."""
    difference = np.abs(scores - others)[:, valid].max(initial=0.0)
    changed = (scores.argmax(axis=0) != others.argmax(axis=0)) & valid
    return SeamCheck(
        found.windows + 1,
        found.pixels + int(valid.sum()),
        max(found.difference, float(difference)),
        found.changed + int(changed.sum()),
    )
