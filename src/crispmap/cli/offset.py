"""The verb ``offset``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import print_json, print_line, progress_bar, tell_of_problem
from crispmap.cli.options import (
    AllAsOption,
    AssumeCrsOption,
    AssumeGsdOption,
    Choice,
    ClassesOption,
    ForceOption,
    LayerOption,
    named_classes,
    quoted,
    tell_written,
)
from crispmap.errors import InputError, SchemaError

if TYPE_CHECKING:
    from crispmap.classes import ClassSchema
    from crispmap.labels.offset import TargetKind
    from crispmap.labels.offset_sample import SampledOffset
    from crispmap.raster.scene import Scene

_ERRORS = 2.0
"""An offset of fewer standard errors than this may be none."""


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
    from crispmap.files.address import shown
    from crispmap.labels.offset_sample import estimate_offset_on
    from crispmap.labels.translate import check_moved_target, write_moved
    from crispmap.labels.vectors import read_vectors
    from crispmap.raster.writer import check_paths

    if out is not None:
        check_paths([out], [vectors, against])
        check_moved_target(out, force=force)
    _check_vectors(vectors, against)
    scores = _is_scores(against) if kind is Against.AUTO else kind is Against.SCORES
    kind_found: TargetKind = "scores" if scores else "image"
    with _open(against, scores, assume_gsd_m) as target, progress_bar("Comparing", unit="windows", scale=1) as progress:
        schema = _schema_of_scores(target, classes, all_as) if scores else named_classes(classes, all_as)
        features = read_vectors(vectors, schema, grid=target.grid, layer=layer, assume_crs=assume_crs, all_as=all_as)
        found = estimate_offset_on(
            target, features, schema, max_shift_m=max_shift_m, kind=kind_found, progress=progress
        )
    if out is not None:
        back = -found.offset.dx_m, -found.offset.dy_m
        write_moved(vectors, out, target.grid, *back, layer=layer, assume_crs=assume_crs, force=force)
    _show(
        found,
        {"vectors": shown(vectors), "against": shown(against), "out": out},
        kind_found,
        target.grid.crs is not None,
        as_json,
    )


def _check_vectors(vectors: Path, against: Path) -> None:
    """Raise InputError where a raster is given for the vectors."""
    from crispmap.labels.mask import is_vector_file

    if not vectors.exists() or is_vector_file(vectors):
        return
    turned = is_vector_file(against)
    raise InputError(
        f"{vectors} is no file of vectors.",
        expected="vectors first, then --against with a scene or scores",
        remedy=f"Turn them round: crispmap offset {quoted(against)} --against {quoted(vectors)}"
        if turned
        else "Give vectors.",
    )


def _is_scores(path: Path) -> bool:
    """Return whether a raster says of itself that it holds scores.

    Raises:
        InputError: If it says that it is a class map.
    """
    from crispmap.raster.files import open_dataset
    from crispmap.raster.writer import CLASSES_TAG, SCORES_TAG

    with open_dataset(path) as dataset:
        tags = dataset.tags()
    if CLASSES_TAG in tags:
        raise InputError(
            f"{path} is a class map.",
            expected="a scene, or the scores behind a map",
            remedy="Give the scores, such as coarse_scores.tif; or --kind image, to compare with its borders as edges.",
        )
    return SCORES_TAG in tags


def _open(path: Path, scores: bool, assume_gsd_m: float | None) -> Scene:
    """Return what labels are laid over, its values as they are: borders of classes lie alike in any measure of them."""
    from crispmap.raster.files import open_scene
    from crispmap.raster.scores import open_scores

    if scores:
        return open_scores(path, kind="logit", assume_gsd_m=assume_gsd_m)
    return open_scene(path, assume_gsd_m=assume_gsd_m)


def _schema_of_scores(scores: Scene, classes: str | None, all_as: str | None) -> ClassSchema:
    """Return the classes that scores are of: those given, else presets by the names of the bands.

    Raises:
        InputError: If none are given and the bands are not called like presets.
        SchemaError: If those given are not those of the bands.
    """
    from crispmap.labels.osm import OSM_PRESETS, preset_schema

    names = scores.band_names
    if classes is None and names[0] == "background" and set(names[1:]) <= set(OSM_PRESETS):
        return preset_schema(names[1:])
    if classes is None:
        raise InputError(
            f"{scores.path} scores {', '.join(names)}, which are no preset classes.",
            expected="--classes with the classes of the scores, in their order",
            remedy="Add --classes project.yaml, or presets such as --classes building,road.",
        )
    schema = named_classes(classes, all_as)
    if len(schema) != len(names) or (set(schema.names) == set(names) and schema.names != names):
        raise SchemaError(
            f"{scores.path} scores {', '.join(names)}; the classes are {', '.join(schema.names)}.",
            expected="one class for each score, in one order",
            remedy="Give the classes of the scores.",
        )
    return schema


def _show(found: SampledOffset, files: dict[str, Any], kind: TargetKind, on_earth: bool, as_json: bool) -> None:
    """Print the offset, how far to trust it, and what to do."""
    offset, out = found.offset, files["out"]
    advice = _advice(found, kind, on_earth, out)
    if as_json:
        print_json(
            {
                **files, "kind": kind,
                "east_m": offset.dx_m, "north_m": offset.dy_m, "error_m": offset.error_m,
                "confidence": offset.confidence, "reliable": offset.reliable, "advice": " ".join(advice),
                "gsd_m": found.gsd_m, "windows": found.windows, "windows_with_labels": found.windows_in_all,
            }
        )  # fmt: skip
    else:
        _print_figures(found, on_earth)
        for sentence in advice:
            print_line(sentence)
    if out is not None:
        if not offset.reliable:
            tell_of_problem("warning", f"{out} is moved by an offset that is not reliable.", "bold yellow")
        tell_written([out])


def _print_figures(found: SampledOffset, on_earth: bool) -> None:
    """Print the offset and how far to trust it, a line each."""
    offset = found.offset
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


def _advice(found: SampledOffset, kind: str, on_earth: bool, out: Path | None) -> list[str]:
    """Return sentences: where the labels lie, and what to do, or what is done as a file is to be written."""
    offset = found.offset
    if not offset.reliable:
        return [offset.note, "Do not move the labels by this offset."]
    if math.hypot(offset.dx_m, offset.dy_m) <= max(_ERRORS * offset.error_m, found.gsd_m / 2):
        return [f"The labels lie on the {kind}, as far as can be told: nothing needs to be done."]
    lie = _directions(offset.dx_m, offset.dy_m, on_earth)
    back = _directions(-offset.dx_m, -offset.dy_m, on_earth)
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
