"""Whether a scene and its map are like what models have learned from; where they are not, a warning says so.

A network maps anything, and is no less sure of what it has never seen. What it learned from is in its card; older cards
do not have it, and no warning is given for them.
"""

from __future__ import annotations

import warnings
from contextlib import closing
from pathlib import Path

from crispmap.data.statistics import SceneStatistics, measure_statistics, sampled_shares, strange_shares, strangeness
from crispmap.errors import CrispmapWarning
from crispmap.evaluation.readers import LabelSource
from crispmap.geo.grid import Block
from crispmap.inference.coarse import gsd_ratio
from crispmap.inference.scores import ScoreModels
from crispmap.labels.mask import open_labels
from crispmap.raster.files import read_grid
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene

STATISTICS, SHARES = "scene_statistics", "label_shares"  # what a card's provenance calls what was learned from


def warn_of_strange_scene(image: Scene, models: ScoreModels) -> None:
    """Warn where the values of a scene are far from those that the first of the models has learned from.

    They are compared at the pixel size the model works at.
    """
    card = models.all[0].card if models.all else None
    learned = None if card is None else SceneStatistics.from_dict(card.provenance.get(STATISTICS))
    if card is None or learned is None:
        return
    ratio = gsd_ratio(image, card.gsd_m)
    seen = image if ratio == (1.0, 1.0) else ResampledScene(image, *ratio)
    found = measure_statistics([(seen, seen.grid.block)])
    strange = [] if found is None else strangeness(found, learned, card.band_names)
    if strange:
        warnings.warn(
            f"{image.path} is far from what the {models.all[0].title} has learned from: {'; '.join(strange)}. Its "
            f"map may be wrong throughout. Check the bands and their units, or train a model on such a scene.",
            CrispmapWarning, stacklevel=3,
        )  # fmt: skip


def warn_of_strange_map(name: str | Path, labels: LabelSource, whole: Block, models: ScoreModels) -> None:
    """Warn where the class shares of a map are far from those of the labels that the first of the models learned."""
    model = models.all[0] if models.all else None
    if model is None or SHARES not in model.card.provenance:
        return
    found = sampled_shares(labels, whole, model.classes)
    strange = strange_shares(found, model.card.provenance[SHARES])
    if strange:
        warnings.warn(
            f"{name} is far from the labels of the {model.title}: {'; '.join(strange)}. Check the map: "
            f"if not, this ground is unlike that learned on.",
            CrispmapWarning, stacklevel=3,
        )  # fmt: skip


def warn_of_strange_file(path: Path, models: ScoreModels) -> None:
    """As ``warn_of_strange_map``, of a class map in a file."""
    if models.all and SHARES in models.all[0].card.provenance:
        grid = read_grid(path)
        with closing(open_labels(path, models.all[0].classes, grid)) as labels:
            warn_of_strange_map(path, labels, grid.block, models)
