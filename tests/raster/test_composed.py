"""Bands on different grids as one scene: what is copied, what is computed, and that no cut changes a bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.warp import Resampling, reproject

from crispmap.errors import CrispmapWarning, GridError, InputError, OutputError, SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.compose.inputs import ComposeChoices, composed_ref
from crispmap.raster.compose.scene import ComposedScene
from crispmap.raster.compose.sources import BANDS_TAG
from crispmap.raster.compose.write import write_composed
from crispmap.raster.files import open_scene
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.refs import SceneRef
from crispmap.raster.reproject import Positions
from crispmap.raster.scene import read_whole
from crispmap.raster.write_computed import ComputeOptions
from turned_rasters import ORDERS, twin

Maker = Callable[..., Path]
LEFT, TOP = 500_000.0, 5_000_000.0
DTYPES = ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
ONE_FOLDER = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def at(gsd: float, right: float = 0, down: float = 0) -> Affine:
    """A transform that begins some metres right of and below the corner all share."""
    return Affine(gsd, 0, LEFT + right, 0, -gsd, TOP - down)


def noise(height: int, width: int, seed: int = 0, dtype: str = "uint16") -> Any:
    values = np.random.default_rng(seed).integers(1, 200, (1, height, width))
    return values.astype(dtype)


def ref_of(*inputs: str | Path, **choices: Any) -> SceneRef:
    return composed_ref([str(one) for one in inputs], ComposeChoices(**choices))


def stored(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def in_blocks(scene: ComposedScene, side: int) -> Any:
    values = np.empty((scene.band_count, *scene.grid.shape), scene.dtype)
    for block in scene.grid.blocks(side):
        values[:, *block.slices] = scene.filled(block)
    return values


class TestCopied:
    @given(
        dtype=st.sampled_from(DTYPES), shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)), seed=st.integers(0, 9)
    )
    @ONE_FOLDER
    def test_bands_whose_pixels_are_the_scenes_keep_every_bit(
        self, make_raster: Maker, dtype: str, shift: tuple[int, int], seed: int
    ) -> None:
        info = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
        extremes = np.array([info.max, info.max // 2 if dtype[0] in "iu" else 1 / 3, 1], dtype)
        one, two = (np.random.default_rng(seed + k).choice(extremes, (1, 20, 24)) for k in (0, 1))
        if dtype == "float64":
            one, two = one.clip(-1e30, 1e30), two.clip(-1e30, 1e30)
        rows, cols = shift
        files = (
            make_raster(one, "one.tif", transform=at(2)),
            make_raster(two, "two.tif", transform=at(2, 2 * cols, 2 * rows)),
        )
        with (
            pytest.warns(CrispmapWarning) if shift != (0, 0) else nullcontext(),
            ComposedScene(ref_of(*files)) as scene,
        ):
            values = scene.filled(scene.grid.block)
        top, left = max(rows, 0), max(cols, 0)
        height, width = 20 - abs(rows), 24 - abs(cols)
        assert values.dtype == dtype
        np.testing.assert_array_equal(values[0], one[0, top : top + height, left : left + width])
        np.testing.assert_array_equal(values[1], two[0, top - rows :, left - cols :][:height, :width])

    def test_a_union_holds_every_pixel_and_nodata_elsewhere(self, make_raster: Maker) -> None:
        one = make_raster(noise(4, 6), "one.tif", transform=at(2), nodata=65535)
        two = make_raster(noise(4, 6, 1), "two.tif", transform=at(2, 8, 4), nodata=65535)
        with ComposedScene(ref_of(one, two, extent="union")) as scene:
            assert scene.grid.shape == (6, 10)
            values = scene.filled(scene.grid.block)
            valid = read_whole(scene)[1]
        assert (values != 65535).sum() == 48
        np.testing.assert_array_equal(values[1, 2:, 4:], stored(two)[0])
        assert valid.sum() == 4  # a sentinel in any band makes a pixel invalid

    def test_a_union_whose_nodata_value_may_be_measured_is_told(self, make_raster: Maker) -> None:
        one = make_raster(noise(4, 6), "one.tif", transform=at(2), nodata=0)
        two = make_raster(noise(6, 8, 1), "two.tif", transform=at(2), nodata=0)
        with pytest.warns(CrispmapWarning, match="out_nodata=65535"):
            scene = ComposedScene(ref_of(one, two, extent="union"))
        with scene:
            assert read_whole(scene)[1].all()

    def test_types_that_differ_become_their_common_type_and_it_is_told(self, make_raster: Maker) -> None:
        one, two = make_raster(noise(4, 6), "one.tif"), make_raster(noise(4, 6, 1, "int16"), "two.tif")
        with pytest.warns(CrispmapWarning, match="the scene is int32"), ComposedScene(ref_of(one, two)) as scene:
            assert scene.dtype == np.int32

    @pytest.mark.parametrize(("first", "second", "common"), [(0, 65535, 65535), (65535, 0, 65535), (7, None, 7)])
    def test_different_nodata_values_become_one(
        self, make_raster: Maker, first: float, second: float | None, common: float
    ) -> None:
        values = noise(4, 6)
        for place, nodata in enumerate((first, second)):
            values[0, 0, place] = 9 if nodata is None else nodata
        values[0, 3, 3] = common if common not in (first, second) else 11
        one = make_raster(values, "one.tif", nodata=first)
        two = make_raster(values, "two.tif", nodata=second)
        expected = pytest.warns(CrispmapWarning, match="nodata values") if second is not None else nullcontext()
        with expected, ComposedScene(ref_of(one, two)) as scene:
            assert scene.nodata == common
            found = scene.filled(scene.grid.block)
        for band, nodata in ((0, first), (1, second)):
            lacks = values[0] == nodata if nodata is not None else np.zeros((4, 6), bool)
            np.testing.assert_array_equal(found[band] == common, lacks)
            # a value with data that reads as the common nodata value moves by one; all others stay
            assert np.abs(found[band][~lacks].astype(int) - values[0][~lacks].astype(int)).max() <= 1

    def test_a_band_that_is_masked_gets_a_nodata_value(self, make_raster: Maker) -> None:
        def masked(dataset: Any) -> None:
            dataset.write_mask(np.arange(24).reshape(4, 6) > 0)

        path = make_raster(noise(4, 6, dtype="int16"), "one.tif", after=masked)
        with ComposedScene(ref_of(path)) as scene:
            assert scene.nodata == -32768
            assert (scene.filled(scene.grid.block) == -32768).sum() == 1


class TestGrid:
    def test_the_finest_band_gives_the_pixels_in_any_order(self, make_raster: Maker) -> None:
        coarse, fine = (
            make_raster(noise(6, 6), "b4.tif", transform=at(30)),
            make_raster(noise(12, 12), "b8.tif", transform=at(15, 7.5, -7.5)),
        )
        grids = []
        for files in ((coarse, fine), (fine, coarse)):
            with pytest.warns(CrispmapWarning, match="leaves out"), ComposedScene(ref_of(*files)) as scene:
                grids.append(scene.grid)
        assert grids[0] == grids[1]
        assert grids[0].transform == at(15, 7.5, 7.5)
        assert grids[0].shape == (11, 11)

    @pytest.mark.parametrize("gsd_m", [3.0, 7.0])
    def test_pixels_of_a_size_are_counted_from_the_first_corner(self, make_raster: Maker, gsd_m: float) -> None:
        path = make_raster(noise(20, 21), transform=at(2))
        with ComposedScene(ref_of(path, gsd_m=gsd_m)) as scene:
            assert scene.grid.transform == at(gsd_m)
            assert scene.grid.shape == (int(40 // gsd_m), int(42 // gsd_m))

    @pytest.mark.parametrize("gsd_m", [0.0, -3.0, float("nan"), float("inf")])
    def test_no_pixel_size(self, make_raster: Maker, gsd_m: float) -> None:
        with pytest.raises(GridError) as raised:
            ComposedScene(ref_of(make_raster(noise(4, 4)), gsd_m=gsd_m))
        assert "gsd_m=" in raised.value.remedy

    def test_the_grid_of_another_raster(self, make_raster: Maker) -> None:
        path, like = make_raster(noise(20, 20)), make_raster(noise(5, 6), "like.tif", transform=at(5, 3, 1))
        with pytest.warns(CrispmapWarning, match="the grid asked for"):
            scene = ComposedScene(ref_of(path, like=like))
        with scene:
            assert scene.grid.transform == at(5, 3, 1)
            assert scene.grid.shape == (5, 6)

    def test_no_ground_is_shared(self, make_raster: Maker) -> None:
        here, there = make_raster(noise(4, 4), "here.tif"), make_raster(noise(4, 4), "there.tif", transform=at(2, 900))
        for choices in ({}, {"like": there}):
            files = (here, there) if not choices else (here,)
            with pytest.raises(GridError) as raised:
                ComposedScene(ref_of(*files, **choices))
            assert "here.tif" in raised.value.given
        with ComposedScene(ref_of(here, there, extent="union", out_nodata=65535)) as scene:
            assert scene.grid.shape == (4, 454)

    def test_a_file_without_crs_among_others(self, make_raster: Maker) -> None:
        files = make_raster(noise(4, 4), "one.tif"), make_raster(noise(4, 4), "two.tif", crs=None)
        with pytest.raises(GridError) as raised:
            ComposedScene(ref_of(*files))
        assert "two.tif has no" in raised.value.given


class TestComputed:
    def test_an_aligned_coarser_grid_holds_block_means(self, make_raster: Maker) -> None:
        values = noise(12, 18)
        with ComposedScene(ref_of(make_raster(values), gsd_m=6.0)) as scene:
            found = scene.filled(scene.grid.block)[0]
        means = values[0].reshape(4, 3, 6, 3).mean(axis=(1, 3))
        np.testing.assert_array_equal(found, np.rint(means).astype(np.uint16))

    @pytest.mark.parametrize("method", ["auto", "cubic", "nearest"])
    @pytest.mark.parametrize("epsg", [32632, 4326])
    def test_bands_of_another_crs_lie_where_gdal_puts_them(self, make_raster: Maker, method: str, epsg: int) -> None:
        rows, cols = np.mgrid[:90, :100]
        smooth = (100 * np.sin(rows / 9) * np.cos(cols / 7) + cols).astype(np.float32)[None]
        source = make_raster(smooth, "source.tif", transform=at(30), crs="EPSG:32631")
        place = Affine(29, 0, 28_900, 0, -29, 5_017_200) if epsg == 32632 else Affine(2e-4, 0, 3.005, 0, -2e-4, 45.15)
        like = make_raster(noise(70, 80), "like.tif", transform=place, crs=f"EPSG:{epsg}")
        with pytest.warns(CrispmapWarning), ComposedScene(ref_of(source, like=like, method=method)) as scene:
            found = scene.filled(scene.grid.block)[0]
        expected = np.full((70, 80), np.nan, np.float32)
        how = {"auto": Resampling.bilinear, "cubic": Resampling.cubic, "nearest": Resampling.nearest}[method]
        reproject(
            smooth[0], expected, src_transform=at(30), src_crs="EPSG:32631", dst_transform=place,
            dst_crs=f"EPSG:{epsg}", resampling=how, dst_nodata=np.nan, tolerance=0.0,
        )  # fmt: skip
        both = np.isfinite(found) & np.isfinite(expected)
        assert both.mean() > 0.5
        off = np.abs(found - expected)[both]
        if method == "nearest":  # centres on the edge of two pixels fall to either
            assert (off > 1e-3).mean() < 0.01
        else:
            assert np.quantile(off, 0.97) < 0.15  # of an amplitude of 100; GDAL treats the border in other ways

    def test_far_coarser_pixels_of_another_crs_are_means(self, make_raster: Maker) -> None:
        values = np.random.default_rng(0).normal(100, 30, (1, 240, 240)).astype(np.float32)
        source = make_raster(values, "source.tif", transform=at(2))
        like = make_raster(
            noise(5, 5), "like.tif", crs="EPSG:32632", transform=Affine(60, 0, 28_400, 0, -60, 5_017_450)
        )
        with pytest.warns(CrispmapWarning), ComposedScene(ref_of(source, like=like)) as scene:
            found = scene.filled(scene.grid.block)[0]
        assert np.isfinite(found).any()
        assert np.nanstd(found) < 3  # single pixels have 30

    def test_wide_integers_that_are_resampled_are_told(self, make_raster: Maker) -> None:
        path = make_raster(noise(12, 12, dtype="uint32"))
        with pytest.warns(CrispmapWarning, match="7 digits"):
            ComposedScene(ref_of(path, gsd_m=3.0)).close()


@pytest.fixture
def mixed(make_raster: Maker) -> list[str]:
    """Bands at 2 m, 3 m half a pixel off, 5 m in another CRS, with holes; and a file of two bands."""
    rng = np.random.default_rng(3)
    first = noise(90, 100)
    first[0][rng.random((90, 100)) < 0.2] = 0
    make_raster(first, "red.tif", nodata=0, transform=at(2))
    make_raster(noise(61, 66, 1), "nir.tif", transform=at(3, 1, 1.5))
    make_raster(np.concatenate([noise(50, 50, 2), noise(50, 50, 5)]), "pair.tif", transform=at(4, -3, -1))
    other = Affine(5, 0, 28_250, 0, -5, 5_017_600)
    path = make_raster(noise(200, 200, 4), "swir2.tif", crs="EPSG:32632", transform=other)
    return [f"red={path.parent}/red.tif", f"nir={path.parent}/nir.tif", f"{path.parent}/pair.tif", f"swir2={path}"]


@pytest.mark.filterwarnings("ignore::crispmap.errors.CrispmapWarning")
class TestLaws:
    @pytest.mark.parametrize(
        "choices", [{}, {"gsd_m": 3.3, "extent": "union"}, {"indices": ("NDVI", "NBR"), "method": "cubic"}]
    )
    def test_no_cut_changes_a_bit(self, mixed: list[str], choices: dict[str, Any]) -> None:
        with ComposedScene(ref_of(*mixed, **choices)) as scene:
            whole = scene.filled(scene.grid.block)
            assert scene.band_names[:4] == ("red", "nir", "band_1", "band_2")
            for side in (17, 64):
                np.testing.assert_array_equal(in_blocks(scene, side), whole)
            image, valid = scene.read(Block(-3, 5, 20, 200))  # reflected beyond the border
            assert image.shape == (len(whole), *valid.shape)

    @pytest.mark.parametrize("choices", [{}, {"indices": ("NDVI",)}, {"extent": "union", "out_nodata": 65535}])
    def test_a_scene_read_is_the_file_written(self, tmp_path: Path, mixed: list[str], choices: dict[str, Any]) -> None:
        ref, out = ref_of(*mixed, **choices), tmp_path / "scene.tif"
        done = write_composed(ref, out)
        with open_scene(ref) as computed, open_scene(out) as written:
            assert written.grid == computed.grid == done.grid
            assert written.band_names == computed.band_names
            assert written.dtype == computed.dtype
            for mine, other in zip(read_whole(computed), read_whole(written), strict=True):
                np.testing.assert_array_equal(mine, other)

    @pytest.mark.parametrize("order", ["south-up", "turned left"])
    def test_the_order_in_which_bands_are_stored_changes_no_byte(
        self, tmp_path: Path, mixed: list[str], order: str
    ) -> None:
        write_composed(ref_of(*mixed), tmp_path / "one.tif")
        for text in mixed:
            path = Path(text.rpartition("=")[2])
            twin(path, ORDERS[order], tmp_path / "twin.tif").replace(path)
        write_composed(ref_of(*mixed), tmp_path / "other.tif")
        assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "other.tif").read_bytes()

    def test_bytes_do_not_depend_on_blocks_and_workers(self, tmp_path: Path, mixed: list[str]) -> None:
        ref, contents = ref_of(*mixed), set()
        for block_px, workers in ((1024, 1), (64, 1), (100, 4)):
            out = tmp_path / f"{block_px}.tif"
            write_composed(ref, out, options=ComputeOptions(block_px, workers))
            contents.add(out.read_bytes())
        assert len(contents) == 1

    def test_a_reference_travels_and_its_fingerprint_is_that_of_all_parts(
        self, mixed: list[str], make_raster: Maker
    ) -> None:
        ref = ref_of(*mixed)
        assert pickle.loads(pickle.dumps(ref)) == ref  # noqa: S301
        assert {ref: 1}[pickle.loads(pickle.dumps(ref))] == 1  # noqa: S301
        assert fingerprint(ref.absolute()) == fingerprint(ref)
        before = {fingerprint(ref), fingerprint(ref_of(*mixed, gsd_m=3.0)), fingerprint(ref_of(*reversed(mixed)))}
        make_raster(noise(61, 66, 9), "nir.tif", transform=at(3, 1, 1.5))
        assert len({*before, fingerprint(ref)}) == 4

    def test_bands_by_number_are_those_of_the_scene(self, mixed: list[str]) -> None:
        ref = ref_of(*mixed)
        with open_scene(ref) as whole, open_scene(ref, bands=[2, 1]) as some:
            assert some.band_names == ("nir", "red")
            assert some.grid.transform == whole.grid.transform  # of the finest of those that are read
        with pytest.raises(SceneError) as raised:
            open_scene(ref, bands=[9])
        assert "band_1" in raised.value.expected

    def test_an_interrupted_run_goes_on_to_the_same_bytes(
        self, tmp_path: Path, mixed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ref, whole, out = ref_of(*mixed), tmp_path / "whole.tif", tmp_path / "scene.tif"
        write_composed(ref, whole)
        own, calls = ComposedScene.filled, [0]

        def stopped(self: ComposedScene, block: Block) -> Any:
            calls[0] += 1
            if calls[0] > 3:
                raise KeyboardInterrupt
            return own(self, block)

        monkeypatch.setattr(ComposedScene, "filled", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_composed(ref, out, options=ComputeOptions(64, 1))
        assert not out.exists()
        monkeypatch.setattr(ComposedScene, "filled", own)
        with pytest.raises(OutputError):
            write_composed(ref_of(*mixed, gsd_m=3.0), out)
        assert write_composed(ref, out, options=ComputeOptions(64, 2)).run.resumed == 3
        assert out.read_bytes() == whole.read_bytes()


class TestBadInput:
    @pytest.mark.parametrize(
        "text",
        ["", "{}", "[1]", "[[]]", '[{"name": 3}]', '[{"reflectance": {"scale": NaN, "offset": 0}}]', '[{"band": 1e9}]',
         '[{"reflectance": {"scale": "1", "offset": 0}}]', "[" * 9000, '[{"wavelength_nm": Infinity}]'],
    )  # fmt: skip
    def test_tags_that_are_none_of_ours_say_nothing(self, make_raster: Maker, text: str) -> None:
        def tagged(dataset: Any) -> None:
            dataset.update_tags(**{BANDS_TAG: text})

        with ComposedScene(ref_of(make_raster(noise(4, 4), after=tagged))) as scene:
            (band,) = scene.composition.sources
        assert (band.reflectance, band.wavelength_nm) == (None, None)

    def test_a_name_given_twice(self, make_raster: Maker, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        make_raster(noise(4, 4), "a/B4.tif")
        with pytest.raises(SceneError) as raised:
            ComposedScene(ref_of(make_raster(noise(4, 4), "B4.tif"), tmp_path / "a" / "B4.tif"))
        assert "B4" in raised.value.given
        assert raised.value.given.count("B4.tif") == 2

    @pytest.mark.parametrize(("index", "missing"), [("NDVI", "nir"), ("EVI", "nir, blue"), ("dNBR", "before_nir")])
    def test_an_index_whose_bands_are_not_there(self, make_raster: Maker, index: str, missing: str) -> None:
        with pytest.raises(SceneError) as raised:
            ComposedScene(ref_of(f"red={make_raster(noise(4, 4))}", indices=(index,)))
        assert missing in raised.value.given
        assert "red" in raised.value.expected

    def test_an_index_asked_for_twice_is_one_band(self, make_raster: Maker) -> None:
        names = [f"{name}={make_raster(noise(4, 4), name=f'{name}.tif')}" for name in ("red", "nir")]
        with pytest.warns(CrispmapWarning, match="offset"):
            scene = ComposedScene(ref_of(*names, bands=("red", "NDVI"), indices=("NDVI", "NDVI")))
        with scene:
            assert scene.band_names == ("red", "NDVI")

    def test_a_name_that_is_neither_band_nor_index(self, make_raster: Maker) -> None:
        with pytest.raises(SceneError) as raised:
            ComposedScene(ref_of(f"red={make_raster(noise(4, 4))}", bands=("rad",)))
        assert "red" in raised.value.expected
        assert "red" in raised.value.remedy

    def test_reflectance_that_no_product_states(self, make_raster: Maker) -> None:
        names = [f"{name}={make_raster(noise(4, 4), f'{name}.tif')}" for name in ("red", "nir", "blue")]
        for choices in ({"reflectance": True}, {"indices": ("EVI",)}):
            with pytest.raises(SceneError) as raised:
                ComposedScene(ref_of(*names, **choices))
            assert "reflectance" in raised.value.given
        with pytest.warns(CrispmapWarning, match="offset"), ComposedScene(ref_of(*names, indices=("NDVI",))) as scene:
            assert scene.band_names[-1] == "NDVI"

    def test_what_cannot_be_written(self, make_raster: Maker, tmp_path: Path) -> None:
        path, out = make_raster(noise(4, 4)), tmp_path / "out.tif"
        out.write_bytes(b"mine")
        for target in (out, path, tmp_path / "out.png"):
            with pytest.raises(OutputError):
                write_composed(ref_of(path), target, options=ComputeOptions(force=target is path))
        assert out.read_bytes() == b"mine"
        with pytest.raises(InputError):
            write_composed(ref_of(path), tmp_path / "new.tif", options=ComputeOptions(workers=0))
        with pytest.raises(SceneError) as raised:
            write_composed(ref_of(path, out_nodata=-1), tmp_path / "new.tif")
        assert "uint16" in raised.value.given

    def test_no_valid_pixel(self, make_raster: Maker, tmp_path: Path) -> None:
        path = make_raster(np.zeros((1, 4, 4), np.uint16), nodata=0)
        with pytest.raises(SceneError):
            write_composed(ref_of(path), tmp_path / "out.tif")
        assert sorted(one.name for one in tmp_path.iterdir()) == ["scene.tif"]

    def test_nothing_given(self) -> None:
        with pytest.raises(InputError):
            composed_ref([])
        with pytest.raises(SceneError):
            composed_ref(["nowhere.tif"])
        with pytest.raises(SceneError):
            composed_ref(["red=none*.tif"])


PLACES = {
    32631: (29.0, 500_000.0, 5_000_000.0), 32632: (31.0, 28_400.0, 5_017_500.0), 3857: (41.0, 334_000.0, 5_642_000.0),
    4326: (3e-4, 3.0, 45.15), 3035: (30.0, 3_771_000.0, 2_470_000.0),
}  # fmt: skip


@given(
    source=st.sampled_from(sorted(PLACES)), target=st.sampled_from(sorted(PLACES)),
    scale=st.sampled_from([1.0, 7.0, 40.0]), row=st.integers(0, 900), col=st.integers(0, 900),
)  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_pixel_centres_are_found_to_a_hundredth_of_a_pixel(
    source: int, target: int, scale: float, row: int, col: int
) -> None:
    own, seen = (
        Grid(CRS.from_epsg(epsg), Affine(scale * gsd, 0, left, 0, -scale * gsd, top), (1000, 1000))
        for epsg, (gsd, left, top) in ((source, PLACES[source]), (target, PLACES[target]))
    )
    block = Block(row, col, 100, 90)
    cols, rows = Positions(own, seen).of(block)
    x, y = np.meshgrid(np.arange(col, col + 90) + 0.5, np.arange(row, row + 100) + 0.5)
    gsd, left, top = PLACES[target]
    points = left + x * scale * gsd, top - y * scale * gsd
    there = Transformer.from_crs(target, source, always_xy=True).transform(*points)
    gsd, left, top = PLACES[source]
    assert np.abs(cols - (there[0] - left) / (scale * gsd)).max() < 0.01
    assert np.abs(rows - (top - there[1]) / (scale * gsd)).max() < 0.01
