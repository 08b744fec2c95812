"""The verb ``view`` as a command: it says where the page is, serves it, and ends when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from typer.testing import CliRunner

from crispmap.cli.main import app


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "height": 60, "width": 80, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=from_origin(5e5, 5e6, 1.0, 1.0), **profile) as target:
        target.write(np.random.default_rng(0).integers(1, 255, (3, 60, 80)).astype(np.uint8))
    return path


@contextmanager
def viewing(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and give the process and the address it prints."""
    command = [sys.executable, "-m", "crispmap", "view", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.kill()


def test_it_prints_the_address_serves_the_page_and_ends_with_ctrl_c(image: Path) -> None:
    with viewing(image) as (process, url):
        with urllib.request.urlopen(f"{url}view.json") as answer:  # noqa: S310 - of this machine
            assert json.load(answer)["width"] == 80
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "No browser was found" in errors
    assert "Traceback" not in errors


def test_it_ends_once_the_page_has_said_goodbye(image: Path) -> None:
    with viewing(image, "--no-open") as (process, url):
        urllib.request.urlopen(f"{url}bye").close()  # noqa: S310 - of this machine
        begun = time.monotonic()
        assert process.wait(60) == 0
        assert time.monotonic() - begun > 3  # a page that is loaded anew says goodbye too


def test_a_port_that_is_taken_is_bad_input(image: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = CliRunner().invoke(app, ["view", str(image), "--no-open", "--port", str(port)])
    assert found.exit_code == 2
    assert str(port) in found.stderr


@pytest.mark.parametrize(
    "given", [["none.tif"], ["project.yaml"], ["image.tif", "--bands", "9"], ["image.tif", "--scene", "a"]]
)
def test_bad_input_ends_with_status_2(given: list[str], image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(image.parent)
    found = CliRunner().invoke(app, ["view", *given, "--no-open"])
    assert found.exit_code == 2
    assert "Expected" in found.stderr


def test_a_folder_is_written_and_not_replaced_unasked(image: Path) -> None:
    target = image.parent / "page"
    command = ["view", str(image), "--export", str(target)]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (target / "index.html").is_file()
    assert CliRunner().invoke(app, command).exit_code == 2
    assert CliRunner().invoke(app, [*command, "--force"]).exit_code == 0
