"""The verb ``evaluate``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json
from crispmap.cli.options import (
    EncodingOption,
    SharesOption,
    ThresholdOption,
    ToleranceOption,
    UnknownOption,
    grouped,
    is_project,
    notify_written,
)
from crispmap.cli.progress import shown_progress
from crispmap.errors import InputError, number_of

if TYPE_CHECKING:
    from crispmap.evaluation.evaluation import Evaluation
    from crispmap.evaluation.files import Recalibration, ScoringRules
    from crispmap.geo.area_pieces import AreaPiece
    from crispmap.labels.reader import LabelOptions

_WINDOW = re.compile(r"^\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*$")
_AREA = "Polygons in a file, or a window row,col,height,width in pixels of the map"
_Path = Path | None


@dataclass(frozen=True)
class ReferenceFlags:
    """What maps are scored against."""

    reference: Annotated[_Path, typer.Option(help="Vectors or a mask to score the maps against.")] = None
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="The layer of the reference file.")] = None
    assume_crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="The CRS of a reference without one, such as EPSG:4326; or scene.")
    ] = None
    all_as: Annotated[
        str | None, typer.Option(metavar="CLASS", help="The class of every feature, whatever its tags.")
    ] = None
    encoding: EncodingOption = None
    unknown: UnknownOption = "error"
    threshold: ThresholdOption = None
    tolerance: ToleranceOption = 16
    classes: Annotated[
        _Path, typer.Option(help="A project file, or a YAML file of classes, for maps that do not name theirs.")
    ] = None

    def options(self) -> LabelOptions:
        """Return how the reference is read."""
        from crispmap.labels.reader import LabelOptions

        given = {name: value for name, value in vars(self).items() if name not in ("reference", "classes")}
        return LabelOptions(**given)


@dataclass(frozen=True)
class FitFlags:
    """The coarse map to compare with, and where its class biases are fitted."""

    scores: Annotated[
        _Path, typer.Option(help="The coarse scores: shows the coarse map too, as it is and re-thresholded.")
    ] = None
    fit_area: Annotated[
        list[str] | None,
        typer.Option(metavar="AREA", help=f"Where the refiner learned: never scored. {_AREA}."),
    ] = None
    fit_reference: Annotated[_Path, typer.Option(help="Labels of the fit area, if not in the reference.")] = None
    refiner: Annotated[
        _Path, typer.Option(help="The refiner trained on such scores: its card has the class biases, for any scene.")
    ] = None
    kind: Annotated[
        Literal["auto", "logit", "probability"], typer.Option(help="What the scores are, as for refine.")
    ] = "auto"
    full_scale: Annotated[float | None, typer.Option(help="The value of the scores for probability 1.")] = None

    def check(self) -> None:
        """Raise InputError where an option lacks the one it needs."""
        if self.scores is not None and not self.fit_area and self.refiner is None:
            raise InputError(
                "--scores is given without --fit-area or --refiner.",
                expected="the area the refiner learned from, to fit the biases of the re-thresholded map, or the "
                "refiner, whose card has them",
                remedy="Add --fit-area piece.gpkg, or row,col,height,width; or --refiner refiner.safetensors.",
            )
        for option, value in (("--fit-reference", self.fit_reference), ("--refiner", self.refiner)):
            if value is not None and self.scores is None:
                given, remedy = f"{option} is given without --scores.", "Add --scores, or leave it out."
                raise InputError(given, expected="scores to add biases to", remedy=remedy)
        if self.fit_reference is not None and self.refiner is not None:
            raise InputError(
                "--fit-reference and --refiner are both given.",
                expected="labels to fit biases to, or a refiner whose card has them", remedy="Leave one of them out.",
            )  # fmt: skip

    def recalibration(self) -> Recalibration:
        """Return where biases come from; of a refiner's card no area is fitted on, and --fit-area is only left out."""
        from crispmap.evaluation.files import Recalibration

        if self.refiner is None:
            return Recalibration(self.fit_reference)
        from crispmap.models.card import read_card

        card = read_card(self.refiner)
        return Recalibration(biases=dict(zip(card.schema.names, card.class_biases, strict=True)))


@dataclass(frozen=True)
class ScoringFlags:
    """What is scored of the maps."""

    area: Annotated[
        list[str] | None,
        typer.Option(metavar="AREA", help=f"What to score. {_AREA}. May be given several times."),
    ] = None
    width_m: Annotated[
        list[float] | None,
        typer.Option(metavar="METRES", help="Compare boundaries at this width in metres. May be given several times."),
    ] = None
    slack_px: Annotated[float, typer.Option(help="Slack of relaxed precision and recall.")] = 3.0
    objects: Annotated[
        bool,
        typer.Option(
            "--objects",
            help="Compare objects instead of pixels: regions of maps, or polygons of vector files, at an IoU of 0.5.",
        ),
    ] = False


@grouped
def evaluate(
    targets: Annotated[
        list[Path] | None,
        typer.Argument(metavar="TARGET", help="A project file or its folder; or, with --reference, class maps."),
    ] = None,
    *,
    against: ReferenceFlags,
    scoring: ScoringFlags,
    fit: FitFlags,
    as_json: SharesOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a project's report and figures.")] = False,
) -> None:
    """Score class maps against a reference, side by side, or a project's maps with a report.

    Figures are percentages of the pixels that have a class both in the map and in the reference. With
    --scores and --fit-area, or --refiner, the coarse map is shown too, as it is and with class biases
    fitted on the fit area or kept in the refiner's card: what a refined map gains beyond that, it gains by
    reading the image.
    """
    targets = targets or [Path("project.yaml")]
    if against.reference is None:
        _refuse_map_options(against, scoring, fit)
        _evaluate_project(targets, as_json, force)
        return
    fit.check()
    if scoring.objects:
        _refuse_pixel_options(scoring, fit)
    from crispmap.evaluation.files import ScoringRules
    from crispmap.evaluation.side_by_side import evaluate_side_by_side
    from crispmap.project.file import load_classes

    rules = ScoringRules(
        schema=None if against.classes is None else load_classes(against.classes),
        areas={"test": _pieces(scoring.area, "--area"), "refiner": _pieces(fit.fit_area, "--fit-area")},
        widths_m=scoring.width_m, slack_px=scoring.slack_px,
        options=against.options(), kind=fit.kind, full_scale=fit.full_scale,
    )  # fmt: skip
    if scoring.objects:
        _evaluate_objects(targets, against.reference, rules, as_json)
        return
    found = evaluate_side_by_side(
        targets, against.reference, rules, scores=fit.scores, recalibration=fit.recalibration(),
        events=shown_progress(),
    )  # fmt: skip
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found.evaluations)


def _evaluate_objects(targets: Sequence[Path], reference: Path, rules: ScoringRules, as_json: bool) -> None:
    """Print the object figures of maps and vector files."""
    from crispmap.polygons.object_files import evaluate_objects
    from crispmap.report.tables.objects import print_objects

    found = evaluate_objects(targets, reference, rules)
    if as_json:
        print_json(found.to_dict())
    else:
        print_objects(found.figures)


def _refuse_pixel_options(scoring: ScoringFlags, fit: FitFlags) -> None:
    """Raise InputError for an option that says how pixels are compared."""
    for option, given in (("--scores", fit.scores), ("--fit-area", fit.fit_area), ("--width-m", scoring.width_m)):
        if given:
            raise InputError(
                f"{option} is given with --objects.", expected="maps or vector files to compare by their objects",
                remedy=f"Leave {option} out, or --objects.",
            )  # fmt: skip


def _refuse_map_options(*flags: object) -> None:
    """Raise InputError for an option that is given without --reference, which all of them need."""
    for group in flags:
        for one in fields(group):  # type: ignore[arg-type]
            if getattr(group, one.name) != one.default:
                option = f"--{one.name.replace('_', '-')}"
                raise InputError(
                    f"{option} is given without --reference.",
                    expected="a project alone, which says itself what is scored and how; or maps with --reference",
                    remedy=f"Leave {option} out, or add --reference.",
                )


def _evaluate_project(targets: Sequence[Path], as_json: bool, force: bool) -> None:
    """Evaluate the one project named, or raise InputError where a map was named."""
    target = targets[0]
    if len(targets) > 1 or not is_project(target):
        raise InputError(
            f"No reference is given to score {target} against.",
            expected="a project file alone, or class maps with --reference", remedy="Add --reference precise.gpkg",
        )  # fmt: skip
    from crispmap.project.file import load_project
    from crispmap.project.results import evaluate_project
    from crispmap.project.run import Products

    results = evaluate_project(target, force=force, events=shown_progress())
    products = Products.of(load_project(target))
    if as_json:
        print_json(results.to_dict())
    else:
        _print(results.methods)
    notify_written([products.report, products.figures])


def _pieces(texts: Sequence[str] | None, option: str) -> list[AreaPiece]:
    from crispmap.files.address import is_address
    from crispmap.geo.area_pieces import AreaPiece

    pieces = []
    for text in texts or ():
        origin = f"{option} {text}"
        match = _WINDOW.match(text)
        if match:
            row, col, height, width = (int(number) for number in match.groups())
            pieces.append(AreaPiece(window=(row, col, height, width), origin=origin))
        elif Path(text).exists() or is_address(text):
            pieces.append(AreaPiece(file=Path(text), origin=origin))
        else:
            raise InputError(
                f"{origin}: this is neither a file nor a window.",
                expected="a file of polygons, or four whole numbers row,col,height,width",
                remedy="Check the path, or write a window such as 0,0,512,512.",
            )
    return pieces


def _print(evaluations: Mapping[str, Evaluation]) -> None:
    """Print the tables, and on standard error what they leave out."""
    from crispmap.evaluation.side_by_side import classes_without_reference
    from crispmap.report.tables.terminal import print_evaluations

    print_evaluations(evaluations)
    missing = classes_without_reference(evaluations)
    if missing:
        notify(f"The reference has no {' and no '.join(missing)} in the areas scored.")
    for name, one in evaluations.items():
        if one.unmapped_share:
            pixels = number_of(one.confusion.unmapped_px, "labelled pixel")
            notify(f"{name} has no class on {pixels}; its figures leave them out.")
