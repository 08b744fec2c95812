"""The verb ``chips``, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pytest
from small_place import run

CHIPS = ["chips", "scene.tif", "--out", "chips", "--size", "32", "--classes", "project.yaml"]


@pytest.mark.parametrize("labels", ["osm.gpkg", "mask.tif"])
def test_vectors_and_masks_become_chips(labels: str, place: Path) -> None:
    done = run(*CHIPS, "--labels", labels, "--test", "0.3", "--split-block", "32", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    table = gpd.read_parquet(place / "chips" / "manifest.parquet")
    assert facts["chips"] == len(table) == 15
    assert facts["by_role"] == table["split"].value_counts().to_dict()
    assert sum(facts["class_shares"].values()) == pytest.approx(1)


def test_figures_and_what_is_left_out_are_shown(place: Path) -> None:
    done = run(*CHIPS, "--labels", "osm.gpkg", "--stride", "50", "--balance", "house", "--format", "png")
    assert done.exit_code == 0, done.output
    assert "house" in done.stdout
    assert "train" in done.stdout
    assert "In no chip" in done.stderr
    assert list((place / "chips" / "images").glob("*.png"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "500"], "--size 96"),
        (["--stride", "0"], "stride"),
        (["--balance", "houze"], "Did you mean house?"),
        (["--test", "0.5", "--split-block", "200"], "--split-block"),
        (["--test", "0.3", "--split-block", "32", "--buffer-m", "500"], "--buffer-m"),
        (["--max-nodata", "2"], "max_nodata"),
        (["--labels", "missing.tif"], "missing.tif"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], said: str, place: Path) -> None:
    done = run(*CHIPS, "--labels", "osm.gpkg", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (place / "chips").exists()
    (place / "chips").mkdir()
    (place / "chips" / "notes.txt").touch()
    assert run(*CHIPS, "--labels", "osm.gpkg", "--force").exit_code == 2
    assert [path.name for path in (place / "chips").iterdir()] == ["notes.txt"]
