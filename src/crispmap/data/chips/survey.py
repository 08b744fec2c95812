"""What chips hold, and which of them are worth writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, LabelError, SchemaError, did_you_mean
from crispmap.events import Events, progress
from crispmap.geo.grid import Block
from crispmap.labels.reader import LabelReader
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, BoolArray, CountArray, LabelArray

_PRESENT = 0.01  # share of a chip's labelled pixels from which on it holds a class, when chips are balanced


@dataclass(frozen=True, eq=False)
class Chip:
    """A square of a scene: what its mask holds, what it is for, and why it is not written."""

    block: Block
    pixels: CountArray  # labelled pixels by class
    role: str = "train"
    dropped: str = ""  # the reason; empty for a chip that is written

    @property
    def missing(self) -> float:
        """The share of its pixels without data in the image or without a label."""
        return 1 - float(self.pixels.sum()) / (self.block.height * self.block.width)

    @property
    def shares(self) -> list[float]:
        """The share of each class in its labelled pixels; 0 where none is labelled."""
        return [float(one) for one in self.pixels / max(1, int(self.pixels.sum()))]


def mask_of(labels: LabelReader, block: Block, valid: BoolArray) -> LabelArray:
    """Return the mask of a block with these valid pixels: class ids, IGNORE where label or image are unknown."""
    return np.where(valid, labels.read(block), np.uint8(IGNORE))


def survey(
    scene: Scene, labels: LabelReader, blocks: Sequence[Block], max_missing: float, events: Events
) -> list[Chip]:
    """Return the chips of some blocks; those with too many pixels without data or label, or all such, are dropped.

    Raises:
        InputError: If ``max_missing`` is no share.
        LabelError, SceneError: If labels or scene cannot be read.
    """
    if not 0 <= max_missing <= 1:
        raise InputError(f"max_nodata is {max_missing}.", expected="a share of 0 to 1")
    found = []
    with progress(events, "survey", sum(one.height * one.width for one in blocks)) as running:
        for block in blocks:
            mask = mask_of(labels, block, scene.read_valid(block))
            counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)[: len(labels.schema)]
            chip = Chip(block, counts)
            empty = chip.missing >= 1 or chip.missing > max_missing
            found.append(replace(chip, dropped="nodata") if empty else chip)
            running.advance(block.height * block.width)
    return found


def balanced(chips: Sequence[Chip], schema: ClassSchema, names: Sequence[str], seed: int) -> list[Chip]:
    """Return chips with some dropped, so that as many for training show each of some classes as the rarest one.

    A chip counts for the rarest of the classes that 1 % of its labelled pixels or more belong to; those that show
    none of them are one more group. Validation and test keep what is there.

    Raises:
        SchemaError: If a name is not a class.
        LabelError: If no chip for training shows a class.
    """
    unknown = [name for name in names if name not in schema.names]
    if unknown:
        raise SchemaError(
            f"balance names {unknown[0]!r}, which is no class.", expected=f"some of {', '.join(schema.names)}",
            remedy=did_you_mean(unknown[0], schema.names),
        )  # fmt: skip
    chosen = [schema.names.index(name) for name in names]
    places = [place for place, chip in enumerate(chips) if chip.role == "train" and not chip.dropped]
    shows = {place: [one for one in chosen if chips[place].shares[one] >= _PRESENT] for place in places}
    often = Counter(one for ids in shows.values() for one in ids)
    lacking = [schema[one].name for one in chosen if not often[one]]
    if lacking:
        raise LabelError(
            f"No chip for training shows {', '.join(lacking)}, which the chips are to be balanced by.",
            expected="classes that are at least 1 % of a chip", remedy="Leave them out of balance=.",
        )  # fmt: skip
    groups: dict[int, list[int]] = {one: [] for one in (*chosen, -1)}
    for place, ids in shows.items():
        groups[min(ids, key=lambda one: (often[one], one), default=-1)].append(place)
    return _cut_to_smallest(chips, groups, seed)


def _cut_to_smallest(chips: Sequence[Chip], groups: Mapping[int, Sequence[int]], seed: int) -> list[Chip]:
    """Return chips with some dropped, drawn at random, so that no group is larger than the smallest that has any."""
    most = min(len(group) for group in groups.values() if group)
    rng, kept = np.random.default_rng(seed), list(chips)
    for group in groups.values():
        for place in rng.permutation(group)[most:].tolist():
            kept[int(place)] = replace(kept[int(place)], dropped="balance")
    return kept
