"""A job: all that decides the scores of a scene, small enough to be sent to another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.work import ScoreWork
from crispmap.models.file import load_model
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.raster.scores import ScoreKind, open_scores


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
            yield score_work(
                image, ScoreModels(coarse, refiner), given,
                engine=self.engine, tile_px=self.tile_px, shifted=self.shifted,
            )  # fmt: skip

    def _given(self, scores: GivenScores) -> Scene:
        return open_scores(
            scores.path, kind=scores.kind, full_scale=scores.full_scale,
            class_names=scores.class_names, assume_gsd_m=self.scene.assume_gsd_m,
        )  # fmt: skip
