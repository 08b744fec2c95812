"""The picture of a town: light, shadow, colour and texture obey what they claim."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from shapely.affinity import translate

from crispmap.errors import GridError
from crispmap.geo.grid import Grid
from crispmap.synth.chance import Dice, smooth_noise
from crispmap.synth.features import Building, Frame, Town, Tree, Wing
from crispmap.synth.houses import draw_car
from crispmap.synth.materials import MATERIALS
from crispmap.synth.relief import Relief, Sun, cast_shadows
from crispmap.synth.render import render
from crispmap.synth.town import plan_town
from crispmap.synth.truth import BUILDING, ROAD, true_classes
from crispmap.synth.write import town_grid
from crispmap.types import FloatArray

SIZE_PX = (256, 320)
SUNS = st.builds(Sun, st.floats(0, 360), st.floats(25, 70))


@cache
def town() -> Town:
    return plan_town((160.0, 128.0), 5)


@cache
def picture() -> FloatArray:
    return render(town(), town_grid(SIZE_PX), 5).astype(np.float32)


@given(SUNS, st.floats(3, 12))
@settings(deadline=None, max_examples=25)
def test_a_box_throws_the_shadow_geometry_says(sun: Sun, height_m: float) -> None:
    gsd, side = 0.5, 160
    height = np.zeros((side, side), dtype=np.float32)
    height[70:90, 66:94] = height_m
    shadow = cast_shadows(height, gsd, sun)
    east, north = sun.towards
    box = shapely.box(66, 70, 94, 90)  # in pixels, rows downward
    length = height_m / sun.slope / gsd
    far = translate(box, -east * length, north * length)
    swept = shapely.union_all([box, far]).convex_hull.difference(box)
    rows, cols = np.mgrid[0:side, 0:side]
    expected = shapely.contains_xy(swept, cols.ravel() + 0.5, rows.ravel() + 0.5).reshape(side, side)
    doubtful = shapely.dwithin(shapely.points(cols.ravel() + 0.5, rows.ravel() + 0.5), swept.boundary, 2.3)
    clear = ~doubtful.reshape(side, side)
    assert_array_equal(shadow[clear], expected[clear])


def test_flat_ground_has_no_shadow_and_tall_things_do_not_leave_the_picture() -> None:
    assert not cast_shadows(np.zeros((20, 30), np.float32), 0.5, Sun()).any()
    tall = np.zeros((20, 30), np.float32)
    tall[10, 15] = 500.0
    assert cast_shadows(tall, 0.5, Sun(180.0, 45.0))[:10, 15].all()


@given(SUNS, st.floats(0, 1.2), st.floats(0, 2 * math.pi))
@settings(deadline=None, max_examples=50)
def test_the_light_on_a_roof_is_lamberts(sun: Sun, slope: float, downhill: float) -> None:
    elevation = math.radians(sun.elevation_deg)
    ray = np.array([*(math.cos(elevation) * np.array(sun.towards)), math.sin(elevation)])
    normal = np.array([slope * math.cos(downhill), slope * math.sin(downhill), 1.0])
    normal /= np.linalg.norm(normal)
    assert sun.facing(slope, downhill) == pytest.approx(max(0.0, float(normal @ ray)) / ray[2], abs=1e-9)


def test_crowns_are_bright_towards_the_sun() -> None:
    relief = Relief((80, 80), 0.25, Sun(180.0, 45.0), np.random.default_rng(0))
    relief.tree(Tree(10, 10, 5, 9, "broad"))
    assert relief.light[48:54, 35:45].mean() > 1.0 > relief.light[26:32, 35:45].mean()


@pytest.mark.parametrize(
    ("roof", "volume"),
    [("flat", 0.0), ("gable", 0.5), ("hip", 0.5 - 5 / (6 * 15))],
)
def test_roofs_enclose_their_volume(roof: str, volume: float) -> None:
    """Mean height above the eaves over rise: 1/2 for a gable; a hip of L x W has 1/2 - W / (6 L)."""
    relief = Relief((200, 320), 0.125, Sun(), np.random.default_rng(0))
    rise = 0.0 if roof == "flat" else 2.0
    relief.roof(Wing(Frame(20.0, 12.5, 0.3), 15.0, 5.0, 3.0, rise, roof, "slate"))
    covered = relief.height_m > 0
    assert covered.sum() * 0.125**2 == pytest.approx(75.0, rel=0.01)
    assert relief.height_m[covered].mean() - 3.0 == pytest.approx(rise * volume, abs=0.02)


def test_higher_things_cover_lower_ones_and_paint_changes_no_height() -> None:
    relief = Relief((80, 80), 0.25, Sun(), np.random.default_rng(0))
    relief.roof(Wing(Frame(10, 10, 0), 8, 8, 6.0, 0.0, "flat", "slate"))
    before, numbers = relief.height_m.copy(), relief.surface.copy()
    for body in draw_car(Frame(10, 10, 0), Dice.of(0, 0)):
        relief.roof(body)
    assert_array_equal(relief.height_m, before)
    relief.roof(Wing(Frame(10, 10, 0), 1, 1, 0, 0, "decal", "glass"))
    assert_array_equal(relief.height_m, before)
    assert (relief.surface != numbers).any()
    relief.roof(Wing(Frame(900, 900, 0), 8, 8, 6.0, 0.0, "flat", "slate"))
    for tree in (Tree(900, 900, 2, 5, "broad"), Tree(10, 10, 3, 12, "conifer"), Tree(3, 3, 1, 1.2, "bush")):
        relief.tree(tree)
    assert relief.crown[40, 40]
    assert relief.height_m.max() > 9


@given(st.integers(0, 99), st.sampled_from([0.5, 1.7, 3.2, 9.0, 40.0]))
@settings(deadline=None, max_examples=20)
def test_textures_are_centred_and_of_unit_contrast(seed: int, length: float) -> None:
    noise = smooth_noise((400, 500), length, np.random.default_rng(seed))
    assert noise.shape == (400, 500)
    assert noise.dtype == np.float32
    assert abs(float(noise.mean())) < 0.35
    assert float(noise.std()) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("length", [1.2, 1.7, 3.2, 6.5])
def test_textures_do_not_beat_against_the_pixels(length: float) -> None:
    """No peak in the spectrum of the local contrast: a lattice would show as a weave."""
    noise = smooth_noise((512, 512), length, np.random.default_rng(0))
    contrast = (noise**2).mean(axis=0)
    spectrum = np.abs(np.fft.rfft(contrast - contrast.mean()))[12:]
    assert spectrum.max() < 6 * np.sqrt((spectrum**2).mean())


def test_a_picture_is_eight_bits_in_four_bands_and_uses_their_range() -> None:
    image = render(town(), town_grid(SIZE_PX), 5)
    assert image.shape == (4, *SIZE_PX)
    assert image.dtype == np.uint8
    for band in image:
        low, high = np.percentile(band, [1, 99])
        assert low > 5
        assert high < 252
        assert high - low > 80


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert_array_equal(render(town(), town_grid(SIZE_PX), 5), render(town(), town_grid(SIZE_PX), 5))
    assert (render(town(), town_grid(SIZE_PX), 6) != render(town(), town_grid(SIZE_PX), 5)).mean() > 0.5


def test_plants_shine_in_the_near_infrared_and_asphalt_does_not() -> None:
    image = picture()
    classes = true_classes(town(), town_grid(SIZE_PX))
    index = (image[3] - image[0]) / (image[3] + image[0])
    assert np.median(index[classes == ROAD]) < 0.08
    assert np.percentile(index[classes == 0], 75) > 0.2
    plants = {"lawn", "broad", "maize", "hedge", "pasture"}
    assert all(MATERIALS[name].colour[3] > 1.5 * MATERIALS[name].colour[0] for name in plants)


def alone(building: Building) -> Town:
    """Return a town of nothing but one building on its ground."""
    nothing = shapely.Polygon()
    return Town(town().setting, (), nothing, nothing, shapely.LineString(), [building])


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 180.0, 270.0])
def test_shadows_fall_away_from_the_sun(azimuth: float) -> None:
    wing = Wing(Frame(80.0, 64.0, 0.0), 20.0, 20.0, 12.0, 0.0, "flat", "slate")
    scene = alone(Building(wing.outline, (wing,), "house"))
    sun, opposite = Sun(azimuth, 45.0), Sun((azimuth + 180.0) % 360, 45.0)
    image, other = (render(scene, town_grid(SIZE_PX), 1, sun=one).astype(float) for one in (sun, opposite))
    east, north = sun.towards

    def ratio(step_m: float) -> float:
        """Brightness under this sun over that under the opposite one, the same ground else."""
        col, row = round((80 + step_m * east) * 2), round(SIZE_PX[0] - (64 + step_m * north) * 2)
        place = np.s_[:3, row - 3 : row + 4, col - 3 : col + 4]
        return float(image[place].mean() / other[place].mean())

    assert ratio(-15.0) < 0.65
    assert ratio(15.0) > 1.5
    assert ratio(-30.0) == pytest.approx(1.0, abs=0.03)


def test_shadows_are_blue() -> None:
    wing = Wing(Frame(80.0, 64.0, 0.0), 20.0, 20.0, 12.0, 0.0, "flat", "slate")
    scene = alone(Building(wing.outline, (wing,), "house"))
    image = render(scene, town_grid(SIZE_PX), 1, sun=Sun(180.0, 45.0)).astype(float)
    shadow, lit = image[:, 95:100, 150:170].mean(axis=(1, 2)), image[:, 160:165, 150:170].mean(axis=(1, 2))
    assert shadow[2] / shadow[0] > 1.1 * lit[2] / lit[0]


def test_the_truth_lies_on_the_picture() -> None:
    """A white roof on grass: the picture changes just where the truth does."""
    wing = Wing(Frame(80.25, 64.25, 0.35), 21.0, 13.0, 6.0, 0.0, "flat", "membrane")
    scene = alone(Building(wing.outline, (wing,), "house"))
    grid = town_grid(SIZE_PX)
    blue = render(scene, grid, 1)[2].astype(float)
    truth = true_classes(scene, grid) == BUILDING
    bright = blue > (blue[truth].mean() + blue[~truth].mean()) / 2
    assert (bright & truth).sum() / (bright | truth).sum() > 0.94


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.5, 0, 0, 0, -0.4, 0),
        Affine(0.25, 0, 0, 0, -0.25, 0),
        Affine(0.5, 0, 0, 0, 0.5, 0),
        Affine(0.5, 0.1, 0, 0, -0.5, 0),
    ],
)
def test_a_grid_that_is_not_the_towns_is_refused(transform: Affine) -> None:
    with pytest.raises(GridError, match=r"town of 160\.0 x 128\.0 m"):
        render(town(), Grid(None, transform, SIZE_PX))


def test_other_pixel_sizes_show_the_same_town() -> None:
    fine = render(town(), town_grid((512, 640), 0.25), 5).astype(float)
    coarse = render(town(), town_grid((128, 160), 1.0), 5).astype(float)
    average = fine.reshape(4, 128, 4, 160, 4).mean(axis=(2, 4))
    for one, other in zip(average, coarse, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8
