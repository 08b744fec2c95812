"""The pictures of the pages: the whole area, crops step by step, maps side by side, and errors of maps.

Every function takes a share, 0..1, of the full size of pictures, so that a page can be kept small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.report.pages.html import Picture, data_uri, picture
from crispmap.report.pages.report_data import ReportData
from crispmap.report.pictures.maps import HEAT_LEVELS, class_map_png, error_map_png, gain_map_png, heat_png
from crispmap.report.pictures.photos import every, photo_jpeg
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Crop, Overview, Strip, Whole
from crispmap.types import IGNORE, FloatArray, LabelArray

OVERVIEW_SIDE_PX = 1024
STRIP_SIDE_PX = 480
CROP_SIDE_PX = 320
_ACTIVATION_SIDE_PX = 240
_ERROR_SIDE_PX = 640
_LOCATOR_SIDE_PX = 640
_MOST_CLASSES = 12  # classes with pictures of their own; of more those with most pixels in the reference


def pictured_classes(data: ReportData) -> list[int]:
    """Return the ids of the classes, but the background, that have pictures of their own."""
    pixels = data.best.evaluation.confusion.reference_px
    others = sorted(range(1, len(data.schema)), key=lambda k: -int(pixels[k]))
    return sorted(others[:_MOST_CLASSES])


def gain_picture(area: Overview, schema: ClassSchema, pair: tuple[str, str], share: float) -> Picture:
    """Return where the second of two maps is right and the first is not, and so on, over the image in grey.

    Without a reference it is the second map in its colours.
    """
    side, (before, after) = _px(OVERVIEW_SIDE_PX, share), pair
    reference, old, new = (every(one, side) for one in (area.reference, area.maps[before], area.maps[after]))
    if (reference == IGNORE).all():
        return _class_map(area.maps[after], schema, (after, "The whole area"), side, area.place)
    grey = photo_jpeg(area.image, max_side_px=_px(OVERVIEW_SIDE_PX, 0.75 * share), quality=70, grey=True)
    what = f"Where the {after} is right and wrong"
    alt = what if before == after else f"{what}, beside the {before}"
    return picture(gain_map_png(old, new, reference), what, alt, kind="over", place=area.place, under=grey)


def overview_pictures(area: Overview, schema: ClassSchema, share: float) -> list[Picture]:
    """Return image, reference and maps of the whole area."""
    side = _px(OVERVIEW_SIDE_PX, share)
    maps = {"reference": area.reference, **area.maps}
    return [
        _photo(area.image, "The whole area", side, area.place),
        *(_class_map(labels, schema, (name, "The whole area"), side, area.place) for name, labels in maps.items()),
    ]


def error_pictures(data: ReportData, share: float) -> list[tuple[str, list[Picture]]]:
    """Return, for each class but the background, the error maps of all maps; none without an overview."""
    area, side = data.overview, _px(_ERROR_SIDE_PX, share)
    if area is None or (area.reference == IGNORE).all():
        return []
    reference = every(area.reference, side)

    def errors(labels: LabelArray, name: str, class_id: int) -> Picture:
        alt = f"{name}: hits, misses and false alarms of {data.schema[class_id].name}"
        return picture(
            error_map_png(every(labels, side), reference, class_id), name, alt, kind="marks", place=area.place
        )

    return [
        (data.schema[class_id].name, [errors(labels, name, class_id) for name, labels in area.maps.items()])
        for class_id in pictured_classes(data)
    ]


def step_names(count: int) -> list[str]:
    """Return the names of maps after 0, 1, .. steps of refinement."""
    names = ["coarse", *(f"step {step}" for step in range(1, count))]
    if count > 1:
        names[-1] += ", refined"
    return names


def locator(whole: Whole | None, crops: Sequence[Crop | Strip], share: float) -> dict[str, Any] | None:
    """Return a picture of a whole area with the boxes of the crops inside, in percent; None where none is."""
    if whole is None:
        return None
    boxes = [
        (number, crop.title, _box(crop.place, whole.place))
        for number, crop in enumerate(crops, 1)
        if crop.place is not None and _within(crop.place, whole.place)
    ]
    photo = photo_jpeg(whole.image, max_side_px=_px(_LOCATOR_SIDE_PX, share), quality=75)
    shown = picture(photo, "", "The whole area: image", kind="photo", place=whole.place)
    return {"picture": shown, "boxes": boxes} if boxes else None


def _within(inner: Place, outer: Place) -> bool:
    return inner.scene == outer.scene and inner.block.intersection(outer.block) == inner.block


def _box(inner: Place, outer: Place) -> Mapping[str, str]:
    """Return left, top, width and height of a place within another, in percent."""
    one, whole = inner.block.relative_to(outer.block), outer.block
    shares = {"left": one.col / whole.width, "top": one.row / whole.height,
              "width": one.width / whole.width, "height": one.height / whole.height}  # fmt: skip
    return {name: f"{100 * value:.2f}%" for name, value in shares.items()}


def crop_view(crop: Crop, number: int, schema: ClassSchema, share: float) -> dict[str, Any]:
    """Return one crop's pictures: image, reference and the maps that count."""
    names = list(crop.names) or step_names(len(crop.steps))
    side, title = _px(CROP_SIDE_PX, share), crop.title
    maps = {"reference": crop.reference, names[0]: crop.steps[0]}
    if crop.rethresholded is not None:
        maps["re-thresholded"] = crop.rethresholded
    maps[names[-1]] = crop.steps[-1]
    return {
        "number": number,
        "title": title,
        "place": "" if crop.place is None else crop.place.text,
        "right": _right_text(crop),
        "pictures": [
            _photo(crop.image, title, side, crop.place),
            *(_class_map(labels, schema, (name, title), side, crop.place) for name, labels in maps.items()),
        ],
    }


def _right_text(crop: Crop) -> str:
    """Return how much of a crop is right before and after, in words; nothing without a reference."""
    before = crop.steps[0] if crop.rethresholded is None else crop.rethresholded
    known = (crop.reference != IGNORE) & (before != IGNORE) & (crop.steps[-1] != IGNORE)
    if not known.any() or len(crop.steps) == 1:
        return ""
    was, now = (100 * float((one == crop.reference)[known].mean()) for one in (before, crop.steps[-1]))
    name = "coarse" if crop.rethresholded is None else "re-thresholded"
    return f"{was:.1f} % of its pixels are right in the {name} map, {now:.1f} % in the final one"


def steps_view(crop: Crop, data: ReportData, share: float) -> dict[str, Any]:
    """Return the maps of a crop after every step in a row, heat maps of each class below."""
    names = list(crop.names) or step_names(len(crop.steps))
    side, title = _px(CROP_SIDE_PX, share), crop.title
    kept = {data.schema[class_id].name for class_id in pictured_classes(data)}
    heats = [
        {
            "name": name,
            "pictures": [
                _heat(plane, step, f"{title}: probability of {name}, {step}", side, crop.place)
                for plane, step in zip(planes, names, strict=True)
            ],
        }
        for name, planes in crop.heat.items()
        if name in kept
    ]
    maps = zip(names, crop.steps, strict=True)
    return {
        "title": title,
        "place": "" if crop.place is None else crop.place.text,
        "maps": [_class_map(labels, data.schema, (name, title), side, crop.place) for name, labels in maps],
        "heats": heats,
        "columns": len(names),
    }


def strip_view(strip: Strip, schema: ClassSchema, share: float) -> dict[str, Any]:
    """Return the pictures of a strip: the image and every map; below, by network, the probability of each class."""
    side, title = _px(STRIP_SIDE_PX, share), strip.title
    maps = [_class_map(labels, schema, (name, title), side, strip.place) for name, labels in strip.maps.items()]
    small = _px(_ACTIVATION_SIDE_PX, share)
    activations = [
        {
            "name": network,
            "pictures": [
                _heat(plane, name, f"{title}: probability of {name}, {network}", small, strip.place)
                for name, plane in list(by_class.items())[: _MOST_CLASSES + 1]
            ],
            "more": max(0, len(by_class) - _MOST_CLASSES - 1),
        }
        for network, by_class in strip.activations.items()
    ]
    return {
        "title": title,
        "place": "" if strip.place is None else strip.place.text,
        "right": "",
        "pictures": [_photo(strip.image, title, side, strip.place), *maps],
        "activations": activations,
    }


def extremes_of(panels: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the worst and the best of images, ordered from the best, with image, reference and the last map alone."""
    ends = [("Worst", panels[-1]), ("Best", panels[0])] if len(panels) > 1 else []
    return [
        {"rank": rank, "title": one["title"], "pictures": [*one["pictures"][:2], one["pictures"][-1]]}
        for rank, one in ends
    ]


def heat_ramp() -> str:
    """Return the colours of probabilities from 0 to 1, as an address."""
    return data_uri(heat_png(np.linspace(0, 1, HEAT_LEVELS, dtype=np.float32)[None]))


def _px(full: int, share: float) -> int:
    return max(24, round(full * share))


def _photo(image: NDArray[np.uint8], title: str, side_px: int, place: Place | None) -> Picture:
    """Return an image with the title of what it is of."""
    return picture(photo_jpeg(image, max_side_px=side_px), "image", f"{title}: image", kind="photo", place=place)


def _heat(plane: FloatArray, caption: str, alt: str, side_px: int, place: Place | None) -> Picture:
    """Return a plane of probabilities in the colours of ``heat_ramp``."""
    return picture(heat_png(every(plane, side_px)), caption, alt, kind="heat", place=place)


def _class_map(
    labels: LabelArray, schema: ClassSchema, named: tuple[str, str], side_px: int, place: Place | None
) -> Picture:
    """Return a map with its name and the title of what it is of."""
    name, title = named
    return picture(class_map_png(every(labels, side_px), schema), name, f"{title}: {name}", place=place)
