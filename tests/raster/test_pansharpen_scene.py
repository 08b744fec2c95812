"""Pansharpened scenes: any ratio and offset, the same bits in any block, GDAL beside them, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy import ndimage

from array_scene import ArrayScene
from crispmap.errors import CrispmapWarning, GridError, InputError, SceneError
from crispmap.files.dataset import open_dataset
from crispmap.geo.grid import Block, Grid
from crispmap.raster.files import open_scene
from crispmap.raster.pansharpen.assess import assess, assess_degraded
from crispmap.raster.pansharpen.methods import METHODS
from crispmap.raster.pansharpen.mtf import degraded
from crispmap.raster.pansharpen.registration import REACH_PX, MovedScene, estimate_shift
from crispmap.raster.pansharpen.run import PansharpenOptions, pansharpen_pair
from crispmap.raster.pansharpen.scene import open_pansharpened
from crispmap.raster.pansharpen.statistics import sample_blocks
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import read_whole

UTM = CRS.from_epsg(32633)
PAIRS = {
    "landsat": ([f"landsat/momotombo_L1TP_B{band}.tif" for band in (2, 3, 4)], "landsat/momotombo_L1TP_B8.tif"),
    "rotterdam": (["spacenet/rotterdam_ms1.tif"], "spacenet/rotterdam_pan1.tif"),
    "cbers4a": (["cbers4a/MULTISPECTRAL.tif"], "cbers4a/BAND0.tif"),
}


def grid_at(shape: tuple[int, int], gsd: float, x: float = 0.0, y: float = 0.0, crs: CRS | None = UTM) -> Grid:
    return Grid(crs, Affine(gsd, 0, 500_000 + x, 0, -gsd, 5_000_000 - y), shape)


def scene_at(values: Any, gsd: float, x: float = 0.0, y: float = 0.0, valid: Any = None) -> ArrayScene:
    values = np.asarray(values, np.float32)
    return ArrayScene(values, valid, grid=grid_at(values.shape[1:], gsd, x, y))


def texture(size: int, seed: int = 0, smooth: float = 2.0) -> Any:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), smooth, mode="wrap")
    return (noise / noise.std() * 100 + 1000).astype(np.float32)


def moved(image: Any, cols: float, rows: float) -> Any:
    """An image moved to the right and down, by Fourier's theorem."""
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (rows, cols))).real.astype(np.float32)


def pair(
    size: int = 96, ratio: int = 2, seed: int = 0, valid: bool = False, **offset: float
) -> tuple[ArrayScene, ArrayScene]:
    """A scene of three bands that its panchromatic one explains, with noise, and that."""
    sharp, rng = texture(size, seed), np.random.default_rng(seed)
    low = sharp.reshape(size // ratio, ratio, size // ratio, ratio).mean(axis=(1, 3))
    bands = np.stack([low * f + rng.normal(0, 10, low.shape) for f in (0.5, 1.0, 1.4)])
    known = [rng.random(image.shape) > 0.1 if valid else None for image in (low, sharp)]
    return scene_at(bands, ratio, valid=known[0]), scene_at(sharp[None], 1.0, valid=known[1], **offset)


# --- where values come from ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@given(
    row=st.integers(0, 60), col=st.integers(0, 60), height=st.integers(1, 30), width=st.integers(1, 30),
    x=st.floats(-3, 3), y=st.floats(-3, 3),
)  # fmt: skip
@settings(deadline=None, max_examples=8)
def test_any_block_has_the_bits_of_the_whole(
    method: Any, row: int, col: int, height: int, width: int, x: float, y: float
) -> None:
    multispectral, pan = pair(valid=True, x=x, y=y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        scene = open_pansharpened(multispectral, pan, method)
    image, valid = read_whole(scene)
    block = Block(row, col, height, width).intersection(scene.grid.block)
    part, known = scene.read(block)
    np.testing.assert_array_equal(part, image[:, *block.slices])
    np.testing.assert_array_equal(known, valid[block.slices])


@given(
    gsd=st.sampled_from([2.0, 2.5, 3.7, 4.0]), x=st.floats(-2, 2), y=st.floats(-2, 2), method=st.sampled_from(METHODS)
)
@settings(deadline=None, max_examples=24)
def test_a_plane_is_given_back_whatever_ratio_and_offset(gsd: float, x: float, y: float, method: Any) -> None:
    """Averages and cubic interpolation keep planes, so that both sources and the result are one."""

    def plane(grid: Grid) -> Any:
        cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
        px, py = grid.transform @ (cols, rows)
        return 100 + (px - 500_000) - 0.5 * (py - 5_000_000)

    coarse, fine = grid_at((30, 30), gsd, x, y), grid_at((40, 40), 1.0, 3.0, 4.0)
    spectrum = np.array([1.0, 2.0, 0.5])[:, None, None]
    bands = ArrayScene((spectrum * plane(coarse)).astype(np.float32), grid=coarse)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        scene = open_pansharpened(bands, ArrayScene(plane(fine)[None].astype(np.float32), grid=fine), method)
    inner = Block(12, 12, 12, 12)
    image, valid = scene.read(inner)
    assert valid.all()
    # A pixel off would be 1e-2. Half covered pixels of the border enter the statistics of all others.
    expected = spectrum * plane(scene.grid.window(inner))
    np.testing.assert_allclose(image, expected, rtol=1e-3 if method == "hpm" else 6e-3)


def test_pixels_are_invalid_where_either_scene_is() -> None:
    multispectral, pan = pair(valid=False)
    multispectral.valid[10, 20] = False
    multispectral.image[:, 10, 20] = 0
    pan.valid[3, 70] = False
    _, valid = read_whole(open_pansharpened(multispectral, pan, "gsa"))
    expected = np.ones((96, 96), bool)
    expected[20:22, 40:42] = expected[3, 70] = False
    np.testing.assert_array_equal(valid, expected)


def test_detail_comes_back() -> None:
    """Bands that the panchromatic one explains are given back, far better than by interpolation."""
    sharp = texture(128, smooth=1.0)
    spectrum = np.array([0.5, 1.0, 1.4], np.float32)[:, None, None]
    averaged = sharp.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    blurred, _ = read_whole(degraded(scene_at(sharp[None], 1.0), (2.0, 2.0)))
    for method in METHODS:
        low = blurred[0] if method == "hpm" else averaged  # what each takes the bands to be
        image, _ = read_whole(open_pansharpened(scene_at(spectrum * low, 2.0), scene_at(sharp[None], 1.0), method))
        error = (
            np.abs(image - spectrum * sharp)[:, 4:-4, 4:-4].mean() / np.abs(spectrum * (sharp - sharp.mean())).mean()
        )
        assert error < 0.15, method


@pytest.mark.parametrize("ratio", [2, 4])
def test_weighted_brovey_is_gdals(ratio: int, tmp_path: Path) -> None:
    multispectral, pan = pair(96, ratio)
    for name, scene in (("ms", multispectral), ("pan", pan)):
        options = {"crs": "EPSG:32633", "transform": scene.grid.transform, "dtype": "uint16", "count": scene.band_count}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", height=scene.grid.height, width=scene.grid.width, **options
        ) as to:
            to.write(np.rint(scene.image).astype(np.uint16))
    weights = (0.2, 0.5, 0.3)
    with open_scene(tmp_path / "ms.tif") as bands, open_scene(tmp_path / "pan.tif") as sharp:
        ours, _ = read_whole(open_pansharpened(bands, sharp, "brovey", weights=weights))
    with open_dataset(gdal_pansharpened(tmp_path / "ms.tif", tmp_path / "pan.tif", weights)) as dataset:
        theirs = dataset.read().astype(np.float32)
    inner = np.s_[:, 2 * ratio : -2 * ratio, 2 * ratio : -2 * ratio]
    # GDAL rounds the interpolated bands before it multiplies them.
    assert np.abs(ours - theirs)[inner].max() <= 2.0
    assert np.abs(ours - theirs)[inner].mean() < 0.5


def gdal_pansharpened(multispectral: Path, pan: Path, weights: tuple[float, ...]) -> str:
    """A virtual raster that GDAL pansharpens as it is read."""
    numbers = range(1, len(weights) + 1)
    bands = "".join(
        f'<SpectralBand dstBand="{one}"><SourceFilename>{multispectral}</SourceFilename>'
        f"<SourceBand>{one}</SourceBand></SpectralBand>"
        for one in numbers
    )
    outputs = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{one}" subClass="VRTPansharpenedRasterBand"/>' for one in numbers
    )
    return (
        f'<VRTDataset subClass="VRTPansharpenedDataset">{outputs}<PansharpeningOptions>'
        f"<AlgorithmOptions><Weights>{','.join(map(str, weights))}</Weights></AlgorithmOptions>"
        f"<Resampling>Cubic</Resampling><PanchroBand><SourceFilename>{pan}</SourceFilename><SourceBand>1</SourceBand>"
        f"</PanchroBand>{bands}</PansharpeningOptions></VRTDataset>"
    )


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_panchromatic_scene_that_is_not_finer_is_refused() -> None:
    multispectral, pan = pair()
    swapped = scene_at(multispectral.image[:1], 2.0)
    with pytest.raises(GridError, match="smaller pixels"):
        open_pansharpened(scene_at(np.repeat(pan.image, 3, axis=0), 1.0), swapped)
    with pytest.raises(GridError, match="smaller pixels"):
        open_pansharpened(multispectral, swapped)


def test_several_panchromatic_bands_are_refused() -> None:
    multispectral, pan = pair()
    with pytest.raises(SceneError, match="2 bands"):
        open_pansharpened(multispectral, scene_at(np.repeat(pan.image, 2, axis=0), 1.0))


def test_another_crs_is_refused() -> None:
    multispectral, pan = pair()
    for crs in (CRS.from_epsg(32634), None):
        pan.grid = grid_at((96, 96), 1.0, crs=crs)
        with pytest.raises(GridError, match="coordinate systems"):
            open_pansharpened(multispectral, pan)


def test_scenes_that_do_not_overlap_are_refused_and_those_that_hardly_do_are_cut() -> None:
    multispectral, pan = pair()
    for x in (96.0, -96.0, 5000.0):
        with pytest.raises(GridError, match="do not overlap"):
            open_pansharpened(multispectral, scene_at(pan.image, 1.0, x=x))
    with pytest.warns(CrispmapWarning, match="50%"):
        scene = open_pansharpened(multispectral, scene_at(pan.image, 1.0, x=48.0))
    assert scene.grid.shape == (96, 48)
    assert scene.grid.transform.c == pytest.approx(500_048)


def test_scenes_with_no_data_in_common_are_refused() -> None:
    multispectral, pan = pair()
    pan.valid[:, :48] = False
    multispectral.valid[:, 24:] = False
    with pytest.raises(SceneError, match="together in 0 pixels"):
        open_pansharpened(multispectral, pan, "gsa")


def test_a_panchromatic_band_constant_in_a_block_changes_nothing_elsewhere() -> None:
    multispectral, pan = pair()
    pan.image[0, :48] = 1000
    for method in METHODS:
        image, valid = open_pansharpened(multispectral, pan, method).read(Block(0, 0, 40, 96))
        assert valid.all()
        assert np.isfinite(image).all()
    pan.image[:] = 1000
    with pytest.raises(SceneError, match="constant"):
        open_pansharpened(multispectral, pan, "gs")


def test_weights_are_checked_before_anything_is_read() -> None:
    multispectral, pan = pair()
    with pytest.raises(InputError):
        open_pansharpened(multispectral, pan, "brovey", weights=(1.0, 1.0))
    assert multispectral.blocks_read == []


# --- statistics, figures ------------------------------------------------------------------------------------


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300), st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_samples_are_distinct_blocks_spread_over_the_grid(height: int, width: int, side: int, across: int) -> None:
    area = Block(7, 30, height, width)
    found = sample_blocks(area, side, across)
    assert len(set(found)) == len(found) == min(across, -(-height // side)) * min(across, -(-width // side))
    assert all((one.row - 7) % side == (one.col - 30) % side == 0 for one in found)
    assert all(one.intersection(area) == one and not one.is_empty for one in found)


def test_the_degrading_filter_keeps_a_share_of_the_finest_pattern() -> None:
    """A pattern of two coarse pixels a period keeps 0.3 of its contrast; a constant stays."""
    cols = np.arange(400)
    wave = np.tile(np.cos(2 * np.pi * (cols + 0.5 - 2) / 8), (400, 1))
    seen, _ = read_whole(degraded(scene_at(np.stack([wave, np.ones_like(wave)]), 1.0), (4.0, 4.0)))
    assert np.abs(seen[0, 20:-20, 20:-20]).max() == pytest.approx(0.3, abs=0.005)
    np.testing.assert_allclose(seen[1], 1.0, rtol=1e-5)


def test_degraded_figures_tell_a_scene_that_fits_from_one_that_does_not() -> None:
    good = assess_degraded(*pair(256), "hpm")
    multispectral, pan = pair(256)
    bad = assess_degraded(multispectral, scene_at(texture(256, seed=9)[None], 1.0), "hpm")
    assert good.ergas < 0.5 * bad.ergas
    assert good.q2n > bad.q2n
    figures = assess(open_pansharpened(multispectral, pan))
    assert 0.5 < figures.qnr <= 1
    assert figures.pan_correlation > 0.9


# --- registration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cols", "rows", "ratio"), [(0.5, 0.0, 2), (-0.5, 0.5, 2), (1.3, -0.7, 4), (0.0, 0.0, 4), (9.5, -6.25, 2)]
)
def test_a_shift_of_the_panchromatic_band_is_found(cols: float, rows: float, ratio: int) -> None:
    multispectral, pan = pair(512, ratio)
    shift = estimate_shift(multispectral, scene_at(moved(pan.image[0], cols, rows)[None], 1.0))
    assert shift.reliable
    assert shift.cols_px * ratio == pytest.approx(-cols, abs=0.05)
    assert shift.rows_px * ratio == pytest.approx(-rows, abs=0.05)


def test_a_shift_of_coordinates_is_found_and_undone() -> None:
    multispectral, pan = pair(512)
    there = scene_at(multispectral.image, 2.0, x=1.5, y=-0.5)
    shift = estimate_shift(there, pan)
    assert (shift.cols_px, shift.rows_px) == pytest.approx((0.75, -0.25), abs=0.02)
    rest = estimate_shift(MovedScene(there, shift.applied(there.grid)), pan)
    assert (rest.cols_px, rest.rows_px) == pytest.approx((0, 0), abs=0.01)
    scene, found = pansharpen_pair(there, pan, PansharpenOptions(register=True))
    assert found == shift
    plain, _ = read_whole(open_pansharpened(multispectral, pan))
    offset = round(500_000 - scene.grid.transform.c), round(scene.grid.transform.f - 5_000_000)
    assert offset == (0, 0)
    np.testing.assert_allclose(read_whole(scene)[0][:, 8:-8, 8:-8], plain[:, 8:-8, 8:-8], rtol=0.01)


def test_scenes_that_show_different_things_are_left_where_they_are() -> None:
    multispectral, _ = pair(256)
    other = scene_at(np.random.default_rng(5).normal(1000, 9, (1, 256, 256)), 1.0)
    with pytest.warns(CrispmapWarning, match="left where they are"):
        _, shift = pansharpen_pair(multispectral, other, PansharpenOptions(register=True))
    assert shift is not None
    assert not shift.is_sure


@pytest.mark.parametrize("side", [8, 16, 24, 34, 48, 50])
def test_small_scenes_are_compared_or_said_to_be_too_small(side: int) -> None:
    shift = estimate_shift(*pair(2 * side))
    assert shift.reliable or "too little" in shift.note
    assert shift.reliable == (side > 48)


def test_a_shift_is_found_where_the_scenes_overlap_only_in_part() -> None:
    multispectral, pan = pair(512)
    part = scene_at(pan.image[:, 200:300, 380:], 1.0, x=381.0, y=200.0)
    shift = estimate_shift(multispectral, part)
    assert (shift.cols_px, shift.rows_px) == pytest.approx((-0.5, 0), abs=0.03)


@pytest.mark.parametrize("spoil", ["constant", "invalid"])
def test_scenes_without_anything_to_compare_have_no_shift(spoil: str) -> None:
    multispectral, pan = pair(128)
    if spoil == "constant":
        pan.image[:] = 5
    else:
        pan.valid[:] = False
        pan.image[:] = 0
    shift = estimate_shift(multispectral, pan)
    assert not shift.reliable
    assert shift.note
    assert max(abs(shift.cols_px), abs(shift.rows_px)) <= REACH_PX + 1


@pytest.mark.realdata
@pytest.mark.parametrize("name", PAIRS)
def test_half_a_pixel_put_into_a_real_panchromatic_band_is_found(name: str, real_data: Path) -> None:
    files, pan_file = PAIRS[name]
    multispectral = SceneRef(name, tuple(str(real_data / file) for file in files))
    with open_scene(multispectral, nodata=0) as bands, open_scene(real_data / pan_file, nodata=0) as pan:
        image, valid = read_whole(pan)
        before = estimate_shift(bands, pan)
        pad = np.pad(image[0], 32, mode="reflect")
        there = moved(pad, 0.5, -0.5)[32:-32, 32:-32]
        after = estimate_shift(bands, ArrayScene(there[None], valid, grid=pan.grid))
        size = bands.grid.transform.a / pan.grid.transform.a
    assert (after.cols_px - before.cols_px) * size == pytest.approx(-0.5, abs=0.05)
    assert (after.rows_px - before.rows_px) * size == pytest.approx(0.5, abs=0.05)


@pytest.mark.realdata
@pytest.mark.parametrize("name", PAIRS)
def test_real_scenes_are_pansharpened_where_both_are(name: str, real_data: Path) -> None:
    files, pan_file = PAIRS[name]
    multispectral = SceneRef(name, tuple(str(real_data / file) for file in files))
    with open_scene(multispectral, nodata=0) as bands, open_scene(real_data / pan_file, nodata=0) as pan:
        scene = open_pansharpened(bands, pan)
        image, valid = read_whole(scene)
        assert scene.grid.transform.a == pan.grid.transform.a
        assert valid.mean() > 0.95
        low, known = read_whole(bands)
        np.testing.assert_allclose(image[:, valid].mean(axis=1), low[:, known].mean(axis=1), rtol=0.05)
        assert assess(scene).qnr > 0.85
