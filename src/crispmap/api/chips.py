"""Chips written from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from crispmap.api.given import Classes, path_of
from crispmap.data.chips.cut import ChipCut
from crispmap.data.chips.files import ChipFormat
from crispmap.data.chips.run import ChipOptions, WrittenChips, chip_files
from crispmap.data.chips.split import ChipSplit
from crispmap.project.dataset import schema_of
from crispmap.raster.compose.inputs import one_scene


class ChipChoices(TypedDict, total=False):
    """What may be chosen of chips."""

    size_px: int  # side of a chip, 256 by default
    stride_px: int | None  # from one chip to the next, by default the side
    max_nodata: float  # greatest share of a chip without data or label, 0.1 by default
    validation: float  # share of the chips for validation
    test: float  # share of the chips to score on
    buffer_m: float  # least distance between chips of different roles
    split_block_px: int | None  # side of the blocks of ground that have one role
    seed: int  # of all that is drawn at random
    balance: Sequence[str]  # classes that equally many training chips show
    format: ChipFormat  # "tif" or "png"
    unknown: Literal["error", "ignore"]  # what to do with values of a mask that are no class
    force: bool  # replace a folder of chips


def chips(
    scene: str | Path | Sequence[str | Path],
    labels: str | Path,
    out: str | Path,
    *,
    classes: Classes | None = None,
    **choices: Unpack[ChipChoices],
) -> WrittenChips:
    """Cut a scene and its labels into patches and masks, and return what was written.

    Args:
        scene: A file, or several of bands.
        labels: Vectors, or a mask of ids or colours.
        out: The folder to make.
        classes: The classes; by default those a class map of crispmap carries, else building and road.
        **choices: ``size_px`` and ``stride_px``; ``max_nodata``, the greatest share of a chip without data or label;
            ``validation`` and ``test``, shares of the chips, ``buffer_m``, the least distance between chips of
            different roles, and ``split_block_px``, the side of the blocks of ground that have one role; ``balance``,
            classes that equally many training chips show; ``seed``; ``format``, "tif" or "png"; ``unknown``,
            "error" or "ignore" values of no class; ``force``.

    Raises:
        CrispmapError: If a file cannot be read, a choice is out of range, no chip is left, or the folder is taken.
    """
    if unknown := sorted(choices.keys() - ChipChoices.__annotations__.keys()):
        raise TypeError(f"unexpected keyword arguments: {', '.join(unknown)}")
    files = scene if isinstance(scene, list | tuple) else [scene]
    options = ChipOptions(
        ChipCut(choices.get("size_px", 256), choices.get("stride_px")), choices.get("max_nodata", 0.1),
        ChipSplit(
            choices.get("validation", 0.0), choices.get("test", 0.0), choices.get("buffer_m", 0.0),
            choices.get("split_block_px"), choices.get("seed", 0),
        ),
        tuple(choices.get("balance", ())), choices.get("format", "tif"), choices.get("unknown", "error"),
        choices.get("force", False),
    )  # fmt: skip
    return chip_files(
        one_scene([path_of(one, "scene") for one in files]), Path(path_of(labels, "labels")),
        path_of(out, "output"), None if classes is None else schema_of(classes), options,
    )  # fmt: skip
