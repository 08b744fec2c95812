from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasters_to_view import SCHEMA, class_map, some_ids, some_image, write

from crispmap.errors import InputError, OutputError
from crispmap.viewer import export
from crispmap.viewer.answer import PAGE_FILES
from crispmap.viewer.export import export_view
from crispmap.viewer.run import ViewOptions, assemble
from crispmap.viewer.view import View


@pytest.fixture
def view(tmp_path: Path) -> View:
    write(tmp_path / "image.tif", some_image(300, 520))
    class_map(tmp_path / "map.tif", some_ids(300, 520))
    reference = class_map(tmp_path / "reference.tif", some_ids(300, 520, 1))
    return assemble([tmp_path / "image.tif", tmp_path / "map.tif"], ViewOptions(reference=reference))


def test_the_folder_holds_the_page_and_every_tile(view: View, tmp_path: Path) -> None:
    page = export_view(view, tmp_path / "page")
    folder = page.parent
    facts = json.loads((folder / "view.json").read_text())
    assert facts["static"] is True
    assert all((folder / name).is_file() for name in PAGE_FILES)
    for layer in facts["layers"]:
        tiles = list((folder / "tiles" / layer["id"]).rglob("*.*"))
        assert len(tiles) == view.pyramid.tile_count
        assert {one.suffix for one in tiles} == {".webp" if layer["kind"] == "image" else ".png"}
        assert (layer["kind"] == "errors") == (folder / "worst" / f"{layer['id']}.json").is_file()
    ids = next(one for one in facts["layers"] if one["name"] == "map")["id"]
    tile = np.asarray(Image.open(folder / "tiles" / ids / "0" / "0" / "0.png").convert("RGB"))
    expected = some_ids(300, 520)[:256, :256]
    for index, one in enumerate(SCHEMA):
        assert (tile[expected == index] == one.rgb).all()


def test_a_folder_in_the_way_stays(view: View, tmp_path: Path) -> None:
    export_view(view, tmp_path / "page")
    with pytest.raises(OutputError):
        export_view(view, tmp_path / "page")
    export_view(view, tmp_path / "page", force=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError):
        export_view(view, mine, force=True)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_what_would_be_too_large_is_refused_before_anything_is_written(
    view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", 10_000)
    with pytest.raises(InputError):
        export_view(view, tmp_path / "page")
    assert not (tmp_path / "page").exists()
