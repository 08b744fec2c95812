"""What ``--view`` costs a run: the seconds of trainings and of a map, with and without a page that is looked at.

Usage: python benchmarks/bench_live.py [WORK] [--steps 300] [--turns 3]

Runs with and without alternate. The page is asked as a browser asks it: for the run once a second, for a screen of
tiles whenever the view is another. Seconds are those that the run itself counts: of trainings the last of their
history, of the map what the command says it took. Beside them, the processor's seconds of the commands themselves,
start included, which a busy machine changes less, and of the process of the page.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil

from crispmap.synth.write import write_town
from processes import WORK
from tables import print_table_head, print_table_row

SIZE = 800, 1200
PROJECT = """\
crispmap: 2
name: town
scene: {{path: scene.tif}}
classes:
  - {{name: background, colour: "#f2efe9"}}
  - {{name: building, colour: "#d7191c", osm: building}}
  - {{name: road, colour: "#fdae61", osm: road, width_m: 7}}
labels: {{path: osm.gpkg}}
reference: {{path: truth.tif}}
areas:
  coarse: [{{window: [0, 0, 800, 700]}}]
  validation: [{{window: [0, 700, 800, 100]}}]
  refiner: [{{window: [0, 800, 800, 200]}}]
  test: [{{window: [0, 1000, 800, 200]}}]
coarse: {{kind: fcn-rnn, gsd_m: 1.0, max_steps: {steps}, batch: 8, patch_px: 48}}
refiner: {{kind: rnn, iterations: 3, max_steps: {steps}, batch: 4, patch_px: 48}}
output: {{folder: results}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="What --view costs a run.")
    parser.add_argument("work", nargs="?", type=Path, default=WORK)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    folder = given.work / "live"
    write_town(folder, size_px=SIZE, seed=0, force=True)
    (folder / "project.yaml").write_text(PROJECT.format(steps=given.steps), encoding="utf-8")
    print_table_head("turn", "page", "trainings, s", "map, s", "processor, s", "processor of the page, s")
    taken: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for turn in range(given.turns):
        for viewed in (turn % 2 == 1, turn % 2 == 0):
            shutil.rmtree(folder / "results", ignore_errors=True)
            train = run(["train", str(folder)], viewed)
            trained = trained_s(folder / "results")
            predict = run(["predict", str(folder), "--block", "256", "--engine", "torch"], viewed)
            processor, page = (one + other for one, other in zip(train[1:], predict[1:], strict=True))
            taken[viewed].append((trained, predict[0], processor))
            seconds = [f"{one:.1f}" for one in (trained, predict[0], processor, page)]
            print_table_row(str(turn + 1), "open" if viewed else "none", *seconds)
    for index, what in enumerate(("trainings", "map", "processor")):
        plain, viewed_s = (statistics.median(one[index] for one in taken[viewed]) for viewed in (False, True))
        print(f"{what}: median {viewed_s:.1f} s with, {plain:.1f} s without: {100 * (viewed_s / plain - 1):+.1f} %")


def trained_s(results: Path) -> float:
    """Return the seconds of steps and validations of all trainings, as their histories have them."""
    total = 0.0
    for path in results.glob("training/**/history.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            total += float(list(csv.DictReader(file))[-1]["seconds"])
    return total


def run(arguments: list[str], viewed: bool) -> tuple[float, float, float]:
    """Run the command; return the seconds it says it took, and those of the processor that it and the page took."""
    command = [sys.executable, "-m", "crispmap", *arguments, *(["--view", "--no-open"] if viewed else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise SystemExit("no output")
        own = Processor(psutil.Process(process.pid))
        page = Page(process.stdout.readline().strip(), process.pid) if viewed else None
        _, said = process.communicate()
    took = re.search(r"^Took (?:(\d+) min )?([\d.]+) s", said, re.MULTILINE)
    if process.returncode or took is None:
        raise SystemExit(said)
    return 60 * int(took[1] or 0) + float(took[2]), own.seconds, 0.0 if page is None else page.processor.seconds


class Processor:
    """The processor's seconds of a process, until it ends."""

    def __init__(self, process: psutil.Process) -> None:
        self.seconds, self._process = 0.0, process
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(psutil.Error):
            while True:
                times = self._process.cpu_times()
                self.seconds = times.user + times.system or self.seconds  # none of one that has ended
                time.sleep(0.05)


class Page:
    """What an open page asks for, until the run is done; then it is closed."""

    def __init__(self, url: str, pid: int) -> None:
        self._url, self._view = url, 0
        self.processor = Processor(psutil.Process(pid).children()[0])
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            try:
                facts = json.loads(self._get(f"live/{self._view}/0/0"))
                if facts["view"] != self._view:
                    self._view = facts["view"]
                    self._screen()
                if facts["last"]:
                    self._get("bye")
                    return
            except OSError:
                return
            time.sleep(1)

    def _screen(self) -> None:
        view = json.loads(self._get("view.json"))
        for layer in view["layers"][:4]:
            for place in range(4):
                with suppress(OSError):
                    self._get(f"tiles/{layer['id']}/{layer['stamp']}/1/{place % 2}/{place // 2}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=60) as answer:  # noqa: S310 - our own page
            content: bytes = answer.read()
            return content


if __name__ == "__main__":
    main()
