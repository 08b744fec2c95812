"""A matplotlib figure as an SVG element of a page, in the page's own font and text colour.

Matplotlib is imported only when a chart is drawn: figures on a terminal do not need it.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#0a0b0c"
"""Stands for the colour of the page's text, on light and on dark pages."""
_SOFT_INK = INK + "b3"
FAINT = 0.35  # opacity of the outline that keeps a white line visible on a white page, and a black one on a black page

Tips = Mapping[str, Sequence[str]]  # by the gid of a line: the tooltips of its points, in order

_PX = 72  # dots an inch at which a point is a pixel
_TEXT_PX = 12
_OF_A_FILE = re.compile(r'<metadata>.*?</metadata>|<style.*?</style>| xmlns(:\w+)?="[^"]*"|xlink:(?=href=)', re.DOTALL)
_DECIMALS = re.compile(r"-?\d+\.\d+")
_NO_NEWS = re.compile(r"font[^;]*;? ?|rotate\(-?0 [^)]*\)|stroke-dashoffset: 0;? ?")
_SPACES = re.compile(r"\s{2,}")
_REFERENCE = re.compile(r"#([\w-]+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.formatter.useoffset": False,
    "axes.labelcolor": _SOFT_INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": _PX,
    "font.size": _TEXT_PX,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.frameon": False,
    "lines.scale_dashes": False,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # text stays text: it is small, can be searched, and takes the page's font
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": _SOFT_INK,
    "xtick.major.size": 0,
    "ytick.color": _SOFT_INK,
    "ytick.major.size": 0,
}


def chart_svg(size_px: tuple[float, float], draw: Callable[[Figure], Tips], *, label: str) -> str:
    """Return what a function draws as ``<svg>...</svg>``; every text is escaped, and nothing is loaded.

    The same drawing gives the same text under any configuration of matplotlib.

    Args:
        draw: Draws on an empty figure and returns the tips of its lines.
        label: A description for screen readers; different for every chart of a page.
    """
    with _own_style(label):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(size_px[0] / _PX, size_px[1] / _PX), layout="constrained")
        figure.patch.set_visible(False)
        tips = draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _for_a_page(buffer.getvalue(), label, tips)


def shown_text(text: str) -> str:
    """Return a text without the control characters that SVG cannot hold."""
    return _CONTROL.sub("\ufffd", text)


def shortened(text: str, most: int) -> str:
    """Return a text cut to a number of letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def add_legend(figure: Figure, entries: Sequence[tuple[Artist, str]], columns: int) -> None:
    """Add a legend below a figure's axes."""
    if not entries:
        return
    # Texts are set afterwards, because matplotlib skips labels that begin with an underscore.
    handles, numbers = [handle for handle, _ in entries], [str(number) for number in range(len(entries))]
    spacing = {"handlelength": 1.8, "handletextpad": 0.6, "columnspacing": 1.4, "labelspacing": 0.3, "borderpad": 0.6}
    legend = figure.legend(handles, numbers, loc="outside lower left", ncols=columns, **spacing)
    for shown, (_, text) in zip(legend.get_texts(), entries, strict=True):
        shown.set_text(shown_text(text))


def empty_axes(figure: Figure, x_label: str, y_label: str) -> Axes:
    """Return a figure's axes with names."""
    return bare_axes(figure.subplots(), x_label, y_label)


def bare_axes(axes: Axes, x_label: str, y_label: str) -> Axes:
    """Return axes with names, without a ground of their own."""
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


@contextmanager
def _own_style(salt: str) -> Iterator[None]:
    """Draw with the settings of this file alone; ids are derived from the salt, so that no two charts share one."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        # The page's font draws the text; the font used to measure it may lack a letter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _for_a_page(content: str, label: str, tips: Tips) -> str:
    """Return matplotlib's SVG file as an element of a page."""
    root = ET.fromstring(_OF_A_FILE.sub("", content))  # noqa: S314 - matplotlib's own text
    for line in list(root.iter("g")):
        for mark, text in zip([*line.iter("use")] or [line], tips.get(line.get("id", ""), ()), strict=False):
            ET.SubElement(mark, "title").text = shown_text(text)
    used = {found for one in root.iter() for value in one.attrib.values() for found in _REFERENCE.findall(value)}
    for element in root.iter():
        kept = {name: value for name, value in element.attrib.items() if name != "id" or value in used}
        element.attrib = {name: plain for name, value in kept.items() if (plain := _plain(name, value))}
        element.text, element.tail = element.text if element.tag in ("text", "title") else None, None
    _unwrap(root)
    view = {"viewBox": root.get("viewBox", ""), "class": "chart", "role": "img", "aria-label": label}
    root.attrib = {**view, "font-size": str(_TEXT_PX), "stroke-linejoin": "round"}
    return ET.tostring(root, encoding="unicode")


def _plain(name: str, value: str) -> str:
    """Return an attribute with few decimals, with ink as the page's colour, without redundant parts."""
    digits = 1 if name in ("d", "x", "y", "transform") else 2
    value = _SPACES.sub(" ", _NO_NEWS.sub("", value)).replace(INK, "currentColor")
    return _DECIMALS.sub(lambda found: f"{float(found[0]):.{digits}f}".rstrip("0").rstrip("."), value).strip()


def _unwrap(parent: ET.Element) -> None:
    """Replace groups without attributes by their children."""
    children: list[Any] = []
    for child in parent:
        _unwrap(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = [child for child in children if child.tag not in ("g", "defs") or len(child)]
