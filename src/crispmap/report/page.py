"""HTML pages from the templates of this package: styles, pictures and charts are inside; nothing is loaded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from PIL import Image

from crispmap.report.plots import data_uri

_CRISP_BELOW_PX = 200  # pictures smaller than their place on the page are enlarged: then pixels stay square


@dataclass(frozen=True)
class Picture:
    """An image of a page with its caption and its text for those who cannot see it."""

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


def render_page(template: str, view: Mapping[str, Any]) -> str:
    """Return a page as HTML text; every text in the view is escaped, but for ``markupsafe.Markup``.

    Args:
        template: The name of a template in this package.
        view: A value for every name in it.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    loader = FunctionLoader(lambda name: files("crispmap.evaluate").joinpath(name).read_text(encoding="utf-8"))
    # Markup may come in only through Markup(): the charts, which escape their own texts.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(view) + "\n"
