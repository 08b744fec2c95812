"""The rows of a comparison over seeds: the same methods, trained again with other seeds, on the same blocks."""

from __future__ import annotations

from collections.abc import Iterator

from crispmap.evaluation.intervals import draw_weights, lead_over_runs, mean_iou
from crispmap.project.compare.comparison import Comparison
from crispmap.project.compare.methods import own_method
from crispmap.project.compare.scoring import Scores
from crispmap.report.tables.seeds import SeedRow
from crispmap.types import CountArray

Run = tuple[Scores, Scores | None]
"""The figures of a map, and those of the project's own method with the same seed, where it has any."""


def seed_rows(comparison: Comparison) -> tuple[SeedRow, ...]:
    """Return a row for each map over the seeds it was made with; none where there was one seed alone.

    A map is compared with the project's own method seed by seed, on the same blocks.
    """
    if not comparison.repeats:
        return ()
    own = own_method(comparison.project).name
    found: dict[str, list[Run]] = {}
    for name, run in _by_seed(comparison, own):
        found.setdefault(name, []).append(run)
    blocks = max((len(runs[0][0].blocks) for runs in found.values()), default=1)
    weights = draw_weights(max(1, blocks), seed=comparison.project.seed)
    return tuple(_row(name, runs, weights, comparison.project.seed) for name, runs in found.items())


def _by_seed(comparison: Comparison, own: str) -> Iterator[tuple[str, Run]]:
    """Yield the name and the figures of every map of every seed."""
    for one in (comparison, *comparison.repeats):
        others = {method.name: record.scores for method, record in one.finished.items()}
        for method, record in one.finished.items():
            for name, scores in record.maps(method.name).items():
                yield name, (scores, None if name == own else others.get(own))


def _row(name: str, runs: list[Run], weights: CountArray, seed: int) -> SeedRow:
    pairs = [(one.blocks, other.blocks) for one, other in runs if other is not None]
    return SeedRow(
        name=name,
        mean_iou=tuple(one.evaluation.mean_iou for one, _ in runs),
        boundary_f1=tuple(tuple(one.evaluation.boundary_f1.tolist()) for one, _ in runs),
        widths_m=runs[0][0].evaluation.widths_m,
        ahead=tuple(float(mean_iou(a.sum(axis=0)) - mean_iou(b.sum(axis=0))) for a, b in pairs),
        lead=lead_over_runs(mean_iou, pairs, weights, seed=seed) if pairs else None,
    )
