"""New projects: what is proposed for any scene, and that the text follows the sections that check it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.transform
import shapely
from hypothesis import given
from hypothesis import strategies as st

from crispmap.errors import InputError, OutputError, SchemaError
from crispmap.labels.proposal import named_classes, proposed_colours
from crispmap.models.registry import architectures
from crispmap.project.file import load_project
from crispmap.project.file.template import (
    ProjectInputs,
    SceneSize,
    project_text,
    proposed_windows,
)
from crispmap.project.new import create_project

SIDES = st.integers(5, 100_000)


@given(SIDES, SIDES)
def test_the_windows_proposed_part_any_scene_in_full_rows_or_columns(height: int, width: int) -> None:
    windows = proposed_windows((height, width))
    axis = 0 if height > width else 1
    lines = [(window[axis], window[axis] + window[axis + 2]) for window in windows]
    assert lines[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(lines))
    assert lines[-1][1] == max(height, width)
    assert {window[3 - axis] for window in windows} == {min(height, width)}


@given(st.integers(2, 60))
def test_classes_without_preset_have_colours_of_their_own(count: int) -> None:
    colours = proposed_colours([f"class {index}" for index in range(count)])
    assert len(set(colours)) == count


def test_every_architecture_that_may_be_chosen_is_named(tmp_path: Path) -> None:
    text = project_text(tmp_path / "project.yaml", ProjectInputs(), named_classes(["building"]), SceneSize())
    for name in architectures(trainable=True):
        assert name in text


def test_a_new_project_is_read_back_and_says_what_is_left_to_do(tmp_path: Path) -> None:
    new = create_project(tmp_path / "town", classes=["background", "building", "castle"])
    assert new.path == tmp_path / "town" / "project.yaml"
    assert new.without_rules == ("castle",)
    assert load_project(new.path, check_files=False).schema.names == ("background", "building", "castle")


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [
        (shapely.box(0, 0, 9, 9), None, ("background", "building")),
        (shapely.LineString([(0, 0), (9, 9)]), None, ("background", "road")),
        (shapely.box(0, 0, 9, 9), ["greenhouse"], ("background", "greenhouse")),
    ],
)
def test_features_that_nothing_names_are_all_of_one_class(
    tmp_path: Path, shape: shapely.Geometry, classes: list[str] | None, expected: tuple[str, ...]
) -> None:
    for name in ("labels.gpkg", "precise.gpkg"):
        gpd.GeoDataFrame({"confidence": [0.7]}, geometry=[shape], crs="EPSG:32631").to_file(tmp_path / name)
    inputs = ProjectInputs(labels=tmp_path / "labels.gpkg", reference=tmp_path / "precise.gpkg")
    new = create_project(tmp_path / "town", inputs, classes=classes)
    assert new.classes == expected
    (scene,) = load_project(new.path, check_files=False).scenes
    assert scene.labels is not None
    assert scene.reference is not None
    assert scene.labels.all_as == scene.reference.all_as == expected[1]


def test_a_mask_needs_no_rules(tmp_path: Path) -> None:
    mask = np.zeros((1, 9, 9), np.uint8)
    mask[0, 3:] = 1
    with rasterio.open(
        tmp_path / "mask.tif", "w", driver="GTiff", count=1, height=9, width=9, dtype="uint8", crs="EPSG:32631",
        transform=rasterio.transform.from_origin(5e5, 5e6, 1, 1),
    ) as file:  # fmt: skip
        file.write(mask)
    new = create_project(tmp_path / "town", ProjectInputs(labels=tmp_path / "mask.tif"), classes=["burned"])
    assert (new.without_rules, new.from_labels) == ((), False)
    assert "osm: []" not in new.path.read_text()


def test_what_cannot_be_made_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        create_project(tmp_path / "new", ProjectInputs(labels=tmp_path / "absent"))
    with pytest.raises(SchemaError):
        create_project(tmp_path / "new", classes=["a", "a"])
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        create_project(tmp_path / "file")


def test_the_text_is_written_without_what_reads_images_or_networks() -> None:
    code = (
        "import sys, tempfile; from pathlib import Path; from crispmap.project.new import create_project;"
        "create_project(Path(tempfile.mkdtemp()));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'rasterio', 'geopandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
