"""Classes proposed for labels: what is written with any classes shows them again."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from crispmap.classes import ClassDef, ClassSchema
from crispmap.files.dataset import open_dataset
from crispmap.geo.grid import Block
from crispmap.labels.mask import open_labels
from crispmap.labels.mask_values import MaskValues, mask_values
from crispmap.labels.osm import OSM_PRESETS
from crispmap.labels.proposal import ProposedClasses
from crispmap.labels.propose import proposed_classes
from crispmap.labels.reader import LabelOptions
from crispmap.raster.files import read_grid

pytestmark = pytest.mark.filterwarnings("ignore::crispmap.errors.GeoreferenceWarning")
BOX = shapely.box(0, 0, 10, 10)


def write_mask(path: Path, bands: NDArray[np.uint8], palette: dict[int, tuple[int, int, int]] | None = None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands), dtype=bands.dtype
        ) as file:
            file.write(bands)
            if palette:
                file.write_colormap(1, palette)
    return path


def values_of(path: Path) -> MaskValues | None:
    with open_dataset(path) as dataset:
        return mask_values(dataset, path.name)


def labels(path: Path, found: ProposedClasses) -> NDArray[np.uint8]:
    """The labels of a mask, read with the classes proposed for it."""
    schema, grid = ClassSchema(tuple(map(ClassDef, found.names, found.colours))), read_grid(path)
    reader = open_labels(path, schema, grid, options=LabelOptions(**found.options))
    try:
        return reader.read(Block(0, 0, *grid.shape))
    finally:
        reader.close()


class TestMasks:
    @given(ids=st.lists(st.integers(0, 12), min_size=12, max_size=12), repeat=st.booleans())
    def test_a_mask_read_with_its_proposed_classes_has_no_unknown_value(
        self, tmp_path_factory: pytest.TempPathFactory, ids: list[int], repeat: bool
    ) -> None:
        band = np.array(ids, np.uint8).reshape(1, 3, 4)
        path = write_mask(tmp_path_factory.mktemp("m") / "mask.tif", np.repeat(band, 3, axis=0) if repeat else band)
        found = proposed_classes(path)
        assert found is not None
        assert len(found.names) == max(*ids, 1) + 1
        np.testing.assert_array_equal(labels(path, found), band[0])

    @given(colours=st.sets(st.integers(0, 0xFFFFFF), min_size=2, max_size=6), seed=st.integers(0, 9))
    def test_colours_become_classes_one_for_one(
        self, tmp_path_factory: pytest.TempPathFactory, colours: set[int], seed: int
    ) -> None:
        every = np.array(sorted(colours))
        place = np.random.default_rng(seed).permutation(np.arange(36) % len(every)).reshape(6, 6)
        bands = np.stack([every[place] >> 16, (every[place] >> 8) & 255, every[place] & 255]).astype(np.uint8)
        path = write_mask(tmp_path_factory.mktemp("m") / "mask.tif", bands)
        found = proposed_classes(path)
        assert found is not None
        if len(found.names) != 2:
            assert {int(colour[1:], 16) for colour in found.colours} == colours
        ids = labels(path, found)
        assert len(np.unique(ids)) == len(colours)
        assert all(len(np.unique(ids[place == one])) == 1 for one in range(len(every)))

    def test_black_and_white_gives_two_classes_and_blurred_by_jpeg_a_threshold(self, tmp_path: Path) -> None:
        mask = np.zeros((64, 64), np.uint8)
        mask[16:40, 20:50] = 255
        sharp = write_mask(tmp_path / "sharp.tif", mask[None])
        Image.fromarray(mask).save(tmp_path / "blurred.jpg", quality=70)
        Image.open(tmp_path / "blurred.jpg").save(tmp_path / "blurred.png")
        for path, options in ((sharp, {}), (tmp_path / "blurred.png", {"threshold": 128})):
            found = proposed_classes(path)
            assert found is not None
            assert (len(found.names), found.options) == (2, options)
            assert ((labels(path, found) == 1) == (mask == 255)).mean() > 0.995

    def test_shares_are_those_of_the_pixels(self, tmp_path: Path) -> None:
        band = np.repeat(np.array([0, 3, 7], np.uint8), [50, 30, 20]).reshape(1, 10, 10)
        values = values_of(write_mask(tmp_path / "mask.tif", band, {0: (0, 0, 0), 3: (9, 8, 7), 7: (1, 2, 3)}))
        assert values is not None
        assert values.rows() == [
            {"value": 0, "colour": "#000000", "share_percent": 50.0},
            {"value": 3, "colour": "#090807", "share_percent": 30.0},
            {"value": 7, "colour": "#010203", "share_percent": 20.0},
        ]

    def test_a_large_mask_is_looked_at_in_parts_spread_over_it(self, tmp_path: Path) -> None:
        band = np.zeros((1, 6000, 6000), np.uint8)
        band[:, 3000:] = 2
        values = values_of(write_mask(tmp_path / "mask.tif", band))
        assert values is not None
        assert values.sampled
        assert dict(values.shares) == pytest.approx({0: 0.5, 2: 0.5}, abs=0.05)

    def test_an_image_is_no_mask(self, tmp_path: Path) -> None:
        image = np.random.default_rng(0).integers(0, 255, (3, 90, 90)).astype(np.uint8)
        assert values_of(write_mask(tmp_path / "rgb.tif", image)) is None
        assert values_of(write_mask(tmp_path / "grey.tif", image[:1])) is None
        assert values_of(write_mask(tmp_path / "two.tif", image[:2])) is None
        assert proposed_classes(tmp_path / "rgb.tif") is None


class TestVectors:
    @pytest.mark.parametrize(
        ("columns", "names", "options"),
        [
            ({"building": ["yes", None], "highway": [None, "primary"]}, ("background", "building", "road"), {}),
            ({"building": ["yes", "0"]}, ("background", "building"), {}),
            ({"landuse": ["forest", "forest"]}, ("background", "forest"), {}),
            ({"landuse": ["forest", "meadow"]}, ("background", "vegetation"), {}),
            ({"class": [1.0, 2.0]}, ("background", "class_1", "class_2"), {}),
            ({"class": ["ignore", "Roof; Pool"]}, ("background", "Roof", "Pool"), {}),
            ({"class": [0, 255]}, ("background", "class_1"), {}),
            ({"other_tags": ['"natural"=>"water"', None]}, ("background", "water"), {}),
            ({"class": ["Roof", "Pool"]}, ("background", "Roof", "Pool"), {}),
            ({"class": ["highway", "highway"], "type": ["primary", "service"]}, ("background", "road"), {}),
            ({"confidence": [0.5, 0.7]}, ("background", "building"), {"all_as": "building"}),
        ],
    )
    def test_classes_are_those_that_features_have(
        self, tmp_path: Path, columns: dict[str, list[object]], names: tuple[str, ...], options: dict[str, str]
    ) -> None:
        path = tmp_path / "labels.gpkg"
        gpd.GeoDataFrame(columns, geometry=[BOX, BOX], crs="EPSG:32631").to_file(path)
        found = proposed_classes(path)
        assert found is not None
        assert set(found.names) == set(names)
        assert found.options == options

    @given(st.sets(st.sampled_from(sorted(OSM_PRESETS)), min_size=1))
    def test_the_default_classes_come_before_all_others(self, names: set[str]) -> None:
        from crispmap.labels.proposal import named_classes

        found = named_classes(sorted(names))
        assert found.names[0] == "background"
        assert len(set(found.colours)) == len(found.names)

    def test_no_feature_shows_no_class(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.gpkg"
        gpd.GeoDataFrame({"building": []}, geometry=[], crs="EPSG:32631").to_file(path, geometry_type="Polygon")
        assert proposed_classes(path) is None
