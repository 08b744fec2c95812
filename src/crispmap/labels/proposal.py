"""Classes proposed for labels: names and colours, and what the labels need beside them."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crispmap.labels.osm import PRESET_COLOURS

BACKGROUND = "background"


@dataclass(frozen=True)
class ProposedClasses:
    """Classes for labels; a proposal, as a file does not say what its objects are called."""

    names: tuple[str, ...]  # the background first
    colours: tuple[str, ...]  # one a class
    rules: bool = True  # whether tags tell the classes apart, so that presets apply
    tags: Mapping[str, str] = field(default_factory=dict)  # the tag rule of a class, by name, in place of a preset
    options: dict[str, Any] = field(default_factory=dict)  # keys that the labels need in the project file
    reference_options: dict[str, Any] = field(default_factory=dict)  # likewise the reference

    @property
    def legend(self) -> list[dict[str, Any]]:
        """Id, name and colour of every class as plain values."""
        rows = enumerate(zip(self.names, self.colours, strict=True))
        return [{"id": index, "name": name, "colour": colour} for index, (name, colour) in rows]


def named_classes(names: Iterable[str], **traits: Any) -> ProposedClasses:
    """Return classes of these names, the background put first, in the colours of presets or in spare ones."""
    every = (BACKGROUND, *(name for name in names if name != BACKGROUND))
    return ProposedClasses(every, tuple(proposed_colours(every)), **traits)


def proposed_colours(names: Sequence[str]) -> list[str]:
    """Return a colour for every class: that of its preset, else one that depends on its place."""
    return [PRESET_COLOURS.get(name) or _spare_colour(index) for index, name in enumerate(names)]


def _spare_colour(index: int) -> str:
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.65, 0.9 - 0.4 * (index // 12 % 2))
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
