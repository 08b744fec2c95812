"""The pictures of the pages: the whole area, crops step by step, maps side by side, and errors of maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.report.pages.html import Picture, data_uri, picture
from crispmap.report.pages.report_data import ReportData
from crispmap.report.pictures.maps import HEAT_LEVELS, class_map_png, error_map_png, heat_png
from crispmap.report.pictures.photos import every, photo_jpeg
from crispmap.report.pictures.views import Crop, Strip
from crispmap.types import LabelArray

CROP_SIDE_PX = 320
STRIP_SIDE_PX = 480
_ACTIVATION_SIDE_PX = 240
OVERVIEW_SIDE_PX = 1024
_ERROR_SIDE_PX = 640


def overview_pictures(data: ReportData) -> list[Picture]:
    """Return the pictures of the whole area; none without an overview."""
    area = data.overview
    if area is None:
        return []
    maps = {"Reference": area.reference, **area.maps}
    photo = photo_jpeg(area.image, max_side_px=OVERVIEW_SIDE_PX)
    return [picture(photo, "Image", "Image of the whole area")] + [
        picture(class_map_png(every(labels, OVERVIEW_SIDE_PX), data.schema), name, f"{name}, whole area")
        for name, labels in maps.items()
    ]


def overview_thinning(data: ReportData) -> int:
    """Return the thinning factor, along each axis, of the pictures of the whole area."""
    return 1 if data.overview is None else -(-max(data.overview.reference.shape) // OVERVIEW_SIDE_PX)


def error_pictures(data: ReportData) -> list[tuple[str, list[Picture]]]:
    """Return, for each class but the background, the error maps of all maps; none without an overview."""
    area = data.overview
    if area is None:
        return []
    reference = every(area.reference, _ERROR_SIDE_PX)

    def errors(labels: LabelArray, name: str, class_id: int) -> Picture:
        content = error_map_png(every(labels, _ERROR_SIDE_PX), reference, class_id)
        return picture(content, name, f"{name}: hits, misses and false alarms of {data.schema[class_id].name}")

    return [
        (one.name, [errors(labels, name, class_id) for name, labels in area.maps.items()])
        for class_id, one in enumerate(data.schema)
        if class_id > 0
    ]


def step_names(count: int) -> list[str]:
    """Return the names of maps after 0, 1, .. steps of refinement."""
    names = ["coarse", *(f"step {step}" for step in range(1, count))]
    if count > 1:
        names[-1] += ", refined"
    return names


def crop_view(crop: Crop, schema: ClassSchema) -> dict[str, Any]:
    """Return one crop's pictures: class maps in a row, heat maps of each class below."""
    names = list(crop.names) or step_names(len(crop.steps))
    before = {"reference": crop.reference}
    if crop.rethresholded is not None:
        before["re-thresholded"] = crop.rethresholded
    maps = [*before.items(), *zip(names, crop.steps, strict=True)]
    photo = picture(photo_jpeg(crop.image, max_side_px=CROP_SIDE_PX), "image", f"{crop.title}: image")
    heats = [
        {
            "name": name,
            "pictures": [
                picture(heat_png(every(plane, CROP_SIDE_PX)), step, f"{crop.title}: probability of {name}, {step}")
                for plane, step in zip(planes, names, strict=True)
            ],
        }
        for name, planes in crop.heat.items()
    ]
    return {
        "title": crop.title,
        "maps": [photo, *(_class_map(labels, schema, name, crop.title) for name, labels in maps)],
        "heats": heats,
        "columns": 1 + len(maps),
        "before": 1 + len(before),
    }


def strip_view(strip: Strip, schema: ClassSchema) -> dict[str, Any]:
    """Return the pictures of a strip: the image and every map; below, by network, the probability of each class."""
    photo = picture(photo_jpeg(strip.image, max_side_px=STRIP_SIDE_PX), "image", f"{strip.title}: image")
    maps = [_class_map(labels, schema, name, strip.title, STRIP_SIDE_PX) for name, labels in strip.maps.items()]
    activations = [
        {
            "name": network,
            "pictures": [
                picture(
                    heat_png(every(plane, _ACTIVATION_SIDE_PX)),
                    name,
                    f"{strip.title}: probability of {name}, {network}",
                )
                for name, plane in by_class.items()
            ],
        }
        for network, by_class in strip.activations.items()
    ]
    return {"title": strip.title, "pictures": [photo, *maps], "activations": activations}


def heat_ramp() -> str:
    """Return the colours of probabilities from 0 to 1, as an address."""
    return data_uri(heat_png(np.linspace(0, 1, HEAT_LEVELS, dtype=np.float32)[None]))


def _class_map(labels: LabelArray, schema: ClassSchema, name: str, title: str, side_px: int = CROP_SIDE_PX) -> Picture:
    return picture(class_map_png(every(labels, side_px), schema), name, f"{title}: {name}")
