"""The first screen of a page: is the map better, by how much, and where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.intervals import Interval
from crispmap.report.tables.lead import Lead, leads_of, losses_of, shown_leads
from crispmap.report.tables.model import DASH

if TYPE_CHECKING:
    from markupsafe import Markup

_MOST_LOSSES = 6  # classes whose losses are named; all stand in the table of classes


@dataclass(frozen=True)
class LeadRow:
    """A line of the small table."""

    name: str
    of: str
    baseline: str
    value: str
    change: str
    tone: str  # "good", "bad" or ""
    interval: str = ""  # of the change


@dataclass(frozen=True)
class Answer:
    """What the first screen says."""

    headline: str
    sentences: Sequence[str]
    baseline: str = ""  # the name of the map that is compared with; empty where there is none
    final: str = ""  # the name of the map
    rows: Sequence[LeadRow] = ()
    more_classes: int = 0  # whose figures stand only below
    losses: Sequence[Markup] = ()  # where the map is worse than the baseline
    more_losses: int = 0  # classes with losses that stand only below
    spared: str = ""  # what is said where it is worse nowhere


def answer_of(
    final: tuple[str, Evaluation], baseline: tuple[str, Evaluation] | None, words: Sequence[str], ahead: Interval | None
) -> Answer:
    """Return the answer for a map and its baseline, if it has one.

    Args:
        words: The headline, then sentences.
        ahead: The lead in mean IoU with its interval, where known.
    """
    other = final if baseline is None else baseline
    leads = leads_of(other[1], final[1])
    shown, more = shown_leads(leads)
    lost = losses_of(leads) if baseline is not None else {}
    known = any(math.isfinite(one.change) for one in leads)
    called = f"the {other[0]}" if other[0].endswith("map") else other[0]
    spared = f"Nowhere: no figure of any class is below that of {called}." if baseline is not None and known else ""
    return Answer(
        words[0], words[1:], "" if baseline is None else other[0], final[0], [_row(one, ahead) for one in shown], more,
        [loss_text(of, found) for of, found in list(lost.items())[:_MOST_LOSSES]], max(0, len(lost) - _MOST_LOSSES),
        "" if lost else spared,
    )  # fmt: skip


def _row(one: Lead, ahead: Interval | None) -> LeadRow:
    tone = "" if not one.change else "good" if one.change > 0 else "bad" if one.change < 0 else ""
    within = between(ahead) if ahead is not None and one.name == "Mean IoU" else ""
    return LeadRow(one.name, one.of, _shown(one.baseline), _shown(one.value), signed(one.change), tone, within)


def loss_text(of: str, found: Sequence[Lead]) -> Markup:
    """Return in words what a class loses; the name stands by itself, whatever its direction."""
    from markupsafe import Markup

    names = (one.name if one.name == "IoU" else one.name[0].lower() + one.name[1:] for one in found)
    parts = [
        f"{name} falls from {one.baseline:.1f} to {one.value:.1f} %" for name, one in zip(names, found, strict=True)
    ]
    subject = Markup("<bdi>{}</bdi>").format(of) if of else Markup("All classes")
    return Markup("<strong>{}</strong>: {}").format(subject, ", ".join(parts))


def signed(points: float) -> str:
    """Return a difference with its sign; a dash where there is none."""
    if not math.isfinite(points):
        return DASH
    text = f"{points:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "\u2212")


def between(one: Interval) -> str:
    """Return the ends of an interval of shares, in points; nothing without them."""
    if not math.isfinite(one.low):
        return ""
    return f"{signed(100 * one.low)} to {signed(100 * one.high)}"


def _shown(percent: float) -> str:
    return f"{percent:.1f}" if math.isfinite(percent) else DASH
