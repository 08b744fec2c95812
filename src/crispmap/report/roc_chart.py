"""Receiver operating characteristics of several methods as a chart that stands in a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_SIDE, _LEFT, _TOP, _BOTTOM, _RIGHT = 260.0, 38.0, 8.0, 40.0, 10.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
# After Okabe and Ito, of middle lightness: told apart on light and on dark ground.
COLOURS = ("#d55e00", "#0089d0", "#009e73", "#cc79a7", "#c98a00", "#8064d8")
DASHES = ("", "6 3", "2 3")


@dataclass(frozen=True)
class RocLine:
    """One line of the chart.

    Attributes:
        name: The method; any text.
        auc: Area under the curve, as text.
        false_positive_rate: 0..1, rising.
        true_positive_rate: As many, 0..1, rising.
        colour: ``#rrggbb``.
        dash: A stroke-dasharray, or empty.
    """

    name: str
    auc: str
    false_positive_rate: Sequence[float]
    true_positive_rate: Sequence[float]
    colour: str
    dash: str


def style_of(index: int) -> tuple[str, str]:
    """Return colour and dashes of the line of a number: the first 18 differ."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def roc_svg(lines: Sequence[RocLine], *, title: str) -> str:
    """Return the chart as an SVG element in the page's own text colour, with every text escaped and no address in it.

    Args:
        lines: The curves.
        title: What it shows, for readers who cannot see it.
    """
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" class="chart" font-size="12">',
        f"<title>{escape(title)}</title>",
        *_axes(),
    ]
    for line in lines:
        points = " ".join(
            f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(line.false_positive_rate, line.true_positive_rate, strict=True)
        )
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{escape(line.colour)}" stroke-width="1.8" '
            f'stroke-linejoin="round"{dash}><title>{escape(line.name)}, AUC {escape(line.auc)}</title></polyline>'
        )
    return "\n".join([*parts, "</svg>"])


def key_svg(colour: str, dash: str) -> str:
    """Return a piece of a line, for a legend."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        '<svg viewBox="0 0 26 8" width="26" height="8" aria-hidden="true"><line x1="1" x2="25" y1="4" y2="4" '
        f'stroke="{escape(colour)}" stroke-width="2.4"{dashes}/></svg>'
    )


def _x(share: float) -> float:
    return _LEFT + share * _SIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIDE


def _axes() -> list[str]:
    parts = []
    faint = 'stroke="currentColor" stroke-opacity=".15"'
    for tick in _TICKS:
        parts.append(
            f'<line x1="{_x(0):g}" x2="{_x(1):g}" y1="{_y(tick):g}" y2="{_y(tick):g}" {faint}/>'
            f'<line x1="{_x(tick):g}" x2="{_x(tick):g}" y1="{_y(0):g}" y2="{_y(1):g}" {faint}/>'
            f'<text x="{_LEFT - 5:g}" y="{_y(tick) + 4:g}" text-anchor="end" fill-opacity=".7">{tick:g}</text>'
            f'<text x="{_x(tick):g}" y="{_y(0) + 16:g}" text-anchor="middle" fill-opacity=".7">{tick:g}</text>'
        )
    parts.append(
        f'<line x1="{_x(0):g}" y1="{_y(0):g}" x2="{_x(1):g}" y2="{_y(1):g}" stroke="currentColor" '
        'stroke-opacity=".3" stroke-dasharray="1 4"/>'
        f'<text x="{_x(0.5):g}" y="{_y(0) + 33:g}" text-anchor="middle" fill-opacity=".7">'
        "false positive rate; upwards: true positive rate</text>"
    )
    return parts
