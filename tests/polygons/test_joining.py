"""Small regions join their neighbours: against a plain reference that works on pixels, and in any strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import random_maps
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from crispmap.errors import InputError
from crispmap.polygons.corners import NOTHING
from crispmap.polygons.joining import RegionTable, joined, parts_of
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vectorize import vectorize_file

Ids = NDArray[np.int32]


def labelled(values: Ids) -> tuple[NDArray[np.int64], int]:
    label, count = np.zeros(values.shape, np.int64), 0
    for value in np.unique(values):
        own, found = ndimage.label(values == value)
        label[own > 0] = own[own > 0] + count
        count += found
    return label - 1, count


def cleaned(values: Ids, sieve: float, fill: float, wanted: list[int] | None, rows: int) -> Ids:
    table = RegionTable((1.0, 1.0))
    for row in range(0, len(values), rows):
        strip = values[row : row + rows]
        table.push(strip, np.ones(strip.shape), None)
    regions, of = table.finish()
    left, step = joined(regions, sieve, fill, wanted)
    done, found = 0, []
    for row in range(0, len(values), rows):
        number, starts = parts_of(values[row : row + rows])
        found.append(left.value[step[of[done + number]]])
        done += len(starts)
    return np.concatenate(found)


def sieved_by_pixels(values: Ids, sieve: float) -> Ids:
    """The rule read literally: the smallest region that can joins, one after the other."""
    values = values.copy()
    while True:
        label, count = labelled(values)
        area = np.bincount(label.ravel(), minlength=count)
        first = [int(np.flatnonzero(label.ravel() == one)[0]) for one in range(count)]
        borders: dict[int, dict[int, int]] = {one: {} for one in range(count)}
        for a, b in ((label[:, :-1], label[:, 1:]), (label[:-1], label[1:])):
            for one, other in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
                if one != other:
                    borders[one][other] = borders[one].get(other, 0) + 1
                    borders[other][one] = borders[other].get(one, 0) + 1
        value = [int(values.ravel()[place]) for place in first]
        able = [
            one for one in range(count)
            if area[one] < sieve and value[one] != NOTHING and any(value[two] != NOTHING for two in borders[one])
        ]  # fmt: skip
        if not able:
            return values
        one = min(able, key=lambda one: (area[one], first[one]))
        best = max(
            (two for two in borders[one] if value[two] != NOTHING),
            key=lambda two: (borders[one][two], area[two], first[two]),
        )
        values[label == one] = value[best]


maps = arrays.arrays(
    np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, NOTHING])
)


@settings(deadline=None, max_examples=150)
@given(values=maps, sieve=st.integers(0, 7), rows=st.integers(1, 9))
def test_regions_join_as_the_rule_says_in_any_strips(values: Ids, sieve: int, rows: int) -> None:
    assert (cleaned(values, sieve, 0, None, rows) == sieved_by_pixels(values, sieve)).all()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1000), sieve=st.integers(1, 40), rows=st.integers(1, 60))
def test_no_small_region_is_left_beside_another(seed: int, sieve: int, rows: int) -> None:
    values = random_maps.blobs(seed, (48, 64)).astype(np.int32)
    values[values == 255] = NOTHING
    found = cleaned(values, sieve, 0, None, rows)
    label, count = labelled(found)
    area = np.bincount(label.ravel(), minlength=count)
    beside = np.zeros(count, bool)
    for a, b in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        differ = (label[a] != label[b]) & (found[a] != NOTHING) & (found[b] != NOTHING)
        beside[label[a][differ]] = beside[label[b][differ]] = True
    assert (area[beside] >= sieve).all()
    assert ((found == NOTHING) == (values == NOTHING)).all()


def test_holes_are_filled_in_wanted_classes_alone() -> None:
    values = np.zeros((12, 20), np.int32)
    values[1:8, 1:8] = 1
    values[3:5, 3:5] = 0  # a hole in a building
    values[2:4, 12:14] = 1  # a building on its own: a hole in the background
    found = cleaned(values, 0, 10, [1], 5)
    assert (found[1:8, 1:8] == 1).all()
    assert (found[2:4, 12:14] == 1).all()
    assert (cleaned(values, 0, 4, [1], 5)[3:5, 3:5] == 0).all()  # not smaller than asked for


def test_a_bay_at_the_edge_of_the_map_is_no_hole() -> None:
    values = np.ones((6, 6), np.int32)
    values[0, 2] = 0
    assert cleaned(values, 0, 10, [1], 3)[0, 2] == 0


def test_a_hole_without_a_class_stays() -> None:
    values = np.ones((6, 6), np.int32)
    values[2, 2] = NOTHING
    assert cleaned(values, 10, 10, [1], 3)[2, 2] == NOTHING


def test_polygons_of_a_cleaned_map_do_not_depend_on_strips(tmp_path: Path) -> None:
    values = random_maps.blobs(3)
    path = random_maps.write_map(tmp_path / "map.tif", values, random_maps.grid_of(0.5, values.shape))
    found = []
    for rows in (7, 1000):
        vectorize_file(path, tmp_path / "a.gpkg", PolygonRules(("all",), sieve_m2=5.0), strip_rows=rows, force=True)
        found.append(pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="a"))
    assert found[0].equals(found[1])
    whole = (values != 255).sum() * 0.25
    assert found[0].area.sum() == pytest.approx(whole)
    assert shapely.is_valid(found[0].geometry.values).all()


@pytest.mark.parametrize("name", ["sieve_m2", "fill_holes_m2", "min_area_m2", "simplify_m"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_below_0_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError):
        PolygonRules(**{name: value})
