"""What a person types, and the scenes it means."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import SceneError
from crispmap.raster.files import open_scene
from crispmap.raster.resolve import SceneRef, resolve_scenes

Maker = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder one is in, with files that are not opened."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "north/scene.tif",
        "south/scene.tif",
        "south/Scene.png",
        "south/scene.tif.aux.xml",
        "south/deep/x.tif",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(*arguments: str | Path) -> list[str]:
    return [ref.name for ref in resolve_scenes(arguments)]


def files(*arguments: str | Path) -> list[str]:
    return [file for ref in resolve_scenes(arguments) for file in ref.files]


def test_a_file_is_a_scene_called_after_it(make_raster: Maker) -> None:
    path = make_raster(np.ones((2, 4, 5), np.uint8), "my scene.tif")
    [ref] = resolve_scenes([path], bands=[2, 1], assume_gsd_m=0.5)
    assert ref == SceneRef("my scene", (str(path),), bands=(2, 1), assume_gsd_m=0.5)
    with open_scene(ref) as scene:
        assert scene.band_names == ("band_2", "band_1")
        assert scene.path == path


def test_patterns_find_rasters_by_name_and_leave_out_what_lies_beside(place: Path) -> None:
    assert files("south/*") == ["south/Scene.png", "south/scene.tif"]
    assert files("*/scene.tif") == ["north/scene.tif", "south/scene.tif"]
    assert files("**/*.tif") == ["north/scene.tif", "south/deep/x.tif", "south/scene.tif"]
    assert files(f"{place}/south/deep/?.tif") == [f"{place}/south/deep/x.tif"]


def test_a_file_called_like_a_pattern_is_itself(place: Path) -> None:
    Path("scene[1].tif").write_text("x")
    Path("scene1.tif").write_text("x")
    assert files("scene[1].tif") == ["scene[1].tif"]


def test_a_scene_given_twice_counts_once_where_it_came_first(place: Path) -> None:
    assert files("south/scene.tif", "north/scene.tif", "*/scene.tif", place / "south/scene.tif") == [
        "south/scene.tif",
        "north/scene.tif",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["north/scene.tif"], ["scene"]),
        (["north/scene.tif", "south/scene.tif"], ["north-scene", "south-scene"]),
        (["south/scene.tif", "south/Scene.png"], ["scene-tif", "Scene-png"]),
        (["south/deep/x.tif", "north/scene.tif", "south/scene.tif"], ["x", "north-scene", "south-scene"]),
        (["https://a/scene.tif?sig=1", "s3://b/scene.tif"], ["a-scene", "b-scene"]),
        (["https://a/x/scene.tif", "north/scene.tif"], ["x-scene", "north-scene"]),
    ],
)
def test_scenes_of_one_name_are_distinguished(place: Path, arguments: list[str], expected: list[str]) -> None:
    assert names(*arguments) == expected


PARTS = st.tuples(*[st.sampled_from(["a", "b", "A", "a-b"])] * 3, st.sampled_from(["tif", "TIF", "png"]))


@given(st.lists(PARTS, min_size=1, max_size=30, unique=True))
@settings(deadline=None, max_examples=100)
def test_names_always_differ_and_fit_files(paths: list[tuple[str, str, str, str]]) -> None:
    found = resolve_scenes([f"/vsimem/{one}/{two}/{name}.{suffix}" for one, two, name, suffix in paths])
    assert len(found) == len(paths)
    assert len({ref.name.casefold() for ref in found}) == len(found)
    assert all(Path(ref.name).name == ref.name for ref in found)


def test_names_that_cannot_be_distinguished_are_numbered() -> None:
    addresses = [f"https://host/a/scene.tif?time={time}" for time in (1, 2)]
    one, two = names(*addresses)
    assert two == f"{one}-2"
    assert names(*addresses[::-1]) == [one, two]
    assert len(set(names(*addresses, f"/vsimem/{two}.tif"))) == 3


def test_items_and_patterns_of_items_are_scenes(place: Path) -> None:
    for name in ("one", "two"):
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": [],
            "properties": {"datetime": "2020-01-01T00:00:00Z"},
            "assets": {"red": {"href": "scene.tif", "roles": ["data"]}, "nir": {"href": "nir.tif", "roles": ["x"]}},
        }  # fmt: skip
        Path(f"{name}.json").write_text(json.dumps(item))
    Path("two.json").write_text(Path("two.json").read_text().replace("scene.tif", "scene2.tif"))
    assert names("one.json", "north/scene.tif") == ["one", "scene"]
    assert files("*.json") == ["scene.tif", "scene2.tif"]
    assert files("*.json#nir") == ["nir.tif"]


def test_addresses_are_taken_as_they_are() -> None:
    assert files("https://host/a.tif?x=[1]", "/vsis3/bucket/b.tif", "NETCDF:c.nc:red") == [
        "/vsicurl/https://host/a.tif?x=[1]",
        "/vsis3/bucket/b.tif",
        "NETCDF:c.nc:red",
    ]


# --- arguments that cannot be used ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No scene is given"),
        ([""], "A scene is given as ''"),
        (["nowhere.tif"], r"nowhere\.tif does not exist"),
        (["north/scene.tif", "north/other.tif"], r"north/other\.tif does not exist"),
        (["north/scene.tif/x.tif"], r"x\.tif does not exist"),
        (["north"], r"(?s)north is a folder.*'north/\*\.tif'"),
        (["west/*.tif"], r"west/\*\.tif"),
        (["south/*.xml"], r"south/\*\.xml"),
        (["nor*"], r"nor\*"),
        (["s3://bucket/*.tif"], "a pattern of addresses"),
        (["item.json#red"], r"item\.json does not exist"),
        (["empty.tif"], r"empty\.tif cannot be opened as a raster: it is empty"),
    ],
)
def test_a_reference_to_no_scene_is_reported(place: Path, arguments: list[str], said: str) -> None:
    Path("empty.tif").touch()
    with pytest.raises(SceneError, match=said) as caught:
        resolve_scenes(arguments)
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(place: Path) -> None:
    os.mkfifo("pipe.tif")
    assert files("pipe.tif") == ["pipe.tif"] if os.access("pipe.tif", os.R_OK) else True
