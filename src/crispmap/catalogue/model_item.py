"""The item of a model, by the extension for machine learning models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from crispmap.catalogue.fields import CLASSIFICATION, MLM, Item, classes_of, item_of, written_at
from crispmap.errors import ModelError
from crispmap.models.card import ModelCard, model_hash
from crispmap.models.describe import describe_model

SHA256 = "crispmap:sha256"
"""The property of an item with the hash of its model, which the tags of maps have too."""

_IMAGE = ["batch", "bands", "height", "width"]
_SCORES = ["batch", "class", "height", "width"]
_ANY = -1  # a length that the model does not ask for


def model_item(path: Path) -> Item:
    """Return the item of a model file, which has no place on earth.

    Raises:
        ModelError: If it cannot be read, or has no card of crispmap.
    """
    facts = describe_model(path)
    card = facts.card
    if card is None:
        raise ModelError(
            f"{path} has no crispmap model card.", expected="a model file written by crispmap train",
            remedy="Train a model, or ask where the file comes from.",
        )  # fmt: skip
    tasks = ["classification" if "square_px" in card.arguments else "semantic-segmentation"]
    bands = [{"name": name} for name in dict.fromkeys(card.band_names)]
    properties = {
        "datetime": written_at(path), "updated": written_at(path), "title": f"{card.architecture}, {facts.kind}",
        "gsd": card.gsd_m, "bands": bands,
        "mlm:name": f"crispmap {_plain(facts.kind)} {_plain(card.architecture)}",
        "mlm:architecture": card.architecture, "mlm:framework": "PyTorch", "mlm:tasks": tasks,
        "mlm:total_parameters": facts.weights, "mlm:input": _inputs(card), "mlm:output": [_output(card, tasks)],
        "mlm:hyperparameters": _hyperparameters(card), SHA256: model_hash(path),
    }  # fmt: skip
    assets = {
        "model": {
            "href": f"./{path.name}", "type": "application/octet-stream; application=safetensors",
            "title": "Weights, and the model card in their metadata", "roles": ["mlm:model", "mlm:weights", "data"],
            "mlm:artifact_type": "safetensors.torch.save_file", "bands": bands,
        }
    }  # fmt: skip
    return item_of(path, [MLM, CLASSIFICATION], {"geometry": None}, properties, assets)


def _inputs(card: ModelCard) -> list[dict[str, Any]]:
    """Return what a model takes: an image, and a refiner also the scores that it sharpens."""
    image = {
        "name": "image", "description": "Raw values of the scene; 0 after scaling where a pixel is invalid.",
        "bands": list(card.band_names), "input": _tensor(len(card.band_names), _IMAGE), "resize_type": None,
        "value_scaling": [
            {"type": "z-score", "mean": mean, "stddev": scale}
            for mean, scale in zip(card.scaling.offset, card.scaling.scale, strict=True)
        ],
        "pre_processing_function": None,
    }  # fmt: skip
    if card.kind == "coarse":
        return [image]
    scores: dict[str, Any] = {
        "name": "scores", "description": "Coarse scores, as logits.", "bands": [],
        "input": _tensor(len(card.schema), _SCORES), "resize_type": None, "pre_processing_function": None,
    }  # fmt: skip
    return [image, scores]


def _output(card: ModelCard, tasks: list[str]) -> dict[str, Any]:
    return {
        "name": "scores", "description": "A logit for each class; their softmax are probabilities.", "tasks": tasks,
        "bands": [], "result": _tensor(len(card.schema), _SCORES), "classification:classes": classes_of(card.schema),
        "post_processing_function": None,
    }  # fmt: skip


def _tensor(count: int, dimensions: list[str]) -> dict[str, Any]:
    return {"shape": [_ANY, count, _ANY, _ANY], "dim_order": dimensions, "data_type": "float32"}


def _hyperparameters(card: ModelCard) -> dict[str, Any]:
    """Return the arguments of the architecture, and by which windows it is run."""
    own = {_plain(key): value for key, value in card.arguments.items()}
    return own | {"radius_px": card.radius_px, "stride_px": card.stride_px}


def _plain(text: str) -> str:
    """Return a text of plain letters, digits and dashes, as names of models and their settings have to be."""
    return re.sub(r"[^0-9A-Za-z_.-]+", "-", text).strip("-_.") or "x"
