"""The verb ``align``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import (
    AssumeGsdOption,
    ForceOption,
    JsonOption,
    VectorFlags,
    grouped,
    named_classes,
    notify_written,
)
from crispmap.cli.progress import shown_progress
from crispmap.errors import InputError, number_of

if TYPE_CHECKING:
    from crispmap.labels.align.files import Alignment
    from crispmap.labels.align.objects import AlignRules
    from crispmap.review.files import Review, ReviewOutputs


@dataclass(frozen=True)
class AlignFlags:
    """What the vectors are compared with, and when they are moved."""

    against: Annotated[Path, typer.Option(help="The scene that they should match.")]
    max_shift_m: Annotated[float, typer.Option(help="How far an object may be off, in metres.")] = 9
    sure: Annotated[
        float, typer.Option(metavar="SHARE", help="Objects are moved where a shift is at least so probable, 0 to 1.")
    ] = 0.5
    keep_sizes: Annotated[bool, typer.Option("--keep-sizes", help="Move outlines, but do not change them.")] = False
    assume_gsd_m: AssumeGsdOption = None

    def rules(self) -> AlignRules:
        """Return the rules of the alignment."""
        from crispmap.labels.align.objects import AlignRules

        return AlignRules(self.max_shift_m, self.sure, not self.keep_sizes)


@dataclass(frozen=True)
class ReviewFlags:
    """The scores that labels are held against, and what is written of it."""

    scores: Annotated[
        Path | None, typer.Option(help="Scores of any map of the scene: find buildings that are missing or gone.")
    ] = None
    review: Annotated[
        Path | None, typer.Option(help="Write each building with its status to this GeoPackage, to go through in QGIS.")
    ] = None
    revise: Annotated[
        bool, typer.Option("--revise", help="Put buildings that are missing into --out, and leave out those gone.")
    ] = False
    min_confidence: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="How sure the map must be of a building that is added; twice as sure without edges."
        ),
    ] = 0.8
    min_area_m2: Annotated[float, typer.Option(help="Area that a building that is added has at least.")] = 10
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|FILE", help="The classes of the scores, in their order; by default those named by the bands."
        ),
    ] = None
    kind: Annotated[
        Literal["auto", "logit", "probability"], typer.Option(help="What the scores are; auto infers it.")
    ] = "auto"
    full_scale: Annotated[
        float | None, typer.Option(help="The value of whole numbers that stands for probability 1, such as 255.")
    ] = None

    def check(self) -> None:
        """Raise InputError where options need scores that are not given."""
        needing = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        if self.scores is None and needing:
            raise InputError(
                f"{needing[0]} is given without scores.", expected="scores of a map, which objects are held against",
                remedy="Add scores= with a raster such as coarse_scores.tif.",
            )  # fmt: skip


@grouped
def align(  # noqa: PLR0913 - groups of options
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="The labels; polygons are moved.")],
    *,
    out: Annotated[Path, typer.Option(help="The GeoPackage to write.")],
    match: AlignFlags,
    held: ReviewFlags,
    read: VectorFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Move every polygon to where the image shows it, each by itself; no precise labels are needed.

    The outline of an object is compared with the edges of the image at every shift, and what its neighbours do is
    weighed in. Then lengths, widths and directions are fitted where those of the file are off. What is not sure stays
    where it is; the column align_reason tells why, align_confidence how sure. Layers and columns are kept; lines are
    not moved.

    With --scores the map behind them is asked for buildings that the labels lack and for those that are probably gone.
    --out still holds every object, and no other, unless --revise is given; --review shows them all.
    """
    held.check()
    if held.scores is None:
        _align(vectors, out, match, read, force=force, as_json=as_json)
    else:
        _review(vectors, out, match, held, read, force=force, as_json=as_json)


def _align(vectors: Path, out: Path, match: AlignFlags, read: VectorFlags, *, force: bool, as_json: bool) -> None:
    from crispmap.labels.align.files import align_file
    from crispmap.labels.reader import LabelOptions

    found = align_file(
        vectors, match.against, out, match.rules(), assume_gsd_m=match.assume_gsd_m,
        options=LabelOptions(**vars(read)), force=force, events=shown_progress(),
    )  # fmt: skip
    if as_json:
        print_json({"path": out, **_figures(found)})
    else:
        _show(found)
        notify_written([out])


def _review(  # noqa: PLR0913 - the groups of options of the verb
    vectors: Path, out: Path, match: AlignFlags, held: ReviewFlags, read: VectorFlags, *, force: bool, as_json: bool
) -> None:
    from crispmap.inference.job import GivenScores
    from crispmap.labels.reader import LabelOptions
    from crispmap.review.files import ReviewOutputs, review_file
    from crispmap.review.verdicts import ReviewRules

    if held.scores is None:
        raise TypeError("a review needs scores")
    outputs = ReviewOutputs(out, held.review, held.revise)
    found = review_file(
        vectors, match.against, GivenScores(held.scores, held.kind, held.full_scale), outputs, match.rules(),
        ReviewRules(held.min_confidence, held.min_area_m2), schema=named_classes(held.classes),
        assume_gsd_m=match.assume_gsd_m, options=LabelOptions(**vars(read)), force=force, events=shown_progress(),
    )  # fmt: skip
    if as_json:
        print_json({
            "path": out, **_figures(found.alignment), "review": held.review, "class": found.class_name,
            "statuses": found.statuses, "not_reviewed": found.not_reviewed, "revised": held.revise,
            "scores": found.reading,
        })  # fmt: skip
        return
    _show(found.alignment)
    _show_review(found, outputs)
    notify_written([out, *([] if held.review is None else [held.review])])


def _figures(found: Alignment) -> dict[str, Any]:
    return {
        "objects": found.counts, "median_shift_m": found.median_m, "resized": found.resized, "gsd_m": found.gsd_m,
    }  # fmt: skip


def _show_review(found: Review, outputs: ReviewOutputs) -> None:
    statuses = found.statuses
    notify(f"The scores are read as {found.reading}; {found.class_name} is reviewed.")
    print_line(f"{'lacking':<16} {statuses['added']:>8}   that the map sees and no labelled object overlaps")
    if found.not_reviewed:
        notify(
            f"Not held against the scores: {number_of(found.not_reviewed, 'object')} of other classes, or no polygon."
        )
    if outputs.revise:
        notify(f"{outputs.out} is revised: {statuses['added']} added, {statuses['left out']} left out.")
    elif statuses["added"] or statuses["left out"]:
        notify(f"{outputs.out} holds all labelled objects and no other: --revise adds and leaves out.")


def _show(found: Alignment) -> None:
    for reason, count in found.counts.items():
        if count:
            by = f"   by {found.median_m:.2f} m at the median, {found.resized} resized" if reason == "aligned" else ""
            print_line(f"{reason:<16} {count:>8}{by}")
    if not found.counts["aligned"]:
        notify("No object is moved: of none is it sure where it belongs.")
