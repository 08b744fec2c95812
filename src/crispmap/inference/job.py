"""A job: all that decides the scores of a scene, small enough to be sent to another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import ModelError
from crispmap.inference.align import ScoresOnScene, scores_on_scene
from crispmap.inference.coarse import check_bands, coarse_scores, gsd_ratio
from crispmap.inference.engines import EngineChoice
from crispmap.inference.network import MapNetwork
from crispmap.inference.plan import BLOCK_PX, TILE_PX
from crispmap.inference.refine import check_refiner, refined_scores
from crispmap.inference.work import DirectScores, Layer, ScoreWork, StackedScores
from crispmap.models.file import load_model
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.models.registry import architectures
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene, SceneReader
from crispmap.raster.scores import ScoreKind, open_scores

DEVICE_TILE_PX = 1024
"""Side of the tiles on a CUDA device, which wants more work at a time."""


@dataclass(frozen=True)
class GivenScores:
    """Scores of any tool in a file; see ``crispmap.raster.scores.open_scores``."""

    path: Path
    kind: ScoreKind = "auto"
    full_scale: float | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MapJob:
    """What scores are computed from. The same job gives the same bytes, wherever and in whatever blocks it is done.

    Attributes:
        scene: The scene, with its bands.
        model: The coarse network's model file, or None where scores are given.
        refiner: The refiner's model file, or None.
        scores: Scores of any tool in the place of a coarse network, or None.
        gsd_m: Ground sampling distance to work at, or None for the scene's own.
        engine: What computes.
        tile_px: Side of the tiles; by default what suits engine and models.
        shifted: Cut the scene elsewhere, to see whether the scores depend on the cut.
    """

    scene: SceneRef
    model: Path | None = None
    refiner: Path | None = None
    scores: GivenScores | None = None
    gsd_m: float | None = None
    engine: EngineChoice = EngineChoice()
    tile_px: int | None = None
    shifted: bool = False

    @contextmanager
    def image(self) -> Iterator[Scene]:
        """Open the scene as the job sees it."""
        with open_scene(self.scene, gsd_m=self.gsd_m) as scene:
            yield scene

    def absolute(self) -> MapJob:
        """Return the job with files that are found from any folder, as for a process elsewhere."""
        scores = None if self.scores is None else replace(self.scores, path=self.scores.path.absolute())
        model, refiner = (None if path is None else path.absolute() for path in (self.model, self.refiner))
        return replace(self, scene=self.scene.absolute(), model=model, refiner=refiner, scores=scores)

    @contextmanager
    def opened(self) -> Iterator[ScoreWork]:
        """Open scene and models, ready to compute any block.

        Raises:
            SceneError: If the scene or the scores cannot be read, or have pixels far from the model's.
            ModelError: If a model cannot be read, or was made for other bands or classes.
            GridError: If scores and scene do not cover the same ground.
            InputError: If the engine cannot do what is asked for.
        """
        with ExitStack() as stack:
            image = stack.enter_context(self.image())
            coarse = None if self.model is None else load_model(self.model, kind="coarse")
            refiner = None if self.refiner is None else load_model(self.refiner, kind="refiner")
            given = None if self.scores is None else stack.enter_context(self._given(self.scores))
            if coarse is not None:
                check_bands(image, coarse.card)
            if refiner is not None:
                classes = len(coarse.classes) if coarse is not None else _count(given)
                check_refiner(refiner.network, classes, image.band_count)
            yield self._work(image, given, _Models(coarse, refiner))

    def _given(self, scores: GivenScores) -> Scene:
        return open_scores(
            scores.path, kind=scores.kind, full_scale=scores.full_scale,
            class_names=scores.class_names, assume_gsd_m=self.scene.assume_gsd_m,
        )  # fmt: skip

    def _work(self, image: Scene, given: Scene | None, models: _Models) -> ScoreWork:
        scores = None if given is None else scores_on_scene(given, image)
        if not models.all:
            if scores is None:
                raise ModelError("The job has neither a model nor scores.", expected="one of them")
            return StackedScores([("coarse", scores)], self._tile_px(models), "none")
        if models.direct(image):
            return DirectScores(
                image, scores, MapNetwork(models.coarse, models.refiner), models.all[0].scaling, self.engine,
                classes=models.all[0].network.classes, tile_px=self._tile_px(models), shifted=self.shifted,
            )  # fmt: skip
        return self._stacked(image, scores, models)

    def _stacked(self, image: Scene, scores: ScoresOnScene | None, models: _Models) -> StackedScores:
        """Return scores by way of rasters, where network and scene differ in their pixels or tiles must be blended."""
        if models.coarse is not None:
            scores = coarse_scores(image, models.coarse, engine=self.engine, block_px=BLOCK_PX, shifted=self.shifted)
        if scores is None:
            raise ModelError("The job has neither a network nor scores.", expected="one of them")
        engines = [scores.engine]
        layers: list[tuple[Layer, SceneReader]] = [("coarse", scores)]
        if models.refiner is not None:
            refined = refined_scores(
                scores, image, models.refiner,
                engine=self.engine, shifted=self.shifted, tile_px=models.refiner_tile_px,
            )  # fmt: skip
            layers.insert(0, ("refined", refined))
            engines.append(refined.engine)
        text = " and ".join(dict.fromkeys(one for one in engines if one))
        return StackedScores(layers, self._tile_px(models), text, models.blended)

    def _tile_px(self, models: _Models) -> int:
        if self.tile_px is not None:
            return self.tile_px
        if self.engine.on_cuda:
            return DEVICE_TILE_PX
        return models.tile_px


@dataclass(frozen=True)
class _Models:
    """The models of a job, as far as it has them."""

    coarse: CoarseModel | None
    refiner: RefinerModel | None

    @property
    def all(self) -> list[CoarseModel | RefinerModel]:
        return [model for model in (self.coarse, self.refiner) if model is not None]

    @property
    def blended(self) -> str:
        """Why the scores are not those of the models on the whole scene; empty where they are."""
        unbounded = [model.card.architecture for model in self.all if model.network.radius_px is None]
        if not unbounded:
            return ""
        return (
            f"{' and '.join(unbounded)} cannot be tiled exactly: every pixel depends on all that is shown. Overlapping "
            f"tiles were blended; the map is not that of the whole scene at once."
        )

    def direct(self, image: Scene) -> bool:
        """Return whether all models work at the scene's pixel size, alike scaled, with bounded influence."""
        if self.coarse is not None and gsd_ratio(image, self.coarse.card.gsd_m) != (1.0, 1.0):
            return False
        bounded = all(model.network.radius_px is not None for model in self.all)
        return bounded and len({model.scaling for model in self.all}) == 1

    @property
    def refiner_tile_px(self) -> int:
        """Side of the refiner's own tiles."""
        return TILE_PX if self.refiner is None else architectures()[self.refiner.card.architecture].tile_px

    @property
    def tile_px(self) -> int:
        """Side of the tiles that all models run fast on, on a CPU."""
        known = architectures()
        return min((known[model.card.architecture].tile_px for model in self.all), default=TILE_PX)


def _count(scores: Scene | None) -> int:
    return 0 if scores is None else scores.band_count
