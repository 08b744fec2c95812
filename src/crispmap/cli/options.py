"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from crispmap.cli.console import tell


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

BLOCK_PX = 512
"""The side of the blocks of work unless one is given."""


def tell_written(paths: Iterable[Path]) -> None:
    """Tell which files a verb has written."""
    for path in paths:
        tell(f"Wrote {path}")
