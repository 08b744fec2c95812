"""Tables of figures as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crispmap.report.tables.comparison import Missing, Row, comparison_tables
from crispmap.report.tables.model import Cell, FigureTable

_DASH = "-"
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")
_BREAK = re.compile(r"\s*[\r\n]\s*")


def markdown_tables(rows: Sequence[Row], missing: Sequence[Missing], more: Sequence[FigureTable] = ()) -> str:
    """Return quality, intervals and costs, and more tables, as Markdown, followed by the methods without figures.

    Raises:
        InputError: If there is no row.
    """
    parts = [f"{table.title}:\n\n{markdown_table(table)}" for table in (*comparison_tables(rows), *more)]
    if missing:
        parts.append("\n".join(f"- {one.name}: {one.text}" for one in missing))
    return "\n\n".join(parts) + "\n"


def markdown_table(table: FigureTable) -> str:
    """Return a table without sections as Markdown, the best figures bold."""
    lines = [_line([table.label, *(head.text for head in table.heads)]), "|---" * (len(table.heads) + 1) + "|"]
    lines += [_line([name, *(_marked(cell) for cell in cells)]) for name, cells in table.rows]
    return "\n".join(lines)


def one_line(text: str) -> str:
    """Return a name or a title as one line of Markdown that holds no markup of a page."""
    return _MARKUP.sub("&lt;", _BREAK.sub(" ", text))


def _marked(cell: Cell) -> str:
    return f"**{cell.text}**" if cell.best else cell.text or _DASH


def _line(texts: Sequence[str]) -> str:
    cells = [one_line(text).replace("\\", "\\\\").replace("|", "\\|") for text in texts]
    return f"| {' | '.join(cells)} |"
