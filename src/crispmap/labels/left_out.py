"""What a reader of vectors leaves out, and why."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from enum import StrEnum

from crispmap.errors import CrispmapWarning


class Reason(StrEnum):
    """Why a feature is left out."""

    NO_CLASS = "that match no rule of a class"
    EMPTY_CLASS = "with an empty class"
    UNKNOWN_CLASS = "with a class that the schema lacks, whose ground counts as unknown"
    NO_GEOMETRY = "without usable polygon or line"
    NOT_REPROJECTED = "that cannot be reprojected"
    ELSEWHERE = "elsewhere"
    OUTSIDE = "outside the scene"  # points: of polygons and lines part of a file is usually elsewhere


_AS_ASKED = (Reason.NO_CLASS, Reason.ELSEWHERE)  # what rules and the scene leave out on purpose


@dataclass
class LeftOut:
    """Features that a reader left out, by reason."""

    file: str  # its name in messages
    total: int = 0  # features looked at
    counts: dict[Reason, int] = field(default_factory=dict)
    first: dict[Reason, str] = field(default_factory=dict)  # the first example, for a person to find it

    def add(self, reason: Reason, count: int, first: str = "") -> None:
        """Count features of a reason; of the first ones the example is kept."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.first.setdefault(reason, first)

    def __str__(self) -> str:
        parts = []
        for reason, count in self.counts.items():
            example = f" (the first: {self.first[reason]})" if self.first[reason] else ""
            parts.append(f"{count} {reason}{example}")
        return f"{self.file}: left out of {self.total} features: {'; '.join(parts) or 'none'}."

    def warn(self) -> None:
        """Warn with all counts, unless only rules and the scene left features out."""
        if set(self.counts) - set(_AS_ASKED):
            warnings.warn(str(self), CrispmapWarning, stacklevel=3)
