"""The shipped refiner fitted to a scene and its scores, and the gate it passes before it maps them.

What it needs of a scene is measured on a sample of windows that is the same however the scene is cut: the colours of
the image, and what each class looks like by its own coarse scores.

Without a reference nobody can say whether a refined map is better. What can be seen is how much it changes: a class
that loses most of its place, or wins it, is not refined but replaced. The gate compares both maps on the sample, and
leaves the scores as they are where a class keeps too little. It guards against scenes and scores unlike all that the
refiner has learned on; it does not prove a gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, cast

import numpy as np
import torch

from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.statistics import measure_moments, sample_windows
from crispmap.events import Events
from crispmap.inference.align import scores_on_scene
from crispmap.inference.job import OpenJob
from crispmap.inference.refine import refined_scores
from crispmap.labels.proposal import proposed_colours
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.model import Model, RefinerModel
from crispmap.models.scaling import Scaling, scaled_input
from crispmap.raster.scene import Scene, SceneReader
from crispmap.refiners.general.likeness import AROUND_PX, description, forms_by
from crispmap.refiners.general.network import GeneralRefiner
from crispmap.refiners.general.planes import planes_from, planes_of
from crispmap.refiners.general.shipped import shipped_facts, shipped_network

LEAST_KEPT = 0.15
"""Least overlap (IoU) of a class's place before and after; a guard that was not tuned, see decision 0060."""
_LEAST_SHARE = 0.01  # classes that are rarer in the coarse map are not judged
Scored: TypeAlias = tuple[Scene, SceneReader]
"""An image, and scores on its grid."""


def general_refiner(
    scored: Sequence[Scored], schema: ClassSchema, gsd_m: float, scaling: Scaling | None = None
) -> RefinerModel:
    """Return the shipped refiner for the bands and classes of some scenes; the same scenes give the same model.

    Args:
        gsd_m: The pixel size it works at.
        scaling: How images are scaled; by default to mean 0 and deviation 1.

    Raises:
        ModelError: If the package lacks its weights.
    """
    image = scored[0][0]
    mean, covariance = measure_moments([(one, one.grid.block) for one, _ in scored])
    deviation = np.sqrt(np.diagonal(covariance))
    chosen = scaling or Scaling(tuple(mean), tuple(np.where(deviation > 0, deviation, 1.0)))
    offset, scale = np.array(chosen.offset), np.array(chosen.scale)
    planes = planes_from((mean - offset) / scale, covariance / np.outer(scale, scale))
    network = shipped_network(len(schema), image.band_count, planes, _forms(scored, planes, chosen))
    card = ModelCard(
        kind="refiner", architecture=network.architecture, arguments=network.arguments, schema=schema,
        band_names=image.band_names, scaling=chosen, gsd_m=gsd_m, radius_px=network.radius_px,
        stride_px=network.stride_px, provenance=dict(shipped_facts()),
    )  # fmt: skip
    return Model(network, card)


def gated_refiner(image: Scene, schema: ClassSchema, given: SceneReader) -> tuple[RefinerModel, str]:
    """Return the shipped refiner for a scene and scores over it, and why it leaves them as they are, if it does.

    It works at the scene's own pixel size.
    """
    scores = scores_on_scene(given, image)
    model = general_refiner([(image, scores)], schema, image.grid.mean_gsd_m())
    reason = reason_to_leave(model, image, scores)
    return (leaving_scores(model, reason) if reason else model), reason


def leaving_scores(model: RefinerModel, reason: str) -> RefinerModel:
    """Return the shipped refiner as one that leaves every map as it is; the reason stands in its card."""
    network = cast(GeneralRefiner, model.network)
    network.leave_scores()
    facts = {**model.card.provenance, "left_scores": reason}
    return replace(model, card=replace(model.card, arguments=network.arguments, provenance=facts))


@contextmanager
def general_refiner_file(opened: OpenJob, beside: Path, events: Events) -> Iterator[Path]:
    """Write the shipped refiner for a job's scene and scores to a folder of its own while the job runs.

    The folder lies beside a file, where workers on other machines find it too.
    """
    if opened.given is None:
        raise RuntimeError("the shipped refiner is fitted to scores")
    schema = schema_of(opened.given.band_names)
    model, reason = gated_refiner(opened.image, schema, opened.given)
    events.note(f"No refiner is given: the shipped one refines {', '.join(schema.names)}")
    if reason:
        events.note(f"The scores are left as they are: {reason}")
    with TemporaryDirectory(prefix=f".{beside.stem}.refiner.", dir=beside.absolute().parent) as folder:
        yield save_model(Path(folder) / "general.safetensors", model.network, model.card)


def schema_of(names: Sequence[str]) -> ClassSchema:
    """Return the classes of scores by the names of their bands, each with a colour; SchemaError if two are the same."""
    return ClassSchema(tuple(ClassDef(*one) for one in zip(names, proposed_colours(names), strict=True)))


def reason_to_leave(model: RefinerModel, image: Scene, scores: SceneReader) -> str:
    """Return why a refined map is not to be trusted beside the scores' own; empty where the gate lets it pass."""
    refined = refined_scores(scores, image, model)
    size = len(model.classes)
    joint = np.zeros((size, size), np.int64)
    for _, window in sample_windows([(image, image.grid.block)]):
        (before, valid), (after, known) = scores.read(window), refined.read(window)
        seen = valid & known
        pairs = before.argmax(0)[seen] * size + after.argmax(0)[seen]
        joint += np.bincount(pairs, minlength=size * size).reshape(size, size)
    both, coarse, sharp = np.diagonal(joint), joint.sum(1), joint.sum(0)
    kept = both / np.maximum(coarse + sharp - both, 1)
    for name, share, one in zip(model.classes.names, coarse / max(1, joint.sum()), kept, strict=True):
        if share >= _LEAST_SHARE and one < LEAST_KEPT:
            return f"of {name} only {100 * one:.0f} % would stay where it is (at least {100 * LEAST_KEPT:.0f} %)"
    return ""


def _forms(
    scored: Sequence[Scored], planes: Sequence[Sequence[float]], scaling: Scaling
) -> list[list[list[float]]] | None:
    """Return what each class looks like by its scores, on a sample; None without a valid pixel."""
    scores_of = {id(image): scores for image, scores in scored}
    pixels, known_scores = [], []
    for image, window in sample_windows([(image, image.grid.block) for image, _ in scored]):
        values, valid = image.read(window.padded(AROUND_PX))
        scaled = torch.from_numpy(scaled_input(values, valid, scaling))[None]
        described = description(planes_of(scaled, planes))[0].numpy()
        inner = slice(AROUND_PX, -AROUND_PX)
        coarse, known = scores_of[id(image)].read(window)
        seen = known & valid[inner, inner]
        pixels.append(described[:, inner, inner][:, seen])
        known_scores.append(coarse[:, seen])
    if not any(one.size for one in pixels):
        return None
    return forms_by(np.concatenate(known_scores, axis=1), np.concatenate(pixels, axis=1))
