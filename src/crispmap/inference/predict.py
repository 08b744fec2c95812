"""Any scenes mapped with model files, and the scores of any tool refined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import ModelError, OutputError
from crispmap.events import SILENT, Events, progress
from crispmap.files.quiet import FILTERS
from crispmap.inference.coarse import gsd_ratio
from crispmap.inference.job import GivenScores, LoadedModels, MapJob, OpenJob
from crispmap.inference.options import AUTO, PredictOptions
from crispmap.inference.products import ClassMap, Confidence, Product, RecalibratedMap, Scores
from crispmap.inference.run import MapResult, Output, engine_of, is_made, make_maps
from crispmap.inference.trial import settled_precision
from crispmap.inference.work import Layer
from crispmap.models.card import ModelCard, read_card
from crispmap.raster.block_store import store_folder
from crispmap.raster.pipeline import available_cores, in_order
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.raster.spec import ScoreEncoding
from crispmap.raster.targets import check_paths, check_raster_target

_KEPT_OPEN = 64
"""Scenes that stay open from the check of all until their maps; further ones are opened twice, for files are scarce."""


@dataclass(frozen=True)
class Outputs:
    """What to write of every scene: a file for one scene, a folder of files named after the scenes for several."""

    out: Path  # the class map
    scores: Path | None = None  # the scores behind the map, one band for each class
    coarse: Path | None = None  # the scores before refinement, likewise
    confidence: Path | None = None  # the largest probability, and the entropy of all
    encoding: ScoreEncoding = "float32"
    recalibrated: Path | None = None  # the coarse map with the class biases in the refiner's card

    def files(self, name: str | None, refiner: Path | None) -> list[Output]:
        """Return the files of one scene; ``name`` is that of the scene where there are several."""
        chosen: list[tuple[Product, Path | None, Layer]] = [
            (ClassMap(), self.out, "refined"),
            (Scores(self.encoding), self.scores, "refined"),
            (Scores(self.encoding), self.coarse, "coarse"),
            (Confidence(), self.confidence, "refined"),
        ]
        if self.recalibrated is not None:
            chosen.append((RecalibratedMap(_biases_of(refiner)), self.recalibrated, "coarse"))
        return [
            Output(product, path if name is None else path / f"{name}.tif", layer)
            for product, path, layer in chosen
            if path is not None
        ]


def predict_scenes(
    scenes: Sequence[SceneRef],
    *,
    model: Path,
    outputs: Outputs,
    refiner: Path | None = None,
    options: PredictOptions = PredictOptions(),
    events: Events = SILENT,
) -> list[MapResult]:
    """Map scenes with a coarse network and, if given, a refiner; return what has come of each.

    Models work at the pixel size each was trained at, or at ``options.gsd_m``; the tags of the map tell it, and scene
    and scores are resampled where it is not the scene's. A map lies on its scene's grid, with 255 exactly where the
    scene is invalid, and does not depend on how the work was cut or shared out. All files of a scene appear together
    and complete, or not at all. Of several scenes those that this very job has mapped before are not mapped again.
    ``resolve_scenes`` finds scenes by path, pattern or STAC item; their bands are in the order the models were trained
    on.

    Raises:
        ModelError: If a model is missing, damaged, of the wrong kind, or made for other bands or classes.
        SceneError: If a scene cannot be read, has no valid pixel, or pixels far from the model's.
        OutputError: If a file exists and ``force`` is not given, is also an input, or cannot be written.
        InputError: If engine, precision or device are not available.
        ClusterError: If workers or scheduler cannot be reached, or are lost.
    """
    jobs = [MapJob(ref, model, refiner, models_gsd_m=options.gsd_m, halo_px=options.halo_px) for ref in scenes]
    several = len(scenes) > 1 or outputs.out.is_dir()
    files_of = [outputs.files(ref.name if several else None, refiner) for ref in scenes]
    folders = [one.path.parent for files in files_of[:1] for one in files] if several else []
    with _folders(folders), ExitStack() as kept:
        made = [several and not options.force and is_made(files) for files in files_of]
        for job, files, done in zip(jobs, files_of, made, strict=True):
            _check_outputs(files, [*job.scene.paths, model, refiner], force=options.force or done)
        models = LoadedModels.load(model, refiner, options.gsd_m, options.halo_px)
        _check_same(models)
        opened = [kept.enter_context(job.opened(models)) for job in jobs[:_KEPT_OPEN]]
        pixels = [_checked_pixels(one) for one in opened]
        for job in jobs[_KEPT_OPEN:]:
            with job.opened(models) as one:
                pixels.append(_checked_pixels(one))
        if several and options.precision == AUTO and not all(made):  # one precision for all
            settled_precision(opened, engine_of(options), sum(pixels))
        with progress(events, f"{len(jobs)} maps", sum(pixels)) if len(jobs) > 1 else nullcontext(events) as whole:

            def mapped(number: int) -> MapResult:
                with nullcontext(opened[number]) if number < len(opened) else _opened(jobs[number], models) as one:
                    return make_maps(
                        one, files_of[number], models.all[0].classes,
                        options=options, events=whole, keep_made=made[number],
                    )  # fmt: skip

            return in_order(len(jobs), mapped, at_once=_at_once(pixels, options))


def _at_once(pixels: Sequence[int], options: PredictOptions) -> int:
    """Return how many scenes are mapped at a time: one, or of scenes within a block as many as keep the cores busy.

    A cluster has its own workers to keep busy.
    """
    alone = options.workers is not None or options.scheduler is not None or len(pixels) == 1
    return 1 if alone or max(pixels) > options.block_px**2 else available_cores() + 1


@contextmanager
def _opened(job: MapJob, models: LoadedModels) -> Iterator[OpenJob]:
    """Open a job while no other thread silences a warning that it may raise."""
    with ExitStack() as stack:
        with FILTERS:
            one = stack.enter_context(job.opened(models))
        yield one


def refine_scene(
    scores: GivenScores,
    scenes: Sequence[SceneRef],
    *,
    outputs: Outputs,
    refiner: Path | None = None,
    options: PredictOptions = PredictOptions(),
    events: Events = SILENT,
) -> MapResult:
    """Sharpen the scores of any tool on the one scene they were made from; return what has come of it.

    Without a refiner the shipped one is taken, which serves any classes and bands; see ``crispmap.inference.general``.
    Scores have one band a class in the refiner's order, or one band for the second of two classes; they are on the
    scene's grid, or over the same area with pixels of another size. The map lies on the scene's grid, with 255 exactly
    where the scene or the scores are invalid. The files appear together and complete, or not at all.

    Raises:
        GridError: If scores and scene do not cover the same area.
        OutputError: If there is not one scene; else, as all other errors, as ``predict_scenes``.
    """
    if len(scenes) != 1:
        raise OutputError(
            f"{len(scenes)} scenes are given for one raster of scores.",
            expected="the one scene the scores were made from",
            remedy="name that scene",
        )
    files = outputs.files(None, refiner)
    _check_outputs(files, [scores.path, *scenes[0].paths, refiner], force=options.force)
    job = MapJob(scenes[0], refiner=refiner, scores=scores, models_gsd_m=options.gsd_m, halo_px=options.halo_px)
    with ExitStack() as stack:
        if refiner is None:
            from crispmap.inference.general import general_refiner_file  # which needs torch

            with job.opened() as unrefined:
                made = stack.enter_context(general_refiner_file(unrefined, outputs.out, events))
            job = replace(job, refiner=made)
        opened = stack.enter_context(job.opened())
        card = opened.models.all[0].card
        if opened.given is not None:
            _check_class_order(opened.given, card)
            events.note(f"{scores.path} is read as {opened.given.reading(card.schema.names)}")
        _checked_pixels(opened)
        return make_maps(opened, files, card.schema, options=options, events=events)


def _biases_of(refiner: Path | None) -> tuple[float, ...]:
    if refiner is None:
        raise ModelError(
            "A recalibrated map is asked for without a refiner.",
            expected="the refiner, whose card has the class biases of the coarse network it was trained on",
            remedy="give refiner=, or leave out recalibrated=",
        )
    return read_card(refiner).class_biases


@contextmanager
def _folders(folders: Sequence[Path]) -> Iterator[None]:
    """Make the folders that are missing; those still empty when the work inside fails are removed again."""
    missing = [folder for folder in dict.fromkeys(folders) if not folder.exists()]
    for folder in folders:
        if folder.suffix.lower() in (".tif", ".tiff") or folder.is_file():
            raise OutputError(
                f"{folder} is the target of the maps of several scenes.",
                expected="a folder",
                remedy="give a folder, such as maps",
            )
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # not empty: something is finished, or may be gone on with
                folder.rmdir()
        raise


def _check_outputs(outputs: Sequence[Output], inputs: Sequence[Path | None], *, force: bool) -> None:
    """Make sure before any work that the files may be written."""
    check_paths([one.path for one in outputs], [path for path in inputs if path is not None])
    # A run that was killed between two of its files goes on with the others.
    under_way = store_folder(outputs[0].path).exists()
    for one in outputs:
        check_raster_target(one.path, force=force or under_way)


def _checked_pixels(opened: OpenJob) -> int:
    """Return a scene's number of pixels, once it is sure that it suits the models."""
    image, models = opened.image, opened.models
    if opened.job.scene.bands is None:
        _check_order(image, models.all[0].card)
    models.check(image, opened.given)
    for model in models.all:
        gsd_ratio(image, model.card.gsd_m)
    return image.grid.height * image.grid.width


def _check_same(models: LoadedModels) -> None:
    """Check that two models know the same classes and bands, in one order."""
    if models.coarse is None or models.refiner is None:
        return
    coarse, refiner = models.coarse.card, models.refiner.card
    for what, one, other in (
        ("classes", coarse.schema.names, refiner.schema.names),
        ("bands", coarse.band_names, refiner.band_names),
    ):
        if one != other:
            raise ModelError(
                f"{models.files['coarse']} has the {what} {', '.join(one)}; "
                f"{models.files['refiner']} has {', '.join(other)}.",
                expected=f"a coarse network and a refiner of the same {what} in the same order",
                remedy="train the refiner on scores of this coarse network",
            )


def _check_order(image: Scene, card: ModelCard) -> None:
    """Check that a scene does not have the model's bands in another order."""
    if image.band_names == card.band_names or set(image.band_names) != set(card.band_names):
        return
    numbers = ",".join(str(image.band_names.index(name) + 1) for name in card.band_names)
    raise ModelError(
        f"{image.path} has the bands {', '.join(image.band_names)}; the model was trained on "
        f"{', '.join(card.band_names)}.",
        expected="the bands in the order of the training",
        remedy=f"give bands={numbers}",
    )


def _check_class_order(scores: Scene, card: ModelCard) -> None:
    """Check that scores named as the model's classes are in the model's order."""
    names = card.schema.names
    if scores.band_names != names and set(scores.band_names) == set(names):
        raise ModelError(
            f"{scores.path} has the classes {', '.join(scores.band_names)}; the refiner has {', '.join(names)}.",
            expected="one band a class, in the refiner's order",
            remedy="reorder the bands, for example with gdal_translate -b",
        )
