"""Damages files by chance and reads them, in processes of their own; prints what failed as JSON.

    python fuzz.py COUNT [FORMAT ...]

Each damage has a number, from which the same damage can be made again. What is read either succeeds or fails with an
error of ours; another exception, a crash, more than 6 GiB or more than 10 seconds of the processor is a fault.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("models", "training"))]

import numpy as np  # noqa: E402
import pyogrio  # noqa: E402
import rasterio.shutil  # noqa: E402
import torch  # noqa: E402
from mutations import damaged  # noqa: E402
from samples import Files, Sample, samples  # noqa: E402

from crispmap.errors import CrispmapError  # noqa: E402

MOST_BYTES = 6 << 30
MOST_S = 10
MOST_WAIT_S = 120  # of the clock, for what sleeps: the machine may be busy
AT_ONCE = 2


def damage(sample: Sample, number: int, folder: Path) -> Path:
    """Write a sample, one of its files damaged, into a folder; return the path that is read."""
    rng = np.random.default_rng(number)
    exposed = [name for name in sample.files if name not in sample.spared]
    chosen = exposed[0] if rng.random() < 0.6 else exposed[rng.integers(len(exposed))]
    hurt = {chosen: damaged(sample.files[chosen], rng, sample.structured)}
    return write(sample, folder, {**sample.files, **hurt})


def write(sample: Sample, folder: Path, contents: Files) -> Path:
    """Write a sample with these contents into a folder; return the path that is read."""
    first = next(iter(sample.files))
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.wrap(content) if name == first else content)
    return folder / first


def outcome(sample: Sample, number: int) -> str:
    """Return "" where a damaged sample is read, "refused" where it is refused, else the fault."""
    with tempfile.TemporaryDirectory() as name:
        path = damage(sample, number, Path(name))
        try:
            sample.read(path)
        except CrispmapError as error:
            str(error)
            return "refused"
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)
            ours = next((one for one in reversed(last) if "/crispmap/" in one.filename), last[-1])
            where = f"{Path(ours.filename).name}:{ours.lineno} {ours.name}"
            return f"{type(error).__name__} at {where}: {str(error)[:120]!r}"
    return ""


def run(sample: Sample, numbers: range, report: Any) -> None:
    """Read damaged samples one after the other, and write a line before and after each."""
    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for number in numbers:
        report.write(f"{number}\n")
        report.flush()
        signal.setitimer(signal.ITIMER_PROF, MOST_S)
        signal.alarm(MOST_WAIT_S)
        report.write(json.dumps(outcome(sample, number)) + "\n")
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)


class Child:
    """A process that reads some damaged samples of a format."""

    def __init__(self, name: str, sample: Sample, numbers: range) -> None:
        self.name, self.numbers = name, numbers
        self.report = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.pid = os.fork()
        if not self.pid:
            status = 1
            try:
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (1, 2):
                    os.dup2(null, stream)
                run(sample, numbers, self.report)
                status = 0
            finally:
                self.report.flush()
                os._exit(status)

    def ended(self, status: int) -> tuple[list[tuple[int, str]], range]:
        """Return what was found, and what is left to do."""
        self.report.seek(0)
        lines = self.report.read().splitlines()
        self.report.close()
        found = [(int(lines[at]), json.loads(lines[at + 1])) for at in range(0, len(lines) - 1, 2)]
        if status == 0:
            return found, range(0)
        at = int(lines[-1]) if len(lines) % 2 else self.numbers.stop - 1
        code = os.waitstatus_to_exitcode(status)
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return [*found, (at, how)], range(at + 1, self.numbers.stop)


def fuzz(found: dict[str, Sample], count: int) -> dict[str, dict[str, Any]]:
    """Return by format how many damaged samples were read and refused, and the faults by what they are."""
    waiting = [(name, range(count)) for name in found]
    running: dict[int, Child] = {}
    results: dict[str, dict[str, Any]] = {name: {"read": 0, "refused": 0, "faults": {}, "s": 0.0} for name in found}
    begun: dict[str, float] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name, numbers = waiting.pop(0)
            begun.setdefault(name, time.monotonic())
            child = Child(name, found[name], numbers)
            running[child.pid] = child
        pid, status = os.wait()
        child = running.pop(pid)
        told, left = child.ended(status)
        result = results[child.name]
        kinds = Counter(one for _, one in told)
        result["read"] += kinds[""]
        result["refused"] += kinds["refused"]
        for number, one in told:
            if one not in ("", "refused"):
                result["faults"].setdefault(one, []).append(number)
        result["s"] = round(time.monotonic() - begun[child.name], 1)
        if left:
            waiting.insert(0, (child.name, left))
        else:
            print(json.dumps({child.name: result}), file=sys.stderr, flush=True)  # noqa: T201
    return results


def check_good(found: dict[str, Sample], folder: Path) -> None:
    """Read every sample as it is: one that is refused undamaged tests nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, sample in enumerate(found.values()):
            home = folder / f"good {number}"
            sample.read(write(sample, home, sample.files))


def _copy(copy: Any, *paths: Any, **options: Any) -> Any:
    return copy(*paths, **{**options, "NUM_THREADS": "1"})


def main() -> None:
    """Fuzz the formats named, or all."""
    torch.set_num_threads(1)
    pyogrio.set_gdal_config_options({"OSM_MAX_TMPFILE_SIZE": "1"})  # each read would fill 100 MB of memory
    # GDAL's threads do not survive a fork: a child would wait for them for ever.
    rasterio.shutil.copy = partial(_copy, rasterio.shutil.copy)
    folder = Path(tempfile.mkdtemp())
    try:
        found = samples(folder)
        wanted = sys.argv[2:] or list(found)
        check_good({name: found[name] for name in wanted}, folder)
        print(json.dumps(fuzz({name: found[name] for name in wanted}, int(sys.argv[1]))))  # noqa: T201
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
