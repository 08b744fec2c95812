"""Self-contained HTML pages from the templates of this folder."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from crispmap.files.atomic import check_free, write_atomically
from crispmap.report.pictures.place import Place, ScaleBar

if TYPE_CHECKING:
    from markupsafe import Markup

_CRISP_BELOW_PX = 200  # small pictures are enlarged on the page: then pixels stay sharp
_MOST_RATIO = 24.0  # longer pictures are drawn higher than they are, or one row of pixels would not be seen
_SHARES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.08)  # sizes of pictures that are tried, of the full size
MOST_BYTES = 3_000_000  # of a page


@dataclass(frozen=True)
class Picture:
    """An image of a page with its caption and its alternative text."""

    uri: str
    caption: str
    alt: str
    width: int
    height: int
    crisp: bool
    kind: str  # "photo", "map", "marks" of errors, "over" a photo, or "heat": how it is dimmed on a dark page
    ratio: float  # width divided by height, as it is shown
    bar: ScaleBar | None = None
    under: str = ""  # address of what shows through

    @property
    def bar_percent(self) -> str:
        """The length of the scale bar, in percent of the picture's width."""
        return "" if self.bar is None else f"{100 * self.bar.share:.2f}"


def picture(
    content: bytes, caption: str, alt: str, *, kind: str = "map", place: Place | None = None, under: bytes = b""
) -> Picture:
    """Return a picture of a page from the bytes of a PNG or JPEG, with a scale bar where its place is known."""
    width, height = Image.open(io.BytesIO(content)).size
    ratio = width / height if place is None else place.ratio
    return Picture(
        data_uri(content), caption, alt if place is None else f"{alt}; {place.text}", width, height,
        max(width, height) < _CRISP_BELOW_PX, kind, min(max(ratio, 1 / _MOST_RATIO), _MOST_RATIO),
        None if place is None else place.bar, data_uri(under) if under else "",
    )  # fmt: skip


def data_uri(content: bytes) -> str:
    """Return the bytes of a PNG or JPEG as a ``data:`` address."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def chart_markup(svg: str) -> Markup:
    """Return a chart as markup that is not escaped again: charts escape their own texts."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704


def render_page(template: str, view: Mapping[str, Any]) -> str:
    """Return a page as HTML text; every text in the view is escaped, except ``markupsafe.Markup``."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    loader = FunctionLoader(lambda name: files(__package__).joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(view) + "\n"


def within_limit(render: Callable[[float], str]) -> str:
    """Return a page of at most ``MOST_BYTES``, its pictures as large as that allows.

    A page that is larger even with the smallest pictures is returned as it is.

    Args:
        render: Gives the page with pictures of a share of their full size, 0..1.
    """
    text, most = "", 1.0
    for share in _SHARES:
        if share > most and share != _SHARES[-1]:
            continue  # a page as busy as the last one would be too large
        text = render(share)
        size = len(text.encode("utf-8"))
        if size <= MOST_BYTES:
            break
        most = share * math.sqrt(MOST_BYTES / size)
    return text


def write_page(path: str | Path, text: str, *, force: bool) -> Path:
    """Write a page, complete or not at all, and return its path; a missing folder is created.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    write_atomically(target, text.encode("utf-8"))
    return target
