"""The result of a report in words: a headline, what sharpening did, and what recalibration alone can do."""

from __future__ import annotations

import math

from crispmap.report.pages.answer import between
from crispmap.report.pages.report_data import ReportData


def words_of(data: ReportData) -> list[str]:
    """Return the headline, then sentences."""
    if not data.coarse.evaluation.confusion.counts.any():
        return ["No reference, no answer.", "There is no mean IoU: the reference and the maps have no pixel in common."]
    coarse, final = (100 * one.evaluation.mean_iou for one in (data.coarse, data.best))
    if data.final is None or data.rethresholded is None:
        return ["One map, nothing to compare it with.", f"The map reaches a mean IoU of {coarse:.1f} %."]
    if not (math.isfinite(coarse) and math.isfinite(final)):
        return ["No answer.", "There is no mean IoU: the reference and the maps have no pixel in common."]
    rival = 100 * data.rethresholded.evaluation.mean_iou
    first = f"{data.sharpening} {_change(coarse, final)}"
    if not math.isfinite(rival):
        return ["No answer.", first + "."]
    ahead = round(final, 1) - round(rival, 1)
    verdict = _verdict(data.sharpening, ahead, f" (95 % interval: {within})" if (within := _within(data)) else "")
    return [_headline(ahead, data), f"{first}; re-thresholding alone reaches {rival:.1f} %.", verdict]


def _headline(ahead: float, data: ReportData) -> str:
    if ahead == 0:
        return "No, it is no better than recalibration."
    one = data.ahead
    unsure = one is not None and math.isfinite(one.low) and one.low <= 0 <= one.high
    if unsure:
        return f"Perhaps {'better' if ahead > 0 else 'worse'}: the test area is too small to tell."
    return "Yes, it is better." if ahead > 0 else "No, it is worse than recalibration."


def _within(data: ReportData) -> str:
    return "" if data.ahead is None else between(data.ahead)


def _change(before: float, after: float) -> str:
    change = round(after, 1) - round(before, 1)
    if change == 0:
        return f"left mean IoU at {after:.1f} %"
    return f"{'raised' if change > 0 else 'lowered'} mean IoU from {before:.1f} to {after:.1f} %"


def _verdict(sharpening: str, ahead: float, within: str) -> str:
    if ahead == 0:
        return f"Here {sharpening[0].lower()}{sharpening[1:]} does no more than recalibration alone can do{within}."
    place = "ahead of" if ahead > 0 else "behind"
    return f"{sharpening} is {abs(ahead):.1f} points {place} what recalibration alone can do{within}."
