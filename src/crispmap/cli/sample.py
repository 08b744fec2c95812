"""The verb ``sample``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crispmap.cli.area import OverlapOption
from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import (
    ForceOption,
    JsonOption,
    MapClassesOption,
    grouped,
    named_classes,
    notify_written,
    words_of,
)
from crispmap.cli.progress import shown_progress
from crispmap.errors import InputError

if TYPE_CHECKING:
    from crispmap.areas.draw import DrawnSample, SampleRules


@dataclass(frozen=True)
class FileFlags:
    """What is written."""

    out: Annotated[Path, typer.Option(help="The GeoPackage to write.")]
    squares: Annotated[
        bool, typer.Option("--squares", help="Write the outline of each pixel rather than its centre.")
    ] = False
    force: ForceOption = False


@dataclass(frozen=True)
class SampleFlags:
    """How large a sample is, and how it is shared out."""

    standard_error: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="The standard error that overall accuracy is to have, such as 0.01."),
    ] = None
    size: Annotated[int | None, typer.Option(min=2, metavar="N", help="Or how many places in all.")] = None
    allocation: Annotated[
        Literal["proportional", "equal", "optimal"],
        typer.Option(help="How places are shared out among classes: by area, evenly, or by area and expected errors."),
    ] = "proportional"
    least: Annotated[int, typer.Option(min=2, metavar="N", help="Places in each class at least.")] = 50
    expected: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="The user's accuracy to expect: 0.9, or by class such as forest=0.9,cut=0.7; 0.8 where nothing is "
            "given.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same places.")] = 0

    def rules(self) -> SampleRules:
        """Return them as the library takes them."""
        from crispmap.areas.draw import SampleRules

        values = {name: value for name, value in vars(self).items() if name != "expected"}
        return SampleRules(**values, **_expected(self.expected))


@grouped
def sample(
    maps: Annotated[
        list[Path],
        typer.Argument(metavar="MAP...", help="A class map, or the parts of one; the classes are the strata."),
    ],
    *,
    file: FileFlags,
    rules: SampleFlags,
    classes: MapClassesOption = None,
    overlap: OverlapOption = "error",
    as_json: JsonOption = False,
) -> None:
    """Draw places to label, by which areas can be corrected for the errors of a map.

    Places are pixels, drawn at random within each class. Fill in the column reference of the layer sample with the
    class that is really there, seen on something better than the scene, and without a look at the map; then give the
    file to crispmap area --sample.
    """
    from crispmap.areas.draw import draw_sample
    from crispmap.areas.sample_file import check_sample_target, write_sample

    check_sample_target(file.out, force=file.force)
    schema = named_classes(classes)
    drawn = draw_sample(maps, rules.rules(), schema=schema, overlap=overlap, events=shown_progress())
    write_sample(file.out, drawn, squares=file.squares, force=file.force)
    _show(drawn, file.out, as_json)


def _show(drawn: DrawnSample, out: Path, as_json: bool) -> None:
    rows = drawn.by_stratum()
    if as_json:
        print_json({"path": out, "points": len(drawn.stratum), "strata": rows})
        return
    for one in rows:
        size = f"{one['units']:>12} pixels, {one['area_m2'] / 1e6:.6g} km2"
        print_line(f"{one['name']:<16} {one['points']:>8} places of {size}")
    notify(f"Fill in the column reference with one of: {', '.join(drawn.schema.names)}")
    notify_written([out])


def _expected(text: str | None) -> dict[str, Any]:
    """Return the accuracies to expect: of all classes, and of some by name."""
    found: dict[str, float] = {}
    for word in words_of(text or ""):
        name, given, value = word.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            raise InputError(
                f"--expected holds {word!r}.", expected="shares such as 0.9, or forest=0.9,cut=0.7"
            ) from None
        name = name.strip()
        if name in found:
            what = f"the class {name}" if given else "all classes"
            raise InputError(f"--expected says twice what to expect of {what}.", expected="one share for each class")
        found[name] = share
    everywhere = {"expected": found.pop("")} if "" in found else {}
    return {**everywhere, "expected_of": tuple(found.items())}
