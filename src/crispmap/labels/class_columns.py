"""Columns of a vector file that would serve as a column of classes: those of few values that many features have."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crispmap.classes import tag_values
from crispmap.errors import CrispmapWarning, InputError, LabelError
from crispmap.labels.layers import VectorLayer, drawn_layers, read_layer
from crispmap.labels.proposal import BACKGROUND, ProposedClasses, named_classes
from crispmap.labels.tags import match_columns

_MOST_VALUES = 24  # of a column that is named unasked
_MOST_CLASSES = 64
_LOOKED_AT = 20_000  # features of a layer, unasked: reading all of a large file takes minutes
_LEAST_SHARE = 0.05  # of the features, that have a value in such a column
_MOST_NAMED = 6  # columns
_NOT_IN_RULES = re.compile(r"[=!&|*;]")  # what a tag rule cannot hold in a value
_NOT_IN_KEYS = re.compile(r"[=!&|\s]")


@dataclass(frozen=True)
class ColumnValues:
    """A column of a vector file."""

    name: str
    values: Mapping[str, int]  # features by value, the most frequent first
    features: int  # of its layers, with a value or without

    @property
    def text(self) -> str:
        """The column with its values, as a person reads it."""
        shown = [f"{value} ({count})" for value, count in list(self.values.items())[:_MOST_NAMED]]
        more = f" and {len(self.values) - _MOST_NAMED} more" if len(self.values) > _MOST_NAMED else ""
        return f"{self.name}: {', '.join(shown)}{more}"


def class_columns(path: Path) -> list[ColumnValues]:
    """Return the columns of a vector file that would serve as class column, those most features have first.

    Of each layer the first 20,000 features are looked at.

    Raises:
        LabelError: If the file cannot be read as vectors.
    """
    found = [one for one in _columns(drawn_layers(path), _LOOKED_AT) if _serves(one)]
    return sorted(found, key=lambda one: -sum(one.values.values()))[:_MOST_NAMED]


def classes_of_column(path: Path, column: str) -> ProposedClasses:
    """Return a class for each value of a column, with the tag rule that finds its features.

    Values that differ in case only are one class. ``background`` is the background.

    Raises:
        InputError: If there is no such column, or its values cannot be classes.
        LabelError: If the file cannot be read as vectors.
    """
    layers = drawn_layers(path)
    every = list(dict.fromkeys(name for layer in layers for name in layer.columns))
    matched = match_columns(every, [column])
    if not matched:
        raise InputError(
            f"{path.name} has no column {column!r}.",
            expected=f"one of {', '.join(every) or 'none'}",
            remedy="Look at its columns and their values: crispmap info FILE.",
        )
    (found,) = _columns(layers, None, only=matched[column]) or [ColumnValues(matched[column], {}, 0)]
    values: dict[str, list[str]] = {}
    for value in found.values:
        values.setdefault(value.casefold(), []).append(value)
    values.pop(BACKGROUND, None)
    _check(found, values, path)
    tags = {_class_name(found.name, same[0]): f"{found.name}={'|'.join(same)}" for same in values.values()}
    return named_classes(tags, tags=tags)


def _check(found: ColumnValues, values: Mapping[str, Sequence[str]], path: Path) -> None:
    """Raise InputError where the values of a column cannot be classes."""
    several = f"Column {found.name} of {path.name}"
    if not 1 <= len(values) < _MOST_CLASSES:
        raise InputError(
            f"{several} has {len(values)} values.", expected=f"1 to {_MOST_CLASSES - 1} values, each of them a class",
            remedy="Give a column of fewer values, or write classes and their rules yourself, as the guide shows.",
        )  # fmt: skip
    wrong = [value for same in values.values() for value in same if _NOT_IN_RULES.search(value)]
    if wrong or _NOT_IN_KEYS.search(found.name):
        raise InputError(
            f"{several} holds {wrong[0]!r}." if wrong else f"{several} has spaces or signs in its name.",
            expected="a name without spaces, and names and values without = ! & | *",
            remedy="Rename the column to class in the file: then its values are taken as they are.",
        )


def _class_name(column: str, value: str) -> str:
    """Return the name of the class of a value: a number alone would be an id."""
    return f"{column}_{value}" if value.lstrip("-").replace(".", "").isdigit() else value


def _columns(layers: Sequence[VectorLayer], most: int | None, only: str | None = None) -> list[ColumnValues]:
    """Return columns of layers with their values.

    Args:
        most: How many features of each layer are looked at; None: all.
        only: One column, in place of all.
    """
    counts: dict[str, Counter[str]] = {}
    features = 0
    for layer in layers:
        frame = read_layer(layer, layer.columns if only is None else (only,), None, most=most)
        features += len(frame)
        for name in frame.columns.drop(frame.geometry.name):
            counts.setdefault(str(name), Counter()).update(_texts(frame[name]))
    return [ColumnValues(name, dict(found.most_common()), features) for name, found in counts.items()]


def _texts(column: pd.Series) -> Counter[str]:
    """Return how often each value of a column occurs, as text."""
    whole = column.dropna()
    # A float holds every whole number below 2**53: the text of 3.0 is that of 3 (infinity stays as it is).
    if pd.api.types.is_float_dtype(whole) and ((whole == whole.round()) & (whole.abs() < 2**53)).all():
        whole = whole.astype("int64")
    found: Counter[str] = Counter()
    for value, count in whole.map(str).value_counts().items():
        for one in tag_values(value):
            if one:
                found[one] += int(count)
    return found


def _serves(column: ColumnValues) -> bool:
    """Return whether a column has few values, more than one, of few features each alone, that many features have."""
    total = sum(column.values.values())
    few = 2 <= len(column.values) <= min(_MOST_VALUES, max(2, total // 2))
    return few and total >= _LEAST_SHARE * column.features and not all(map(_is_fraction, column.values))


def _is_fraction(text: str) -> bool:
    return re.fullmatch(r"-?\d+\.\d+", text) is not None


def columns_or_none(path: Path) -> list[ColumnValues]:
    """Return what ``class_columns`` does, and nothing for a file that cannot be read: others tell of that, in full."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        try:
            return class_columns(path)
        except LabelError:
            return []
