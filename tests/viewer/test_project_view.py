"""The view of a project: all that its file names, and what is in its output folder."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
from pyproj import CRS
from rasterio.transform import from_origin
from rasters_to_view import write
from shapely.affinity import translate
from shapely.geometry import shape

from crispmap.errors import ProjectError
from crispmap.geo.grid import Block, Grid
from crispmap.labels.align.files import align_file
from crispmap.project.file import load_project
from crispmap.raster.block_store import BlockStore
from crispmap.raster.spec import CLASSES_TAG, SCORES_TAG, class_map_spec
from crispmap.viewer.growing import GrowingMaps
from crispmap.viewer.moves import arrows_of
from crispmap.viewer.project_view import UnderWay, view_of_project
from crispmap.viewer.run import ViewOptions, assemble
from small_project import PROJECT, make_project


def made(folder: Path) -> Path:
    """Make a project with a coarse map and scores."""
    make_project(folder, PROJECT)
    project = load_project(folder)
    out = project.output_folder
    out.mkdir()
    with rasterio.open(folder / "imprecise.tif") as labels:
        ids, place = labels.read(1), labels.transform
    write(out / "coarse.tif", ids, nodata=255, transform=place, tags={CLASSES_TAG: project.schema.to_json()})
    scores = np.eye(3, dtype=np.float32)[ids].transpose(2, 0, 1)
    write(out / "coarse_scores.tif", scores, transform=place, tags={SCORES_TAG: "logit"})
    return folder


def test_all_of_a_project_is_shown(tmp_path: Path) -> None:
    view = assemble([made(tmp_path)])
    assert [(one.name, one.kind) for one in view.layers] == [
        ("image", "image"), ("coarse map", "classes"), ("reference", "classes"), ("labels", "classes"),
        ("coarse scores: band 2", "amount"), ("coarse scores: band 3", "amount"), ("errors of coarse map", "errors"),
    ]  # fmt: skip
    roles = [one.role for one in view.outlines]
    assert set(roles) >= {"coarse", "refiner", "test"}
    test = next(one for one in view.outlines if one.role == "test")
    assert {(x, y) for ring in test.rings for x, y in ring} == {(120, 0), (160, 0), (160, 160), (120, 160)}
    whole = Block(0, 0, 160, 160)
    read = {one.name: one.source.read(0, whole)[0][0] for one in view.layers if one.kind in ("classes", "errors")}
    with rasterio.open(tmp_path / "precise.tif") as precise:
        assert (read["reference"] == precise.read(1)).all()
    assert ((read["errors of coarse map"] > 0) == (read["coarse map"] != read["reference"])).all()
    view.close()


def test_without_maps_the_labels_are_shown_and_a_note_says_what_makes_maps(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT)
    view = assemble([tmp_path / "project.yaml"])
    assert [one.name for one in view.layers] == ["image", "reference", "labels"]
    assert any("crispmap predict" in one for one in view.notes)


def test_a_scene_that_is_not_there_is_refused(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT)
    with pytest.raises(ProjectError) as caught:
        assemble([tmp_path], ViewOptions(scene="elsewhere"))
    assert "elsewhere" in caught.value.given


def test_labels_that_are_gone_are_named_in_a_note(tmp_path: Path) -> None:
    folder = made(tmp_path)
    project = (folder / "project.yaml").read_text()
    (folder / "imprecise.tif").rename(folder / "moved.tif")
    (folder / "project.yaml").write_text(project.replace("imprecise.tif", "moved.tif"))
    (folder / "moved.tif").write_bytes(b"no raster")
    view = assemble([folder])
    assert "labels" not in [one.name for one in view.layers]
    assert any(note.startswith("The labels cannot be shown") for note in view.notes)


def misplaced(folder: Path) -> Path:
    """Write the buildings of a project's reference as outlines that lie elsewhere."""
    with rasterio.open(folder / "precise.tif") as precise:
        ids, place = precise.read(1), precise.transform
    found = [shape(one) for one, value in rasterio.features.shapes(ids, ids == 1, transform=place) if value == 1]
    moved = [translate(one, 3.0, -2.0) for one in found]
    columns = {"class_name": ["building"] * len(moved)}
    gpd.GeoDataFrame(columns, geometry=moved, crs="EPSG:32631").to_file(folder / "outlines.gpkg", driver="GPKG")
    return folder / "outlines.gpkg"


def test_labels_that_the_project_aligns_are_shown_before_and_after_with_arrows(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT.replace("imprecise.tif", "outlines.gpkg, align: true"))
    outlines = misplaced(tmp_path)
    view = assemble([tmp_path])
    names = [one.name for one in view.layers]
    assert names[-2:] == ["labels before alignment", "labels"]
    assert view.arrows
    # Those of the verb, which writes what it moved into a file.
    align_file(outlines, tmp_path / "scene.tif", tmp_path / "aligned.gpkg")
    expected = arrows_of(tmp_path / "aligned.gpkg", view.pyramid.grid)
    assert len(view.arrows) == len(expected)
    for one, other in zip(view.arrows, expected, strict=True):
        assert (*one.start, *one.stop, one.confidence) == pytest.approx((*other.start, *other.stop, other.confidence))
    whole = Block(0, 0, 160, 160)
    before, after = (view.layers[names.index(one)].source.read(0, whole)[0][0] for one in names[-2:])
    with rasterio.open(tmp_path / "precise.tif") as precise:
        buildings = precise.read(1) == 1
    assert ((after == 1) & buildings).sum() > ((before == 1) & buildings).sum()
    view.close()


def test_while_a_run_aligns_labels_the_view_leaves_that_to_it(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT.replace("imprecise.tif", "outlines.gpkg, align: true"))
    misplaced(tmp_path)
    view = view_of_project(tmp_path, under_way=UnderWay())
    assert [one.name for one in view.layers] == ["image", "reference"]
    assert not view.arrows
    assert any("aligned" in one for one in view.notes)
    view.close()


def test_a_map_under_way_stands_for_its_file(tmp_path: Path) -> None:
    project = load_project(made(tmp_path))
    grid = Grid(CRS.from_epsg(32631), from_origin(5e5, 5e6, 1.0, 1.0), (160, 160))
    paths = project.output_folder / "coarse.tif", project.output_folder / "refined.tif"
    specs = [class_map_spec(one, grid, project.schema, {}) for one in paths]
    with BlockStore.open(specs, identity={}, block_px=64, force=True) as store:
        store.write(Block(0, 0, 64, 64), [np.full((64, 64), 2, np.uint8)] * 2)
        view = view_of_project(tmp_path, under_way=UnderWay(GrowingMaps(store.under_way)))
        maps = {one.name: one for one in view.layers if one.growth is not None}
        assert set(maps) == {"coarse map", "refined map"}
        ids, valid = maps["coarse map"].source.read(0, Block(0, 0, 160, 160))
        assert (ids[0, :64, :64] == 2).all()
        assert valid.sum() == 64 * 64
        view.close()
        store.discard()
