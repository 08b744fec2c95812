"""The layouts of data sets: where images and masks lie, what masks mean, and which folders are for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crispmap.classes import ClassDef

PARTS = {"": "coarse", "train": "coarse", "valid": "validation", "val": "validation", "test": "test"}
"""The role of a data set's own folders; what lies in no such folder, or to train, is split."""
CLASS_FILE = "class_dict.csv"
UNKNOWN_NAMES = ("unknown", "ignore", "ignored", "void", "unlabelled", "unlabeled", "nodata")
"""Names of colours in a class file that stand for no class."""


@dataclass(frozen=True)
class Layout:
    """What is known of a kind of data set."""

    name: str
    summary: str
    # patterns within a folder of PARTS: of images, with one *, and of their masks, with {id} for what the * stands for
    patterns: tuple[tuple[str, str], ...] = ()
    parts: Mapping[str, str] = field(default_factory=lambda: PARTS)  # roles by folder
    lists: Mapping[str, str] = field(default_factory=dict)  # text files of ids, by role
    tile_px: int | None = None  # an id NAME_k of a list is tile k of image NAME, of this side, counted row by row
    classes: tuple[ClassDef, ...] = ()  # where neither the project nor a class file names them
    ignored: tuple[str, ...] = ()  # colours of pixels that nothing is known of
    gsd_m: float | None = None  # of images without georeference
    class_folders: bool = False  # whether the folder of an image is its class, in place of a mask
    tolerance: int = 16  # how far colours may be from those of classes, in each channel


_BACKGROUND = ClassDef("background", "#000000")

LAYOUTS = {
    one.name: one
    for one in (
        Layout(
            "deepglobe", "ID_sat.jpg and ID_mask.png side by side, colours in class_dict.csv",
            patterns=(("*_sat.jpg", "{id}_mask.png"),),
            classes=(
                ClassDef("urban_land", "#00ffff"), ClassDef("agriculture_land", "#ffff00"),
                ClassDef("rangeland", "#ff00ff"), ClassDef("forest_land", "#00ff00"), ClassDef("water", "#0000ff"),
                ClassDef("barren_land", "#ffffff"),
            ),
            ignored=("#000000",), gsd_m=0.5, tolerance=127,  # its authors read values from 128 on as 255
        ),
        Layout(
            "massachusetts", "images in sat, masks in map, under train, valid and test",
            patterns=(("sat/*.tif", "map/{id}.tif*"), ("sat/*.tiff", "map/{id}.tif*"), ("sat/*.png", "map/{id}.png")),
            classes=(_BACKGROUND, ClassDef("building", "#ff0000")), gsd_m=1.0,
        ),
        Layout(
            "inria", "images in images, masks in gt, under train and test",
            patterns=(("images/*.tif", "gt/{id}.tif"),),
            classes=(_BACKGROUND, ClassDef("building", "#ffffff")), gsd_m=0.3,
        ),
        Layout(
            "landcover-ai", "images in images, masks of class ids in masks, lists of tiles in train.txt and the like",
            patterns=(("images/*.tif", "masks/{id}.tif"), ("output/*.jpg", "output/{id}_m.png")),
            lists={"coarse": "train.txt", "validation": "val.txt", "test": "test.txt"}, tile_px=512,
            classes=(
                _BACKGROUND, ClassDef("building", "#d7191c"), ClassDef("woodland", "#1a9641"),
                ClassDef("water", "#2b83ba"), ClassDef("road", "#fdae61"),
            ),
            gsd_m=0.25,
        ),
        Layout(
            "class-folders", "images of one class in a folder of its name, such as water/1.tif", class_folders=True
        ),
        Layout("pairs", "any folders, by the patterns under images and masks", parts={"": "coarse"}),
    )
}  # fmt: skip
