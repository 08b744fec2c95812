"""The verb ``offset``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify_problem, print_json, print_line
from crispmap.cli.failures import in_options
from crispmap.cli.options import (
    AssumeGsdOption,
    ClassesOption,
    ForceOption,
    JsonOption,
    VectorFlags,
    grouped,
    named_classes,
    notify_written,
)  # fmt: skip
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.labels.registration import Registration


@dataclass(frozen=True)
class MatchFlags:
    """What the vectors are compared with, and how."""

    against: Annotated[Path, typer.Option(help="What they should match: a scene, or the scores of a coarse map.")]
    kind: Annotated[
        Literal["auto", "image", "scores"],
        typer.Option(help="What that is; auto knows scores that crispmap wrote."),
    ] = "auto"
    classes: ClassesOption = None
    max_shift_m: Annotated[float, typer.Option(help="How far the labels may be off, in metres.")] = 10
    assume_gsd_m: AssumeGsdOption = None


@grouped
def offset(
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="The labels: polygons and lines.")],
    *,
    match: MatchFlags,
    read: VectorFlags,
    out: Annotated[
        Path | None, typer.Option(help="Write the vectors, moved back by the offset, to this GeoPackage.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how far vectors are, as a whole, from a scene or from a coarse map, and move them back.

    Their outlines are compared with the edges of the image, or the borders of the scores, at every shift. In a
    large scene up to 16 windows of 1024 x 1024 pixels are compared. What --out writes has the layers and
    columns of the vectors; those away from the scene are left out.
    """
    from crispmap.labels.reader import LabelOptions
    from crispmap.labels.registration import check_correction_target, estimate_registration

    if out is not None:
        check_correction_target(out, vectors, match.against, force=force)
    registration = estimate_registration(
        vectors, match.against, named_classes(match.classes), max_shift_m=match.max_shift_m, kind=match.kind,
        assume_gsd_m=match.assume_gsd_m, options=LabelOptions(**vars(read)), events=shown_progress(),
    )  # fmt: skip
    if out is not None:
        registration.write_corrected(out, force=force)
    _show(registration, out, as_json)


def _show(registration: Registration, out: Path | None, as_json: bool) -> None:
    advice = _advice(registration, out)
    if as_json:
        _print_json(registration, out, advice)
    else:
        _print_figures(registration)
        for sentence in advice:
            print_line(sentence)
    if out is not None:
        if registration.verdict == "unreliable":
            notify_problem("warning", f"{out} was moved by an unreliable offset.", "bold yellow")
        notify_written([out])


def _print_json(registration: Registration, out: Path | None, advice: list[str]) -> None:
    from crispmap.files.address import shown

    found, offset = registration.found, registration.found.offset
    print_json(
        {
            "vectors": shown(registration.vectors), "against": shown(registration.against), "out": out,
            "kind": registration.kind,
            "east_m": offset.dx_m, "north_m": offset.dy_m, "error_m": offset.error_m,
            "confidence": offset.confidence, "reliable": offset.reliable, "advice": " ".join(advice),
            "gsd_m": found.gsd_m, "windows": found.windows, "windows_with_labels": found.windows_in_all,
        }
    )  # fmt: skip


def _print_figures(registration: Registration) -> None:
    found, offset = registration.found, registration.found.offset
    on_earth = registration.grid.crs is not None
    compared = f"{found.windows} of {found.windows_in_all} windows with labels, at {found.gsd_m:.2f} m a pixel"
    for label, text in (
        ("east" if on_earth else "in x", f"{offset.dx_m:8.2f} m"),
        ("north" if on_earth else "in y", f"{offset.dy_m:8.2f} m"),
        ("standard error", f"{offset.error_m:8.2f} m"),
        ("confidence", f"{offset.confidence:8.2f}   (0 to 1)"),
        ("reliable", f"{'yes' if offset.reliable else 'no':>8}"),
        ("compared", f"    {compared}"),
    ):
        print_line(f"{label:<16} {text}")


def _advice(registration: Registration, out: Path | None) -> list[str]:
    offset, kind = registration.found.offset, registration.kind
    if registration.verdict == "unreliable":
        return [in_options(offset.note), "Do not move the labels by this offset."]
    if registration.verdict == "aligned":
        return [f"The labels match the {kind}, within the error of the estimate: nothing to do."]
    on_earth = registration.grid.crs is not None
    off = _directions(offset.dx_m, offset.dy_m, on_earth)
    back = _directions(*registration.correction_m, on_earth)
    do = f"Move them {back}: --out moved.gpkg does so." if out is None else f"Moved {back}."
    return [f"The labels are {off} of the {kind}.", do]


def _directions(dx_m: float, dy_m: float, on_earth: bool) -> str:
    """Return a displacement as words such as ``1.40 m east and 0.90 m south``."""
    names = ("east", "west", "north", "south") if on_earth else ("in +x", "in -x", "in +y", "in -y")
    parts = [
        f"{abs(value):.2f} m {names[axis] if value > 0 else names[axis + 1]}"
        for axis, value in ((0, dx_m), (2, dy_m))
        if abs(value) >= 0.005
    ]
    return " and ".join(parts)
