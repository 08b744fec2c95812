"""How maps are made: which engine, where, and how the work goes on. Importing it loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crispmap.errors import InputError
from crispmap.inference.plan import BLOCK_PX

AUTO = "auto"


@dataclass(frozen=True)
class PredictOptions:
    """How maps are made.

    ``gsd_m`` and ``halo_px`` change what networks see, engine and precision may change the last digits of scores;
    nothing else here changes a byte.

    Raises:
        InputError: If workers and scheduler are both given, or a number is out of range.
    """

    engine: str = AUTO  # "auto", "torch", "openvino" or "onnxruntime"
    precision: str = AUTO  # "float32", "bfloat16", "float16"; "auto" reduces it where next to no label changes
    device: str = AUTO  # "auto", "cpu", "cuda" or "cuda:N"
    # pixel size on the ground, in metres, that models work at; None for that each was trained at
    gsd_m: float | None = None
    # context, in pixels, that a network which pads reads around its tiles; None for all that it depends on
    halo_px: int | None = None
    block_px: int = BLOCK_PX  # side of the blocks read and written; rounded up to whole tiles
    workers: int | None = None  # local processes to share the blocks out to, or None to compute in this one
    scheduler: str | None = None  # address of a Dask scheduler, or None
    restart: bool = False  # discard an unfinished map instead of going on with it
    force: bool = False  # replace files that exist
    verify_seams: int = 0  # windows to predict again, cut elsewhere, once the map is done
    seed: int = 0  # places those windows

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise InputError(
                "Both local workers and a scheduler are asked for.",
                expected="one of workers= and scheduler=",
                remedy="leave out workers=: a scheduler has workers of its own",
            )
        if self.gsd_m is not None and not 0 < self.gsd_m < math.inf:
            raise InputError(f"Models are to work at {self.gsd_m} m.", expected="a finite number of metres above 0")
        if self.halo_px is not None and (type(self.halo_px) is not int or self.halo_px < 0):
            raise InputError(f"The halo is {self.halo_px!r} pixels.", expected="a whole number, 0 or more")
        if self.block_px < 1:
            raise InputError(f"The block size is {self.block_px} pixels.", expected="at least 1, such as 1024")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"{self.workers} workers are asked for.", expected="1 or more")
        if self.verify_seams < 0:
            raise InputError(f"{self.verify_seams} windows are to be verified.", expected="0 or more")
