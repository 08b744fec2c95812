"""The one way from models and a scene to scores: for maps, block by block; for trainings and reports, read anywhere.

Where all models work at the scene's pixel size, alike scaled and with bounded influence, network and refiner run as one
graph on canonical tiles. Otherwise each is a raster computed when read, and the refiner reads that of the network.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

from crispmap.errors import CrispmapWarning, InputError, ModelError
from crispmap.geo.squares import SQUARES_TAG, Squares
from crispmap.inference.align import ScoresOnScene, scores_on_scene
from crispmap.inference.coarse import check_bands, coarse_scores, gsd_ratio, suited_tile_px
from crispmap.inference.engines import EngineChoice, KeptEngines
from crispmap.inference.network import MapNetwork, context_px, stride_of
from crispmap.inference.plan import TILE_PX, Cut, fitted_tile_px
from crispmap.inference.refine import check_refiner, refined_scores
from crispmap.inference.tiled import TiledScores
from crispmap.inference.work import DirectScores, Layer, ScoreWork, StackedScores
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.raster.scene import Scene, SceneReader

ScoreRaster: TypeAlias = ScoresOnScene | TiledScores
OTHER_SIZE = 1.5
"""Learned over chosen pixel size, or the reverse, from which on a warning says that objects have another size there."""
DEVICE_TILE_PX = 1024  # side of the tiles on a CUDA device, which wants more work at a time


@dataclass(frozen=True)
class ScoreModels:
    """The models that scores come from."""

    coarse: CoarseModel | None = None
    refiner: RefinerModel | None = None
    exact: CoarseModel | None = None  # the coarse network as it is, where less context is read than it depends on
    engines: KeptEngines = field(default_factory=KeptEngines, init=False, repr=False, compare=False)

    @property
    def all(self) -> list[CoarseModel | RefinerModel]:
        """The models that are given, in the order they work."""
        return [model for model in (self.coarse, self.refiner) if model is not None]

    def working_at(self, gsd_m: float | None) -> Self:
        """Return the models at another pixel size than they were trained at; a warning says where it is far from that.

        None leaves each at its own.
        """
        if gsd_m is None:
            return self
        for model in self.all:
            learned = model.card.gsd_m
            if not 1 / OTHER_SIZE <= learned / gsd_m <= OTHER_SIZE:
                warnings.warn(
                    f"The {model.title} was trained at {learned:g} m and is to work at {gsd_m:g} m: there everything "
                    f"looks {learned / gsd_m:.2g} times as large as what it has learned.",
                    CrispmapWarning, stacklevel=3,
                )  # fmt: skip
        coarse = None if self.coarse is None else self.coarse.working_at(gsd_m)
        return replace(self, coarse=coarse, refiner=None if self.refiner is None else self.refiner.working_at(gsd_m))

    def reading(self, halo_px: int | None) -> Self:
        """Return the models with a coarse network that reads less context than it depends on, rounded up to its stride.

        None leaves what it reads, and so does what is rounded up to that.

        Raises:
            InputError: If there is no coarse network whose context may be cut, or it depends on less.
        """
        if halo_px is None:
            return self
        if self.coarse is None:
            raise _wrong_halo("A halo is given without a coarse network", "a coarse network that pads its input")
        network, name = self.coarse.network, self.coarse.card.architecture
        if network.radius_px is None:
            raise _wrong_halo(f"{name} has no halo: every pixel depends on the whole input", "a network with a radius")
        if network.halo_px <= network.train_margin_px:
            given = f"{name} does not pad its input: it cannot work without its margin of {network.halo_px} pixels"
            raise _wrong_halo(given, "a halo of networks that pad, such as unet-lite0")
        if not network.train_margin_px <= halo_px <= network.radius_px:
            limits = f"{network.train_margin_px} to {network.radius_px}, the radius of {name}"
            raise _wrong_halo(f"A halo of {halo_px} pixels is asked for", limits)
        other = network.reading(halo_px)
        if other.halo_px == network.halo_px:
            return self
        return replace(self, coarse=replace(self.coarse, network=other), exact=self.coarse)

    @property
    def blended(self) -> str:
        """Why the scores are not those of the models on the whole scene; empty where they are."""
        unbounded = [model.card.architecture for model in self.all if model.network.radius_px is None]
        if not unbounded:
            return ""
        return (
            f"{' and '.join(unbounded)} cannot be tiled exactly: every pixel depends on the whole input. Overlapping "
            f"tiles were blended; the map is not that of the whole scene at once."
        )

    @property
    def squares(self) -> Squares | None:
        """The squares that maps are of, one class each; None where they are of pixels, as with any refiner."""
        return None if self.coarse is None or self.refiner is not None else self.coarse.network.squares

    @property
    def squares_tag(self) -> dict[str, str]:
        """The tag of a map of squares, which tells what its pixels are; empty where they are those of a scene."""
        return {} if self.squares is None else {SQUARES_TAG: self.squares.to_json()}

    def direct(self, image: SceneReader) -> bool:
        """Return whether they can run as one graph on tiles of the scene."""
        if any(gsd_ratio(image, model.card.gsd_m) != (1.0, 1.0) for model in self.all):
            return False
        bounded = all(model.network.radius_px is not None for model in self.all)
        return bounded and len({model.scaling for model in self.all}) == 1

    def tile_px(self, engine: EngineChoice, image: SceneReader) -> int:
        """Return the side of the tiles that all models run fast on; with a wide halo, of those that suit the scene."""
        least = DEVICE_TILE_PX if engine.on_cuda else min(map(suited_tile_px, self.all), default=TILE_PX)
        if self.coarse is None or not (self.exact or self.coarse.network.halo_px > self.coarse.network.train_margin_px):
            return least
        return fitted_tile_px(
            image.grid.shape, context_px=self.context_px, stride_px=stride_of(self.coarse, self.refiner), least_px=least
        )

    @property
    def context_px(self) -> int:
        """The pixels of the image that are read beyond a tile on every side."""
        return context_px(self.coarse, self.refiner)

    def check(self, image: SceneReader, given: SceneReader | None) -> None:
        """Raise ModelError unless there are scores, and models are made for the bands and scores they get."""
        if self.coarse is None and given is None:
            raise _nothing_given()
        if self.coarse is not None:
            check_bands(image, self.coarse.card)
        if self.refiner is not None:
            classes = len(self.coarse.classes) if self.coarse is not None else 0 if given is None else given.band_count
            check_refiner(self.refiner.network, classes, image.band_count)


def score_work(
    image: Scene,
    models: ScoreModels,
    given: SceneReader | None = None,
    *,
    engine: EngineChoice = EngineChoice(),
    cut: Cut = Cut(),
) -> ScoreWork:
    """Return the scores of a scene as work that is done block by block, ready to begin.

    ``given`` are scores in the place of a coarse network, over the scene's area.

    Raises:
        ModelError: If a model was made for other bands or classes, or there is nothing to compute from.
        SceneError: If the scene's pixels are far from those of the model.
        GridError: If scores and scene do not cover the same area.
        InputError: If the engine cannot do what is asked for.
    """
    models.check(image, given)
    cut = replace(cut, tile_px=cut.tile_px or models.tile_px(engine, image))
    scores = None if given is None else scores_on_scene(given, image)
    if models.all and models.direct(image):
        return DirectScores(image, scores, MapNetwork(models.coarse, models.refiner), engine, cut, models.engines)
    layers = _rasters(image, models, scores, engine, cut.shifted)
    engines = [raster.engine for _, raster in reversed(layers)]
    text = " and ".join(dict.fromkeys(one for one in engines if one)) or "none"
    return StackedScores(layers, cut.tile_px or TILE_PX, text, models.blended)


def score_raster(
    image: SceneReader,
    models: ScoreModels,
    given: SceneReader | None = None,
    *,
    engine: EngineChoice = EngineChoice("torch"),
) -> Scene:
    """Return the scores of a scene as a raster on its grid, computed when read; refined where there is a refiner.

    Raises:
        ModelError: As ``score_work``; likewise SceneError, GridError and InputError.
    """
    models.check(image, given)
    scores = None if given is None else scores_on_scene(given, image)
    return _rasters(image, models, scores, engine, shifted=False)[0][1]


def _rasters(
    image: SceneReader, models: ScoreModels, scores: ScoresOnScene | None, engine: EngineChoice, shifted: bool
) -> list[tuple[Layer, ScoreRaster]]:
    """Return the rasters of scores, computed when read, the last of the models first."""
    if models.coarse is not None:
        cut = Cut(shifted=shifted)
        scores = coarse_scores(image, models.coarse, engine=engine, cut=cut, engines=models.engines)
    if scores is None:
        raise _nothing_given()
    layers: list[tuple[Layer, ScoreRaster]] = [("coarse", scores)]
    if models.refiner is not None:
        cut = Cut(suited_tile_px(models.refiner), shifted=shifted)
        refined = refined_scores(scores, image, models.refiner, engine=engine, cut=cut, engines=models.engines)
        layers.insert(0, ("refined", refined))
    return layers


def _nothing_given() -> ModelError:
    return ModelError("There is neither a coarse network nor scores.", expected="a model, or scores of another tool")


def _wrong_halo(given: str, expected: str) -> InputError:
    return InputError(f"{given}.", expected=expected, remedy="leave out halo_px=")
