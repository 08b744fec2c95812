"""Gaps in roads: what faces each other is joined, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, affinity

from crispmap.polygons.bridges import bridged
from crispmap.polygons.centrelines import Centreline

FREE = (True, True)


def road(*points: tuple[float, float], width: float = 5.0, free: tuple[bool, bool] = FREE) -> Centreline:
    return Centreline(LineString(points), width, free)


@given(
    turn=st.floats(0, 360),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    order=st.permutations(range(3)),
)
def test_pieces_of_one_street_become_one_line_in_any_order(
    turn: float, flips: tuple[bool, ...], order: list[int]
) -> None:
    lines = [LineString([(start, 0), (start + 40, 0)]) for start in (0, 55, 120)]
    lines = [affinity.rotate(one, turn, origin=(0, 0)) for one in lines]
    pieces = [Centreline(one.reverse() if flip else one, 5.0, FREE) for one, flip in zip(lines, flips, strict=True)]
    ((joined, members),) = bridged([pieces[one] for one in order])
    assert joined.line.length == pytest.approx(160)
    assert sorted(members) == [0, 1, 2]
    assert joined.free == FREE
    assert joined.width == pytest.approx(5)


@pytest.mark.parametrize(
    "other",
    [
        road((80, 0), (120, 0)),  # too far
        road((50, 0), (50, 40)),  # across
        road((50, 12), (90, 12)),  # beside
        road((50, 0), (90, 0), free=(False, True)),  # another line begins there
    ],
)
def test_what_does_not_face_each_other_stays_apart(other: Centreline) -> None:
    assert len(bridged([road((0, 0), (40, 0)), other])) == 2


def test_the_nearest_is_joined_and_no_end_twice() -> None:
    found = bridged([road((0, 0), (40, 0)), road((50, 1), (90, 1)), road((45, 0), (48, 0), width=1)])
    assert sorted(sorted(members) for _, members in found) == [[0, 1, 2]]
    fork = bridged([road((0, 0), (40, 0)), road((52, 2), (90, 2)), road((55, -2), (90, -2))])
    assert sorted(sorted(members) for _, members in fork) == [[0, 1], [2]]


def test_a_line_is_never_joined_to_itself() -> None:
    angles = np.radians(np.arange(10, 351, 10))
    ring = road(*zip((20 * np.cos(angles)).tolist(), (20 * np.sin(angles)).tolist(), strict=True))
    ((same, _),) = bridged([ring])
    assert same.line.equals(ring.line)
    assert bridged([]) == []


def test_widths_count_by_length() -> None:
    ((joined, _),) = bridged([road((0, 0), (30, 0), width=4), road((40, 0), (130, 0), width=8)])
    assert joined.width == pytest.approx(7)
