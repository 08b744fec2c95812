"""An evaluation: the counts of a map compared with a reference, and every figure read from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crispmap.errors import GridError, InputError
from crispmap.evaluation.boundary import BoundaryCounts, RelaxedCounts
from crispmap.metrics import ConfusionMatrix, mean_defined
from crispmap.types import DoubleArray

_SAME_GSD = (
    0.02  # relative; images within 1 % of the working distance are not resampled, so two may differ by twice that
)


@dataclass(frozen=True)
class Evaluation:
    """How well a map agrees with a reference: counts, and the figures read from them.

    Evaluations of several areas add up to that of all of them.
    """

    confusion: ConfusionMatrix  # pixels by reference and predicted class
    boundary: BoundaryCounts  # boundary pixels and inner boundary regions, at every width
    relaxed: RelaxedCounts  # pixels of each class near a pixel of it in the other map
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
    def boundary_iou(self) -> DoubleArray:
        """(width,) mean boundary IoU over the classes with a boundary in either map."""
        return np.array([mean_defined(row) for row in self.boundary.iou])

    def __add__(self, other: Evaluation) -> Evaluation:
        if not np.allclose(self.gsd_m, other.gsd_m, rtol=_SAME_GSD, atol=0):
            raise GridError(
                f"Evaluations at {self.gsd_m} and {other.gsd_m} metres per pixel cannot be pooled.",
                expected="one ground sampling distance",
            )
        return Evaluation(
            self.confusion + other.confusion, self.boundary + other.boundary, self.relaxed + other.relaxed, self.gsd_m
        )

    def to_dict(self) -> dict[str, Any]:
        """Return every figure, as shares 0..1 with None where undefined, and the counts behind them.

        The result is safe for JSON; ``from_dict`` reads its ``counts`` back.
        """
        names = ("overall_accuracy", "mean_iou", "mean_f1", "kappa", "valid_px", "unmapped_px")
        figures = {
            **{name: getattr(self.confusion, name) for name in names},
            "unmapped_share": self.unmapped_share,
            "boundary": [
                {"width_m": width, "mean_f1": f1, "mean_iou": iou}
                for width, f1, iou in zip(self.widths_m, self.boundary_f1, self.boundary_iou, strict=True)
            ],
            "classes": {name: self._class_figures(index) for index, name in enumerate(self.class_names)},
        }
        parts: dict[str, Any] = {"confusion": self.confusion, "boundary": self.boundary, "relaxed": self.relaxed}
        counts = {name: part.to_dict() for name, part in parts.items()} | {"gsd_m": list(self.gsd_m)}
        return {**_plain(figures), "counts": counts}

    def _class_figures(self, class_id: int) -> dict[str, Any]:
        matrix, relaxed = self.confusion, self.relaxed
        at_edges = {name: getattr(self.boundary, name) for name in ("precision", "recall", "f1", "iou")}
        return {
            **{name: getattr(matrix, name)[class_id] for name in ("iou", "precision", "recall", "f1")},
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
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"Not an evaluation: {error!r}.", expected="figures as written by crispmap") from error
        return cls(
            ConfusionMatrix.from_dict(parts[0]),
            BoundaryCounts.from_dict(parts[1]),
            RelaxedCounts.from_dict(parts[2]),
            (gsd_y, gsd_x),
        )


def _plain(value: Any) -> Any:
    """Return figures as JSON knows them, None where they are not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
