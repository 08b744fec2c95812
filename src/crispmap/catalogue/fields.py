"""What items of maps and of models have in common: the schemas they state, their classes, their time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crispmap.classes import ClassSchema

STAC_VERSION = "1.1.0"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
MLM = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"

Item = dict[str, Any]


def item_of(
    path: Path, extensions: Sequence[str], place: dict[str, Any], properties: dict[str, Any], assets: dict[str, Any]
) -> Item:
    """Return the item of one file, without links; ``place`` has its geometry, and its bbox where it has one."""
    return {
        "type": "Feature", "stac_version": STAC_VERSION, "stac_extensions": list(extensions), "id": path.stem, **place,
        "properties": properties, "links": [], "assets": assets,
    }  # fmt: skip


def classes_of(schema: ClassSchema) -> list[dict[str, Any]]:
    """Return the classes as the classification extension has them: a name of plain letters, and the real one as title.

    Its earlier versions, which the extension of models refers to, ask for a description.
    """
    names: list[str] = []
    for index, one in enumerate(schema):
        name = re.sub(r"[^0-9A-Za-z_-]+", "-", one.name).strip("-") or f"class-{index}"
        names.append(f"{name}-{index}" if name in names else name)
    return [
        {"value": index, "name": name, "title": one.name, "description": one.name, "color_hint": one.colour[1:].upper()}
        for index, (name, one) in enumerate(zip(names, schema, strict=True))
    ]


def time_text(moment: datetime) -> str:
    """Return a moment as STAC writes it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def written_at(path: Path) -> str:
    """Return when a file was last written."""
    return time_text(datetime.fromtimestamp(path.stat().st_mtime, UTC))
