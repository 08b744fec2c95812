"""A data set as the scenes of a project: an image each, with its mask as labels, reference or both, by its role."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, GeoreferenceWarning, LabelError, ProjectError, number_of
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Grid
from crispmap.labels.coded import CodedMask, MaskCode
from crispmap.labels.one_class import OneClass
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.project.file.dataset_section import DatasetSection
from crispmap.project.file.scenes import ProjectScene
from crispmap.project.file.sections import LabelSection, ReferenceSection
from crispmap.project.pairs.classes import classes_of
from crispmap.project.pairs.facts import (
    Damage,
    ImageFacts,
    boxes_of,
    content_key,
    duplicates,
    facts_of,
    overlapping,
    refuse_or_skip,
)
from crispmap.project.pairs.find import FoundPairs, Pair, find_pairs
from crispmap.project.pairs.split import Members, cut_roles, ground_cells, ids_of, known_as, split_pairs
from crispmap.raster.cached import KEPT_BYTES, BlockCache, CachedScene
from crispmap.raster.refs import SceneRef
from crispmap.types import IGNORE

_LABELS_FOR = {"coarse", "validation"}
_REFERENCE_FOR = {"refiner", "validation", "test"}
_Shown = tuple[  # images of one file; images of one ground; where images lie
    Sequence[Sequence[str]], Sequence[tuple[str, str]], Mapping[str, tuple[float, float, float, float]]
]
Areas = dict[str, list[tuple[int, int, int, int]]]


@dataclass(frozen=True)
class DataSet:
    """A data set of image and mask pairs, checked and split: its scenes, its classes, and how its files are read."""

    section: DatasetSection
    found: FoundPairs
    facts: Mapping[str, ImageFacts]  # of the images that are used, by name
    damaged: Sequence[Damage]  # pairs left out
    same: Sequence[Sequence[str]]  # names of pairs of one image
    schema: ClassSchema
    areas: Mapping[str, Areas]  # windows by role, by name; of images without a mask none
    code: MaskCode
    ignored: Sequence[str | int] = ()  # colours and values of pixels that nothing is known of
    together: Sequence[Sequence[str]] = ()  # names of pairs that show one ground
    listed: bool = False  # whether roles are those of the set's own lists
    cache: BlockCache = field(default_factory=lambda: BlockCache(KEPT_BYTES))  # type: ignore[type-arg]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs that are used."""
        return [one for one in self.found.pairs if one.name in self.facts]

    def scenes(self) -> tuple[ProjectScene, ...]:
        """Return the images as scenes of a project."""
        return tuple(map(self._scene, self.pairs))

    def to_dict(self) -> dict[str, Any]:
        """Return what it holds as plain values."""
        sizes = Counter(one.grid.shape for one in self.facts.values())
        (height, width), count = sizes.most_common(1)[0]
        return {
            "layout": self.found.layout.name, "images": len(self.facts),
            "images_with_mask": sum(one.mask is not None for one in self.pairs),
            "masks_without_image": len(self.found.lone_masks), "left_out": len(self.damaged),
            "images_there_twice": sum(len(group) - 1 for group in self.same),
            "usual_size": [height, width], "images_of_other_size": len(self.facts) - count,
            "bands": next(iter(self.facts.values())).band_names,
        }  # fmt: skip

    def _scene(self, pair: Pair) -> ProjectScene:
        windows = self.areas.get(pair.name, {})
        areas = {
            role: tuple(AreaPiece(window=one, origin=f"{pair.image.name} ({role})") for one in windows[role])
            for role in windows
        }
        mask = {"path": str(pair.mask)}
        return ProjectScene(
            pair.name, pair.image, self.ref_of(pair.image),
            labels=LabelSection.model_validate(mask) if _LABELS_FOR & areas.keys() else None,
            reference=ReferenceSection.model_validate(mask) if _REFERENCE_FOR & areas.keys() else None,
            areas=areas, mapped="test" in areas or not areas,
        )  # fmt: skip

    def ref_of(self, image: Path) -> SceneRef:
        """Return an image as it is read."""
        return ref_of(self.section, self.found, image)

    def open_image(self, ref: SceneRef) -> CachedScene:
        """Return an image; its file is open only while it is decoded."""
        return CachedScene(ref, self.cache, skip=self.section.damaged == "skip")

    def open_mask(self, mask: Path, name: str, grid: Grid | None = None) -> LabelReader:
        """Return a mask on the grid of its image, which has a name, or on another grid over it."""
        own = self.facts[name]
        grid = grid or own.grid
        if not self.found.layout.class_folders:
            return CodedMask(mask, self.code, own.grid, grid, self.cache, own.turn)
        known = mask.name in self.schema.names
        return OneClass(mask, self.schema.names.index(mask.name) if known else IGNORE, grid, self.schema)

    def warn_of_unknown(self) -> None:
        """Warn of how many pixels of no class were left out of the masks read so far."""
        found = self.code.unknown_px
        if found:
            pixels, masks = number_of(sum(found.values()), "pixel"), number_of(len(found), "mask")
            warnings.warn(f"{pixels} of no class were left out, in {masks}.", CrispmapWarning, stacklevel=2)

    def digest(self, image: Path, mask: Path) -> str:
        """Return a text that changes with the contents of an image and its mask, and with how they are read."""
        how = self.section.model_dump_json(exclude={"path", "split", "layout"})
        labels = mask.name if self.found.layout.class_folders else content_key(mask)
        return f"{content_key(image)} {labels} {how} {self.schema.to_json()}"


def open_data_set(section: DatasetSection, classes: ClassSchema | None, seed: int) -> DataSet:
    """Return the data set of a section, with these classes, else its own.

    Raises:
        CrispmapError: If it has no pairs, pairs that cannot be used, no classes, or cannot be split so.

    Warns:
        CrispmapWarning: Of masks without image, pairs left out, images twice, and images moved to another role.
    """
    found = find_pairs(section.path, section.layout, patterns_of(section))
    own, ignored = classes_of(section.path, found.layout, given=None if classes is None else classes.classes)
    schema = ClassSchema(own)
    _check_folders(section, found, schema)
    facts, damaged = facts_of(found.pairs, partial(ref_of, section, found))
    skip = section.damaged == "skip"
    refuse_or_skip(damaged, len(found.pairs), skip=skip)
    used = [one for one in found.pairs if one.name in facts]
    _tell(section, found, facts)
    same = duplicates(used)
    boxes = boxes_of(facts)
    ground = list(overlapping(boxes, facts))
    own_split = section.split.by == "within" or section.split.members
    listed = {} if own_split else _tiles(section.path, found, used, facts)
    areas = listed or _areas(section, used, facts, (same, ground, boxes), seed)
    tolerance = found.layout.tolerance if section.tolerance is None else section.tolerance
    options = LabelOptions(unknown=section.unknown, tolerance=tolerance)
    masks = [one.mask for one in used if one.mask is not None]
    unknown = list(dict.fromkeys([*ignored, *section.ignored]))
    code = MaskCode(masks, schema, unknown, options, skip=skip)
    return DataSet(section, found, facts, damaged, same, schema, areas, code, unknown, [*same, *ground], bool(listed))


def _check_folders(section: DatasetSection, found: FoundPairs, schema: ClassSchema) -> None:
    """Refuse folders of no class, or warn of them where such labels are ignored."""
    images = Counter(one.class_name for one in found.pairs if one.class_name not in ("", *schema.names))
    if not images:
        return
    first = ", ".join(f"{name} ({number_of(count, 'image')})" for name, count in sorted(images.items()))
    given = f"{section.path} has folders that are no class: {first}."
    if section.unknown == "error":
        expected = f"folders of {', '.join(schema.names)}"
        raise LabelError(given, expected=expected, remedy="Add the classes, or give unknown: ignore.")
    warnings.warn(f"{given} They are left out.", CrispmapWarning, stacklevel=3)


def patterns_of(section: DatasetSection) -> list[tuple[str, str]]:
    """Return the patterns of images and masks of layout ``pairs``; ProjectError where they do not go together."""
    images, masks = section.images or (), section.masks or ()
    if len(images) != len(masks) or (section.layout == "pairs" and not images):
        raise ProjectError(
            f"dataset: gives {number_of(len(images), 'pattern')} of images and {len(masks)} of masks.",
            expected="as many patterns of masks as of images, at least one for layout: pairs",
            remedy="Write for example images: images/*.jpg and masks: masks/{id}.png.",
        )
    if images and section.layout not in ("pairs", None):
        given = f"dataset: gives patterns beside layout: {section.layout}."
        raise ProjectError(given, expected="patterns with layout: pairs", remedy="Write layout: pairs.")
    return list(zip(images, masks, strict=True))


def ref_of(section: DatasetSection, found: FoundPairs, image: Path) -> SceneRef:
    """Return an image of a data set as it is read."""
    gsd_m = section.assume_gsd_m or found.layout.gsd_m or 1.0
    return section.model_copy(update={"path": image, "assume_gsd_m": gsd_m}).ref


def _tell(section: DatasetSection, found: FoundPairs, facts: Mapping[str, ImageFacts]) -> None:
    """Warn of what is left over, and of pixels that are taken for a metre."""
    unplaced = [name for name, one in facts.items() if one.grid.crs is None]
    if unplaced and section.assume_gsd_m is None and found.layout.gsd_m is None:
        text = (
            f"{number_of(len(unplaced), 'image')} like {unplaced[0]} have no georeference: a pixel counts as one metre."
        )
        warnings.warn(f"{text} Give its side under dataset: as assume_gsd_m.", GeoreferenceWarning, stacklevel=4)
    alone = [one for one in found.pairs if one.mask is None and one.part == "coarse"]
    if alone:
        given = f"{number_of(len(alone), 'image')} without a mask"
        warnings.warn(
            f"{given}, mapped only: {_first_of([one.image for one in alone])}.", CrispmapWarning, stacklevel=4
        )
    if found.lone_masks:
        given = f"{number_of(len(found.lone_masks), 'mask')} without an image"
        warnings.warn(f"{given}: {_first_of(found.lone_masks)}.", CrispmapWarning, stacklevel=4)


def _first_of(paths: Sequence[Path]) -> str:
    return f"{paths[0]}{' and others' if len(paths) > 1 else ''}"


def _areas(
    section: DatasetSection, used: Sequence[Pair], facts: Mapping[str, ImageFacts], shown: _Shown, seed: int
) -> dict[str, Areas]:
    """Return what every image with a mask is for where no lists of the set say it."""
    same, ground, boxes = shown
    members: dict[str, Members] = section.split.members
    labelled = [one for one in used if one.mask is not None]
    if section.split.by == "within":
        _refuse_shared(same, ground)
        return {one.name: _cut(facts[one.name].grid.shape, members) for one in labelled}
    cells = []
    if section.split.by == "ground":
        cells = ground_cells(_centres(labelled, boxes))
    split = split_pairs(labelled, members, [*same, *ground, *cells], seed)
    _tell_of_moves(same, ground, split.moved)
    whole = {name: (0, 0, *one.grid.shape) for name, one in facts.items()}
    return {name: {role: [whole[name]]} for name, role in split.roles.items()}


def _cut(shape: tuple[int, int], members: Mapping[str, Members]) -> Areas:
    """Return windows across the longer side of an image, one a role."""
    height, width = shape
    parts = cut_roles(max(shape), members)
    if height >= width:
        return {role: [(start, 0, stop - start, width)] for role, (start, stop) in parts.items()}
    return {role: [(0, start, height, stop - start)] for role, (start, stop) in parts.items()}


def _refuse_shared(same: Sequence[Sequence[str]], ground: Sequence[tuple[str, str]]) -> None:
    """Raise ProjectError where images that are split within show the same ground."""
    for first, second, *_ in [*same, *ground]:
        raise ProjectError(
            f"{first} and {second} show one ground, and a split within images would give it several roles.",
            expected="images of different ground", remedy="Remove one of them, or split by: file.",
        )  # fmt: skip


def _tiles(folder: Path, found: FoundPairs, used: Sequence[Pair], facts: Mapping[str, ImageFacts]) -> dict[str, Areas]:
    """Return the windows that the data set's own lists of tiles give to each role; none without lists."""
    lists = {role: folder / name for role, name in found.layout.lists.items() if (folder / name).is_file()}
    known = known_as([one for one in used if one.mask is not None])
    by_id = {key: pairs[0] for key, pairs in known.items() if len(pairs) == 1}
    areas: dict[str, Areas] = {}
    unknown = Counter[str]()
    taken: dict[tuple[str, tuple[int, int, int, int]], str] = {}
    for role, path in lists.items():
        for text in ids_of(path):
            placed = _placed(text, by_id, facts, found.layout.tile_px)
            if placed is None:
                unknown[f"{path.name}: {text}"] += 1
                continue
            if taken.setdefault(placed, role) != role:
                given = f"{path.name} and {lists[taken[placed]].name} both name {text}."
                raise ProjectError(given, expected="one role for every tile", remedy="Name it once.")
            areas.setdefault(placed[0], {}).setdefault(role, []).append(placed[1])
    if unknown:
        raise ProjectError(
            f"{number_of(len(unknown), 'name')} of the lists in {folder} are no image or tile of one, or of several; "
            f"the first: {next(iter(unknown))}.",
            expected="names of images, or NAME_k for tile k of an image", remedy="Correct the lists, or give split:.",
        )  # fmt: skip
    return areas


def _placed(
    text: str, by_id: Mapping[str, Pair], facts: Mapping[str, ImageFacts], tile_px: int | None
) -> tuple[str, tuple[int, int, int, int]] | None:
    """Return the image and the window that a name stands for."""
    if text in by_id:
        return by_id[text].name, (0, 0, *facts[by_id[text].name].grid.shape)
    image, _, number = text.rpartition("_")
    if tile_px is None or image not in by_id or not number.isdecimal():
        return None
    height, width = facts[by_id[image].name].grid.shape
    row, col = divmod(int(number), -(-width // tile_px))  # tiles at the edge that are cut off are counted too
    window = row * tile_px, col * tile_px, tile_px, tile_px
    return (by_id[image].name, window) if max(row * tile_px - height, col * tile_px - width) <= -tile_px else None


def _centres(
    pairs: Sequence[Pair], boxes: Mapping[str, tuple[float, float, float, float]]
) -> dict[str, tuple[float, float]]:
    lacking = [one for one in pairs if one.name not in boxes]
    if lacking:
        raise ProjectError(
            f"split: by: ground is given, and {number_of(len(lacking), 'image')} like {lacking[0].image} have no "
            "coordinate reference system.",
            expected="images that are georeferenced", remedy="Split by: file.",
        )  # fmt: skip
    corners = ((one.name, boxes[one.name]) for one in pairs)
    return {name: ((left + right) / 2, (bottom + top) / 2) for name, (left, bottom, right, top) in corners}


def _tell_of_moves(same: Sequence[Sequence[str]], ground: Sequence[tuple[str, str]], moved: Sequence[str]) -> None:
    """Warn of images that are there twice, or show one ground, and got one role."""
    if same:
        twice = sum(len(group) - 1 for group in same)
        text = f"The same file twice: {number_of(twice, 'image')}, such as {' and '.join(same[0][:2])}."
        warnings.warn(f"{text} They have one role.", CrispmapWarning, stacklevel=5)
    if ground:
        text = f"The same ground twice: {number_of(len(ground), 'pair')} of images, such as {' and '.join(ground[0])}."
        warnings.warn(f"{text} They have one role.", CrispmapWarning, stacklevel=5)
    if moved:
        text = f"Moved to the role of what shows the same ground: {number_of(len(moved), 'image')}, such as {moved[0]}."
        warnings.warn(text, CrispmapWarning, stacklevel=5)
