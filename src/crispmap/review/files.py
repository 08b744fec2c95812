"""Vector files aligned with a scene and held against the scores of a map of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS
from shapely.affinity import translate

from crispmap.classes import ClassSchema
from crispmap.events import SILENT, Events
from crispmap.files.atomic import scratch_folder
from crispmap.files.dataset import few_blocks_kept
from crispmap.inference.job import GivenScores
from crispmap.labels.align.files import COLUMNS, Alignment, FoundShifts, check_alignment, found_shifts
from crispmap.labels.align.objects import AlignRules, Reason, Shift
from crispmap.labels.geometry import Geometries
from crispmap.labels.reader import LabelOptions
from crispmap.labels.translate import check_moved_target, near_layers, write_layers
from crispmap.raster.files import open_scene
from crispmap.raster.targets import check_paths
from crispmap.review.added import confirmed, lacking
from crispmap.review.classes import reviewed_features
from crispmap.review.footprints import BLOCK_PX, seen_footprints
from crispmap.review.layer import added_rows, labelled_rows, reprojected, write_review
from crispmap.review.scores import ReviewScores, open_review_scores
from crispmap.review.seen import seen_inside
from crispmap.review.verdicts import GONE, ReviewRules, Status, gone_confidence
from crispmap.types import BoolArray, DoubleArray


@dataclass(frozen=True)
class ReviewOutputs:
    """Where the aligned vectors and the layer to go through are written, and what the first hold."""

    out: Path  # a GeoPackage: the vectors near the scene, aligned
    review: Path | None = None  # a GeoPackage with the layer ``review``
    revise: bool = False  # whether ``out`` has what is added, and not what is probably gone

    def check(self, inputs: list[Path], *, force: bool) -> None:
        """Raise OutputError unless both may be written."""
        written = [self.out, *([] if self.review is None else [self.review])]
        check_paths(written, inputs)
        for one in written:
            check_moved_target(one, force=force)


@dataclass(frozen=True)
class Review:
    """What became of the objects of a file that was held against scores."""

    alignment: Alignment  # of all objects; those that are gone have a reason of their own
    class_name: str  # of the objects reviewed
    statuses: Mapping[str, int]  # objects reviewed by ``Status``
    not_reviewed: int  # objects of other classes, and those that are no polygons
    reading: str  # what the values of the scores were taken for


@dataclass(frozen=True)
class _Reviewed:
    """Layers aligned and held against scores."""

    layers: list[tuple[str, gpd.GeoDataFrame]]  # with the columns of the alignment and align_seen
    reviewed: list[BoolArray]  # of each layer, which of its objects
    added: gpd.GeoDataFrame  # footprints that labels lack
    crs: CRS | None  # of these

    @property
    def layer(self) -> int:
        """The layer to which objects are added: the one with most that are reviewed."""
        return int(np.argmax([one.sum() for one in self.reviewed]))

    def rows(self) -> list[gpd.GeoDataFrame]:
        """Return the rows of the layer to go through."""
        rows = [
            labelled_rows(name, frame, own, self.crs)
            for (name, frame), own in zip(self.layers, self.reviewed, strict=True)
        ]
        return [*rows, added_rows(self.added, self.layers[self.layer][0], self.crs)]

    def statuses(self) -> dict[str, int]:
        """Return how many objects have each status."""
        counts = Counter(status for rows in self.rows() for status in rows["status"])
        return {one.value: counts[one.value] for one in Status}

    def revised(self, class_name: str) -> list[tuple[str, gpd.GeoDataFrame]]:
        """Return the layers without what is gone and with what is added."""
        kept = [(name, frame[frame["align_reason"] != GONE]) for name, frame in self.layers]
        name, frame = kept[self.layer]
        more = gpd.GeoDataFrame(
            {
                **dict.fromkeys(COLUMNS, 0.0), "align_confidence": self.added["confidence"],
                "align_reason": Status.ADDED.value, "align_seen": self.added["confidence"], "class_name": class_name,
            },
            geometry=reprojected(self.added.geometry.to_numpy(), self.crs, frame.crs), crs=frame.crs,
        )  # fmt: skip
        if len(more):
            if frame.geometry.name != more.geometry.name:
                more = more.rename_geometry(frame.geometry.name)
            frame = gpd.GeoDataFrame(pd.concat([_nullable(frame), more], ignore_index=True), crs=frame.crs)
        kept[self.layer] = name, frame
        return kept


def review_file(  # noqa: PLR0913 - what a person may choose
    vectors: Path,
    against: Path,
    given: GivenScores,
    outputs: ReviewOutputs,
    rules: AlignRules = AlignRules(),
    review: ReviewRules = ReviewRules(),
    *,
    schema: ClassSchema | None = None,
    assume_gsd_m: float | None = None,
    options: LabelOptions | None = None,
    force: bool = False,
    block_px: int = BLOCK_PX,
    events: Events = SILENT,
) -> Review:
    """Write the vectors near a scene, aligned with it, and what the scores of a map of it say of their buildings.

    Objects are moved as by ``align_file``: scores move nothing. Polygons of the class of buildings get a column
    ``align_seen``, the mean probability of the class inside them; those that neither image nor scores show have the
    reason ``probably gone``. Footprints that the map sees surely and no labelled object overlaps are added, with
    ``revise`` to ``outputs.out`` too, where ``class_name`` and the reason ``added`` tell them apart, and from which
    objects that are gone are then left out. Without ``revise`` it holds every object and no other. What is found does
    not depend on ``block_px``.

    Args:
        schema: The classes of the scores, by default those named by their bands.
        options: ``all_as``, ``layer``, ``encoding`` and ``assume_crs`` apply.

    Raises:
        GridError: If the scores do not cover the scene.
        InputError: As ``align_file``, or if the scores name no classes and none are given.
        LabelError: If the vectors cannot be read, none is near the scene, or none is of the class.
        OutputError: If a file exists without ``force``, or cannot be written.
        SceneError: If scene or scores cannot be read, or the scores can be read in two ways.
        SchemaError: If the classes are not those of the scores, or none of them is of buildings.
    """
    options = options or LabelOptions()
    outputs.check([vectors, against, given.path], force=force)
    check_alignment(vectors, against, outputs.out, force=force)
    with ExitStack() as stack:
        stack.enter_context(few_blocks_kept())
        scene = stack.enter_context(open_scene(against, assume_gsd_m=assume_gsd_m))
        scores = stack.enter_context(open_review_scores(given, scene, rules.max_shift_m, schema))
        layers = near_layers(vectors, scene.grid, options, events)
        reviewed = reviewed_features(layers, scores, options.all_as)
        frames = [frame for _, frame in layers]
        found = found_shifts(frames, scene, rules, events)
        aligned = found.applied(frames)
        folder = stack.enter_context(scratch_folder(outputs.out))
        seen = seen_footprints(scores, folder, block_px=block_px, events=events)
        sure = confirmed(seen, scene, rules, review, events)
        added = lacking(sure, _labelled((frames, aligned), reviewed, scores.scene.grid.crs))
        judged, alignment = _judged(aligned, reviewed, found, scores)
        crs, class_name, reading = scores.scene.grid.crs, scores.class_name, scores.reading
    named = [(name, frame) for (name, _), frame in zip(layers, judged, strict=True)]
    whole = _Reviewed(named, reviewed, added, crs)
    if outputs.review is not None:
        write_review(outputs.review, whole.rows())
    write_layers(outputs.out, whole.revised(class_name) if outputs.revise else whole.layers)
    others = alignment.objects - sum(int(one.sum()) for one in reviewed)
    return Review(alignment, class_name, whole.statuses(), others, reading)


def _nullable(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a layer whose whole numbers and truth values keep their type where other rows have none."""
    kinds = {name: dtype.kind for name, dtype in frame.dtypes.items() if isinstance(dtype, np.dtype)}
    wide = {name: "boolean" if kind == "b" else "Int64" for name, kind in kinds.items() if kind in "biu"}
    return frame.astype(wide)


def _labelled(
    layers: Sequence[Sequence[gpd.GeoDataFrame]], reviewed: Sequence[BoolArray], crs: CRS | None
) -> Geometries:
    """Return the objects reviewed of several states of the layers, as given and aligned, in one CRS."""
    shapes = [
        reprojected(frame.geometry.to_numpy()[own], frame.crs, crs)
        for state in layers
        for frame, own in zip(state, reviewed, strict=True)
    ]
    return np.concatenate(shapes)


def _judged(
    frames: Sequence[gpd.GeoDataFrame], reviewed: Sequence[BoolArray], found: FoundShifts, scores: ReviewScores
) -> tuple[list[gpd.GeoDataFrame], Alignment]:
    """Return aligned layers with what the scores see of each object, and what became of all, gone ones named so."""
    seen = [_seen(*one, scores) for one in zip(found.shapes, found.shifts, reviewed, strict=True)]
    own = np.concatenate(reviewed)
    reasons = np.concatenate([frame["align_reason"].to_numpy(object) for frame in frames])
    sure = np.zeros(len(own))
    sure[own] = gone_confidence(reasons[own], np.concatenate(seen)[own])
    by_frame = np.split(sure, np.cumsum([len(frame) for frame in frames])[:-1])
    judged = [_with_verdicts(*one) for one in zip(frames, seen, by_frame, strict=True)]
    gone, alignment = int((sure > 0).sum()), found.alignment
    no_support = alignment.counts[Reason.NO_SUPPORT.value] - gone
    return judged, replace(alignment, counts={**alignment.counts, Reason.NO_SUPPORT.value: no_support, GONE: gone})


def _seen(shapes: Geometries, shifts: Sequence[Shift], reviewed: BoolArray, scores: ReviewScores) -> DoubleArray:
    """Return what is seen of each object (n,): where it was given or where it most likely belongs, the more of both.

    NaN for objects that are not reviewed.
    """
    found = np.full(len(shapes), np.nan)
    places = np.flatnonzero(reviewed).tolist()
    given = [shapes[place] for place in places]
    moved = [translate(shapes[place], *shifts[place].likeliest) for place in places]
    found[places] = np.fmax(seen_inside(given, scores), seen_inside(moved, scores))
    return found


def _with_verdicts(frame: gpd.GeoDataFrame, seen: DoubleArray, gone: DoubleArray) -> gpd.GeoDataFrame:
    """Return an aligned layer with what is seen of its objects, and those that are gone named so."""
    return frame.assign(
        align_seen=seen,
        align_confidence=np.where(gone > 0, gone, frame["align_confidence"]),
        align_reason=np.where(gone > 0, GONE, frame["align_reason"].to_numpy(object)),
    )
