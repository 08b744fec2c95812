"""The verb ``align``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import AssumeGsdOption, ForceOption, JsonOption, VectorFlags, grouped, notify_written
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.labels.align.files import Alignment


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


@grouped
def align(
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="The labels; polygons are moved.")],
    *,
    out: Annotated[Path, typer.Option(help="The GeoPackage to write.")],
    match: AlignFlags,
    read: VectorFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Move every polygon to where the image shows it, each by itself; no precise labels are needed.

    The outline of an object is compared with the edges of the image at every shift, and what its neighbours do is
    weighed in. Then lengths, widths and directions are fitted where those of the file are off. What is not sure stays
    where it is; the column align_reason tells why, align_confidence how sure. Layers and columns are kept; lines are
    not moved.
    """
    from crispmap.labels.align.files import align_file
    from crispmap.labels.align.objects import AlignRules
    from crispmap.labels.reader import LabelOptions

    found = align_file(
        vectors, match.against, out, AlignRules(match.max_shift_m, match.sure, not match.keep_sizes),
        assume_gsd_m=match.assume_gsd_m, options=LabelOptions(**vars(read)), force=force, events=shown_progress(),
    )  # fmt: skip
    _show(found, out, as_json)


def _show(found: Alignment, out: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "path": out,
                "objects": found.counts,
                "median_shift_m": found.median_m,
                "resized": found.resized,
                "gsd_m": found.gsd_m,
            }
        )
        return
    for reason, count in found.counts.items():
        if count:
            by = f"   by {found.median_m:.2f} m at the median, {found.resized} resized" if reason == "aligned" else ""
            print_line(f"{reason:<16} {count:>8}{by}")
    if not found.counts["aligned"]:
        notify("No object is moved: of none is it sure where it belongs.")
    notify_written([out])
