"""crispmap beside plain torch, MONAI, TorchGeo and geoai: same weights, same scene, two cores; Markdown tables.

Usage: make bench-peers [ARGS="--full"]
       peers/.venv/bin/python beside_peers.py [--full] [--size 1024] [--large 4096] [--turns 1] [--only NAME ...]

Every method runs in a process of its own on a scene of --size, whose whole-image result is known: the paper's form of
the network, run once on the entire image in torch float32. crispmap is held to it before anything is timed, then timed
at --large too: that rate is set against the others'. Rates leave start-up out: of the others the imports, of crispmap
the shortest of three commands on a scene of 64 pixels.
"Folded" rows give the others crispmap's faster form of the refiner; the rest run it as its paper writes it.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import CRISPMAP, HERE, WORK, Run, facts_of, killed, made_fixture, measured, use_two_cores
from tables import print_table_head, print_table_row

PEERS_FOLDER = HERE / "peers"
TINY_PX = 64
SAME = "same bytes"
KILLS = 4
"""How often a run is tried to be killed, each time after half the last time, before it is said to end too soon."""


@dataclass(frozen=True)
class Method:
    """One way to map the scene.

    Attributes:
        name: For the tables and ``--only``.
        settings: What its script is given after the files; for crispmap, options.
        script: File in ``peers``; None for crispmap's own command.
    """

    name: str
    settings: tuple[str, ...]
    script: str | None = None

    def command(self, files: dict[str, str], scene: str, folder: Path) -> list[str]:
        """Return the command that maps a scene into a folder."""
        model, refiner = files["model"], files["refiner"]
        if self.script is not None:
            script = str(PEERS_FOLDER / self.script)
            return [sys.executable, script, scene, model, refiner, str(folder), *self.settings]
        return [str(CRISPMAP), "predict", scene, "--model", model, "--refiner", refiner,
                "--out", str(folder / "map.tif"), "--scores", str(folder / "scores.tif"), *self.settings]  # fmt: skip


PEERS = (
    Method("torch, pieces of 1024", ("paper", "1024"), "with_torch.py"),
    Method("torch, pieces of 256", ("paper", "256"), "with_torch.py"),
    Method("torch, pieces of 256, folded", ("folded", "256"), "with_torch.py"),
    Method("MONAI, 256, constant", ("paper", "256", "constant"), "with_monai.py"),
    Method("MONAI, 512, constant", ("paper", "512", "constant"), "with_monai.py"),
    Method("MONAI, 256, gaussian", ("paper", "256", "gaussian"), "with_monai.py"),
    Method("MONAI, 512, gaussian", ("paper", "512", "gaussian"), "with_monai.py"),
    Method("MONAI, 256, constant, folded", ("folded", "256", "constant"), "with_monai.py"),
    Method("TorchGeo, 256, no overlap", ("paper", "256", "256"), "with_torchgeo.py"),
    Method("TorchGeo, 256, stride 168, clipped", ("paper", "256", "168"), "with_torchgeo.py"),
    Method("TorchGeo, 256, no overlap, folded", ("folded", "256", "256"), "with_torchgeo.py"),
    Method("geoai, defaults", ("paper",), "with_geoai.py"),
    Method("geoai, defaults, folded", ("folded",), "with_geoai.py"),
)
OURS = (
    Method("crispmap, float32", ("--precision", "float32")),
    Method("crispmap, bfloat16", ("--precision", "bfloat16")),
)
KILLED = ("torch, pieces of 256", "MONAI, 256, constant", "TorchGeo, 256, no overlap", "geoai, defaults")
"""One of each peer: what is left on disk does not depend on windows and forms."""


@dataclass(frozen=True)
class Row:
    """A method on a scene of one side.

    Attributes:
        method: The method.
        size_px: Side of the scene.
        run: Its last run; or the first that failed.
        work_s: Seconds without start-up, the median of the turns.
        startup_s: Seconds of start-up.
        folder: The files of its last run.
    """

    method: Method
    size_px: int
    run: Run
    work_s: float
    startup_s: float
    folder: Path

    @property
    def rate(self) -> float | None:
        """Million pixels a second without start-up; None where start-up leaves too little to tell."""
        if self.run.failure or self.work_s < self.startup_s / 2:
            return None
        return self.size_px**2 / 1e6 / self.work_s


class Bench:
    """The scenes, the whole-image result and the work folder of one benchmark."""

    def __init__(self, work: Path, size_px: int) -> None:
        self.work, self.size_px = work, size_px
        self._scenes: dict[int, str] = {}
        self.files = made_fixture(work, size_px)
        self.reference = work / f"whole-{size_px}.npy"
        models = self.files["scene"], self.files["model"], self.files["refiner"]
        self.whole = facts_of(*self._reference("make", *models, str(self.reference)))
        self._tiny_s = 0.0

    def _reference(self, *arguments: str) -> list[str]:
        return [sys.executable, str(PEERS_FOLDER / "reference.py"), *arguments]

    def command(self, method: Method, size_px: int, folder: Path) -> list[str]:
        """Return the command that maps the scene of a side, made where missing."""
        if size_px not in self._scenes:
            self._scenes[size_px] = made_fixture(self.work, size_px)["scene"]
        return method.command(self.files, self._scenes[size_px], folder)

    def folder(self, method: Method, suffix: str) -> Path:
        """Return a new, empty folder for a method's files."""
        folder = self.work / f"{''.join(c if c.isalnum() else '-' for c in method.name)}-{suffix}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def time(self, method: Method, size_px: int, turns: int = 1) -> Row:
        """Run a method on the scene of a side, some times over."""
        times: list[float] = []
        for _ in range(turns):
            folder = self.folder(method, str(size_px))
            run = measured(self.command(method, size_px, folder))
            print(f"... {method.name}, {size_px}: {run.failure or f'{run.seconds:.1f} s'}", file=sys.stderr)
            startup = run.facts.get("startup_s") or self._startup(method)
            times.append(run.seconds - startup)
            if run.failure:
                break
        return Row(method, size_px, run, statistics.median(times), startup, folder)

    def _startup(self, method: Method) -> float:
        """Return the seconds of crispmap on next to no scene: the least of some runs, measured once."""
        if not self._tiny_s:
            tries = [measured(self.command(method, TINY_PX, self.folder(method, "tiny"))).seconds for _ in range(3)]
            self._tiny_s = min(tries)
        return self._tiny_s

    def difference(self, folder: Path) -> dict[str, float]:
        """Return how far a method's files lie from the whole-image result."""
        return facts_of(*self._reference("compare", str(self.reference), str(folder)))

    def left(self, folder: Path, finished: Path) -> dict[str, str]:
        """Return what a killed run left, beside the files of one that finished."""
        return facts_of(*self._reference("state", str(folder), str(finished)))


def check_ours(bench: Bench, ours: Method) -> None:
    """Stop unless crispmap in float32 gives the whole-image result."""
    row = bench.time(ours, bench.size_px)
    if row.run.failure:
        raise SystemExit(f"{ours.name}: {row.run.failure}")
    found = bench.difference(row.folder)
    if found["difference"] > found["tolerance"] * found["largest"] or found["changed"] > found["ties"]:
        raise SystemExit(f"{ours.name} differs from the whole-image result; nothing was timed: {found}")
    print(
        f"Checked before timing: scores of {ours.name} are within {found['difference']:.1e} of the whole-image result "
        f"(largest score {found['largest']:.1f}), {found['changed']:.0f} labels differ.\n"
    )


def ours_as_installed() -> Sequence[Method]:
    """Return our methods; of a crispmap that offers no precision, its one way of working."""
    probe = measured([str(CRISPMAP), "predict", "no.tif", "--precision", "float32", "--model", "no"])
    return [Method(OURS[0].name, ())] if "No such option" in probe.failure else OURS


def print_rates(bench: Bench, rows: list[Row]) -> None:
    """Print rate, memory and difference of every method."""
    best = [row.rate for row in rows if row.method.name == OURS[0].name and row.rate][-1:]
    print_table_head(
        "method", "side, px", "Mpx/s", "crispmap float32 is", "start-up, s", "CPU, s", "peak memory, MiB",
        "largest difference (64 px inside)", "changed labels (64 px inside; of these ties)",
    )  # fmt: skip
    for row in rows:
        if row.run.failure:
            print_table_row(row.method.name, row.size_px, f"failed: {row.run.failure}", *[""] * 6)
            continue
        ratio = f"{best[0] / row.rate:.2f} x" if best and row.rate else ""
        rate = f"{row.rate:.3f}" if row.rate else "too short"
        differs = _differs(bench.difference(row.folder)) if row.size_px == bench.size_px else ("", "")
        figures = f"{row.startup_s:.1f}", f"{row.run.cpu_s:.1f}", f"{row.run.peak_mib:.0f}"
        print_table_row(row.method.name, row.size_px, rate, ratio, *figures, *differs)
    print()


def _differs(found: dict[str, float]) -> tuple[str, str]:
    return (
        f"{found['difference']:.1e} ({found['inside_difference']:.1e})",
        f"{found['changed']:.0f} ({found['inside_changed']:.0f}; {found['inside_ties']:.0f})",
    )


def print_kills(bench: Bench, rows: list[Row]) -> None:
    """Kill one run of every tool half way, look at what it left, and run the same command again."""
    print_table_head("killed with -9 half way", "side, px", "left on disk", "same command again", "result")
    last = {row.method: row for row in rows if not row.run.failure}
    for method, row in last.items():
        if method.script is None or method.name in KILLED:
            command, folder = _killed_half_way(bench, row)
            left = _listed(bench.left(folder, row.folder))
            again = measured(command)
            share = (again.seconds - row.startup_s) / row.work_s
            told = again.failure or f"{again.seconds:.1f} s, {share:.0%} of the whole work"
            print_table_row(method.name, row.size_px, left, told, _same(folder, row.folder))
    print()


def _killed_half_way(bench: Bench, row: Row) -> tuple[list[str], Path]:
    """Kill a run of a method; return its command and the folder it worked in."""
    work_s = row.work_s
    for _ in range(KILLS):
        work_s /= 2
        folder = bench.folder(row.method, "killed")
        command = bench.command(row.method, row.size_px, folder)
        if killed(command, row.startup_s + work_s) and _same(folder, row.folder) != SAME:
            return command, folder
    raise SystemExit(f"{row.method.name} ends before it can be killed")


def _same(folder: Path, finished: Path) -> str:
    names = [path.name for path in finished.glob("*.tif")]
    pairs = [(folder / name, finished / name) for name in names]
    equal = all(one.exists() and one.read_bytes() == other.read_bytes() for one, other in pairs)
    return SAME if equal else "other bytes"


def _listed(left: dict[str, Any]) -> str:
    if not left:
        return "nothing"
    shown = [f"{name} ({fact})" for name, fact in list(left.items())[:3]]
    return "; ".join(shown) + (f"; {len(left) - 3} more" if len(left) > 3 else "")


def main() -> None:
    given = _arguments()
    use_two_cores()
    bench = Bench(given.work.resolve(), given.size)
    print(
        f"{platform.processor() or platform.machine()}, 2 cores, Python {platform.python_version()}; 4 bands, "
        f"{given.turns} turns; weights {bench.files['weights']}; shares of the classes {bench.whole['shares']}.\n"
    )
    ours = ours_as_installed()
    check_ours(bench, ours[0])
    rows: list[Row] = []
    for method in [*PEERS, *ours]:
        large = method.script is None or given.everything_large
        if method.script is None or not given.only or any(name in method.name for name in given.only):
            sizes = [given.size, given.large] if large else [given.size]
            rows += [bench.time(method, size, given.turns) for size in sizes]
    print_rates(bench, rows)
    if not given.no_kill:
        print_kills(bench, rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="sides of 2048 and 8192, 3 turns: about an hour")
    parser.add_argument("--size", type=int, default=1024, help="side of the scene that all methods map")
    parser.add_argument("--large", type=int, default=4096, help="side of the scene that crispmap is rated at")
    parser.add_argument("--turns", type=int, default=1, help="runs of every method; rates are their median")
    parser.add_argument("--everything-large", action="store_true", help="map the large scene with every method: hours")
    parser.add_argument("--only", nargs="+", default=[], help="peers whose name holds one of these, beside crispmap")
    parser.add_argument("--no-kill", action="store_true", help="leave out the runs that are killed half way")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scenes and results")
    given = parser.parse_args()
    if given.full:
        given.size, given.large, given.turns = 2048, 8192, max(3, given.turns)
    return given


if __name__ == "__main__":
    main()
