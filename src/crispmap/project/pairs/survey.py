"""A data set looked through before there is a project: its classes and their shares, its oddities, and a split."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError, ProjectError, SceneError, number_of
from crispmap.geo.grid import Block
from crispmap.labels.coded import MaskCode
from crispmap.labels.propose import proposed_classes
from crispmap.labels.reader import LabelOptions
from crispmap.project.file.dataset_section import DatasetSection
from crispmap.project.pairs.classes import NoClassesError, classes_of
from crispmap.project.pairs.expand import DataSet, open_data_set, patterns_of
from crispmap.project.pairs.find import Pair, find_pairs
from crispmap.project.pairs.split import DEFAULT_SHARES, cut_roles, split_pairs
from crispmap.raster.cached import KEPT_BYTES, BlockCache
from crispmap.types import CountArray

_LOOKED_AT = 64  # masks that are looked through; more, until every class is found
_FEW_IMAGES = 8  # fewer are split within
_SEEDS = 20
_RARE = 0.005  # a class with a smaller share is rare


@dataclass(frozen=True)
class Survey:
    """A data set, what of each class its masks hold, and how it may be split."""

    data_set: DataSet
    counts: dict[str, CountArray]  # pixels of each id (256,), by the names of the pairs looked at
    split: dict[str, str | float]  # keys of split:; none where the set's own folders or lists are used
    seed: int  # with which every class is among the images that train

    @property
    def schema(self) -> ClassSchema:
        """The classes."""
        return self.data_set.schema

    @cached_property
    def pixels(self) -> CountArray:
        """Pixels of each class in the masks looked at."""
        pixels: CountArray = np.sum(list(self.counts.values()), axis=0)[: len(self.schema)]
        return pixels

    @cached_property
    def kept(self) -> list[ClassDef]:
        """The classes that a project needs: those found, and where masks hold ids those before them too."""
        found = np.flatnonzero(self.pixels)
        classes = tuple(self.schema.classes[index] for index in found)
        return list(classes if self._mean_the_same(classes) else self.schema.classes[: found[-1] + 1])

    def _mean_the_same(self, classes: tuple[ClassDef, ...]) -> bool:
        """Return whether masks mean the same with only the classes found; ids would then be those of others."""
        found = np.flatnonzero(self.pixels)
        if not len(found) or len(found) == found[-1] + 1 or self.data_set.found.layout.class_folders:
            return True
        masks = [one.mask for one in self.data_set.pairs if one.mask is not None]
        name = max(self.counts, key=lambda name: np.flatnonzero(self.counts[name][: len(self.schema)]).tolist()[::-1])
        pair = next(one for one in self.data_set.pairs if one.name == name)
        options = LabelOptions(tolerance=self.data_set.code.options.tolerance)
        code = MaskCode(masks, ClassSchema(classes), self.data_set.ignored, options, skip=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CrispmapWarning)  # of ids that are no class any more
                again = replace(self.data_set, code=code, cache=BlockCache(KEPT_BYTES))
                counts = _counts(again, pair, again.facts[name].grid.block)
        except LabelError:
            return False
        return bool((counts[: len(found)] == self.counts[name][found]).all())

    def shares(self) -> dict[str, float]:
        """Return the share of each class among the labelled pixels looked at."""
        total = max(1, int(self.pixels.sum()))
        return {name: float(count) / total for name, count in zip(self.schema.names, self.pixels, strict=True)}

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of the set before training on it."""
        facts, pairs = self.data_set.to_dict(), self.data_set.pairs
        without = [one for one in pairs if one.mask is None and one.part != "coarse"]
        if without:
            images = number_of(len(without), "image")
            yield f"{images} in folders without masks, mapped only: {without[0].image.parent}."
        if facts["images_of_other_size"]:
            yield f"{number_of(facts['images_of_other_size'], 'image')} of another size than most."
        kept = [one.name for one in self.kept]
        for name, share in self.shares().items():
            if not share and name in kept:
                yield f"No pixel of {name} was found: it keeps its place as masks hold ids, and cannot be learned."
            elif not share:
                yield f"No pixel of {name} was found: the class is left out."
            elif share < _RARE:
                yield f"{name} is rare: {100 * share:.2g} % of the labelled pixels."
        unknown = self.data_set.code.unknown_px
        if unknown:
            pixels = number_of(sum(unknown.values()), "pixel")
            yield f"{pixels} of no class in {number_of(len(unknown), 'mask')} of {len(self.counts)} looked at."


def survey_data_set(section: DatasetSection, classes: Sequence[str] | None = None) -> Survey:
    """Return what a data set holds; pairs that cannot be used are warned of and left out.

    Args:
        classes: Names in place of those that the set has, as many, in the order of their ids.

    Raises:
        CrispmapError: If it has no pairs, or shows no classes.
    """
    schema, unknown = _schema(section, classes)
    section = section.model_copy(update={"damaged": "skip", "ignored": (*unknown, *section.ignored)})
    data_set = open_data_set(section, schema, 0)
    labelled = [one for one in data_set.pairs if one.mask is not None]
    counts = _counted(data_set, labelled)
    survey = Survey(data_set, counts, {}, 0)
    if data_set.listed or any(one.part != "coarse" for one in labelled):
        return survey
    return _with_split(survey, labelled)


def _schema(section: DatasetSection, names: Sequence[str] | None) -> tuple[ClassSchema, tuple[str, ...]]:
    """Return the classes of the class file or the layout, else those that masks show, and colours of no class."""
    found = find_pairs(section.path, section.layout, patterns_of(section))
    try:
        own, unknown = classes_of(section.path, found.layout)
    except NoClassesError:
        unknown = ()
        own = _shown([one.mask for one in found.labelled if one.mask is not None])
    if names is None:
        return ClassSchema(own), unknown
    if len(names) != len(own):
        raise ProjectError(
            f"{number_of(len(names), 'name')} are given for {number_of(len(own), 'class')}.",
            expected=f"a name for each of {', '.join(one.name for one in own)}", remedy="Give as many names.",
        )  # fmt: skip
    return ClassSchema(tuple(ClassDef(name, one.colour) for name, one in zip(names, own, strict=True))), unknown


def _shown(masks: Sequence[Path]) -> tuple[ClassDef, ...]:
    """Return the classes that masks show: of a sample, those of the mask that shows most."""
    best: tuple[ClassDef, ...] = ()
    for place in np.linspace(0, len(masks) - 1, min(len(masks), 16)).round().astype(int).tolist():
        try:
            proposed = proposed_classes(masks[place])
        except (LabelError, SceneError) as error:
            warnings.warn(f"A mask shows no classes: {error.given}", CrispmapWarning, stacklevel=4)
            continue
        if proposed is not None and len(proposed.names) > len(best):
            best = tuple(map(ClassDef, proposed.names, proposed.colours))
    if len(best) < 2:
        raise LabelError(
            f"The masks of the data set show {number_of(len(best), 'class')}, such as {masks[0]}.",
            expected="masks of class ids or colours", remedy="Write a class file class_dict.csv: name,r,g,b.",
        )  # fmt: skip
    return best


def _counted(data_set: DataSet, labelled: Sequence[Pair]) -> dict[str, CountArray]:
    """Return the pixels of each id in some of the masks: a spread few, then others until every class is found."""
    places = np.linspace(0, len(labelled) - 1, min(len(labelled), _LOOKED_AT)).round().astype(int).tolist()
    chosen = set(places)
    rest = [index for index in range(len(labelled)) if index not in chosen]
    counts: dict[str, CountArray] = {}
    lacking = np.ones(len(data_set.schema), np.bool_)
    for index in [*places, *rest]:
        if index not in chosen and not lacking.any():
            break
        pair = labelled[index]
        counts[pair.name] = _counts(data_set, pair, data_set.facts[pair.name].grid.block)
        lacking &= counts[pair.name][: len(lacking)] == 0
    return counts


def _counts(data_set: DataSet, pair: Pair, block: Block) -> CountArray:
    if pair.mask is None:
        raise ValueError(f"{pair.name} has no mask")
    ids = data_set.open_mask(pair.mask, pair.name).read(block)
    return np.bincount(ids.ravel(), minlength=256)


def _with_split(survey: Survey, labelled: Sequence[Pair]) -> Survey:
    """Return the survey with a split that leaves every class to the images that train, where one is found."""
    wanted = survey.pixels > 0
    if len(labelled) < _FEW_IMAGES and not survey.data_set.together:
        with suppress(ProjectError):  # images too small to be split within
            counts = [_counts(survey.data_set, one, _first_part(survey.data_set, one)) for one in labelled]
            if (np.sum(counts, axis=0)[: len(wanted)] > 0)[wanted].all():
                return replace(survey, split={"by": "within", **DEFAULT_SHARES})
    for seed in range(_SEEDS):
        try:
            roles = split_pairs(labelled, DEFAULT_SHARES, survey.data_set.together, seed).roles
        except ProjectError:
            break
        learned = [counts for name, counts in survey.counts.items() if roles[name] == "coarse"]
        if learned and (np.sum(learned, axis=0)[: len(wanted)] > 0)[wanted].all():
            return replace(survey, split={"by": "file", **DEFAULT_SHARES}, seed=seed)
    text = "No split was found that leaves every class to the images that train: give lists of ids under split:."
    warnings.warn(text, CrispmapWarning, stacklevel=3)
    return replace(survey, split={"by": "file", **DEFAULT_SHARES})


def _first_part(data_set: DataSet, pair: Pair) -> Block:
    """Return the part of an image that trains where images are split within."""
    height, width = data_set.facts[pair.name].grid.shape
    _, stop = cut_roles(max(height, width), {})["coarse"]
    return Block(0, 0, stop, width) if height >= width else Block(0, 0, height, stop)
