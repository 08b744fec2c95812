"""The command where nobody reads what it says: its work, its files and its exit status are the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from small_place import CRISPMAP, write_place

INFO = "info scene.tif --json"
RASTERIZE = "rasterize osm.gpkg --like scene.tif --out map.tif"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_place(folder)
    return folder


@pytest.fixture(scope="module")
def written(place: Path) -> bytes:
    """What ``rasterize`` writes where everything is heard."""
    assert shell(place, RASTERIZE, "").returncode == 0
    return (place / "map.tif").read_bytes()


def shell(folder: Path, command: str, ending: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell with an ending such as ``2>&-``, which leaves its status in the file ``status``."""
    line = f"{{ {shlex.join([*CRISPMAP, *command.split()])}; echo $? >status; }} {ending}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip
    done.returncode = int((folder / "status").read_text())
    return done


@pytest.mark.parametrize("ending", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | head -c 0"])
def test_a_map_is_written_though_nobody_listens(place: Path, written: bytes, ending: str) -> None:
    (place / "map.tif").unlink()
    done = shell(place, RASTERIZE, ending)
    assert done.returncode == 0, done.stderr
    assert (place / "map.tif").read_bytes() == written
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception" not in done.stderr + done.stdout


@pytest.mark.parametrize(("ending", "said"), [(">&-", ""), ("| head -c 1", ""), (">/dev/full", "No space left")])
def test_figures_that_cannot_be_printed_are_no_failure(place: Path, ending: str, said: str) -> None:
    done = shell(place, INFO, ending)
    assert done.returncode == 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(said)


@pytest.mark.parametrize("ending", ["2>&-", "2>/dev/full", "2>&1 | head -c 0"])
def test_a_failure_has_its_status_though_nobody_hears_of_it(place: Path, ending: str) -> None:
    assert shell(place, "info none.tif", ending).returncode == 2
    assert shell(place, "nothing", ending).returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_a_terminal_lacks_are_escaped(place: Path, encoding: str) -> None:
    done = shell(place, "info 中.tif", "", PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert "There is no file \\u4e2d.tif." in done.stderr
