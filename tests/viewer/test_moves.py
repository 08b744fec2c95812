from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasters_to_view import some_image, write
from shapely.geometry import box

from crispmap.errors import LabelError
from crispmap.geo.grid import Grid
from crispmap.viewer.moves import arrows_of, is_aligned
from crispmap.viewer.run import assemble


def aligned(path: Path, place: tuple[float, float], crs: str | None, moves: list[tuple[float, float, str]]) -> Path:
    x, y = place
    columns = {
        "align_dx_m": [east for east, *_ in moves], "align_dy_m": [north for _, north, _ in moves],
        "align_confidence": [0.8] * len(moves), "align_reason": [reason for *_, reason in moves],
    }  # fmt: skip
    side = 4 if crs != "EPSG:4326" else 4e-5
    shapes = [box(x - side, y - side, x + side, y + side)] * len(moves)
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path, driver="GPKG")
    return path


@pytest.mark.parametrize("turn", [0, 30])
def test_an_arrow_ends_at_the_object_and_has_the_length_of_its_move(turn: float, tmp_path: Path) -> None:
    transform = Affine.translation(5e5, 5e6) @ Affine.rotation(turn) @ Affine.scale(0.5, -0.5)
    grid = Grid(CRS("EPSG:32631"), transform, (400, 400))
    path = aligned(tmp_path / "a.gpkg", (500_050.0, 4_999_960.0), "EPSG:32631", [(3, -4, "aligned"), (9, 9, "unsure")])
    (arrow,) = arrows_of(path, grid)
    assert transform @ arrow.stop == pytest.approx((500_050, 4_999_960))
    east, north = np.subtract(transform @ arrow.stop, transform @ arrow.start)
    assert (east, north) == pytest.approx((3, -4), rel=1e-3)  # UTM's metre is 0.9996 of that on the ground here


def test_vectors_in_degrees_are_placed(tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", some_image(400, 400))
    path = aligned(tmp_path / "a.gpkg", (3.0005, 45.152), "EPSG:4326", [(2, 0, "aligned")])
    (arrow,) = assemble([image, path]).arrows
    assert arrow.stop[0] - arrow.start[0] == pytest.approx(4, rel=1e-2)
    assert arrow.stop[1] == pytest.approx(arrow.start[1], abs=0.1)


def test_other_vectors_are_refused(tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", some_image(40, 40))
    plain = tmp_path / "plain.gpkg"
    gpd.GeoDataFrame({"a": [1]}, geometry=[box(0, 0, 1, 1)], crs="EPSG:32631").to_file(plain, driver="GPKG")
    broken = tmp_path / "broken.gpkg"
    broken.write_bytes(b"no vectors")
    assert not is_aligned(plain)
    assert not is_aligned(broken)
    for path in (plain, broken):
        with pytest.raises(LabelError) as caught:
            assemble([image, path])
        assert str(path) in caught.value.given
