"""Patch sources: pieces of an image with labels and, for a refiner, coarse scores, read window by window.

A source has no pixel outside its piece. Context beyond its border is the reflection about that border, so a training
never sees another area's data.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from crispmap.data.budget import DataBudget
from crispmap.data.layers import DemandLayer, Layer, SceneLayer
from crispmap.data.scaling import strips
from crispmap.errors import GridError, InputError, LabelError
from crispmap.geo.grid import Block
from crispmap.models.scaling import Scaling, scaled_input
from crispmap.raster.scene import Scene, SceneReader, cut_reflected
from crispmap.types import IGNORE, CountArray, FloatArray, LabelArray

LOADED_PX = 1024  # side of what is loaded at a time; a multiple of ``FILE_BLOCK_PX``
_FINGERPRINT_BYTES = 1 << 26
_FINGERPRINT_PX = 256
_FEW, _FEW_PX = 8, 48_000_000  # pieces, and pixels, by which data that are read on demand are judged
ScoresT = TypeVar("ScoresT")


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, int]: ...


SourceT = TypeVar("SourceT", bound=_Shaped)


class PatchSource(Protocol):
    """A piece of training data; where it is kept changes no value. Windows are reflected outside the piece."""

    @property
    def bands(self) -> int:
        """Bands of the image."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""

    @property
    def score_classes(self) -> int | None:
        """Classes of the scores; None without scores."""

    def read_image(self, block: Block) -> FloatArray:
        """Return the image (band, row, col) as a network sees it: scaled, 0 where invalid."""

    def read_labels(self, block: Block) -> LabelArray:
        """Return class ids (row, col), IGNORE where nothing is known or the image is invalid."""

    def read_scores(self, block: Block) -> FloatArray:
        """Return coarse scores (class, row, col), of a source that has them."""


@dataclass(frozen=True, eq=False)
class ArrayPatches:
    """Arrays as a patch source.

    Raises:
        InputError: If shapes or types disagree, or there is no pixel.
    """

    image: FloatArray  # (band, row, col), scaled, 0 where invalid
    labels: LabelArray
    scores: FloatArray | None = None  # (class, row, col)

    def __post_init__(self) -> None:
        if self.labels.dtype != np.uint8 or self.labels.ndim != 2 or self.labels.size == 0:
            raise InputError(
                f"Labels of type {self.labels.dtype} and shape {self.labels.shape}.",
                expected="uint8 class ids (row, col), at least one pixel",
            )
        for name, array in (("image", self.image), ("scores", self.scores)):
            if array is not None and (
                array.dtype != np.float32 or array.ndim != 3 or array.shape[1:] != self.labels.shape
            ):
                raise InputError(
                    f"The {name} has type {array.dtype} and shape {array.shape}.",
                    expected=f"float32 (…, row, col) over the {self.labels.shape} pixels of the labels",
                )

    @property
    def bands(self) -> int:  # noqa: D102 - as the protocol
        return len(self.image)

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102 - as the protocol
        height, width = self.labels.shape
        return height, width

    @property
    def score_classes(self) -> int | None:  # noqa: D102 - as the protocol
        return None if self.scores is None else len(self.scores)

    def read_image(self, block: Block) -> FloatArray:  # noqa: D102 - as the protocol
        return cut_reflected(self.image, block)

    def read_labels(self, block: Block) -> LabelArray:  # noqa: D102 - as the protocol
        return cut_reflected(self.labels, block)

    def read_scores(self, block: Block) -> FloatArray:  # noqa: D102 - as the protocol
        return cut_reflected(_there(self.scores), block)


@dataclass(frozen=True, eq=False)
class StoredPatches:
    """Layers as a patch source; made by ``load_training_area``."""

    bands: int
    shape: tuple[int, int]
    score_classes: int | None
    scaling: Scaling
    image: Layer  # raw values, as the scene's file stores them
    valid: Layer  # where image and scores are valid
    labels: Layer
    scores: Layer | None
    digest: str | None = None  # of data that are read on demand, what stands for their content

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory, without those in a shared cache."""
        return sum(layer.memory_bytes for layer in (self.image, self.valid, self.labels, self.scores) if layer)

    def read_image(self, block: Block) -> FloatArray:  # noqa: D102 - as the protocol
        return scaled_input(self.image.read(block), self.valid.read(block)[0], self.scaling)

    def read_labels(self, block: Block) -> LabelArray:  # noqa: D102 - as the protocol
        labels: LabelArray = self.labels.read(block)[0]
        return labels

    def read_scores(self, block: Block) -> FloatArray:  # noqa: D102 - as the protocol
        return _there(self.scores).read(block)


def load_training_area(
    image: Scene,
    block: Block,
    labels: Callable[[Block], LabelArray],
    scaling: Scaling,
    *,
    scores: SceneReader | None = None,
    budget: DataBudget,
) -> StoredPatches:
    """Load one training area: labels, validity, image and, where given, coarse scores.

    Where scene or scores are invalid, labels read as IGNORE and the image as 0. What fits in the budget is kept in
    memory, the rest in files; an image that does not fit stays on its scene where that has ``quick_windows``, and
    the scene must then stay open. Scores, on the scene's grid, are computed once. ``labels`` gives class ids (row,
    col) of a block of the scene, IGNORE outside the area.

    Raises:
        GridError: If the block is empty or reaches outside the scene.
        InputError: If the scaling has another number of bands.
        LabelError: If labels do not have the shape of their block.
        OutputError: If data go to a folder that is full or cannot be written.
    """
    _check_inside(block, image, scaling)
    dtype = image.dtype if np.can_cast(image.dtype, np.float32) else np.float32
    shape = (image.band_count, *block.shape)
    # What is read most comes first.
    kept_labels, kept_valid = budget.layer((1, *block.shape), np.uint8), budget.layer((1, *block.shape), np.bool_)
    on_demand = image.quick_windows and not budget.fits(shape, dtype)
    raw = None if on_demand else budget.layer(shape, dtype)
    coarse = None if scores is None else budget.layer((scores.band_count, *block.shape), np.float32)
    for part in Block(0, 0, *block.shape).pieces(LOADED_PX):
        in_scene = Block(block.row + part.row, block.col + part.col, *part.shape)
        values, valid = image.read(in_scene)
        if raw is not None:
            raw.write(part, values)
        if scores is not None and coarse is not None:
            values, scored = scores.read(in_scene)
            coarse.write(part, values)
            valid = valid & scored
        kept_valid.write(part, valid[None])
        kept_labels.write(part, np.where(valid, _labels_of(labels, in_scene), np.uint8(IGNORE))[None])
    layer = raw or SceneLayer(image, block, dtype, budget.cache)
    classes = None if scores is None else scores.band_count
    return StoredPatches(image.band_count, block.shape, classes, scaling, layer, kept_valid, kept_labels, coarse)


def area_on_demand(
    image: Scene, block: Block, labels: Callable[[Block], LabelArray], scaling: Scaling, digest: str
) -> StoredPatches:
    """Return one training area that is read window by window, each time; see ``load_training_area``.

    Image and labels keep by themselves what is read often. ``digest`` is a text that changes with their content.
    """
    _check_inside(block, image, scaling)

    def known(part: Block) -> LabelArray:
        return np.where(image.read_valid(part), _labels_of(labels, part), np.uint8(IGNORE))[None]

    return StoredPatches(
        image.band_count, block.shape, None, scaling, DemandLayer(block, lambda part: image.read(part)[0]),
        DemandLayer(block, lambda part: image.read_valid(part)[None]), DemandLayer(block, known), None, digest,
    )  # fmt: skip


def on_demand(source: object) -> bool:
    """Return whether a piece of training data is read when it is needed, each time, rather than loaded."""
    return getattr(source, "digest", None) is not None


def few_of(sources: Sequence[SourceT]) -> list[SourceT]:
    """Return pieces by which all are judged: all of those that are loaded; of those read on demand a spread few."""
    if not any(map(on_demand, sources)):
        return list(sources)
    pixels = sum(math.prod(one.shape) for one in sources)
    count = min(len(sources), max(_FEW, math.ceil(len(sources) * _FEW_PX / pixels)))
    places = np.linspace(0, len(sources) - 1, count).round().astype(int)
    return [sources[place] for place in places.tolist()]


def _check_inside(block: Block, image: Scene, scaling: Scaling) -> None:
    if block.is_empty or block.intersection(image.grid.block) != block:
        raise GridError(
            f"A training area spans {block.row, block.col} to {block.row_stop, block.col_stop} (row, col).",
            expected=f"an area within the scene of {image.grid.height} x {image.grid.width} pixels",
            remedy="clip the area to the scene",
        )
    if scaling.band_count != image.band_count:
        raise InputError(
            f"The scaling is of {scaling.band_count} bands.", expected=f"the {image.band_count} of the scene"
        )


def _labels_of(labels: Callable[[Block], LabelArray], block: Block) -> LabelArray:
    found = labels(block)
    if found.shape != block.shape:
        raise LabelError(f"Labels of shape {found.shape} were given.", expected=f"shape {block.shape}, as asked for")
    return found


def _there(scores: ScoresT | None) -> ScoresT:
    if scores is None:
        raise InputError("A piece has no coarse scores.", expected="scores, for a refiner to learn from")
    return scores


def label_strips(source: PatchSource) -> Iterator[tuple[Block, LabelArray]]:
    """Yield the full-width strips of a source, from top to bottom, with their labels."""
    for strip in strips(Block(0, 0, *source.shape)):
        yield strip, source.read_labels(strip)


def fingerprint(source: PatchSource) -> int:
    """Return a check sum that changes with the data of a source, and not with where they are kept.

    It covers all data up to 64 MB a layer, and evenly spread blocks of larger ones; of data read on demand the digest.
    """
    digest = getattr(source, "digest", None)
    facts = (source.bands, source.shape, source.score_classes)
    code = zlib.crc32(repr(facts if digest is None else (*facts, digest)).encode())
    if digest is not None:
        return code
    code = _check_sum(source.read_labels, source.shape, 1, code)
    code = _check_sum(source.read_image, source.shape, 4 * source.bands, code)
    scores = source.score_classes
    return code if scores is None else _check_sum(source.read_scores, source.shape, 4 * scores, code)


def _check_sum(read: Callable[[Block], NDArray[Any]], shape: tuple[int, int], pixel_bytes: int, code: int) -> int:
    step = -(-math.prod(shape) * pixel_bytes // _FINGERPRINT_BYTES)
    for number, block in enumerate(Block(0, 0, *shape).pieces(_FINGERPRINT_PX)):
        if number % step == 0:
            code = zlib.crc32(np.ascontiguousarray(read(block)).data, code)
    return code


def count_classes(pieces: Sequence[PatchSource], class_names: Sequence[str]) -> CountArray:
    """Return the number of labelled pixels of each class over all pieces, int64 (class,); see ``checked_counts``.

    Of data read on demand, some are counted, and more only until every class is found.
    """
    few = few_of(pieces)
    taken = {id(piece) for piece in few}
    counts, rest = np.zeros(256, np.int64), [piece for piece in pieces if id(piece) not in taken]
    for piece in few:
        counts += _counts_of(piece)
    while rest and not counts[: len(class_names)].all():
        counts += _counts_of(rest.pop())
    return checked_counts(counts, class_names)


def _counts_of(piece: PatchSource) -> CountArray:
    return sum((np.bincount(labels.ravel(), minlength=256) for _, labels in label_strips(piece)), np.zeros(256, int))


def checked_counts(counts: CountArray, class_names: Sequence[str]) -> CountArray:
    """Return the number of pixels of each class, int64 (class,), from that of each id, int64 (256,).

    Raises:
        LabelError: If a class has no pixel, or a label is no class's id.
    """
    known = len(class_names)
    strange = np.flatnonzero(counts[known:IGNORE]) + known
    if strange.size:
        raise LabelError(
            f"The training labels have the ids {', '.join(map(str, strange))}.",
            expected=f"ids 0 to {known - 1} ({', '.join(class_names)}), or {IGNORE} where nothing is known",
            remedy="add the classes, or leave such pixels out",
        )
    missing = [name for name, count in zip(class_names, counts, strict=False) if count == 0]
    if missing:
        raise LabelError(
            f"The training area has no pixel of class {' or '.join(repr(n) for n in missing)}.",
            expected="at least one labelled pixel of every class",
            remedy="enlarge the training area, correct the class's tag rule, or leave the class out",
        )
    return counts[:known]
