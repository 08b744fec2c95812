"""Trains in a folder and waits at step 30 to be killed by a test: ``python interrupted.py FOLDER``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import tiny
import torch

from crispmap.events import Listener


class Printed(Listener):
    def advanced(self, done: int, **figures: float) -> None:
        print(done, flush=True)  # noqa: T201 - the test waits for it
        if done == 30:
            time.sleep(60)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny.train(tiny.coarse_task(), [tiny.ground(0)], [tiny.ground(1)], Path(sys.argv[1]), events=Printed())
