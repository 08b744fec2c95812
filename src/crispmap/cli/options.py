"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from crispmap.cli.console import tell
from crispmap.errors import InputError


class Device(str, Enum):  # noqa: UP042 - as a StrEnum, typer would show its members' names
    """Where networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption: TypeAlias = Annotated[
    Device, typer.Option("--device", help="Where networks run: auto takes a GPU where there is one.")
]
ForceOption: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
BlockOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--block",
        min=64,
        max=16384,
        metavar="PX",
        help="Side of the blocks of work: smaller ones need less memory; the map is the same.",
    ),
]

BandsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="NUMBERS",
        help="Bands of the scene in the order the models were trained on, such as 3,2,1. By default all but alpha.",
    ),
]
AssumeGsdOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--assume-gsd-m", help="Side of a pixel in metres, for a scene without georeference."),
]

BLOCK_PX = 512
"""The side of the blocks of work unless one is given."""


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Return band numbers written with commas between; None where none are given.

    Raises:
        InputError: If they are not whole numbers from 1.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(
            f"--bands is {text!r}.",
            expected="band numbers from 1 with commas between",
            remedy="Write them like --bands 3,2,1; crispmap info lists the bands of a scene.",
        )
    return tuple(int(word) for word in words)


def tell_written(paths: Iterable[Path]) -> None:
    """Tell which files a verb has written."""
    for path in paths:
        tell(f"Wrote {path}")
