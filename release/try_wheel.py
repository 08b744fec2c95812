"""Installs the wheel of a folder apart and maps a scene with it, by every engine and by processes: ``make wheel``.

Usage: python release/try_wheel.py FOLDER [--clean]

The wheel sees the libraries of the environment that runs this, but nothing of the source tree. With ``--clean`` all
that it needs is installed anew, with the extras: that takes minutes and gigabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

MOST_MB = 3.0
EXTRAS = "cluster,onnx"
SHIPPED = "crispmap/refiners/general/general.safetensors"
ROOT = Path(__file__).resolve().parents[1]
WAYS = (
    ["--engine", "openvino"],
    ["--engine", "onnxruntime"],
    ["--engine", "torch"],
    ["--workers", "2"],
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clean", action="store_true")
    given = parser.parse_args()
    (wheel,) = given.folder.resolve().glob("crispmap-*.whl")
    megabytes = wheel.stat().st_size / 1e6
    if megabytes > MOST_MB:
        raise SystemExit(f"{wheel.name} has {megabytes:.1f} MB, at most {MOST_MB} are meant to be")
    with ZipFile(wheel) as files:
        if SHIPPED not in files.namelist():
            raise SystemExit(f"{wheel.name} lacks {SHIPPED}, the refiner of all who have none")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        python = installed(wheel, place / "venv", clean=given.clean)
        check_origin(python, place, wheel)
        map_a_scene(python, place)
    print(f"{wheel.name}: {megabytes:.2f} MB, installed apart; maps by {', '.join(' '.join(way) for way in WAYS)}")


def installed(wheel: Path, environment: Path, *, clean: bool) -> Path:
    """Install a wheel in a new environment; return its Python."""
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    if clean:
        run([*pip, "--constraint", str(ROOT / "constraints.txt"), f"{wheel}[{EXTRAS}]"], ROOT)
        return python
    run([*pip, "--no-deps", "--no-index", str(wheel)], ROOT)
    # A path of libraries, not a site: what is installed there in place, such as the source tree, is not followed.
    libraries = sysconfig.get_path("purelib", vars={"base": str(environment)})
    (Path(libraries) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def check_origin(python: Path, place: Path, wheel: Path) -> None:
    """Stop unless the environment runs the wheel, and its version is that of the wheel's name."""
    found = run([str(python), "-c", "import crispmap; print(crispmap.__file__)"], place).strip()
    version = run([str(python), "-m", "crispmap", "--version"], place).split()[-1]
    with ZipFile(wheel) as content:
        (name,) = (one for one in content.namelist() if one.endswith(".dist-info/METADATA"))
        stated = Parser().parsestr(content.read(name).decode())["Version"]
    if not found.startswith(str(place)) or version != stated:
        raise SystemExit(f"version {version} of {found} runs, not {stated} of the wheel")


def map_a_scene(python: Path, place: Path) -> None:
    """Stop unless the command maps a scene in every way."""
    made = run([str(python), str(ROOT / "benchmarks" / "scene_fixture.py"), str(place), "256"], place)
    files = json.loads(made.splitlines()[-1])
    models = ["--model", files["model"], "--refiner", files["refiner"]]
    for number, way in enumerate(WAYS):
        out = place / f"map-{number}.tif"
        run([str(python), "-m", "crispmap", "predict", files["scene"], *models, "--out", str(out), *way], place)
        facts = json.loads(run([str(python), "-m", "crispmap", "info", str(out), "--json"], place))
        if not facts:
            raise SystemExit(f"predict {' '.join(way)} made no map")


def run(command: list[str], place: Path) -> str:
    """Return what a command prints; SystemExit with what it said where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
