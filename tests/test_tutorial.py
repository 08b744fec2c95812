"""The tutorials, followed to their end: their files are used, their commands run, what they show is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import openpyxl
import pyogrio
import pytest
import rasterio
import shapely
from PIL import Image
from typer.testing import CliRunner

import tutorial_places
from crispmap.cli.main import app
from crispmap.project.file import load_project
from crispmap.raster.writer import read_class_schema

DOCS = Path(__file__).resolve().parents[1] / "docs"
STEPS = "max_steps: 1, batch: 2, patch_px: 32"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n((?:\n|    [^\n]*\n)*)", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.filterwarnings("ignore::crispmap.errors.CrispmapWarning")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """An empty folder, the one one is in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shortened(text: str, network: str | None) -> str:
    """A project file whose trainings take a step each, of another network where one is given."""
    text = re.sub(r"\ncoarse:\n  (kind: [\w-]+).*?\n\n", r"\ncoarse: {\1}\n", text, flags=re.DOTALL)
    if network is not None:
        text = re.sub(r"kind: unet-\w+", network, text)
    text = text.replace("finetune: {}", f"finetune: {{{STEPS}}}").replace("kind: rnn}", f"kind: rnn, {STEPS}}}")
    return re.sub(r"coarse: \{(.*)\}", rf"coarse: {{\1, {STEPS}}}", text)


def follow(name: str, place: Path, network: str | None = "kind: fcn-rnn") -> None:
    """Use the files of a tutorial, run its commands, and check that they print what it shows."""
    page = (DOCS / name).read_text(encoding="utf-8")
    for kind, body, shown in FENCE.findall(page):
        if kind == "yaml":
            path = place / body.split()[1]
            path.write_text(body)
            load_project(path)
            path.write_text(shortened(body, network))
        if kind == "sh":
            printed = "".join(printed_by(line, place, network) for line in body.replace("\\\n", " ").splitlines())
            for line in shown.split("\n"):
                assert line.strip() in printed


def printed_by(command: str, place: Path, network: str | None) -> str:
    """What a command of a tutorial prints, once a person has done what it asks for."""
    mapped = sorted(path.name for path in place.glob("landcover/out-refined/maps/*"))
    words = shlex.split(command.replace("/119/", f"/{mapped[0]}/") if mapped else command)  # any of the test images
    assert words[0] == "crispmap"
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    if words[1] == "init":
        path = place / words[2] / "project.yaml"
        path.write_text(shortened(path.read_text(), network))
    if words[1] == "sample":
        label(Path(words[2]), Path(words[words.index("--out") + 1]))
    return result.output


def label(map_path: Path, path: Path) -> None:
    """Fill in a sample as a person does who finds every tenth place wrong."""
    schema, frame = read_class_schema(map_path), gpd.read_file(path, layer="sample")
    assert schema is not None
    with rasterio.open(map_path) as dataset:
        ids = np.array([next(dataset.sample([point]))[0] for point in shapely.get_coordinates(frame.geometry)])
    ids = np.where(np.arange(len(ids)) % 10 == 9, 1 - ids, ids)
    frame["reference"] = [schema.names[one] for one in ids]
    pyogrio.write_dataframe(frame, path, layer="sample")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["kind: fcn-rnn", None], ids=["small", "as shown"])
def test_deepglobe_from_its_folder(place: Path, network: str | None) -> None:
    tutorial_places.deepglobe(place)
    follow("deepglobe-from-its-folder.md", place, network)
    scored = [
        {one.name for one in place.glob(f"landcover/{out}/maps/*")} for out in ("out", "out-resnet50", "out-refined")
    ]
    assert scored[0]
    assert scored == [scored[0]] * 3  # the same images, as the page says
    with Image.open(place / "other.tif") as made:
        assert made.size == (72, 72)
    assert (place / "119.gpkg").exists()


def rows(path: Path, sheet: str) -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(path)[sheet].iter_rows(values_only=True))


def check_fires(place: Path) -> None:
    heads, *months, total = rows(place / "burned.xlsx", "burned")
    assert heads == ("Year", "Month", "Corumbá", "Ladário", "Total")
    assert [one[:2] for one in months] == [(2020, 8), (2020, 9), (2020, 10)]
    assert total[-1] == pytest.approx(sum(one[-1] for one in months))  # type: ignore[misc]
    assert {one[1] for one in rows(place / "corrected.xlsx", "Accuracy")} >= {"area_km2", "overall_accuracy"}


def check_dam(place: Path) -> None:
    assert [one[:2] for one in rows(place / "water.xlsx", "water")[1:3]] == [(2019, 1), (2019, 2)]
    with rasterio.open(place / "share_30m.tif") as shares, rasterio.open(place / "water_8m.tif") as fine:
        assert shares.descriptions == ("background", "water")
        kept = shares.read(2, masked=True).sum() * abs(shares.transform.determinant)
        assert kept == pytest.approx((fine.read(1) == 1).sum() * abs(fine.transform.determinant), rel=0.02)


@pytest.mark.slow
def test_burned_area_by_month(place: Path) -> None:
    tutorial_places.fires(place)
    follow("burned-area-by-month.md", place)
    check_fires(place)
    with rasterio.open(place / "burned_2020-09.tif") as baseline:
        burnt = np.zeros(baseline.shape, bool)
        burnt[8:88, 32:60] = True  # what burned in that month alone
        np.testing.assert_array_equal(baseline.read(1), burnt)


@pytest.mark.slow
def test_water_of_a_dam(place: Path) -> None:
    tutorial_places.dam(place)
    follow("water-of-a-dam.md", place)
    check_dam(place)
    with rasterio.open(place / "water_30m.tif") as coarse, rasterio.open(place / "water_8m.tif") as fine:
        assert (fine.read(1)[200:] == 1).any()
        assert not (coarse.read(1)[50:] == 1).any()  # the river is narrower than half a pixel of 30 m


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "begin", "check"),
    [
        ("burned-area-by-month.md", tutorial_places.real_fires, check_fires),
        ("water-of-a-dam.md", tutorial_places.real_dam, check_dam),
    ],
    ids=["fires", "dam"],
)
def test_on_real_data(
    place: Path, real_data: Path, name: str, begin: Callable[[Path, Path], None], check: Callable[[Path], None]
) -> None:
    begin(real_data, place)
    follow(name, place)
    check(place)
