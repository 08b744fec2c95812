"""The verb ``offset``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.console import notify_problem, print_json, print_line
from crispmap.cli.options import (
    AllAsOption,
    AssumeCrsOption,
    AssumeGsdOption,
    Choice,
    ClassesOption,
    ForceOption,
    LayerOption,
    named_classes,
    notify_written,
)
from crispmap.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from crispmap.labels.registration import Registration


class Against(Choice):
    """What labels are laid over."""

    AUTO = "auto"
    IMAGE = "image"
    SCORES = "scores"


def offset(  # noqa: PLR0913 - one parameter an option
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="The labels: polygons and lines.")],
    *,
    against: Annotated[
        Path, typer.Option("--against", help="What they should lie on: a scene, or the scores of a coarse map.")
    ],
    kind: Annotated[
        Against, typer.Option("--kind", help="What that is; auto knows the scores that crispmap wrote.")
    ] = Against.AUTO,
    classes: ClassesOption = None,
    max_shift_m: Annotated[float, typer.Option("--max-shift-m", help="How far the labels may be off, in metres.")] = 10,
    all_as: AllAsOption = None,
    layer: LayerOption = None,
    assume_crs: AssumeCrsOption = None,
    assume_gsd_m: AssumeGsdOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the vectors, moved back by the offset, to this GeoPackage.")
    ] = None,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Tell how far vectors lie, as a whole, from a scene or from a coarse map, and move them back.

    Their outlines are laid over the edges of the image, or the borders of the scores, at every shift. Of a
    large scene up to 16 windows of 1024 x 1024 pixels are compared. What --out writes has the layers and
    columns of the vectors; those away from the scene are left out.
    """
    from crispmap.labels.reader import LabelOptions
    from crispmap.labels.registration import check_correction_target, estimate_registration

    if out is not None:
        check_correction_target(out, vectors, against, force=force)
    registration = estimate_registration(
        vectors, against, named_classes(classes), max_shift_m=max_shift_m, kind=kind.value, assume_gsd_m=assume_gsd_m,
        options=LabelOptions(layer=layer, assume_crs=assume_crs, all_as=all_as), events=TerminalProgress(),
    )  # fmt: skip
    if out is not None:
        registration.write_corrected(out, force=force)
    _show(registration, out, as_json)


def _show(registration: Registration, out: Path | None, as_json: bool) -> None:
    """Print the offset, how far to trust it, and what to do."""
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
    """Print the offset and how far to trust it as JSON."""
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
    """Print the offset and how far to trust it, a line each."""
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
    """Return sentences: where the labels lie, and what to do, or what is done as a file is to be written."""
    offset, kind = registration.found.offset, registration.kind
    if registration.verdict == "unreliable":
        return [offset.note, "Do not move the labels by this offset."]
    if registration.verdict == "aligned":
        return [f"The labels lie on the {kind}, within the error of the estimate: nothing to do."]
    on_earth = registration.grid.crs is not None
    lie = _directions(offset.dx_m, offset.dy_m, on_earth)
    back = _directions(*registration.correction_m, on_earth)
    do = f"Move them {back}: --out moved.gpkg does so." if out is None else f"Moved {back}."
    return [f"The labels lie {lie} of the {kind}.", do]


def _directions(dx_m: float, dy_m: float, on_earth: bool) -> str:
    """Return a displacement as words such as ``1.40 m east and 0.90 m south``."""
    names = ("east", "west", "north", "south") if on_earth else ("in +x", "in -x", "in +y", "in -y")
    parts = [
        f"{abs(value):.2f} m {names[axis] if value > 0 else names[axis + 1]}"
        for axis, value in ((0, dx_m), (2, dy_m))
        if abs(value) >= 0.005
    ]
    return " and ".join(parts)
