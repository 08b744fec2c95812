"""The rows of a comparison's table, with intervals by block bootstrap on the test areas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crispmap.errors import LabelError
from crispmap.evaluation.evaluation import warn_of_chance
from crispmap.evaluation.intervals import difference, draw_weights, interval, mean_iou, overall_accuracy
from crispmap.project.compare.comparison import Comparison
from crispmap.project.compare.methods import own_method
from crispmap.project.compare.record import Record
from crispmap.project.compare.scoring import Scores
from crispmap.project.compare.seeds import seed_rows
from crispmap.report.tables.comparison import Cost, Missing, Row
from crispmap.report.tables.seeds import SeedRow
from crispmap.types import CountArray


@dataclass(frozen=True)
class Table:
    """The table of a comparison."""

    rows: tuple[Row, ...]  # the map of each method, and below a coarse network's its re-thresholded one
    missing: tuple[Missing, ...]  # the methods without figures
    own: str  # the name of the project's own method, which the others are compared with
    blocks: int  # how many bootstrap blocks there are
    seeds: tuple[SeedRow, ...] = ()  # the rows over several seeds, where there were any


def table_of(comparison: Comparison) -> Table:
    """Return the table of a comparison; the project's seed draws the bootstrap's blocks."""
    finished = comparison.finished
    own = own_method(comparison.project)
    blocks = [len(record.scores.blocks) for record in finished.values()]
    if len(set(blocks)) > 1:
        given = f"Methods were scored on {min(blocks)} and {max(blocks)} blocks."
        raise LabelError(given, expected="one reference for all", remedy="compare again with force=True")
    rows: list[Row] = []
    if blocks:
        weights = draw_weights(blocks[0], seed=comparison.project.seed)
        other = finished[own].scores.blocks if own in finished else None
        for method, record in finished.items():
            for name, scores in record.maps(method.name).items():
                # Re-thresholded, it costs what the coarse map does.
                cost = _cost(record) if name == method.name else None
                rows.append(_row(name, scores, cost, weights, None if name == own.name else other))
    warn_of_chance({row.name: row.evaluation for row in rows})
    missing = tuple(_missing(comparison))
    return Table(tuple(rows), missing, own.name, blocks[0] if blocks else 0, seed_rows(comparison))


def _missing(comparison: Comparison) -> Iterator[Missing]:
    """Yield the methods without figures, those of other seeds with their seed."""
    for one in (comparison, *comparison.repeats):
        at = "" if one is comparison else f", seed {one.project.seed}"
        for method, failure in one.failures.items():
            if one is comparison or not failure.skipped:
                yield Missing(method.name + at, failure.reason, failure.skipped)


def _cost(record: Record) -> Cost:
    return Cost(
        sum(record.parameters.values()), sum(record.training_s.values()), record.mapping.seconds_per_mpx,
        record.mapping.peak_mib,
    )  # fmt: skip


def _row(name: str, scores: Scores, cost: Cost | None, weights: CountArray, other: CountArray | None) -> Row:
    return Row(
        name=name, evaluation=scores.evaluation, auc=scores.mean_auc,
        accuracy=interval(overall_accuracy, scores.blocks, weights),
        mean_iou=interval(mean_iou, scores.blocks, weights),
        ahead=None if other is None else difference(mean_iou, scores.blocks, other, weights), cost=cost,
    )  # fmt: skip
