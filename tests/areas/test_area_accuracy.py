"""Estimates from a stratified sample: against the figures printed in the papers, a simulation, and laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from area_inputs import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crispmap.areas.accuracy import Estimate, ReferenceSample, map_accuracy
from crispmap.errors import AreaError

HECTARE = 1e4

# Olofsson et al. 2014, section 5: rows are the map (deforestation, forest gain, stable forest, stable non-forest).
GOOD_PRACTICES = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
GOOD_PRACTICES_M2 = np.array([200_000, 150_000, 3_200_000, 6_450_000]) * 900.0
# Olofsson et al. 2013, example 1.
BETTER_USE = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
BETTER_USE_PX = np.array([22_353.0, 1_122_543.0, 610_228.0])
# Stehman 2014, table 2: ten units of each of four strata, the reference of each unit and the class of the map.
OTHER_STRATA_UNITS = np.array([40_000, 30_000, 20_000, 10_000])
REFERENCE = "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"
MAP = "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"


def other_strata(units: np.ndarray | None = OTHER_STRATA_UNITS) -> ReferenceSample:
    counts = np.zeros((4, 4, 4), np.int64)
    for unit, (mapped, reference) in enumerate(zip(MAP, REFERENCE, strict=True)):
        counts[unit // 10, "ABCD".index(mapped), "ABCD".index(reference)] += 1
    return ReferenceSample(tuple("ABCD"), tuple("1234"), counts, OTHER_STRATA_UNITS / 1e5, units)


def values(estimates: tuple[Estimate, ...]) -> list[float]:
    return [one.value for one in estimates]


def margins(estimates: tuple[Estimate, ...]) -> list[float]:
    return [one.margin for one in estimates]


class TestPapers:
    def test_good_practices(self) -> None:
        found = map_accuracy(ReferenceSample.of_matrix("abcd", GOOD_PRACTICES, GOOD_PRACTICES_M2))
        hectares = [one.scaled(1 / HECTARE) for one in found.area_m2]
        assert values(tuple(hectares)) == pytest.approx([21_157.76, 11_686.15, 285_769.93, 581_386.15], rel=1e-6)
        assert margins(tuple(hectares)) == pytest.approx([6_157.5, 3_755.8, 15_509.6, 16_281.4], abs=0.05)
        assert found.overall.value == pytest.approx(0.9465119, rel=1e-6)
        assert found.overall.margin == pytest.approx(0.018483, abs=5e-7)
        assert values(found.users) == pytest.approx([0.88, 0.7333333, 0.9272727, 0.9630769], rel=1e-6)
        assert values(found.producers) == pytest.approx([0.7486614, 0.8471564, 0.9345089, 0.9616090], rel=1e-6)
        assert found.points == GOOD_PRACTICES.sum()

    def test_better_use(self) -> None:
        found = map_accuracy(ReferenceSample.of_matrix("abc", BETTER_USE, BETTER_USE_PX)).area_m2[0]
        assert found.value == pytest.approx(45_112.4, rel=1e-6)
        # The paper multiplies the standard error of the share, rounded to 0.006126, by all pixels: 10,751.88.
        assert round(found.error / BETTER_USE_PX.sum(), 6) == 0.006126
        assert found.error == pytest.approx(10_751.88, rel=5e-5)

    def test_strata_that_are_not_the_classes(self) -> None:
        found = map_accuracy(other_strata())
        assert [found.overall.value, found.overall.error] == pytest.approx([0.63, 0.085], abs=5e-4)
        assert [found.users[1].value, found.users[1].error] == pytest.approx([0.574, 0.125], abs=5e-4)
        assert [found.producers[1].value, found.producers[1].error] == pytest.approx([0.794, 0.117], abs=5e-4)
        assert [found.area_m2[0].value, found.area_m2[0].error] == pytest.approx([0.35, 0.082], abs=5e-4)
        assert [found.area_m2[2].value, found.area_m2[2].error] == pytest.approx([0.20, 0.064], abs=5e-4)


def olofsson_producers_error(matrix: np.ndarray, area: np.ndarray, k: int) -> float:
    """Standard error of the producer's accuracy as Olofsson et al. 2014 write it, eq. 7: another form."""
    size, users = matrix.sum(axis=1), matrix[k, k] / matrix[k].sum()
    share = matrix[:, k] / size
    total = (area * share).sum()
    accuracy = area[k] * users / total
    first = area[k] ** 2 * (1 - accuracy) ** 2 * users * (1 - users) / (size[k] - 1)
    rest = np.delete(area**2 * share * (1 - share) / (size - 1), k).sum()
    return float(np.sqrt(first + accuracy**2 * rest) / total)


MATRICES = arrays.arrays(np.int64, (3, 3), elements=st.integers(1, 60))
AREAS = arrays.arrays(np.float64, 3, elements=st.floats(1.0, 1e9))
few = settings(deadline=None, max_examples=60)


class TestLaws:
    @few
    @given(MATRICES, AREAS)
    def test_the_error_of_the_producers_accuracy_is_that_of_the_paper(self, matrix: Any, area: Any) -> None:
        found = map_accuracy(ReferenceSample.of_matrix("abc", matrix, area)).producers
        expected = [olofsson_producers_error(matrix, area, k) for k in range(3)]
        assert [one.error for one in found] == pytest.approx(expected, rel=1e-6)

    @few
    @given(MATRICES, AREAS)
    def test_areas_add_up_to_the_whole(self, matrix: Any, area: Any) -> None:
        found = map_accuracy(ReferenceSample.of_matrix("abc", matrix, area))
        assert sum(values(found.area_m2)) == pytest.approx(area.sum(), rel=1e-9)

    @few
    @given(MATRICES, AREAS, st.permutations(range(3)), st.floats(0.001, 1000))
    def test_order_of_classes_and_unit_of_areas_change_nothing(
        self, matrix: Any, area: Any, order: list[int], factor: float
    ) -> None:
        one = map_accuracy(ReferenceSample.of_matrix("abc", matrix, area))
        other = map_accuracy(ReferenceSample.of_matrix("abc", matrix[np.ix_(order, order)], factor * area[order]))
        for name, scale in (("users", 1), ("producers", 1), ("area_m2", factor)):
            before = [getattr(one, name)[k].scaled(scale) for k in order]
            assert values(tuple(before)) == pytest.approx(values(getattr(other, name)), rel=1e-9)
            assert margins(tuple(before)) == pytest.approx(margins(getattr(other, name)), rel=1e-6, abs=1e-9)
        assert one.overall.value == pytest.approx(other.overall.value, rel=1e-9)

    @few
    @given(MATRICES, AREAS)
    def test_sums_of_areas_are_as_sure_as_one_class_of_them_would_be(self, matrix: Any, area: Any) -> None:
        """Classes taken together in the reference: the same as naming both alike before the estimate."""
        found = map_accuracy(ReferenceSample.of_matrix("abc", matrix, area))
        together = np.column_stack([matrix[:, 0] + matrix[:, 1], np.zeros(3, int), matrix[:, 2]])
        expected = map_accuracy(ReferenceSample.of_matrix("abc", together, area)).area_m2[0]
        one = found.combined([1, 1, 0])
        assert (one.value, one.error) == pytest.approx((expected.value, expected.error), rel=1e-6, abs=1e-6)
        whole = found.combined([1, 1, 1])
        assert whole.error == pytest.approx(0, abs=1e-5 * area.sum())
        alone = [found.combined(np.eye(3)[k].tolist()).error for k in range(3)]
        assert alone == pytest.approx([one.error for one in found.area_m2], rel=1e-6, abs=1e-9)

    @few
    @given(MATRICES)
    def test_a_sample_in_proportion_to_areas_gives_plain_shares(self, matrix: Any) -> None:
        found = map_accuracy(ReferenceSample.of_matrix("abc", matrix, matrix.sum(axis=1).astype(float)))
        assert found.overall.value == pytest.approx(np.trace(matrix) / matrix.sum())
        assert values(found.producers) == pytest.approx(np.diag(matrix) / matrix.sum(axis=0))
        assert values(found.area_m2) == pytest.approx(matrix.sum(axis=0))

    def test_what_is_known_whole_has_no_error(self) -> None:
        sample = other_strata(units=np.full(4, 10))
        assert [one.error for one in map_accuracy(sample).area_m2] == [0.0] * 4

    def test_a_class_that_is_nowhere_has_no_accuracy(self) -> None:
        matrix = np.array([[9, 1, 0], [2, 8, 0], [0, 0, 0]])
        found = map_accuracy(ReferenceSample.of_matrix("abc", matrix, np.array([5.0, 5.0, 0.0])))
        assert found.to_dict()["classes"][2]["users_accuracy"] == dict.fromkeys(
            ("value", "standard_error", "margin_95")
        )
        assert found.area_m2[2].value == 0


class TestSimulation:
    def test_intervals_hold_the_truth_in_95_of_100_samples(self) -> None:
        """Strata that are not the classes: 10,000 samples of a population that is known."""
        rng = np.random.default_rng(2014)
        units = np.array([4_000, 8_000, 12_000])
        cells = np.array([
            [[500, 900], [600, 2_000]], [[5_000, 800], [700, 1_500]], [[9_000, 500], [1_500, 1_000]],
        ])  # fmt: skip
        assert (cells.sum(axis=(1, 2)) == units).all()
        draws = np.stack(
            [rng.multivariate_hypergeometric(one.ravel(), 200, size=10_000).reshape(-1, 2, 2) for one in cells], axis=1
        )
        whole = cells.sum(axis=0)
        truth = {
            "overall": np.trace(whole) / whole.sum(),
            "users": whole[1, 1] / whole[1].sum(),
            "producers": whole[1, 1] / whole[:, 1].sum(),
            "area_m2": whole[:, 1].sum(),
        }
        held = dict.fromkeys(truth, 0)
        for counts in draws:
            found = map_accuracy(ReferenceSample(("a", "b"), ("1", "2", "3"), counts, units.astype(float), units))
            for name, expected in truth.items():
                one = found.overall if name == "overall" else getattr(found, name)[1]
                held[name] += abs(one.value - expected) <= one.margin
        assert all(9_400 <= number <= 9_600 for number in held.values()), held


class TestBadInput:
    @pytest.mark.parametrize("row", [[0, 0, 0], [0, 1, 0]])
    def test_a_stratum_with_one_point_or_none_is_refused_by_name(self, row: list[int]) -> None:
        matrix = np.array([[5, 1, 0], row, [0, 2, 9]])
        with pytest.raises(AreaError, match="cut") as caught:
            ReferenceSample.of_matrix(SCHEMA.names, matrix, np.array([1.0, 1.0, 1.0]))
        assert caught.value.remedy

    def test_points_in_a_stratum_without_area_are_refused(self) -> None:
        with pytest.raises(AreaError, match="water"):
            ReferenceSample.of_matrix(SCHEMA.names, np.full((3, 3), 5), np.array([1.0, 1.0, 0.0]))

    def test_no_area_at_all_is_refused(self) -> None:
        with pytest.raises(AreaError):
            ReferenceSample.of_matrix(SCHEMA.names, np.zeros((3, 3), int), np.zeros(3))
