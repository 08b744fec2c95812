"""What a map gains over its baseline, figure by figure, and where it loses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crispmap.evaluation.evaluation import Evaluation
from crispmap.types import DoubleArray

_MOST_CLASSES = 8


@dataclass(frozen=True)
class Lead:
    """A figure of a map beside that of its baseline, in percent with one decimal; NaN where undefined."""

    name: str  # of the figure
    of: str  # the class it is of, any text; empty for a figure of all classes
    baseline: float
    value: float

    @property
    def change(self) -> float:
        """By how much the map is above its baseline, in points: the difference of what is shown."""
        return round(self.value - self.baseline, 1)


def leads_of(baseline: Evaluation, final: Evaluation) -> list[Lead]:
    """Return the figures of all classes together, then those of every class."""
    return [
        Lead(name, of, _percent(figure(baseline)), _percent(figure(final)))
        for name, of, figure in (*_overall(final), *_by_class(final))
    ]


def shown_leads(leads: list[Lead]) -> tuple[list[Lead], int]:
    """Return the overall figures and the IoU of up to eight classes, and how many classes that leaves out.

    Of more classes those that change most are shown, in their order.
    """
    overall = [one for one in leads if not one.of]
    classes = [one for one in leads if one.of and one.name == "IoU"]
    by_change = sorted(classes, key=lambda one: -abs(one.change) if math.isfinite(one.change) else 1.0)
    kept = by_change[:_MOST_CLASSES]
    return [*overall, *(one for one in classes if one in kept)], len(classes) - len(kept)


def losses_of(leads: list[Lead]) -> dict[str, list[Lead]]:
    """Return the figures that are lower than the baseline's, by class ("" for all classes), the largest loss first."""
    lost: dict[str, list[Lead]] = {}
    for one in leads:
        if one.change < 0:
            lost.setdefault(one.of, []).append(one)
    ordered = sorted(lost.items(), key=lambda entry: (entry[0] != "", min(one.change for one in entry[1])))
    return {of: sorted(found, key=lambda one: one.change) for of, found in ordered}


def _percent(share: float) -> float:
    return round(100 * float(share), 1)


_Figure = tuple[str, str, Callable[[Evaluation], float]]


def _overall(one: Evaluation) -> Iterator[_Figure]:
    yield "Mean IoU", "", lambda e: e.mean_iou
    yield "Overall accuracy", "", lambda e: e.overall_accuracy
    for index, width in enumerate(one.widths_m):
        yield f"Boundary F1 at {width:g} m", "", _at(lambda e: e.boundary_f1, index)


def _by_class(one: Evaluation) -> Iterator[_Figure]:
    for k, name in enumerate(one.class_names):
        yield "IoU", name, _at(lambda e: e.iou, k)
        yield "precision", name, _at(lambda e: e.confusion.precision, k)
        yield "recall", name, _at(lambda e: e.confusion.recall, k)
        for index, width in enumerate(one.widths_m):
            yield f"boundary F1 at {width:g} m", name, _at(lambda e: e.boundary.f1, index, k)


def _at(values: Callable[[Evaluation], DoubleArray], *index: int) -> Callable[[Evaluation], float]:
    return lambda evaluation: float(values(evaluation)[index])
