"""What becomes of labelled objects: moved, unsure, or left out because neither image nor scores show them.

How little a map may see of an object that is there depends on the map. So what it sees of an object is compared with
what it sees of those that the image itself confirmed, which were moved to edges that run along their outlines.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.labels.align.objects import Reason
from crispmap.types import DoubleArray

_GONE_SHARE = 0.05  # of the objects that the image confirms at most this share may be seen as little
_LEAST_SEEN = 0.5  # where a map sees more than this of an object, it is not gone


class Status(StrEnum):
    """What a review says of an object."""

    ADDED = "added"
    LEFT_OUT = "left out"
    MOVED = "moved"
    UNSURE = "unsure"


GONE = "probably gone"
"""The reason of objects that are left out."""


@dataclass(frozen=True)
class ReviewRules:
    """Which objects that the map sees are added.

    Raises:
        InputError: If a bound is out of range.
    """

    min_confidence: float = 0.8  # mean probability of the class inside the footprint, 0..1
    min_area_m2: float = 10.0  # of the footprint on the ground

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise InputError(
                f"min_confidence is {self.min_confidence}.", expected="a probability from 0 to 1",
                remedy="Give for example min_confidence=0.8.",
            )  # fmt: skip
        if not 0 <= self.min_area_m2 < np.inf:
            raise InputError(
                f"min_area_m2 is {self.min_area_m2}.", expected="square metres, 0 or more",
                remedy="Give for example min_area_m2=10.",
            )  # fmt: skip


def gone_confidence(reasons: NDArray[np.object_], seen: DoubleArray) -> DoubleArray:
    """Return for each object how surely it is gone (n,), 0 where it is not taken to be.

    An object is where no edges run along its outline and the map sees it as little as at most one in twenty of those
    that the image confirms. Its confidence is the share of these of which the map sees more. With fewer than 19 of
    them nothing is gone: it is not known how much this map sees of what is there.

    Args:
        reasons: Of the alignment (n,); see ``Reason``.
        seen: As from ``seen_inside``; NaN where not known.
    """
    confirmed = np.sort(seen[(reasons == Reason.ALIGNED) & np.isfinite(seen)])
    as_little = (1 + np.searchsorted(confirmed, np.nan_to_num(seen, nan=1.0), side="right")) / (1 + len(confirmed))
    gone = (reasons == Reason.NO_SUPPORT) & (as_little <= _GONE_SHARE) & (seen < _LEAST_SEEN)
    return np.where(gone, 1 - as_little, 0.0)


def status_of(reason: str) -> Status:
    """Return what a review says of a labelled object by the reason in the column ``align_reason``."""
    known = {Reason.ALIGNED.value: Status.MOVED, GONE: Status.LEFT_OUT}
    return known.get(reason, Status.UNSURE)
