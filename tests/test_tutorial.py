"""The tutorial on data sets, followed to its end: its files are used, its commands run, what it shows is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.project.file import load_project

PAGE = Path(__file__).resolve().parents[1] / "docs" / "deepglobe-from-its-folder.md"
COLOURS = np.array([(0, 255, 255), (255, 255, 0), (0, 255, 0)], np.uint8)
CLASSES = "name,r,g,b\nurban_land,0,255,255\nagriculture_land,255,255,0\nforest_land,0,255,0\nunknown,0,0,0\n"
STEPS = "max_steps: 1, batch: 2, patch_px: 32"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """A folder with a small set like DeepGlobe's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deepglobe").mkdir()
    for number in range(8):  # fewer would be split within the images
        rng = np.random.default_rng(number)
        ids = np.kron(rng.permutation(np.arange(9) % 3).reshape(3, 3), np.ones((24, 24), int))
        shades = np.clip(COLOURS[ids] * 0.5 + rng.normal(50, 9, (*ids.shape, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(shades).save(tmp_path / f"deepglobe/{100 + number}_sat.jpg")
        Image.fromarray(COLOURS[ids]).save(tmp_path / f"deepglobe/{100 + number}_mask.png")
    (tmp_path / "deepglobe/class_dict.csv").write_text(CLASSES)
    Image.fromarray(shades).save(tmp_path / "other.jpg")
    return tmp_path


def shortened(text: str, network: str | None) -> str:
    """A project file whose trainings take a step each, of another network where one is given."""
    text = re.sub(r"\ncoarse:\n  (kind: [\w-]+).*?\n\n", r"\ncoarse: {\1}\n", text, flags=re.DOTALL)
    if network is not None:
        text = re.sub(r"kind: unet-\w+", network, text)
    text = text.replace("finetune: {}", f"finetune: {{{STEPS}}}").replace("kind: rnn}", f"kind: rnn, {STEPS}}}")
    return re.sub(r"coarse: \{(.*)\}", rf"coarse: {{\1, {STEPS}}}", text)


@pytest.mark.filterwarnings("ignore::crispmap.errors.CrispmapWarning")
@pytest.mark.parametrize(
    "network", ["kind: fcn-rnn", pytest.param(None, marks=pytest.mark.slow)], ids=["small", "as shown"]
)
def test_the_tutorial_can_be_followed(place: Path, network: str | None) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for body in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        path = place / re.match(r"# (\S+)", body)[1]  # type: ignore[index]
        path.parent.mkdir(exist_ok=True)
        path.write_text(body)
        load_project(path)
        path.write_text(shortened(body, network))
    for commands, shown in re.findall(r"^```sh\n(.*?)^```\n((?:\n|    [^\n]*\n)*)", page, re.MULTILINE | re.DOTALL):
        printed = ""
        for line in commands.splitlines():
            printed += printed_by(line, place)
            if line.startswith("crispmap init"):
                path = place / "landcover/project.yaml"
                path.write_text(shortened(path.read_text(), network))
        for line in shown.split("\n"):
            assert line.strip() in printed
    scored = [
        {one.name for one in place.glob(f"landcover/{out}/maps/*")} for out in ("out", "out-resnet50", "out-refined")
    ]
    assert scored[0]
    assert scored == [scored[0]] * 3  # the same images, as the page says
    with Image.open(place / "other.tif") as made:
        assert made.size == (72, 72)
    assert (place / "119.gpkg").exists()


def printed_by(command: str, place: Path) -> str:
    """What a command of the tutorial prints; 119 stands for any of the test images."""
    mapped = sorted(path.name for path in place.glob("landcover/out-refined/maps/*"))
    words = shlex.split(command.replace("/119/", f"/{mapped[0]}/") if mapped else command)
    assert words[0] == "crispmap"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    return result.output
