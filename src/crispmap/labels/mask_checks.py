"""Checks for masks that may be misread: errors and warnings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, LabelError
from crispmap.files.address import shown
from crispmap.labels import palette
from crispmap.labels.mask_values import holds_code, mask_values, traits_of
from crispmap.labels.reader import LabelOptions
from crispmap.types import IGNORE


def check_threshold(found: Mapping[int, int], name: str, schema: ClassSchema, options: LabelOptions) -> None:
    """Raise LabelError where a mask cannot be read with the threshold; warn where it puts every pixel in one class.

    Args:
        found: Pixels by code: ids by the threshold, or NOT_WHOLE for what is not grey.
    """
    threshold = options.threshold
    if threshold is None:
        return
    if len(schema) != 2 or not math.isfinite(threshold):
        raise LabelError(
            f"{name} is to be read with the threshold {threshold}, for {len(schema)} classes.",
            expected="a finite number, and two classes: below it, and from it on",
            remedy="Leave the threshold out, or give two classes.",
        )
    if palette.NOT_WHOLE in found and options.unknown == "error":
        raise LabelError(
            f"{name} is to be read with a threshold; {found[palette.NOT_WHOLE]} of its pixels are not grey.",
            expected="grey values",
            remedy="Read its colours as classes, without the threshold; or leave them out with unknown=ignore.",
        )
    if len(set(found) & {0, 1}) == 1:
        warnings.warn(
            f"All pixels of {name} lie on one side of the threshold {threshold:g}.", CrispmapWarning, stacklevel=4
        )


def refuse_class_as_nodata(file: Any, decode: palette.Decoder, schema: ClassSchema, options: LabelOptions) -> None:
    """Raise LabelError where the value declared as nodata is that of a class, unless ``unknown`` is "ignore".

    Tools that draw vectors declare 0 by default, which then means the background as often as unknown ground.

    Args:
        file: The mask, open.
    """
    name = shown(file.name)
    traits = traits_of(file, name)
    if traits is None or traits.nodata is None or not traits.nodata.is_integer() or options.unknown == "ignore":
        return
    code = int(traits.nodata) * (0x010101 if traits.colour else 1)
    if options.threshold is not None:
        class_id = int(traits.nodata >= options.threshold)
    elif traits.nodata >= len(schema) and not traits.colour:  # no id; colour tables are filled up with black
        return
    else:
        class_id = int(decode(np.array([code]))[0])
    if class_id not in range(len(schema)) or not holds_code(file, traits, code):
        return
    meant = schema[class_id].name
    raise LabelError(
        f"{name} declares its value {traits.nodata:g} as nodata, which is class {meant}.",
        expected="a mask whose nodata value is no class",
        remedy=f"If the pixels are {meant}, remove the declaration: gdal_edit.py -unsetnodata {name}, or rio edit-info "
        f"--unset-nodata {name}; if nothing is known there, give unknown=ignore.",
    )


def warn_of_black_and_white(file: Any, found: Set[int], schema: ClassSchema) -> None:
    """Warn of a mask of 0 and 255 alone for more than two classes: what is white counts as unknown ground."""
    if found != {0, IGNORE} or len(schema) == 2:
        return
    name = shown(file.name)
    values = mask_values(file, name)
    if values is not None and values.black_white:
        warnings.warn(
            f"{name} is black and white: for {len(schema)} classes 0 is {schema[0].name}, and 255 is left out as "
            "unknown. If white is a class, give two classes.",
            CrispmapWarning,
            stacklevel=4,
        )
