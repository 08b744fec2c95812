"""The pairs of a data set, found by the patterns of its layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from crispmap.errors import InputError, LabelError, number_of
from crispmap.project.pairs.layout import LAYOUTS, PARTS, Layout
from crispmap.raster.resolve import SIDECARS

T = TypeVar("T")
_IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
_Patterns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Pair:
    """An image and its mask."""

    id: str  # what the patterns leave open in the names of its files
    name: str  # different for every pair: its id, after its folders where several have the id
    image: Path
    mask: Path | None  # what labels it: a file, or the folder of its class; None: an image to map only
    part: str  # the role of the folder of PARTS it lies in

    @property
    def class_name(self) -> str:
        """The class of the whole image; empty where a mask labels it."""
        return self.mask.name if self.mask is not None and self.mask.is_dir() else ""


@dataclass(frozen=True)
class FoundPairs:
    """The files of a data set."""

    layout: Layout
    pairs: tuple[Pair, ...]  # by name
    lone_masks: tuple[Path, ...]  # masks without an image

    @property
    def labelled(self) -> list[Pair]:
        """The pairs that have a mask."""
        return [one for one in self.pairs if one.mask is not None]


def find_pairs(folder: Path, layout: str | None, patterns: _Patterns = ()) -> FoundPairs:
    """Return the pairs of a folder.

    Args:
        layout: A name of LAYOUTS; None: the one that finds most pairs.
        patterns: Of layout ``pairs``: the patterns of images, each with that of their masks.

    Raises:
        InputError: If the folder is missing, has no image with a mask, or one id stands for several files.
    """
    if not folder.is_dir():
        given = f"{folder} is {'not a folder' if folder.exists() else 'no folder: it does not exist'}."
        raise InputError(given, expected="the folder of a data set", remedy="Check the path.")
    layout = layout or ("pairs" if patterns else None)
    chosen = [LAYOUTS[layout]] if layout is not None else [one for one in LAYOUTS.values() if one.patterns]
    every = [_found(folder, one, patterns if one.name == "pairs" else one.patterns) for one in chosen]
    found = max(every, key=lambda one: len(one.labelled))
    if not found.labelled:
        raise InputError(
            f"{folder} has no image with a mask{f' in the layout {layout}' if layout else ''}: "
            f"{number_of(len(found.pairs), 'image')}, {number_of(len(found.lone_masks), 'mask')} without one.",
            expected="; ".join(f"{one.name}: {one.summary}" for one in chosen),
            remedy="Check the folder, or give layout: pairs with the patterns under images: and masks:.",
        )
    return found


def _found(folder: Path, layout: Layout, patterns: _Patterns) -> FoundPairs:
    if layout.class_folders:
        return FoundPairs(layout, tuple(_named(folder, list(classified(folder)))), ())
    pairs, lone = list[Pair](), set[Path]()
    for part, role in layout.parts.items():
        for image_pattern, mask_pattern in patterns:
            masks = _by_id(folder, Path(part) / mask_pattern)
            images = _by_id(folder, Path(part) / image_pattern.replace("*", "{id}"))
            lone |= {path for paths in masks.values() for path in paths}
            for name, files in images.items():
                own = [one for one in files if one not in lone]  # a wide pattern of images finds masks too
                if own:
                    mask = _only(masks.get(name, [None]), name, "mask")
                    pairs.append(Pair(name, name, _only(own, name, "image"), mask, role))
    pairs = _joined(pairs)
    used = {path for one in pairs for path in (one.image, one.mask)}
    return FoundPairs(layout, tuple(_named(folder, pairs)), tuple(sorted(lone - used)))


def classified(folder: Path) -> Iterator[Pair]:
    """Yield the images of folders of classes, in folders of PARTS where there are any.

    Raises:
        LabelError: If there are not two classes, or a class has no image.
    """
    parts = {part: role for part, role in PARTS.items() if part and (folder / part).is_dir()}
    for part, role in (parts or {"": "coarse"}).items():
        folders = sorted(one for one in (folder / part).iterdir() if one.is_dir() and not one.name.startswith("."))
        if len(folders) < 2:
            raise _no_classes(f"{folder / part} has {number_of(len(folders), 'folder')} of images.")
        for own in folders:
            images = sorted(one for one in own.iterdir() if one.suffix.lower() in _IMAGES and not _is_hidden(one))
            if not images:
                raise _no_classes(f"{own} has no image ({', '.join(_IMAGES)}).")
            yield from (Pair(one.stem, one.stem, one, own, role) for one in images)


def _no_classes(given: str) -> LabelError:
    return LabelError(
        given, expected="a folder for each of two classes or more, with its images, such as water/1.tif",
        remedy="Put images in it, remove it, or name the folder that holds the folders of the classes.",
    )  # fmt: skip


def _by_id(folder: Path, pattern: Path) -> dict[str, list[Path]]:
    """Return the files of a pattern by what ``{id}`` stands for in it."""
    text = pattern.as_posix()
    parts = re.split(r"(\{id\}|\*)", text)
    shape = "".join({"{id}": "([^/]+)", "*": "[^/]*"}.get(one, re.escape(one)) for one in parts)
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(text.replace("{id}", "*"))):
        match = re.fullmatch(shape, path.relative_to(folder).as_posix())
        if match and path.is_file() and not _is_hidden(path) and not path.name.lower().endswith(SIDECARS):
            found.setdefault(match[1], []).append(path)
    return found


def _is_hidden(path: Path) -> bool:
    """Return whether a file is one that a system keeps beside others, such as ``._1.tif``."""
    return path.name.startswith(".")


def _only(files: Sequence[T], name: str, what: str) -> T:
    if len(files) > 1:
        raise _several(name, what, [str(one) for one in files])
    return files[0]


def _several(name: str, what: str, files: Sequence[str]) -> InputError:
    return InputError(
        f"{number_of(len(files), what)} have the id {name!r}: {', '.join(files[:3])}.",
        expected=f"one {what} of every id", remedy="Remove or rename all but one, or choose narrower patterns.",
    )  # fmt: skip


def _joined(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs, an image that two patterns find once."""
    once: dict[Path, Pair] = {}
    for one in pairs:
        if one.image not in once or once[one.image].mask is None:
            once[one.image] = one
    return list(once.values())


def _named(folder: Path, pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yield the pairs by name, which is that of their folders too where several have one id."""
    counts = Counter(one.id.casefold() for one in pairs)
    names: Mapping[Path, str] = {
        one.image: one.id if counts[one.id.casefold()] == 1
        else "-".join([*one.image.relative_to(folder).parent.parts, one.id])
        for one in pairs
    }  # fmt: skip
    taken: dict[str, Path] = {}
    for one in sorted(pairs, key=lambda one: names[one.image]):
        name = names[one.image]
        if name.casefold() in taken:
            raise _several(one.id, "image", [str(taken[name.casefold()]), str(one.image)])
        taken[name.casefold()] = one.image
        yield replace(one, name=name)
