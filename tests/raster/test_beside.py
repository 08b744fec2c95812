"""What lies beside a raster for other programs: names and colours for GDAL, styles for QGIS."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rio_cogeo.cogeo import cog_validate

from crispmap.classes import CONTROL, ClassDef, ClassSchema, class_colour
from crispmap.errors import CrispmapWarning, OutputError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.raster import beside
from crispmap.raster.beside import class_attributes, write_style
from crispmap.raster.block_store import BlockStore
from crispmap.raster.spec import class_map_spec, confidence_spec, scores_spec
from crispmap.raster.styles import class_style, ramp_style
from crispmap.raster.writer import RasterWriter, class_map_writer
from range_server import RangeServer

SCHEMA = ClassSchema((ClassDef("ground", "#ffffff"), ClassDef('"a", <b> & c', "#d7191c")))
OTHER = ClassSchema((ClassDef("ground", "#ffffff"), ClassDef("road", "#0000ff")))
GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (30, 40))
NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=200).filter(
    lambda name: name.strip() and not CONTROL.search(name)
)


def write(path: Path, schema: ClassSchema = SCHEMA, *, force: bool = False) -> Path:
    with class_map_writer(path, GRID, schema, force=force) as writer:
        writer.write(GRID.block, np.ones(GRID.shape, np.uint8))
    return path


def palette(style: Path) -> list[tuple[str, ...]]:
    return [
        tuple(one.attrib[key] for key in ("value", "label", "color")) for one in ET.parse(style).iter("paletteEntry")
    ]


def of_gdal(path: Path) -> ET.Element:
    """Return what GDAL itself reads of a raster, as it copies it to a virtual one."""
    rasterio.shutil.copy(path, path.with_suffix(".vrt"), driver="VRT")
    return ET.parse(path.with_suffix(".vrt")).getroot()


class TestClasses:
    def test_gdal_reads_names_and_table(self, tmp_path: Path) -> None:
        found = of_gdal(write(tmp_path / "map.tif"))
        assert [one.text for one in found.iter("Category")] == list(SCHEMA.names)
        table = next(found.iter("GDALRasterAttributeTable"))
        assert [one.text for one in table.iter("Usage")] == ["5", "2", "6", "7", "8", "9"]
        assert [[one.text for one in row] for row in table.iter("Row")] == [
            ["0", "ground", "255", "255", "255", "255"], ["1", '"a", <b> & c', "215", "25", "28", "255"],
        ]  # fmt: skip

    @settings(max_examples=30)
    @given(st.lists(NAMES, min_size=2, max_size=100, unique_by=str.strip))
    def test_any_names_come_back_whole(self, names: list[str]) -> None:
        schema = ClassSchema(tuple(ClassDef(name, class_colour(i)) for i, name in enumerate(names)))
        table = ET.fromstring(class_attributes(schema))
        assert [one.text for one in table.iter("Category")] == names
        style = ET.fromstring(ET.tostring(class_style(schema)))
        assert [one.attrib["label"] for one in style.iter("paletteEntry")] == names

    @pytest.mark.parametrize("name", ["road ", "\u00a0road", "road"])
    def test_names_that_differ_by_spaces_around_them_are_one(self, name: str) -> None:
        with pytest.raises(SchemaError):
            ClassSchema((ClassDef("ground", "#ffffff"), ClassDef("road", "#d7191c"), ClassDef(name, "#0000ff")))

    def test_a_character_that_xml_has_not_is_refused(self) -> None:
        with pytest.raises(SchemaError):
            ClassDef("a\ufffe", "#ffffff")

    def test_the_map_itself_is_as_it_was(self, tmp_path: Path) -> None:
        """With and without the files beside it: a valid COG of the same bytes, pixels and tags."""
        path = write(tmp_path / "map.tif")
        bare = tmp_path / "bare" / "map.tif"
        bare.parent.mkdir()
        bare.write_bytes(path.read_bytes())
        with rasterio.open(path) as a, rasterio.open(bare) as b:
            assert (a.tags(), a.descriptions, a.colormap(1)) == (b.tags(), b.descriptions, b.colormap(1))
            assert np.array_equal(a.read(), b.read())
        assert cog_validate(path, quiet=True)[0]

    def test_over_http_with_and_without_them(self, server: RangeServer, tmp_path: Path) -> None:
        write(tmp_path / "map.tif")
        (tmp_path / "bare.tif").write_bytes((tmp_path / "map.tif").read_bytes())
        for name in ("map.tif", "bare.tif"):
            with rasterio.open(f"{server.address}/{name}") as file:
                assert (file.read() == 1).all()
                assert "CRISPMAP_CLASSES" in file.tags()


class TestStyles:
    def test_a_map_has_its_classes(self, tmp_path: Path) -> None:
        write(tmp_path / "map.tif")
        assert palette(tmp_path / "map.qml") == [("0", "ground", "#ffffff"), ("1", '"a", <b> & c', "#d7191c")]

    def test_a_map_replaced_has_those_of_the_new_one(self, tmp_path: Path) -> None:
        write(tmp_path / "map.tif")
        write(tmp_path / "map.tif", OTHER, force=True)
        assert [label for _, label, _ in palette(tmp_path / "map.qml")] == list(OTHER.names)
        assert [one.text for one in of_gdal(tmp_path / "map.tif").iter("Category")] == list(OTHER.names)

    def test_scores_in_place_of_a_map_have_nothing_of_it(self, tmp_path: Path) -> None:
        write(tmp_path / "map.tif")
        with RasterWriter(scores_spec(tmp_path / "map.tif", GRID, SCHEMA.names, {}), force=True) as writer:
            writer.write(GRID.block, np.zeros((2, *GRID.shape), np.float32))
        assert [one.name for one in tmp_path.iterdir()] == ["map.tif"]

    def test_confidence_begins_where_no_class_is_likelier(self, tmp_path: Path) -> None:
        for classes in (2, 5, 100):
            with RasterWriter(confidence_spec(tmp_path / "c.tif", GRID, classes, {}), force=True) as writer:
                writer.write(GRID.block, np.ones((2, *GRID.shape), np.float16))
            values = [float(one.attrib["value"]) for one in ET.parse(tmp_path / "c.qml").iter("item")]
            assert values[0] == pytest.approx(1 / classes, rel=1e-5)
            assert (values[-1], values) == (1, sorted(values))
        assert not (tmp_path / "c.tif.aux.xml").exists()

    @pytest.mark.parametrize("content", [b"", b"<qgis version='3.22'/>", b'<qgis crispmap="map.tiff" version="3"/>'])
    def test_a_style_by_another_hand_is_kept_and_the_map_made(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "map.qml").write_bytes(content)
        with pytest.warns(CrispmapWarning, match="kept"):
            write(tmp_path / "map.tif")
        assert (tmp_path / "map.qml").read_bytes() == content
        assert cog_validate(tmp_path / "map.tif", quiet=True)[0]
        assert (tmp_path / "map.tif.aux.xml").exists()

    def test_a_folder_in_its_place_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "map.qml").mkdir()
        with pytest.warns(CrispmapWarning, match="kept"):
            write(tmp_path / "map.tif")
        assert (tmp_path / "map.tif").exists()

    def test_the_same_style_serves_files_of_one_stem(self, tmp_path: Path) -> None:
        write_style(tmp_path / "a.geojson", class_style(SCHEMA))
        before = (tmp_path / "a.qml").read_bytes()
        write_style(tmp_path / "a.fgb", class_style(SCHEMA))
        assert (tmp_path / "a.qml").read_bytes() == before

    @pytest.mark.parametrize("name", ['a--b & "c".tif', "ü\u200f.tif", "%20.tif", "n\nl.tif", "x" * 240 + ".tif"])
    def test_a_style_is_known_again_under_any_name(self, tmp_path: Path, name: str) -> None:
        for style in (class_style(SCHEMA), ramp_style(0, 1)):
            write_style(tmp_path / name, style)
            found = ET.parse((tmp_path / name).with_suffix(".qml")).getroot()
            assert found.attrib.pop("crispmap")
            assert ET.tostring(found) == ET.tostring(style)

    def test_a_folder_that_takes_none_costs_a_warning_each(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(target: Path, _: bytes) -> None:
            raise OutputError(f"{target} cannot be written: Permission denied.")

        monkeypatch.setattr(beside, "write_atomically", refuse)
        with pytest.warns(CrispmapWarning, match="complete") as found:
            write(tmp_path / "map.tif")
        assert len(found) == 2
        assert [one.name for one in tmp_path.iterdir()] == ["map.tif"]
        assert cog_validate(tmp_path / "map.tif", quiet=True)[0]


class Killed(BaseException):
    """The run is killed here."""


@pytest.mark.parametrize("moment", ["write_beside", "put_in_place"])
@pytest.mark.parametrize("resumable", [True, False])
def test_a_run_killed_about_the_move_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, resumable: bool
) -> None:
    """No map appears without its names, and a map in place of an older one has nothing of that."""
    spec = class_map_spec(tmp_path / "map.tif", GRID, SCHEMA, {})

    def run() -> None:
        if resumable:
            with BlockStore.open([spec], identity={"a": "b"}, block_px=64) as store:
                store.write(GRID.block, [np.ones(GRID.shape, np.uint8)])
                store.finish()
        else:
            with RasterWriter(spec) as writer:
                writer.write(GRID.block, np.ones(GRID.shape, np.uint8))

    def kill(*_: object) -> None:
        raise Killed

    (tmp_path / "map.tif.aux.xml").write_text("<old/>")
    with monkeypatch.context() as patched:
        patched.setattr(beside, moment, kill)
        with pytest.raises(Killed):
            run()
    assert not (tmp_path / "map.tif").exists()
    run()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["map.qml", "map.tif", "map.tif.aux.xml"]
    assert (tmp_path / "map.tif.aux.xml").read_bytes() == class_attributes(SCHEMA)


def test_names_of_an_older_map_go_where_new_ones_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "map.tif", OTHER)

    def refuse(target: Path, _: bytes) -> None:
        raise OutputError(f"{target} cannot be written: No space left on device.")

    monkeypatch.setattr(beside, "write_atomically", refuse)
    with pytest.warns(CrispmapWarning):
        write(tmp_path / "map.tif", force=True)
    assert not (tmp_path / "map.tif.aux.xml").exists()
