"""Registration: what an offset means for the labels, and what is compared where nothing is said."""

from __future__ import annotations

import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from scipy import ndimage

from crispmap.errors import CrispmapError, InputError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.labels.offset import Offset
from crispmap.labels.offset_sample import SampledOffset
from crispmap.labels.osm import default_schema, preset_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.registration import (
    Registration,
    check_correction_target,
    estimate_registration,
    kind_of_target,
    schema_of_scores,
)
from crispmap.raster.scores import open_scores

GRID = Grid(CRS.from_epsg(32631), Affine(1, 0, 500_000, 0, -1, 5_000_000), (120, 120))
SHIFT = 3.0, -2.0


def registered(offset: Offset, gsd_m: float = 0.5) -> Registration:
    found = SampledOffset(offset, gsd_m, windows=1, windows_in_all=1)
    return Registration(Path("a.gpkg"), Path("b.tif"), "image", GRID, found, LabelOptions())


def write(path: Path, values: np.ndarray, tags: dict[str, str], bands: tuple[str, ...] = ()) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[1], width=values.shape[2], count=len(values),
        dtype=values.dtype, crs="EPSG:32631", transform=GRID.transform,
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = bands or (None,) * len(values)
        file.update_tags(**tags)
    return path


def roofs() -> np.ndarray:
    ids = np.zeros(GRID.shape, np.uint8)
    for row in range(8, 110, 18):
        for col in range(8, 110, 18):
            ids[row + col % 5 : row + col % 5 + 8, col + row % 7 : col + row % 7 + 8] = 1
    return ids


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Scores of roofs, and vectors of them displaced by SHIFT."""
    scores = ndimage.gaussian_filter(np.stack([1 - roofs(), roofs()]).astype(np.float32), (0, 1.5, 1.5))
    write(tmp_path / "scores.tif", scores, {"CRISPMAP_SCORES": "logit"}, ("background", "building"))
    write(tmp_path / "own.tif", scores, {"CRISPMAP_SCORES": "logit"}, ("ground", "roof"))
    write(tmp_path / "scene.tif", (scores * 200).astype(np.uint8), {})
    write(tmp_path / "map.tif", roofs()[None], {"CRISPMAP_CLASSES": "[]"})
    boxes = []
    for rows, cols in ndimage.find_objects(ndimage.label(roofs())[0]):
        west, north = GRID.transform @ (cols.start, rows.start)
        east, south = GRID.transform @ (cols.stop, rows.stop)
        boxes.append(shapely.box(west + SHIFT[0], south + SHIFT[1], east + SHIFT[0], north + SHIFT[1]))
    gpd.GeoDataFrame({"building": ["yes"] * len(boxes)}, geometry=boxes, crs=GRID.crs).to_file(tmp_path / "osm.gpkg")
    return tmp_path


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0, 5), st.floats(0.1, 5), st.booleans())
def test_labels_are_displaced_only_by_a_reliable_offset_beyond_its_error(
    dx_m: float, dy_m: float, error_m: float, gsd_m: float, reliable: bool
) -> None:
    one = registered(Offset(dx_m, dy_m, error_m, 0.9, reliable), gsd_m)
    assert one.correction_m == (-dx_m, -dy_m)
    assert (one.verdict == "unreliable") == (not reliable)
    if one.verdict == "displaced":
        assert math.hypot(dx_m, dy_m) > max(2 * error_m, gsd_m / 2)
    if one.verdict == "aligned":
        assert math.hypot(dx_m, dy_m) <= max(2 * error_m, gsd_m / 2)


def test_corrected_vectors_are_aligned(place: Path) -> None:
    found = estimate_registration(place / "osm.gpkg", place / "scores.tif")
    assert (found.kind, found.verdict) == ("scores", "displaced")
    assert found.correction_m == pytest.approx((-SHIFT[0], -SHIFT[1]), abs=0.5)
    assert found.write_corrected(place / "moved.gpkg") == len(gpd.read_file(place / "osm.gpkg"))
    again = estimate_registration(place / "moved.gpkg", place / "scores.tif")
    assert again.verdict == "aligned"


def test_what_labels_are_laid_over_is_known_by_its_tags(place: Path) -> None:
    assert kind_of_target(place / "scores.tif") == "scores"
    assert kind_of_target(place / "scene.tif") == "image"
    with pytest.raises(InputError, match=r"map\.tif"):
        kind_of_target(place / "map.tif")


def test_classes_of_scores_are_those_of_their_bands(place: Path) -> None:
    with open_scores(place / "scores.tif", kind="logit") as scores:
        assert schema_of_scores(scores, None) == preset_schema(["building"])
        with pytest.raises(SchemaError, match="building, road"):
            schema_of_scores(scores, default_schema())
    with open_scores(place / "own.tif", kind="logit") as scores:
        with pytest.raises(InputError, match="ground, roof"):
            schema_of_scores(scores, None)
        assert schema_of_scores(scores, preset_schema(["road"])) == preset_schema(["road"])


def test_a_raster_in_place_of_vectors_and_inputs_as_targets_are_errors(place: Path) -> None:
    with pytest.raises(InputError) as caught:
        estimate_registration(place / "scene.tif", place / "osm.gpkg")
    assert f"{place / 'osm.gpkg'} first, then against={place / 'scene.tif'}" in caught.value.remedy
    with pytest.raises(CrispmapError, match=r"osm\.gpkg"):
        check_correction_target(place / "osm.gpkg", place / "osm.gpkg", place / "scene.tif")
