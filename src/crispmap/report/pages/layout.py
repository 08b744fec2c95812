"""How pictures of an area of any shape fill a page."""

from __future__ import annotations

from dataclasses import dataclass

_WIDE, _FLAT = 1.6, 2.2  # width divided by height from which pictures lie one below the other; and below the words
_MOST_AT_ONCE = 4
_COLUMNS = {2: (3, 2), 3: (4, 3), 4: (4, 2), 5: (3, 2), 6: (5, 2)}  # of so many pictures: columns, those of the swipe


@dataclass(frozen=True)
class Layout:
    """The arrangement of the pictures of an area."""

    # "beside": to the right of the words, next to one another; "beside column": there, below one another; "stacked":
    # below the words, and one another
    kind: str
    count: int  # pictures on the first screen
    wide: float  # width divided by height of all of them together
    columns: int  # of the pictures of the whole area
    span: int  # columns, and rows, that the swipe takes of these

    @classmethod
    def of(cls, ratio: float, pictures: int) -> Layout:
        """Return the layout of pictures of one shape.

        Args:
            ratio: Width divided by height of each.
            pictures: How many there are of the whole area.
        """
        if ratio >= _FLAT:
            count = min(_MOST_AT_ONCE, max(1, round(ratio / 4)))
            columns = 1 if ratio >= 2 * _FLAT else 2
            return cls("stacked", count, ratio / count, columns, columns)
        if ratio >= _WIDE:
            return cls("beside column", 2, ratio / 2, *_COLUMNS.get(pictures, (3, 2)))
        count = min(_MOST_AT_ONCE, max(1, round(1.1 / ratio)))
        if ratio < 0.6:
            return cls("beside", count, count * ratio, pictures + 1, 1)
        return cls("beside", count, count * ratio, *_COLUMNS.get(pictures, (3, 2)))
