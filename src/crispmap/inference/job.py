"""A job: all that decides the scores of a scene, small enough to be sent to another process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from crispmap.geo.squares import Squares
from crispmap.inference.coarse import bands_by_name, gsd_ratio
from crispmap.inference.engines import EngineChoice
from crispmap.inference.plan import Cut
from crispmap.inference.precision import KeptVerdicts, VerdictStore
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.squares import map_work
from crispmap.inference.work import ScoreWork
from crispmap.models.card import model_hash
from crispmap.models.lazy import open_coarse, open_refiner
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.raster.scores import ScoreKind, ScoreScene, open_scores


@dataclass(frozen=True)
class GivenScores:
    """Scores of any tool in a file; see ``crispmap.raster.scores.open_scores``."""

    path: Path
    kind: ScoreKind = "auto"
    full_scale: float | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LoadedModels(ScoreModels):
    """Models from files, each loaded once and hashed at most once in a run, for all its scenes."""

    files: Mapping[str, Path] = field(default_factory=dict)  # by role: "coarse", "refiner"
    # what trials of precisions have found
    verdicts: VerdictStore = field(default_factory=KeptVerdicts, repr=False, compare=False)

    @classmethod
    def load(
        cls, coarse: Path | None, refiner: Path | None, gsd_m: float | None = None, halo_px: int | None = None
    ) -> LoadedModels:
        """Return the models of two files; ModelError if one is missing, damaged or of the wrong kind.

        ``gsd_m`` is the pixel size they work at, by default that each was trained at; ``halo_px`` is the context that
        the coarse network reads, by default all that it depends on.
        """
        models = cls(
            None if coarse is None else open_coarse(coarse),
            None if refiner is None else open_refiner(refiner),
            files={role: path for role, path in (("coarse", coarse), ("refiner", refiner)) if path is not None},
        )
        return models.working_at(gsd_m).reading(halo_px)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each file, by role."""
        return {
            role: getattr(model.network, "sha256", None) or model_hash(path)
            for (role, path), model in zip(self.files.items(), self.all, strict=True)
        }

    @property
    def tags(self) -> dict[str, str]:
        """What a map's tags have about its making: the version, and architecture, hash and pixel size of its models."""
        tags = {"CRISPMAP_VERSION": version("crispmap"), **self.squares_tag}
        for (role, sha256), model in zip(self.hashes.items(), self.all, strict=True):
            tags[f"CRISPMAP_{role.upper()}"] = model.card.architecture
            tags[f"CRISPMAP_{role.upper()}_SHA256"] = sha256
            tags[f"CRISPMAP_{role.upper()}_GSD_M"] = f"{model.card.gsd_m:g}"
        return tags


@dataclass(frozen=True)
class MapJob:
    """What scores are computed from. The same job gives the same bytes, on any machine and in any blocks."""

    scene: SceneRef
    model: Path | None = None  # the coarse network; None where scores are given
    refiner: Path | None = None
    scores: GivenScores | None = None  # in the place of a coarse network
    gsd_m: float | None = None  # ground sampling distance to work at; by default the scene's own
    models_gsd_m: float | None = None  # that models work at, by default that each was trained at
    halo_px: int | None = None  # context that the coarse network reads, by default all that it depends on
    engine: EngineChoice = EngineChoice()
    tile_px: int | None = None  # by default what suits engine and models
    by_square: bool = True  # whether a classifier of squares gives a score a square, or a pixel

    def absolute(self) -> MapJob:
        """Return the job with files that are found from any folder, as for a process elsewhere."""
        scores = None if self.scores is None else replace(self.scores, path=self.scores.path.absolute())
        model, refiner = (None if path is None else path.absolute() for path in (self.model, self.refiner))
        return replace(self, scene=self.scene.absolute(), model=model, refiner=refiner, scores=scores)

    @contextmanager
    def opened(self, models: LoadedModels | None = None) -> Iterator[OpenJob]:
        """Open the scene and the scores, and load the models where they are not given.

        Of a scene with more bands than the models were trained on, theirs are read where it has all by name.
        A file that cannot be read is a SceneError or a ModelError.
        """
        with ExitStack() as stack:
            image = stack.enter_context(open_scene(self.scene, gsd_m=self.gsd_m))
            if models is None:
                models = LoadedModels.load(self.model, self.refiner, self.models_gsd_m, self.halo_px)
            job, numbers = self, () if self.scene.bands is not None else bands_by_name(image, models.all)
            if numbers:
                job = replace(self, scene=self.scene.choosing(bands=numbers))
                image = stack.enter_context(open_scene(job.scene, gsd_m=self.gsd_m))
            given = None if self.scores is None else stack.enter_context(self._given(self.scores))
            yield OpenJob(job, image, models, given)

    def _given(self, scores: GivenScores) -> ScoreScene:
        return open_scores(
            scores.path, kind=scores.kind, full_scale=scores.full_scale,
            class_names=scores.class_names, assume_gsd_m=self.scene.assume_gsd_m,
        )  # fmt: skip


@dataclass(frozen=True)
class OpenJob:
    """A job with its files open: trials, map and seam check are works on the same scene and models."""

    job: MapJob
    image: Scene
    models: LoadedModels
    given: ScoreScene | None

    @property
    def by_square(self) -> Squares | None:
        """The squares that its scores are of; None where they are of pixels."""
        return self.models.squares if self.job.by_square else None

    @property
    def pixel_sizes(self) -> str:
        """The pixel sizes of models that work at others than the scene's, in words; empty where all work at its own."""
        other = [one for one in self.models.all if gsd_ratio(self.image, one.card.gsd_m) != (1.0, 1.0)]
        if not other:
            return ""
        each = ", ".join(f"the {model.title} works at {model.card.gsd_m:.3g} m" for model in other)
        return f"{each}; the scene has pixels of {self.image.grid.mean_gsd_m():.3g} m"

    def work(self, engine: EngineChoice | None = None, *, shifted: bool = False) -> ScoreWork:
        """Return work that is ready to compute any block, by default with the job's engine; see ``map_work``."""
        cut, work_of = Cut(self.job.tile_px, shifted=shifted), map_work if self.job.by_square else score_work
        return work_of(self.image, self.models, self.given, engine=engine or self.job.engine, cut=cut)
