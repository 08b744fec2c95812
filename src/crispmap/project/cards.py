"""The card of a model trained for a project."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import torch

from crispmap.models.architecture import Kind
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.card import ModelCard
from crispmap.models.scaling import Scaling
from crispmap.project.file import Project
from crispmap.raster.scene import Scene


def model_card(
    network: CoarseNetwork | Refiner,
    project: Project,
    image: Scene,
    scaling: Scaling,
    gsd_m: float,
    facts: Mapping[str, Any],
) -> ModelCard:
    """Return the card of a model trained or fitted for a project.

    Args:
        network: The model.
        project: The project.
        image: The scene it learned from.
        scaling: The constants it learned with.
        gsd_m: Its ground sampling distance.
        facts: What the provenance tells besides project, seed and versions.
    """
    kind: Kind = "coarse" if isinstance(network, CoarseNetwork) else "refiner"
    return ModelCard(
        kind=kind,
        architecture=network.architecture,
        arguments=network.arguments,
        schema=project.schema,
        band_names=image.band_names,
        scaling=scaling,
        gsd_m=gsd_m,
        radius_px=network.radius_px,
        stride_px=network.stride_px if isinstance(network, CoarseNetwork) else 1,
        provenance={
            "project": project.name,
            "seed": project.seed,
            "crispmap": importlib.metadata.version("crispmap"),
            "torch": torch.__version__,
            **facts,
        },
    )
