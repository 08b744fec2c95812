"""Self-contained HTML pages from the templates of this folder."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from crispmap.files.atomic import check_free, write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

_CRISP_BELOW_PX = 200  # small pictures are enlarged on the page: then pixels stay square


@dataclass(frozen=True)
class Picture:
    """An image of a page with its caption and its alternative text."""

    uri: str
    caption: str
    alt: str
    width: int
    height: int
    crisp: bool


def picture(content: bytes, caption: str, alt: str) -> Picture:
    """Return a picture of a page from the bytes of a PNG or JPEG."""
    width, height = Image.open(io.BytesIO(content)).size
    return Picture(data_uri(content), caption, alt, width, height, max(width, height) < _CRISP_BELOW_PX)


def data_uri(content: bytes) -> str:
    """Return the bytes of a PNG or JPEG as a ``data:`` address."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def chart_markup(svg: str) -> Markup:
    """Return a chart as markup that is not escaped again: charts escape their own texts."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704


def sections_of(view: Mapping[str, Any], names: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return id and name of every section of a page that has something to show.

    Args:
        names: For each section the value it shows, its id and its name.
    """
    return [(anchor, name) for key, anchor, name in names if view[key]]


def render_page(template: str, view: Mapping[str, Any]) -> str:
    """Return a page as HTML text; every text in the view is escaped, except ``markupsafe.Markup``."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    loader = FunctionLoader(lambda name: files(__package__).joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(view) + "\n"


def write_page(path: str | Path, text: str, *, force: bool) -> Path:
    """Write a page, complete or not at all, and return its path; a missing folder is created.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    write_atomically(target, text.encode("utf-8"))
    return target
