"""Any scenes mapped with model files, and the scores of any tool refined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from crispmap.errors import ModelError, OutputError
from crispmap.events import SILENT, Events, progress
from crispmap.inference.coarse import check_bands, gsd_ratio
from crispmap.inference.job import GivenScores, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Confidence, Scores
from crispmap.inference.run import MapResult, Output, is_made, make_maps
from crispmap.models.card import ModelCard
from crispmap.models.file import model_hash, read_card
from crispmap.raster.block_store import store_folder
from crispmap.raster.refs import SceneRef
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.scene import Scene
from crispmap.raster.scores import ScoreKind, open_scores
from crispmap.raster.spec import ScoreEncoding
from crispmap.raster.targets import check_paths, check_raster_target


@dataclass(frozen=True)
class Outputs:
    """What to write of every scene: a file for one scene, a folder of files named after the scenes for several.

    Attributes:
        out: The class map.
        scores: The scores behind the map, one band a class.
        coarse: The scores before refinement, likewise.
        confidence: The largest probability, and the entropy of all.
        encoding: How scores are held.
    """

    out: Path
    scores: Path | None = None
    coarse: Path | None = None
    confidence: Path | None = None
    encoding: ScoreEncoding = "float32"

    def files(self, name: str | None) -> list[Output]:
        """Return the files of one scene; ``name`` is that of the scene where there are several."""
        chosen = (
            (ClassMap(), self.out, "refined"),
            (Scores(self.encoding), self.scores, "refined"),
            (Scores(self.encoding), self.coarse, "coarse"),
            (Confidence(), self.confidence, "refined"),
        )
        return [
            Output(product, path if name is None else path / f"{name}.tif", layer)  # type: ignore[arg-type]
            for product, path, layer in chosen
            if path is not None
        ]


def predict_scenes(
    scenes: Sequence[str],
    *,
    model: Path,
    outputs: Outputs,
    refiner: Path | None = None,
    bands: Sequence[int] | None = None,
    assume_gsd_m: float | None = None,
    options: PredictOptions = PredictOptions(),
    events: Events = SILENT,
) -> list[MapResult]:
    """Map scenes with a coarse network and, if given, a refiner; return what has come of each.

    A map lies on its scene's grid, with 255 exactly where the scene is invalid, and does not depend on how the work
    was cut or shared out. All files of a scene appear together and complete, or not at all. Of several scenes those
    that this very job has mapped before are not mapped again.

    Args:
        scenes: Paths, globs, STAC items or addresses; see ``resolve_scenes``.
        model: The coarse network's model file.
        outputs: The files to write.
        refiner: The refiner's model file.
        bands: Band numbers, 1-based, in the order the models were trained on. By default every band but alpha.
        assume_gsd_m: Side of a pixel in metres where a scene has no georeference.
        options: How to go about it.
        events: What progress is reported to.

    Raises:
        ModelError: If a model is missing, damaged, of the wrong kind, or made for other bands or classes.
        SceneError: If a scene cannot be read, has no valid pixel, or pixels far from the model's.
        OutputError: If a file exists and ``force`` is not given, is also an input, or cannot be written.
        InputError: If engine, precision or device are not available.
        ClusterError: If workers or scheduler cannot be reached, or are lost.
    """
    refs = resolve_scenes(scenes, bands=bands, assume_gsd_m=assume_gsd_m)
    jobs = [MapJob(ref, model, refiner) for ref in refs]
    several = len(refs) > 1 or outputs.out.is_dir()
    files_of = [outputs.files(ref.name if several else None) for ref in refs]
    with _folders([one.path.parent for one in files_of[0]] if several else []):
        made = [several and not options.force and is_made(files) for files in files_of]
        for job, files, done in zip(jobs, files_of, made, strict=True):
            _check_outputs(files, [*job.scene.paths, model, refiner], force=options.force or done)
        card, sharpener = _checked_cards(model, refiner)
        pixels = [_checked_pixels(job, card, sharpener) for job in jobs]
        tags = model_tags(coarse=model, refiner=refiner)
        with progress(events, f"{len(jobs)} maps", sum(pixels)) if len(jobs) > 1 else nullcontext(events) as whole:
            return [
                make_maps(job, files, card.schema, options=options, tags=tags, events=whole, keep_made=done)
                for job, files, done in zip(jobs, files_of, made, strict=True)
            ]


def refine_scene(  # noqa: PLR0913 - what a person may choose
    scores: Path,
    *,
    scene: str,
    refiner: Path,
    outputs: Outputs,
    kind: ScoreKind = "auto",
    full_scale: float | None = None,
    bands: Sequence[int] | None = None,
    assume_gsd_m: float | None = None,
    options: PredictOptions = PredictOptions(),
    events: Events = SILENT,
) -> MapResult:
    """Sharpen the scores of any tool on a scene with a refiner; return what has come of it.

    The map lies on the scene's grid, with 255 exactly where the scene or the scores are invalid. The files appear
    together and complete, or not at all.

    Args:
        scores: Scores or probabilities, one band a class in the refiner's order, or one band for the second of two;
            on the scene's grid or over the same ground with pixels of another size.
        scene: The scene the scores were made from.
        refiner: The refiner's model file.
        outputs: The files to write.
        kind: What the scores are: "logit", "probability", or "auto" to infer it from the values.
        full_scale: The value that stands for probability 1 in scores held as integers.
        bands: Band numbers of the scene, 1-based, in the order the refiner was trained on.
        assume_gsd_m: Side of a pixel in metres where the scene has no georeference.
        options: How to go about it.
        events: What progress is reported to.

    Raises:
        ModelError: If the refiner is missing, damaged, or made for other bands or classes.
        SceneError: If scores or scene cannot be read, or hold no valid pixel together.
        GridError: If scores and scene do not cover the same ground.
        OutputError: If a file exists and ``force`` is not given, is also an input, or cannot be written.
        InputError: If engine, precision or device are not available.
        ClusterError: If workers or scheduler cannot be reached, or are lost.
    """
    ref = _only(resolve_scenes([scene], bands=bands, assume_gsd_m=assume_gsd_m))
    job = MapJob(ref, refiner=refiner, scores=GivenScores(scores, kind, full_scale))
    files = outputs.files(None)
    _check_outputs(files, [scores, *ref.paths, refiner], force=options.force)
    card = read_card(refiner)
    with open_scores(scores, kind=kind, full_scale=full_scale, assume_gsd_m=assume_gsd_m) as before:
        _check_class_order(before, card)
    _checked_pixels(job, card, card)
    tags = model_tags(refiner=refiner)
    return make_maps(job, files, card.schema, options=options, tags=tags, events=events)


def _only(refs: Sequence[SceneRef]) -> SceneRef:
    if len(refs) != 1:
        raise OutputError(
            f"{len(refs)} scenes are given for one raster of scores.",
            expected="the one scene the scores were made from",
            remedy="name that scene",
        )
    return refs[0]


@contextmanager
def _folders(folders: Sequence[Path]) -> Iterator[None]:
    """Make the folders that are missing; those still empty when the work inside fails are removed again.

    Raises:
        OutputError: If one is a file, or called like one.
    """
    missing = [folder for folder in dict.fromkeys(folders) if not folder.exists()]
    for folder in folders:
        if folder.suffix.lower() in (".tif", ".tiff") or folder.is_file():
            raise OutputError(
                f"{folder} is to hold the maps of several scenes.",
                expected="a folder",
                remedy="give a folder, such as --out maps",
            )
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # not empty: something is finished, or may be gone on with
                folder.rmdir()
        raise


def _checked_cards(model: Path, refiner: Path | None) -> tuple[ModelCard, ModelCard | None]:
    """Return the cards of both models, sure that they know the same classes and bands."""
    card = read_card(model)
    if refiner is None:
        return card, None
    sharpener = read_card(refiner)
    _check_same(card, sharpener, model, refiner)
    return card, sharpener


def _check_outputs(outputs: Sequence[Output], inputs: Sequence[Path | None], *, force: bool) -> None:
    """Make sure before any work that the files may be written."""
    check_paths([one.path for one in outputs], [path for path in inputs if path is not None])
    # A run that was killed between two of its files goes on with the others.
    under_way = store_folder(outputs[0].path).exists()
    for one in outputs:
        check_raster_target(one.path, force=force or under_way)


def _checked_pixels(job: MapJob, card: ModelCard, refiner: ModelCard | None) -> int:
    """Return a scene's number of pixels, once it is sure that it suits the models."""
    with job.image() as image:
        _check_order(image, card, chosen=job.scene.bands is not None)
        if card.kind == "coarse":
            check_bands(image, card)
        for one in (card, refiner):
            if one is not None:
                gsd_ratio(image, one.gsd_m)
        return image.grid.height * image.grid.width


def _check_same(coarse: ModelCard, refiner: ModelCard, coarse_path: Path, refiner_path: Path | None) -> None:
    """Check that two models know the same classes and bands, in one order."""
    for what, one, other in (
        ("classes", coarse.schema.names, refiner.schema.names),
        ("bands", coarse.band_names, refiner.band_names),
    ):
        if one != other:
            raise ModelError(
                f"{coarse_path} has the {what} {', '.join(one)}; {refiner_path} has {', '.join(other)}.",
                expected=f"a coarse network and a refiner of the same {what} in the same order",
                remedy="train the refiner on scores of this coarse network",
            )


def _check_order(image: Scene, card: ModelCard, *, chosen: bool) -> None:
    """Check that a scene does not have the model's bands in another order, unless a person chose the order."""
    if chosen or image.band_names == card.band_names or set(image.band_names) != set(card.band_names):
        return
    numbers = ",".join(str(image.band_names.index(name) + 1) for name in card.band_names)
    raise ModelError(
        f"{image.path} has the bands {', '.join(image.band_names)}; the model was trained on "
        f"{', '.join(card.band_names)}.",
        expected="the bands in the order of the training",
        remedy=f"give --bands {numbers}",
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


def model_tags(**models: Path | None) -> dict[str, str]:
    """Return what a map says of its making: the version, and architecture and hash of its models by role."""
    tags = {"CRISPMAP_VERSION": version("crispmap")}
    for role, path in models.items():
        if path is not None:
            tags[f"CRISPMAP_{role.upper()}"] = read_card(path).architecture
            tags[f"CRISPMAP_{role.upper()}_SHA256"] = model_hash(path)
    return tags
