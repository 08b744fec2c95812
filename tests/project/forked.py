"""Runs the command in copies of one process that has its libraries loaded, each to be killed at any moment.

For every line of arguments, as JSON, it prints the number of the copy's process and, once it ends, its exit status.
"""

from __future__ import annotations

import json
import os
import sys

import torch

import crispmap.polygons.vectorize
import crispmap.project.compare
import crispmap.project.results
import crispmap.project.run
import crispmap.training.run  # noqa: F401 - loaded before the copies are made
from crispmap.cli.main import app

if __name__ == "__main__":
    torch.set_num_threads(1)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        copy = os.fork()
        if copy == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            status = 1
            try:
                app(json.loads(line), prog_name="crispmap")
            except SystemExit as stop:
                status = int(stop.code or 0)
            finally:
                os._exit(status)
        print(copy, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)  # noqa: T201
