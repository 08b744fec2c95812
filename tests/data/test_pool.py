"""Patches drawn from few pieces at a time: each gets its turns, whatever was drawn before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from crispmap.data import patches as patches_module
from crispmap.data.patches import ArrayPatches, area_on_demand, few_of, fingerprint
from crispmap.data.pool import PATCHES_A_TURN, POOL, PooledSampler, sampler_of
from crispmap.data.sampling import PatchPlan, PatchSampler
from crispmap.errors import LabelError
from crispmap.geo.grid import Block
from crispmap.models.scaling import paper_scaling
from crispmap.raster.arrays import scene_of
from crispmap.types import IGNORE

PLAN = PatchPlan(patch_px=4, margin_px=1, seed=3)


@dataclass(frozen=True, eq=False)
class Demanded(ArrayPatches):
    digest: str | None = "one"


def piece(value: int, shape: tuple[int, int] = (12, 16), labels: int | None = None) -> Demanded:
    image = np.full((1, *shape), value, np.float32)
    ids = np.random.default_rng(value).integers(0, 2, shape) if labels is None else np.full(shape, labels)
    return Demanded(image, ids.astype(np.uint8))


def drawn(sampler: PatchSampler, first: int, count: int) -> np.ndarray:
    return sampler.batch(first, count).image[:, 0, 0, 0].astype(int)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_a_patch_depends_on_its_number_alone(sampling: str) -> None:
    plan = PatchPlan(patch_px=4, margin_px=1, seed=3, sampling=sampling)
    pieces = [piece(value) for value in range(30)]
    whole = sampler_of(pieces, ("a", "b"), plan).batch(0, 400)
    other = sampler_of(pieces, ("a", "b"), plan)
    for first in (350, 10, 200):
        part = other.batch(first, 20)
        np.testing.assert_array_equal(part.image, whole.image[first : first + 20])
        np.testing.assert_array_equal(part.labels, whole.labels[first : first + 20])


def test_few_pieces_are_in_use_at_a_time_and_all_in_a_round() -> None:
    pieces = [piece(value) for value in range(40)]
    sampler = PooledSampler(pieces, ("a", "b"), PLAN)
    for first in range(0, 40 * PATCHES_A_TURN, 5 * PATCHES_A_TURN):
        assert len(set(drawn(sampler, first, PATCHES_A_TURN))) <= POOL
    assert set(drawn(sampler, 0, 40 * PATCHES_A_TURN)) == set(range(40))


def test_pieces_get_patches_by_their_area() -> None:
    pieces = [piece(0, (8, 8)), piece(1, (8, 24)), *(piece(value, (8, 16)) for value in range(2, 20))]
    found = np.bincount(drawn(PooledSampler(pieces, ("a", "b"), PLAN), 0, 800 * PATCHES_A_TURN), minlength=20)
    assert found[1] / found[0] == pytest.approx(3, rel=0.35)


def test_a_balanced_patch_is_near_a_class_of_the_pieces_in_use() -> None:
    plan = PatchPlan(patch_px=4, margin_px=0, seed=1, sampling="balanced")
    common = [piece(value, labels=0) for value in range(6)]
    ids = np.zeros((12, 16), np.uint8)
    ids[5, 7] = 1
    rare = Demanded(np.full((1, 12, 16), 6, np.float32), ids)
    labels = PooledSampler([*common, rare], ("a", "b"), plan).batch(0, 200).labels
    assert 0.35 < (labels == 1).any(axis=(1, 2)).mean() < 0.65


def test_a_piece_without_labels_gives_no_patch() -> None:
    pieces = [piece(0, labels=IGNORE), *(piece(value) for value in range(1, 4))]
    assert 0 not in drawn(sampler_of(pieces, ("a", "b"), PLAN), 0, 200)


def test_loaded_pieces_are_drawn_as_ever() -> None:
    pieces = [ArrayPatches(one.image, one.labels) for one in (piece(0), piece(1))]
    assert type(sampler_of(pieces, ("a", "b"), PLAN)) is PatchSampler


def test_few_stand_for_all_and_a_class_is_looked_for_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches_module, "_FEW_PX", 1)
    pieces = [piece(value, labels=0) for value in range(30)]
    assert len(few_of(pieces)) == 8
    assert few_of([ArrayPatches(one.image, one.labels) for one in pieces[:9]])[8].labels is pieces[8].labels
    with pytest.raises(LabelError, match="'b'"):
        PooledSampler(pieces, ("a", "b"), PLAN)
    pieces[17] = piece(17, labels=1)
    assert (PooledSampler(pieces, ("a", "b"), PLAN).class_counts > 0).all()


def test_an_area_on_demand_reads_what_its_scene_has() -> None:
    rng = np.random.default_rng(0)
    scene = scene_of(rng.integers(1, 255, (3, 40, 50)).astype(np.uint8), gsd_m=1.0)
    labels = rng.integers(0, 3, (40, 50)).astype(np.uint8)
    area = Block(5, 10, 30, 20)
    found = area_on_demand(scene, area, lambda block: labels[block.slices], paper_scaling(3), "content")
    inside = Block(3, 4, 9, 8)
    np.testing.assert_array_equal(found.read_labels(inside), labels[8:17, 14:22])
    around = found.read_image(Block(-3, -2, 36, 24))
    np.testing.assert_array_equal(around[:, 2, 5], around[:, 3, 5])  # reflected where the area ends, not the scene
    np.testing.assert_array_equal(around[:, 0], around[:, 5])
    other = area_on_demand(scene, area, lambda block: labels[block.slices], paper_scaling(3), "other content")
    assert fingerprint(found) != fingerprint(other)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_every_patch_has_a_label_where_few_pieces_have_any(sampling: str) -> None:
    plan = PatchPlan(patch_px=4, margin_px=1, seed=3, sampling=sampling)
    pieces = [piece(value, labels=None if value == 11 else IGNORE) for value in range(60)]
    found = PooledSampler(pieces, ("a", "b"), plan).batch(0, 60 * PATCHES_A_TURN)
    assert (found.labels != IGNORE).any(axis=(1, 2)).all()
    part = PooledSampler(pieces, ("a", "b"), plan).batch(300, 20)
    np.testing.assert_array_equal(part.image, found.image[300:320])
