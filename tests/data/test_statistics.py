"""What scenes and labels are like, and when those of another are far from it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.patches import ArrayPatches
from crispmap.data.statistics import (
    MOST_ODDS,
    PERCENTILES,
    SceneStatistics,
    class_shares,
    measure_statistics,
    sampled_shares,
    strange_shares,
    strangeness,
)
from crispmap.evaluation.readers import ArrayLabels
from crispmap.geo.grid import Block
from crispmap.types import IGNORE

SCHEMA = ClassSchema((ClassDef("field", "#808080"), ClassDef("road", "#ff0000"), ClassDef("house", "#0000ff")))
NAMES = ("red", "nir")


def scene(values: np.ndarray, valid: np.ndarray | None = None) -> ArrayScene:
    return ArrayScene(values.astype(np.float32), valid)


def statistics(values: np.ndarray, valid: np.ndarray | None = None) -> SceneStatistics:
    one = scene(values, valid)
    found = measure_statistics([(one, one.grid.block)])
    assert found is not None
    return found


def values(seed: int, shape: tuple[int, int] = (60, 70), scale: float = 40.0, offset: float = 120.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(offset, scale, (2, *shape))


def test_a_scene_smaller_than_the_sample_is_measured_whole_without_its_invalid_pixels() -> None:
    image, valid = values(0), np.ones((60, 70), np.bool_)
    image[:, :20], valid[:20] = 9999.0, False
    found, known = statistics(image, valid), image.astype(np.float32)[:, 20:].reshape(2, -1)
    np.testing.assert_allclose(found.mean, known.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.deviation, known.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.percentiles, np.percentile(known, PERCENTILES, axis=1).T, rtol=1e-4)
    one = scene(image, np.zeros((60, 70), np.bool_))
    assert measure_statistics([(one, one.grid.block)]) is None


def test_of_a_large_scene_a_bounded_sample_is_read_that_is_always_the_same() -> None:
    class Counted(ArrayScene):
        pixels = 0

        def read(self, block):  # type: ignore[no-untyped-def]
            self.pixels += block.height * block.width
            return super().read(block)

    one = Counted(values(1, (1500, 1200)).astype(np.float32))
    first, second = (measure_statistics([(one, one.grid.block)]) for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.percentiles, second.percentiles)
    assert one.pixels <= 2 * 32 * 128 * 128
    np.testing.assert_allclose(first.mean, 120, atol=0.5)


def test_statistics_survive_json_and_nothing_else_is_taken_for_them() -> None:
    found = statistics(values(2))
    again = SceneStatistics.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again is not None
    np.testing.assert_allclose(again.percentiles, found.percentiles, rtol=1e-5)
    broken = found.to_dict() | {"p99": [1.0]}
    for entries in (None, {}, 3, "x", [1, 2], {"mean": [1]}, broken, found.to_dict() | {"std": [float("nan"), 1.0]}):
        assert SceneStatistics.from_dict(entries) is None


@given(st.floats(0.5, 2.0), st.floats(-0.5, 0.5))
@settings(deadline=None, max_examples=25)
def test_a_scene_somewhat_brighter_or_duller_is_not_far(scale: float, shift: float) -> None:
    learned = statistics(values(3))
    assert strangeness(statistics(120 + (values(4) - 120) * scale + 40 * shift), learned, NAMES) == []


@pytest.mark.parametrize("other", ["reflectance", "16 bit", "black", "one band", "flat"])
def test_other_units_are_far(other: str) -> None:
    image = values(5)
    changed = {
        "reflectance": image / 10_000, "16 bit": image * 40, "black": image * 0,
        "one band": np.stack([image[0], image[1] + 400]), "flat": 120 + (image - 120) / 20,
    }[other]  # fmt: skip
    phrases = strangeness(statistics(changed), statistics(values(6)), NAMES)
    assert len(phrases) == (1 if other == "one band" else 2)
    assert phrases[-1].startswith("nir is ")


def test_scenes_of_other_bands_are_not_judged() -> None:
    assert strangeness(statistics(values(0)[:1]), statistics(values(0) * 100), NAMES) == []


def test_shares_are_those_of_labelled_pixels() -> None:
    labels = np.full((20, 30), IGNORE, np.uint8)
    labels[:10, :10], labels[10:, :5] = 0, 2
    image = np.zeros((1, 20, 30), np.float32)
    expected = {"field": pytest.approx(2 / 3, abs=1e-6), "road": 0.0, "house": pytest.approx(1 / 3, abs=1e-6)}
    assert class_shares([ArrayPatches(image, labels)], SCHEMA) == expected
    assert sampled_shares(ArrayLabels(labels), Block(0, 0, 20, 30), SCHEMA) == expected
    assert class_shares([ArrayPatches(image, np.full((20, 30), IGNORE, np.uint8))], SCHEMA) == {}


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_shares_are_far_by_their_odds_and_it_does_not_matter_which_is_which(one: float, other: float) -> None:
    far = bool(strange_shares({"road": one}, {"road": other}))
    assert far == bool(strange_shares({"road": other}, {"road": one}))
    least, most = sorted((one, other))
    if not least > 0 or most == 1:  # no odds
        return
    odds = most / (1 - most) / (least / (1 - least))
    if most < 0.05 or odds < 0.999 * MOST_ODDS:
        assert not far
    elif odds > 1.001 * MOST_ODDS:
        assert far


@pytest.mark.parametrize(
    ("found", "learned", "far"),
    [
        (0.02, 0.59, True), (0.0, 0.2, True), (0.9, 0.1, True), (1.0, 0.6, True), (0.2, 0.45, False),
        (0.05, 0.3, False), (0.6, 0.2, False), (0.001, 0.04, False), (0.0, 0.0, False), (0.5, 0.5, False),
    ],
)  # fmt: skip
def test_examples_of_shares(found: float, learned: float, far: bool) -> None:
    phrases = strange_shares({"house": found}, {"house": learned})
    assert len(phrases) == far
    assert all("house" in one for one in phrases)


@pytest.mark.parametrize("learned", [None, 3, [], {}, {"road": "x"}, {"road": None}, {"road": 7.0}, {"house": 0.9}])
def test_shares_that_are_not_known_are_not_judged(learned: object) -> None:
    assert strange_shares({"road": 0.9}, learned) == []
