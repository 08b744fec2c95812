"""An evaluation: the counts of a map compared with a reference, and every figure read from them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crispmap.errors import CrispmapWarning, GridError, InputError
from crispmap.evaluation.boundary import BoundaryCounts, RelaxedCounts
from crispmap.evaluation.chance import above_chance, chance_f1
from crispmap.files.notebook import html_table
from crispmap.metrics import ConfusionMatrix, ImageDice, mean_defined
from crispmap.types import DoubleArray

_SAME_GSD = (
    0.02  # relative; images within 1 % of the working distance are not resampled, so two may differ by twice that
)
CHANCE_TELLS_LITTLE = 0.8  # the boundary F1 of a random map from which on a figure is warned of


@dataclass(frozen=True)
class Evaluation:
    """How well a map agrees with a reference: counts, and the figures read from them.

    Evaluations of several areas add up to that of all of them.
    """

    confusion: ConfusionMatrix  # pixels by reference and predicted class
    boundary: BoundaryCounts  # boundary pixels and inner boundary regions, at every width
    relaxed: RelaxedCounts  # pixels of each class near a pixel of it in the other map
    images: ImageDice  # Dice coefficients of each test area, or whole map, by itself
    # ground sampling distance (between rows y, between columns x) the map was compared at, in metres
    gsd_m: tuple[float, float]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in order of id."""
        return self.confusion.class_names

    @property
    def overall_accuracy(self) -> float:
        """Share of the pixels with a class in both maps whose class is right, 0..1."""
        return self.confusion.overall_accuracy

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes present in the reference or in the map, 0..1."""
        return self.confusion.mean_iou

    @property
    def iou(self) -> DoubleArray:
        """(class,) intersection over union, 0..1; NaN for a class that neither map has."""
        return self.confusion.iou

    @property
    def dice(self) -> DoubleArray:
        """(class,) Dice coefficient over all pixels, 0..1, which is the F1 score; NaN where IoU is NaN."""
        return self.confusion.dice

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the classes present in the reference or in the map, 0..1."""
        return self.confusion.mean_dice

    @property
    def dice_per_image(self) -> float:
        """Mean over the images of each image's mean Dice, 0..1: an image's mean leaves out classes it does not have.

        An image is a test area or, where there is none, a map.
        """
        return self.images.mean

    @property
    def kappa(self) -> float:
        """Cohen's kappa, at most 1."""
        return self.confusion.kappa

    @property
    def unmapped_share(self) -> float:
        """Share of the labelled pixels on which the map has no class, 0..1; the other figures leave them out."""
        unmapped = self.confusion.unmapped_px
        return unmapped / (unmapped + self.confusion.valid_px) if unmapped else 0.0

    @property
    def widths_m(self) -> tuple[float, ...]:
        """The widths at which boundaries are compared, in metres."""
        return self.boundary.widths_m

    @property
    def boundary_f1(self) -> DoubleArray:
        """(width,) mean boundary F1 over the classes with a boundary in either map."""
        return np.array([mean_defined(row) for row in self.boundary.f1])

    @property
    def chance_f1(self) -> DoubleArray:
        """(width, class) boundary F1 that a random map of the same class shares reaches; NaN where F1 is NaN."""
        return chance_f1(self.boundary, self.confusion, self.gsd_m)

    @property
    def boundary_chance(self) -> DoubleArray:
        """(width,) mean boundary F1 of a random map of the same class shares, over the same classes."""
        return np.array([mean_defined(row) for row in self.chance_f1])

    @property
    def boundary_above_chance(self) -> DoubleArray:
        """(width,) mean boundary F1 above chance, (F1 - chance) / (1 - chance): 0 for a random map, 1 at best."""
        return above_chance(self.boundary_f1, self.boundary_chance)

    @property
    def boundary_iou(self) -> DoubleArray:
        """(width,) mean boundary IoU over the classes with a boundary in either map."""
        return np.array([mean_defined(row) for row in self.boundary.iou])

    def _repr_html_(self) -> str:
        rows = [*zip(self.class_names, self.iou.tolist(), self.dice.tolist(), strict=True)]
        rows.append(("mean", self.mean_iou, self.mean_dice))
        at = [f"boundary F1 {_percent(f1)} at {m:g} m" for m, f1 in zip(self.widths_m, self.boundary_f1, strict=True)]
        caption = f"crispmap evaluation: accuracy {_percent(self.overall_accuracy)}; {', '.join(at)}"
        shown = [(name, _percent(iou), _percent(dice)) for name, iou, dice in rows]
        return html_table(caption, shown, ("class", "IoU", "Dice"))

    def __add__(self, other: Evaluation) -> Evaluation:
        if not np.allclose(self.gsd_m, other.gsd_m, rtol=_SAME_GSD, atol=0):
            raise GridError(
                f"Evaluations at {self.gsd_m} and {other.gsd_m} metres per pixel cannot be pooled.",
                expected="one ground sampling distance",
            )
        return Evaluation(
            self.confusion + other.confusion, self.boundary + other.boundary, self.relaxed + other.relaxed,
            self.images + other.images, self.gsd_m,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return every figure, as shares 0..1 with None where undefined, and the counts behind them.

        The result is safe for JSON; ``from_dict`` reads its ``counts`` back.
        """
        names = ("overall_accuracy", "mean_iou", "mean_f1", "mean_dice", "kappa", "valid_px", "unmapped_px")
        at_edges = {
            "mean_f1": self.boundary_f1, "mean_iou": self.boundary_iou, "chance_f1": self.boundary_chance,
            "f1_above_chance": self.boundary_above_chance,
        }  # fmt: skip
        figures = {
            **{name: getattr(self.confusion, name) for name in names},
            "dice_per_image": self.dice_per_image,
            "images": self.images.images,
            "unmapped_share": self.unmapped_share,
            "boundary": [
                {"width_m": width, **{name: float(values[index]) for name, values in at_edges.items()}}
                for index, width in enumerate(self.widths_m)
            ],
            "classes": {name: self._class_figures(index) for index, name in enumerate(self.class_names)},
        }
        parts = {name: getattr(self, name) for name in ("confusion", "boundary", "relaxed", "images")}
        counts = {name: part.to_dict() for name, part in parts.items()} | {"gsd_m": list(self.gsd_m)}
        return {**_plain(figures), "counts": counts}

    def area_figures(self) -> dict[str, Any]:
        """Return the figures of area alone, as shares 0..1 with None where undefined; safe for JSON."""
        by_class = zip(self.class_names, self.iou.tolist(), self.dice.tolist(), strict=True)
        classes = {name: {"iou": iou, "dice": dice} for name, iou, dice in by_class}
        names = ("overall_accuracy", "mean_iou", "mean_dice")
        figures: dict[str, Any] = _plain({name: getattr(self, name) for name in names} | {"classes": classes})
        return figures

    def _class_figures(self, class_id: int) -> dict[str, Any]:
        matrix, relaxed = self.confusion, self.relaxed
        at_edges = {name: getattr(self.boundary, name) for name in ("precision", "recall", "f1", "iou")}
        at_edges |= {"chance_f1": self.chance_f1, "f1_above_chance": above_chance(self.boundary.f1, self.chance_f1)}
        return {
            **{name: getattr(matrix, name)[class_id] for name in ("iou", "precision", "recall", "f1", "dice")},
            "dice_per_image": self.images.by_class[class_id],
            "images": self.images.class_images[class_id],
            "reference_px": int(matrix.reference_px[class_id]),
            "predicted_px": int(matrix.predicted_px[class_id]),
            "unmapped_px": int(matrix.unmapped[class_id]),
            "boundary": [
                {"width_m": width, **{name: values[index, class_id] for name, values in at_edges.items()}}
                for index, width in enumerate(self.widths_m)
            ],
            "relaxed": {
                "slack_px": relaxed.slack_px,
                **{name: getattr(relaxed, name)[class_id] for name in ("precision", "recall", "f1")},
            },
        }

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation that ``to_dict`` wrote.

        Raises:
            InputError: If the entries are something else.
        """
        try:
            counts = entries["counts"]
            gsd_y, gsd_x = (float(value) for value in counts["gsd_m"])
            parts = counts["confusion"], counts["boundary"], counts["relaxed"]
            images = counts.get("images")  # figures written before there were such have none
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"Not an evaluation: {error!r}.", expected="figures as written by crispmap") from error
        confusion = ConfusionMatrix.from_dict(parts[0])
        classes = len(confusion.class_names)
        return cls(
            confusion, BoundaryCounts.from_dict(parts[1]), RelaxedCounts.from_dict(parts[2]),
            ImageDice.of((), classes) if images is None else ImageDice.from_dict(images, classes), (gsd_y, gsd_x),
        )  # fmt: skip


def chance_note(evaluations: Mapping[str, Evaluation]) -> str:
    """Return at which widths random maps come so near the reference that boundary F1 says little; empty if at none.

    From ``CHANCE_TELLS_LITTLE`` on: then two thirds of all pixels or more lie within the width of an outline, which is
    a third or more of the way from one outline to the next.
    """
    reached: dict[float, float] = {}
    for one in evaluations.values():
        for width, share in zip(one.widths_m, one.boundary_chance.tolist(), strict=True):
            reached[width] = max(reached.get(width, 0.0), share)
    wide = [f"{100 * share:.0f} % at {width:g} m" for width, share in reached.items() if share >= CHANCE_TELLS_LITTLE]
    if not wide:
        return ""
    return (
        f"A random map of the same class shares reaches a boundary F1 of {' and '.join(wide)}, because outlines of the "
        f"reference lie close together: read the figure above chance, or compare at smaller widths."
    )


def warn_of_chance(evaluations: Mapping[str, Evaluation]) -> None:
    """Warn where ``chance_note`` has something to say."""
    note = chance_note(evaluations)
    if note:
        warnings.warn(note, CrispmapWarning, stacklevel=3)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if math.isfinite(share) else "–"


def _plain(value: Any) -> Any:
    """Return figures as JSON knows them, None where they are not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
