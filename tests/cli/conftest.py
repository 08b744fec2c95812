"""A place for the verbs: a scene, labels, models and a project, made once and copied for whoever spoils it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_place import write_place


@pytest.fixture(scope="session")
def good_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write_place(folder)
    return folder


@pytest.fixture
def place(good_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the place to spoil, and the folder one is in."""
    folder = tmp_path / "place"
    shutil.copytree(good_place, folder)
    monkeypatch.chdir(folder)
    return folder
