"""The seam check: does a map depend on how its scene was cut?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from crispmap.geo.grid import Block
from crispmap.inference.job import OpenJob
from crispmap.inference.work import ScoreWork

_TRIES = 8  # places tried for a window before it is given up: the scene has few valid pixels


@dataclass(frozen=True)
class SeamCheck:
    """What a seam check has found."""

    windows: int  # predicted again
    pixels: int  # valid ones
    difference: float  # the largest of a score
    changed: int  # pixels whose class changed

    @property
    def text(self) -> str:
        """The finding in words, as the map's tags carry it."""
        return (
            f"{self.windows} windows cut elsewhere, {self.pixels} pixels: largest difference of a score "
            f"{self.difference:.3g}, {self.changed} labels changed"
        )


def check_seams(opened: OpenJob, work: ScoreWork, windows: int, *, seed: int = 0) -> SeamCheck:
    """Return how a job's scores differ where random windows are predicted on other tiles.

    The windows are as large as a tile and placed at random, so that the map's seams cross most windows; the other
    tiles lie half a tile off, on the network's stride grid.
    """
    random = np.random.default_rng(seed)
    other = opened.work(shifted=True)
    found = SeamCheck(0, 0, 0.0, 0)
    with ThreadPoolExecutor(opened.job.engine.threads) as pool:
        for _ in range(windows):
            for _ in range(_TRIES):
                block = _random_block(random, work)
                here, there = work.compute(block, pool), other.compute(block, pool)
                if here is not None and there is not None:
                    (scores, valid), (others, _) = here[0], there[0]
                    difference = float(np.abs(scores - others)[:, valid].max(initial=0.0))
                    changed = int(((scores.argmax(axis=0) != others.argmax(axis=0)) & valid).sum())
                    found = SeamCheck(
                        found.windows + 1,
                        found.pixels + int(valid.sum()),
                        max(found.difference, difference),
                        found.changed + changed,
                    )
                    break
    return found


def _random_block(random: np.random.Generator, work: ScoreWork) -> Block:
    height, width = (min(work.tile_px, side) for side in work.grid.shape)
    row = int(random.integers(work.grid.height - height + 1))
    col = int(random.integers(work.grid.width - width + 1))
    return Block(row, col, height, width)
