"""Maps made from Python: of files, scenes, arrays and DataArrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Unpack, cast

import numpy as np

from crispmap.api.given import ModelLike, coarse_of, no_target, path_of, refiner_of, target_of
from crispmap.errors import InputError
from crispmap.files.turn import AS_STORED
from crispmap.inference.in_memory import map_in_memory, write_map
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes, refine_scene
from crispmap.inference.scores import ScoreModels
from crispmap.models.model import Model, RefinerModel
from crispmap.raster.arrays import RasterLike, check_keywords, scene_of
from crispmap.raster.data_arrays import Georeference, like
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneChoices
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.scene import Scene
from crispmap.raster.scores import ScoreKind, ScoreScene, read_as_scores
from crispmap.raster.spec import CLASSES_TAG


class MapOptions(Georeference, total=False):
    """What may be chosen of a map; ``gsd_m``, or ``transform`` and ``crs``, are for numpy arrays."""

    out: str | Path | None  # the class map to write, of a file or address
    output: Literal["classes", "scores"]  # of an array; "classes" by default
    working_gsd_m: float | None  # pixel size that models work at, by default that each was trained at
    halo_px: int | None  # context that a network which pads reads, by default all that it depends on
    device: str  # "auto" (the default), "cpu" or "cuda"
    force: bool  # replace a file that exists
    nodata: float | None  # the value of pixels without data, in place of the image's own; NaN for none
    nodata_tolerance: float | None  # how far from it all bands of a pixel may be, for lossy compression


def predict(
    image: RasterLike, model: ModelLike, refiner: ModelLike | None = None, **options: Unpack[MapOptions]
) -> Any:
    """Map an image with a coarse network and, where given, a refiner.

    Values do not depend on how the image was cut.

    Args:
        image: A file or address, an open scene, an array (band, row, col), or a DataArray.
        model: A coarse network: its file, or a ``Model``.
        refiner: A refiner, likewise.
        **options: ``out``, the class map to write, of a file or address; ``output``, "classes" or "scores", of an
            array; ``working_gsd_m``, the pixel size that models work at, by default that each was trained at, to which
            the image is resampled; ``halo_px``, the context that a network which pads reads, by default all that it
            depends on: less is faster and not exact; ``device``, "auto", "cpu" or "cuda"; ``force``, to replace a file;
            of numpy arrays ``gsd_m``, the side of a pixel in metres, or ``transform`` and ``crs``; ``nodata``, the
            value of pixels without data in place of the image's own, and ``nodata_tolerance``, how far from it all
            bands may be.

    Returns:
        For a path, the path of the class map. Else an array or DataArray: class ids uint8 (row, col), 255 where the
        image is invalid; or scores float32 (class, row, col), logits, NaN there.

    Raises:
        ModelError: If a model cannot be read, is of the wrong kind, or was made for other bands or classes.
        InputError: If an array has another rank or type or no georeference, ``out`` is missing or out of place, or the
            network cannot read such a halo.
        SceneError: If a scene cannot be read, or its pixels are far from the model's.
    """
    where, read, (out, output), how = _split(options)
    if not isinstance(image, str | Path):
        no_target(out)
        return _mapped(image, scene_of(image, read, **where), _models(model, refiner), None, output, how)
    target = target_of(out, output)
    if isinstance(model, Model) or isinstance(refiner, Model):
        with open_scene(image, **read) as scene:
            models = _models(model, refiner).working_at(how.gsd_m).reading(how.halo_px)
            return write_map(scene, models, target, device=how.device, force=how.force)
    predict_scenes(
        resolve_scenes([image], **read), model=Path(path_of(model, "coarse model")),
        refiner=None if refiner is None else Path(path_of(refiner, "refiner")), outputs=Outputs(target), options=how,
    )  # fmt: skip
    return target


class RefineOptions(MapOptions, total=False):
    """What may be chosen of a refined map; see ``crispmap.raster.scores.open_scores``."""

    kind: ScoreKind  # what the scores are; "auto" by default
    full_scale: float | None  # the value that stands for probability 1


def refine(
    scores: RasterLike, image: RasterLike, refiner: ModelLike | None = None, **options: Unpack[RefineOptions]
) -> Any:
    """Sharpen the scores of any tool with a refiner.

    Args:
        scores: Logits or probabilities, one band a class in the refiner's order: a file, an array, or a DataArray; on
            the image's pixels or over the same area with pixels of another size.
        image: What the scores were made from: a file where ``scores`` is one, else an array or DataArray.
        refiner: The refiner: its file, or a ``Model``; None: the one in this package, for any classes and bands.
        **options: As of ``predict``; and ``kind``, "logit" or "probability", by default as the values show, and
            ``full_scale``, the value that stands for probability 1.

    Returns:
        As ``predict``.

    Raises:
        ModelError: If the refiner cannot be read, is of the wrong kind, or was made for other bands or classes.
        GridError: If scores and image do not cover the same area.
        InputError: As ``predict``; or a file is given beside an array.
        SceneError: As ``predict``; or the scores can be read in two ways.
    """
    rest = dict(options)
    kind, full_scale = cast(ScoreKind, rest.pop("kind", "auto")), cast("float | None", rest.pop("full_scale", None))
    options = cast(RefineOptions, rest)
    where, read, (out, output), how = _split(options)
    files = [isinstance(one, str | Path) for one in (scores, image)]
    if all(files) and not isinstance(refiner, Model):
        target = target_of(out, output)
        refine_scene(
            GivenScores(Path(cast(str, scores)), kind, full_scale),
            resolve_scenes([cast(str, image)], **read),
            refiner=None if refiner is None else Path(path_of(refiner, "refiner")),
            outputs=Outputs(target), options=how,
        )  # fmt: skip
        return target
    if any(files):
        raise InputError(
            "A file is given beside an array or a Model.", expected="files throughout, or arrays with a Model",
            remedy="open the file, for example with rioxarray.open_rasterio",
        )  # fmt: skip
    no_target(out)
    given = read_as_scores(scene_of(scores, **where), {}, kind=kind, full_scale=full_scale)
    models = ScoreModels(refiner=_fitted(image, given, read, where) if refiner is None else refiner_of(refiner))
    return _mapped(image, scene_of(image, read, **where), models, given, output, how)


def _fitted(image: RasterLike, given: ScoreScene, read: SceneChoices, where: Georeference) -> RefinerModel:
    """Return the shipped refiner for an image in memory and its scores."""
    from crispmap.inference.general import gated_refiner, schema_of  # which needs torch

    return gated_refiner(scene_of(image, read, **where), schema_of(given.band_names), given)[0]


def _split(options: MapOptions) -> tuple[Georeference, SceneChoices, tuple[str | Path | None, str], PredictOptions]:
    """Return the georeference, how the image is read, the file to write and what to return, and how."""
    rest = dict(options)
    check_keywords(options, set(MapOptions.__annotations__) - set(Georeference.__annotations__))
    goal = cast("str | Path | None", rest.pop("out", None)), str(rest.pop("output", "classes"))
    how = PredictOptions(
        device=str(rest.pop("device", "auto")), gsd_m=cast("float | None", rest.pop("working_gsd_m", None)),
        halo_px=cast("int | None", rest.pop("halo_px", None)), force=bool(rest.pop("force", False)),
    )  # fmt: skip
    read = {"assume_gsd_m": rest.get("gsd_m")}
    read |= {name: rest.pop(name) for name in ("nodata", "nodata_tolerance") if name in rest}
    return cast(Georeference, rest), cast(SceneChoices, read), goal, how


def _models(model: ModelLike, refiner: ModelLike | None) -> ScoreModels:
    return ScoreModels(coarse_of(model), None if refiner is None else refiner_of(refiner))


def _mapped(
    image: RasterLike, scene: Scene, models: ScoreModels, given: Scene | None, output: str, how: PredictOptions
) -> Any:
    """Return the map or the scores of a scene as the kind of array the image is."""
    if output not in ("classes", "scores"):
        raise InputError(f"output is {output!r}.", expected="'classes' or 'scores'")
    models = models.working_at(how.gsd_m).reading(how.halo_px)
    labels, scores = map_in_memory(scene, models, given, device=how.device, with_scores=output == "scores")
    classes, back = models.all[0].classes, AS_STORED if image is scene else scene.turn.inverse
    if scores is not None:
        return like(image, np.ascontiguousarray(back.pixels(scores)), classes.names)
    return like(image, np.ascontiguousarray(back.pixels(labels)), attrs={CLASSES_TAG: classes.to_json()})
