"""New projects: what is proposed for any scene, and that the text follows the sections that check it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
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
