"""The precision of maps where it is left open: a trial on a sample of their scenes, kept for the models of a run."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from crispmap.geo.grid import Block
from crispmap.inference.engines import EngineChoice, Precision
from crispmap.inference.job import LoadedModels, OpenJob
from crispmap.inference.precision import LEAST_PIXELS, Compute, PrecisionChoice, choose_precision
from crispmap.inference.tiled import Pixels
from crispmap.inference.work import ScoreWork, StackedScores

_MOST_COST = 0.05  # pixels of a trial over those of the work
_OPENING_PX = 400_000  # pixels that are computed in the time in which an engine takes a graph in a further precision
_SAMPLE_PX = 524_288  # pixels of a sample that is large enough for any work
_SIDE_PX = 256  # side of its tiles, where a network's own would have a wide halo

_Piece = tuple[int, Block]
"""A tile of the sample: the number of its scene, and where it lies."""


def settled_precision(jobs: Sequence[OpenJob], engine: EngineChoice, pixels: int) -> str:
    """Return the precision for maps of some scenes with the same models, and why, as "float32; the scene is too small".

    It rests on device, models and scenes, not on measured times: the same run always gives the same. What a trial has
    found is kept for the models, and then holds for scenes of any size.

    Args:
        jobs: The scenes, or some of them.
        engine: What is to compute.
        pixels: Pixels of all the scenes; a trial costs at most 5 % of them.
    """
    verdicts, key = jobs[0].models.verdicts, _key(jobs[0], engine)
    kept = verdicts.get(key)
    if kept is not None:
        return kept
    if pixels * _MOST_COST < _OPENING_PX:
        return _TOO_SMALL  # and PyTorch is not loaded to ask it about the processor
    candidates = engine.faster_precisions
    if not candidates:
        return "float32; nothing else is faster on this device"
    trial = _Sample(jobs, engine, pixels)
    if not trial.works:
        why = "works at another pixel size than the scene's" if not jobs[0].models.blended else "is blended"
        return f"float32; the network {why}"
    if trial.size_px < LEAST_PIXELS:
        return _TOO_SMALL
    choice = trial.choose(candidates)
    if choice.settled:
        verdicts.put(key, choice.tag)
    return choice.tag


_TOO_SMALL = "float32; the work is too small for a trial of others to pay"


def _key(opened: OpenJob, engine: EngineChoice) -> str:
    """Return what a verdict depends on: models, how they are used, and what computes."""
    job = opened.job
    facts = [opened.models.hashes, job.models_gsd_m, job.halo_px, engine.name, engine.device]
    return json.dumps(facts, sort_keys=True)


class _Sample:
    """Tiles drawn from some scenes, ready to be computed in any precision."""

    def __init__(self, jobs: Sequence[OpenJob], engine: EngineChoice, pixels: int) -> None:
        self._engine = engine
        models = _without_halo(jobs[0].models)
        tile_px = None if models is jobs[0].models else _SIDE_PX
        self._jobs = [replace(one, models=models, job=replace(one.job, tile_px=tile_px)) for one in jobs]
        works = [one.work(engine) for one in self._jobs]
        self.works = [one for one in works if not isinstance(one, StackedScores)]  # these compute in float32 alone
        self._jobs = [one for one, work in zip(self._jobs, works, strict=True) if work in self.works]
        self._pieces = _pieces(self.works, pixels) if self.works else []
        self.size_px = sum(block.height * block.width for _, block in self._pieces)

    def choose(self, candidates: Sequence[Precision]) -> PrecisionChoice:
        """Return the choice of a trial; each tile is computed on one core, as many at a time as there are."""
        threads = self._engine.threads
        parts = [self._pieces[start : start + threads] for start in range(0, len(self._pieces), threads)]
        with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(threads) as beside:

            def open_at(precision: Precision) -> Compute:
                works = self.works
                if precision != "float32":
                    works = [one.work(replace(self._engine, precision=precision)) for one in self._jobs]

                def tile(piece: _Piece) -> Pixels | None:
                    found = works[piece[0]].compute(piece[1], pool)
                    return None if found is None else found[0]

                return lambda part: [one for one in beside.map(tile, parts[part]) if one is not None]

            return choose_precision(candidates, open_at, parts=len(parts), sample_px=self.size_px)


def _pieces(works: Sequence[ScoreWork], pixels: int) -> list[_Piece]:
    """Return tiles drawn from works, of as many of them as may be; none where one tile would cost too much.

    A tile is computed twice, in float32 and in another precision.
    """
    tile_px = (works[0].tile_px * works[0].square_px) ** 2
    affordable = max(0.0, pixels * _MOST_COST - _OPENING_PX) / 2
    count = int(min(max(_SAMPLE_PX, tile_px), affordable) // tile_px)
    draw = random.Random(0)  # noqa: S311 - places, no secrets
    chosen = sorted(draw.sample(range(len(works)), min(count, len(works))))
    pieces = []
    for number in chosen:
        side = works[number].tile_px
        whole = [block for block in works[number].grid.blocks(side) if block.shape == (side, side)]
        drawn = draw.sample(whole, min(math.ceil(count / len(chosen)), len(whole)))
        pieces += [(number, block) for block in sorted(drawn)]
    return pieces[:count]


def _without_halo(models: LoadedModels) -> LoadedModels:
    """Return the models without a wide halo: a trial is of the arithmetic, and would compute it many times."""
    coarse = models.coarse
    if coarse is None or coarse.network.halo_px == coarse.network.train_margin_px:
        return models
    return replace(models, coarse=replace(coarse, network=coarse.network.reading(0)))
