"""Products of satellites by the true names of their files: bands, wavelengths, reflectance, and what is amiss."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

import crispmap
from crispmap.errors import CrispmapWarning, SceneError
from crispmap.raster.compose.composition import Reflectance
from crispmap.raster.compose.inputs import ComposeChoices, composed_ref
from crispmap.raster.compose.scene import ComposedScene
from crispmap.raster.compose.write import write_composed
from crispmap.raster.files import open_scene
from crispmap.raster.scene import read_whole
from crispmap.raster.sensors.names import SENSORS, product_bands

LEVEL_1 = "LC08_L1TP_217074_20190114_20200829_02_T1"
LEVEL_2 = "LC08_L2SP_217074_20190114_20200829_02_T1"
TM = "LT05_L1TP_217074_19900114_20200829_02_T1"
SAFE = "S2A_MSIL2A_20220201T131241_N0400_R138_T23KPQ_20220201T160000.SAFE"
CBERS = "CBERS_4A_WPM_20210829_223_129_L4"


def band_file(
    path: Path, value: float = 1000, gsd: float = 30, count: int = 1, nodata: float | None = 0, hole: bool = False
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (count, int(600 / gsd), int(600 / gsd))
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=shape[1], width=shape[2], dtype="uint16", nodata=nodata,
        crs="EPSG:32723", transform=Affine(gsd, 0, 600_000, 0, -gsd, 7_700_000),
    ) as dataset:  # fmt: skip
        values = np.full(shape, value, np.uint16)
        values[:, 1, 1] = 0 if hole else value
        dataset.write(values)
    return path


def mtl(product: str, *, level: int, elevation: float = 30.0, end: str = "END\n", lack: str = "") -> str:
    """The text of a metadata file, as far as it matters: of a level 2 product that of level 1 is in it too."""
    top = "\n".join(
        f"    REFLECTANCE_{k}_BAND_{n} = {v}" for n in range(1, 10) for k, v in (("MULT", 2e-05), ("ADD", -0.1))
    )
    surface = top.replace("2e-05", "2.75e-05").replace("-0.1", "-0.2")
    groups = {
        "PRODUCT_CONTENTS": f'    LANDSAT_PRODUCT_ID = "{product}"',
        "IMAGE_ATTRIBUTES": f"    SUN_ELEVATION = {elevation}",
        **({"LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": surface} if level == 2 else {}),
        "LEVEL1_RADIOMETRIC_RESCALING": top,
    }
    body = "\n".join(f"  GROUP = {name}\n{text}\n  END_GROUP = {name}" for name, text in groups.items() if name != lack)
    return f"GROUP = LANDSAT_METADATA_FILE\n{body}\nEND_GROUP = LANDSAT_METADATA_FILE\n{end}"


@pytest.fixture
def landsat(tmp_path: Path) -> Path:
    folder = tmp_path / "landsat"
    for number in range(1, 8):
        band_file(folder / f"{LEVEL_1}_B{number}.TIF", 10_000 + number)
    band_file(folder / f"{LEVEL_1}_B8.TIF", 9_000, gsd=15)
    band_file(folder / f"{LEVEL_1}_QA_PIXEL.TIF")
    (folder / f"{LEVEL_1}_MTL.txt").write_text(mtl(LEVEL_1, level=1))
    return folder


def values_of(folder: Path | str, **choices: Any) -> dict[str, float]:
    """The first pixel of each band of a product."""
    with open_scene(composed_ref([folder], ComposeChoices(**choices))) as scene:
        return dict(zip(scene.band_names, read_whole(scene)[0][:, 0, 0].tolist(), strict=True))


class TestLandsat:
    def test_the_reflective_bands_in_the_order_of_the_sensor(self, landsat: Path) -> None:
        names = ["blue", "green", "red", "nir", "swir1", "swir2"]
        assert list(values_of(landsat)) == names
        assert list(values_of(landsat, sensor="landsat8").values()) == [10_002 + place for place in range(6)]
        assert values_of(landsat, bands=("nir", "B4", "B1")) == {"nir": 10_005, "red": 10_004, "coastal": 10_001}

    def test_the_panchromatic_band_where_it_is_asked_for(self, landsat: Path) -> None:
        with ComposedScene(composed_ref([landsat], ComposeChoices(bands=("pan", "red")))) as scene:
            assert scene.grid.shape == (40, 40)

    def test_reflectance_at_the_top_of_the_atmosphere_is_that_of_the_metadata(self, landsat: Path) -> None:
        found = values_of(landsat, reflectance=True)
        for place, value in enumerate(found.values(), 2):
            assert value == pytest.approx((2e-5 * (10_000 + place) - 0.1) / math.sin(math.radians(30)), rel=1e-6)

    def test_surface_reflectance_is_that_of_collection_2_with_metadata_or_without(self, tmp_path: Path) -> None:
        for folder, text in (("with", mtl(LEVEL_2, level=2)), ("without", None)):
            band_file(tmp_path / folder / f"{LEVEL_2}_SR_B4.TIF", 20_000)
            band_file(tmp_path / folder / f"{LEVEL_2}_ST_B10.TIF", 40_000)
            if text:
                (tmp_path / folder / f"{LEVEL_2}_MTL.txt").write_text(text)
            found = values_of(tmp_path / folder, reflectance=True)
            assert found == {"red": pytest.approx(0.0000275 * 20_000 - 0.2, rel=1e-6)}

    def test_metadata_as_json(self, landsat: Path) -> None:
        text = (landsat / f"{LEVEL_1}_MTL.txt").read_text()
        (landsat / f"{LEVEL_1}_MTL.txt").unlink()
        lines = [line.strip() for line in text.splitlines()]
        groups: dict[str, dict[str, str]] = {}
        for line in lines:
            key, _, value = line.partition(" = ")
            if key == "GROUP":
                inside = groups.setdefault(value, {})
            elif value and key != "END_GROUP":
                inside[key] = value.strip('"')
        groups.pop("LANDSAT_METADATA_FILE")
        (landsat / f"{LEVEL_1}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": groups}))
        assert values_of(landsat, reflectance=True)["blue"] == pytest.approx(2 * (2e-5 * 10_002 - 0.1), rel=1e-6)

    def test_level_1_without_metadata_gives_ratios_and_no_reflectance(self, landsat: Path) -> None:
        (landsat / f"{LEVEL_1}_MTL.txt").unlink()
        found = values_of(landsat, bands=("NDVI",))
        red, nir = 2e-5 * 10_004 - 0.1, 2e-5 * 10_005 - 0.1
        assert found["NDVI"] == pytest.approx((nir - red) / (nir + red), rel=1e-5)
        for choices in ({"reflectance": True}, {"indices": ("EVI",)}):
            with pytest.raises(SceneError):
                values_of(landsat, **choices)

    def test_thematic_mapper_numbers_its_bands_otherwise(self, tmp_path: Path) -> None:
        for number in (1, 2, 3, 4, 5, 6, 7):
            band_file(tmp_path / "tm" / f"{TM}_B{number}.TIF", number)
        expected = {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir1": 5, "swir2": 7}
        assert values_of(tmp_path / "tm") == expected
        assert product_bands([tmp_path / "tm"])[0][0].reflectance is None

    @pytest.mark.parametrize(
        "text",
        [
            mtl(LEVEL_1, level=1, end=""), "", mtl(LEVEL_1, level=1, lack="IMAGE_ATTRIBUTES"),
            mtl(LEVEL_1, level=1, lack="LEVEL1_RADIOMETRIC_RESCALING"), mtl(LEVEL_1, level=1, elevation=-3),
            mtl(LEVEL_1, level=1).replace("2e-05", "much"), mtl(LEVEL_1, level=1).replace("2e-05", "nan"),
            mtl("LC08_L1TP_001001_20190114_20200829_02_T1", level=1),
        ],
    )  # fmt: skip
    def test_metadata_that_are_truncated_or_of_another_scene(self, landsat: Path, text: str) -> None:
        (landsat / f"{LEVEL_1}_MTL.txt").write_text(text)
        with pytest.raises(SceneError) as raised:
            values_of(landsat)
        assert f"{LEVEL_1}_MTL.txt" in raised.value.given

    def test_two_scenes_in_a_folder(self, landsat: Path) -> None:
        other = LEVEL_1.replace("20190114", "20190130")
        band_file(landsat / f"{other}_B4.TIF", 5)
        with pytest.raises(SceneError) as raised:
            values_of(landsat)
        assert LEVEL_1 in raised.value.given
        assert other in raised.value.given
        assert values_of(landsat, scene=other) == {"red": 5}
        with pytest.raises(SceneError):
            values_of(landsat, scene="LC09")

    def test_a_folder_of_none_or_of_another_sensor(self, landsat: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for folder, sensor in (
            (tmp_path / "empty", None),
            (tmp_path / "empty", "landsat8"),
            (landsat, "landsat5"),
            (landsat, "sentinel2"),
        ):
            with pytest.raises(SceneError):
                values_of(folder, sensor=sensor)
        with pytest.raises(SceneError) as raised:
            values_of(landsat, sensor="landsat88")
        assert "landsat8" in raised.value.remedy

    def test_a_band_that_is_not_there(self, landsat: Path) -> None:
        (landsat / f"{LEVEL_1}_B5.TIF").unlink()
        for choices in ({"bands": ("nir",)}, {"indices": ("NDVI",)}):
            with pytest.raises(SceneError) as raised:
                values_of(landsat, **choices)
            assert "red" in raised.value.expected

    def test_a_file_of_several_bands_where_one_is_expected(self, landsat: Path) -> None:
        band_file(landsat / f"{LEVEL_1}_B4.TIF", count=2)
        with pytest.raises(SceneError) as raised:
            values_of(landsat)
        assert "2 bands" in raised.value.given


def xml(level: str, quantity: str = "10000", offset: str | None = "-1000") -> str:
    name = (
        ("BOA_ADD_OFFSET", "BOA_QUANTIFICATION_VALUE")
        if level == "2A"
        else ("RADIO_ADD_OFFSET", "QUANTIFICATION_VALUE")
    )
    offsets = "" if offset is None else "".join(f'<{name[0]} band_id="{k}">{offset}</{name[0]}>' for k in range(13))
    return f'<n1:P xmlns:n1="urn:x"><n1:G><L>{offsets}</L><{name[1]} unit="none">{quantity}</{name[1]}></n1:G></n1:P>'


class TestSentinel2:
    def safe(self, tmp_path: Path, text: str | None) -> Path:
        folder = tmp_path / SAFE
        data = folder / "GRANULE" / "L2A_T23KPQ_A034527_20220201T131243" / "IMG_DATA"
        tile = "T23KPQ_20220201T131241"
        for band, gsds in (("B02", (10, 20, 60)), ("B8A", (20, 60)), ("B11", (20,)), ("B01", (60,))):
            for gsd in gsds:
                band_file(data / f"R{gsd}m" / f"{tile}_{band}_{gsd}m.tif", 2_000 + gsd, gsd)
        if text is not None:
            (folder / "MTD_MSIL2A.xml").write_text(text)
        return folder

    def test_the_finest_file_of_each_band(self, tmp_path: Path) -> None:
        found = values_of(self.safe(tmp_path, xml("2A")))
        assert found == {"blue": 2_010, "nir_narrow": 2_020, "swir1": 2_020}

    @pytest.mark.parametrize(("offset", "expected"), [("-1000", 0.101), (None, 0.201)])
    def test_reflectance_with_the_offset_of_its_baseline(
        self, tmp_path: Path, offset: str | None, expected: float
    ) -> None:
        found = values_of(self.safe(tmp_path, xml("2A", offset=offset)), reflectance=True, bands=("blue",))
        assert found["blue"] == pytest.approx(expected, rel=1e-6)

    def test_level_1c(self, tmp_path: Path) -> None:
        path = band_file(tmp_path / "T23KPQ_20220201T131241_B04.tif", 3_000)
        (tmp_path / "MTD_MSIL1C.xml").write_text(xml("1C"))
        assert values_of(path, sensor="sentinel2", reflectance=True) == {"red": pytest.approx(0.2)}

    @pytest.mark.parametrize("text", ["<a>", "", xml("2A", "0"), xml("2A", "many"), xml("2A", offset="x"), "<a/>"])
    def test_metadata_that_are_damaged(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(SceneError) as raised:
            values_of(self.safe(tmp_path, text))
        assert "MTD_MSIL2A.xml" in raised.value.given

    def test_without_metadata_there_is_no_reflectance(self, tmp_path: Path) -> None:
        folder = self.safe(tmp_path, None)
        assert values_of(folder, bands=("B8A",)) == {"nir_narrow": 2_020}
        with pytest.raises(SceneError):
            values_of(folder, reflectance=True)


@pytest.mark.parametrize("name", [f"{LEVEL_2}_SR_B4.TIF", "T23KPQ_20220201T131241_B04.tif"])
def test_pixels_without_data_are_those_of_the_product_where_the_file_declares_none(tmp_path: Path, name: str) -> None:
    path = band_file(tmp_path / name, nodata=None, hole=True)
    sensor = "landsat8" if "LC08" in name else "sentinel2"
    with open_scene(composed_ref([path], ComposeChoices(sensor))) as scene:
        assert (~read_whole(scene)[1]).sum() == 1
    with open_scene(composed_ref([path], ComposeChoices(sensor, nodata=float("nan")))) as scene:
        assert read_whole(scene)[1].all()


def test_cbers_by_the_names_of_inpe(tmp_path: Path) -> None:
    for number in range(5):
        band_file(tmp_path / f"{CBERS}_BAND{number}.tif", 100 + number, gsd=2 if number == 0 else 8)
    assert values_of(tmp_path) == {"blue": 101, "green": 102, "red": 103, "nir": 104}
    assert values_of(tmp_path, bands=("pan",)) == {"pan": 100}


def test_every_wavelength_lies_where_its_name_says() -> None:
    ranges = {
        "blue": (440, 530),
        "green": (520, 600),
        "red": (620, 700),
        "nir": (760, 900),
        "swir1": (1500, 1800),
        "swir2": (2000, 2400),
    }
    for family in SENSORS.values():
        for channels in family.sensors.values():
            named = [one.name for one in channels.values()]
            assert set(ranges) & set(named) >= {"green", "red", "nir"}
            for one in channels.values():
                low, high = ranges.get(one.name, (400, 13_000))
                assert low <= one.low_nm < one.wavelength_nm < one.high_nm <= high, one


def test_names_wavelengths_and_reflectance_travel_with_the_file(landsat: Path, tmp_path: Path) -> None:
    raw, done = tmp_path / "raw.tif", tmp_path / "reflectance.tif"
    write_composed(composed_ref([landsat]), raw)
    write_composed(composed_ref([landsat], ComposeChoices(reflectance=True)), done)
    for path, how in ((raw, Reflectance(2 * 2e-5, -0.2)), (done, Reflectance(1.0, 0.0))):
        with ComposedScene(composed_ref([path], ComposeChoices(bands=("red",)))) as scene:
            (red,) = scene.composition.sources
        assert (red.name, red.wavelength_nm) == ("red", 654.5)
        assert red.reflectance is not None
        assert (red.reflectance.scale, red.reflectance.offset) == pytest.approx((how.scale, how.offset))
    evi = [values_of(path, bands=("EVI",))["EVI"] for path in (str(landsat), str(raw), str(done))]
    assert evi[1] == pytest.approx(evi[0], rel=1e-6)
    assert evi[2] == pytest.approx(evi[0], rel=1e-3)  # of values rounded to float32


def test_two_dates_become_one_scene_by_name(landsat: Path, tmp_path: Path) -> None:
    later = LEVEL_1.replace("20190114", "20190130")
    for number in (4, 5, 7):
        band_file(tmp_path / "later" / f"{later}_B{number}.TIF", 8_000 + 500 * number)
    ref = composed_ref([f"before={landsat}", f"after={tmp_path / 'later'}"], ComposeChoices(indices=("dNBR",)))
    with open_scene(ref) as scene:
        assert scene.band_names[0] == "before_blue"
        assert scene.band_names[-4:] == ("after_red", "after_nir", "after_swir2", "dNBR")
        found = dict(zip(scene.band_names, read_whole(scene)[0][:, 0, 0].tolist(), strict=True))

    def nbr(nir: float, swir2: float) -> float:
        a, b = 2e-5 * nir - 0.1, 2e-5 * swir2 - 0.1
        return (a - b) / (a + b)

    assert found["dNBR"] == pytest.approx(nbr(10_005, 10_007) - nbr(10_500, 11_500), rel=1e-5)


@pytest.mark.realdata
class TestRealData:
    def test_landsat_with_its_panchromatic_band_half_a_pixel_off(self, real_data: Path) -> None:
        ref = composed_ref(
            [real_data / "landsat"], ComposeChoices("landsat8", "momotombo", ("red", "pan"), gsd_m=30)
        )  # fmt: skip
        with open_scene(ref) as scene:
            image, valid = read_whole(scene)
        with rasterio.open(real_data / "landsat" / "momotombo_L1TP_B8.tif") as dataset:
            pan = dataset.read(1).astype(float)
        assert valid.all()
        # rows and columns of 30 m from the corner of the panchromatic band
        means = pan[: 2 * image.shape[1], : 2 * image.shape[2]].reshape(image.shape[1], 2, image.shape[2], 2)
        assert np.corrcoef(image[1].ravel(), means.mean(axis=(1, 3)).ravel())[0, 1] > 0.97
        assert np.corrcoef(image[0].ravel(), image[1].ravel())[0, 1] > 0.9

    def test_grids_900_metres_apart(self, real_data: Path) -> None:
        folder = real_data / "landsat"
        ref = composed_ref(
            [f"before={folder}/brumadinho_before*", f"after={folder}/brumadinho_after*"],
            ComposeChoices("landsat8", reflectance=True, indices=("before_NDVI", "after_NDVI")),
        )
        with pytest.warns(CrispmapWarning, match=r"7\.5 %"):
            scene = open_scene(ref)
        with scene:
            assert scene.grid.shape == (300, 370)
            image, valid = read_whole(scene)
        assert valid.mean() > 0.99
        reflectance = image[:-2, valid]
        assert -0.1 < np.quantile(reflectance, 0.01) < np.quantile(reflectance, 0.99) < 0.6
        assert image[-2].mean() > image[-1].mean()  # the mud has buried vegetation

    def test_cbers_whose_bands_share_no_ground(self, real_data: Path) -> None:
        assert list(values_of(real_data / "cbers4a", sensor="cbers4a")) == ["blue", "green", "red"]


def test_from_python_the_same_scene(landsat: Path, tmp_path: Path) -> None:
    path = crispmap.compose(landsat, tmp_path / "scene.tif", bands=["red", "NDVI"], gsd_m=60)
    expected = values_of(landsat, bands=("red", "NDVI"), gsd_m=60)
    with open_scene(path) as scene:
        assert scene.grid.shape == (10, 10)
        found = read_whole(scene)[0][:, 0, 0].tolist()
    assert dict(zip(scene.band_names, found, strict=True)) == expected
    coarse = crispmap.resample(path, tmp_path / "coarse.tif", 120)
    with open_scene(coarse) as scene:
        assert scene.band_names == ("red", "NDVI")
        assert scene.grid.shape == (5, 5)
    with pytest.raises(TypeError):
        crispmap.compose(landsat, tmp_path / "other.tif", band=["red"])  # type: ignore[call-arg]


def test_assets_of_a_stac_item_on_different_grids(tmp_path: Path) -> None:
    band_file(tmp_path / "a.tif", 7, gsd=10)
    band_file(tmp_path / "b.tif", 9, gsd=20)
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "ITEM_1", "geometry": None, "links": [],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "assets": {
            "B04": {"href": "a.tif", "roles": ["data"], "eo:bands": [{"common_name": "red"}]},
            "B11": {"href": "b.tif", "roles": ["data"], "eo:bands": [{"common_name": "swir1"}]},
        },
    }  # fmt: skip
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    assert values_of(f"{path}#B04,B11") == {"red": 7, "swir1": 9}
    assert values_of(f"before={path}#B04,B11") == {"before_red": 7, "before_swir1": 9}
