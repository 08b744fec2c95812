"""What the files of a data set say of themselves, read from their heads: which pairs fit, and which show one ground."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyproj import CRS

from crispmap.errors import CrispmapError, CrispmapWarning, GeoreferenceWarning, LabelError, SceneError, number_of
from crispmap.files.dataset import open_dataset
from crispmap.files.north_up import in_order_of
from crispmap.files.quiet import ignoring
from crispmap.files.turn import Turn
from crispmap.geo.crs import transformer
from crispmap.geo.grid import Grid
from crispmap.project.pairs.find import Pair
from crispmap.raster.files import FileScene
from crispmap.raster.refs import SceneRef

_CHUNK = 1 << 16
_DEGREES = CRS.from_epsg(4326)


@dataclass(frozen=True)
class ImageFacts:
    """An image of a data set: where it lies, how its pixels are turned as they are read, and its bands."""

    grid: Grid
    turn: Turn
    band_names: tuple[str, ...]


@dataclass(frozen=True)
class Damage:
    """A pair that cannot be used, and why."""

    pair: Pair
    error: CrispmapError


def facts_of(pairs: Sequence[Pair], ref_of: Callable[[Path], SceneRef]) -> tuple[dict[str, ImageFacts], list[Damage]]:
    """Return the facts of the images of the pairs that can be used, by name, and the pairs that cannot."""
    found, damaged = dict[str, ImageFacts](), list[Damage]()
    for pair in pairs:
        try:
            found[pair.name] = _read(pair, ref_of(pair.image))
        except (SceneError, LabelError) as error:
            damaged.append(Damage(pair, error))
    usual, count = Counter(len(one.band_names) for one in found.values()).most_common(1)[0] if found else (0, 0)
    for pair in pairs:
        own = found.get(pair.name)
        if own is not None and len(own.band_names) != usual:
            strange = SceneError(
                f"{pair.image} has {number_of(len(own.band_names), 'band')}, unlike {number_of(count, 'image')}.",
                expected=f"{number_of(usual, 'band')}, as most images have", remedy="Choose bands of all with bands:.",
            )  # fmt: skip
            damaged.append(Damage(pair, strange))
            del found[pair.name]
    return found, damaged


def _read(pair: Pair, ref: SceneRef) -> ImageFacts:
    with ignoring(GeoreferenceWarning), FileScene(ref) as image:  # told of once, for all
        facts = ImageFacts(image.grid, image.turn, image.band_names)
    if pair.mask is not None and not pair.class_name:
        try:
            with open_dataset(pair.mask) as mask:
                shape = in_order_of(mask, facts.turn).shape
        except SceneError as error:
            raise LabelError(error.given, expected=error.expected, remedy=error.remedy) from error
        if shape != facts.grid.shape:
            raise LabelError(
                f"{pair.mask} has {shape[0]} x {shape[1]} pixels, its image {pair.image.name} has "
                f"{facts.grid.height} x {facts.grid.width}.",
                expected="masks of the size of their image", remedy="Cut or resample the mask to its image.",
            )  # fmt: skip
    return facts


def refuse_or_skip(damaged: Sequence[Damage], total: int, *, skip: bool) -> None:
    """Raise the first error, with how many there are, or warn of it."""
    if not damaged:
        return
    first = damaged[0].error
    given = f"{len(damaged)} of {number_of(total, 'pair')} cannot be used; the first: {first.given}"
    if not skip:
        raise type(first)(
            given, expected=first.expected, remedy=f"{first.remedy} Or leave such pairs out with damaged: skip.".strip()
        )
    warnings.warn(f"{given} They are left out.", CrispmapWarning, stacklevel=2)


def content_key(path: Path) -> str:
    """Return a hash of a file's size, beginning, middle and end, which tells files apart but for changes between."""
    size = path.stat().st_size
    key = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for place in sorted({0, max(0, size // 2 - _CHUNK), max(0, size - _CHUNK)}):
            file.seek(place)
            key.update(file.read(_CHUNK))
    return key.hexdigest()


def duplicates(pairs: Sequence[Pair]) -> list[list[str]]:
    """Return the names of pairs whose images are the same file, byte for byte, in groups; ever more is read of few."""
    groups = [list(pairs)]
    for key in (lambda path: path.stat().st_size, content_key, _whole_hash):
        groups = [part for group in groups for part in _alike(group, key)]
    return [[one.name for one in group] for group in groups]


def _alike(pairs: Sequence[Pair], key: Callable[[Path], int | str]) -> list[list[Pair]]:
    found: dict[int | str, list[Pair]] = {}
    for one in pairs:
        with suppress(OSError):  # told of where it is read
            found.setdefault(key(one.image), []).append(one)
    return [group for group in found.values() if len(group) > 1]


def _whole_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def boxes_of(facts: Mapping[str, ImageFacts]) -> dict[str, tuple[float, float, float, float]]:
    """Return (left, bottom, right, top) of the images that have a CRS, in one CRS that all are brought to."""
    grids = {name: one.grid for name, one in facts.items() if one.grid.crs is not None}
    systems = {grid.crs.to_wkt(): grid.crs for grid in grids.values() if grid.crs is not None}
    if len(systems) < 2:
        return {name: grid.bounds for name, grid in grids.items()}
    found = {}
    for name, grid in grids.items():
        if grid.crs is not None:
            to_degrees = transformer(grid.crs, _DEGREES)
            found[name] = to_degrees.transform_bounds(*grid.bounds, densify_pts=21)
    return found


def overlapping(
    boxes: Mapping[str, tuple[float, float, float, float]], facts: Mapping[str, ImageFacts]
) -> Iterator[tuple[str, str]]:
    """Yield the names of images that show one ground, by pairs; half a pixel along an edge does not count."""
    import shapely

    names = list(boxes)
    if not names:
        return
    left, bottom, right, top = np.array([boxes[name] for name in names]).T
    height, width = np.array([facts[name].grid.shape for name in names]).T
    half_x, half_y = (right - left) / width / 2, (top - bottom) / height / 2
    outlines = shapely.box(left + half_x, bottom + half_y, right - half_x, top - half_y)
    for one, other in shapely.STRtree(outlines).query(outlines, predicate="intersects").T.tolist():
        if one < other:
            yield names[one], names[other]
