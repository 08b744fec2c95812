"""The verb ``chips``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import (
    DrawFlags,
    ForceOption,
    JsonOption,
    SceneFlags,
    grouped,
    named_classes,
    notify_written,
    words_of,
)
from crispmap.cli.progress import shown_progress
from crispmap.errors import number_of

if TYPE_CHECKING:
    from crispmap.data.chips.run import ChipOptions, WrittenChips


@dataclass(frozen=True)
class ChipFlags:
    """Which chips are written, and how."""

    size: Annotated[int, typer.Option(metavar="PX", help="Side of a chip, such as 128, 224, 256 or 612.")] = 256
    stride: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="From one chip to the next; less than the side to overlap. By default the side."
        ),
    ] = None
    max_nodata: Annotated[
        float, typer.Option(metavar="SHARE", help="The greatest share of a chip without data or label.")
    ] = 0.1
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Share of the chips for validation.")] = 0.0
    test: Annotated[float, typer.Option(metavar="SHARE", help="Share of the chips to score on.")] = 0.0
    buffer_m: Annotated[
        float, typer.Option(metavar="METRES", help="Least distance on the ground between chips of different roles.")
    ] = 0.0
    split_block: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Side of the blocks of ground that have one role; by default four chips."),
    ] = None
    seed: Annotated[int, typer.Option(help="Of all that is drawn at random.")] = 0
    balance: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Classes that equally many training chips show, such as building,road."),
    ] = None
    format: Annotated[Literal["tif", "png"], typer.Option(help="GeoTIFF, or PNG without coordinates.")] = "tif"
    force: ForceOption = False

    def options(self) -> ChipOptions:
        """Return them as the library takes them."""
        from crispmap.data.chips.cut import ChipCut
        from crispmap.data.chips.run import ChipOptions
        from crispmap.data.chips.split import ChipSplit

        return ChipOptions(
            ChipCut(self.size, self.stride), self.max_nodata,
            ChipSplit(self.validation, self.test, self.buffer_m, self.split_block, self.seed),
            tuple(words_of(self.balance or "")), self.format, force=self.force,
        )  # fmt: skip


@grouped
def chips(  # noqa: PLR0913 - its options
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="The scene: a file, or several of its bands.")
    ],
    *,
    labels: Annotated[Path, typer.Option(help="Labels of the scene: vectors, or a mask of ids or colours.")],
    draw: DrawFlags,
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    how: ChipFlags,
    read: SceneFlags,
    as_json: JsonOption = False,
) -> None:
    """Cut a scene and its labels into patches and masks.

    Chips go to images and masks in the folder, with a manifest in GeoParquet, lists of ids by role, a contact sheet
    to look at, and the section with which a project file reads them.
    """
    from crispmap.data.chips.run import chip_files
    from crispmap.raster.compose.inputs import one_scene

    made = chip_files(
        one_scene(scenes).choosing(**read.choices()), labels, out, named_classes(draw.classes),
        replace(how.options(), labels=draw.options()), shown_progress(),
    )  # fmt: skip
    _show(made, as_json)


def _show(made: WrittenChips, as_json: bool) -> None:
    from crispmap.data.chips.run import reasons

    facts = made.to_dict()
    if as_json:
        print_json({"folder": made.folder, **facts})
    else:
        for role, count in facts["by_role"].items():
            print_line(f"{role:<16} {count:>8} chips")
        for name, share in facts["class_shares"].items():
            print_line(f"{name:<16} {100 * share:8.2f} %")
    if made.dropped:
        notify(f"Not written: {reasons(made.dropped)}")
    if made.beyond_px:
        notify(f"In no chip: {number_of(made.beyond_px, 'pixel')} at the last rows and columns")
    notify_written([made.folder])
