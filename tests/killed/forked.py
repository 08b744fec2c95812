"""Runs the command again and again in forked processes, which need not import it: a line with a folder and arguments as
JSON begins one; the numbers of its process, its beginning, and then its status, are printed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import crispmap.project.results
import crispmap.project.stages
import crispmap.training.run  # noqa: F401
from crispmap.cli import main


def run(folder: str, arguments: list[str]) -> int:
    """Run the command in this process, silently, and return its status."""
    os.chdir(folder)
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(Path(folder).with_suffix(".errors"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    sys.argv = ["crispmap", *arguments]
    try:
        main.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        child = os.fork()
        if not child:
            status = 1
            try:
                status = run(folder, arguments)
            finally:
                os._exit(status)
        print(child, flush=True)  # noqa: T201
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)  # noqa: T201
