"""What labels hold on a scene: shares and areas are those of what is drawn, objects are counted by hand."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import LabelError
from crispmap.geo.grid import Grid
from crispmap.labels.reader import LabelOptions
from crispmap.labels.survey import survey_labels

UTM = CRS.from_epsg(32631)
SCHEMA = ClassSchema(
    (
        ClassDef("background", "#000000"),
        ClassDef("building", "#ff0000", ("building=*",)),
        ClassDef("water", "#0000ff", ("natural=water",)),
    )
)
GRID = Grid(UTM, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (200, 300))  # 150 m x 100 m
BOWTIE = shapely.Polygon([(10, 10), (20, 20), (20, 10), (10, 20)])


def at(shape: shapely.Geometry) -> shapely.Geometry:
    """A shape in metres from the lower left corner of the grid."""
    return shapely.affinity.translate(shape, 500_000, 4_999_900)


def write(path: Path, shapes: list[shapely.Geometry | None], *, crs: CRS = UTM) -> Path:
    path.unlink(missing_ok=True)
    frame = gpd.GeoDataFrame({"building": ["yes"] * len(shapes)}, geometry=shapes, crs=UTM)
    frame.to_crs(crs).to_file(path)
    return path


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 13), st.integers(0, 8), st.integers(1, 16)), min_size=1, unique_by=lambda x: x[:2]
    )
)
def test_shares_and_areas_are_those_of_the_objects(tmp_path: Path, huts: list[tuple[int, int, int]]) -> None:
    boxes = [at(shapely.box(10 * x, 10 * y, 10 * x + side / 2, 10 * y + side / 2)) for x, y, side in huts]
    found = survey_labels(write(tmp_path / "a.gpkg", boxes), SCHEMA, GRID)
    area = sum(box.area for box in boxes)
    building = found.classes[1]
    assert building.objects == len(boxes)
    assert building.share == pytest.approx(area / 15_000)
    assert building.area_m2 == pytest.approx(area, rel=2e-3)  # the scale of the projection
    assert sum(one.share for one in found.classes) + found.unknown_share == pytest.approx(1)
    assert found.empty_classes == ("water",)
    assert (found.elsewhere, found.invalid, found.other_crs) == (0, 0, False)


def test_what_is_outside_empty_invalid_or_in_another_crs_is_said(tmp_path: Path) -> None:
    shapes = [
        at(shapely.box(0, 0, 10, 10)),
        at(shapely.box(900, 0, 910, 10)),
        at(BOWTIE),
        None,
        at(shapely.box(-5, 0, -1, 4)),
    ]
    found = survey_labels(write(tmp_path / "a.gpkg", shapes, crs=CRS(4326)), SCHEMA, GRID)
    assert found.classes[1].objects == 3  # the bow tie is two
    assert (found.invalid, found.other_crs) == (1, True)
    assert found.elsewhere is not None
    assert found.elsewhere >= 2
    text = "\n".join(found.lines())
    for words in ("3 objects", "outside the scene", "1 invalid polygon, repaired", "reprojected from EPSG:4326"):
        assert words in text


def test_a_mask_and_a_large_scene(tmp_path: Path) -> None:
    pixels = np.zeros(GRID.shape, np.uint8)
    pixels[:100, :150] = 2
    pixels[100:] = 255
    profile = {"driver": "GTiff", "height": 200, "width": 300, "count": 1, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(tmp_path / "m.tif", "w", **profile, transform=GRID.transform) as file:
        file.write(pixels, 1)
    found = survey_labels(tmp_path / "m.tif", SCHEMA, GRID)
    assert [one.share for one in found.classes] == [0.25, 0.0, 0.25]
    assert found.unknown_share == 0.5
    assert found.empty_classes == ("building",)
    fine = Grid(UTM, GRID.transform @ Affine.scale(1 / 20), (4000, 6000))
    thinned = survey_labels(tmp_path / "m.tif", SCHEMA, fine)
    assert thinned.every == 3
    assert thinned.classes[2].share == pytest.approx(0.25, abs=0.01)
    assert max(thinned.ids.shape) <= 2048


def test_labels_that_cannot_be_used_are_the_usual_errors(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="lies on the scene"):
        survey_labels(write(tmp_path / "a.gpkg", [at(shapely.box(9000, 0, 9010, 10))]), SCHEMA, GRID)
    with pytest.raises(LabelError):
        survey_labels(tmp_path / "absent.gpkg", SCHEMA, GRID, LabelOptions())
