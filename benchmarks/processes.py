"""Commands run as processes of their own, measured from outside or killed half way.

Imports the standard library alone: a child's peak memory as Linux counts it starts at that of the process it was forked
from, so this one must stay small.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"
"""Where scenes and results of benchmarks go, unless another folder is given."""
CRISPMAP = Path(sys.executable).with_name("crispmap")
"""The command, as installed beside the Python that runs this."""
THREADS = 2


@dataclass(frozen=True)
class Run:
    """One finished command.

    Attributes:
        seconds: From start to end of the process.
        cpu_s: Processor time of all its threads, which a busy machine changes less.
        peak_mib: Peak resident memory, of the largest process.
        facts: What the command printed as JSON in its last line, or nothing.
        failure: The last line of its errors where it failed, else empty.
    """

    seconds: float
    cpu_s: float
    peak_mib: float
    facts: dict[str, Any]
    failure: str = ""


def use_two_cores() -> None:
    """Bind this process and its children to two cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def measured(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end, with further variables in its environment."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = _started(command, output, errors, variables)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        lines = [_rewound(file).strip().splitlines() or [""] for file in (output, errors)]
    facts = json.loads(lines[0][-1]) if lines[0][-1].startswith("{") else {}
    failure = "" if process.returncode == 0 else f"exit status {process.returncode}: {lines[1][-1]}"
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, facts, failure)


def killed(command: Sequence[str], after_s: float) -> bool:
    """Start a command and kill it with signal 9 after some seconds; return whether it was still running."""
    with tempfile.TemporaryFile("w+") as output:
        process = _started(command, output, output)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    return False


def made_fixture(work: Path, size_px: int) -> dict[str, str]:
    """Return the files of ``scene_fixture.py`` for a scene of this side, made by a process of its own where missing."""
    return facts_of(sys.executable, str(HERE / "scene_fixture.py"), str(work), str(size_px))


def facts_of(*command: str) -> dict[str, Any]:
    """Return what a command prints as JSON in its last line.

    Raises:
        SystemExit: If it fails.
    """
    run = measured(command)
    if run.failure:
        raise SystemExit(f"{' '.join(command)}: {run.failure}")
    return run.facts


def _started(
    command: Sequence[str], output: Any, errors: Any, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    threads, more = str(THREADS), variables or {}
    environment = {
        **os.environ,
        **more,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.Popen(
        command, stdout=output, stderr=errors, text=True, env=environment, cwd=HERE, start_new_session=True
    )


def _rewound(file: Any) -> str:
    file.seek(0)
    text: str = file.read()
    return text
