"""The maps of a scene of a project on its test areas: as they are, step by step, and as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from crispmap.evaluation.intervals import block_side_px, count_by_block
from crispmap.evaluation.readers import LabelSource
from crispmap.evaluation.recalibration import BiasedLabels
from crispmap.geo.grid import Block
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.mask import open_labels
from crispmap.labels.squares import squares_of_map
from crispmap.models.model import RefinerModel
from crispmap.project.inputs import SceneInputs
from crispmap.project.run import COARSE, FINETUNED, REFINED, SceneMaps
from crispmap.project.scored import ScoredScene, in_parts, probabilities
from crispmap.raster.scores import open_scores
from crispmap.report.pages.page_pictures import OVERVIEW_SIDE_PX, STRIP_SIDE_PX, step_names
from crispmap.report.pictures.photos import every_nth, thinning
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Overview, Strip
from crispmap.types import CountArray, FloatArray, LabelArray

RETHRESHOLDED = "re-thresholded coarse map"
_SHOWN = {COARSE: "coarse", FINETUNED: "fine-tuned", REFINED: "refined"}


@dataclass(frozen=True)
class Recalibrated:
    """What the maps of a project are recalibrated and refined with."""

    biases: Sequence[float]  # of the re-thresholded map; empty where there is none
    refiner: RefinerModel | None
    stack: ExitStack  # closes what is opened
    coarse_gsd_m: float  # pixel size the coarse network works at; 0 where scores are given


class ScoredMaps(ScoredScene):
    """A scene's test areas with the maps that are compared on them, and the map after every iteration."""

    def __init__(self, inputs: SceneInputs, files: SceneMaps, names: Sequence[str], recalibrated: Recalibrated) -> None:
        self.schema, stack, refiner = inputs.schema, recalibrated.stack, recalibrated.refiner
        squares = squares_of_map(files.coarse_map) if refiner is None else None
        super().__init__(inputs, None if squares is None else (squares, recalibrated.coarse_gsd_m))
        self.maps: dict[str, LabelSource] = {}
        self.scores = {
            name: stack.enter_context(open_scores(files.scores[name], kind="logit"))
            for name in names
            if name != REFINED
        }
        for name in names:
            self.maps[name] = open_labels(files.files[name], self.schema, self.grid)
            if name == COARSE and recalibrated.biases:
                self.maps[RETHRESHOLDED] = BiasedLabels(self.scores[COARSE], np.asarray(recalibrated.biases))
        *_, self._last = self.scores.items()
        self.steps = None if refiner is None else IterationMaps(self.image, self._last[1], refiner)
        if refiner is not None and files.refined_scores.exists():
            self._last = REFINED, stack.enter_context(open_scores(files.refined_scores, kind="logit"))

    def compared(self, block: Block) -> tuple[LabelArray, LabelArray, LabelArray]:
        """Return reference, coarse and final map of a block."""
        *_, final = self.maps.values()
        return self.reference.read(block), self.maps[COARSE].read(block), final.read(block)

    def step_by_step(self, block: Block) -> list[tuple[str, FloatArray, LabelArray]]:
        """Return name, scores and class ids of a block from the coarse map to the final one."""
        found = [(_SHOWN[name], one.read(block)[0], self.maps[name].read(block)) for name, one in self.scores.items()]
        if self.steps is None:
            return found
        (_, *steps), (_, *names) = self.steps.over(block), step_names(self.steps.count)
        return [*found, *((name, *step) for name, step in zip(names, steps, strict=True))]

    def strip(self, title: str) -> Strip:
        """Return the whole test ground, thinned: every network's map, and the probability of each class by the last."""
        n = thinning(self.box.shape, STRIP_SIDE_PX)
        sources = {"reference": self.reference} | {
            _SHOWN[name]: self.maps[name] for name in _SHOWN if name in self.maps
        }
        maps = {name: in_parts(partial(_labels, one, n), self.box, n) for name, one in sources.items()}
        name, last = self._last
        planes = in_parts(partial(probabilities, last, n=n), self.box, n)
        by_class = dict(zip(self.schema.names, planes, strict=True))
        picture = self.thinned_picture(self.box, n)
        return Strip(title, picture, maps, {_SHOWN[name]: by_class}, Place.of(self.name, self.grid, self.box))

    def overview(self, block: Block, name: str) -> Overview:
        """Return image, reference and maps of a block of any size, thinned; ``name`` is what the place is called."""
        n = thinning(block.shape, OVERVIEW_SIDE_PX)
        reference = in_parts(partial(_labels, self.reference, n), block, n)
        maps = {shown: in_parts(partial(_labels, one, n), block, n) for shown, one in self.maps.items()}
        return Overview(self.thinned_picture(block, n), reference, maps, Place.of(name, self.grid, block))

    def counts_by_block(self, name: str) -> CountArray:
        """Return confusion counts of a map on the squares of a bootstrap, (square, reference class, class)."""
        side, area = block_side_px(self.grid.mean_gsd_m()), (self.pixels, self.box)
        return count_by_block(self.maps[name], self.reference, area, self.schema.names, side)


def _labels(source: LabelSource, n: int, block: Block) -> LabelArray:
    return every_nth(source.read(block), n)
