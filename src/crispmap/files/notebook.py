"""Results as small pieces of HTML that load nothing, for notebooks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 40
"""Rows of a table; how many more there are stands below them."""
_SIDE_PX = 320


def html_table(caption: str, rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return a table whose first column names its rows; every text is escaped."""
    every = list(rows)
    top = f"<tr>{''.join(f'<th>{escape(str(one))}</th>' for one in head)}</tr>" if head else ""
    body = "".join(
        f"<tr><th>{escape(str(first))}</th>{''.join(f'<td>{escape(str(one))}</td>' for one in rest)}</tr>"
        for first, *rest in every[:MOST_ROWS]
    )
    more = f"<tr><td>and {len(every) - MOST_ROWS} more</td></tr>" if len(every) > MOST_ROWS else ""
    return f"<table><caption>{escape(caption)}</caption>{top}{body}{more}</table>"


def step_to_show(height: int, width: int) -> int:
    """Return every how many pixels a picture of so many shows."""
    return max(1, -(-max(height, width) // _SIDE_PX))


def html_picture(rgb: NDArray[np.uint8]) -> str:
    """Return a picture of pixels (row, col, red green blue) with its bytes inside."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" width="{rgb.shape[1]}" height="{rgb.shape[0]}" src="data:image/png;base64,{content}">'
