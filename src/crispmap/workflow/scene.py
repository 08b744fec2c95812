"""Any scene mapped with model files, and the scores of any tool refined."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crispmap.errors import CrispmapWarning, ModelError
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.engine import choose_device
from crispmap.inference.plan import BLOCK_PX
from crispmap.inference.refine import refined_scores as refined_scores_of
from crispmap.inference.run import Output, Progress, write_outputs
from crispmap.models.card import ModelCard
from crispmap.models.store import load_model, model_hash, read_card
from crispmap.scene.raster import open_scene
from crispmap.scene.reader import Scene, SceneReader
from crispmap.scene.scores import ScoreKind, open_scores
from crispmap.scene.writer import check_paths, check_raster_target

_OTHER_GSD = 0.1
"""Relative difference of ground sampling distance from which a refiner is out of its range."""


def predict_scene(  # noqa: PLR0913 - what a person may choose
    scene: Path,
    *,
    model: Path,
    out: Path,
    refiner: Path | None = None,
    scores: Path | None = None,
    coarse: Path | None = None,
    bands: Sequence[int] | None = None,
    assume_gsd_m: float | None = None,
    block_px: int = BLOCK_PX,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Map a scene with a coarse network and, if given, a refiner; return the files written.

    The map lies on the scene's grid, with 255 exactly where the scene is invalid. It does not depend on ``block_px``
    and equals that of ``refine_scene`` on the coarse scores. The files appear together and complete, or not at all.

    Args:
        scene: Any raster GDAL reads.
        model: The coarse network's model file.
        out: The class map to write.
        refiner: The refiner's model file.
        scores: File for the scores behind the map, one band a class.
        coarse: File for the scores before refinement.
        bands: Band numbers, 1-based, in the order the models were trained on. By default every band but alpha.
        assume_gsd_m: Side of a pixel in metres where the scene has no georeference.
        block_px: Side of the blocks read and written.
        device: "auto", "cpu" or "cuda".
        force: Replace files that exist.
        progress: Told the pixels done and the pixels in all.

    Raises:
        ModelError: If a model is missing, damaged, of the wrong kind, or made for other bands or classes.
        SceneError: If the scene cannot be read, has no valid pixel, or pixels far from the model's.
        OutputError: If a file exists and ``force`` is not given, is also an input, or cannot be written.
        InputError: If the device is not available.

    Warns:
        CrispmapWarning: If the refiner was trained at another ground sampling distance than the scene's.
    """
    outputs = _checked([out, scores, coarse], [scene, model, refiner], force)
    choose_device(device)
    network, card = load_model(model, kind="coarse")
    sharpener, sharpener_card = (None, None) if refiner is None else load_model(refiner, kind="refiner")
    if sharpener_card is not None:
        _check_same(card, sharpener_card, model, refiner)
    with open_scene(scene, bands=bands, assume_gsd_m=assume_gsd_m) as image:
        _check_order(image, card, chosen=bands is not None)
        before = coarse_scores(image, network, card, device=device, block_px=block_px)
        best: SceneReader = before
        if sharpener_card is not None:
            best = _refined(before, image, sharpener, sharpener_card, device=device, block_px=block_px)
        products = [Output(best, out, scores), Output(before, scores_path=coarse)]
        write_outputs(
            [product for product in products if product.paths], card.schema,
            block_px=block_px, force=force, progress=progress, tags=model_tags(coarse=model, refiner=refiner),
        )  # fmt: skip
    return outputs


def refine_scene(  # noqa: PLR0913 - what a person may choose
    scores: Path,
    *,
    scene: Path,
    refiner: Path,
    out: Path,
    refined_scores: Path | None = None,
    kind: ScoreKind = "auto",
    full_scale: float | None = None,
    bands: Sequence[int] | None = None,
    assume_gsd_m: float | None = None,
    block_px: int = BLOCK_PX,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Sharpen the scores of any tool on a scene with a refiner; return the files written.

    The map lies on the scene's grid, with 255 exactly where the scene or the scores are invalid. The files appear
    together and complete, or not at all.

    Args:
        scores: Scores or probabilities, one band a class in the refiner's order, or one band for the second of two;
            on the scene's grid or over the same ground with pixels of another size.
        scene: The scene the scores were made from.
        refiner: The refiner's model file.
        out: The class map to write.
        refined_scores: File for the refined scores, one band a class.
        kind: What the scores are: "logit", "probability", or "auto" to tell it from the values.
        full_scale: The value that stands for probability 1 in scores held as integers.
        bands: Band numbers of the scene, 1-based, in the order the refiner was trained on.
        assume_gsd_m: Side of a pixel in metres where the scene has no georeference.
        block_px: Side of the blocks read and written.
        device: "auto", "cpu" or "cuda".
        force: Replace files that exist.
        progress: Told the pixels done and the pixels in all.

    Raises:
        ModelError: If the refiner is missing, damaged, or made for other bands or classes.
        SceneError: If scores or scene cannot be read, or hold no valid pixel together.
        GridError: If scores and scene do not cover the same ground.
        OutputError: If a file exists and ``force`` is not given, is also an input, or cannot be written.
        InputError: If the device is not available.

    Warns:
        CrispmapWarning: If the refiner was trained at another ground sampling distance than the scene's.
    """
    outputs = _checked([out, refined_scores], [scores, scene, refiner], force)
    choose_device(device)
    sharpener, card = load_model(refiner, kind="refiner")
    with ExitStack() as stack:
        image = stack.enter_context(open_scene(scene, bands=bands, assume_gsd_m=assume_gsd_m))
        before = stack.enter_context(open_scores(scores, kind=kind, full_scale=full_scale))
        _check_order(image, card, chosen=bands is not None)
        _check_class_order(before, card)
        best = _refined(before, image, sharpener, card, device=device, block_px=block_px)
        write_outputs(
            [Output(best, out, refined_scores)], card.schema,
            block_px=block_px, force=force, progress=progress, tags=model_tags(refiner=refiner),
        )  # fmt: skip
    return outputs


def _checked(outputs: Sequence[Path | None], inputs: Sequence[Path | None], force: bool) -> list[Path]:
    """Return the files to write, sure before any work that they may be written."""
    wanted = [Path(path) for path in outputs if path is not None]
    check_paths(wanted, [Path(path) for path in inputs if path is not None])
    return [check_raster_target(path, force=force) for path in wanted]


def _refined(
    scores: SceneReader, image: Scene, refiner: Any, card: ModelCard, *, device: str, block_px: int
) -> SceneReader:
    """Return refined scores, warning where the scene's pixels are not those the refiner learned on."""
    gsd_m = image.grid.mean_gsd_m()
    if abs(gsd_m / card.gsd_m - 1) > _OTHER_GSD:
        warnings.warn(
            f"The refiner was trained at {card.gsd_m:.3g} m and {image.path} has pixels of {gsd_m:.3g} m. "
            "It works in pixels, so expect a poorer map; resample the scene or train a refiner at its distance.",
            CrispmapWarning,
            stacklevel=3,
        )
    return refined_scores_of(scores, image, refiner, card, device=device, block_px=block_px)


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
