"""Single labelled pixels of training data, drawn alike from every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crispmap.data.patches import PatchSource, count_classes, few_of
from crispmap.data.sampling import places_of_class
from crispmap.errors import LabelError, TrainingError
from crispmap.geo.grid import Block
from crispmap.types import CountArray, FloatArray, LabelArray

LEAST_PIXELS = 10  # fewer pixels of a class are refused


@dataclass(frozen=True, eq=False)
class PixelSample:
    """Pixels, class by class."""

    images: FloatArray  # (pixel, band, side, side), scaled; the pixel in the middle, reflected where its piece ends
    labels: LabelArray  # uint8 (pixel,)
    drawn: CountArray  # (class,) pixels drawn, int64
    available: CountArray  # (class,) pixels there were, int64


def draw_pixels(
    pieces: Sequence[PatchSource], class_names: Sequence[str], per_class: int, *, margin_px: int = 0, seed: int = 0
) -> PixelSample:
    """Return ``per_class`` pixels of every class, drawn evenly and none twice; all of a class that has fewer.

    The same data and seed give the same pixels.

    Raises:
        TrainingError: If there is no piece, or pieces have different bands.
        LabelError: If a class has fewer than ``LEAST_PIXELS`` pixels, or a label is no class's id.
    """
    pieces = few_of(pieces)
    bands = {piece.bands for piece in pieces}
    if len(bands) != 1:
        raise TrainingError(
            f"The training areas have {' and '.join(map(str, sorted(bands))) or 'no'} bands.",
            expected="at least one piece, and the same bands in all",
        )
    available = count_classes(pieces, class_names)
    check_enough(available, class_names)
    side = 1 + 2 * margin_px
    images, labels = [], []
    for class_id, total in enumerate(available.tolist()):
        rng = np.random.default_rng([seed, class_id])
        chosen = np.sort(rng.choice(total, min(per_class, total), replace=False))
        for piece, row, col in places_of_class(pieces, class_id, chosen).tolist():
            images.append(pieces[piece].read_image(Block(row - margin_px, col - margin_px, side, side)))
            labels.append(class_id)
    return PixelSample(np.stack(images), np.array(labels, np.uint8), np.minimum(available, per_class), available)


def check_enough(available: CountArray, class_names: Sequence[str]) -> None:
    """Raise LabelError if a class has fewer available pixels, (class,), than ``LEAST_PIXELS``."""
    counts = zip(class_names, available, strict=True)
    rare = [f"{count} of class {name!r}" for name, count in counts if count < LEAST_PIXELS]
    if rare:
        raise LabelError(
            f"The training area has too few labelled pixels: {', '.join(rare)}.",
            expected=f"at least {LEAST_PIXELS} of every class",
            remedy="enlarge the training area, correct the class's tag rule, or leave the class out",
        )
